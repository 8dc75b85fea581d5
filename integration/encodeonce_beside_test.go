package integration

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// onceSetups are the ways in which encode_once can stand beside encode and make tags.
var onceSetups = []struct {
	name, etag, outside string
	suffixed            bool // tags of compressed bytes have the coding behind them
}{
	{"auto", "auto", "encode zstd gzip", false},
	{"auto without encode", "auto", "", false},
	{"strong", "strong", "encode zstd gzip", true},
	{"strong without encode", "strong", "", true},
}

// onceSite is a site with encode_once and these directives, for each setup and each version of HTTP: {etag} among them is
// that of the setup, and {guard} is guard_writes where that may be. Without {etag} there are only the setups with auto.
func onceSite(t *testing.T, directives string, upstream http.Handler, each func(t *testing.T, c *client, suffixed bool)) {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	for _, s := range onceSetups {
		guard := ""
		if s.suffixed {
			guard = "guard_writes"
		}
		if s.suffixed && !strings.Contains(directives, "{etag}") {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n %s\n conditional_cache {\n encode_once zstd gzip\n server_timing\n buffer {\n max_delay 1s\n }\n %s\n }\n reverse_proxy %s\n}",
				port, s.outside, strings.NewReplacer("{etag}", "etag "+s.etag, "{guard}", guard).Replace(directives), server.Listener.Addr()))
			for _, c := range protocolClients(t, port) {
				t.Run(c.protocol, func(t *testing.T) {
					c.acceptEncoding = "gzip"
					each(t, c, s.suffixed)
				})
			}
		})
	}
}

// codedWhy is the word that says what became of encode_once.
func codedWhy(a answer) string {
	if m := regexp.MustCompile(`cc-enc;desc="([a-z_]+)"`).FindStringSubmatch(a.header.Get("Server-Timing")); m != nil {
		return m[1]
	}
	return ""
}

// codedPage asks until a page is known, which it is the second time, and returns the first answer and the last.
func (c *client) codedPage(t *testing.T, path string) (first, coded answer) {
	t.Helper()
	first = c.must(t, http.StatusOK, http.MethodGet, path, "")
	coded = c.must(t, http.StatusOK, http.MethodGet, path, "")
	if a, b := codedWhy(first), codedWhy(coded); a != "first_sight" || b != "coded" {
		t.Errorf("%s: first %q, then %q", path, a, b)
	}
	if coded.header.Get("Content-Encoding") != c.acceptEncoding {
		t.Errorf("%s: got %v", path, coded)
	}
	return first, coded
}

// pathOf is one that no other client of this run has.
func pathOf(t *testing.T) string {
	t.Helper()
	return "/page?of=" + strings.ReplaceAll(t.Name(), " ", "")
}

// TestEncodeOnceHead: under `head get` the fields of HEAD are those of GET, also where HEAD is what comes the second time.
func TestEncodeOnceHead(t *testing.T) {
	onceSite(t, "{etag}\n head get", http.HandlerFunc(withFields()), func(t *testing.T, c *client, _ bool) {
		t.Helper()
		path := pathOf(t)
		c.must(t, http.StatusOK, http.MethodHead, path, "")
		head := c.must(t, http.StatusOK, http.MethodHead, path, "")
		get := c.must(t, http.StatusOK, http.MethodGet, path, "")
		for _, name := range []string{"Content-Encoding", "Content-Length", "Content-Type", "Etag", "Vary", "Accept-Ranges", "Server-Timing"} {
			if a, b := fmt.Sprint(head.header[name]), fmt.Sprint(get.header[name]); a != b {
				t.Errorf("%s of HEAD is %s, of GET %s", name, a, b)
			}
		}
		if codedWhy(head) != "coded" || head.body != "" || head.header.Get("Content-Length") != fmt.Sprint(len(get.body)) {
			t.Errorf("HEAD: got %v", head)
		}
	})
}

