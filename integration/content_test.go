package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestContentIsNotRemembered: what a request with content asks for is in no key, however its length is told, or is not.
func TestContentIsNotRemembered(t *testing.T) {
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		query, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the content broke off after %q: %v", query, err)
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = fmt.Fprintf(w, "results for %q", query)
	}))
	t.Cleanup(upstream.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n conditional_cache {\n remember\n }\n request_body {\n max_size 1MB\n }\n reverse_proxy %s\n}",
		port, upstream.Listener.Addr()))
	for _, c := range protocolClients(t, port) {
		t.Run(c.protocol, func(t *testing.T) { searches(t, c, &asked) })
	}
}

func searches(t *testing.T, c *client, asked *atomic.Int64) {
	t.Helper()
	first := c.search(t, "q=A", "/"+c.protocol, `"x"`)
	if first.body != `results for "q=A"` {
		t.Fatalf("got %v", first)
	}
	tag, before := first.header.Get("Etag"), asked.Load()
	for _, content := range []string{"q=B", strings.Repeat("q=B&", 100_000)} {
		if got := c.search(t, content, "/"+c.protocol, tag); got.status != http.StatusOK || got.body != fmt.Sprintf("results for %q", content) {
			t.Errorf("other content got %d and %.40q", got.status, got.body)
		}
	}
	if got := c.search(t, "q=A", "/"+c.protocol, tag); got.status != http.StatusNotModified {
		t.Errorf("the same content got %d", got.status)
	}
	if got := asked.Load() - before; got != 3 {
		t.Errorf("the upstream was asked %d times for three requests with content", got)
	}
	// Without content it is remembered, as ever.
	plain := c.search(t, "", "/plain"+c.protocol, `"x"`)
	before = asked.Load()
	if got := c.search(t, "", "/plain"+c.protocol, plain.header.Get("Etag")); got.status != http.StatusNotModified || asked.Load() != before {
		t.Errorf("a request without content got %d, and the upstream was asked %d times", got.status, asked.Load()-before)
	}
}

// search is a GET with content, if it is not empty, whose length is not told.
func (c *client) search(t *testing.T, content, path, tag string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if content != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), -1
	}
	r.Host = c.host
	r.Header.Set("If-None-Match", tag)
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}
}

// lateEnd is a body without an octet, the end of which comes late.
type lateEnd struct{ after time.Duration }

func (e lateEnd) Read([]byte) (int, error) {
	time.Sleep(e.after)
	return 0, io.EOF
}

// Over HTTP/3 a request may have content until its stream has ended. One without content is asked again, though its end
// comes late: by then it is known.
func TestLateEndOfARequestWithoutContent(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	built := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"page.html", "file.bin"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(template), 0o600), os.Chtimes(path, built, built)); err != nil {
			t.Fatal(err)
		}
	}
	runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n conditional_cache\n root %s\n templates\n file_server\n}", port, dir))
	for _, c := range protocolClients(t, port) {
		if c.protocol != "HTTP/3.0" {
			continue
		}
		for _, after := range []time.Duration{0, 10 * time.Millisecond} {
			for path, fields := range map[string]http.Header{"/page.html": {"Range": {"bytes=12-15"}}, "/page.html?": {"Range": {"bytes=0-3"}}, "/file.bin": {"If-Modified-Since": {modified}}} {
				got := c.endsLate(t, path, after, fields)
				want := map[string]string{"/page.html": onlyParts[12:16], "/page.html?": onlyParts[:4], "/file.bin": template}[path]
				if got.body != want {
					t.Errorf("%s after %v: got %v, want %s", path, after, got, want)
				}
			}
		}
	}
}

// endsLate is a GET without content whose stream ends after a while.
func (c *client) endsLate(t *testing.T, path string, after time.Duration, fields http.Header) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, io.NopCloser(lateEnd{after}))
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header, r.ContentLength = c.host, fields.Clone(), -1
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}
}
