package memory_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory"
)

func newStore(tb testing.TB, maxEntries int) *memory.Store {
	tb.Helper()
	s, err := memory.New(memory.Options{MaxEntries: maxEntries})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func numbered(n int) validators.Key {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	return validators.Key{
		Sum: validators.Digest(sum[:16]),
		URI: validators.NewURI("www.example.com", &url.URL{Path: fmt.Sprintf("/articles/%d", n)}),
	}
}

func numberedKeys(n int) []validators.Key {
	keys := make([]validators.Key, n)
	for i := range keys {
		keys[i] = numbered(i)
	}
	return keys
}

// typical is what most records look like.
func typical(stamp validators.Stamp, n int) validators.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC).Add(time.Duration(n) * time.Millisecond)
	r := validators.Record{
		Stamp:        stamp,
		ETag:         fmt.Sprintf(`W/"cc1.%016x%016x.t5bv40"`, n, n),
		LastModified: at.Truncate(time.Second).Add(-time.Hour),
		Size:         34567,
		Received:     at,
		Date:         at.Truncate(time.Second),
		Lifetime:     time.Minute,
	}
	r.AddField("Cache-Control", "public, max-age=60")
	return r
}

func load(tb testing.TB, s validators.Store, key validators.Key) (validators.Record, validators.Stamp) {
	tb.Helper()
	record, stamp, err := s.Load(tb.Context(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return record, stamp
}

// fill saves a typical record under each key.
func fill(tb testing.TB, s validators.Store, keys []validators.Key) {
	tb.Helper()
	for n, key := range keys {
		_, stamp := load(tb, s, key)
		if err := s.Save(tb.Context(), key, typical(stamp, n), time.Hour); err != nil {
			tb.Fatal(err)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one has only unlinked
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bytesPerRecord measures what a store takes of the heap with this many records in it.
func bytesPerRecord(tb testing.TB, records, rounds int) float64 {
	tb.Helper()
	keys := numberedKeys(records)
	before := heap()
	s := newStore(tb, records+records/8)
	for range rounds {
		fill(tb, s, keys)
	}
	after := heap()
	if kept := s.Stats().Entries; kept != int64(records) {
		tb.Fatalf("%d of %d records are kept", kept, records)
	}
	runtime.KeepAlive(keys)
	return float64(after-before) / float64(records)
}

func BenchmarkBytesPerRecord(b *testing.B) {
	for _, rounds := range []int{1, 2} {
		b.Run(fmt.Sprintf("saved=%d", rounds), func(b *testing.B) {
			var bytes float64
			for b.Loop() {
				bytes = bytesPerRecord(b, 1_000_000, rounds)
			}
			b.ReportMetric(bytes, "B/record")
		})
	}
}

const benchmarked = 100_000

func BenchmarkLoadHit(b *testing.B) {
	s, keys := newStore(b, benchmarked*2), numberedKeys(benchmarked)
	fill(b, s, keys)
	benchmarkLoads(b, s, keys)
}

func BenchmarkLoadHitOfOneKey(b *testing.B) {
	s, keys := newStore(b, benchmarked*2), numberedKeys(1)
	fill(b, s, keys)
	benchmarkLoads(b, s, keys)
}

func BenchmarkLoadMiss(b *testing.B) {
	s, keys := newStore(b, benchmarked*2), numberedKeys(benchmarked*2)
	fill(b, s, keys[:benchmarked])
	benchmarkLoads(b, s, keys[benchmarked:])
}

func benchmarkLoads(b *testing.B, s validators.Store, keys []validators.Key) {
	b.Helper()
	ctx := b.Context()
	b.Run("mode=serial", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			_, _, _ = s.Load(ctx, keys[i%len(keys)])
			i++
		}
	})
	b.Run("mode=parallel", func(b *testing.B) {
		b.ReportAllocs()
		var start atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			i := int(start.Add(31337))
			for pb.Next() {
				_, _, _ = s.Load(ctx, keys[i%len(keys)])
				i++
			}
		})
	})
}

// BenchmarkLoadAfterPurges has records that are older than many purges of other URIs.
func BenchmarkLoadAfterPurges(b *testing.B) {
	for _, purges := range []int{1, 16, 17, validators.MaxPurges} {
		b.Run(fmt.Sprintf("purges=%d", purges), func(b *testing.B) {
			s, keys := newStore(b, benchmarked*2), numberedKeys(1000)
			fill(b, s, keys)
			for n := range purges {
				scope := validators.Scope{Host: "www.example.com", Path: fmt.Sprintf("/articles/%d/x", n)}
				if err := s.Purge(b.Context(), scope); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_, _, _ = s.Load(b.Context(), keys[i%len(keys)])
				i++
			}
		})
	}
}

func BenchmarkSave(b *testing.B) {
	s, keys := newStore(b, benchmarked), numberedKeys(benchmarked*2)
	_, stamp := load(b, s, keys[0])
	stamps := make([]validators.Stamp, len(keys))
	for i := range keys {
		_, stamps[i] = load(b, s, keys[i])
	}
	for name, among := range map[string]int{"kind=replaced": benchmarked / 2, "kind=evicting": len(keys)} {
		b.Run(name, func(b *testing.B) {
			record := typical(stamp, 1)
			b.ReportAllocs()
			for b.Loop() {
				i := rand.IntN(among)
				record.Stamp = stamps[i]
				_ = s.Save(b.Context(), keys[i], record, time.Hour)
			}
		})
	}
}

func BenchmarkForget(b *testing.B) {
	s, keys := newStore(b, benchmarked), numberedKeys(1000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		_ = s.Forget(b.Context(), keys[i%len(keys)].URI)
		i++
	}
}

func BenchmarkPurge(b *testing.B) {
	s := newStore(b, benchmarked)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Purge(b.Context(), validators.Scope{Host: "www.example.com", Path: "/a"})
	}
}

func BenchmarkFirstSeen(b *testing.B) {
	s, keys := newStore(b, benchmarked), numberedKeys(1000)
	now := time.Now()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		_, _ = s.FirstSeen(b.Context(), keys[i%len(keys)], `"x"`, now, time.Hour)
		i++
	}
}
