package redis

import (
	"container/list"
	"context"
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
type copies struct {
	// current is set to the copies that the client has asked last, which are those of the server in charge.
	current *atomic.Pointer[copies]

	mu      sync.RWMutex
	entries map[string]*list.Element // of *entry; nil after Close
	order   *list.List
	size    int64
	limit   int64
}

// entry is one copy, or, while pending, one that is being read.
type entry struct {
	name    string
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

func newCopies(limit int64, current *atomic.Pointer[copies]) *copies {
	return &copies{current: current, entries: make(map[string]*list.Element), order: list.New(), limit: limit}
}

// peek finds texts if all of the names have copies that are not over. What is known not to be there is empty.
func (c *copies) peek(now int64, names [3][]byte) (texts [3]string, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i, name := range names {
		if name == nil {
			continue
		}
		element, found := c.entries[string(name)]
		if !found {
			return texts, false
		}
		e := element.Value.(*entry)
		if e.pending() || !e.usable || e.end <= now {
			return texts, false
		}
		if !e.used.Load() {
			e.used.Store(true)
		}
		texts[i] = e.text
	}
	return texts, true
}

func (e *entry) pending() bool { return e.size == 0 }

// Flight finds a copy, or an entry to wait for; with neither, the caller reads the key, which ends with Update or
// Cancel.
func (c *copies) Flight(name, _ string, ttl time.Duration, now time.Time) (rueidis.RedisMessage, rueidis.CacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, found := c.entries[name]; found {
		e := element.Value.(*entry)
		switch {
		case e.pending():
			return rueidis.RedisMessage{}, e
		case e.end > now.UnixMilli():
			e.used.Store(true)
			return e.message, nil
		}
		c.remove(element)
	}
	if c.entries != nil {
		e := &entry{name: name, end: now.Add(ttl).UnixMilli(), ready: make(chan struct{})}
		c.entries[name] = c.order.PushBack(e)
		c.current.Store(c)
	}
	return rueidis.RedisMessage{}, nil
}

// Wait waits for what another caller reads.
func (e *entry) Wait(ctx context.Context) (rueidis.RedisMessage, error) {
	select {
	case <-e.ready:
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
	c.makeRoom()
	return e.end
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
