package memory_test

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	million = 1_000_000
	// loadsOfMillion are timed. There is one save for every ten of them.
	loadsOfMillion, loadsOfSave = 2_000_000, 10
	// loaders do it at the same time.
	loaders = 2
	// garbage is what a request leaves behind that is proxied, in bytes.
	garbage = 8 << 10
	// gcPauses are the times for which the collector stops all goroutines.
	gcPauses = "/sched/pauses/total/gc:seconds"
)

// BenchmarkMillionRecords has a million records, and loads and saves going on among them: what a record takes, how long
// the garbage collector stops everything, and how long one Load takes at worst.
//
//	go test -run '^$' -bench MillionRecords -benchtime 3x ./validators/memory
//
// The collector runs as often as in a server: each Load leaves as much garbage behind as a request does. A pause is told
// to within the bucket of the runtime's histogram, by its upper bound.
func BenchmarkMillionRecords(b *testing.B) {
	keys := numberedKeys(million)
	before := heap()
	s := newStore(b, million+million/8)
	fill(b, s, keys)
	each := float64(heap()-before) / million
	if kept := s.Stats().Entries; kept != million {
		b.Fatalf("%d records are kept", kept)
	}
	var latencies []time.Duration
	start := readPauses()
	for b.Loop() {
		latencies = append(latencies, loadAndSave(b.Context(), s, keys)...)
	}
	pauses := pausesSince(start)
	runtime.KeepAlive(keys)
	slices.Sort(latencies)
	b.ReportMetric(each, "B/record")
	b.ReportMetric(float64(counted(pauses)), "gc-pauses")
	b.ReportMetric(pauseQuantile(pauses, 0.5), "us/gc-pause-p50")
	b.ReportMetric(pauseQuantile(pauses, 0.999), "us/gc-pause-p99.9")
	b.ReportMetric(pauseQuantile(pauses, 1), "us/gc-pause-max")
	b.ReportMetric(float64(latencies[len(latencies)/2])/1e3, "us/load-p50")
	b.ReportMetric(float64(latencies[len(latencies)*999/1000])/1e3, "us/load-p99.9")
	b.ReportMetric(float64(latencies[len(latencies)-1])/1e3, "us/load-max")
}

// loadAndSave returns how long each Load took.
func loadAndSave(ctx context.Context, s validators.Store, keys []validators.Key) []time.Duration {
	parts := make(chan []time.Duration, loaders)
	for loader := range loaders {
		go func() {
			var left []byte
			random := rand.New(rand.NewPCG(uint64(loader), 1))
			took := make([]time.Duration, 0, loadsOfMillion/loaders)
			for n := range cap(took) {
				key := keys[random.IntN(len(keys))]
				start := time.Now()
				_, stamp, _ := s.Load(ctx, key)
				took = append(took, time.Since(start))
				left = make([]byte, garbage)
				if n%loadsOfSave == 0 {
					_ = s.Save(ctx, key, typical(stamp, n), time.Hour)
				}
			}
			runtime.KeepAlive(left)
			parts <- took
		}()
	}
	var all []time.Duration
	for range loaders {
		all = append(all, <-parts...)
	}
	return all
}

// pauseBucket is how often the collector has stopped everything for up to so long.
type pauseBucket struct {
	upTo  float64 // in seconds
	count uint64
}

func readPauses() []pauseBucket {
	sample := []metrics.Sample{{Name: gcPauses}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	buckets := make([]pauseBucket, len(h.Counts))
	for i, count := range h.Counts {
		buckets[i] = pauseBucket{h.Buckets[i+1], count}
	}
	return buckets
}

// pausesSince leaves out what there was at the start.
func pausesSince(start []pauseBucket) []pauseBucket {
	now := readPauses()
	for i := range now {
		now[i].count -= start[i].count
	}
	return now
}

func counted(pauses []pauseBucket) (all uint64) {
	for _, bucket := range pauses {
		all += bucket.count
	}
	return all
}

// pauseQuantile is the pause, in microseconds, that the part p of them does not exceed.
func pauseQuantile(pauses []pauseBucket, p float64) float64 {
	all, seen := counted(pauses), uint64(0)
	for _, bucket := range pauses {
		if seen += bucket.count; bucket.count > 0 && float64(seen) >= p*float64(all) {
			return bucket.upTo * 1e6
		}
	}
	return math.NaN()
}
