package integration

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// recoding is an upstream that compresses its page anew in each answer, with the header that it is given the number of
// the answer for. It can be written to.
type recoding struct {
	page    atomic.Value // string
	answers atomic.Int64
	header  func(answer int64) gzip.Header
	coding  string // Content-Encoding; empty: the page is a file of type gzip
}

func (u *recoding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		text, _ := io.ReadAll(r.Body)
		u.page.Store(string(text))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/gzip")
	if u.coding != "" {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", u.coding)
		w.Header().Set("Vary", "Accept-Encoding")
	}
	writer := gzip.NewWriter(w)
	writer.Header = u.header(u.answers.Add(1))
	_, _ = io.WriteString(writer, u.page.Load().(string))
	_ = writer.Close()
}

// Headers that compressors write: Rack::Deflater the time, others a random name.
func timed(answer int64) gzip.Header {
	return gzip.Header{ModTime: time.Unix(1_700_000_000+answer, 0), OS: 3}
}

func named(answer int64) gzip.Header { return gzip.Header{Name: fmt.Sprint(answer), OS: 255} }

func unchanging(int64) gzip.Header { return gzip.Header{OS: 3} }

// A page is the same, though the upstream compresses it anew each time; under `strong` every octet counts, and so it does
// in a file that is gzip itself.
func TestRecodedPageIsConfirmed(t *testing.T) {
	for _, tt := range []struct {
		name, etag, coding string
		header             func(int64) gzip.Header
		accept             string
		confirmed, weak    bool
	}{
		{"a time", "auto", "gzip", timed, "gzip", true, true},
		{"a name", "auto", "gzip", named, "gzip", true, true},
		{"x-gzip", "auto", "x-gzip", named, "gzip", true, true},
		{"a client that accepts none", "auto", "gzip", timed, "identity", true, true},
		{"weak", "weak", "gzip", timed, "gzip", true, true},
		{"sha256", "auto {\n hash sha256\n }", "gzip", named, "gzip", true, true},
		{"a secret", "auto {\n secret s\n epoch e\n }", "gzip", timed, "gzip", true, true},
		{"under ignore", "auto {\n ignore csrf\n }", "gzip", timed, "gzip", true, true},
		{"strong", "strong", "gzip", timed, "gzip", false, false},
		{"coded twice", "auto", "gzip, gzip", timed, "gzip", false, false},
		{"a download", "auto", "", timed, "identity", false, false},
		{"a download, weak", "weak", "", named, "identity", false, true},
		{"one that stays", "auto", "gzip", unchanging, "gzip", true, false},
		{"a download that stays", "auto", "", unchanging, "identity", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := &recoding{header: tt.header, coding: tt.coding}
			u.page.Store(strings.Repeat("a page with a price of 7\n", 100))
			c := noteSite(t, "conditional_cache {\n etag "+tt.etag+"\n}\nreverse_proxy {upstream}", u)
			c.acceptEncoding = tt.accept
			status := func(etag string) int {
				return c.fetch(t, "/", "If-None-Match", etag).status
			}
			first := c.fetch(t, "/")
			etag := first.header.Get("Etag")
			if weak := strings.HasPrefix(etag, "W/"); weak != tt.weak || !strings.Contains(etag, `"cc1.`) {
				t.Errorf("the tag is %s, weak: %t", etag, tt.weak)
			}
			if ranges := first.header.Get("Accept-Ranges"); (ranges == "bytes") == tt.weak {
				t.Errorf("with the tag %s it says Accept-Ranges: %s", etag, ranges)
			}
			if got := status(etag); (got == http.StatusNotModified) != tt.confirmed {
				t.Errorf("loaded again: %d, confirmed: %t", got, tt.confirmed)
			}
			u.page.Store(strings.Repeat("a page with a price of 8\n", 100))
			if got := status(etag); got != http.StatusOK {
				t.Errorf("changed: %d", got)
			}
		})
	}
}

// fetch is a GET, the body of which is left as it is.
func (c *client) fetch(t *testing.T, path string, fields ...string) answer {
	t.Helper()
	got, err := c.write(t.Context(), http.MethodGet, path, "", fields...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A part of one answer does not fit to that of another one, and a write is judged by the content: what its header says is
// no update that could be lost.
func TestRecodedPageInPartsAndWrites(t *testing.T) {
	u := &recoding{header: timed, coding: "gzip"}
	u.page.Store(strings.Repeat("a page\n", 100))
	c := noteSite(t, "conditional_cache\nreverse_proxy {upstream}", u)
	c.acceptEncoding = "gzip"
	etag := c.fetch(t, "/").header.Get("Etag")
	for _, fields := range [][]string{{"Range", "bytes=0-9"}, {"Range", "bytes=0-9", "If-Range", strings.TrimPrefix(etag, "W/")}} {
		if got := c.fetch(t, "/", fields...); got.status != http.StatusOK {
			t.Errorf("%q: %v", fields, got)
		}
	}
	c.must(t, http.StatusNoContent, http.MethodPut, "/", "another page", "If-Match", strings.TrimPrefix(etag, "W/"))
	c.must(t, http.StatusPreconditionFailed, http.MethodPut, "/", "a third page", "If-Match", etag)
	if page := u.page.Load(); page != "another page" {
		t.Errorf("the page is %q", page)
	}
}

// Django's own compression, and the random name that it writes since 4.2. Now and then that one is empty.
func TestDjangoGzipIsConfirmed(t *testing.T) {
	pages := newPageFolder(t)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache\n reverse_proxy %s\n}", port, startDjango(t, pages)))
	c := plainClient(t, port)
	c.acceptEncoding = "gzip"
	for _, path := range []string{"/plain/gzip", "/plain/gzip/anew"} {
		first := c.get(t, path, nil)
		etag := first.header.Get("Etag")
		if first.header.Get("Content-Encoding") != "gzip" || !strings.Contains(etag, `"cc1.`) || first.body != pages.content() {
			t.Fatalf("%s: got %v", path, first)
		}
		lengths, tags := make(map[int]bool), make(map[string]bool)
		for range 300 {
			got := c.fetch(t, path)
			lengths[len(got.body)], tags[strings.TrimPrefix(got.header.Get("Etag"), "W/")] = true, true
			if got := c.get(t, path, http.Header{"If-None-Match": {etag}}); got.status != http.StatusNotModified {
				t.Fatalf("%s: loaded again: %v", path, got)
			}
		}
		if anew := strings.HasSuffix(path, "anew"); len(tags) != 1 || anew != (len(lengths) > 50) {
			t.Errorf("%s: %d tags, %d lengths", path, len(tags), len(lengths))
		}
		pages.change(t)
		if got := c.get(t, path, http.Header{"If-None-Match": {etag}}); got.status != http.StatusOK || got.body != pages.content() {
			t.Errorf("%s: changed: %v", path, got)
		}
	}
}
