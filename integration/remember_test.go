package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// counted is an upstream that counts what it is asked.
type counted struct {
	asked  atomic.Int64
	header atomic.Pointer[http.Header]
	page   atomic.Pointer[string]
	before atomic.Pointer[func(*http.Request)] // an answer; nil: nothing

	location atomic.Pointer[string] // of the answer to a write; nil: none
}

func newCounted(text string, fields ...string) *counted {
	c := new(counted)
	c.page.Store(&text)
	header := make(http.Header)
	for i := 0; i < len(fields); i += 2 {
		header.Add(fields[i], fields[i+1])
	}
	c.header.Store(&header)
	return c
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.asked.Add(1)
	if before := c.before.Load(); before != nil {
		(*before)(r)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if location := c.location.Load(); location != nil {
			w.Header().Set("Location", *location)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	maps.Copy(w.Header(), *c.header.Load())
	_, _ = io.WriteString(w, *c.page.Load())
}

// asks checks how often the upstream is asked while do runs.
func (c *counted) asks(t *testing.T, want int64, do func()) {
	t.Helper()
	before := c.asked.Load()
	do()
	if got := c.asked.Load() - before; got != want {
		t.Errorf("the upstream was asked %d times, want %d", got, want)
	}
}

const remembering = "conditional_cache {\n remember 1h\n}\nreverse_proxy {upstream}"

// TestAThousandQuestions: of 1,000 conditional requests for a page that does not change, two at most reach the
// upstream, over every version of HTTP.
func TestAThousandQuestions(t *testing.T) {
	upstream := newCounted("page", "Cache-Control", "public, max-age=60")
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n encode\n conditional_cache {\n  remember 1h\n  server_timing\n }\n reverse_proxy %s\n}", port, server.Listener.Addr()))
	for _, c := range protocolClients(t, port) {
		t.Run(c.protocol, func(t *testing.T) {
			upstream.asked.Store(0)
			late := askThousandTimes(t, c, "/"+c.protocol)
			if n := upstream.asked.Load(); n-late > 2 || late > 100 {
				t.Errorf("the upstream was asked %d times, %d of them for requests whose end was late", n, late)
			}
		})
	}
}

// askThousandTimes asks for a page, and whether it has changed, and returns how many of these requests have had no end in time:
// over HTTP/3 one is answered from memory if that is there within 20 ms, and on a busy machine it may be late.
func askThousandTimes(t *testing.T, c *client, path string) (late int64) {
	t.Helper()
	etag := c.get(t, path, nil).header.Get("Etag")
	var wg sync.WaitGroup
	var unclear atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range 125 {
				got, err := c.write(t.Context(), http.MethodGet, path, "", "If-None-Match", etag)
				if err != nil || got.status != http.StatusNotModified || got.header.Get("Etag") != etag || got.header.Get("Cache-Control") != "public, max-age=60" {
					t.Errorf("got %v, %v", got, err)
					return
				}
				if c.protocol == "HTTP/3.0" && strings.Contains(got.header.Get("Server-Timing"), `cc-mem;desc="miss: personal`) {
					unclear.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return unclear.Load()
}

// TestWhatReachesTheUpstreamEveryTime: nothing is remembered of what belongs to one user, or is not to be kept.
func TestWhatReachesTheUpstreamEveryTime(t *testing.T) {
	cases := []struct {
		name            string
		fields, request []string
	}{
		{"private", []string{"Cache-Control", "private, max-age=60"}, nil},
		{"no-store", []string{"Cache-Control", "no-store", "Etag", `"u"`}, nil},
		{"no-cache", []string{"Cache-Control", "no-cache"}, nil},
		{"a cookie is set", []string{"Set-Cookie", "a=1"}, nil},
		{"Vary: *", []string{"Vary", "*"}, nil},
		{"credentials", nil, []string{"Authorization", "Basic eDp5"}},
		{"a cookie", nil, []string{"Cookie", "id=1"}},
		{"private to CDNs", []string{"CDN-Cache-Control", "private"}, nil},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			upstream := newCounted("page", tt.fields...)
			c := noteSite(t, remembering, upstream)
			etag := c.must(t, http.StatusOK, http.MethodGet, "/", "", tt.request...).header.Get("Etag")
			if etag == "" {
				etag = `"none"`
			}
			upstream.asks(t, 20, func() {
				for range 20 {
					if _, err := c.write(t.Context(), http.MethodGet, "/", "", append(tt.request, "If-None-Match", etag)...); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// TestUsersDoNotMeet: two sessions of a page that varies on Cookie have a record each.
func TestUsersDoNotMeet(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Cookie")
		_, _ = fmt.Fprintf(w, "page of %s", r.Header.Get("Cookie"))
	})
	c := noteSite(t, remembering, upstream)
	tags := make(map[string]string)
	for _, user := range []string{"id=ada", "id=bob", ""} {
		tags[user] = c.must(t, http.StatusOK, http.MethodGet, "/", "", "Cookie", user).header.Get("Etag")
	}
	for user := range tags {
		for other, etag := range tags {
			want := http.StatusOK
			if user == other {
				want = http.StatusNotModified
			}
			c.must(t, want, http.MethodGet, "/", "", "Cookie", user, "If-None-Match", etag)
		}
	}
}

// TestWritesAreForgottenThroughTheProxy: a write, and what its answer names.
func TestWritesAreForgottenThroughTheProxy(t *testing.T) {
	upstream := newCounted("one")
	c := noteSite(t, remembering, upstream)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		etag := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
		upstream.asks(t, 0, func() { c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag) })
		text := "after " + method
		upstream.page.Store(&text)
		c.must(t, http.StatusNoContent, method, "/", "x")
		if got := c.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", etag); got.body != text {
			t.Errorf("after %s: %v", method, got)
		}
	}
}

// adaptedSite makes a configuration of a Caddyfile with one site.
func adaptedSite(t *testing.T, site string) []byte {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+globalOptions+"\n}\n"+site), nil)
	if err != nil {
		t.Fatal(err)
	}
	return adapted
}

// TestMemorySurvivesReloads: also one that fails, and one under load.
func TestMemorySurvivesReloads(t *testing.T) {
	upstream := newCounted("page")
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	port := freePort(t)
	site := func(more string) string {
		return fmt.Sprintf("http://localhost:%d {\n%s\n%s\n}", port, more, strings.ReplaceAll(remembering, "{upstream}", server.Listener.Addr().String()))
	}
	load := func(more string) error { return caddy.Load(adaptedSite(t, site(more)), true) }
	if err := load(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	c := plainClient(t, port)
	etag := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	remembered := func() {
		t.Helper()
		upstream.asks(t, 0, func() { c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag) })
	}
	remembered()
	if err := load("header X-New 1"); err != nil {
		t.Fatal(err)
	}
	remembered()
	// The handler is provisioned before the certificate that is not there is found missing.
	if err := load("}\nhttps://localhost:1 {\n tls /nowhere/cert.pem /nowhere/key.pem"); err == nil {
		t.Fatal("a configuration that cannot be loaded was loaded")
	}
	remembered()
	reloadUnderLoad(t, c, etag, load)
	remembered()
}

// reloadUnderLoad asks for a page while the configuration is loaded ten times.
func reloadUnderLoad(t *testing.T, c *client, etag string, load func(string) error) {
	t.Helper()
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				if got, err := c.write(t.Context(), http.MethodGet, "/", "", "If-None-Match", etag); err == nil && got.status != http.StatusNotModified {
					t.Errorf("got %v", got)
					return
				}
			}
		})
	}
	for i := range 10 {
		if err := load(fmt.Sprintf("header X-New %d", i)); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	wg.Wait()
}

