// Package bench measures what the handler costs: by itself, against a writer that goes nowhere, and as
// part of a running Caddy, next to the same site without it.
//
//	go test -run '^$' -bench . -benchmem ./bench
//
// Machines differ and are shared: compare rows of one run, by their ratio.
package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	conditionalcache "github.com/conditionalcache/caddy-conditional-cache"
)

var sizes = []struct {
	name  string
	bytes int
}{{"4KiB", 4 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}}

// nowhere is a response writer that keeps its header map and drops everything else.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) FlushError() error           { return nil }

// page answers with a body in pieces of 32 KiB, as reverse_proxy does.
func page(body []byte, fields http.Header) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		header := w.Header()
		maps.Copy(header, fields)
		header["Content-Type"] = []string{"text/html; charset=utf-8"}
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.WriteHeader(http.StatusOK)
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 32<<10)
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
}

// request is one as Caddy's server hands it to its handlers.
func request(b *testing.B, method string, fields map[string]string) *http.Request {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), method, "http://localhost/page", nil)
	for name, value := range fields {
		r.Header.Set(name, value)
	}
	return r
}

// prepared gives a request the context values of one pass through the server.
func prepared(r *http.Request) *http.Request {
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, http.Request{URL: r.URL})
	return r.WithContext(ctx)
}

func handler(b *testing.B) *conditionalcache.Handler {
	b.Helper()
	ctx, cancel := caddy.NewContext(caddy.ActiveContext())
	b.Cleanup(cancel)
	h := new(conditionalcache.Handler)
	if err := h.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	return h
}

// serve runs one kind of request again and again: bare, and through the handler.
func serve(b *testing.B, next caddyhttp.Handler, fields map[string]string) {
	b.Helper()
	serveMethod(b, http.MethodGet, next, fields)
}

