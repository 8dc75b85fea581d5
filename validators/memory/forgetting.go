package memory

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// forgetting knows how often each URI was forgotten, and the latest purges. URIs that share a place are forgotten
// together, which costs each other's records and nothing more.
type forgetting struct {
	// base makes the stamps of this store its own: a record that was stamped by another one, such as that
	// of the process before, is never taken for valid. The counters begin at 0, as pages of memory that
	// nobody writes to cost nothing.
	base   uint64
	counts [validators.Places]atomic.Uint64
	// seed decides on the places, so that nobody can work out which URI to write to for another one to be forgotten.
	seed uint64

	purging sync.Mutex // held by who replaces purges
	purges  atomic.Pointer[validators.Purges]
}

func newForgetting() *forgetting {
	f := &forgetting{base: random(), seed: random()}
	f.purges.Store(&validators.Purges{Base: random() >> 1}) // never to overflow, as numbers of purges are compared
	return f
}

func random() uint64 {
	var octets [8]byte
	_, _ = rand.Read(octets[:]) // never fails
	return binary.NativeEndian.Uint64(octets[:])
}

// now is the stamp that a record has to carry whose request begins now, and the purges that it speaks of.
func (f *forgetting) now(uri validators.URI) (validators.Stamp, *validators.Purges) {
	purges := f.purges.Load()
	return validators.Stamp{Forgotten: f.base + f.counts[f.place(uri)].Load(), Purged: purges.Last()}, purges
}

// forget makes all stamps of the URI out of date.
func (f *forgetting) forget(uri validators.URI) { f.counts[f.place(uri)].Add(1) }

func (f *forgetting) place(uri validators.URI) uint16 { return uri.Sum.Place(f.seed) }

// purge makes all stamps of URIs in a scope out of date.
func (f *forgetting) purge(scope validators.Scope) {
	f.purging.Lock()
	defer f.purging.Unlock()
	purges := f.purges.Load()
	f.purges.Store(purges.With(validators.Purge{Number: purges.Last() + 1, Scope: scope}))
}
