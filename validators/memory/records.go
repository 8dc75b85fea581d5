package memory

import (
	"context"
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// behind is how many purges a record may lag behind before a hit writes down that it has been checked. Up to
// there it costs less to check it again each time.
const behind = 16

// records is what stores with the same options share. A value is eight octets with the time when its ttl is over,
// in nanoseconds of the clock, then what it is forgotten and purged by (appendMarks), and then the encoded record.
type records struct {
	cache *otter.Cache[validators.Digest, string]
	clock clock
	*forgetting
	*dates

	lookups   lookups
	evictions atomic.Uint64
	unswept   atomic.Bool  // something was forgotten or purged since the last sweep
	sweepAt   atomic.Int64 // not before that is swept again, by the clock
}

const deadlineSize = 8

func newRecords(o Options) *records {
	clock := clock{start: time.Now()}
	r := &records{clock: clock, forgetting: newForgetting(), dates: newDates(clock, o.MaxFirstSeen)}
	r.cache = otter.Must(&otter.Options[validators.Digest, string]{
		MaximumSize:      o.MaxEntries,
		ExpiryCalculator: otter.ExpiryWritingFunc(timeLeft),
		OnAtomicDeletion: r.deleted,
		Clock:            r.clock,
		Executor:         here,
	})
	return r
}

// here lets the cache tidy up in the goroutine of the call that finds it due: after some sixteen reads there is so
// little to do that waking another goroutine for it would cost more.
func here(tidy func()) { tidy() }

// clock counts the nanoseconds since the store was made, so that a step of the system's clock moves no ttl. It
// does not tick: there is no goroutine to clear away what has expired.
type clock struct{ start time.Time }

// NowNano is never 0.
func (c clock) NowNano() int64 { return int64(time.Since(c.start)) + 1 }

// Tick returns nil, which stands for a clock that does not tick.
func (clock) Tick(time.Duration) <-chan time.Time { return nil }

// after is the time that lies d ahead.
func (c clock) after(d time.Duration) int64 {
	now := c.NowNano()
	if int64(d) > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + int64(d)
}

// timeLeft is never 0 or less, which would mean that there is no limit.
func timeLeft(e otter.Entry[validators.Digest, string]) time.Duration {
	return max(1, time.Duration(deadline(e.Value)-e.SnapshotAtNano))
}

func deadline(value string) int64 {
	var octets [deadlineSize]byte
	copy(octets[:], value)
	return int64(binary.LittleEndian.Uint64(octets[:])) //nolint:gosec // as it was written
}

func appendDeadline(b []byte, nanos int64) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(nanos)) //nolint:gosec // is read back as it was
}

// Name is "memory".
func (*records) Name() string { return "memory" }

// Load implements validators.Store. What it finds out of date it drops.
func (r *records) Load(_ context.Context, key validators.Key) (validators.Record, validators.Stamp, error) {
	lookup := r.lookups.of(&key.Sum)
	if known := lookup.at(&key.Sum, r.clock); known != nil {
		// Read after the record: one that is saved meanwhile with a newer stamp is not taken for out of date.
		if stamp, purges := r.now(key.URI); !outOfDate(known.Stamp, stamp, purges, key.URI) {
			lookup.hits.Add(1)
			return *known, stamp, nil
		}
	}
	return r.load(key, lookup)
}

func (r *records) load(key validators.Key, lookup *lookup) (validators.Record, validators.Stamp, error) {
	before := lookup.latest.Load()
	value, found := r.cache.GetIfPresent(key.Sum)
	stamp, purges := r.now(key.URI) // after the record, too
	if !found {
		lookup.missed(&key.Sum, before)
		return validators.Record{}, stamp, nil
	}
	_, _, encoded := marked(value)
	record, err := validators.Decode(encoded)
	if err != nil || outOfDate(record.Stamp, stamp, purges, key.URI) {
		r.drop(key.Sum, value)
		lookup.missed(&key.Sum, before)
		return validators.Record{}, stamp, nil //nolint:nilerr // what cannot be read is a miss
	}
	if stamp.Purged-record.Stamp.Purged > behind {
		record.Stamp.Purged = stamp.Purged
		r.restamp(key, value, &record)
	} else {
		lookup.found(&key.Sum, before, deadline(value), &record)
	}
	lookup.hits.Add(1)
	return record, stamp, nil
}

