package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	inuse "github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
)

// proxied runs Caddy with conditional_cache before an upstream, and returns the site's URL. The
// directives come before reverse_proxy in the site block.
func proxied(t *testing.T, globals, directives string, upstream http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	port := freePort(t)
	runCaddyWith(t, globals, fmt.Sprintf("http://127.0.0.1:%d {\n%s\nreverse_proxy %s\n}", port, directives, server.Listener.Addr()))
	return fmt.Sprintf("http://127.0.0.1:%d/", port)
}

// An upstream that breaks off inside a held response has not been heard yet: the client gets an error
// that says so, by way of the site's error routes, and nothing of the response.
func TestAbortedUpstream(t *testing.T) {
	uri := proxied(t, "", `
		conditional_cache 1h
		handle_errors {
			respond "sorry: {err.status_code}"
		}`, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = io.WriteString(w, "the first half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, body := fetch(t, uri, nil)
	if resp.StatusCode != http.StatusBadGateway || body != "sorry: 502" {
		t.Errorf("got %d %q, want 502 and the site's error page", resp.StatusCode, body)
	}
	for _, name := range []string{"Set-Cookie", "Etag", "Cache-Control", "Expires"} {
		if lines := resp.Header[name]; lines != nil {
			t.Errorf("the error has %s: %q of the response", name, lines)
		}
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("without its CORS field a browser cannot read the error")
	}
}

// fetch gets a page over a connection of its own.
func fetch(t *testing.T, uri string, fields http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, uri, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, fields)
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(body), err)
	}
	return resp, string(body)
}

// A 304 that is known from the head ends the transfer of a long body, and nobody hears of it: this
// leans on how reverse_proxy takes a write error, which an update of Caddy may change.
func TestUnneededTransferEndsQuietly(t *testing.T) {
	const whole = 256 << 20
	log := filepath.Join(t.TempDir(), "caddy.log")
	var sent atomic.Int64
	ended := make(chan struct{})
	uri := proxied(t, "log {\n output file "+log+"\n level INFO\n}", "conditional_cache", func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		w.Header().Set("Etag", `"long"`)
		w.Header().Set("Content-Length", fmt.Sprint(whole))
		piece := make([]byte, 64<<10)
		for range whole / len(piece) {
			n, err := w.Write(piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	resp, _ := fetch(t, uri, http.Header{"If-None-Match": {`"long"`}})
	if resp.StatusCode != http.StatusNotModified {
		t.Fatalf("status %d, want 304", resp.StatusCode)
	}
	<-ended
	// What the sockets between take is the system's, some megabytes.
	if n := sent.Load(); n > whole/8 {
		t.Errorf("the upstream sent %d of %d bytes, of which none was needed", n, whole)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "reverse_proxy") || strings.Contains(line, `"level":"error"`) {
			t.Errorf("the log has: %s", line)
		}
	}
}

// Each event arrives before the next one is written, also through encode. Without max_delay a held one
// would never arrive, where the default would merely be late.
func TestServerSentEventsPass(t *testing.T) {
	next := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	uri := proxied(t, "", "encode\nconditional_cache {\n buffer {\n max_delay off\n }\n}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-ctx.Done():
				return
			}
		}
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for n := range 3 {
		for lines.Scan() && lines.Text() == "" { //nolint:revive // blank lines stand between events
		}
		if got := lines.Text(); got != fmt.Sprintf("data: %d", n) {
			t.Fatalf("event %d is %q", n, got)
		}
		next <- struct{}{}
	}
	if resp.Header.Get("Etag") != "" {
		t.Error("a stream of events has a tag")
	}
}

// An upgraded connection is no response: bytes go to and fro.
func TestWebSocketPasses(t *testing.T) {
	uri := proxied(t, "", "conditional_cache 1h", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	})
	conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(uri, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, error %v; want 101", resp, err)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := r.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("got %q, error %v", line, err)
	}
}

