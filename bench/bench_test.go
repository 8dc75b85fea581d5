package main

// These benchmarks measure what the handler costs: by itself, against a writer that goes nowhere, and as part of a
// running Caddy, next to the same site without it.
//
//	go test -run '^$' -bench . -benchmem ./bench
//
// Machines differ and are shared: compare rows of one run, by their difference to `none` or their ratio.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

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

// received is a response as Caddy's server hands it to its handlers: its own name is in the header already.
func received() *nowhere {
	header := make(http.Header, 8)
	header["Server"] = serverField
	return &nowhere{header}
}

// serverField is shared by all responses, as in Caddy.
var serverField = []string{caddyhttp.ServerHeader}

// request is one as net/http hands it to Caddy's server.
func request(b *testing.B, method string, fields map[string]string) *http.Request {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), method, "http://localhost/page", nil)
	for name, value := range fields {
		r.Header.Set(name, value)
	}
	return r
}

// anyServer is the server that requests come to. It has no settings: none of them matters to the handler.
var anyServer = new(caddyhttp.Server)

// prepared does for one pass through the server what the server does before it asks its handlers. That is paid with
// the handler and without it: placeholders, request variables and the original request are there either way.
func prepared(w http.ResponseWriter, r *http.Request) *http.Request {
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, anyServer)
}

func handler(b *testing.B) *conditionalcache.Handler {
	b.Helper()
	return provisioned(b, new(conditionalcache.Handler))
}

func provisioned(b *testing.B, h *conditionalcache.Handler) *conditionalcache.Handler {
	b.Helper()
	ctx, cancel := caddy.NewContext(caddy.ActiveContext())
	b.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	return h
}

// serve runs one kind of request again and again: bare, and through a handler without options.
func serve(b *testing.B, next caddyhttp.Handler, fields map[string]string) {
	b.Helper()
	serveBy(b, handler(b), request(b, http.MethodGet, fields), next)
}

// serveBy is serve for other handlers and methods.
func serveBy(b *testing.B, h *conditionalcache.Handler, r *http.Request, next caddyhttp.Handler) {
	b.Helper()
	compare(b, func(handle handling) error {
		w := received()
		return handle(w, prepared(w, r))
	}, h, next)
}

// handling is what is measured: the next handler alone, or through ours.
type handling func(http.ResponseWriter, *http.Request) error

// compare lets requests arrive again and again for both.
func compare(b *testing.B, arrives func(handling) error, h *conditionalcache.Handler, next caddyhttp.Handler) {
	b.Helper()
	run := func(name string, handle handling) {
		b.Run("handler="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := arrives(handle); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("none", next.ServeHTTP)
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

// BenchmarkETagOff: the upstream has no tag, and none is to be made, so its response streams.
func BenchmarkETagOff(b *testing.B) {
	for _, size := range sizes {
		b.Run("size="+size.name, func(b *testing.B) {
			b.SetBytes(int64(size.bytes))
			h := provisioned(b, &conditionalcache.Handler{ETag: &conditionalcache.ETag{Mode: "off"}})
			serveBy(b, h, request(b, http.MethodGet, nil), page(make([]byte, size.bytes), nil))
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

// BenchmarkDerived: a 304 to a tag of ours before a next handler that derives contexts from the request's. What that
// costs depends on what the handler has put in the place of the client's context. As in net/http's server, each
// request has a context of its own that ends with it: the first child of a context costs more than those after it,
// and with one context for all requests nobody would pay for it.
func BenchmarkDerived(b *testing.B) {
	inner := page(make([]byte, 4<<10), nil)
	r := request(b, http.MethodGet, map[string]string{"If-None-Match": tagOf(b, inner)})
	arrives := func(handle handling) error {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		w := received()
		return handle(w, prepared(w, r.WithContext(ctx)))
	}
	for _, next := range []struct {
		name    string
		handler caddyhttp.Handler
	}{{"none", inner}, {"reverse_proxy", derivesAsProxy(inner)}, {"two", derivesTwo(inner)}} {
		b.Run("tag=ours/size=4KiB/derives="+next.name, func(b *testing.B) { compare(b, arrives, handler(b), next.handler) })
	}
}

// derivesAsProxy derives what reverse_proxy of Caddy v2.11.9 and its transport do: a context that says where to dial, one with
// a trace for 1xx, and one that can be cancelled, which the transport waits for and ends with the body.
func derivesAsProxy(next caddyhttp.Handler) caddyhttp.Handler {
	type dialKey struct{}
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		ctx := context.WithValue(r.Context(), dialKey{}, "127.0.0.1:80")
		trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil }}
		ctx, cancel := context.WithCancelCause(httptrace.WithClientTrace(ctx, trace))
		defer cancel(nil)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
			return next.ServeHTTP(w, r.WithContext(ctx))
		}
	})
}

// derivesTwo derives what modules that set deadlines of their own do: a context that can be cancelled, one with a
// timeout, and something to do at its end.
func derivesTwo(next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		_, cancel := context.WithCancel(r.Context())
		defer cancel()
		ctx, end := context.WithTimeout(r.Context(), time.Minute)
		defer end()
		stop := context.AfterFunc(r.Context(), func() {})
		defer stop()
		return next.ServeHTTP(w, r.WithContext(ctx))
	})
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
		b.Run("if-match="+tt.name, func(b *testing.B) {
			serveBy(b, handler(b), request(b, http.MethodPut, fields), next)
		})
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
	w := received()
	if err := handler(b).ServeHTTP(w, prepared(w, request(b, http.MethodGet, nil)), next); err != nil {
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
		bare, tagged := runSites(b, body)
		b.Run("size="+size.name, func(b *testing.B) {
			b.Run("site=bare", func(b *testing.B) { get(b, bare, nil, http.StatusOK) })
			b.Run("site=conditional_cache", func(b *testing.B) { get(b, tagged, nil, http.StatusOK) })
			b.Run("site=conditional_cache_304", func(b *testing.B) {
				get(b, tagged, http.Header{"If-None-Match": {etagAt(b, tagged)}}, http.StatusNotModified)
			})
		})
	}
}

// runSites runs one Caddy with two sites before one upstream, and returns their URLs.
func runSites(b *testing.B, body []byte) (bare, tagged string) {
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
