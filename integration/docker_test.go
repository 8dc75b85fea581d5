//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// ignoredBy says whether .dockerignore keeps a path out of the build context. The last pattern that matches the path, or a
// folder that it is in, decides.
func ignoredBy(patterns []string, name string) (ignored bool) {
	for _, pattern := range patterns {
		pattern, back := strings.CutPrefix(pattern, "!")
		inside, anywhere := strings.CutPrefix(pattern, "**/")
		parts := strings.Split(name, "/")
		for i := range parts {
			candidate := strings.Join(parts[:i+1], "/")
			if anywhere {
				candidate = parts[i]
			}
			if matched, err := path.Match(inside, candidate); err == nil && matched {
				ignored = !back
			}
		}
	}
	return ignored
}

// copyContext copies the build context: what .dockerignore lets through.
func copyContext(t *testing.T, to string) {
	t.Helper()
	var patterns []string
	for line := range strings.Lines(readDoc(t, "../.dockerignore")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel("..", name)
		switch {
		case err != nil || relative == ".":
			return err
		case relative == ".git":
			if entry.IsDir() {
				return filepath.SkipDir
			}
		case !entry.IsDir() && !ignoredBy(patterns, filepath.ToSlash(relative)):
			return copyFile(name, filepath.Join(to, relative))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, info.Mode().Perm()))
}

// builtImage is what the Dockerfile makes, built by its own instructions without a container runtime.
type builtImage struct {
	root        string // of the last stage
	env         []string
	workdir     string
	user, group uint32
	command     []string
	healthcheck []string
	volumes     []string
}

// imageBuild is a build that is under way.
type imageBuild struct {
	t       *testing.T
	context string
	roots   map[string]string // of stages that are done, by name
	builtImage
}

// buildImage follows the Dockerfile. What is written to folders of a stage is written below that stage's root.
func buildImage(t *testing.T) builtImage {
	t.Helper()
	b := imageBuild{t: t, context: t.TempDir(), roots: make(map[string]string)}
	copyContext(t, b.context)
	for _, s := range stagesOf(parseDockerfile(readDoc(t, filepath.Join("..", dockerfile)))) {
		b.builtImage = builtImage{root: t.TempDir(), workdir: "/"}
		if err := os.Chmod(b.root, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, i := range s.instructions {
			b.follow(i)
		}
		b.roots[s.name] = b.root
	}
	return b.builtImage
}

func (b *imageBuild) follow(i instruction) {
	b.t.Helper()
	switch i.name {
	case "RUN":
		b.run(i.rest)
	case "COPY":
		b.copy(i)
	case "WORKDIR":
		b.workdir = i.rest
		if err := os.MkdirAll(filepath.Join(b.root, b.workdir), 0o755); err != nil {
			b.t.Fatal(err)
		}
	case "ENV":
		b.env = append(b.env, strings.Fields(i.rest)...)
	case "CMD":
		b.command = i.list()
	case "HEALTHCHECK":
		b.healthcheck = instruction{rest: strings.TrimPrefix(i.rest, "CMD ")}.list()
	case "VOLUME":
		b.volumes = i.list()
	case "USER":
		if _, err := fmt.Sscanf(i.rest, "%d:%d", &b.user, &b.group); err != nil {
			b.t.Fatalf("USER %s: %v", i.rest, err)
		}
	case "FROM", "ARG", "EXPOSE":
	default:
		b.t.Fatalf("line %d: the test cannot follow %s", i.line, i.name)
	}
}

// ownFolders are those of the build stage that are not of the image golang.
var ownFolders = regexp.MustCompile(`(^|[ ='"])(/image|/folders|/src)\b`)

// run runs a RUN. Its folders are below the root of the stage; the tools, and what Go has compiled already, are this machine's.
func (b *imageBuild) run(command string) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), "/bin/sh", "-c", ownFolders.ReplaceAllString(command, "${1}"+b.root+"${2}"))
	cmd.Dir = filepath.Join(b.root, b.workdir)
	// An image has no GOFLAGS, such as the -race of these tests.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("RUN %s: %v\n%s", command, err, out)
	}
}

