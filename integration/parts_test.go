package integration

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// partsOrigin answers Range by itself in some places, and nowhere else. It counts how often each URI is asked for.
type partsOrigin struct {
	server *httptest.Server
	mu     sync.Mutex
	asked  map[string]int
}

const (
	// onlyParts is what is behind a URI that is good for one request. Its parts have nothing but Content-Range.
	onlyParts = "0123456789abcdefghijklmnopqrstuvwxyz"
	// template is a page that nobody but Caddy renders.
	template = "{{if true}}" + onlyParts + "{{end}}"
)

// video is longer than max_body, and says nothing of itself.
var video = bytes.Repeat([]byte("a frame of a video. "), 5<<20/20)

func newPartsOrigin(t *testing.T) *partsOrigin {
	t.Helper()
	o := &partsOrigin{asked: make(map[string]int)}
	o.server = httptest.NewServer(o)
	t.Cleanup(o.server.Close)
	return o
}

// times is how often a URI was asked for.
func (o *partsOrigin) times(uri string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[uri]
}

func (o *partsOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked[r.RequestURI]++
	again := o.asked[r.RequestURI] > 1
	o.mu.Unlock()
	h := w.Header()
	switch {
	case strings.HasPrefix(r.URL.Path, "/once"):
		if again {
			http.Error(w, "this link was good for one request", http.StatusGone)
			return
		}
		h.Set("Content-Type", "text/html")
		h.Set("Content-Range", fmt.Sprintf("bytes 3-6/%d", len(onlyParts)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, onlyParts[3:7])
	case strings.HasPrefix(r.URL.Path, "/template"):
		h.Set("Content-Type", "text/html")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(template))
	case strings.HasPrefix(r.URL.Path, "/video"):
		h.Set("Content-Type", "video/mp4")
		h.Set("Content-Length", strconv.Itoa(len(video)))
		_, _ = w.Write(video)
	default:
		http.ServeContent(w, r, "page.txt", time.Unix(1_700_000_000, 0), strings.NewReader(onlyParts))
	}
}

// partsSetups are what may stand between us and the upstream, and around us. None of it makes its parts wrong.
var partsSetups = map[string]string{
	"alone":              "conditional_cache\n reverse_proxy {upstream}",
	"etag off":           "conditional_cache {\n etag off\n }\n reverse_proxy {upstream}",
	"ranges stream":      "conditional_cache {\n ranges stream\n }\n reverse_proxy {upstream}",
	"remember":           "conditional_cache {\n remember 60s\n }\n reverse_proxy {upstream}",
	"inside encode":      "conditional_cache\n encode gzip\n reverse_proxy {upstream}",
	"outside of encode":  "route {\n conditional_cache\n encode gzip\n reverse_proxy {upstream}\n }",
	"header":             "conditional_cache\n header >X-Late late\n header X-Early early\n reverse_proxy {upstream}",
	"intercept":          "conditional_cache\n intercept {\n @bad status 5xx\n handle_response @bad {\n respond bad\n }\n }\n reverse_proxy {upstream}",
	"intercepted":        "conditional_cache\n intercept {\n @part status 206 416\n handle_response @part {\n vars seen yes\n }\n }\n reverse_proxy {upstream}",
	"handle_response":    "conditional_cache\n reverse_proxy {upstream} {\n @part status 206 416\n handle_response @part {\n copy_response\n }\n }",
	"nested":             "conditional_cache\n handle {\n conditional_cache {\n etag strong\n }\n reverse_proxy {upstream}\n }",
	"outside templates":  "route {\n templates {\n mime text/x-none\n }\n conditional_cache\n reverse_proxy {upstream}\n }",
	"templates of other": "conditional_cache\n templates {\n mime text/x-none\n }\n reverse_proxy {upstream}",
}

// A part of the upstream's, and its 416, pass as they are, and it is asked once for them.
func TestPartsOfTheUpstreamPass(t *testing.T) {
	origin := newPartsOrigin(t)
	for name, directives := range partsSetups {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n %s\n}", port, strings.ReplaceAll(directives, "{upstream}", origin.server.URL)))
			for i, c := range protocolClients(t, port) {
				for _, coding := range []string{"identity", "gzip"} {
					c.acceptEncoding = coding
					checkPartsPass(t, c, origin, fmt.Sprintf("?%s-%d-%s", strings.ReplaceAll(name, " ", "-"), i, coding))
				}
			}
		})
	}
}

