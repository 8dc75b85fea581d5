package integration

import (
	"context"
	"encoding/json"
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

	"github.com/conditionalcache/caddy-conditional-cache/soak/footing"
)

// keptNow is what the status says of encode_once.
type keptNow struct {
	Bytes, Entries, Hits, Misses, Evictions int64
	MaxBytes                                int64 `json:"max_bytes"`
}

func (a *admin) kept() (now keptNow) {
	a.t.Helper()
	code, text, _ := a.ask(http.MethodGet, "/conditional_cache", "")
	status := struct {
		Once *keptNow `json:"encode_once"`
	}{&now}
	if err := json.Unmarshal([]byte(text), &status); err != nil || code != http.StatusOK || status.Once == nil {
		a.t.Fatalf("%d, %v, %s", code, err, text)
	}
	return now
}

// onceAdmin is Caddy with its endpoint, in front of the pages of onceRows.
func onceAdmin(t *testing.T, sites string) (*admin, *client) {
	t.Helper()
	upstream := httptest.NewServer(onceUpstream())
	t.Cleanup(upstream.Close)
	a := runAdmin(t, "", strings.ReplaceAll(sites, "{upstream}", upstream.Listener.Addr().String()))
	c := plainClient(t, a.port)
	c.acceptEncoding = "gzip"
	return a, c
}

// onceReasons are requests, one after the other, and what becomes of them.
var onceReasons = []struct{ path, accept, why string }{
	{"/page", "gzip", "first_sight"},
	{"/page", "gzip", "coded"},
	{"/page", "gzip", "coded"},
	{"/page", "gzip", "coded"},
	{"/page", "identity", "accept"},
	{"/image", "gzip", "type"},
	{"/short", "gzip", "short"},
	{"/untransformed", "gzip", "no_transform"},
	{"/unstored", "gzip", "held_not"},
	{"/compressed", "gzip", "already_coded"},
	{"/tagged", "gzip", "held_not"},
	{"/events", "gzip", "held_not"},
	{"/large", "gzip", "large"},
	{"/missing", "gzip", ""},
}

// TestEncodeOnceIsSeen: the access log, the metrics, Cache-Status and the status say what became of each page and why, and a
// purge of everything leaves nothing.
func TestEncodeOnceIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	a, c := onceAdmin(t, `http://localhost:%d {
	log {
		output file `+path+`
	}
	encode gzip
	conditional_cache {
		encode_once gzip {
			max_bytes 1MiB
		}
		cache_status
		server_timing
	}
	reverse_proxy {upstream}
}`)
	before := a.metrics()
	if limit := before["encode_once_bytes_limit"]; limit != 1<<20 {
		t.Errorf("encode_once_bytes_limit: %v", limit)
	}
	c.acceptEncoding = ""
	var want []string
	for _, step := range onceReasons {
		got, err := c.write(t.Context(), http.MethodGet, step.path, "", "Accept-Encoding", step.accept)
		if err != nil {
			t.Fatal(err)
		}
		if why := codedWhy(got); why != step.why {
			t.Errorf("%s: Server-Timing says %q, want %q", step.path, why, step.why)
		}
		if status := got.header.Get("Cache-Status"); strings.Contains(status, "encode_once "+step.why+`"`) != (step.why != "") {
			t.Errorf("%s: Cache-Status: %s, want %q in it", step.path, status, step.why)
		}
		want = append(want, step.path+" "+step.why)
	}
	a.wantMore(before, totals{
		"encode_once_total reason=coded": 3, "encode_once_total reason=first_sight": 1, "encode_once_total reason=held_not": 3,
		"encode_once_total reason=short": 1, "encode_once_hits_total": 2, "encode_once_misses_total": 1, "encode_once_failures_total": 0,
		"encode_once_bytes_in_total": float64(2 * len(pageOf(httptest.NewRequest(http.MethodGet, "/page", nil)))),
		"encode_once_bytes":          float64(a.kept().Bytes),
	})
	wantLoggedCodings(t, path, want)
	if now := a.kept(); now.Entries != 1 || now.Bytes <= 0 || now.MaxBytes != 1<<20 {
		t.Errorf("it keeps %+v", now)
	}
	c.acceptEncoding = "gzip"
	a.purge(`{"all": true}`, `{"purged":["encode_once"]}`)
	if now := a.kept(); now.Entries != 0 || now.Bytes != 0 {
		t.Errorf("after a purge it keeps %+v", now)
	}
	if got := c.must(t, http.StatusOK, http.MethodGet, "/page", ""); codedWhy(got) != "first_sight" {
		t.Errorf("after a purge: %v", got)
	}
}

