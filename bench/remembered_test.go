package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	conditionalcache "github.com/conditionalcache/caddy-conditional-cache"
	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// BenchmarkRemembered: a 304 from memory, by the handler alone. Besides the fields' values it allocates what the
// placeholders of a request are asked by.
func BenchmarkRemembered(b *testing.B) {
	ctx, cancel := caddy.NewContext(caddy.ActiveContext())
	defer cancel()
	h := &conditionalcache.Handler{Remember: &conditionalcache.Remember{TTL: caddy.Duration(time.Hour)}, Block: b.Name()}
	if err := h.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = h.Cleanup() }()
	next := page([]byte("page"), http.Header{"Cache-Control": {"public, max-age=60"}})
	w := &counting{nowhere: received()}
	if err := h.ServeHTTP(w, prepared(w, request(b, http.MethodGet, nil)), next); err != nil {
		b.Fatal(err)
	}
	r := request(b, http.MethodGet, map[string]string{"If-None-Match": w.header.Get("Etag")})
	run := func(name string, serve func(w http.ResponseWriter, r *http.Request) error) {
		b.Run("answer="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &counting{nowhere: received()}
				if err := serve(w, prepared(w, r)); err != nil || w.status != http.StatusNotModified {
					b.Fatal(err, w.status)
				}
			}
		})
	}
	run("none", func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusNotModified)
		return nil
	})
	respond := &caddyhttp.StaticResponse{StatusCode: "304", Headers: remembered304(w.header)}
	run("respond", func(w http.ResponseWriter, r *http.Request) error { return respond.ServeHTTP(w, r, nil) })
	run("remembered", func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) })
}

// counting is nowhere, with the status.
type counting struct {
	*nowhere
	status int
}

func (w *counting) WriteHeader(status int) { w.status = status }

// remembered304 are the fields of the 304 that a remembered 200 is answered with.
func remembered304(header http.Header) http.Header {
	return http.Header{
		"Etag": header["Etag"], "Cache-Control": header["Cache-Control"], "Age": {"1"}, "Date": {"Tue, 14 Nov 2023 22:13:20 GMT"},
	}
}

// BenchmarkRememberedServer compares the CPU time that a Caddy of its own takes for a remembered 304 with what it
// takes for `respond 304` with the same fields, in pairs of batches that take turns, with eight clients each. The
// metrics are the medians of the pairs.
//
//	go test -run '^$' -bench RememberedServer -benchtime 1x ./bench
func BenchmarkRememberedServer(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("reads CPU times from /proc")
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = io.WriteString(w, strings.Repeat("page ", 1000))
	}))
	defer upstream.Close()
	respondPort, rememberPort := port(b), port(b)
	etag := tagBehind(b, upstream.Listener.Addr().String())
	pid := runServer(b, map[string]any{
		"respond": siteOn(respondPort, map[string]any{
			"handler": "static_response", "status_code": 304,
			"headers": remembered304(http.Header{"Etag": {etag}, "Cache-Control": {"public, max-age=60"}}),
		}, rig.ProxyTo(upstream.Listener.Addr().String())), // which it never comes to, as with the other one
		"remember": siteOn(rememberPort,
			map[string]any{"handler": "conditional_cache", "remember": map[string]any{"ttl": "1h"}},
			rig.ProxyTo(upstream.Listener.Addr().String())),
	})
	const clients, batch, pairs = 8, 2000, 151
	respond, remember := newCallers(b, clients, respondPort, etag), newCallers(b, clients, rememberPort, etag)
	remember[0].first(b)
	var ratios, ours, theirs []float64
	for b.Loop() {
		for range pairs {
			without := cpuOf(b, pid, func() { batchOf(b, respond, batch) })
			with := cpuOf(b, pid, func() { batchOf(b, remember, batch) })
			ratios = append(ratios, float64(with)/float64(without))
			ours = append(ours, float64(with)/batch/1e3)
			theirs = append(theirs, float64(without)/batch/1e3)
		}
	}
	b.ReportMetric(rig.Median(ratios), "ratio")
	b.ReportMetric(rig.Median(ours), "us-cpu/304")
	b.ReportMetric(rig.Median(theirs), "us-cpu/respond")
}