func outOfDate(stamp, now validators.Stamp, purges *validators.Purges, uri validators.URI) bool {
	return stamp.Forgotten != now.Forgotten || purges.Cover(stamp.Purged, uri)
}

// drop takes a value away if it is still the one that was found.
func (r *records) drop(sum validators.Digest, value string) {
	defer r.lookups.of(&sum).changed()
	r.cache.ComputeIfPresent(sum, func(current string) (string, otter.ComputeOp) {
		if current != value {
			return "", otter.CancelOp
		}
		return "", otter.InvalidateOp
	})
}

// restamp writes a record down again that was found in value and has a new stamp now.
func (r *records) restamp(key validators.Key, value string, record *validators.Record) {
	defer r.lookups.of(&key.Sum).changed()
	restamped := r.encode(key.URI, record, deadline(value))
	r.cache.ComputeIfPresent(key.Sum, func(current string) (string, otter.ComputeOp) {
		if current != value {
			return "", otter.CancelOp
		}
		return restamped, otter.WriteOp
	})
}

// Save implements validators.Store. A record that is out of date leaves what is there alone, which may be newer.
func (r *records) Save(_ context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	defer r.lookups.of(&key.Sum).changed()
	now, purges := r.now(key.URI)
	switch {
	case outOfDate(record.Stamp, now, purges, key.URI):
	case ttl <= 0:
		r.cache.Invalidate(key.Sum)
	default:
		r.cache.Set(key.Sum, r.encode(key.URI, &record, r.clock.after(ttl)))
	}
	return nil
}

func (r *records) encode(uri validators.URI, record *validators.Record, deadline int64) string {
	var room [512]byte
	b, _ := record.AppendBinary(r.appendMarks(appendDeadline(room[:0], deadline), uri)) // never fails
	return string(b)
}

// Delete implements validators.Store.
func (r *records) Delete(_ context.Context, key validators.Key) error {
	defer r.lookups.of(&key.Sum).changed()
	r.cache.Invalidate(key.Sum)
	return nil
}

// Forget implements validators.Store. It takes one addition, however many records there are.
func (r *records) Forget(_ context.Context, uri validators.URI) error {
	r.forget(uri)
	r.toSweep()
	return nil
}

// Purge implements validators.Store. It takes as long whatever the number of records.
func (r *records) Purge(_ context.Context, scope validators.Scope) error {
	r.forgetting.purge(scope)
	r.toSweep()
	if scope == (validators.Scope{}) {
		r.dates.purge()
	}
	return nil
}

func (r *records) toSweep() {
	if !r.unswept.Load() { // that costs less than to write it each time
		r.unswept.Store(true)
	}
}

// Stats implements validators.Store. Before records are counted, those that have expired are cleared away, and after a Forget
// or Purge those that are out of date. FirstSeen counts dates whose time is over until they are cleared away.
func (r *records) Stats() validators.Stats {
	r.sweepIfDue()
	r.cache.CleanUp()
	hits, misses := r.lookups.sum()
	return validators.Stats{
		Entries:   int64(r.cache.EstimatedSize()),
		FirstSeen: r.dates.len(),
		Hits:      hits,
		Misses:    misses,
		Evictions: r.evictions.Load(),
		Available: true,
	}
}

// deleted counts what leaves the cache. It is called with a lock held, and may not use the cache.
func (r *records) deleted(e otter.DeletionEvent[validators.Digest, string]) {
	if e.Cause == otter.CauseOverflow {
		r.evictions.Add(1)
	}
}

// Destruct is called by the pool. Requests may still be using the records: their memory goes with the last one.
func (*records) Destruct() error { return nil }
