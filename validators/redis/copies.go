package redis

import (
	"container/list"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// copies are what is in memory of what is at one server, as long as one connection lasts: the server tells over it
// what has changed, and all of them are dropped with it. The client fills them; hits are looked up here without it, as
// that takes neither a goroutine nor a timer.
//
// A key is read with GET only, so there is one copy of each. What was not used since it was last looked at is
// dropped first when there is no room.
//
// # How long they are believed
//
// A connection may be dead without anybody noticing. So copies are believed for maxStale after something was asked over
// it that was answered, counted from before it was sent: the server had told of all changes before that time, as messages
// come in order. Whatever is read here and not found is such a question. While copies are used and nothing else is asked, there is
// the pulse: a key that is read again and again, and never kept.
type copies struct {
	// current is set to the copies that the client has asked last, which are those of the server in charge.
	current *atomic.Pointer[copies]
	clock   func() moment
	// read reads a key over this connection, in the background.
	read func(name string)
	// inSlot are names like generations, that pulses are made of: there are so many and no more, on every node of a
	// cluster, so that those of connections that were do not fill the server's table of who is to be told of what.
	inSlot, pulsePrefix string
	reading             atomic.Bool // the pulse is

	mu      sync.RWMutex
	entries map[string]*list.Element // of *entry; nil after Close
	order   *list.List
	size    int64
	limit   int64
	proven  moment // before the latest question that was answered; zero: none was
	pulse   string // the name of the key; empty as long as nothing in its slot was read
}

const (
	// maxStale is for how long copies are believed after the server was last asked something that it has answered: so
	// much later at most than elsewhere, what was forgotten there is not answered from them any more.
	maxStale = 2 * time.Second
	// pulseAfter is when it is asked once more.
	pulseAfter = 500 * time.Millisecond
)

// moment is a time by two clocks, in nanoseconds. One may be set, and the other one stands still while the machine
// sleeps.
type moment struct{ wall, monotonic int64 }

var begun = time.Now()

func thisMoment() moment {
	t := time.Now()
	return moment{t.UnixNano(), int64(t.Sub(begun))}
}

// since is the time between two moments, by the clock that says more.
func (m moment) since(earlier moment) time.Duration {
	return time.Duration(max(m.wall-earlier.wall, m.monotonic-earlier.monotonic))
}

func (m moment) milliseconds() int64 { return m.wall / int64(time.Millisecond) }

// entry is one copy, or, while pending, one that is being read.
type entry struct {
	name    string
	asked   moment // before it was
	clock   func() moment
	message rueidis.RedisMessage
	text    string
	usable  bool  // text is what the server has; false for an error
	end     int64 // in milliseconds since 1970
	size    int64 // 0 while pending
	used    atomic.Bool
	ready   chan struct{}
	err     error
}

// entryOverhead is about what an entry takes beside its texts: the entry, its places in list and map, a channel.
const entryOverhead = 400

func newCopies(s *store) *copies {
	return &copies{
		current: &s.current, clock: s.clock, read: s.readPulse, inSlot: s.keys.generation, pulsePrefix: s.keys.pulse,
		entries: make(map[string]*list.Element), order: list.New(), limit: s.options.localCache,
	}
}

// peek finds texts if all of the names have copies that are not over, and believed. What is known not to be there is empty.
func (c *copies) peek(names [3][]byte) (texts [3]string, ok bool) {
	now := c.clock()
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.believed(now) {
		return texts, false
	}
	for i, name := range names {
		if name == nil {
			continue
		}
		element, found := c.entries[string(name)]
		if !found {
			return texts, false
		}
		e := element.Value.(*entry)
		if e.pending() || !e.usable || e.end <= now.milliseconds() {
			return texts, false
		}
		if !e.used.Load() {
			e.used.Store(true)
		}
		texts[i] = e.text
	}
	return texts, true
}

// believed reports whether copies may be used. If they are about to be not any more, the pulse is taken. The caller holds
// mu.
func (c *copies) believed(now moment) bool {
	age := now.since(c.proven)
	if age >= pulseAfter && c.pulse != "" && !c.reading.Load() && c.reading.CompareAndSwap(false, true) {
		go func(name string) {
			defer c.reading.Store(false)
			c.read(name)
		}(c.pulse)
	}
	return age < maxStale
}

func (e *entry) pending() bool { return e.size == 0 }

// Flight finds a copy, or an entry to wait for; with neither, the caller reads the key, which ends with Update or
// Cancel.
func (c *copies) Flight(name, _ string, ttl time.Duration, _ time.Time) (rueidis.RedisMessage, rueidis.CacheEntry) {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, found := c.entries[name]; found {
		e := element.Value.(*entry)
		switch {
		case e.pending():
			return rueidis.RedisMessage{}, e
		case e.end > now.milliseconds() && c.believed(now):
			e.used.Store(true)
			return e.message, nil
		}
		c.remove(element)
	}
	if c.entries != nil {
		end := now.milliseconds() + ttl.Milliseconds()
		e := &entry{name: name, asked: now, clock: c.clock, end: end, ready: make(chan struct{})}
		c.entries[name] = c.order.PushBack(e)
		c.current.Store(c)
	}
	return rueidis.RedisMessage{}, nil
}

var errLate = errors.New("the answer to somebody else's question came too late")

// Wait waits for what another caller reads.
func (e *entry) Wait(ctx context.Context) (rueidis.RedisMessage, error) {
	select {
	case <-e.ready:
		if e.err == nil && e.clock().since(e.asked) >= maxStale {
			return rueidis.RedisMessage{}, errLate
		}
		return e.message, e.err
	case <-ctx.Done():
		return rueidis.RedisMessage{}, ctx.Err()
	}
}

// Update keeps what was read, until it ends at the server or the time given to Flight is over.
func (c *copies) Update(name, _ string, message rueidis.RedisMessage) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.awaited(name)
	if e == nil {
		return 0
	}
	e.message = message
	text, err := message.ToString()
	e.text, e.usable = text, err == nil || rueidis.IsRedisNil(err)
	if end := message.CachePXAT(); end > 0 {
		e.end = min(e.end, end)
	}
	e.size = entryOverhead + int64(len(name)) + int64(len(text))
	c.size += e.size
	close(e.ready)
	if e.usable {
		c.proves(e)
	}
	if name == c.pulse {
		c.remove(c.entries[name])
	}
	c.makeRoom()
	return e.end
}

