package metrics_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// fixed is a store that only has figures.
type fixed struct {
	validators.Store
	name string
	now  validators.Stats
}

func (f fixed) Name() string            { return f.name }
func (f fixed) Stats() validators.Stats { return f.now }

func collector(stores ...validators.Store) *metrics.Collector {
	return &metrics.Collector{
		Coded: coding.All,
		Tally: metrics.New(), Held: func() (int64, int64) { return 5, 100 }, Stores: func() []validators.Store { return stores },
	}
}

// want compares the named metrics with what they are to be.
func want(t *testing.T, c *metrics.Collector, expected string, names ...string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := c.Register(registry); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = "caddy_conditional_cache_" + name
	}
	var lines []string
	for line := range strings.Lines(expected) {
		lines = append(lines, "caddy_conditional_cache_"+line)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(withHeads(registry, lines)), names...); err != nil {
		t.Error(err)
	}
}

// withHeads has the HELP and TYPE lines, which are not what is tested here.
func withHeads(from prometheus.Gatherer, lines []string) string {
	families, _ := from.Gather()
	var b strings.Builder
	for _, f := range families {
		of := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			name, _, _ := strings.Cut(line, " ")
			name, _, _ = strings.Cut(name, "{")
			return name != f.GetName()
		})
		if len(of) > 0 {
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %[1]s %[3]s\n%[4]s", f.GetName(), f.GetHelp(), strings.ToLower(f.GetType().String()), strings.Join(of, ""))
		}
	}
	return b.String()
}

func TestCount(t *testing.T) {
	c := collector()
	tally := c.Tally
	asks := metrics.Facts{Asks: true}
	asked := metrics.Facts{Asks: true, Asked: true, Returned: true}
	for _, of := range []struct {
		note  journal.Note
		facts metrics.Facts
	}{
		{journal.Note{Outcome: journal.Tagged, Reason: journal.NoCondition, ETag: `"a"`, NotRemembered: journal.Private}, asks},
		{journal.Note{Outcome: journal.Streamed, Reason: journal.MaxBody, CacheControl: journal.RowKept}, asks},
		{journal.Note{Outcome: journal.Tagged, Reason: journal.NoneMatched, ETag: `"b"`, Memory: journal.Miss}, asked},
		{journal.Note{Outcome: journal.NotModified, Reason: journal.IfNoneMatch, ETag: `"b"`}, asked},
		{journal.Note{Outcome: journal.NotModified, Reason: journal.Remembered, ETag: `"b"`}, asked},
		{journal.Note{Outcome: journal.NotModified, Reason: journal.Inner, ETag: `"b"`}, asked},
		{journal.Note{Outcome: journal.NotModified, Reason: journal.IfModifiedSince}, metrics.Facts{Asks: true, Asked: true}},
		{journal.Note{Outcome: journal.Guarded, Reason: journal.Matched, ETag: `"b"`}, metrics.Facts{}},
		{journal.Note{Outcome: journal.PreconditionFailed, Reason: journal.IfMatch, ETag: `"b"`}, metrics.Facts{}},
	} {
		tally.Count(&of.note, of.facts)
		tally.Handled(&of.note, 1000)
	}
	want(t, c, `responses_total{outcome="guarded",reason="matched"} 1
responses_total{outcome="not_modified",reason="if_modified_since"} 1
responses_total{outcome="not_modified",reason="if_none_match"} 1
responses_total{outcome="not_modified",reason="inner"} 1
responses_total{outcome="not_modified",reason="remembered"} 1
responses_total{outcome="precondition_failed",reason="if_match"} 1
responses_total{outcome="streamed",reason="max_body"} 1
responses_total{outcome="tagged",reason="no_condition"} 1
responses_total{outcome="tagged",reason="none_matched"} 1
memory_misses_total{reason="miss"} 1
not_remembered_total{reason="private"} 1
cache_control_total{reason="kept"} 1
conditional_requests_total 5
tags_returned_total 4
tags_sent_total 2
bytes_not_sent_total 3000
upstream_calls_saved_total 1
held_bytes 5
held_bytes_limit 100
`, "responses_total", "memory_misses_total", "not_remembered_total", "cache_control_total", "conditional_requests_total", "tags_returned_total",
		"tags_sent_total", "bytes_not_sent_total", "upstream_calls_saved_total", "held_bytes", "held_bytes_limit")
}