// However many responses wait at one time, the process holds max_total at most: what does not fit is
// streamed, whole and without a tag of ours.
func TestMemoryIsBounded(t *testing.T) {
	const clients, fit, maxTotal = 32, 3, 1 << 20 // three buffers of 256 KiB fit, and not a byte more
	body := strings.Repeat("x", 200<<10)
	rest := make(chan struct{})
	uri := proxied(t, "conditional_cache {\n max_total 1MiB\n}", "conditional_cache {\n buffer {\n max_delay off\n }\n}",
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, body[:len(body)-1])
			_ = http.NewResponseController(w).Flush()
			select {
			case <-rest: // all of them are half way
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, body[len(body)-1:])
		})
	var passing, tagged atomic.Int64
	var all sync.WaitGroup
	finish := sync.OnceFunc(func() { close(rest); all.Wait() })
	t.Cleanup(finish)
	ask := func() { askLong(t, uri, body, &passing, &tagged) }
	held := func() int64 {
		n := inuse.Budget.Held()
		if n > maxTotal {
			t.Errorf("%d bytes are held", n)
		}
		return n
	}
	all.Go(ask)
	eventually(t, "the first response to be held", func() bool { return held() > int64(len(body)) })
	for range clients - 1 {
		all.Go(ask)
	}
	eventually(t, "what does not fit to pass", func() bool { held(); return passing.Load() >= clients-fit })
	finish()
	if n := tagged.Load(); n < 1 || n > fit {
		t.Errorf("%d of %d responses were held, want one to %d", n, clients, fit)
	}
	eventually(t, "nothing to be held", func() bool { return held() == 0 })
}

// askLong gets a long page, and counts at its head whether it passes or was held to its end.
func askLong(t *testing.T, uri, body string, passing, tagged *atomic.Int64) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, uri, http.NoBody)
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.Header.Get("Etag") != "" {
		tagged.Add(1)
	} else {
		passing.Add(1)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body {
		t.Errorf("got %d bytes, want %d; %v", len(got), len(body), err)
	}
}

// Early hints arrive before the response is complete, and leave nothing on it.
func TestEarlyHintsPass(t *testing.T) {
	hinted := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	uri := proxied(t, "", "conditional_cache", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		select {
		case <-hinted:
		case <-ctx.Done():
		}
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "a page")
	})
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		if code != http.StatusEarlyHints || header.Get("Link") == "" {
			t.Errorf("got %d with %v", code, header)
		}
		close(hinted)
		return nil
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, uri, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Etag") == "" || resp.Header.Get("Link") != "" {
		t.Errorf("the response has %v, want a tag and nothing of the hints", resp.Header)
	}
}

// Trailers arrive, whether the upstream has announced them (and is streamed) or not (and is held).
func TestTrailersPass(t *testing.T) {
	for _, announced := range []bool{true, false} {
		t.Run(fmt.Sprintf("announced=%t", announced), func(t *testing.T) {
			uri := proxied(t, "", "conditional_cache", func(w http.ResponseWriter, _ *http.Request) {
				name := http.TrailerPrefix + "X-Sum"
				if announced {
					name = "X-Sum"
					w.Header().Set("Trailer", name)
				}
				_, _ = io.WriteString(w, "a page")
				_ = http.NewResponseController(w).Flush()
				w.Header().Set(name, "42")
			})
			resp, body := fetch(t, uri, nil)
			if body != "a page" || resp.Trailer.Get("X-Sum") != "42" {
				t.Errorf("got %q with trailers %v", body, resp.Trailer)
			}
			if tagged := resp.Header.Get("Etag") != ""; tagged == announced {
				t.Errorf("ETag %q", resp.Header.Get("Etag"))
			}
		})
	}
}

// What the header directive does at the end, it does to a 304 of ours as well.
func TestDeferredHeaderOnNotModified(t *testing.T) {
	uri := proxied(t, "", "header >X-Reason {http.conditional_cache.reason}\nconditional_cache", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a page")
	})
	resp, _ := fetch(t, uri, nil)
	if got := resp.Header.Get("X-Reason"); got != "no_condition" {
		t.Errorf("the 200 has the reason %q", got)
	}
	again, _ := fetch(t, uri, http.Header{"If-None-Match": {resp.Header.Get("Etag")}})
	if got := again.Header.Get("X-Reason"); again.StatusCode != http.StatusNotModified || got != "if_none_match" {
		t.Errorf("status %d with the reason %q", again.StatusCode, got)
	}
}