// TestGraceThroughTheProxy: when the time is over one request asks, and others are answered meanwhile.
func TestGraceThroughTheProxy(t *testing.T) {
	upstream := newCounted("page")
	c := noteSite(t, "conditional_cache {\n remember 1s {\n  grace 1m\n }\n buffer {\n  max_delay off\n }\n}\nreverse_proxy {upstream}", upstream)
	etag := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	arrived, leave := make(chan struct{}, 100), make(chan struct{})
	wait := func(*http.Request) { arrived <- struct{}{}; <-leave }
	upstream.before.Store(&wait)
	ask := func() <-chan int {
		status := make(chan int, 1)
		go func() {
			got, err := c.write(t.Context(), http.MethodGet, "/", "", "If-None-Match", etag)
			if err != nil {
				t.Error(err)
			}
			status <- got.status
		}()
		return status
	}
	asker := untilAsked(t, ask, arrived)
	for range 50 {
		select {
		case status := <-ask():
			if status != http.StatusNotModified {
				t.Errorf("one who need not wait got %d", status)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a second request waits for the upstream")
		}
	}
	close(leave)
	if status := <-asker; status != http.StatusNotModified {
		t.Errorf("the one who asked got %d", status)
	}
	if n := len(arrived); n != 0 {
		t.Errorf("%d more requests have reached the upstream", n)
	}
}

// untilAsked asks again and again until one request reaches the upstream, and returns that one.
func untilAsked(t *testing.T, ask func() <-chan int, arrived <-chan struct{}) <-chan int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		answered := ask()
		select {
		case <-arrived:
			return answered
		case status := <-answered:
			if status != http.StatusNotModified {
				t.Fatalf("got %d", status)
			}
		}
	}
	t.Fatal("the time is never over")
	return nil
}