func TestTimes(t *testing.T) {
	c := collector()
	c.Tally.Hashed(time.Second/2, 10)
	c.Tally.Hashed(time.Second, 5)
	c.Tally.Held(2 * time.Millisecond)
	c.Tally.Waited(time.Second)
	c.Tally.StoreCalled("redis a:1/0", "load", time.Millisecond)
	want(t, c, "hash_seconds_total 1.5\nhash_bytes_total 15\n", "hash_seconds_total", "hash_bytes_total")
	registry := prometheus.NewRegistry()
	if err := c.Register(registry); err != nil {
		t.Fatal(err)
	}
	sums := make(map[string]float64)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h.GetSampleCount() == 1 {
				sums[strings.TrimPrefix(f.GetName(), "caddy_conditional_cache_")] = h.GetSampleSum()
			}
		}
	}
	if got, want := fmt.Sprint(sums), "map[guard_wait_seconds:1 held_seconds:0.002 store_call_seconds:0.001]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestStores: those of one name are one series, and what one of them does not know is not told.
func TestStores(t *testing.T) {
	c := collector(
		fixed{name: "memory", now: validators.Stats{Entries: 3, FirstSeen: 1, Hits: 10, Misses: 5, Evictions: 1, Available: true}},
		fixed{name: "memory", now: validators.Stats{Entries: 4, FirstSeen: -1, Hits: 1, Misses: 1, Errors: 2, Available: true}},
		fixed{name: "redis a:1/0", now: validators.Stats{Entries: -1, FirstSeen: -1, Errors: 7}},
	)
	want(t, c, `store_records{store="memory"} 7
store_hits_total{store="memory"} 11
store_hits_total{store="redis a:1/0"} 0
store_misses_total{store="memory"} 6
store_misses_total{store="redis a:1/0"} 0
store_evictions_total{store="memory"} 1
store_evictions_total{store="redis a:1/0"} 0
store_errors_total{store="memory"} 2
store_errors_total{store="redis a:1/0"} 7
store_up{store="memory"} 1
store_up{store="redis a:1/0"} 0
`, "store_records", "store_first_seen", "store_hits_total", "store_misses_total", "store_evictions_total", "store_errors_total", "store_up")
}

// TestManyRegistries: a collector is in many registries at a time, in each once, and all of them show the same.
func TestManyRegistries(t *testing.T) {
	c := collector()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			registry := prometheus.NewPedanticRegistry()
			var handlers sync.WaitGroup
			for range 8 {
				handlers.Go(func() {
					if err := c.Register(registry); err != nil {
						t.Error(err)
					}
					c.Tally.Count(&journal.Note{Outcome: journal.Streamed, Reason: journal.Head}, metrics.Facts{Asks: true})
					if _, err := registry.Gather(); err != nil {
						t.Error(err)
					}
				})
			}
			handlers.Wait()
		})
	}
	all.Wait()
	want(t, c, `responses_total{outcome="streamed",reason="head"} 64`+"\n", "responses_total")
}

// TestRegisterRefuses: what is wrong with a registry is told.
func TestRegisterRefuses(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "caddy_conditional_cache_held_bytes", Help: "somebody else's"}))
	if err := collector().Register(registry); err == nil {
		t.Error("two collectors have a metric of one name, and there is no error")
	}
}

// TestNil: without a tally nothing is counted.
func TestNil(*testing.T) {
	var none *metrics.Tally
	none.Count(new(journal.Note), metrics.Facts{})
	none.Handled(new(journal.Note), 1)
	none.Hashed(1, 1)
	none.Held(1)
	none.Waited(1)
	none.StoreCalled("a", "load", 1)
}

func TestCountDoesNotAllocate(t *testing.T) {
	tally := metrics.New()
	note := &journal.Note{Outcome: journal.Tagged, Reason: journal.NoCondition, ETag: `"a"`, Memory: journal.Miss}
	if n := testing.AllocsPerRun(100, func() {
		tally.Count(note, metrics.Facts{Asks: true, Asked: true})
		tally.Handled(note, 5)
		tally.Hashed(1, 1)
		tally.Held(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCount(b *testing.B) {
	tally := metrics.New()
	note := &journal.Note{Outcome: journal.Tagged, Reason: journal.NoCondition, ETag: `"a"`}
	b.ReportAllocs()
	for b.Loop() {
		tally.Count(note, metrics.Facts{Asks: true})
		tally.Handled(note, 0)
		tally.Hashed(1, 1)
		tally.Held(time.Millisecond)
	}
}
