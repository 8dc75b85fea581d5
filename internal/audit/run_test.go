package audit_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/audittest"
)

// timeout is one for a busy machine.
const timeout = time.Minute

// serve runs a handler on a port of its own, until the test ends.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// run looks at URLs, without a pause.
func run(t *testing.T, options audit.Options, urls ...string) *audit.Report {
	t.Helper()
	options.Pause, options.Timeout = -1, timeout
	return audittest.Look(t, options, urls...)
}

// runScript looks at a server.
func runScript(t *testing.T, s *audittest.Script) *audit.Report {
	t.Helper()
	server := serve(t, s.Handler())
	var options audit.Options
	if s.Replica != nil {
		options.Addresses = []string{addressOf(server), addressOf(serve(t, s.Replica.Handler()))}
	}
	var urls []string
	for _, path := range append([]string{}, s.Paths...) {
		urls = append(urls, server.URL+path)
	}
	if urls == nil {
		urls = []string{server.URL + "/"}
	}
	return run(t, options, urls...)
}

func addressOf(server *httptest.Server) string { return server.Listener.Addr().String() }

// names are those of all findings.
func names(r *audit.Report) (all []string) {
	for _, f := range r.Site {
		all = append(all, f.Kind.String())
	}
	for _, p := range r.Pages {
		for _, f := range p.Findings {
			all = append(all, f.Kind.String())
		}
	}
	slices.Sort(all)
	return all
}

// TestScripts: a server with one fault is named by it, and by nothing else.
func TestScripts(t *testing.T) {
	seen := make(map[audit.Kind]bool)
	for _, s := range audittest.Scripts() {
		seen[s.Kind] = true
		t.Run(s.Kind.String(), func(t *testing.T) {
			t.Parallel()
			checkScript(t, s)
		})
	}
	seen[audit.Unreachable] = true // TestUnreachable
	for _, kind := range audit.Kinds() {
		if !seen[kind] {
			t.Errorf("no server has %s", kind)
		}
	}
}

func checkScript(t *testing.T, s *audittest.Script) {
	t.Helper()
	want := []string{s.Kind.String()}
	for _, kind := range s.Also {
		want = append(want, kind.String())
	}
	slices.Sort(want)
	report := runScript(t, s)
	if got := names(report); !slices.Equal(got, want) {
		t.Errorf("found %s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
		for _, p := range report.Pages {
			for _, f := range p.Findings {
				t.Logf("%s: %s", f.Kind, f.Evidence)
			}
		}
	}
	if report.Good() != (s.Kind.Severity() == audit.Note) {
		t.Errorf("good is %v", report.Good())
	}
}

// TestGood: there is nothing to say of a server without a fault.
func TestGood(t *testing.T) {
	report := runScript(t, &audittest.Good)
	page := report.Pages[0]
	if len(page.Findings) != 0 || !page.Confirmed || page.Saved() == 0 || page.Lost() != 0 || !report.Good() {
		t.Errorf("%v: %+v", names(report), page)
	}
}

// TestUnreachable: nobody listens there.
func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	report := run(t, audit.Options{}, "http://"+listener.Addr().String())
	if got := names(report); !slices.Equal(got, []string{"unreachable"}) || report.Good() {
		t.Error(got)
	}
}

// TestRequestsAreBounded: no more requests than were said, all of them GET or HEAD, one after the other, and the figure
// of the report is right.
func TestRequestsAreBounded(t *testing.T) {
	var all, now, other atomic.Int64
	good := audittest.Good.Handler()
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Add(1)
		if now.Add(1) > 1 || r.Method != http.MethodGet && r.Method != http.MethodHead || r.ContentLength != 0 {
			other.Add(1)
		}
		defer now.Add(-1)
		if strings.HasPrefix(r.URL.Path, "/hop") && len(r.URL.Path) < len("/hop12345") {
			w.Header().Set("Location", r.URL.Path+"x")
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		good.ServeHTTP(w, r)
	}))
	page := run(t, audit.Options{}, server.URL+"/hop").Pages[0]
	if all.Load() != int64(audit.MaxRequests) || int64(page.Requests) != all.Load() || other.Load() != 0 {
		t.Errorf("%d requests, the report says %d, at most %d are allowed; %d were wrong", all.Load(), page.Requests, audit.MaxRequests, other.Load())
	}
	if len(page.Final) <= len(page.URL) {
		t.Errorf("the page is %s", page.Final)
	}
}

// TestConcurrencyIsBounded: as many URLs are looked at in one go as was said, and the report is in their order.
func TestConcurrencyIsBounded(t *testing.T) {
	var now, most atomic.Int64
	good := audittest.Good.Handler()
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m; m = most.Load() {
			most.CompareAndSwap(m, n)
		}
		good.ServeHTTP(w, r)
	}))
	var urls []string
	for c := 'a'; c < 'k'; c++ {
		urls = append(urls, server.URL+"/"+string(c))
	}
	report := run(t, audit.Options{Concurrency: 3}, urls...)
	for i, p := range report.Pages {
		if p.URL != urls[i] {
			t.Errorf("page %d is %s", i, p.URL)
		}
	}
	if most.Load() > 3 {
		t.Errorf("%d requests at one time", most.Load())
	}
}