// TestUpstreamGone: with stale_if_error, who has the page keeps it while the upstream is down; who has not learns
// that it is.
func TestUpstreamGone(t *testing.T) {
	upstream := newCounted("page")
	server := httptest.NewServer(upstream)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n  remember 1s {\n   stale_if_error 1m\n  }\n }\n reverse_proxy %s\n}", port, server.Listener.Addr()))
	c := plainClient(t, port)
	etag := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	server.Close()
	for start := time.Now(); time.Since(start) < 1500*time.Millisecond; {
		got := c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag)
		if got.header.Get("Etag") != etag || got.header.Get("Age") == "" {
			t.Fatalf("got %v", got)
		}
	}
	c.must(t, http.StatusBadGateway, http.MethodGet, "/", "")
	c.must(t, http.StatusBadGateway, http.MethodGet, "/", "", "If-None-Match", `"another"`)
}

// TestFilesAreRemembered: file_server's own tags, of files that are streamed.
func TestFilesAreRemembered(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.bin")
	if err := os.WriteFile(file, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n root %s\n conditional_cache {\n  remember 1h\n }\n file_server\n}", port, dir))
	c := plainClient(t, port)
	etag := c.must(t, http.StatusOK, http.MethodGet, "/a.bin", "").header.Get("Etag")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	got := c.must(t, http.StatusNotModified, http.MethodGet, "/a.bin", "", "If-None-Match", etag)
	if got.header.Get("Etag") != etag {
		t.Errorf("got %v", got)
	}
	c.must(t, http.StatusNotFound, http.MethodGet, "/a.bin", "")
	c.must(t, http.StatusNotFound, http.MethodGet, "/a.bin", "", "If-None-Match", etag) // as it is known by now
}

// TestWritesThatClientsAbandonAreForgotten: the upstream has done what it was asked for, though the client has left.
func TestWritesThatClientsAbandonAreForgotten(t *testing.T) {
	upstream := newCounted("one")
	c := noteSite(t, remembering, upstream)
	etag := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	upstream.asks(t, 0, func() { c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag) })
	ctx, leave := context.WithCancel(t.Context())
	two := "two"
	var left atomic.Bool
	before := func(r *http.Request) {
		if r.Method == http.MethodPost {
			upstream.page.Store(&two)
			_, _ = io.Copy(io.Discard, r.Body)
			leave()
			select {
			case <-r.Context().Done(): // once the body is read, the server notices
			case <-time.After(10 * time.Second):
			}
			left.Store(true)
		}
	}
	upstream.before.Store(&before)
	if _, err := c.write(ctx, http.MethodPost, "/", "x"); err == nil {
		t.Fatal("the client did not leave")
	}
	eventually(t, "the proxy leaving", left.Load)
	time.Sleep(300 * time.Millisecond)
	got := c.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", etag)
	if got.body != "two" {
		t.Errorf("after an abandoned write: %v", got)
	}
}
