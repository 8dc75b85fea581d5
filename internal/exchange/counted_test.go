package exchange_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// serviceOf is a bare handler's, that counts in these.
func serviceOf(tb testing.TB, tally *metrics.Tally, urls *top.Table) *exchange.Service {
	tb.Helper()
	under, err := plain()
	if err != nil {
		tb.Fatal(err)
	}
	compiled, err := new(config.Handler).Compile(under, 1<<28)
	if err != nil {
		tb.Fatal(err)
	}
	s := exchange.New(compiled)
	s.Tally, s.URLs = tally, urls
	return s
}

// through sends a request through a service, as a handler does.
func through(tb testing.TB, s *exchange.Service, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) {
	tb.Helper()
	x, reason := s.Arrive(caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)))
	if reason != journal.NoReason {
		tb.Fatal(reason)
	}
	defer x.Leave()
	if x.Recall(w) {
		return
	}
	x.Show(w)
	if err := x.Answer(next); err != nil {
		tb.Fatal(err)
	}
}

// dropping is a writer that goes nowhere.
type dropping struct{ header http.Header }

func (w *dropping) Header() http.Header         { return w.header }
func (w *dropping) Write(p []byte) (int, error) { return len(p), nil }
func (w *dropping) WriteHeader(int)             {}

// BenchmarkCounted: a held 200 of 4 KiB, by what is counted of it.
func BenchmarkCounted(b *testing.B) {
	body := strings.Repeat("x", 4<<10)
	next := sends(http.StatusOK, body, "Content-Type", "text/plain")
	for _, counted := range []struct {
		name  string
		tally *metrics.Tally
		urls  *top.Table
	}{{"nothing", nil, nil}, {"metrics", metrics.New(), nil}, {"all", metrics.New(), new(top.Table)}} {
		b.Run("counts="+counted.name, func(b *testing.B) {
			s := serviceOf(b, counted.tally, counted.urls)
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://www.example.com/a/page/of/some/length", http.NoBody)
			b.ReportAllocs()
			for b.Loop() {
				through(b, s, &dropping{make(http.Header, 8)}, r, next)
			}
		})
	}
}

// TestCountingDoesNotAllocate: a held 200 makes no more of it than without.
func TestCountingDoesNotAllocate(t *testing.T) {
	run := func(tally *metrics.Tally, urls *top.Table) float64 {
		s := serviceOf(t, tally, urls)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://www.example.com/page", http.NoBody)
		return testing.AllocsPerRun(500, func() { through(t, s, &dropping{make(http.Header, 8)}, r, sendsPage()) })
	}
	if without, with := run(nil, nil), run(metrics.New(), new(top.Table)); with > without {
		t.Errorf("%v allocations, and %v without", with, without)
	}
}

// TestCountsByURL: whose tag is made here is counted, by what became of it, and nothing else is.
func TestCountsByURL(t *testing.T) {
	urls := new(top.Table)
	s := serviceOf(t, nil, urls)
	ask := func(method, path, condition string, next caddyhttp.Handler) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "http://h.example"+path, http.NoBody)
		if condition != "" {
			r.Header.Set("If-None-Match", condition)
		}
		through(t, s, httptest.NewRecorder(), r, next)
	}
	text := func(body string) caddyhttp.Handler { return sends(http.StatusOK, body, "Content-Type", "text/plain") }
	for _, body := range []string{"one", "two", "three"} {
		ask(http.MethodGet, "/changes?"+body, staleTag, text(body))
		ask(http.MethodGet, "/theirs", staleTag, sends(http.StatusOK, body, "Etag", `"`+body+`"`))
		ask(http.MethodGet, "/none", "", sends(http.StatusOK, body, "Cache-Control", "no-store"))
		ask(http.MethodGet, "/gone", "", sends(http.StatusNotFound, body))
		ask(http.MethodHead, "/head", "", text(body))
		ask(http.MethodGet, "/stays", strongTag, sendsPage())
	}
	ask(http.MethodGet, "/changes", "*", text("three"))
	want := top.URL{URL: "h.example/changes", Tagged: 3, Changed: 2, Unmatched: 3, NotModified: 1}
	if got := urls.Restless(100); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestTimeOfHoldingIsCounted: of what was sent in the end, and of what was held in vain, which has kept its client waiting longest.
func TestTimeOfHoldingIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally := metrics.New()
		s := serviceOf(t, tally, nil)
		for _, pause := range []time.Duration{100 * time.Millisecond, time.Second} {
			through(t, s, httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), slowly(pause, "page"))
		}
		registry := prometheus.NewRegistry()
		collector := &metrics.Collector{Tally: tally, Coded: coding.All, Held: func() (int64, int64) { return 0, 0 }, Stores: func() []validators.Store { return nil }}
		if err := collector.Register(registry); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() != "caddy_conditional_cache_held_seconds" {
				continue
			}
			if h := family.GetMetric()[0].GetHistogram(); h.GetSampleCount() != 2 || math.Abs(h.GetSampleSum()-0.3) > 1e-9 { // max_delay is 200 ms
				t.Errorf("%d responses were held for %v s, want 2 for 0.3", h.GetSampleCount(), h.GetSampleSum())
			}
			return
		}
		t.Error("there is no such metric")
	})
}
