package integration

import (
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// embedded is what an embeddedFS serves now.
var embedded atomic.Pointer[fstest.MapFS]

func init() {
	caddy.RegisterModule(embeddedFS{})
}

// embeddedFS is a Caddy file system module like those that serve files built into the program: no file has
// an mtime, and a new version of the program may bring other content of the same size.
type embeddedFS struct{}

// CaddyModule returns the Caddy module information.
func (embeddedFS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.fs.embedded_test", New: func() caddy.Module { return embeddedFS{} }}
}

// UnmarshalCaddyfile takes no options.
func (embeddedFS) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// Open implements fs.FS.
func (embeddedFS) Open(name string) (fs.File, error) { return embedded.Load().Open(name) }

func embed(content string) {
	embedded.Store(&fstest.MapFS{"page.html": {Data: []byte(content)}})
}

// fileSites runs Caddy with one file_server twice, with and without conditional_cache, and returns a client of
// each. Next to the files of the folder, /embedded/ has those of embeddedFS.
func fileSites(t *testing.T, pages *pageFolder) (with, without *client) {
	t.Helper()
	const site = `
		handle_path /embedded/* {
			file_server {
				fs embedded
			}
		}
		handle {
			root %[2]s
			file_server
		}
	`
	ports := [2]int{freePort(t), freePort(t)}
	runCaddyWith(t, "filesystem embedded embedded_test", fmt.Sprintf(
		"http://localhost:%[1]d {\n conditional_cache\n"+site+"}\nhttp://localhost:%[3]d {"+site+"}",
		ports[0], pages.dir, ports[1]))
	return plainClient(t, ports[0]), plainClient(t, ports[1])
}

// untrustedFiles are those whose mtime says nothing about their content.
var untrustedFiles = []string{"/embedded/page.html", "/nix.html", "/zip.html"}

// deploy changes the content of every file, but neither the size nor a fixed mtime.
func deploy(t *testing.T, pages *pageFolder) {
	t.Helper()
	pages.change(t)
	embed(pages.content())
}

// Files with a meaningless mtime are tagged by their content, and send no date.
func TestFilesWithMeaninglessMtime(t *testing.T) {
	pages := newPageFolder(t)
	embed(pages.content())
	c, _ := fileSites(t, pages)
	tag := regexp.MustCompile(`^(W/)?"` + ownTag + `"$`)
	for _, coding := range []string{"identity", "gzip"} {
		c.acceptEncoding = coding
		for _, path := range untrustedFiles {
			t.Run(coding+path, func(t *testing.T) {
				first := c.get(t, path, nil)
				etag := first.header.Get("Etag")
				if !tag.MatchString(etag) || first.header.Get("Last-Modified") != "" {
					t.Errorf("got %v, want an ETag like %s and no Last-Modified", first, tag)
				}
				condition := http.Header{"If-None-Match": {etag}}
				checkNotModified(t, c.get(t, path, condition), etag)
				deploy(t, pages)
				changed := c.get(t, path, condition)
				if changed.status != http.StatusOK || changed.body != pages.content() || changed.header.Get("Etag") == etag {
					t.Errorf("after a change: got %v, want 200 with the new page and another ETag than %s", changed, etag)
				}
			})
		}
	}
}

// A client may still have the validators that file_server gave out before conditional_cache was put in front of
// it. They do not confirm what it has: the content may have changed since.
func TestValidatorsFromBeforeConfirmNothing(t *testing.T) {
	pages := newPageFolder(t)
	embed(pages.content())
	c, before := fileSites(t, pages)
	for _, path := range untrustedFiles {
		t.Run(path, func(t *testing.T) {
			old := before.get(t, path, nil).header
			deploy(t, pages)
			condition := http.Header{}
			if etag := old.Get("Etag"); etag != "" {
				condition.Set("If-None-Match", etag)
			}
			if date := old.Get("Last-Modified"); date != "" {
				condition.Set("If-Modified-Since", date)
			}
			got := c.get(t, path, condition)
			if got.status != http.StatusOK || got.body != pages.content() {
				t.Errorf("%v: got %v, want 200 with the new page", condition, got)
			}
		})
	}
}

// An ordinary mtime is a good validator, so file_server's tag and date are kept and its 304 passes.
func TestFilesWithOrdinaryMtime(t *testing.T) {
	pages := newPageFolder(t)
	embed(pages.content())
	with, without := fileSites(t, pages)
	want := without.get(t, "/page.html", nil).header
	got := with.get(t, "/page.html", nil).header
	for _, name := range []string{"Etag", "Last-Modified"} {
		if got.Get(name) != want.Get(name) || got.Get(name) == "" {
			t.Errorf("got %s: %s, want %s", name, got.Get(name), want.Get(name))
		}
	}
	checkNotModified(t, with.get(t, "/page.html", http.Header{"If-None-Match": {want.Get("Etag")}}), want.Get("Etag"))
}
