package integration

import (
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// An entity tag of ours ends in the date of the upstream where the upstream sent one.
const (
	ownTag   = `cc1\.[0-9a-f]{32}`
	datedTag = ownTag + `\.[0-9a-z]+`
	// What nginx, Django and file_server make: nothing of theirs has a dot.
	upstreamTag = `[0-9a-z-]+`
)

// realPages are the pages of realSite: all show the current version of a pageFolder.
var realPages = []struct {
	name string
	path string
	tag  string
}{
	{"nginx", "/nginx/page.html", upstreamTag},
	{"nginx with etag off", "/nginx/untagged/page.html", datedTag},
	{"nginx, mtime of Nix", "/nginx/nix.html", ownTag},
	{"nginx, mtime of a ZIP archive", "/nginx/zip.html", ownTag},
	{"Django without validators", "/django/plain", ownTag},
	{"Django with last_modified", "/django/dated", datedTag},
	{"Django with ConditionalGetMiddleware", "/django/etagged", upstreamTag},
	{"file_server", "/files/page.html", upstreamTag},
	{"file_server, mtime of Nix", "/files/nix.html", ownTag},
	{"file_server, mtime of a ZIP archive", "/files/zip.html", ownTag},
	{"templates", "/templates/template.html", ownTag},
	{"respond", "/respond", ownTag},
}

// realSite are the directives that serve realPages, without conditional_cache.
func realSite(t *testing.T) (directives string, pages *pageFolder) {
	t.Helper()
	pages = newPageFolder(t)
	directives = strings.NewReplacer(
		"{nginx}", startNginx(t, pages),
		"{django}", startDjango(t, pages),
		"{dir}", pages.dir,
	).Replace(`
	root {dir}
	handle_path /nginx/* {
		reverse_proxy {nginx}
	}
	handle_path /django/* {
		reverse_proxy {django}
	}
	handle_path /files/* {
		file_server
	}
	handle_path /templates/* {
		templates
		file_server
	}
	handle /respond {
		header Content-Type text/html
		respond "{file.{dir}/page.html}"
	}
`)
	return directives, pages
}

// setup is one way to put conditional_cache in front of a site.
type setup struct {
	name           string
	directives     string
	acceptEncoding string
	// How a tag is written around its opaque text: where content coding may follow, the handler makes
	// weak ones, and encode marks strong ones.
	ownForm      string
	upstreamForm string
}

var setups = []setup{
	{"auto, client without gzip", "conditional_cache", "identity", `"%s"`, `"%s"`},
	{"auto, client with gzip", "conditional_cache", "gzip", `W/"%s"`, `"%s"`},
	{"auto inside encode", "conditional_cache\n encode gzip", "gzip", `W/"%s"`, `"%s-gzip"`},
	{"strong", "conditional_cache {\n etag strong\n }", "gzip", `"%s"`, `"%s"`},
	{"strong inside encode", "conditional_cache {\n etag strong\n }\n encode gzip", "gzip", `"%s-gzip"`, `"%s-gzip"`},
}

// tagPattern is what an ETag whose opaque text matches tag looks like behind s.
func (s setup) tagPattern(tag string) *regexp.Regexp {
	form := s.ownForm
	if tag == upstreamTag {
		form = s.upstreamForm
	}
	return regexp.MustCompile("^" + fmt.Sprintf(form, tag) + "$")
}

// TestRealPagesRevalidate lets a page of every kind be loaded, revalidated, changed and loaded again, behind every
// setup and over every version of HTTP.
func TestRealPagesRevalidate(t *testing.T) {
	directives, pages := realSite(t)
	for _, s := range setups {
		t.Run(s.name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n %s\n %s\n}", port, s.directives, directives))
			for _, c := range protocolClients(t, port) {
				c.acceptEncoding = s.acceptEncoding
				c.behindEncode = strings.Contains(s.directives, "encode ")
				for _, page := range realPages {
					t.Run(c.protocol+"/"+page.name, func(t *testing.T) {
						checkLife(t, c, pages, page.path, s.tagPattern(page.tag))
					})
				}
			}
		})
	}
}