// TestEncodeOnceConditions: a client that stored the page before its second time or later has its 304, continues no
// download with the tag of other bytes, and may write if what it has read is current.
func TestEncodeOnceConditions(t *testing.T) {
	n := &notesByPath{}
	onceSite(t, "{etag}\n {guard}", n, func(t *testing.T, c *client, suffixed bool) {
		t.Helper()
		path := pathOf(t)
		first, coded := c.codedPage(t, path)
		plain, _ := decodedBody("gzip", coded.body)
		before, now := first.header.Get("Etag"), coded.header.Get("Etag")
		if strings.HasSuffix(now, `-gzip"`) != suffixed || strings.HasPrefix(now, "W/") == suffixed {
			t.Errorf("the tag is %s", now)
		}
		for _, tag := range []string{before, now} {
			got := c.must(t, http.StatusNotModified, http.MethodGet, path, "", "If-None-Match", tag)
			if got.header.Get("Etag") != tag || got.header.Get("Vary") != coded.header.Get("Vary") || got.header.Get("Content-Encoding") != "" {
				t.Errorf("If-None-Match: %s: got %v", tag, got)
			}
		}
		whole := c.must(t, http.StatusOK, http.MethodGet, path, "", "Range", "bytes=10-99", "If-Range", now)
		if text, err := decodedBody(whole.header.Get("Content-Encoding"), whole.body); text != plain || err != nil {
			t.Errorf("If-Range: got %v", whole)
		}
		c.acceptEncoding = "identity"
		part := c.must(t, http.StatusPartialContent, http.MethodGet, path, "", "Range", "bytes=10-99")
		if c.acceptEncoding = "gzip"; part.body != plain[10:100] || part.header.Get("Content-Encoding") != "" {
			t.Errorf("Range: got %v", part)
		}
		if !suffixed {
			return // a weak tag names nothing to If-Match
		}
		c.must(t, http.StatusOK, http.MethodGet, path, "", "If-Match", now)
		c.must(t, http.StatusPreconditionFailed, http.MethodGet, path, "", "If-Match", `"cc1.00000000000000000000000000000000-gzip"`)
		c.must(t, http.StatusNoContent, http.MethodPut, path, strings.Repeat("another page of "+path+"\n", 100), "If-Match", now)
		c.must(t, http.StatusPreconditionFailed, http.MethodPut, path, "a lost update", "If-Match", now)
		if _, after := c.codedPage(t, path); after.header.Get("Etag") == now {
			t.Error("the page has changed, and its tag has not")
		}
	})
}

// notesByPath are pages that can be written to.
type notesByPath struct {
	texts atomic.Pointer[map[string]string]
}

func (n *notesByPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	texts := n.texts.Load()
	if r.Method == http.MethodPut {
		body, _ := io.ReadAll(r.Body)
		n.texts.Store(&map[string]string{r.URL.RequestURI(): string(body)}) // one client writes at a time
		w.WriteHeader(http.StatusNoContent)
		return
	}
	text := pageOf(r)
	if texts != nil && (*texts)[r.URL.RequestURI()] != "" {
		text = (*texts)[r.URL.RequestURI()]
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, text)
}

// TestEncodeOnceRemember: a 304 from memory has the tag and the Vary of one that the upstream was asked for.
func TestEncodeOnceRemember(t *testing.T) {
	var asked atomic.Int64
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		withFields("Cache-Control", "public, max-age=60")(w, r)
	})
	onceSite(t, "{etag}\n remember 1h", upstream, func(t *testing.T, c *client, _ bool) {
		t.Helper()
		path := pathOf(t)
		first, coded := c.codedPage(t, path)
		for _, tag := range []string{first.header.Get("Etag"), coded.header.Get("Etag")} {
			var recalled answer
			for try := 0; ; try++ {
				before := asked.Load()
				recalled = c.must(t, http.StatusNotModified, http.MethodGet, path, "", "If-None-Match", tag)
				if asked.Load() == before {
					break
				}
				if try == 20 {
					t.Fatalf("%s is never answered from memory: %v", tag, recalled)
				}
			}
			if recalled.header.Get("Etag") != tag || recalled.header.Get("Vary") != coded.header.Get("Vary") {
				t.Errorf("from memory: %v, want the tag %s and Vary: %s", recalled, tag, coded.header.Get("Vary"))
			}
		}
	})
}

