package integration

import (
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// downloaders keep files.
var downloaders = []returning{
	{name: "curl --etag-compare", field: "If-None-Match", start: startCurl, known: true},
	{name: "wget -N", field: "If-Modified-Since", start: startWget, known: true},
	{name: "aria2 --conditional-get", field: "If-Modified-Since", start: startAria2},
}

// TestDownloaders: clients that keep files get a 304 as long as nothing has changed, though the upstream makes none, and with remember it is not even
// asked.
func TestDownloaders(t *testing.T) { checkAll(t, downloaders) }

func startCurl(t *testing.T, base string) (load func() string) {
	t.Helper()
	dir := t.TempDir()
	page, tag := filepath.Join(dir, "page"), filepath.Join(dir, "tag")
	return func() string {
		runCurl(t, "--etag-save", tag, "--etag-compare", tag, "--output", page, base+"/page")
		return readDoc(t, page)
	}
}

func startWget(t *testing.T, base string) (load func() string) {
	t.Helper()
	wget, dir := program(t, "wget"), t.TempDir()
	return func() string {
		run(t, exec.CommandContext(t.Context(), wget, "-N", "-q", "--no-config", "-P", dir, base+"/page"))
		return readDoc(t, filepath.Join(dir, "page"))
	}
}

func startAria2(t *testing.T, base string) (load func() string) {
	t.Helper()
	aria2, dir := program(t, "aria2c"), t.TempDir()
	return func() string {
		run(t, exec.CommandContext(t.Context(), aria2, "--no-conf", "-q", "-d", dir,
			"--conditional-get", "--allow-overwrite", "--remote-time", base+"/page"))
		return readDoc(t, filepath.Join(dir, "page"))
	}
}

// bigFile is a file of 5 MiB no two parts of which are the same.
var bigFile = sync.OnceValue(func() string {
	octets := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(octets)
	return string(octets)
})

// partSites are ways to have a big file behind conditional_cache. In front of a shelf, which knows no ranges, all parts are
// made here.
var partSites = []struct {
	name, directives string
	nginx            bool
}{
	{name: "sliced out of the stream", directives: "conditional_cache {\nranges stream\nhead get\n}"},
	{name: "sliced out of the whole", directives: "conditional_cache {\nbuffer {\nmax_body 8MiB\nmax_delay off\n}\n}"},
	{name: "nginx", directives: "conditional_cache", nginx: true},
}

// partLoader loads a big file by ranges.
type partLoader struct {
	name  string
	begun int // octets that the client has already
	parts int // at least so many are asked for
	load  func(t *testing.T, uri, saved string) *exec.Cmd
}

var partLoaders = []partLoader{
	{name: "aria2 -c", begun: 1 << 20, parts: 1, load: func(t *testing.T, uri, saved string) *exec.Cmd {
		t.Helper()
		return exec.CommandContext(t.Context(), program(t, "aria2c"), "--no-conf", "-q", "-c", "-d", filepath.Dir(saved), "-o", filepath.Base(saved), uri)
	}},
	// At full speed, the first connection has it all before the others are answered; and one that is slow to be is given up.
	{name: "aria2 -x 4", parts: 2, load: func(t *testing.T, uri, saved string) *exec.Cmd {
		t.Helper()
		return exec.CommandContext(t.Context(), program(t, "aria2c"), "--no-conf", "-q", "-x", "4", "-s", "4", "-k", "1M", "--max-download-limit", "5M",
			"-d", filepath.Dir(saved), "-o", filepath.Base(saved), uri)
	}},
	{name: "rclone with many threads", parts: 4, load: func(t *testing.T, uri, saved string) *exec.Cmd {
		t.Helper()
		base, name := uri[:strings.LastIndex(uri, "/")], uri[strings.LastIndex(uri, "/"):]
		cmd := exec.CommandContext(t.Context(), program(t, "rclone"), "copyto", "--config", os.DevNull, "--http-url", base,
			"--multi-thread-cutoff", "1M", "--multi-thread-streams", "4", ":http:"+name, saved)
		cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(saved))
		return cmd
	}},
}

// TestDownloadsInParts: what is put together of parts is the file, whoever made them.
func TestDownloadsInParts(t *testing.T) {
	files := newPageFolder(t)
	files.write(t, "big.bin", bigFile())
	for _, site := range partSites {
		t.Run(site.name, func(t *testing.T) {
			origin, handler := startShelf(t)
			origin.put(map[string]string{"/big.bin": bigFile()}, lastDeploy.Format(http.TimeFormat))
			if site.nginx {
				handler = "reverse_proxy " + startNginx(t, files)
			}
			w := watch(t, site.directives, handler)
			for _, tt := range partLoaders {
				t.Run(tt.name, func(t *testing.T) { w.checkPartLoader(t, tt, site.nginx) })
			}
		})
	}
}

// checkPartLoader lets a client load the big file, and wants the parts to come from nginx, or from here.
func (w *watchedSite) checkPartLoader(t *testing.T, c partLoader, nginx bool) {
	t.Helper()
	saved := filepath.Join(t.TempDir(), "saved")
	if c.begun > 0 {
		if err := os.WriteFile(saved, []byte(bigFile()[:c.begun]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client, upstream := w.during(func() { run(t, c.load(t, w.base+"/big.bin", saved)) })
	if got := readDoc(t, saved); got != bigFile() {
		t.Errorf("%d bytes are saved, and are not the file of %d bytes", len(got), len(bigFile()))
	}
	client.checkParts(t, bigFile())
	parts := client.count(http.StatusPartialContent, "Range")
	if parts < c.parts {
		t.Errorf("%v: want %d parts at least", client, c.parts)
	}
	if theirs := upstream.count(http.StatusPartialContent, ""); nginx && theirs != parts || !nginx && theirs != 0 {
		t.Errorf("%d parts came from the upstream, of %d", theirs, parts)
	}
}
