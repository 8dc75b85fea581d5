package memory_test

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory"
	"github.com/conditionalcache/caddy-conditional-cache/validators/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) validators.Store {
		t.Helper()
		return newStore(t, 0)
	})
}

func TestContractOfABoundedStore(t *testing.T) {
	storetest.RunBounded(t, func(t *testing.T, maxFirstSeen int) validators.Store {
		t.Helper()
		s, err := memory.New(memory.Options{MaxFirstSeen: maxFirstSeen})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func save(tb testing.TB, s validators.Store, key validators.Key, record validators.Record, ttl time.Duration) {
	tb.Helper()
	if err := s.Save(tb.Context(), key, record, ttl); err != nil {
		tb.Fatal(err)
	}
}

func forget(tb testing.TB, s validators.Store, uri validators.URI) {
	tb.Helper()
	if err := s.Forget(tb.Context(), uri); err != nil {
		tb.Fatal(err)
	}
}

func purge(tb testing.TB, s validators.Store, scope validators.Scope) {
	tb.Helper()
	if err := s.Purge(tb.Context(), scope); err != nil {
		tb.Fatal(err)
	}
}

func has(tb testing.TB, s validators.Store, key validators.Key) bool {
	tb.Helper()
	record, _ := load(tb, s, key)
	return record.Exists()
}

func TestLoadAllocatesNothing(t *testing.T) {
	s, key := newStore(t, 0), numbered(1)
	fill(t, s, []validators.Key{key})
	purge(t, s, validators.Scope{Path: "/elsewhere"})
	if n := testing.AllocsPerRun(1000, func() { load(t, s, key) }); n != 0 {
		t.Errorf("a hit makes %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { load(t, s, numbered(2)) }); n > 4 { // four are the key's
		t.Errorf("a miss makes %v allocations", n)
	}
}

// The bubble ends only when all goroutines in it have: none is left behind by a store that nobody closes.
func TestRecordsEndToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, key := newStore(t, 0), numbered(1)
		_, stamp := load(t, s, key)
		save(t, s, key, typical(stamp, 1), time.Minute)
		time.Sleep(time.Minute - 1) //nolint:forbidigo // of the bubble's time
		if !has(t, s, key) {
			t.Error("gone before its time")
		}
		time.Sleep(1 * time.Nanosecond) //nolint:forbidigo // of the bubble's time
		if has(t, s, key) {
			t.Error("there when its time was over")
		}
	})
}

func TestLifetimesAtTheEnds(t *testing.T) {
	s, key := newStore(t, 0), numbered(1)
	_, stamp := load(t, s, key)
	save(t, s, key, typical(stamp, 1), math.MaxInt64)
	if !has(t, s, key) {
		t.Error("what may be kept for ever is gone at once")
	}
	for _, ttl := range []time.Duration{0, -1, math.MinInt64} {
		save(t, s, key, typical(stamp, 1), time.Hour)
		save(t, s, key, typical(stamp, 1), ttl)
		if has(t, s, key) {
			t.Errorf("a ttl of %d keeps a record, or the one before it", ttl)
		}
	}
}

func TestWhatIsFullDropsWhatIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 1000
		s, keys := newStore(t, room), numberedKeys(20*room)
		favourites := keys[:100]
		fill(t, s, favourites)
		for n := len(favourites); n < len(keys); n += 100 {
			for _, key := range favourites {
				has(t, s, key)
				synctest.Wait() // until it is counted: of many reads at one time, only some are
			}
			fill(t, s, keys[n:n+100])
		}
		synctest.Wait()
		stats, kept := s.Stats(), 0
		for _, key := range favourites {
			if has(t, s, key) {
				kept++
			}
		}
		if stats.Entries > room || stats.Entries < room*9/10 {
			t.Errorf("%d records are kept, want about %d", stats.Entries, room)
		}
		if int64(stats.Evictions) != int64(len(keys))-stats.Entries {
			t.Errorf("of %d records, %d are kept and %d were evicted", len(keys), stats.Entries, stats.Evictions)
		}
		if kept < 95 {
			t.Errorf("only %d of 100 records that are asked for all the time are kept", kept)
		}
	})
}

func TestWhatIsOutOfDateIsDroppedWhenFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys := newStore(t, 0), numberedKeys(10)
		fill(t, s, keys)
		purge(t, s, validators.Scope{})
		for _, key := range keys {
			has(t, s, key)
		}
		synctest.Wait()
		if stats := s.Stats(); stats.Entries != 0 || stats.Evictions != 0 {
			t.Errorf("%d records are left, %d were evicted", stats.Entries, stats.Evictions)
		}
	})
}

