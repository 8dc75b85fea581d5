package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// What has failed is told later, whatever is forgotten meanwhile.
func TestUntold(t *testing.T) {
	var u untold
	first, second, third := validators.Digest{1}, validators.Digest{2}, validators.Digest{3}
	if u.has(first) {
		t.Error("there is something untold before anything was added")
	}
	for _, sum := range []validators.Digest{first, second, third} {
		u.add(sum)
	}
	tasks, all := u.list()
	if len(tasks) != 3 || all != 0 {
		t.Fatalf("there is to tell: %v, %d", tasks, all)
	}
	u.add(second) // was forgotten once more
	for _, task := range tasks {
		if !u.has(task.sum) {
			t.Errorf("%x is believed while it is being told", task.sum)
		}
	}
	u.told(slices.DeleteFunc(tasks, func(t task) bool { return t.sum == third }), 0)
	if u.has(first) || !u.has(second) || !u.has(third) {
		t.Error("what was forgotten while it was told, or was not told, is not to be told again")
	}
	if tasks, _ := u.list(); len(tasks) != 2 {
		t.Errorf("there is to tell: %v", tasks)
	}
}

// What is untold takes so much memory and no more: then nothing is found until everything was purged.
func TestUntoldIsBounded(t *testing.T) {
	var u untold
	digest := func(n int) (d validators.Digest) {
		binary.LittleEndian.PutUint64(d[:], uint64(n))
		return d
	}
	for n := range maxUntold {
		u.add(digest(n))
	}
	u.add(digest(0)) // is there already
	if tasks, all := u.list(); len(tasks) != maxUntold || all != 0 || u.has(digest(maxUntold)) {
		t.Fatalf("%d are untold, and everything: %d", len(tasks), all)
	}
	u.add(digest(maxUntold))
	tasks, all := u.list()
	if len(tasks) != 0 || all == 0 || !u.has(digest(maxUntold+1)) {
		t.Errorf("%d are untold, and everything: %d", len(tasks), all)
	}
	u.add(digest(1)) // once more, while it is being told
	if u.told(nil, all); !u.has(digest(1)) {
		t.Error("what was forgotten while everything was told is not to be told")
	}
	_, all = u.list()
	if u.told(nil, all); u.has(digest(1)) || u.some.Load() {
		t.Error("something is untold when everything was told")
	}
}

// A node that was never connected knows no places, and tells all the same what was forgotten there.
func TestForgottenBeforeTheFirstConnection(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	p.held.Store(true)
	n, other := newNode(t, hurried(p.serve().address())), join(t, optionsFor(s.address()))
	gone, kept := newKey("a.example", "/"), newKey("b.example", "/")
	other.remember(gone)
	other.remember(kept)
	if err := n.Forget(t.Context(), gone.URI); !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("Forget: %v", err)
	}
	p.held.Store(false)
	eventually(t, "the other node is told", func() bool { return !other.has(gone) })
	if !other.has(kept) {
		t.Error("what was not forgotten is not found")
	}
}

// More than can be kept apart is told as a purge of everything.
func TestTooMuchForgottenWhileCutOff(t *testing.T) {
	s := startServer(t)
	n, other, key := join(t, optionsFor(s.address())), join(t, optionsFor(s.address())), newKey("a.example", "/")
	other.remember(key)
	n.untold.all, n.untold.last = 1, 1
	n.later(newKey("b.example", "/").URI)
	eventually(t, "the other node is told", func() bool { return !other.has(key) })
	eventually(t, "a record is found again", func() bool { n.remember(key); return n.has(key) })
}

// All nodes of one server have the same places, which nodes of another one do not have, whatever is purged.
func TestPlacesAreTheServers(t *testing.T) {
	s := startServer(t)
	a, b, elsewhere := join(t, optionsFor(s.address())), join(t, optionsFor(s.address())), join(t, optionsFor(startServer(t).address()))
	seed := a.log.Load().seed
	if b.log.Load().seed != seed || elsewhere.log.Load().seed == seed {
		t.Errorf("the seeds are %x, %x and %x", seed, b.log.Load().seed, elsewhere.log.Load().seed)
	}
	for _, scope := range []validators.Scope{{Host: "a.example"}, {}} {
		if err := a.Purge(t.Context(), scope); err != nil {
			t.Fatal(err)
		}
	}
	if c := join(t, optionsFor(s.address())); c.log.Load().seed != seed {
		t.Errorf("after purges the seed is %x, was %x", c.log.Load().seed, seed)
	}
}

// Where the seed is lost, what a node forgets that has not heard of that is forgotten for those who have.
func TestForgetWhenTheSeedWasLost(t *testing.T) {
	s := startServer(t)
	n, other := join(t, optionsFor(s.address())), join(t, optionsFor(s.address()))
	for round := range 5 {
		key := newKey("a.example", fmt.Sprint("/", round))
		old := n.log.Load()
		s.must("DEL", n.keys.purges)
		eventually(t, "the other node has begun a new log", func() bool {
			other.remember(key)
			return other.log.Load().seed != old.seed && other.has(key)
		})
		n.log.Store(old) // as if it had not been told
		if err := n.Forget(t.Context(), key.URI); err != nil {
			t.Fatal(err)
		}
		if n.has(key) {
			t.Error("what was forgotten is found here")
		}
		eventually(t, "the other node is told", func() bool { return !other.has(key) })
	}
}
