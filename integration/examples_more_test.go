package integration

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// moreExamples are those whose tests are here and in examples_stores_test.go; like siteExamples they have a guide and a compose file.
var moreExamples = []string{"api", "webdav-caldav", "feeds-podcasts", "packages-registry", "s3", "behind-a-cdn"}

// upstreamOf is where an example's Caddyfile has its upstream.
var upstreamOf = regexp.MustCompile(`\{\$UPSTREAM:127\.0\.0\.1:\d+\}`)

// exampleText is the Caddyfile of an example for other addresses, with some text replaced: pairs of old and new.
func exampleText(t *testing.T, name, site, upstream string, pairs ...string) string {
	t.Helper()
	text := readDoc(t, filepath.Join("../examples", name, "Caddyfile"))
	if n := len(upstreamOf.FindAllString(text, -1)); n != 1 || strings.Count(text, "http://localhost:8080 {") != 1 {
		t.Fatalf("%s has %d upstreams, and should have one, and one site", name, n)
	}
	text = upstreamOf.ReplaceAllString(text, upstream)
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(text, pairs[i]) == 0 {
			t.Fatalf("%s: there is no %q to replace", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return strings.Replace(text, "http://localhost:8080 {", site+" {", 1)
}

// runMore runs an example before an upstream, and returns a client.
func runMore(t *testing.T, name, upstream string, pairs ...string) *client {
	t.Helper()
	port := freePort(t)
	runCaddy(t, exampleText(t, name, fmt.Sprintf("http://localhost:%d", port), upstream, pairs...))
	return plainClient(t, port)
}

// relay is a proxy that changes nothing and notes what passes.
type relay struct {
	mu   sync.Mutex
	seen []string // "GET /path 304 conditional"
}

// startRelay runs one before an address, and returns its own.
func startRelay(t *testing.T, addr string) (r *relay, own string) {
	t.Helper()
	r = new(relay)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	proxy.ModifyResponse = func(response *http.Response) error {
		note := fmt.Sprintf("%s %s %d", response.Request.Method, response.Request.URL.Path, response.StatusCode)
		if response.Request.Header.Get("If-None-Match")+response.Request.Header.Get("If-Modified-Since") != "" {
			note += " conditional"
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, note)
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return r, server.Listener.Addr().String()
}

// during returns what passes while do runs.
func (r *relay) during(do func()) []string {
	r.mu.Lock()
	before := len(r.seen)
	r.mu.Unlock()
	do()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen[before:])
}

// silent wants nothing to pass while do runs.
func (r *relay) silent(t *testing.T, what string, do func()) {
	t.Helper()
	if seen := r.during(do); len(seen) > 0 {
		t.Errorf("%s: the upstream was asked %q", what, seen)
	}
}

// TestExampleAPI: the application of examples/api compares nothing, and no update is lost.
func TestExampleAPI(t *testing.T) {
	asked, upstream := startRelay(t, startNotes(t))
	c := runMore(t, "api", upstream)
	const note = "/notes/1"

	read := c.get(t, note, nil)
	tag := read.header.Get("Etag")
	if !readmeTag.MatchString(tag) || strings.HasPrefix(tag, "W/") || read.header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("got %v, want a strong tag made here", read)
	}
	again := http.Header{"If-None-Match": {tag}, "Origin": {"http://localhost:5173"}}
	origin := http.Header{"Origin": again["Origin"]}
	c.get(t, note, origin)
	asked.silent(t, "a 304", func() {
		got := c.get(t, note, again)
		if got.status != http.StatusNotModified || got.header.Get("Access-Control-Allow-Origin") != "http://localhost:5173" || got.header.Get("Access-Control-Expose-Headers") != "ETag" {
			t.Errorf("got %v", got)
		}
	})
	again.Set("X-Api-Key", "another")
	if seen := asked.during(func() { c.get(t, note, again) }); len(seen) != 1 {
		t.Errorf("for another key the application was asked %q", seen)
	}

	problem := func(status int, fields ...string) {
		t.Helper()
		seen := asked.during(func() {
			got := c.must(t, status, http.MethodPut, note, `{"text": "Mine."}`, fields...)
			got.header.Set("Access-Control-Allow-Origin", strings.Replace(got.header.Get("Access-Control-Allow-Origin"), "http://localhost:5173", "https://app.example", 1))
			wantProblem(t, got, tag)
		})
		if strings.Contains(strings.Join(seen, ", "), http.MethodPut) {
			t.Errorf("the application was asked %q", seen)
		}
	}
	problem(http.StatusPreconditionRequired)
	problem(http.StatusPreconditionFailed, "If-Match", `"cc1.00000000000000000000000000000000"`)
	c.must(t, http.StatusNoContent, http.MethodPut, note, `{"text": "Theirs."}`, "If-Match", tag)
	if got := c.get(t, note, http.Header{"If-None-Match": {tag}}); got.status != http.StatusOK || got.body != `{"text":"Theirs."}` {
		t.Errorf("after a write: %v", got)
	} else {
		stale := tag
		tag = got.header.Get("Etag")
		problem(http.StatusPreconditionFailed, "If-Match", stale)
	}
}

// startRclone serves an empty folder over WebDAV and returns its address.
func startRclone(t *testing.T) (addr string) {
	t.Helper()
	rclone := program(t, "rclone")
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	cmd := exec.CommandContext(t.Context(), rclone, "serve", "webdav", t.TempDir(), "--addr", addr, "--config", os.DevNull)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	runUpstream(t, addr, cmd)
	return addr
}

var propertyTag = regexp.MustCompile(`<(?:\w+:)?getetag[^>]*>([^<]+)</`)

// TestExampleWebDAV: of two who save upon the same version one is refused, whoever the server is, and by whichever tag. litmus,
// which judges WebDAV servers, finds no fault.
func TestExampleWebDAV(t *testing.T) {
	for name, start := range map[string]func(*testing.T) string{"rclone": startRclone, "Apache": startWebDAV} {
		t.Run(name, func(t *testing.T) {
			asked, upstream := startRelay(t, start(t))
			c := runMore(t, "webdav-caldav", upstream)
			c.must(t, http.StatusCreated, http.MethodPut, davFile, "first", "If-None-Match", "*")
			seen := asked.during(func() {
				c.must(t, http.StatusPreconditionFailed, http.MethodPut, davFile, "second", "If-None-Match", "*")
			})
			if slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, http.MethodPut) }) {
				t.Errorf("the server was asked %q", seen)
			}
			c.saveTwice(t, c.davTag(t))
			c.must(t, http.StatusCreated, "MOVE", davFile, "", "Destination", "https://"+c.host+"/moved.ics", "Overwrite", "F")
			if got := c.get(t, "/moved.ics", nil); got.body != "third" {
				t.Errorf("moved: %v", got)
			}
		})
	}
	t.Run("litmus", func(t *testing.T) {
		c := runMore(t, "webdav-caldav", startWebDAV(t))
		cmd := exec.CommandContext(t.Context(), program(t, "litmus"), "--keep-going", "http://"+c.host+"/")
		cmd.Dir = t.TempDir() // it leaves a log there
		output, err := cmd.CombinedOutput()
		if passed := litmusPassed(string(output)); err != nil || passed != litmusTests {
			t.Errorf("%d of %d tests passed, %v\n%s", passed, litmusTests, err, output)
		}
	})
}