// TestEncodeOnceIgnore: a page with another token is another content, which is not compressed here, and no change.
func TestEncodeOnceIgnore(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		token := rand.Text()
		if r.URL.Query().Has("same") {
			token = "1"
		}
		_, _ = fmt.Fprintf(w, "%s<p>built in %s</p>", pageOf(r), token)
	})
	onceSite(t, "etag auto {\n ignore `built in [0-9A-Z]+`\n }", upstream, func(t *testing.T, c *client, _ bool) {
		t.Helper()
		path := pathOf(t)
		var tag, body string
		for range 3 {
			got := c.must(t, http.StatusOK, http.MethodGet, path, "")
			if codedWhy(got) != "first_sight" || got.body == body || tag != "" && got.header.Get("Etag") != tag {
				t.Errorf("another token: got %v, want the tag %s", got, tag)
			}
			tag, body = got.header.Get("Etag"), got.body
		}
		c.must(t, http.StatusNotModified, http.MethodGet, path, "", "If-None-Match", tag)
		c.codedPage(t, path+"&same")
	})
}

// TestEncodeOnceDigest: a digest of the upstream is of the page as it was. It goes with that, and not with a compressed one.
func TestEncodeOnceDigest(t *testing.T) {
	names := []string{"Repr-Digest", "Content-Digest", "Digest", "Content-Md5"}
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(pageOf(r)))
		for _, name := range names {
			w.Header().Set(name, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		}
		withFields()(w, r)
	})
	onceSite(t, "{etag}", upstream, func(t *testing.T, c *client, _ bool) {
		t.Helper()
		path := pathOf(t)
		_, coded := c.codedPage(t, path)
		c.acceptEncoding = "identity"
		plain := c.must(t, http.StatusOK, http.MethodGet, path, "")
		for _, name := range names {
			if coded.header[name] != nil || plain.header[name] == nil {
				t.Errorf("%s: %q compressed, %q as it was", name, coded.header[name], plain.header[name])
			}
		}
		if codedWhy(plain) != "accept" || plain.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("to who accepts none: %v", plain)
		}
	})
}

// TestEncodeOnceStreams: an event is there before the next one is sent, the parts of a slow page come, and trailers arrive.
func TestEncodeOnceStreams(t *testing.T) {
	read := make(chan struct{}, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d%s\n\n", n, strings.Repeat(" event", 200))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-read:
			case <-time.After(5 * time.Second):
				return
			}
		}
	})
	for _, row := range onceRows {
		if strings.HasSuffix(row.path, "trailers") {
			mux.HandleFunc(row.path, row.send)
		}
	}
	onceSite(t, "{etag}", mux, func(t *testing.T, c *client, _ bool) {
		t.Helper()
		for range 3 {
			wantEvents(t, c, read)
			for _, path := range []string{"/trailers", "/late-trailers"} {
				response := c.open(t, path, nil)
				octets, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				text, errOfText := decodedBody(response.Header.Get("Content-Encoding"), string(octets))
				if err != nil || errOfText != nil || !strings.HasPrefix(text, "<!doctype html>") || response.Trailer.Get("X-End") != "reached" {
					t.Errorf("%s: %v, %v, trailers %v, %.60q", path, err, errOfText, response.Trailer, text)
				}
			}
		}
	})
}

// wantEvents reads three events, each before the next one is sent.
func wantEvents(t *testing.T, c *client, read chan<- struct{}) {
	t.Helper()
	c.acceptEncoding = "identity"
	defer func() { c.acceptEncoding = "gzip" }()
	response := c.open(t, "/events", nil)
	defer response.Body.Close()
	var seen string
	buffer := make([]byte, 4096)
	for n := range 3 {
		for !strings.Contains(seen, fmt.Sprintf("data: %d", n)) {
			k, err := response.Body.Read(buffer)
			seen += string(buffer[:k])
			if err != nil && !strings.Contains(seen, fmt.Sprintf("data: %d", n)) {
				t.Fatalf("event %d: %v after %q", n, err, seen)
			}
		}
		read <- struct{}{}
	}
}
