package integration

import (
	"math/rand/v2"
	"net/http/cgi" //nolint:gosec // what it warns of was mended in Go 1.6.3
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// repo is a repository on a server, and a folder for clones of it.
type repo struct {
	root string // what is served; the repository is example.git in it
	work string
}

// git runs git in a folder, without what the user has configured, and returns what it prints.
func (r *repo) git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "git"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+r.work, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=nobody", "GIT_AUTHOR_EMAIL=nobody@localhost", "GIT_COMMITTER_NAME=nobody", "GIT_COMMITTER_EMAIL=nobody@localhost")
	return strings.TrimSpace(run(t, cmd))
}

// newRepo makes a repository with one pack of half a megabyte.
func newRepo(t *testing.T) *repo {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("git's server is a CGI program, and what tells of pushes a shell script")
	}
	r := &repo{root: t.TempDir(), work: t.TempDir()}
	r.git(t, r.root, "init", "--bare", "-b", "main", "example.git")
	r.git(t, r.bare(), "config", "http.receivepack", "true")
	// What is served as plain files has an index of its own, which is made anew after a push.
	if err := os.WriteFile(filepath.Join(r.bare(), "hooks", "post-update"), []byte("#!/bin/sh\nexec git update-server-info\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(r.work, "first")
	r.git(t, r.work, "clone", "-q", r.bare(), first)
	r.commit(t, first, "big", bigFile()[:1<<19])
	r.git(t, first, "push", "-q", "origin", "HEAD:main")
	r.git(t, r.bare(), "repack", "-a", "-d", "-q")
	r.git(t, r.bare(), "update-server-info")
	return r
}

func (r *repo) bare() string { return filepath.Join(r.root, "example.git") }

// commit adds a file to a clone.
func (r *repo) commit(t *testing.T, clone, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(clone, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.git(t, clone, "add", name)
	r.git(t, clone, "commit", "-q", "-m", name)
}

// backend runs git's own server, a CGI program, and returns the directive that leads to it.
func (r *repo) backend(t *testing.T) (handler string) {
	t.Helper()
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(r.git(t, r.work, "--exec-path"), "git-http-backend"), Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + r.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=nobody", "HOME=" + r.work},
	})
	t.Cleanup(server.Close)
	return "reverse_proxy " + server.Listener.Addr().String()
}

// sameAs wants a clone to be at the commit of the server, which names all that is in it by digests, and its files to be those.
func (r *repo) sameAs(t *testing.T, clone string) {
	t.Helper()
	if got := readDoc(t, filepath.Join(clone, "big")); got != bigFile()[:1<<19] {
		t.Errorf("%s: %d bytes are in the file, and are not the %d that were committed", clone, len(got), 1<<19)
	}
	if got, want := r.git(t, clone, "rev-parse", "HEAD"), r.git(t, r.bare(), "rev-parse", "main"); got != want {
		t.Errorf("%s is at %s, the server at %s", clone, got, want)
	}
}

// everything is a setup that does to a site all that can be done.
const everything = "encode\nconditional_cache 1h {\netag strong\nhead get\nguard_writes\nranges stream\nremember 1h\n}"

// TestGitClonesAndPushes: with git's own server behind Caddy, a clone has what another one has pushed.
func TestGitClonesAndPushes(t *testing.T) {
	for name, directives := range map[string]string{"bare": "conditional_cache", "everything": everything} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			w := watch(t, directives, r.backend(t))
			writer, reader := filepath.Join(r.work, "writer"), filepath.Join(r.work, "reader")
			for _, clone := range []string{writer, reader} {
				client, _ := w.during(func() { r.git(t, r.work, "clone", "-q", w.base+"/example.git", clone) })
				if got := client.about("/example.git/git-upload-pack"); got.count(200, "") == 0 {
					t.Errorf("%v: want a pack from git's server", client)
				}
				r.sameAs(t, clone)
			}
			// The reader has asked for the same list of branches before.
			r.commit(t, writer, "another", "another")
			client, _ := w.during(func() { r.git(t, writer, "push", "-q", "origin", "HEAD:main") })
			if got := client.about("/example.git/git-receive-pack"); got.count(200, "") == 0 {
				t.Errorf("%v: want a pack to git's server", client)
			}
			r.git(t, reader, "pull", "-q", "--ff-only")
			r.sameAs(t, reader)
		})
	}
}

// TestGitReadsPlainFiles: a repository that is served as files is cloned, and after a change pulled.
func TestGitReadsPlainFiles(t *testing.T) {
	for name, directives := range map[string]string{"bare": "conditional_cache", "ranges stream": "conditional_cache {\netag strong\nranges stream\n}"} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			w := watch(t, directives, "root "+r.root+"\nfile_server")
			clone := filepath.Join(r.work, "clone")
			client, _ := w.during(func() { r.git(t, r.work, "clone", "-q", w.base+"/example.git", clone) })
			if got := client.about("/example.git/objects/info/packs"); got.count(200, "") == 0 {
				t.Errorf("%v: want the list of packs as a file", client)
			}
			r.sameAs(t, clone)
			first := filepath.Join(r.work, "first")
			r.commit(t, first, "two", "two")
			r.git(t, first, "push", "-q", "origin", "HEAD:main")
			r.git(t, clone, "pull", "-q", "--ff-only")
			r.sameAs(t, clone)
		})
	}
}

// TestGitResumesAPack: git goes on with a pack of which it has the beginning, though the upstream knows no ranges.
func TestGitResumesAPack(t *testing.T) {
	r := newRepo(t)
	packs, err := filepath.Glob(filepath.Join(r.bare(), "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("%v, %v; want one pack", packs, err)
	}
	pack := readDoc(t, packs[0])
	files := make(map[string]string)
	for _, name := range []string{"HEAD", "info/refs", "objects/info/packs"} {
		files["/example.git/"+name] = readDoc(t, filepath.Join(r.bare(), name))
	}
	path := "/example.git/objects/pack/" + filepath.Base(packs[0])
	files[path], files[strings.TrimSuffix(path, "pack")+"idx"] = pack, readDoc(t, strings.TrimSuffix(packs[0], "pack")+"idx")
	origin, handler := startShelf(t)
	origin.put(files, "")
	// git accepts gzip, and where that may follow, a tag is weak and parts are not sent. Nor are they where the pack takes longer
	// than max_delay: git then appends the whole, as it would without this module, and has a pack that it cannot read.
	w := watch(t, "conditional_cache {\netag strong\nbuffer {\nmax_delay off\n}\n}", handler)
	clone := filepath.Join(r.work, "clone")
	r.git(t, r.work, "init", "-q", "-b", "main", clone)
	// As many octets as a connection happened to bring.
	begun := 1000 + rand.IntN(len(pack)-2000)
	if err := os.WriteFile(filepath.Join(clone, ".git", "objects", "pack", filepath.Base(packs[0])+".temp"), []byte(pack[:begun]), 0o600); err != nil {
		t.Fatal(err)
	}
	client, upstream := w.during(func() { r.git(t, clone, "pull", "-q", w.base+"/example.git", "main") })
	if got := client.about(path); len(got) != 1 || got.count(206, "Range") != 1 || upstream.count(206, "") != 0 {
		t.Errorf("%v: want one part of %s, made here", client, path)
	}
	client.checkParts(t, pack)
	r.sameAs(t, clone)
}
