package coding

import (
	"encoding/binary"
	"sync/atomic"
)

// seen knows which contents have come before, in a fixed room: a content takes the place of another one. It may have
// forgotten one, which costs a coding later than need be, and does not take one for another but by a chance of 2^-63.
type seen struct{ marks []atomic.Uint64 }

// Room for one mark for each KiB of coded bodies, within these: of more contents than that, not all could be kept.
const (
	minSeen = 1 << 10
	maxSeen = 1 << 20
)

func newSeen(maxBytes int64) seen {
	return seen{make([]atomic.Uint64, min(max(maxBytes>>10, minSeen), maxSeen))}
}

// before reports whether a content has come before at a site, and notes it.
func (s seen) before(site uint64, d digest) bool {
	place := &s.marks[(binary.LittleEndian.Uint64(d[:8])^site)%uint64(len(s.marks))]
	mark := binary.LittleEndian.Uint64(d[8:]) ^ site | 1 // an empty place has none
	if place.Load() == mark {
		return true
	}
	place.Store(mark)
	return false
}

// forget forgets all.
func (s seen) forget() {
	for i := range s.marks {
		s.marks[i].Store(0)
	}
}