// checkPartsPass asks once for a part, and for one that there is not.
func checkPartsPass(t *testing.T, c *client, origin *partsOrigin, query string) {
	t.Helper()
	part := c.get(t, "/once"+query, http.Header{"Range": {"bytes=3-6"}})
	if part.status != http.StatusPartialContent || part.body != onlyParts[3:7] || part.header.Get("Content-Range") != "bytes 3-6/36" {
		t.Errorf("%s, %s: got %v, want the upstream's 206", c.protocol, c.acceptEncoding, part)
	}
	beyond := c.get(t, "/page"+query, http.Header{"Range": {"bytes=99-"}})
	if beyond.status != http.StatusRequestedRangeNotSatisfiable || !strings.HasPrefix(beyond.body, "invalid range") {
		t.Errorf("%s, %s: got %v, want the upstream's 416", c.protocol, c.acceptEncoding, beyond)
	}
	for _, uri := range []string{"/once" + query, "/page" + query} {
		if times := origin.times(uri); times != 1 {
			t.Errorf("%s, %s: %s was asked for %d times", c.protocol, c.acceptEncoding, uri, times)
		}
	}
}

// What templates makes of an upstream's part is no part of the page: the upstream is asked for the whole.
func TestPartsOfAProxiedTemplate(t *testing.T) {
	origin := newPartsOrigin(t)
	for name, directives := range map[string]string{
		"templates":       "templates\n reverse_proxy {upstream}",
		"handle_response": "reverse_proxy {upstream} {\n handle_response {\n templates\n copy_response\n }\n }",
		"route":           "route {\n templates\n header X-Early early\n reverse_proxy {upstream}\n }",
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n conditional_cache\n %s\n}", port, strings.ReplaceAll(directives, "{upstream}", origin.server.URL)))
			for _, c := range protocolClients(t, port) {
				c.acceptEncoding = "identity"
				checkProxiedTemplate(t, c, origin, name)
			}
		})
	}
}

func checkProxiedTemplate(t *testing.T, c *client, origin *partsOrigin, name string) {
	t.Helper()
	for asked, want := range map[string]string{
		"bytes=0-3": onlyParts[:4], "bytes=4-20": onlyParts[4:21], "bytes=12-15": onlyParts[12:16], "bytes=-3": onlyParts[33:],
	} {
		uri := fmt.Sprintf("/template?%s-%s-%s", name, c.protocol, asked)
		got := c.get(t, uri, http.Header{"Range": {asked}})
		if got.status != http.StatusPartialContent || got.body != want || origin.times(uri) != 2 {
			t.Errorf("%s, %s: got %v, asked %d times", c.protocol, asked, got, origin.times(uri))
		}
	}
	got := c.get(t, "/template", http.Header{"Range": {"bytes=36-"}})
	if got.status != http.StatusRequestedRangeNotSatisfiable || got.header.Get("Content-Range") != "bytes */36" {
		t.Errorf("%s: got %v, want 416 about the page", c.protocol, got)
	}
}