// copy copies a file or what is in a folder.
func (b *imageBuild) copy(i instruction) {
	b.t.Helper()
	words := strings.Fields(i.rest)
	if len(words) != 2 {
		b.t.Fatalf("line %d: the test copies one thing", i.line)
	}
	from := b.context
	if name := i.opt("from"); name != "" {
		from = b.roots[name]
	}
	from = filepath.Join(from, words[0])
	to := words[1]
	if !path.IsAbs(to) {
		to = path.Join(b.workdir, to)
	}
	to = filepath.Join(b.root, to)
	var uid, gid int
	if owner := i.opt("chown"); owner != "" {
		if _, err := fmt.Sscanf(owner, "%d:%d", &uid, &gid); err != nil {
			b.t.Fatalf("line %d: %v", i.line, err)
		}
	}
	err := filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			err = os.MkdirAll(target, 0o755)
		} else {
			err = copyFile(name, target)
		}
		if err == nil && relative != "." {
			err = os.Chown(target, uid, gid)
		}
		return err
	})
	if err != nil {
		b.t.Fatalf("line %d: %v", i.line, err)
	}
}

// in is a command of the image, as a container would run it: with its root, its user and its environment.
func (m builtImage) in(t *testing.T, command []string, env ...string) *exec.Cmd {
	t.Helper()
	all := append(slices.Clone(m.env), env...)
	program := ""
	for _, e := range all {
		if folder, found := strings.CutPrefix(e, "PATH="); found {
			program = path.Join(folder, command[0])
		}
	}
	cmd := exec.CommandContext(t.Context(), program, command[1:]...)
	cmd.Args[0] = command[0]
	cmd.Path, cmd.Err = program, nil // it is there below the root
	cmd.Dir, cmd.Env = m.workdir, all
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Credential: &syscall.Credential{Uid: m.user, Gid: m.group}}
	return cmd
}

// TestDockerfileBuilds: the image that the Dockerfile makes has this module, the Redis store and nothing of the demonstration; it
// runs as its user with nothing but what is in it, and its health check tells whether Caddy runs.
func TestDockerfileBuilds(t *testing.T) {
	if os.Getenv("CONDITIONAL_CACHE_REQUIRE") != "all" {
		t.Skip("it compiles Caddy once more; CONDITIONAL_CACHE_REQUIRE=all does that")
	}
	requireProgram(t, os.Geteuid() == 0, "a user who may change the root folder")
	m := buildImage(t)
	openFolders(t, m.root)
	// What a container runtime writes.
	if err := os.WriteFile(filepath.Join(m.root, "etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	modules := run(t, m.in(t, []string{"caddy", "list-modules"}))
	for module, want := range map[string]bool{
		"http.handlers.conditional_cache": true, "http.conditional_cache.stores.redis": true, "http.handlers.conditional_cache_demo": false,
	} {
		if got := slices.Contains(strings.Fields(modules), module); got != want {
			t.Errorf("the image has %s: %v", module, got)
		}
	}
	for _, volume := range m.volumes {
		info, err := os.Stat(filepath.Join(m.root, volume))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != m.user {
			t.Errorf("%s does not belong to the user of the image: %v", volume, err)
		}
	}
	m.checkHealth(t)
}

// checkHealth runs the image's command, and wants its health check to succeed as long as that runs.
func (m builtImage) checkHealth(t *testing.T) {
	t.Helper()
	config := filepath.Join(m.root, "etc/caddy/Caddyfile")
	site := fmt.Sprintf("localhost:%d", freePort(t))
	if err := os.WriteFile(config, []byte(strings.Replace(readDoc(t, config), ":8080", "http://"+site, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	admin := fmt.Sprintf("CADDY_ADMIN=localhost:%d", freePort(t))
	healthy := func() error { return m.in(t, m.healthcheck, admin).Run() }
	if healthy() == nil {
		t.Fatal("healthy before it runs")
	}
	var log strings.Builder
	cmd := m.in(t, m.command, admin)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The admin endpoint is there a moment before the site is.
	eventually(t, "a healthy Caddy", func() bool { return healthy() == nil })
	eventually(t, "a page with a tag made here", func() bool {
		response, err := exampleClient().Get("http://" + site)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK && readmeTag.MatchString(response.Header.Get("Etag"))
	})
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, log.String())
	}
	if healthy() == nil {
		t.Error("healthy though it has ended")
	}
	if _, err := os.Stat(filepath.Join(m.root, "config/caddy/autosave.json")); err != nil {
		t.Errorf("the configuration was not saved: %v", err)
	}
}