func TestALateSaveLeavesANewerRecordAlone(t *testing.T) {
	s, key := newStore(t, 0), numbered(1)
	_, before := load(t, s, key)
	forget(t, s, key.URI)
	_, after := load(t, s, key)
	save(t, s, key, typical(after, 1), time.Hour)
	save(t, s, key, typical(before, 2), time.Hour)
	if record, _ := load(t, s, key); record.ETag != typical(after, 1).ETag {
		t.Errorf("found %+v", record)
	}
}

func TestStampsOfAnotherStoreAreWorthNothing(t *testing.T) {
	a, b, key := newStore(t, 0), newStore(t, 0), numbered(1)
	_, stamp := load(t, a, key)
	_, other := load(t, b, key)
	for name, foreign := range map[string]validators.Stamp{
		"both halves": other, "none": {},
		"Forgotten": {Forgotten: other.Forgotten, Purged: stamp.Purged},
		"Purged":    {Forgotten: stamp.Forgotten, Purged: other.Purged},
	} {
		save(t, a, key, typical(foreign, 1), time.Hour)
		if has(t, a, key) {
			t.Errorf("a record with %s of another store is found", name)
		}
	}
	save(t, a, key, typical(stamp, 1), time.Hour)
	if !has(t, a, key) {
		t.Error("a record with a stamp of this store is not found")
	}
}

// What lies many purges behind is written down again, with a stamp of now and the ttl that it had.
func TestPurgesElsewhereAreCheckedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, key := newStore(t, 0), numbered(1)
		fill(t, s, []validators.Key{key}) // for an hour
		time.Sleep(time.Minute)           //nolint:forbidigo // of the bubble's time
		for range 200 {
			purge(t, s, validators.Scope{Path: "/elsewhere"})
		}
		for range 2 {
			if record, stamp := load(t, s, key); record.Stamp != stamp {
				t.Errorf("stamp %v, want %v", record.Stamp, stamp)
			}
		}
		for range validators.MaxPurges - 1 {
			purge(t, s, validators.Scope{Path: "/elsewhere"})
		}
		if !has(t, s, key) {
			t.Error("the old stamp was kept, which more purges than are told apart have followed")
		}
		time.Sleep(59*time.Minute - 1) //nolint:forbidigo // of the bubble's time
		if !has(t, s, key) {
			t.Error("gone before its time")
		}
		time.Sleep(1 * time.Nanosecond) //nolint:forbidigo // of the bubble's time
		if has(t, s, key) {
			t.Error("there when its time was over")
		}
	})
}

func TestFirstSeenAndLifetimesAtTheEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, key, now := newStore(t, 0), numbered(1), time.Unix(1_800_000_000, 0)
		for n, ttl := range []time.Duration{time.Hour, 0, -time.Hour, math.MinInt64, math.MaxInt64} {
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble's time
			now = now.Add(time.Second)
			at, err := s.FirstSeen(t.Context(), key, fmt.Sprintf(`"%d"`, n), now, ttl)
			if err != nil || !at.Equal(now) {
				t.Errorf("ttl %s: %s, %v; want %s", ttl, at, err, now)
			}
		}
		if at, err := s.FirstSeen(t.Context(), key, `"4"`, now, math.MaxInt64); err != nil || !at.Equal(now) {
			t.Errorf("the second time: %s, %v", at, err)
		}
		time.Sleep(1000 * time.Hour) //nolint:forbidigo // of the bubble's time
		if at, err := s.FirstSeen(t.Context(), key, `"4"`, now.Add(time.Hour), 0); err != nil || !at.Equal(now) {
			t.Errorf("what was to be kept for ever is forgotten: %s, %v", at, err)
		}
	})
}

func TestPurgesAtOneTimeAllCount(t *testing.T) {
	const goroutines, each = 8, 30 // fewer than are told apart
	s, keys := newStore(t, 0), numberedKeys(goroutines*each)
	fill(t, s, keys)
	var purges sync.WaitGroup
	start := make(chan struct{})
	for n := range goroutines {
		purges.Go(func() {
			<-start
			for _, key := range keys[n*each : (n+1)*each] {
				purge(t, s, validators.Scope{Path: key.URI.Path})
			}
		})
	}
	close(start)
	purges.Wait()
	for n, key := range keys {
		if has(t, s, key) {
			t.Errorf("record %d is found", n)
		}
	}
}

