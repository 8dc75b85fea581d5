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

	"go.yaml.in/yaml/v3"
)

// moreExamples are the guides whose examples are tested here.
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
	return strings.Replace(text, "http://localhost:8080", site, 1)
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

// composeFile is what is read of a compose file.
type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
}

type composeService struct {
	Image string
	Build struct {
		Context    string
		Dockerfile string
	}
	Environment map[string]string
	Ports       []string
	Volumes     []string
	DependsOn   []string `yaml:"depends_on"`
	Command     []string
	User        string
}

// TestComposeFiles: they are as Compose wants them, and name what is there.
func TestComposeFiles(t *testing.T) {
	for _, name := range moreExamples {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join("../examples", name)
			decoder := yaml.NewDecoder(strings.NewReader(readDoc(t, filepath.Join(folder, "compose.yml"))))
			decoder.KnownFields(true)
			var file composeFile
			if err := decoder.Decode(&file); err != nil {
				t.Fatal(err)
			}
			file.checkCaddy(t, folder)
			file.checkServices(t, folder)
		})
	}
}

var taggedService = regexp.MustCompile(`^[a-z0-9./-]+:[A-Za-z.-]*\d`)

// checkServices wants images with the tag of a version, volumes that exist, and one port that is published, on this machine only.
func (f *composeFile) checkServices(t *testing.T, folder string) {
	t.Helper()
	var ports []string
	for name, service := range f.Services {
		if service.Image == "" || name != "caddy" && !taggedService.MatchString(service.Image) {
			t.Errorf("%s is %q, without the tag of a version", name, service.Image)
		}
		for _, volume := range service.Volumes {
			f.checkVolume(t, folder, volume)
		}
		ports = append(ports, service.Ports...)
	}
	if len(ports) != 1 || !strings.HasPrefix(ports[0], "127.0.0.1:8080:") {
		t.Errorf("%q are published", ports)
	}
}

// checkCaddy wants Caddy to be built of this repository, with the Caddyfile of the example before one of the services.
func (f *composeFile) checkCaddy(t *testing.T, folder string) {
	t.Helper()
	caddy := f.Services["caddy"]
	root := filepath.Join(folder, caddy.Build.Context)
	if _, err := os.Stat(filepath.Join(root, caddy.Build.Dockerfile)); err != nil || root != ".." {
		t.Errorf("Caddy is built of %q and %q: %v", caddy.Build.Context, caddy.Build.Dockerfile, err)
	}
	app, port, _ := strings.Cut(caddy.Environment["UPSTREAM"], ":")
	if _, exists := f.Services[app]; !exists || !slices.Contains(caddy.DependsOn, app) || port == "" {
		t.Errorf("UPSTREAM is %q", caddy.Environment["UPSTREAM"])
	}
	if !slices.Contains(caddy.Volumes, "./Caddyfile:/etc/caddy/Caddyfile:ro") {
		t.Errorf("Caddy gets %q", caddy.Volumes)
	}
}

// checkVolume wants a file to exist, or a volume to be named.
func (f *composeFile) checkVolume(t *testing.T, folder, volume string) {
	t.Helper()
	source, _, _ := strings.Cut(volume, ":")
	if strings.HasPrefix(source, "./") {
		if _, err := os.Stat(filepath.Join(folder, source)); err != nil {
			t.Error(err)
		}
	} else if _, named := f.Volumes[source]; !named {
		t.Errorf("there is no volume %s", source)
	}
}

// TestMoreExamplesAreValid: they are formatted, and Caddy has nothing to say against them.
func TestMoreExamplesAreValid(t *testing.T) {
	for _, name := range append([]string{"docker"}, moreExamples...) {
		file := filepath.Join("../examples", name, "Caddyfile")
		validateDoc(t, file, adaptDoc(t, file, readDoc(t, file)))
	}
}

// TestGuidesShowTheExamples: what a guide shows first is the file that it names, and further Caddyfiles are valid as well.
func TestGuidesShowTheExamples(t *testing.T) {
	for _, name := range moreExamples {
		blocks := codeBlocks(t, filepath.Join("../docs/guides", name+".md"), "caddyfile")
		if len(blocks) == 0 || blocks[0].text != readDoc(t, filepath.Join("../examples", name, "Caddyfile")) {
			t.Errorf("docs/guides/%s.md shows another file than examples/%[1]s/Caddyfile", name)
			continue
		}
		for _, block := range blocks[1:] {
			validateDoc(t, block.where, adaptDoc(t, block.where, block.text))
		}
	}
}

// TestExampleAPI: the application of examples/api compares nothing, and no update is lost.
func TestExampleAPI(t *testing.T) {
	node := program(t, "node")
	port := strconv.Itoa(freePort(t))
	cmd := exec.CommandContext(t.Context(), node, "../examples/api/server.mjs")
	cmd.Env = append(os.Environ(), "PORT="+port)
	addr := net.JoinHostPort("127.0.0.1", port)
	runUpstream(t, addr, cmd)
	asked, upstream := startRelay(t, addr)
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

// pushImage pushes the blobs of an image, and returns the path of its largest blob.
func pushImage(t *testing.T, c *client, files map[string]string) (blob string) {
	t.Helper()
	const repository = "/v2/example"
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
		if len(content) == max(len(content), len(files[filepath.Base(blob)])) {
			blob = repository + "/blobs/sha256:" + name
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
	if len(seen) != 1 || seen[0] != "GET / 304 conditional" {
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
