package integration

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rangeSetups are the setups in which a client can have parts of every page: the tags are strong.
var rangeSetups = []setup{
	{name: "auto, client without gzip", directives: "conditional_cache", acceptEncoding: "identity"},
	{name: "auto inside encode, client without gzip", directives: "conditional_cache\n encode gzip", acceptEncoding: "identity"},
	{name: "strong, client with gzip", directives: "conditional_cache {\n etag strong\n }", acceptEncoding: "gzip"},
	{name: "existing replace", directives: "conditional_cache {\n etag strong {\n existing replace\n }\n }", acceptEncoding: "gzip"},
}

// TestRealPagesInParts asks for parts of a page of every kind, whether its server answers Range itself (nginx,
// file_server) or has never heard of it (Django's views, templates, respond).
func TestRealPagesInParts(t *testing.T) {
	directives, pages := realSite(t)
	for _, s := range rangeSetups {
		t.Run(s.name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n %s\n %s\n}", port, s.directives, directives))
			for _, c := range protocolClients(t, port) {
				c.acceptEncoding = s.acceptEncoding
				for _, page := range realPages {
					t.Run(c.protocol+"/"+page.name, func(t *testing.T) {
						checkParts(t, c, pages, page.path)
					})
				}
			}
		})
	}
}

// checkParts follows a download that was broken off and resumed, before and after a change of the page.
func checkParts(t *testing.T, c *client, pages *pageFolder, path string) {
	t.Helper()
	whole := c.get(t, path, nil)
	etag, content := whole.header.Get("Etag"), pages.content()
	if whole.status != http.StatusOK || whole.body != content || strings.HasPrefix(etag, "W/") {
		t.Fatalf("got %v, want 200 with the page and a strong ETag", whole)
	}
	// Django's middleware tags what gunicorn then sends in chunks: how long it is shows at the end.
	if chunked := whole.header.Get("Content-Length") == ""; !chunked && whole.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("got %v, want Accept-Ranges", whole)
	}
	size := len(content)
	for asked, want := range map[string][2]int{
		"bytes=10-19":              {10, 20},
		"bytes=1000-":              {1000, size},
		"bytes=-7":                 {size - 7, size},
		"BYTES=0-0":                {0, 1},
		"bytes=5-9999999999999999": {5, size},
	} {
		part := c.get(t, path, http.Header{"Range": {asked}, "If-Range": {etag}})
		contentRange := fmt.Sprintf("bytes %d-%d/%d", want[0], want[1]-1, size)
		if part.status != http.StatusPartialContent || part.body != content[want[0]:want[1]] || part.header.Get("Content-Range") != contentRange {
			t.Errorf("%s: got %v, want 206 with %s", asked, part, contentRange)
		}
		if got := part.header.Get("Etag"); got != etag {
			t.Errorf("%s: got ETag %s, want %s", asked, got, etag)
		}
	}
	checkSeveral(t, c.open(t, path, http.Header{"Range": {"bytes=0-4, -5"}}), content)
	beyond := c.get(t, path, http.Header{"Range": {"bytes=" + strconv.Itoa(size) + "-"}})
	if beyond.status != http.StatusRequestedRangeNotSatisfiable || beyond.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
		t.Errorf("beyond the end: got %v, want 416", beyond)
	}
	for what, header := range map[string]http.Header{
		"another tag": {"Range": {"bytes=10-19"}, "If-Range": {`"another"`}},
		"a weak tag":  {"Range": {"bytes=10-19"}, "If-Range": {"W/" + etag}},
		"no bytes":    {"Range": {"bytes=0-4"}, "If-Range": {"junk"}},
	} {
		if got := c.get(t, path, header); got.status != http.StatusOK || got.body != content {
			t.Errorf("%s: got %v, want 200 with the page", what, got)
		}
	}
	pages.change(t)
	changed := c.get(t, path, http.Header{"Range": {"bytes=10-19"}, "If-Range": {etag}})
	if changed.status != http.StatusOK || changed.body != pages.content() {
		t.Errorf("after a change: got %v, want 200 with the new page", changed)
	}
}

// checkSeveral wants the first five bytes and the last five, as multipart/byteranges.
func checkSeveral(t *testing.T, response *http.Response, content string) {
	t.Helper()
	defer response.Body.Close()
	mediaType, params, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusPartialContent || mediaType != "multipart/byteranges" || err != nil {
		t.Errorf("several: got %d %v", response.StatusCode, response.Header)
		return
	}
	parts := multipart.NewReader(response.Body, params["boundary"])
	var got []string
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Error(err)
			return
		}
		octets, err := io.ReadAll(part)
		if err != nil {
			t.Error(err)
		}
		got = append(got, part.Header.Get("Content-Range")+" "+string(octets))
	}
	size := len(content)
	want := []string{
		fmt.Sprintf("bytes 0-4/%d %s", size, content[:5]),
		fmt.Sprintf("bytes %d-%d/%d %s", size-5, size-1, size, content[size-5:]),
	}
	if !slices.Equal(got, want) {
		t.Errorf("several: got %q, want %q", got, want)
	}
}

// A client that has stored what encode made of a page must not get a part of the page before that.
func TestPartsAreNotMixedWithCodedOnes(t *testing.T) {
	directives, pages := realSite(t)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n etag strong\n }\n encode gzip\n %s\n}", port, directives))
	c := plainClient(t, port)
	c.acceptEncoding = "gzip"
	for _, page := range realPages {
		t.Run(page.name, func(t *testing.T) {
			etag := c.get(t, page.path, nil).header.Get("Etag")
			if !strings.HasSuffix(etag, `-gzip"`) {
				t.Fatalf("ETag %s, want encode's", etag)
			}
			got := c.get(t, page.path, http.Header{"Range": {"bytes=100-199"}, "If-Range": {etag}})
			if got.status != http.StatusOK || got.body != pages.content() {
				t.Errorf("got %v, want 200 with the page", got)
			}
		})
	}
}

