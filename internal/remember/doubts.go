package remember

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// DoubtFor is how long nothing is remembered of what a write may have changed that was sent and not answered.
const DoubtFor = time.Minute

const (
	// forgetEvery is how often it is forgotten meanwhile, for other processes that share the store.
	forgetEvery = time.Second
	// maxDoubts bounds how many URIs are in doubt at a time. Past it, those that have been for longest are no more.
	maxDoubts = 4096
)

// doubts are URIs of which nobody knows when they change: a write to them was sent to an upstream, and was not answered.
// Nothing is remembered of them, in this process at all, and in others for no longer than forgetEvery. They are those of
// all stores and configurations of the process, as what the upstream may be doing does not end with a reload.
type doubts struct {
	n  atomic.Int32 // how many there are, so that the question costs nothing while there are none
	mu sync.Mutex
	of map[validators.URI]doubt
	// order is that in which they came.
	order []validators.URI
	// ticking: tick is under way, or will be.
	ticking bool
}

type doubt struct {
	store validators.Store
	until time.Time
}

// inDoubt are those of this process.
var inDoubt doubts

// Doubt makes URIs doubtful, for DoubtFor.
func (m *Memory) Doubt(uris []validators.URI) { inDoubt.add(m.Store, uris) }

// add makes URIs of a store doubtful from now on.
func (d *doubts) add(store validators.Store, uris []validators.URI) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = make(map[validators.URI]doubt)
	}
	if !d.ticking {
		d.ticking = true
		time.AfterFunc(forgetEvery, d.tick)
	}
	until := time.Now().Add(DoubtFor)
	for _, uri := range uris {
		if _, known := d.of[uri]; !known {
			d.order = append(d.order, uri)
		}
		d.of[uri] = doubt{store, until}
	}
	for len(d.order) > maxDoubts {
		delete(d.of, d.order[0])
		d.order = d.order[1:]
	}
	d.n.Store(int32(len(d.of))) //nolint:gosec // bounded
}

// has reports whether a URI is in doubt.
func (d *doubts) has(uri validators.URI) bool {
	if d.n.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.of[uri]
	return ok && time.Now().Before(found.until)
}

// tick forgets all of them once more, and drops those whose time is over.
func (d *doubts) tick() {
	for uri, doubt := range d.due() {
		_ = doubt.store.Forget(context.Background(), uri) // a store that fails sees to it by itself
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ticking = len(d.of) > 0; d.ticking {
		time.AfterFunc(forgetEvery, d.tick)
	}
}

// due is what is to be forgotten now.
func (d *doubts) due() map[validators.URI]doubt {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, all := time.Now(), maps.Clone(d.of)
	d.order = slices.DeleteFunc(d.order, func(uri validators.URI) bool {
		over := !now.Before(d.of[uri].until)
		if over {
			delete(d.of, uri)
		}
		return over
	})
	d.n.Store(int32(len(d.of))) //nolint:gosec // bounded
	return all
}
