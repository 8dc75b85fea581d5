package integration

import (
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/fcgi"
	"strings"
	"testing"
	"time"
)

const epoch1970 = "Thu, 01 Jan 1970 00:00:00 GMT"

var reportsOfValidators = []report{
	{
		id: "B11", upstream: fixed("Etag", `"12cea601-26c"`, "Last-Modified", "Tue, 01 Jan 1980 00:00:01 GMT"),
		sites: []string{reportBare, reportCoded, configured("etag auto {\nexisting replace\n}")},
		check: changesBehind(`"12cea601-26c"`, "Tue, 01 Jan 1980 00:00:01 GMT"),
	},
	{id: "B11 files", sites: []string{"conditional_cache" + filesIt}, check: builtAt(time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC))},
	{
		id: "B13", upstream: fixed("Last-Modified", epoch1970, "Cache-Control", "max-age=7200, public"),
		sites: []string{reportBare, reportCoded},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			wants(t, c, http.StatusOK, []string{"If-Modified-Since", epoch1970}, "Last-Modified", "", "Etag", "*")
			changesBehind(`"x"`, epoch1970)(t, c, s)
		},
	},
	{
		id: "B14", sites: []string{"conditional_cache {\netag auto {\nexisting replace\n}\nlast_modified remove\n}" + filesIt},
		check: builtAt(time.Date(2020, 4, 16, 12, 0, 0, 0, time.UTC)),
	},
	{
		id: "B15", sites: []string{
			"conditional_cache {\netag auto {\nexisting repair\n}\n}\nroot {root}\nfile_server {\netag_file_extensions .etag\n}",
			"encode gzip\nconditional_cache {\netag auto {\nexisting repair\n}\n}\nroot {root}\nfile_server {\netag_file_extensions .etag\n}",
		},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			s.write(t, "index.html", textOf(1), time.Now())
			s.write(t, "index.html.etag", "5d41402abc4b2a76", time.Now())
			c.acceptEncoding = "gzip"
			first := wants(t, c, http.StatusOK, nil, "Etag", "*")
			wants(t, c, http.StatusNotModified, byTag("If-None-Match", first))
		},
	},
	{id: "B16", sites: []string{"conditional_cache" + filesIt}, check: builtAt(time.Unix(1, 0))},
	{
		id: "B17", upstream: fixed("Etag", `"Sat, 16 Nov 2041 19:11:00 GMT"`, "Last-Modified", "Sat, 16 Nov 2041 19:11:00 GMT"),
		sites: []string{configured("etag auto {\nexisting replace\n}")},
		check: changesBehind(`"Sat, 16 Nov 2041 19:11:00 GMT"`, "Sat, 16 Nov 2041 19:11:00 GMT"),
	},
	{
		id: "B21", sites: []string{reportBare},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Last-Modified"] = []string{r.Header.Get("X-Date")}
				_, _ = io.WriteString(w, "text")
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			for sent, want := range map[string]string{
				"Tue, 21 Apr 2020 21:32:30 +0200": "Tue, 21 Apr 2020 19:32:30 GMT", "Tue, 21 Apr 2020 21:32:30 +0000": "Tue, 21 Apr 2020 21:32:30 GMT",
				"Tue, 21 Apr 2020 21:32:30 UTC": "Tue, 21 Apr 2020 21:32:30 GMT", "Tue, 7 Apr 2020 21:32:30 GMT": "Tue, 07 Apr 2020 21:32:30 GMT",
				"2020-04-21T21:32:30Z": "Tue, 21 Apr 2020 21:32:30 GMT", "1587504750": "Tue, 21 Apr 2020 21:32:30 GMT",
				"Tue, 21 Apr 2020 21:32:30 EST": "Wed, 22 Apr 2020 02:32:30 GMT", "Tue, 21 Apr 2020 21:32:30 CET": "",
			} {
				first := wants(t, c, http.StatusOK, []string{"X-Date", sent}, "Last-Modified", want, "Etag", "*")
				wants(t, c, http.StatusNotModified, append(byTag("If-None-Match", first), "X-Date", sent), "Etag", first.header.Get("Etag"))
				if want != "" {
					wants(t, c, http.StatusNotModified, []string{"X-Date", sent, "If-Modified-Since", want})
				}
			}
		},
	},
	{
		id: "B22", sites: []string{reportBare},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Last-Modified", time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat))
				_, _ = io.WriteString(w, "text")
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			if got := c.fetch(t, "/"); got.header.Get("Last-Modified") != got.header.Get("Date") {
				t.Errorf("got %v, want Last-Modified to be Date", got)
			}
		},
	},
	{
		id: "B23", sites: []string{reportBare, reportCoded, configured("etag strong"), configured("ranges stream")},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				setFields(w.Header(), []string{"Content-Range", "bytes 0-999/1000", "Etag", `"s3"`, "Content-Length", "1000"})
				_, _ = io.WriteString(w, longPackage[:1000])
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			wants(t, c, http.StatusPartialContent, []string{"Range", "bytes=0-"}, "Content-Range", "bytes 0-999/1000")
			wants(t, c, http.StatusPartialContent, []string{"Range", "bytes=0-1"}, "Content-Range", "bytes 0-1/1000")
			wants(t, c, http.StatusRequestedRangeNotSatisfiable, []string{"Range", "bytes=2000-"}, "Content-Range", "bytes */1000")
		},
	},
	{
		id: "B24", sites: []string{reportBare, configured("ranges on {\nmax 255\n}"), configured("ranges stream {\nmax 255\n}")},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, longPackage) }
		},
		check: partsAsked,
	},
	{
		id: "B26", accept: "gzip", sites: []string{reportBare, reportCoded, configured("etag strong"), configured("etag auto {\nexisting replace\n}"), reportMemory},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") == `"abc"` {
					w.Header().Set("Etag", `"abc"`)
					w.WriteHeader(http.StatusNotModified)
					return
				}
				setFields(w.Header(), []string{"Etag", `"abc-gzip"`, "Content-Encoding", "gzip", "Cache-Control", "public, max-age=60"})
				z := gzip.NewWriter(w)
				_, _ = io.WriteString(z, textOf(1))
				_ = z.Close()
			}
		},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			first := wants(t, c, http.StatusOK, nil, "Etag", "*")
			tag := first.header.Get("Etag")
			if s.site == reportCoded {
				tag = strings.Replace(tag, "-gzip", "", 1) // encode takes it off the question, and does not put it on a 304
			}
			wants(t, c, http.StatusNotModified, byTag("If-None-Match", first), "Etag", tag)
		},
	},
	{
		id: "B27", sites: []string{reportBare, reportCoded},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Etag", `W/"1f7a"`)
				_, _ = io.WriteString(w, "text")
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			wants(t, c, http.StatusNotModified, []string{"If-None-Match", `W/"1f7a"`}, "Etag", `W/"1f7a"`)
			wants(t, c, http.StatusNotModified, []string{"If-None-Match", `"1f7a"`}, "Etag", `W/"1f7a"`)
		},
	},
	{
		id: "B41", sites: []string{configured("head get"), "encode gzip\n" + configured("head get")},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				_, _ = io.WriteString(w, longPackage[:5000])
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			head := c.must(t, http.StatusOK, http.MethodHead, "/", "")
			if want := c.fetch(t, "/").header.Get("Etag"); want == "" || head.header.Get("Etag") != want || head.header.Get("Content-Length") != "5000" {
				t.Errorf("HEAD got %v, want the tag %s", head, want)
			}
			c.must(t, http.StatusNotModified, http.MethodHead, "/", "", byTag("If-None-Match", head)...)
		},
	},
	{
		id: "B42", sites: []string{reportBare, reportCoded},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") != "" {
					// It closes: on a connection that is used again, Go's transport may take the content for the next response.
					writeRaw(w, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nEtag: \"a\"\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\n\r\n")
					return
				}
				w.Header().Set("Etag", `"a"`)
				_, _ = io.WriteString(w, "text")
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			for range 3 {
				got := wants(t, c, http.StatusNotModified, []string{"If-None-Match", `"a"`}, "Content-Encoding", "", "Transfer-Encoding", "", "Etag", `"a"`)
				if got.body != "" {
					t.Errorf("the 304 has %q", got.body)
				}
			}
			for range 3 {
				if got := wants(t, c, http.StatusOK, nil); got.body != "text" {
					t.Errorf("then got %v", got)
				}
			}
		},
	},
	{
		id: "B46", sites: []string{
			"conditional_cache\nphp_fastcgi {fcgi}", "encode gzip\nconditional_cache\nphp_fastcgi {fcgi}",
			"conditional_cache {\nremember 10m\n}\nphp_fastcgi {fcgi}", "conditional_cache {\netag auto {\nexisting replace\n}\n}\nphp_fastcgi {fcgi}",
		},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			etag := wants(t, c, http.StatusOK, nil, "Etag", "*").header.Get("Etag")
			wants(t, c, http.StatusNotModified, []string{"If-None-Match", etag}, "Etag", etag)
			if !strings.Contains(s.site, "replace") {
				c.must(t, http.StatusNotModified, http.MethodHead, "/", "", "If-None-Match", etag)
			}
		},
	},
	{
		id: "B49", sites: []string{configured("etag auto {\nexisting repair\n}")},
		upstream: func(s *scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Etag"] = []string{[]string{`abc123`, `W/"img-{"width":"1200"}"`, `"a"b"`}[s.version.Load()]}
				_, _ = io.WriteString(w, "0123456789")
			}
		},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			for range 3 {
				first := wants(t, c, http.StatusOK, nil, "Etag", "*")
				wants(t, c, http.StatusNotModified, byTag("If-None-Match", first))
				wants(t, c, http.StatusPartialContent, append(byTag("If-Range", first), "Range", "bytes=0-1"), "Content-Range", "bytes 0-1/10")
				s.version.Add(1)
			}
		},
	},
	{
		id: "B50", sites: []string{"conditional_cache" + filesIt, "encode gzip\nconditional_cache" + filesIt},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			second := time.Now().Add(-time.Hour).Truncate(time.Second)
			s.write(t, "index.html", textOf(1), second.Add(1000))
			first := wants(t, c, http.StatusOK, nil)
			s.write(t, "index.html", textOf(2), second.Add(2000))
			wants(t, c, http.StatusOK, append(byTag("If-None-Match", first), "If-Modified-Since", first.header.Get("Last-Modified")))
		},
	},
}

// startFastCGI is a FastCGI upstream that makes its 304 itself.
func startFastCGI(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"php"`)
			if r.Header.Get("If-None-Match") == `"php"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, textOf(1))
		}))
	}()
	return l.Addr().String()
}

// masked is Django's form of a secret: a random mask, and the secret moved by it.
func masked(secret string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var mask, moved strings.Builder
	for i := range secret {
		n := rand.IntN(len(letters))
		mask.WriteByte(letters[n])
		moved.WriteByte(letters[(strings.IndexByte(letters, secret[i])+n)%len(letters)])
	}
	return mask.String() + moved.String()
}

// pagesOf is an upstream that sends pages of HTML, each made anew.
func pagesOf(page func(s *scripted) string, fields ...string) func(*scripted) http.HandlerFunc {
	return func(s *scripted) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			setFields(w.Header(), append([]string{"Content-Type", "text/html"}, fields...))
			_, _ = io.WriteString(w, page(s))
		}
	}
}

// secretOf is 32 letters that a session has.
func secretOf(s *scripted) string { return strings.Repeat(fmt.Sprintf("%dabc", s.version.Load()), 8) }

// sameWhileSession: 304 until the secret is another one.
func sameWhileSession(t *testing.T, c *client, s *scripted) {
	t.Helper()
	first := wants(t, c, http.StatusOK, nil, "Etag", "*")
	wants(t, c, http.StatusNotModified, byTag("If-None-Match", first))
	s.version.Add(1)
	wants(t, c, http.StatusOK, byTag("If-None-Match", first))
}
