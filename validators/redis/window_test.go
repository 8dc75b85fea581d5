package redis

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// promised is how long a node may be out of date that reaches the server.
const promised = 2 * time.Second

// fakeClock is two clocks that stand still.
type fakeClock struct{ wall, monotonic atomic.Int64 }

func (f *fakeClock) now() moment { return moment{f.wall.Load(), f.monotonic.Load()} }

func (f *fakeClock) pass(wall, monotonic time.Duration) {
	f.wall.Add(int64(wall))
	f.monotonic.Add(int64(monotonic))
}

// cutOff is a node with a copy of a record, and clocks of its own, whose connection is dead.
func cutOff(t *testing.T, s *server) (n *node, p *proxy, key validators.Key, f *fakeClock) {
	t.Helper()
	p, f, key = startProxy(t, s.address()), new(fakeClock), newKey("a.example", "/")
	f.pass(time.Duration(time.Now().UnixNano()), time.Hour)
	o := optionsFor(p.serve().address())
	o.timeout = time.Second
	n = newNode(t, o)
	n.clock = f.now
	n.awaitUp()
	n.remember(key)
	if !n.has(key) {
		t.Fatal("no record is found")
	}
	p.held.Store(true)
	return n, p, key, f
}

// Copies are believed for two seconds by either clock: one of them stands still while the machine sleeps, and the other
// one may be set.
func TestCopiesAreBelievedByBothClocks(t *testing.T) {
	s := startServer(t)
	for name, c := range map[string]struct {
		wall, monotonic time.Duration
		believed        bool
	}{
		"not quite two seconds":       {promised - 1, promised - 1, true},
		"two seconds":                 {promised, promised, false},
		"the machine was asleep":      {promised, time.Millisecond, false},
		"asleep with a running clock": {time.Millisecond, promised, false},
		"the clock was set back":      {-time.Hour, promised, false},
		"set back, just now":          {-time.Hour, promised - 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			n, _, key, f := cutOff(t, s)
			f.pass(c.wall, c.monotonic)
			if _, ok := n.peek(key); ok != c.believed {
				t.Errorf("believed: %t, want %t", ok, c.believed)
			}
			if found := n.found(key); found != c.believed { // which has the client look, too
				t.Errorf("found: %t, want %t", found, c.believed)
			}
		})
	}
}

// One answer, to whatever was asked, and all copies are believed again: nothing has changed, or they were told.
func TestCopiesAreBelievedAgain(t *testing.T) {
	s := startServer(t)
	n, p, key, f := cutOff(t, s)
	p.held.Store(false)
	f.pass(maxStale, maxStale)
	if _, ok := n.peek(key); ok {
		t.Fatal("believed without an answer")
	}
	n.has(newKey("b.example", "/"))
	if _, ok := n.peek(key); !ok {
		t.Error("not believed though the server has answered")
	}
	// While they are used, the server is asked in the background.
	for range 20 {
		f.pass(pulseAfter, pulseAfter)
		before := n.current.Load().provenAt()
		if _, ok := n.peek(key); !ok {
			t.Fatal("not believed though they are used all the time")
		}
		eventually(t, "the pulse is there", func() bool {
			_, ok := n.peek(key)
			return ok && n.current.Load().provenAt() != before
		})
	}
	if kept := n.current.Load().has(n.current.Load().pulse); kept {
		t.Error("the pulse is kept")
	}
}

func (c *copies) provenAt() moment {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.proven
}

func (c *copies) has(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, found := c.entries[name]
	return found
}

// lastFound asks a node for a record again and again until it has not found it for a while, and returns when the last
// question that was answered with it was asked.
func (n *node) lastFound(key validators.Key, quiet time.Duration) (last time.Time) {
	for end := time.Now().Add(quiet); time.Now().Before(end); {
		asked := time.Now()
		if n.found(key) {
			last, end = asked, asked.Add(quiet)
		}
		<-time.After(time.Millisecond)
	}
	return last
}

// A node whose connection is dead in silence answers out of date for two seconds after the other's write, and not longer.
func TestWindowOfANodeThatIsCutOff(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	n, other := join(t, hurried(p.serve().address())), join(t, optionsFor(s.address()))
	for round := range 3 {
		key := newKey("a.example", "/")
		eventually(t, "the record is found", func() bool { return n.trySave(key) == nil && n.found(key) })
		n.lastFound(newKey("b.example", "/"), time.Duration(round)*300*time.Millisecond) // at another time since the latest answer
		p.held.Store(true)
		if err := other.Forget(t.Context(), key.URI); err != nil {
			t.Fatal(err)
		}
		acknowledged := time.Now()
		window := n.lastFound(key, time.Second).Sub(acknowledged)
		t.Logf("the last answer out of date was asked for %s after the write", window)
		if window >= promised {
			t.Errorf("an answer out of date was asked for %s after the write", window)
		}
		p.held.Store(false)
		p.cut()
		n.awaitUp()
	}
}

// The same for nodes at a server that stands still while one of them is written to.
func TestWindowOfAServerThatIsPaused(t *testing.T) {
	s := startServer(t)
	t.Cleanup(s.resume)
	n, other := join(t, hurried(s.address())), join(t, hurried(s.address()))
	for _, before := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond} {
		key := newKey("a.example", "/")
		eventually(t, "the record is found", func() bool { return n.trySave(key) == nil && n.found(key) })
		s.pause()
		n.lastFound(newKey("b.example", "/"), before)
		if err := other.Forget(t.Context(), key.URI); !errors.Is(err, validators.ErrUnavailable) {
			t.Errorf("Forget: %v", err)
		}
		acknowledged := time.Now()
		window := max(0, n.lastFound(key, time.Second).Sub(acknowledged))
		t.Logf("paused %s before the write: the last answer out of date was asked for %s after it", before, window)
		if window+before >= promised {
			t.Errorf("an answer out of date was asked for %s after the server has answered last", window+before)
		}
		s.resume()
		n.awaitUp()
		eventually(t, "the other node has told", func() bool { _, _, err := other.Load(t.Context(), key); return err == nil })
		if n.found(key) {
			t.Error("found again when the server goes on")
		}
	}
}

// What is written at a node that is cut off, the others learn when it is connected again, which is not long after its cut.
func TestWindowOfAWriterThatIsCutOff(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	n, other := join(t, optionsFor(s.address())), join(t, hurried(p.serve().address()))
	key := newKey("a.example", "/")
	n.remember(key)
	p.held.Store(true)
	p.cut() // what connects now is not answered
	if err := other.Forget(t.Context(), key.URI); !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("Forget: %v", err)
	}
	acknowledged := time.Now()
	<-time.After(5 * time.Second)
	if !n.found(key) {
		t.Error("nobody could know of the write, and yet the record is not found")
	}
	ended := time.Now()
	p.held.Store(false)
	eventually(t, "the node is told", func() bool { return !n.found(key) })
	t.Logf("seen %s after the write, and %s after the end of the cut", time.Since(acknowledged), time.Since(ended))
	if took := time.Since(ended); took > afterCut {
		t.Errorf("seen %s after the end of the cut", took)
	}
}

// afterCut is when a node has told at the latest what was written there while it was cut off: an attempt to connect under
// way, a pause, and one more.
const afterCut = dialTimeout + lastDelay + 3*time.Second