// Who is asked for again and again is told to the cache now and then only; that has to be often enough.
func TestHitsInARowKeepARecord(t *testing.T) {
	const room = 100
	s, keys := newStore(t, room), numberedKeys(5*room/2)
	fill(t, s, keys[:room]) // as long as there is room, nobody counts
	popular, keys := keys[room:room+1], keys[room+1:]
	fill(t, s, popular)
	for range 200 {
		if !has(t, s, popular[0]) {
			t.Fatal("the record was not found")
		}
	}
	if got := s.Stats().Hits; got != 200 {
		t.Errorf("%d hits were counted, not 200", got)
	}
	for _, key := range keys {
		for range 4 {
			fill(t, s, []validators.Key{key})
		}
	}
	if !has(t, s, popular[0]) {
		t.Error("what was asked for 200 times has given way to what was saved four times")
	}
}

// The hits in between see what any look-up sees.
func TestHitsInARowSeeEveryChange(t *testing.T) {
	s, page := newStore(t, 0), numbered(1)
	for hits := range 40 {
		for name, change := range map[string]func(){
			"Delete": func() { _ = s.Delete(t.Context(), page) },
			"Forget": func() { forget(t, s, page.URI) },
			"Purge":  func() { purge(t, s, validators.Scope{}) },
			"Save": func() {
				_, stamp := load(t, s, page)
				save(t, s, page, typical(stamp, 1), 0)
			},
		} {
			fill(t, s, []validators.Key{page})
			for range hits {
				if !has(t, s, page) {
					t.Fatal("the record was not found")
				}
			}
			if change(); has(t, s, page) {
				t.Fatalf("the record was found after %d hits in a row and a %s", hits, name)
			}
		}
	}
}

func TestHitsInARowEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, key := newStore(t, 0), numbered(1)
		for hits := range 20 {
			_, stamp := load(t, s, key)
			save(t, s, key, typical(stamp, 1), time.Minute)
			for range hits {
				has(t, s, key)
			}
			time.Sleep(time.Minute - 1) //nolint:forbidigo // of the bubble's time
			if !has(t, s, key) {
				t.Errorf("after %d hits: gone before its time", hits)
			}
			time.Sleep(1 * time.Nanosecond) //nolint:forbidigo // of the bubble's time
			if has(t, s, key) {
				t.Errorf("after %d hits: there when its time was over", hits)
			}
		}
	})
}

// A record that has given way to others is not found for ever, only because it was the latest that was.
func TestHitsInARowDoNotOutliveTheRecord(t *testing.T) {
	const room = 100
	s, keys := newStore(t, room), numberedKeys(50*room)
	first := keys[:1]
	fill(t, s, first)
	has(t, s, first[0])
	has(t, s, first[0])
	for _, key := range keys[1:] {
		for range 4 {
			if key.Sum[0] != first[0].Sum[0] {
				fill(t, s, []validators.Key{key})
			}
		}
	}
	neighbours := neighboursOf(first[0], 2)
	fill(t, s, neighbours)
	for range 20 { // whatever else is found
		has(t, s, first[0])
		has(t, s, neighbours[0])
	}
	if has(t, s, first[0]) {
		t.Error("it was still found")
	}
}

// neighboursOf has keys whose look-ups are counted at the same place.
func neighboursOf(key validators.Key, n int) (all []validators.Key) {
	for i := 1_000_000; len(all) < n; i++ {
		if other := numbered(i); other.Sum[0] == key.Sum[0] {
			all = append(all, other)
		}
	}
	return all
}

func TestHitsInTurnsAllocateNothing(t *testing.T) {
	s := newStore(t, 0)
	keys := neighboursOf(numbered(1), 2)
	fill(t, s, keys)
	if n := testing.AllocsPerRun(10, func() {
		for i := range 100 {
			load(t, s, keys[i%2])
		}
	}); n > 0 {
		t.Errorf("100 hits of two keys in turns make %v allocations", n)
	}
	if n := testing.AllocsPerRun(10, func() {
		for range 100 {
			load(t, s, keys[0])
		}
	}); n > 0 {
		t.Errorf("100 hits of one key make %v allocations", n)
	}
}

// Nobody finds an older record than the one whose Save has returned, however look-ups and changes meet.
func TestWhatWasSavedIsFoundByAll(t *testing.T) {
	s, key := newStore(t, 0), numbered(1)
	_, stamp := load(t, s, key)
	var saved atomic.Int64
	over := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				before := saved.Load()
				if record, _ := load(t, s, key); record.Size < before {
					t.Errorf("found %d after %d was saved", record.Size, before)
					return
				}
			}
		})
	}
	for n := int64(1); n <= 100_000 && !t.Failed(); n++ {
		record := typical(stamp, 1)
		record.Size = n
		save(t, s, key, record, time.Minute)
		saved.Store(n)
		runtime.Gosched()
	}
	close(over)
	readers.Wait()
}
