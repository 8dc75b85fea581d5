package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Debian's Django belongs to Debian's Python. Another python3 may come first in PATH.
const python = "/usr/bin/python3"

// lastDeploy is the mtime of the first version of a page: so old that it is a strong validator, and
// nothing that a build tool would set.
var lastDeploy = time.Date(2024, time.January, 2, 3, 4, 5, 0, time.UTC)

// fixedMtimes are the files of a pageFolder that keep the mtime of a build tool whatever their content:
// 1 is what Nix gives every file, 1980-01-01 the oldest date a ZIP archive can hold.
var fixedMtimes = map[string]time.Time{
	"nix.html": time.Unix(1, 0),
	"zip.html": time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC),
}

// pageFolder is a folder of HTML pages that all upstreams serve.
type pageFolder struct {
	dir     string
	version int
}

// newPageFolder returns a folder with the first version of its pages: page.html, template.html (for
// Caddy's templates) and one for each of fixedMtimes.
func newPageFolder(t *testing.T) *pageFolder {
	t.Helper()
	p := &pageFolder{dir: t.TempDir()}
	p.change(t)
	return p
}

// change gives every page other content of the same size, and a later mtime unless it is fixed.
func (p *pageFolder) change(t *testing.T) {
	t.Helper()
	p.version++
	p.write(t, "page.html", p.content())
	p.write(t, "template.html", strings.ReplaceAll(p.content(), "Version", `{{"Version"}}`))
	for name := range fixedMtimes {
		p.write(t, name, p.content())
	}
}

// content is the current version. It is longer than what encode leaves uncompressed.
func (p *pageFolder) content() string {
	return fmt.Sprintf("<!doctype html><title>Version %06d</title>", p.version) + strings.Repeat("\n<p>The same text as before.</p>", 50)
}

func (p *pageFolder) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	mtime, fixed := fixedMtimes[name]
	if !fixed {
		mtime = lastDeploy.AddDate(0, 0, p.version)
	}
	if err := os.Chtimes(path, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}

// startNginx serves a folder and returns its address. Below /untagged/ the same files come without ETag.
func startNginx(t *testing.T, pages *pageFolder) (addr string) {
	t.Helper()
	return runNginx(t, "nginx.conf", pages.dir)
}

// runNginx runs a configuration of testdata/nginx on a folder and returns its address.
func runNginx(t *testing.T, config, dir string) (addr string) {
	t.Helper()
	_, err := exec.LookPath("nginx")
	requireProgram(t, err == nil, "nginx")
	template, err := os.ReadFile(filepath.Join("testdata/nginx", config))
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(freePort(t))
	prefix := t.TempDir()
	conf := filepath.Join(prefix, "nginx.conf")
	filled := strings.NewReplacer("{port}", port, "{root}", dir).Replace(string(template))
	if err := os.WriteFile(conf, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	addr = net.JoinHostPort("127.0.0.1", port)
	// -e: until it has read its configuration, nginx logs to a file only root may write.
	runUpstream(t, addr, exec.CommandContext(t.Context(), "nginx", "-p", prefix, "-c", conf, "-e", "stderr"))
	return addr
}

// startDjango runs the project with pages and returns its address.
func startDjango(t *testing.T, pages *pageFolder) (addr string) {
	t.Helper()
	return runDjango(t, "pages", "PAGES="+pages.dir)
}

// runDjango runs a project of testdata/django with further environment variables and returns its address.
func runDjango(t *testing.T, project string, env ...string) (addr string) {
	t.Helper()
	return runGunicorn(t, "testdata/django", project+":application", env...)
}

// runGunicorn runs a Django project of a folder with further environment variables and returns its address.
func runGunicorn(t *testing.T, dir, application string, env ...string) (addr string) {
	t.Helper()
	check := exec.CommandContext(t.Context(), python, "-c", "import django, gunicorn")
	requireProgram(t, check.Run() == nil, "Django with gunicorn for "+python)
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	cmd := exec.CommandContext(t.Context(), python, "-m", "gunicorn",
		// One process, or there would be several counters of renders.
		"--workers", "1", "--worker-class", "gthread", "--threads", "4", "--worker-tmp-dir", t.TempDir(),
		"--chdir", dir, "--bind", addr, "--log-level", "warning", application)
	cmd.Env = slices.Concat(os.Environ(), env, []string{"PYTHONDONTWRITEBYTECODE=1"})
	runUpstream(t, addr, cmd)
	return addr
}

// startUvicorn runs testdata/starlette on a folder and returns its port.
func startUvicorn(t *testing.T, dir string) (port int) {
	t.Helper()
	check := exec.CommandContext(t.Context(), python, "-c", "import fastapi, starlette.staticfiles, uvicorn")
	requireProgram(t, check.Run() == nil, "FastAPI with uvicorn for "+python)
	port = freePort(t)
	cmd := exec.CommandContext(t.Context(), python, "-m", "uvicorn",
		"--app-dir", "testdata/starlette", "--port", strconv.Itoa(port), "--log-level", "warning", "files:app")
	cmd.Env = append(os.Environ(), "PAGES="+dir, "PYTHONDONTWRITEBYTECODE=1")
	runUpstream(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), cmd)
	return port
}

// runUpstream runs a command, made with the context of the test, until the test ends. It returns when
// addr takes connections.
func runUpstream(t *testing.T, addr string, cmd *exec.Cmd) {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// An interrupt makes nginx and gunicorn end at once, with their children. Whoever does not is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		<-exited
		if t.Failed() {
			t.Logf("%s: %v\n%s", cmd.Path, cmd.ProcessState, output.String())
		}
	})
	awaitConnections(t, addr, exited)
}

// awaitConnections returns when addr takes connections, and fails when it never does.
func awaitConnections(t *testing.T, addr string, exited <-chan struct{}) {
	t.Helper()
	dialer := net.Dialer{Timeout: time.Second}
	for range 600 {
		conn, err := dialer.DialContext(t.Context(), "tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-exited:
			t.Fatalf("the upstream at %s ended", addr)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("nothing listens at %s", addr)
}
