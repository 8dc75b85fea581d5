package integration

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // an object store makes its tags so
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// pushImage pushes the blobs of an image, and returns the path of its largest blob.
func pushImage(t *testing.T, c *client, files map[string]string) (blob string) {
	t.Helper()
	const repository = "/v2/example"
	largest := -1
	for name, content := range files {
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(name) {
			continue
		}
		begun := c.must(t, http.StatusAccepted, http.MethodPost, repository+"/blobs/uploads/", "")
		place, err := url.Parse(begun.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		c.must(t, http.StatusCreated, http.MethodPut, place.RequestURI()+"&digest=sha256:"+name, content, "Content-Type", "application/octet-stream")
		if len(content) > largest {
			largest, blob = len(content), repository+"/blobs/sha256:"+name
		}
	}
	return blob
}

// TestExampleRegistry: a 304 for a tag does not reach docker-registry until something is pushed there, and a layer is loaded in parts.
func TestExampleRegistry(t *testing.T) {
	asked, upstream := startRelay(t, startRegistry(t))
	c := runMore(t, "packages-registry", upstream)
	_, files := newImage(t)
	layer := pushImage(t, c, files)
	const latest, kind = "/v2/example/manifests/latest", "application/vnd.docker.distribution.manifest.v2+json"
	c.must(t, http.StatusCreated, http.MethodPut, latest, files["manifest.json"], "Content-Type", kind)
	fields := http.Header{"Accept": {kind}}
	first := c.get(t, latest, fields)
	if first.body != files["manifest.json"] || first.header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("got %v", first)
	}
	fields.Set("If-None-Match", first.header.Get("Etag"))
	asked.silent(t, "a manifest", func() {
		if got := c.get(t, latest, fields); got.status != http.StatusNotModified {
			t.Errorf("got %v", got)
		}
	})
	c.must(t, http.StatusCreated, http.MethodPut, latest, files["manifest.json"]+"\n", "Content-Type", kind)
	if got := c.get(t, latest, fields); got.status != http.StatusOK || got.body != files["manifest.json"]+"\n" {
		t.Errorf("after a push: %v", got)
	}
	whole := c.get(t, layer, nil)
	part := c.get(t, layer, http.Header{"Range": {"bytes=1000000-"}, "If-Range": {whole.header.Get("Etag")}})
	if part.status != http.StatusPartialContent || part.body != whole.body[1000000:] {
		t.Errorf("got %v", part)
	}
	if control := whole.header.Get("Cache-Control"); !strings.Contains(control, "max-age=31536000") {
		t.Errorf("a layer has %q", control)
	}
}

