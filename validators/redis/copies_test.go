package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Memory is bounded, and what is used all the time stays.
func TestCopiesAreBounded(t *testing.T) {
	s := startServer(t)
	o := optionsFor(s.address())
	o.localCache = 1 << 20
	p := startProxy(t, s.address())
	o.addresses = []string{p.serve().address()}
	n, used := join(t, o), newKey("used.example", "/")
	n.remember(used)
	var again int64
	for i := range 3000 {
		key := newKey("a.example", fmt.Sprint("/", i))
		record := newRecord(n.stamp(key))
		record.AddField("X", strings.Repeat("x", 500))
		if err := n.Save(t.Context(), key, record, time.Hour); err != nil {
			t.Fatal(err)
		}
		if !n.has(key) {
			t.Fatal("no record is found")
		}
		before := p.asked.Load()
		if !n.has(used) {
			t.Fatal("no record is found")
		}
		again += p.asked.Load() - before
	}
	c := n.current.Load()
	c.mu.RLock()
	size, kept, order := c.size, len(c.entries), c.order.Len()
	c.mu.RUnlock()
	if size > o.localCache || kept < 500 || kept != order {
		t.Errorf("%d copies (%d in order) take %d octets of %d", kept, order, size, o.localCache)
	}
	if again > 50 {
		t.Errorf("the server was asked %d times for what is used all the time", again)
	}
}

// A hit neither asks the client nor allocates.
func TestHitsDoNotAllocate(t *testing.T) {
	n, key := join(t, optionsFor(startServer(t).address())), newKey("a.example", "/")
	n.remember(key)
	n.has(key)
	if allocations := testing.AllocsPerRun(100, func() { n.found(key) }); allocations != 0 {
		t.Errorf("%v allocations for each hit", allocations)
	}
}

// Who waits for what another reads is told when that fails, or when the connection is gone.
func TestReadsThatFail(t *testing.T) {
	n := newNode(t, optionsFor("127.0.0.1:1"))
	failed := errors.New("failed")
	for name, fail := range map[string]func(*copies){
		"Cancel": func(c *copies) { c.Cancel("a", "GET", failed) },
		"Close":  func(c *copies) { c.Close(failed) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCopies(n.store)
			if _, first := c.Flight("a", "GET", time.Hour, time.Now()); first != nil {
				t.Fatal("there is something to wait for before anybody reads")
			}
			_, second := c.Flight("a", "GET", time.Hour, time.Now())
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := second.Wait(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("a wait that has ended: %v", err)
			}
			c.Delete(nil) // does not concern what is being read
			fail(c)
			if _, err := second.Wait(t.Context()); !errors.Is(err, failed) {
				t.Errorf("got %v", err)
			}
			if len(c.entries) != 0 || c.order.Len() != 0 {
				t.Error("something is left")
			}
			c.Cancel("a", "GET", failed)
			c.Close(failed)
		})
	}
}