// What a page includes is whole in each part of the page, and there when only the page's own condition is true.
func TestPartsOfAPageThatIncludes(t *testing.T) {
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`http://localhost:%d {
		conditional_cache
		header /included Last-Modified "Tue, 14 Nov 2023 22:13:20 GMT"
		templates
		respond /included %s
		respond "{{httpInclude \"/included\"}} is included"
	}`, port, onlyParts))
	c := plainClient(t, port)
	c.acceptEncoding = "identity"
	page := onlyParts + " is included"
	for name, tt := range map[string]struct {
		fields http.Header
		status int
		body   string
	}{
		"whole":             {nil, http.StatusOK, page},
		"a part":            {http.Header{"Range": {"bytes=20-40"}}, http.StatusPartialContent, page[20:41]},
		"any tag":           {http.Header{"If-None-Match": {"*"}}, http.StatusNotModified, ""},
		"another tag":       {http.Header{"If-None-Match": {`"another"`}}, http.StatusOK, page},
		"a date":            {http.Header{"If-Modified-Since": {"Wed, 15 Nov 2023 22:13:20 GMT"}}, http.StatusOK, page},
		"a precondition":    {http.Header{"If-Match": {`"another"`}}, http.StatusPreconditionFailed, ""},
		"a part by another": {http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"another"`}}, http.StatusOK, page},
	} {
		if got := c.get(t, "/", tt.fields); got.status != tt.status || got.body != tt.body {
			t.Errorf("%s: got %v, want %d %q", name, got, tt.status, tt.body)
		}
	}
}

// A video of which the upstream says nothing can be sought under `ranges stream`, and its download goes on where it was
// broken off. Under `on` it cannot, nor where a coding may follow.
func TestPartsWithoutValidator(t *testing.T) {
	origin := newPartsOrigin(t)
	on, stream := freePort(t), freePort(t)
	site := "http://localhost:%d {\n encode gzip\n conditional_cache {\n ranges %s\n }\n reverse_proxy %s\n}\n"
	runCaddy(t, fmt.Sprintf(site, on, "on", origin.server.URL)+fmt.Sprintf(site, stream, "stream", origin.server.URL))
	for _, tt := range []struct {
		name   string
		port   int
		accept string
		fields http.Header
		part   bool
	}{
		{name: "Safari", port: stream, accept: "identity", fields: http.Header{"Range": {"bytes=0-1"}}, part: true},
		{name: "Chromium", port: stream, accept: "identity;q=1, *;q=0", fields: http.Header{"Range": {"bytes=0-1"}}, part: true},
		{name: "If-Range", port: stream, accept: "identity", fields: http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"x"`}}},
		{name: "gzip", port: stream, accept: "gzip", fields: http.Header{"Range": {"bytes=0-1"}}},
		{name: "on", port: on, accept: "identity", fields: http.Header{"Range": {"bytes=0-1"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := plainClient(t, tt.port)
			c.acceptEncoding = tt.accept
			got := c.get(t, "/video", tt.fields)
			if part := got.status == http.StatusPartialContent; part != tt.part || part && got.header.Get("Content-Range") != fmt.Sprintf("bytes 0-1/%d", len(video)) {
				t.Errorf("got %d %v", got.status, got.header)
			}
		})
	}
	for _, port := range []int{on, stream} {
		checkResumed(t, fmt.Sprintf("http://localhost:%d/video", port), port == stream)
	}
}