// TestExampleRepositories: packages never change, indexes are asked for, and many parts of one are sent at a time, though the server
// knows neither tags nor parts.
func TestExampleRepositories(t *testing.T) {
	origin, handler := startShelf(t)
	origin.header = http.Header{"Content-Type": {"application/octet-stream"}}
	index := bigFile()[:1<<20]
	origin.put(map[string]string{"/repodata/primary.xml.zck": index, "/pool/example_1_all.deb": bigFile(), "/simple/example/": longText}, "")
	asked, upstream := startRelay(t, strings.TrimPrefix(handler, "reverse_proxy "))
	c := runMore(t, "packages-registry", upstream)
	for path, want := range map[string]string{
		"/pool/example_1_all.deb":   "public, max-age=31536000, immutable, no-transform",
		"/repodata/primary.xml.zck": "no-cache",
	} {
		if got := c.get(t, path, nil).header.Get("Cache-Control"); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	tag := c.get(t, "/simple/example/", nil).header.Get("Etag")
	asked.silent(t, "an index", func() {
		if got := c.get(t, "/simple/example/", http.Header{"If-None-Match": {tag}}); got.status != http.StatusNotModified {
			t.Errorf("got %v", got)
		}
	})
	var ranges []string
	for i := range 255 {
		ranges = append(ranges, fmt.Sprintf("%d-%d", i*4000, i*4000+999))
	}
	got := c.get(t, "/repodata/primary.xml.zck", http.Header{"Range": {"bytes=" + strings.Join(ranges, ",")}})
	_, parameters, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil || got.status != http.StatusPartialContent {
		t.Fatalf("got %v, %v", got, err)
	}
	reader, n := multipart.NewReader(strings.NewReader(got.body), parameters["boundary"]), 0
	for ; ; n++ {
		part, err := reader.NextPart()
		if err != nil {
			break
		}
		content, err := io.ReadAll(part)
		if err != nil || string(content) != index[n*4000:n*4000+1000] {
			t.Errorf("part %d: %v", n, err)
		}
	}
	if n != len(ranges) {
		t.Errorf("%d parts, want %d", n, len(ranges))
	}
	if part := c.get(t, "/pool/example_1_all.deb", http.Header{"Range": {"bytes=-10"}}); part.status != http.StatusPartialContent || part.body != bigFile()[len(bigFile())-10:] {
		t.Errorf("got %v", part)
	}
}

// objectStore speaks as much S3 as is needed here: every request but those below /public/ has to be signed.
type objectStore struct {
	mu      sync.Mutex
	objects map[string]string
	expired bool     // links are
	uris    []string // as they came
}

const storeSecret = "a secret"

// signature is that of a request whose signed fields are as they are here (AWS Signature Version 4, in a query). The date and the
// place are parts of a real key; here they are left out.
func signature(method, host, path string, query url.Values, header http.Header) string {
	query = maps.Clone(query)
	query.Del("X-Amz-Signature")
	text := strings.Join([]string{method, path, query.Encode(), host}, "\n")
	for name := range strings.SplitSeq(query.Get("X-Amz-SignedHeaders"), ";") {
		if name != "host" {
			text += "\n" + name + ":" + strings.Join(header.Values(name), ",")
		}
	}
	mac := hmac.New(sha256.New, []byte(storeSecret))
	_, _ = mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// presigned is the path and query of a request with some fields.
func presigned(method, host, path string, query url.Values, fields ...string) string {
	header, names := make(http.Header), []string{"host"}
	for i := 0; i < len(fields); i += 2 {
		header.Add(fields[i], fields[i+1])
		names = append(names, strings.ToLower(fields[i]))
	}
	slices.Sort(names)
	all := url.Values{"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Expires": {"60"}, "X-Amz-SignedHeaders": {strings.Join(names, ";")}}
	maps.Copy(all, query)
	all.Set("X-Amz-Signature", signature(method, host, path, all, header))
	return path + "?" + all.Encode()
}

func (s *objectStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uris = append(s.uris, r.Method+" "+r.RequestURI)
	query := r.URL.Query()
	if !strings.HasPrefix(r.URL.Path, "/public/") && (s.expired || query.Get("X-Amz-Signature") != signature(r.Method, r.Host, r.URL.Path, query, r.Header)) {
		http.Error(w, "<Code>SignatureDoesNotMatch</Code>", http.StatusForbidden)
		return
	}
	object, exists := s.objects[r.URL.Path]
	tag := fmt.Sprintf(`"%x"`, md5.Sum([]byte(object))) //nolint:gosec // as above
	if r.Method != http.MethodPut {
		w.Header().Set("Etag", tag)
		http.ServeContent(w, r, "object.bin", lastDeploy, strings.NewReader(object))
		return
	}
	content, _ := io.ReadAll(r.Body)
	match := r.Header.Get("If-Match")
	if exists && r.Header.Get("If-None-Match") == "*" || match != "" && match != tag {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	w.Header().Set("Etag", fmt.Sprintf(`"%x"`, md5.Sum(content))) //nolint:gosec // as above
	if query.Get("partNumber") == "" {
		s.objects[r.URL.Path] = string(content)
	}
}

// signedRequests are what clients of an object store ask, and what it answers. {tag} is the object's.
var signedRequests = []struct {
	title, method, path string
	query               url.Values
	fields              []string
	status              int
}{
	{title: "get", method: "GET", path: "/bucket/a", status: 200},
	{title: "head", method: "HEAD", path: "/bucket/a", status: 200},
	{title: "tag", method: "GET", path: "/bucket/a", fields: []string{"If-None-Match", "{tag}"}, status: 304},
	{title: "date", method: "GET", path: "/bucket/a", fields: []string{"If-Modified-Since", lastDeploy.Format(http.TimeFormat)}, status: 304},
	{title: "if-match", method: "GET", path: "/bucket/a", fields: []string{"If-Match", "{tag}"}, status: 200},
	{title: "range", method: "GET", path: "/bucket/a", fields: []string{"Range", "bytes=2-5"}, status: 206},
	{title: "rest", method: "GET", path: "/bucket/a", fields: []string{"Range", "bytes=6-", "If-Match", "{tag}"}, status: 206},
	{title: "create", method: "PUT", path: "/bucket/a", fields: []string{"If-None-Match", "*"}, status: 412},
	{title: "part", method: "PUT", path: "/bucket/b", query: url.Values{"partNumber": {"1"}, "uploadId": {"x"}}, status: 200},
	{title: "overwrite", method: "PUT", path: "/bucket/a", fields: []string{"If-Match", "{tag}"}, status: 200},
	{title: "overwritten", method: "PUT", path: "/bucket/a", fields: []string{"If-Match", "{tag}"}, status: 412},
}

// askSigned makes all of these requests, and returns the titles of those that the store refused.
func (s *objectStore) askSigned(t *testing.T, c *client) (refused []string) {
	t.Helper()
	const object = "0123456789"
	s.objects = map[string]string{"/bucket/a": object}
	tag := fmt.Sprintf(`"%x"`, md5.Sum([]byte(object))) //nolint:gosec // as above
	for _, tt := range signedRequests {
		fields := slices.Clone(tt.fields)
		for i := range fields {
			fields[i] = strings.ReplaceAll(fields[i], "{tag}", tag)
		}
		uri := presigned(tt.method, c.host, tt.path, tt.query, fields...)
		got, err := c.write(t.Context(), tt.method, uri, map[string]string{"PUT": "another"}[tt.method], fields...)
		s.mu.Lock()
		last := s.uris[len(s.uris)-1]
		s.mu.Unlock()
		switch {
		case err != nil:
			t.Errorf("%s: %v", tt.title, err)
		case got.status != tt.status || last != tt.method+" "+uri:
			refused = append(refused, tt.title)
		case tt.title == "part" && got.header.Get("Etag") == "":
			t.Error("the answer to a part names no tag")
		}
	}
	return refused
}

// TestExampleS3: what is signed reaches the store as it was signed. What the guide warns of is refused by the store.
func TestExampleS3(t *testing.T) {
	const bare = "\tconditional_cache\n"
	for name, tt := range map[string]struct {
		block   string
		refused string
	}{
		"the example":      {block: "conditional_cache"},
		"existing replace": {block: "conditional_cache {\n etag strong {\n existing replace\n }\n}", refused: "tag date if-match range rest"},
		"guard_writes":     {block: "conditional_cache {\n etag strong\n guard_writes\n}", refused: "create overwrite overwritten"},
		"head get":         {block: "conditional_cache {\n head get\n}", refused: "head"},
		"from first_seen":  {block: "conditional_cache {\n last_modified normalize {\n from first_seen\n }\n}", refused: "date"},
	} {
		t.Run(name, func(t *testing.T) {
			store := new(objectStore)
			server := httptest.NewServer(store)
			t.Cleanup(server.Close)
			c := runMore(t, "s3", server.Listener.Addr().String(), bare, tt.block+"\n")
			if refused := strings.Join(store.askSigned(t, c), " "); refused != tt.refused {
				t.Errorf("refused: %q, want %q", refused, tt.refused)
			}
		})
	}
}

// TestExampleS3Memory: of a public bucket a 304 comes from memory; of a link that has run out it would, if links were remembered.
func TestExampleS3Memory(t *testing.T) {
	store := &objectStore{objects: map[string]string{"/bucket/a": "0123456789", "/public/a": "0123456789"}}
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	for name, tt := range map[string]struct {
		block  string
		status int
	}{"the example": {"conditional_cache", http.StatusForbidden}, "remember": {"conditional_cache {\n remember 1m\n}", http.StatusNotModified}} {
		t.Run(name, func(t *testing.T) {
			asked, upstream := startRelay(t, server.Listener.Addr().String())
			c := runMore(t, "s3", upstream, "\tconditional_cache\n", tt.block+"\n")
			tag := c.get(t, "/public/a", nil).header.Get("Etag")
			asked.silent(t, "public", func() {
				got := c.get(t, "/public/a", http.Header{"If-None-Match": {tag}})
				if got.status != http.StatusNotModified || got.header.Get("Cache-Control") != "public, max-age=300, stale-while-revalidate=3600" {
					t.Errorf("got %v", got)
				}
			})
			// The relay keeps the host, which is signed.
			link := presigned(http.MethodGet, c.host, "/bucket/a", nil)
			store.expired = false
			c.must(t, http.StatusOK, http.MethodGet, link, "")
			store.expired = true
			c.must(t, tt.status, http.MethodGet, link, "", "If-None-Match", tag)
		})
	}
}

// pageUpstream makes the same page each time, and for some a cookie.
func pageUpstream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.URL.Path == "/login" {
		w.Header().Set("Set-Cookie", "session=1")
	}
	_, _ = io.WriteString(w, onePage(1))
}

// TestExampleCDN: what a CDN is told, what it gets when it asks again, and how a purge is seen.
func TestExampleCDN(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(pageUpstream))
	t.Cleanup(server.Close)
	asked, upstream := startRelay(t, server.Listener.Addr().String())
	a := runAdmin(t, "", exampleText(t, "behind-a-cdn", "http://localhost:%d", upstream))
	c := plainClient(t, a.port)
	c.acceptEncoding = "gzip"
	page := c.get(t, "/", nil)
	tag, date := page.header.Get("Etag"), page.header.Get("Last-Modified")
	if strings.HasPrefix(tag, "W/") || date == "" || page.header.Get("Cache-Control") != "s-maxage=600, max-age=0, stale-while-revalidate=86400, stale-if-error=86400" {
		t.Fatalf("got %v", page)
	}
	for condition, fields := range map[string]http.Header{
		"the tag":                     {"If-None-Match": {tag}},
		"the tag, weakened":           {"If-None-Match": {"W/" + tag}},
		"the tag, coded":              {"If-None-Match": {strings.TrimSuffix(tag, `"`) + `-gzip"`}},
		"the date, without any tag":   {"If-Modified-Since": {date}},
		"the tag, and the date by it": {"If-None-Match": {tag}, "If-Modified-Since": {date}},
	} {
		asked.silent(t, condition, func() {
			got := c.get(t, "/", fields)
			if got.status != http.StatusNotModified || got.header.Get("Cache-Control") != page.header.Get("Cache-Control") || got.header.Get("Age") == "" || got.header.Get("Last-Modified") != date {
				t.Errorf("%s: got %v", condition, got)
			}
		})
	}
	if got := c.get(t, "/", http.Header{"Range": {"bytes=0-9"}}); got.status != http.StatusPartialContent {
		t.Errorf("a part: %v", got)
	}
	if got := c.get(t, "/login", nil).header.Get("Cache-Control"); strings.Contains(got, "s-maxage") || !strings.Contains(got, "private") {
		t.Errorf("beside a cookie: %q", got)
	}
	a.purge(fmt.Sprintf(`{"url": "http://localhost:%d/"}`, a.port), `{"purged":["memory"]}`)
	if seen := asked.during(func() { c.get(t, "/", http.Header{"If-None-Match": {tag}}) }); len(seen) != 1 {
		t.Errorf("after a purge the application was asked %q", seen)
	}
}

// TestExampleCDNVarnish: Varnish, with the VCL of the example, asks with a condition when a page's time is over, and keeps the page
// for as long again. Others who ask then get their 304 without the application.
func TestExampleCDNVarnish(t *testing.T) {
	varnishd := program(t, "varnishd")
	server := httptest.NewServer(http.HandlerFunc(pageUpstream))
	t.Cleanup(server.Close)
	application, upstream := startRelay(t, server.Listener.Addr().String())
	port := freePort(t)
	runCaddy(t, exampleText(t, "behind-a-cdn", fmt.Sprintf("http://localhost:%d", port), upstream, "s-maxage=10m", "s-maxage=3", "remember 1m", "remember 2s"))
	origin, addr := startRelay(t, fmt.Sprintf("127.0.0.1:%d", port))
	own := freePort(t)
	startVarnish(t, varnishd, own, addr)
	c := plainClient(t, own)
	first := c.get(t, "/", nil)
	tag := http.Header{"If-None-Match": {first.header.Get("Etag")}}
	if first.status != http.StatusOK || first.body != onePage(1) {
		t.Fatalf("got %v", first)
	}
	seen := origin.during(func() {
		eventually(t, "a question of Varnish", func() bool {
			if got := c.get(t, "/", nil); got.status != http.StatusOK || got.body != onePage(1) {
				t.Fatalf("got %v", got)
			}
			return len(origin.during(func() { time.Sleep(100 * time.Millisecond) })) > 0
		})
	})
	if unlike := slices.DeleteFunc(slices.Clone(seen), func(one string) bool { return one == "GET / 304 conditional" }); len(seen) == 0 || len(unlike) > 0 {
		t.Errorf("Varnish asked %q", seen)
	}
	application.silent(t, "another node of the CDN", func() {
		other := plainClient(t, port)
		other.host = c.host // a CDN asks by the name of the site
		if got := other.get(t, "/", tag); got.status != http.StatusNotModified || got.header.Get("Age") > "1" {
			t.Errorf("got %v", got)
		}
	})
	origin.silent(t, "Varnish has the page again", func() {
		if got := c.get(t, "/", tag); got.status != http.StatusNotModified {
			t.Errorf("to a browser: %v", got)
		}
	})
}

// startVarnish runs Varnish with the example's VCL before an address.
func startVarnish(t *testing.T, varnishd string, port int, upstream string) {
	t.Helper()
	vcl, folder := filepath.Join(t.TempDir(), "default.vcl"), t.TempDir()
	openFolders(t, folder)
	host, upstreamPort, err := net.SplitHostPort(upstream)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"caddy"`, strconv.Quote(host), `"8080"`, strconv.Quote(upstreamPort)).Replace(readDoc(t, "../examples/behind-a-cdn/default.vcl"))
	if err := os.WriteFile(vcl, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	runUpstream(t, listen, exec.CommandContext(t.Context(), varnishd, "-F", "-j", "none", "-n", folder, "-a", listen, "-f", vcl, "-s", "malloc,16m"))
}