// BenchmarkRememberedRoute is the same without the network: one route of a running Caddy's server, from its
// ServeHTTP on.
func BenchmarkRememberedRoute(b *testing.B) {
	const etag = `"upstream"`
	fields := remembered304(http.Header{"Etag": {etag}, "Cache-Control": {"public, max-age=60"}})
	loadConfig(b, map[string]any{
		"respond": siteOn(port(b),
			map[string]any{"handler": "static_response", "status_code": 304, "headers": fields},
			map[string]any{"handler": "static_response", "body": "page", "headers": fields}),
		"remember": siteOn(port(b),
			map[string]any{"handler": "conditional_cache", "remember": map[string]any{"ttl": "1h"}},
			map[string]any{"handler": "static_response", "body": "page", "headers": fields}),
	})
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		b.Fatal(err)
	}
	servers := app.(*caddyhttp.App).Servers
	servers["remember"].ServeHTTP(&nowhere{header: make(http.Header)}, request(b, http.MethodGet, nil))
	for _, name := range []string{"respond", "remember"} {
		b.Run("route="+name, func(b *testing.B) {
			r := request(b, http.MethodGet, map[string]string{"If-None-Match": etag})
			b.ReportAllocs()
			for b.Loop() {
				w := &counting{nowhere: &nowhere{header: make(http.Header, 8)}}
				if servers[name].ServeHTTP(w, r); w.status != http.StatusNotModified {
					b.Fatal(w.status)
				}
			}
		})
	}
}

// quietConfig is a configuration of servers only.
func quietConfig(b *testing.B, servers map[string]any) []byte {
	b.Helper()
	config, err := json.Marshal(map[string]any{
		"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}},
		"apps":    map[string]any{"http": map[string]any{"servers": servers}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return config
}

func loadConfig(b *testing.B, servers map[string]any) {
	b.Helper()
	if err := caddy.Load(quietConfig(b, servers), true); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = caddy.Stop() })
}

func siteOn(port int, handlers ...map[string]any) map[string]any {
	return map[string]any{
		"listen": []string{fmt.Sprintf("127.0.0.1:%d", port)},
		"routes": []map[string]any{{"handle": handlers}},
	}
}

// runServer builds Caddy with this module and runs it until the benchmark ends.
func runServer(b *testing.B, servers map[string]any) (pid int) {
	b.Helper()
	dir := b.TempDir()
	binary := filepath.Join(dir, "caddy")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/caddy").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	path := filepath.Join(dir, "caddy.json")
	if err := os.WriteFile(path, quietConfig(b, servers), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--config", path)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if b.Failed() {
			b.Log(log.String())
		}
	})
	return cmd.Process.Pid
}

// tagBehind is the tag that a page of the upstream gets.
func tagBehind(b *testing.B, addr string) string {
	b.Helper()
	resp, err := http.Get("http://" + addr)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return tagOf(b, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		_, err := w.Write(body)
		return err
	}))
}

// caller sends conditional requests over one connection, without the costs of an HTTP client.
type caller struct {
	conn    net.Conn
	r       *bufio.Reader
	host    string
	request []byte
}

func newCaller(b *testing.B, port int, etag string) *caller {
	b.Helper()
	host := fmt.Sprintf("127.0.0.1:%d", port)
	var conn net.Conn
	var err error
	for range 200 {
		if conn, err = net.Dial("tcp", host); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // another process, that has only just been started
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &caller{
		conn: conn, r: bufio.NewReader(conn), host: host,
		request: fmt.Appendf(nil, "GET /page HTTP/1.1\r\nHost: %s\r\nIf-None-Match: %s\r\n\r\n", host, etag),
	}
}

func newCallers(b *testing.B, n, port int, etag string) (all []*caller) {
	b.Helper()
	for range n {
		all = append(all, newCaller(b, port, etag))
	}
	return all
}

// batchOf lets callers send n requests in all, at the same time: a server that has something to do is not measured
// waking up.
func batchOf(b *testing.B, callers []*caller, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for _, c := range callers {
		wg.Go(func() { c.batch(b, n/len(callers)) })
	}
	wg.Wait()
}

// first gets the page, so that it is remembered.
func (c *caller) first(b *testing.B) {
	b.Helper()
	if _, err := fmt.Fprintf(c.conn, "GET /page HTTP/1.1\r\nHost: %s\r\n\r\n", c.host); err != nil {
		b.Fatal(err)
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatal(resp, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
}

// batch sends n requests, one after the other, and reads their answers.
func (c *caller) batch(b *testing.B, n int) {
	b.Helper()
	for range n {
		if _, err := c.conn.Write(c.request); err != nil {
			b.Fatal(err)
		}
		line, err := c.r.ReadSlice('\n')
		if err != nil || !bytes.Contains(line, []byte(" 304 ")) {
			b.Fatalf("%s, %v", line, err)
		}
		for len(line) > 2 {
			if line, err = c.r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// cpuOf is the CPU time of a process while do runs, in nanoseconds.
func cpuOf(b *testing.B, pid int, do func()) int64 {
	b.Helper()
	before, err := rig.CPUTime(pid)
	if err != nil {
		b.Fatal(err)
	}
	do()
	after, err := rig.CPUTime(pid)
	if err != nil {
		b.Fatal(err)
	}
	return int64(after - before)
}