const davFile = "/event.ics"

// davTag is the strong tag of the file. GET and PROPFIND name the same one, and GET confirms it.
func (c *client) davTag(t *testing.T) (tag string) {
	t.Helper()
	// Apache's tag is weak as long as a file may change within the second.
	eventually(t, "a strong tag", func() bool {
		tag = c.get(t, davFile, nil).header.Get("Etag")
		return strings.HasPrefix(tag, `"`)
	})
	listed := c.must(t, http.StatusMultiStatus, "PROPFIND", davFile, "", "Depth", "0")
	if found := propertyTag.FindStringSubmatch(listed.body); found == nil || strings.ReplaceAll(found[1], "&quot;", `"`) != tag {
		t.Errorf("PROPFIND names %q, GET %s", found, tag)
	}
	if got := c.get(t, davFile, http.Header{"If-None-Match": {tag}}); got.status != http.StatusNotModified {
		t.Errorf("got %v, want a 304", got)
	}
	return tag
}

// saveTwice lets two save upon one version. The first one may.
func (c *client) saveTwice(t *testing.T, tag string) {
	t.Helper()
	var statuses []int
	for range 2 {
		got, err := c.write(t.Context(), http.MethodPut, davFile, "third", "If-Match", tag)
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, got.status)
	}
	if statuses[0]/100 != 2 || statuses[1] != http.StatusPreconditionFailed {
		t.Errorf("who save upon one version get %v", statuses)
	}
}

// feedUpstream makes a feed anew each time, and knows neither validators nor ranges.
func feedUpstream(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/rss/" {
		w.Header().Set("Content-Type", "application/rss+xml; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=0")
		_, _ = io.WriteString(w, feed(3)[feedPath])
		return
	}
	w.Header().Set("Content-Type", "audio/mpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(bigFile())))
	_, _ = io.WriteString(w, bigFile())
}