// checkResumed has clients go on with a download. wget begins anew where it gets the whole, and curl gives up.
func checkResumed(t *testing.T, url string, curl bool) {
	t.Helper()
	saved := filepath.Join(t.TempDir(), "video")
	begin := func() {
		if err := os.WriteFile(saved, video[:1<<20], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(client string) {
		if got, err := os.ReadFile(saved); err != nil || !bytes.Equal(got, video) {
			t.Errorf("%s: %d bytes, %v; want %d", client, len(got), err, len(video))
		}
	}
	if curl {
		begin()
		if status := runCurl(t, url, "-C", "-", "-o", saved); status != "206" {
			t.Errorf("curl -C: got %s, want 206", status)
		}
		check("curl -C")
	}
	wget, err := exec.LookPath("wget")
	requireProgram(t, err == nil, "wget")
	begin()
	if output, err := exec.CommandContext(t.Context(), wget, "-q", "-c", "--no-config", "-O", saved, url).CombinedOutput(); err != nil {
		t.Errorf("wget -c: %v: %s", err, output)
	}
	check("wget -c")
}

// Updaters ask for many blocks in one request: dnf for up to 255 of them, electron-updater for as many as it needs, with a
// space after the comma. They count the parts.
func TestManyParts(t *testing.T) {
	origin := newPartsOrigin(t)
	few, many := freePort(t), freePort(t)
	site := "http://localhost:%d {\n conditional_cache {\n buffer {\n max_body 8MiB\n max_delay off\n }\n %s\n }\n reverse_proxy %s\n}\n"
	runCaddy(t, fmt.Sprintf(site, few, "", origin.server.URL)+fmt.Sprintf(site, many, "ranges on {\n max 255\n }", origin.server.URL))
	for _, tt := range []struct{ port, ranges, status int }{
		{few, 2, 206}, {few, 16, 206}, {few, 17, 200}, {many, 17, 206}, {many, 162, 206}, {many, 255, 206}, {many, 256, 200},
	} {
		c := plainClient(t, tt.port)
		c.acceptEncoding = "identity"
		var asked []string
		for i := range tt.ranges {
			asked = append(asked, fmt.Sprintf("%d-%d", 300*i, 300*i+99))
		}
		got := c.get(t, "/video", http.Header{"Range": {"bytes=" + strings.Join(asked, ", ")}})
		if got.status != tt.status {
			t.Errorf("%d ranges: got %d, want %d", tt.ranges, got.status, tt.status)
		}
		if got.status != http.StatusPartialContent {
			continue
		}
		if length := got.header.Get("Content-Length"); length != strconv.Itoa(len(got.body)) || !strings.HasPrefix(got.body, "\r\n--") {
			t.Errorf("%d ranges: %s bytes are declared, %d come, and begin with %.10q", tt.ranges, length, len(got.body), got.body)
		}
		_, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		reader, parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"]), 0
		for part, err := reader.NextPart(); err == nil; part, err = reader.NextPart() {
			if octets, err := io.ReadAll(part); err != nil || !bytes.Equal(octets, video[300*parts:300*parts+100]) {
				t.Fatalf("part %d of %d: %d bytes, %v", parts, tt.ranges, len(octets), err)
			}
			parts++
		}
		if parts != tt.ranges {
			t.Errorf("%d ranges: got %d parts", tt.ranges, parts)
		}
	}
}

// A part has the tag that If-Range has named, though its content would be tagged with another date now, or for somebody
// else: by another tag the client could not put it to what it has.
func TestPartHasTheTagThatWasNamed(t *testing.T) {
	var answers atomic.Int64
	c := noteSite(t, "conditional_cache\nreverse_proxy {upstream}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", time.Unix(1_700_000_000+answers.Add(1)*60, 0).UTC().Format(http.TimeFormat))
		_, _ = io.WriteString(w, onlyParts)
	}))
	for _, asked := range []string{"bytes=3-6", "bytes=0-1"} {
		for _, then := range []string{"sid=1", "sid=2", ""} {
			etag := c.get(t, "/", http.Header{"Cookie": {"sid=1"}}).header.Get("Etag")
			part := c.get(t, "/", http.Header{"Cookie": {then}, "Range": {asked}, "If-Range": {etag}})
			if part.status != http.StatusPartialContent || part.header.Get("Etag") != etag || !strings.Contains(etag, ".") {
				t.Errorf("%s, then %q: got %v, want 206 with %s", asked, then, part, etag)
			}
		}
	}
}

// A page that is rendered between two instances: the outer one may have withheld Range, which the inner one has answered
// out of the file.
func TestPartsOfATemplateBetweenInstances(t *testing.T) {
	for name, outer := range map[string]string{
		"bare": "", "replace": "etag strong {\n existing replace\n }", "remove": "etag strong {\n existing remove\n }\n ranges stream",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(template), 0o600); err != nil {
				t.Fatal(err)
			}
			c := noteSite(t, "conditional_cache {\n "+outer+"\n}\nroot "+dir+"\nroute {\n templates\n conditional_cache\n file_server\n}", http.NotFoundHandler())
			c.acceptEncoding = "identity"
			for _, asked := range []string{"bytes=0-3", "bytes=12-15", "bytes=3-30", "bytes=40-"} {
				got := c.get(t, "/", http.Header{"Range": {asked}})
				if got.status == http.StatusPartialContent && !strings.Contains(onlyParts, got.body) || got.status == http.StatusOK && got.body != onlyParts || got.status >= 500 {
					t.Errorf("%s: got %v, want a part of %s", asked, got, onlyParts)
				}
			}
		})
	}
}
