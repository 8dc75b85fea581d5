package exchange_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
)

// serviceWith is the service of the bare directive.
func serviceWith(tb testing.TB, tally *metrics.Tally) *exchange.Service {
	tb.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	tb.Cleanup(cancel)
	policy, err := new(config.Handler).Compile(ctx, 1<<30)
	if err != nil {
		tb.Fatal(err)
	}
	s := exchange.New(policy)
	s.Tally = tally
	return s
}

// serveOnce takes a request through the phases, as the root does.
func serveOnce(s *exchange.Service, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	x, _ := s.Arrive(r)
	defer x.Leave()
	x.Show(w)
	return x.Answer(next)
}

// unwritten is a client that wants nothing.
type unwritten struct{ header http.Header }

func (u *unwritten) Header() http.Header       { return u.header }
func (*unwritten) WriteHeader(int)             {}
func (*unwritten) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkCounted is a held 200 of 16 KiB, with metrics and without: they are to cost less than 2 %, and no allocation. Both are
// in one run, for what else the machine does.
func BenchmarkCounted(b *testing.B) {
	body := []byte(strings.Repeat("x", 16<<10))
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header()["Content-Type"] = []string{"text/html"}
		_, err := w.Write(body)
		return err
	})
	for name, tally := range map[string]*metrics.Tally{"metrics=no": nil, "metrics=yes": metrics.New()} {
		b.Run(name, func(b *testing.B) {
			s := serviceWith(b, tally)
			plain := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
			w := new(unwritten)
			b.ReportAllocs()
			for b.Loop() {
				w.header = make(http.Header)
				r := caddyhttp.PrepareRequest(plain, caddy.NewReplacer(), w, nil)
				if err := serveOnce(s, w, r, next); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