// checkLife follows one page from the first load to the load after a change of its content.
func checkLife(t *testing.T, c *client, pages *pageFolder, path string, tag *regexp.Regexp) {
	t.Helper()
	first := c.get(t, path, nil)
	etag := first.header.Get("Etag")
	if first.status != http.StatusOK || first.body != pages.content() || !tag.MatchString(etag) {
		t.Fatalf("first load: got %v, want 200 with the page and an ETag like %s", first, tag)
	}
	if again := c.get(t, path, nil); again.status != http.StatusOK || again.header.Get("Etag") != etag {
		t.Errorf("second load: got %v, want 200 with the same ETag %s", again, etag)
	}
	condition := http.Header{"If-None-Match": {etag}}
	notModified := c.get(t, path, condition)
	if c.protocol == "HTTP/3.0" && c.behindEncode {
		// quic-go gives every answer without content a Content-Length of 0 unless it was flushed, and
		// encode passes no flush on.
		notModified.header.Del("Content-Length")
	}
	checkNotModified(t, notModified, etag)

	pages.change(t)
	changed := c.get(t, path, condition)
	if changed.status != http.StatusOK || changed.body != pages.content() {
		t.Errorf("after a change: got %v, want 200 with the new page", changed)
	}
	if got := changed.header.Get("Etag"); got == etag || !tag.MatchString(got) {
		t.Errorf("after a change: got ETag %s, want another one than %s like %s", got, etag, tag)
	}
}

// checkNotModified wants a 304 for a request whose If-None-Match was etag. encode marks the strong tag of a
// 200 and takes the mark from the If-None-Match that comes back, but does not put it on the 304: there the
// tag may be the one without.
func checkNotModified(t *testing.T, got answer, etag string) {
	t.Helper()
	if got.status != http.StatusNotModified || got.body != "" {
		t.Fatalf("revalidation: got %v, want an empty 304", got)
	}
	if tag := got.header.Get("Etag"); tag != etag && tag != strings.TrimSuffix(etag, `-gzip"`)+`"` {
		t.Errorf("revalidation: got ETag %s, want %s", tag, etag)
	}
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding"} {
		if value := got.header.Get(name); value != "" {
			t.Errorf("revalidation: the 304 says %s: %s", name, value)
		}
	}
}

// client speaks one version of HTTP to one site.
type client struct {
	transport      http.RoundTripper
	base           string
	host           string
	protocol       string // as in Response.Proto
	acceptEncoding string
	behindEncode   bool
}

// protocolClients returns a client of https://localhost:port for every version of HTTP.
func protocolClients(t *testing.T, port int) []*client {
	t.Helper()
	awaitCertificate(t, port)
	tlsConfig := func(alpn ...string) *tls.Config {
		return &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: alpn}
	}
	h1 := &http.Transport{TLSClientConfig: tlsConfig("http/1.1"), DisableCompression: true}
	h2 := &http.Transport{TLSClientConfig: tlsConfig(), ForceAttemptHTTP2: true, DisableCompression: true}
	h3 := &http3.Transport{TLSClientConfig: tlsConfig(), DisableCompression: true}
	t.Cleanup(func() {
		h1.CloseIdleConnections()
		h2.CloseIdleConnections()
		_ = h3.Close()
	})
	authority := fmt.Sprintf(":%d", port)
	newClient := func(transport http.RoundTripper, protocol string) *client {
		return &client{transport: transport, base: "https://127.0.0.1" + authority, host: "localhost" + authority, protocol: protocol}
	}
	return []*client{newClient(h1, "HTTP/1.1"), newClient(h2, "HTTP/2.0"), newClient(h3, "HTTP/3.0")}
}

// awaitCertificate returns when Caddy has a certificate: it listens before its own CA has made one.
func awaitCertificate(t *testing.T, port int) {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}}
	var err error
	for range 200 {
		var conn net.Conn
		if conn, err = dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no TLS handshake within 10 s: %v", err)
}

// plainClient returns a client of http://localhost:port.
func plainClient(t *testing.T, port int) *client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	authority := fmt.Sprintf(":%d", port)
	return &client{transport: transport, base: "http://127.0.0.1" + authority, host: "localhost" + authority, protocol: "HTTP/1.1"}
}

// answer is a final response with its content, decoded.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string {
	return fmt.Sprintf("%d %v with %d bytes %.60q", a.status, a.header, len(a.body), a.body)
}

// get sends a GET with further fields and reads the whole answer.
func (c *client) get(t *testing.T, path string, header http.Header) answer {
	t.Helper()
	response := c.open(t, path, header)
	defer response.Body.Close()
	body := io.Reader(response.Body)
	if response.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
		body = unzipped
	}
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(content)}
}

// open sends a GET and returns the response when its head is there. The caller closes the body.
func (c *client) open(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = c.host
	maps.Copy(request.Header, header)
	if c.acceptEncoding != "" {
		request.Header.Set("Accept-Encoding", c.acceptEncoding)
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	if response.Proto != c.protocol {
		t.Fatalf("GET %s came over %s, want %s", path, response.Proto, c.protocol)
	}
	return response
}
