package integration

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What the guides of moreExamples show is typed here, before their own examples and real servers.

// startNotes runs the application of examples/api, and returns its address.
func startNotes(t *testing.T) (addr string) {
	t.Helper()
	port := strconv.Itoa(freePort(t))
	cmd := exec.CommandContext(t.Context(), program(t, "node"), "../examples/api/server.mjs")
	cmd.Env = append(os.Environ(), "PORT="+port)
	addr = net.JoinHostPort("127.0.0.1", port)
	runUpstream(t, addr, cmd)
	return addr
}

// TestGuideAPI: the transcripts, and then the loop of a client, by Node.js in the place of a browser.
func TestGuideAPI(t *testing.T) {
	c := runMore(t, "api", startNotes(t))
	checkGuide(t, "api", c)
	script := filepath.Join(t.TempDir(), "client.mjs")
	scripts := codeBlocks(t, "../docs/guides/api.md", "js")
	if len(scripts) != 1 {
		t.Fatalf("%d scripts", len(scripts))
	}
	writeFiles(t, map[string]string{script: fmt.Sprintf("const url = 'http://%s/notes/1';\n%s\nconsole.log(saved.status);\n", c.host, scripts[0].text)})
	if status := run(t, exec.CommandContext(t.Context(), program(t, "node"), script)); status != "204\n" {
		t.Errorf("the loop ends with %q", status)
	}
	mustSay(t, c.get(t, "/notes/1", nil), `"text":"Mine."`)
}

// TestGuideWebDAV: with rclone as in examples/webdav-caldav/compose.yml.
func TestGuideWebDAV(t *testing.T) {
	checkGuide(t, "webdav-caldav", runMore(t, "webdav-caldav", startRclone(t)))
}

// TestGuideFeeds: with files that nginx sends as an application does that renders its feed and knows no parts.
func TestGuideFeeds(t *testing.T) {
	dir := t.TempDir()
	media := filepath.Join(dir, "content", "media")
	if err := os.MkdirAll(media, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, map[string]string{filepath.Join(dir, "rss.xml"): feed(3)[feedPath], filepath.Join(media, "1.mp3"): bigFile()[:5_000_000]})
	checkGuide(t, "feeds-podcasts", runMore(t, "feeds-podcasts", runNginx(t, "feeds.conf", dir)))
}

// TestGuideRegistry: with docker-registry, and an image that is the same one each time.
func TestGuideRegistry(t *testing.T) {
	c := runMore(t, "packages-registry", startRegistry(t))
	const kind = "application/vnd.oci.image."
	config, layer := `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`, bigFile()[:2_000_000]
	pushImage(t, c, map[string]string{sha256Hex(config): config, sha256Hex(layer): layer})
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":%d,"digest":"sha256:%s"},"layers":[{"mediaType":%q,"size":%d,"digest":"sha256:%s"}]}`,
		kind+"manifest.v1+json", kind+"config.v1+json", len(config), sha256Hex(config), kind+"layer.v1.tar", len(layer), sha256Hex(layer))
	c.must(t, http.StatusCreated, http.MethodPut, "/v2/example/manifests/latest", manifest, "Content-Type", kind+"manifest.v1+json")
	checkGuide(t, "packages-registry", c)
}

// TestGuideS3: with nginx, which sends what an object store sends. Debian has no server that speaks S3. Where moto is installed,
// which does, TestGuideS3WithMoto types the same.
func TestGuideS3(t *testing.T) {
	dir := publicFolder(t, "public/hello.txt", "hello\n")
	checkGuide(t, "s3", runMore(t, "s3", runNginx(t, "s3.conf", dir)))
}

// TestGuideS3WithMoto: the shell's block of the guide makes a bucket and a link by the command line of AWS, and the link is
// followed. No package of Debian has moto, so that this test is never required.
func TestGuideS3WithMoto(t *testing.T) {
	interpreter, err := exec.LookPath("python3")
	if err != nil || exec.CommandContext(t.Context(), interpreter, "-c", "import moto.server, awscli").Run() != nil {
		t.Skip("moto and awscli are not installed for python3")
	}
	port := strconv.Itoa(freePort(t))
	addr := net.JoinHostPort("127.0.0.1", port)
	runUpstream(t, addr, exec.CommandContext(t.Context(), interpreter, "-m", "moto.server", "-H", "127.0.0.1", "-p", port))
	// moto puts a field on each answer that the store of the guide does not have.
	c := runMore(t, "s3", addr, "\tconditional_cache\n", "\theader -Access-Control-Allow-Origin\n\tconditional_cache\n")
	x := openTerminal(t, "localhost:8080", c.host)
	writeFiles(t, map[string]string{filepath.Join(x.home, "README.md"): "read me\n", filepath.Join(x.home, "hello.txt"): "hello\n"})
	block := codeBlocks(t, "../docs/guides/s3.md", "sh")[0].text
	if out := x.run(t, block); !strings.Contains(out, "HTTP/1.1 200 OK\n") || !strings.HasSuffix(out, "\nread me\n") {
		t.Errorf("the link is answered with\n%s", out)
	}
	keys, _, _ := strings.Cut(block, "\n")
	x.run(t, keys+"\naws --endpoint-url http://localhost:8080 s3 mb s3://public\naws --endpoint-url http://localhost:8080 s3 cp --acl public-read hello.txt s3://public/hello.txt")
	x.replayPage(t, "../docs/guides/s3.md")
}

// TestGuideCDN: with nginx in the place of the application and Varnish in the place of the CDN, as in
// examples/behind-a-cdn/compose.yml.
func TestGuideCDN(t *testing.T) {
	varnishd := program(t, "varnishd")
	dir := publicFolder(t, "index.html", "<!doctype html>\n<title>Home</title>\n<p>The same for everybody.</p>\n")
	c := runMore(t, "behind-a-cdn", runNginx(t, "nginx.conf", dir))
	port := freePort(t)
	startVarnish(t, varnishd, port, "127.0.0.1:"+c.host[strings.LastIndex(c.host, ":")+1:])
	checkGuide(t, "behind-a-cdn", c, plainClient(t, port))
}

func sha256Hex(content string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
}