// TestExampleFeeds: readers get a 304 by tag and by date, for which the application makes no feed; and a download goes on where it
// has ended.
func TestExampleFeeds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(feedUpstream))
	defer server.Close()
	asked, upstream := startRelay(t, server.Listener.Addr().String())
	c := runMore(t, "feeds-podcasts", upstream)
	first := c.get(t, "/rss/", nil)
	if first.header.Get("Etag") == "" || first.header.Get("Last-Modified") == "" || first.header.Get("Cache-Control") != "public, max-age=900" {
		t.Fatalf("got %v", first)
	}
	for field, validator := range map[string]string{"If-None-Match": "Etag", "If-Modified-Since": "Last-Modified"} {
		asked.silent(t, field, func() {
			if got := c.get(t, "/rss/", http.Header{field: {first.header.Get(validator)}}); got.status != http.StatusNotModified {
				t.Errorf("%s: got %v", field, got)
			}
		})
	}
}

// TestExampleFeedsWhileDown: readers do not notice that the application is down, though the time of what is remembered is over.
func TestExampleFeedsWhileDown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(feedUpstream))
	defer server.Close()
	c := runMore(t, "feeds-podcasts", server.Listener.Addr().String(), "remember 5m", "remember 1s", "grace 1m", "grace 0s")
	tag := c.get(t, "/rss/", nil).header.Get("Etag")
	server.Close()
	time.Sleep(1200 * time.Millisecond)
	if got := c.get(t, "/rss/", http.Header{"If-None-Match": {tag}}); got.status != http.StatusNotModified {
		t.Errorf("got %v", got)
	}
}

// TestFeedWithABuildDate: the guide's other Caddyfile gives a 304 for a feed with another date in each answer, and the feed itself
// for a new article.
func TestFeedWithABuildDate(t *testing.T) {
	var renders, articles atomic.Int64
	articles.Store(1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		date := lastDeploy.Add(time.Duration(renders.Add(1)) * time.Second).Format(time.RFC1123Z)
		text := strings.Replace(feed(int(articles.Load()))[feedPath], "<item>", "<lastBuildDate>"+date+"</lastBuildDate><item>", 1)
		w.Header().Set("Content-Type", "application/rss+xml")
		w.Header().Set("Etag", fmt.Sprintf(`W/"%x"`, sha256.Sum256([]byte(text))))
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	port := freePort(t)
	block := codeBlocks(t, "../docs/guides/feeds-podcasts.md", "caddyfile")[1]
	// Without memory each question reaches the application, and finds another date.
	runCaddy(t, strings.NewReplacer(":8080", fmt.Sprintf(":%d", port), "127.0.0.1:2368", server.Listener.Addr().String(), "remember 5m", "").Replace(block.text))
	c := plainClient(t, port)
	fields := http.Header{"If-None-Match": {c.get(t, "/", nil).header.Get("Etag")}}
	if got := c.get(t, "/", fields); got.status != http.StatusNotModified || renders.Load() != 2 {
		t.Errorf("%d feeds were made, got %v", renders.Load(), got)
	}
	articles.Store(2)
	if got := c.get(t, "/", fields); got.status != http.StatusOK {
		t.Errorf("a new article: %v", got)
	}
}

// TestExampleEpisodes: a download goes on where it has ended, and a player gets the part it jumps to, though the application always
// sends the whole.
func TestExampleEpisodes(t *testing.T) {
	wget := program(t, "wget")
	server := httptest.NewServer(http.HandlerFunc(feedUpstream))
	defer server.Close()
	c := runMore(t, "feeds-podcasts", server.Listener.Addr().String())
	saved := filepath.Join(t.TempDir(), "episode.mp3")
	if err := os.WriteFile(saved, []byte(bigFile()[:1<<20]), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), wget, "-c", "--server-response", "--no-config", "-O", saved, "http://"+c.host+"/content/media/episode.mp3")
	if output, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(output), "206 Partial Content") {
		t.Errorf("%v\n%s", err, output)
	}
	if readDoc(t, saved) != bigFile() {
		t.Error("the file is not the episode")
	}
	c.acceptEncoding = "gzip, br" // as a browser's player may say
	part := c.get(t, "/content/media/episode.mp3", http.Header{"Range": {"bytes=1000-1999"}})
	if part.status != http.StatusPartialContent || part.body != bigFile()[1000:2000] || part.header.Get("Cache-Control") != "public, max-age=2592000, no-transform" {
		t.Errorf("got %v", part)
	}
}
