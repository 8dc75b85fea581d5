package memory

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// counted is how many keys are looked up at places of their own.
const counted = 256

// noted is how many hits in a row of one key the cache is told of one of.
const noted = 16

// lookup is what is known of the look-ups at one of several places: how many they were, counted apart so that
// requests for several pages do not wait for each other, and what they found.
type lookup struct {
	hits, misses atomic.Uint64
	last         atomic.Uint64 // the beginning of the key that was looked up last
	latest       atomic.Pointer[latest]
	_            [32]byte // a cache line of its own
}

// latest is a record that was found when its key was asked for twice in a row: as long as it stays so, neither the
// cache need be asked nor the record be decoded. The zero value is none.
//
// Who changes what the cache has for one of a place's keys replaces it afterwards, if only by another zero value. So
// who has read the pointer before he looked the cache up, and finds it unchanged, knows that what he found is still
// there.
type latest struct {
	sum      validators.Digest
	deadline int64 // as in a value
	record   *validators.Record
}

type lookups [counted]lookup

func (l *lookups) of(sum *validators.Digest) *lookup { return &l[sum[0]] }

func (l *lookups) sum() (hits, misses uint64) {
	for i := range l {
		hits, misses = hits+l[i].hits.Load(), misses+l[i].misses.Load()
	}
	return hits, misses
}

// at is what is known without the cache of a key. It says nothing for one hit in so many: the cache has to be told that a
// key is worth keeping.
func (l *lookup) at(sum *validators.Digest, clock clock) *validators.Record {
	found := l.latest.Load()
	if found == nil || found.sum != *sum || l.hits.Load()%noted == 0 || clock.NowNano() >= found.deadline {
		return nil
	}
	return found.record
}

// isRepeated reports whether a key is looked up for the second time in a row.
func (l *lookup) isRepeated(sum *validators.Digest) bool {
	id := binary.NativeEndian.Uint64(sum[:])
	if l.last.Load() == id {
		return true
	}
	l.last.Store(id)
	return false
}

// missed counts a miss. What the cache has dropped by itself is not to be known without it any longer.
func (l *lookup) missed(sum *validators.Digest, before *latest) {
	l.misses.Add(1)
	if l.last.Store(binary.NativeEndian.Uint64(sum[:])); before != nil && before.sum == *sum {
		l.latest.CompareAndSwap(before, new(latest))
	}
}

// found takes down what the cache has said, if nothing has changed since before was read.
func (l *lookup) found(sum *validators.Digest, before *latest, deadline int64, record *validators.Record) {
	if before != nil && before.record != nil && before.sum == *sum || !l.isRepeated(sum) {
		return
	}
	kept := *record
	l.latest.CompareAndSwap(before, &latest{sum: *sum, deadline: deadline, record: &kept})
}

// changed is called when the cache has been changed for a key of this place.
func (l *lookup) changed() { l.latest.Store(new(latest)) }