func serveMethod(b *testing.B, method string, next caddyhttp.Handler, fields map[string]string) {
	b.Helper()
	h := handler(b)
	run := func(name string, once func(http.ResponseWriter, *http.Request) error) {
		b.Run("handler="+name, func(b *testing.B) {
			r := request(b, method, fields)
			b.ReportAllocs()
			for b.Loop() {
				w := &nowhere{header: make(http.Header, 8)}
				if err := once(w, prepared(r)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("none", func(w http.ResponseWriter, r *http.Request) error { return next.ServeHTTP(w, r) })
	run("conditional_cache", func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) })
}

// BenchmarkPassThrough: the upstream has a tag of its own, so its response streams.
func BenchmarkPassThrough(b *testing.B) {
	for _, size := range sizes {
		b.Run("size="+size.name, func(b *testing.B) {
			b.SetBytes(int64(size.bytes))
			serve(b, page(make([]byte, size.bytes), http.Header{"Etag": {`"upstream"`}}), nil)
		})
	}
}

// BenchmarkHeld: the response is held, hashed and sent with a tag.
func BenchmarkHeld(b *testing.B) {
	for _, size := range sizes {
		b.Run("size="+size.name, func(b *testing.B) {
			b.SetBytes(int64(size.bytes))
			serve(b, page(make([]byte, size.bytes), nil), nil)
		})
	}
}

// BenchmarkNotModified: a 304 to a tag of ours (the body is held and hashed), and to the upstream's own
// (the verdict is known at the head).
func BenchmarkNotModified(b *testing.B) {
	for _, size := range sizes {
		body := make([]byte, size.bytes)
		b.Run("tag=ours/size="+size.name, func(b *testing.B) {
			serve(b, page(body, nil), map[string]string{"If-None-Match": tagOf(b, page(body, nil))})
		})
		b.Run("tag=upstream/size="+size.name, func(b *testing.B) {
			next := tolerant{page(body, http.Header{"Etag": {`"upstream"`}})}
			serve(b, next, map[string]string{"If-None-Match": `"upstream"`})
		})
	}
}

// BenchmarkRange: the last KiB and six parts of 100 bytes, of a body that is held (the tag is ours), and of
// one that passes (the upstream's own), out of which the one part is cut and the six are put together.
func BenchmarkRange(b *testing.B) {
	for _, size := range sizes {
		for _, asked := range []struct{ name, field string }{
			{"1", "bytes=-1024"}, {"6", "bytes=0-99,200-299,400-499,600-699,800-899,-100"},
		} {
			fields := map[string]string{"Range": asked.field}
			body := make([]byte, size.bytes)
			b.Run("tag=ours/ranges="+asked.name+"/size="+size.name, func(b *testing.B) { serve(b, page(body, nil), fields) })
			b.Run("tag=upstream/ranges="+asked.name+"/size="+size.name, func(b *testing.B) {
				serve(b, tolerant{page(body, http.Header{"Etag": {`"upstream"`}})}, fields)
			})
		}
	}
}

// BenchmarkWrite: a PUT without a condition, one with a condition that is none of ours, and one that is guarded,
// as its If-Match names a tag of ours: the representation (4 KiB) is read with a GET and hashed first.
func BenchmarkWrite(b *testing.B) {
	get := page(make([]byte, 4<<10), nil)
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodGet {
			return get.ServeHTTP(w, r)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	for _, tt := range []struct{ name, tag string }{{"none", ""}, {"foreign", `"upstream"`}, {"ours", tagOf(b, get)}} {
		fields := map[string]string{}
		if tt.tag != "" {
			fields["If-Match"] = tt.tag
		}
		b.Run("if-match="+tt.name, func(b *testing.B) { serveMethod(b, http.MethodPut, next, fields) })
	}
}

// tolerant is a handler whose transfer may be ended early.
type tolerant struct{ caddyhttp.Handler }

func (t tolerant) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	_ = t.Handler.ServeHTTP(w, r)
	return nil
}

// tagOf is the tag that the handler gives a page.
func tagOf(b *testing.B, next caddyhttp.Handler) string {
	b.Helper()
	w := &nowhere{header: make(http.Header)}
	if err := handler(b).ServeHTTP(w, prepared(request(b, http.MethodGet, nil)), next); err != nil {
		b.Fatal(err)
	}
	if w.header.Get("Etag") == "" {
		b.Fatal("the page got no tag")
	}
	return w.header.Get("Etag")
}

// BenchmarkServer compares whole requests over a loopback connection to a running Caddy: a proxied page
// with and without the handler, and the 304.
func BenchmarkServer(b *testing.B) {
	for _, size := range sizes {
		body := bytes.Repeat([]byte("0123456789abcdef"), size.bytes/16)
		bare, tagged := startCaddy(b, body)
		b.Run("size="+size.name, func(b *testing.B) {
			b.Run("site=bare", func(b *testing.B) { get(b, bare, nil, http.StatusOK) })
			b.Run("site=conditional_cache", func(b *testing.B) { get(b, tagged, nil, http.StatusOK) })
			b.Run("site=conditional_cache_304", func(b *testing.B) {
				get(b, tagged, http.Header{"If-None-Match": {etagAt(b, tagged)}}, http.StatusNotModified)
			})
		})
	}
}

// startCaddy runs one Caddy with two sites before one upstream, and returns their URLs.
func startCaddy(b *testing.B, body []byte) (bare, tagged string) {
	b.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	b.Cleanup(upstream.Close)
	to, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	one, two := port(b), port(b)
	config := fmt.Sprintf(`{
	admin off
	persist_config off
	log {
		output discard
	}
}
http://127.0.0.1:%d {
	reverse_proxy %s
}
http://127.0.0.1:%d {
	conditional_cache
	reverse_proxy %s
}`, one, to.Host, two, to.Host)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = caddy.Stop() })
	return fmt.Sprintf("http://127.0.0.1:%d/", one), fmt.Sprintf("http://127.0.0.1:%d/", two)
}

func port(b *testing.B) int {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func get(b *testing.B, uri string, fields http.Header, want int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, uri, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header = fields.Clone()
		resp, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			b.Fatalf("status %d, want %d", resp.StatusCode, want)
		}
	}
}

func etagAt(b *testing.B, uri string) string {
	b.Helper()
	resp, err := http.Get(uri)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("Etag")
}

// TestMain keeps Caddy's files out of the home folder.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "conditional-cache-bench-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = os.Setenv("XDG_DATA_HOME", dir)
	_ = os.Setenv("XDG_CONFIG_HOME", dir)
	// Without a configuration Caddy logs at DEBUG, which no running server does.
	quiet := []byte(`{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"level":"ERROR"}}}}`)
	if err := caddy.Load(quiet, true); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