// proves takes down that something was answered. An error proves nothing: a node that has lost its cluster answers with
// one, and knows of no changes.
func (c *copies) proves(e *entry) {
	if e.asked.monotonic > c.proven.monotonic {
		c.proven = e.asked
	}
	if c.pulse == "" && strings.HasPrefix(e.name, c.inSlot) {
		c.pulse = c.pulsePrefix + "{" + e.name + "}"
	}
}

// Cancel ends a read that has failed.
func (c *copies) Cancel(name, _ string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.awaited(name); e != nil {
		e.err = err
		close(e.ready)
		c.remove(c.entries[name])
	}
}

// awaited is the pending entry of a name, if there is one.
func (c *copies) awaited(name string) *entry {
	element, found := c.entries[name]
	if !found {
		return nil
	}
	if e := element.Value.(*entry); e.pending() {
		return e
	}
	return nil
}

// Delete drops the copies of keys that have changed, or all. What is still being read is newer than the change,
// since the answer comes after this message.
func (c *copies) Delete(names []rueidis.RedisMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if names == nil {
		for _, element := range c.entries {
			c.drop(element)
		}
	}
	for _, name := range names {
		if text, err := name.ToString(); err == nil {
			c.drop(c.entries[text])
		}
	}
}

func (c *copies) drop(element *list.Element) {
	if element != nil && !element.Value.(*entry).pending() {
		c.remove(element)
	}
}

func (c *copies) remove(element *list.Element) {
	e := c.order.Remove(element).(*entry)
	delete(c.entries, e.name)
	c.size -= e.size
}

// makeRoom drops the oldest that were not used since they were last looked at. Each is looked at twice at most.
func (c *copies) makeRoom() {
	for looks := 2 * c.order.Len(); c.size > c.limit && looks > 0; looks-- {
		element := c.order.Front()
		e := element.Value.(*entry)
		if e.used.Swap(false) || e.pending() {
			c.order.MoveToBack(element)
			continue
		}
		c.remove(element)
	}
}

// Close drops all copies for good, as nobody keeps them current any more.
func (c *copies) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, element := range c.entries {
		if e := element.Value.(*entry); e.pending() {
			e.err = err
			close(e.ready)
		}
	}
	c.entries, c.size = nil, 0
	c.order.Init()
}

var _ rueidis.CacheStore = (*copies)(nil)