// TestCurlResumes: curl -C - goes on where a file ends; of several ranges it saves what came.
func TestCurlResumes(t *testing.T) {
	directives, pages := realSite(t)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache\n encode gzip\n %s\n}", port, directives))
	for _, page := range realPages {
		t.Run(page.name, func(t *testing.T) {
			url, saved := fmt.Sprintf("http://localhost:%d%s", port, page.path), filepath.Join(t.TempDir(), "saved")
			content := pages.content()
			if err := os.WriteFile(saved, []byte(content[:200]), 0o600); err != nil {
				t.Fatal(err)
			}
			if status := runCurl(t, url, "-C", "-", "-o", saved); status != "206" {
				t.Errorf("got %s, want 206", status)
			}
			if got, err := os.ReadFile(saved); err != nil || string(got) != content {
				t.Errorf("got %.60q (%d bytes), %v", got, len(got), err)
			}
			if status := runCurl(t, url, "-r", "0-9,20-29", "-o", saved); status != "206" {
				t.Errorf("got %s, want 206", status)
			}
		})
	}
}

// A part of a rendered page is a part of what was rendered, however file_server answers the Range of the file
// behind it: with a part that does not parse, with one that does, or with 416.
func TestPartsOfARenderedPage(t *testing.T) {
	dir := t.TempDir()
	for name, page := range map[string]string{
		"long.html":  "{{range until 500}}<p>A row.</p>\n{{end}}",
		"short.html": "<p>{{if false}}" + strings.Repeat("never seen ", 50) + "{{end}}A row.</p>",
		"shut.html":  "{{if false}}" + strings.Repeat("{{httpError 403}}", 20) + "{{end}}" + strings.Repeat("A row. ", 20),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, directives := range map[string]string{
		"alone":             "conditional_cache\n templates\n file_server",
		"inside encode":     "encode gzip\n conditional_cache\n templates\n file_server",
		"outside of encode": "route {\n conditional_cache\n encode gzip\n templates\n file_server\n }",
		"header":            "conditional_cache\n header >X-Late late\n header X-Early early\n templates\n file_server",
		"intercept":         "conditional_cache\n intercept {\n @bad status 5xx\n handle_response @bad {\n respond bad\n }\n }\n templates\n file_server",
		"nested":            "conditional_cache\n handle {\n conditional_cache 1h\n templates\n file_server\n }",
		"nested, off":       "conditional_cache\n handle {\n conditional_cache {\n etag off\n ranges off\n }\n templates\n file_server\n }",
		"between":           "route {\n conditional_cache\n templates\n conditional_cache {\n etag off\n }\n file_server\n }",
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n root %s\n %s\n}", port, dir, directives))
			for _, c := range protocolClients(t, port)[:2] {
				c.acceptEncoding = "identity"
				for _, path := range []string{"/long.html", "/short.html", "/shut.html"} {
					checkRendered(t, c, path)
				}
			}
		})
	}
}

// checkRendered asks for parts from all over a rendered page.
func checkRendered(t *testing.T, c *client, path string) {
	t.Helper()
	whole := c.get(t, path, nil).body
	size := len(whole)
	for first := 0; first < size; first += 1 + size/20 {
		for _, last := range []int{first, first + size/10, size - 1} {
			last = min(last, size-1)
			got := c.get(t, path, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", first, last)}})
			if got.status != http.StatusPartialContent || got.body != whole[first:last+1] {
				t.Fatalf("%s, bytes %d to %d of %d: got %v", path, first, last, size, got)
			}
		}
	}
	beyond := c.get(t, path, http.Header{"Range": {fmt.Sprintf("bytes=%d-", size)}})
	if beyond.status != http.StatusRequestedRangeNotSatisfiable || beyond.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
		t.Errorf("%s, beyond the end: got %v", path, beyond)
	}
}

// What nobody has named the type of, and what net/http would guess at from the part, goes without one.
func TestPartOfAnUnknownType(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = nil
		h.Set("Etag", `"r"`)
		h.Set("Content-Length", "32")
		_, _ = io.WriteString(w, "no type <html><body>hello, world")
	}))
	defer upstream.Close()
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache\n reverse_proxy %s\n}", port, upstream.URL))
	c := plainClient(t, port)
	c.acceptEncoding = "identity"
	got := c.get(t, "/", http.Header{"Range": {"bytes=8-"}})
	if _, typed := got.header["Content-Type"]; got.status != http.StatusPartialContent || got.body != "<html><body>hello, world" || typed {
		t.Errorf("got %v, want 206 without Content-Type", got)
	}
}

// A 416 goes through handle_errors, whose page is not under the Range that led to it.
func TestUnsatisfiableRangeGoesToErrorRoutes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "416.html"), []byte("no such part"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`http://localhost:%d {
		conditional_cache 1h
		header Access-Control-Allow-Origin *
		respond "A page of 21 letters."
		handle_errors {
			rewrite * /{err.status_code}.html
			root %s
			file_server
		}
	}`, port, dir))
	got := plainClient(t, port).get(t, "/", http.Header{"Range": {"bytes=99-"}, "Accept-Encoding": {"identity"}})
	if got.status != http.StatusRequestedRangeNotSatisfiable || got.body != "no such part" {
		t.Errorf("got %v", got)
	}
	for name, want := range map[string]string{"Content-Range": "bytes */21", "Access-Control-Allow-Origin": "*", "Cache-Control": "", "Expires": ""} {
		if value := got.header.Get(name); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
}