// wantLoggedCodings waits for the lines of an access log.
func wantLoggedCodings(t *testing.T, path string, want []string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(5 * time.Second); len(got) < len(want) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got = nil
		text, _ := os.ReadFile(path) // it comes with the first line
		for line := range strings.Lines(string(text)) {
			var entry struct {
				Request struct {
					URI string `json:"uri"`
				} `json:"request"`
				ConditionalCache struct {
					EncodeOnce string `json:"encode_once"`
				} `json:"conditional_cache"`
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			got = append(got, entry.Request.URI+" "+entry.ConditionalCache.EncodeOnce)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the access log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEncodeOnceInPlaces: wherever in a site its handler stands, pages are whole and compressed once from the second time on,
// by at most one handler; and the pages of error routes are left alone, as their status is none to compress.
func TestEncodeOnceInPlaces(t *testing.T) {
	const once = "conditional_cache {\n etag strong\n encode_once gzip\n server_timing\n buffer {\n max_delay 2s\n }\n }\n"
	const without = "conditional_cache {\n etag strong\n server_timing\n }\n"
	proxy := "reverse_proxy {upstream}\n"
	for name, directives := range map[string]string{
		"nested":             once + "handle {\n" + once + proxy + "}",
		"inside one without": without + "handle {\n" + once + proxy + "}",
		"siblings":           "handle /other* {\n" + once + proxy + "}\n handle {\n" + once + proxy + "}",
		"outside of encode":  "route {\n" + once + "encode gzip\n" + proxy + "}",
		"between":            "route {\n encode gzip\n header X-Early early\n" + once + "header >X-Late late\n" + proxy + "}",
		"errors":             "encode gzip\n" + once + "handle /gone* {\n error 404\n }\n" + proxy + "handle_errors {\n header Content-Type text/html\n respond \"" + strings.Repeat("no such page ", 100) + "\"\n }",
	} {
		t.Run(name, func(t *testing.T) {
			a, c := onceAdmin(t, "http://localhost:%d {\n"+directives+"\n}")
			before := a.metrics()
			var last answer
			for range 3 {
				last = c.must(t, http.StatusOK, http.MethodGet, "/page", "")
				text, err := decodedBody(last.header.Get("Content-Encoding"), last.body)
				if err != nil || text != pageOf(httptest.NewRequest(http.MethodGet, "/page", nil)) {
					t.Errorf("got %v, %v", last, err)
				}
			}
			// Outside of encode the tag is made of what is compressed already.
			suffixes := map[bool]int{true: 0, false: 1}[name == "outside of encode"]
			if last.header.Get("Content-Encoding") != "gzip" || last.header.Get("Vary") != "Accept-Encoding" || strings.Count(last.header.Get("Etag"), "-gzip") != suffixes {
				t.Errorf("the third time: %v", last)
			}
			if name != "outside of encode" { // there it has been compressed already
				a.wantMore(before, totals{"encode_once_misses_total": 1, "encode_once_hits_total": 1})
			}
			c.must(t, http.StatusNotModified, http.MethodGet, "/page", "", "If-None-Match", last.header.Get("Etag"))
			if name == "errors" {
				wantErrorPage(t, a, c)
			}
		})
	}
}

func wantErrorPage(t *testing.T, a *admin, c *client) {
	t.Helper()
	before := a.metrics()
	for range 3 {
		got := c.must(t, http.StatusNotFound, http.MethodGet, "/gone", "")
		if text, err := decodedBody(got.header.Get("Content-Encoding"), got.body); err != nil || !strings.HasPrefix(text, "no such page") {
			t.Errorf("got %v, %v", got, err)
		}
	}
	a.wantMore(before, totals{"encode_once_misses_total": 0, "encode_once_hits_total": 0, "encode_once_total reason=coded": 0})
}

// TestEncodeOnceOfWhatBreaksOff: what an upstream has not sent to its end is compressed for nobody, and what its client leaves
// is whole for the next one.
func TestEncodeOnceOfWhatBreaksOff(t *testing.T) {
	var breaks atomic.Bool
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := pageOf(r)
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Query().Has("length") {
			w.Header().Set("Content-Length", fmt.Sprint(len(page)))
		}
		if breaks.Load() {
			_, _ = io.WriteString(w, page[:len(page)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, page)
	})
	onceSite(t, "{etag}", upstream, func(t *testing.T, c *client, _ bool) {
		t.Helper()
		for _, path := range []string{pathOf(t), pathOf(t) + "&length"} {
			breaks.Store(true)
			for range 3 {
				wantBroken(t, c, path)
			}
			breaks.Store(false)
			_, coded := c.codedPage(t, path)
			breaks.Store(true)
			wantBroken(t, c, path) // it is known now
			breaks.Store(false)
			again := c.must(t, http.StatusOK, http.MethodGet, path, "")
			if text, err := decodedBody("gzip", again.body); again.body != coded.body || err != nil || !strings.Contains(text, "<p>A line") {
				t.Errorf("got %v, %v", again, err)
			}
		}
	})
}

func wantBroken(t *testing.T, c *client, path string) {
	t.Helper()
	if got, err := c.write(t.Context(), http.MethodGet, path, ""); err == nil && got.status == http.StatusOK {
		t.Errorf("of half a page came %v", got)
	}
}

// TestEncodeOnceClientLeaves: who leaves at any moment costs nobody anything, and leaves nothing behind.
func TestEncodeOnceClientLeaves(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat(pageOf(r), 50))
	})
	onceSite(t, "{etag}", upstream, func(t *testing.T, c *client, _ bool) {
		t.Helper()
		c.must(t, http.StatusOK, http.MethodGet, pathOf(t)+"&warm", "")
		before := footing.Take().Sparing(4) // of sixty requests that may leave something behind
		for n := range 20 {
			path := fmt.Sprint(pathOf(t), "&n=", n)
			for range 3 {
				ctx, leave := context.WithTimeout(t.Context(), time.Duration(n)*700*time.Microsecond)
				_, _ = c.write(ctx, http.MethodGet, path, "") // it fails, or not
				leave()
			}
			got := c.must(t, http.StatusOK, http.MethodGet, path, "")
			text, err := decodedBody(got.header.Get("Content-Encoding"), got.body)
			if want := pageOf(httptest.NewRequest(http.MethodGet, path, nil)); err != nil || text != strings.Repeat(want, 50) {
				t.Fatalf("after %d: got %v, %v", n, got, err)
			}
		}
		wantRegained(t, before)
	})
}
