//go:build linux

package integration

import (
	"encoding/json"
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
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// instruction is one of a Dockerfile.
type instruction struct {
	line int
	name string   // in capitals
	opts []string // --name=value
	rest string   // all behind them, on one line
}

// opt is the value of an option, or "".
func (i instruction) opt(name string) string {
	for _, o := range i.opts {
		if value, found := strings.CutPrefix(o, "--"+name+"="); found {
			return value
		}
	}
	return ""
}

// list is the words of the form ["word", …]; nil: it has another form.
func (i instruction) list() (words []string) {
	_ = json.Unmarshal([]byte(i.rest), &words)
	return words
}

// parseDockerfile reads instructions, whose lines go on behind a backslash.
func parseDockerfile(text string) (all []instruction) {
	var joined string
	begun := 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if joined == "" {
			begun = i + 1
		}
		part, goesOn := strings.CutSuffix(line, `\`)
		joined += strings.TrimSpace(part) + " "
		if goesOn {
			continue
		}
		words := strings.Fields(joined)
		next := instruction{line: begun, name: strings.ToUpper(words[0])}
		rest := strings.TrimSpace(joined[len(words[0]):])
		for _, word := range words[1:] {
			if !strings.HasPrefix(word, "--") {
				break
			}
			next.opts = append(next.opts, word)
			rest = strings.TrimSpace(strings.TrimPrefix(rest, word))
		}
		next.rest = rest
		all, joined = append(all, next), ""
	}
	return all
}

// stage is what begins with a FROM.
type stage struct {
	base, name   string
	instructions []instruction
}

func stagesOf(all []instruction) (stages []stage) {
	for _, i := range all {
		if i.name == "FROM" {
			base, name, _ := strings.Cut(i.rest, " AS ")
			stages = append(stages, stage{base: base, name: strings.TrimSpace(name)})
		}
		if len(stages) > 0 {
			last := &stages[len(stages)-1]
			last.instructions = append(last.instructions, i)
		}
	}
	return stages
}

// of are the instructions of one name.
func (s stage) of(name string) (found []instruction) {
	for _, i := range s.instructions {
		if i.name == name {
			found = append(found, i)
		}
	}
	return found
}

var (
	taggedImage = regexp.MustCompile(`^[a-z0-9./_-]+:[A-Za-z0-9._-]*[0-9][A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?$`)
	commandWord = regexp.MustCompile(`(?:^|[;&|] *)(sudo|cd|apt-get (?:dist-)?upgrade|apk upgrade|ssh|curl|wget) `)
)

// lintDockerfile finds what the main rules of hadolint find: DL3000, 3002 to 3007, 3011, 3012, 3017, 3020, 3022, 3024, 3025,
// 3059, 4000, 4003; and a last stage without CMD, HEALTHCHECK or USER.
func lintDockerfile(text string) (found problems) {
	stages := stagesOf(parseDockerfile(text))
	if len(stages) == 0 {
		found.addf("no FROM")
		return found
	}
	var names []string
	for _, s := range stages {
		if s.base != "scratch" && !slices.Contains(names, s.base) && (!taggedImage.MatchString(s.base) || strings.Contains(s.base, ":latest")) {
			found.addf("%q has no tag of a version", s.base)
		}
		found = append(found, lintStage(s, names)...)
		if slices.Contains(names, s.name) && s.name != "" {
			found.addf("two stages are called %q", s.name)
		}
		names = append(names, s.name)
	}
	last := stages[len(stages)-1]
	for _, name := range []string{"CMD", "HEALTHCHECK", "USER"} {
		if len(last.of(name)) == 0 {
			found.addf("the last stage has no %s", name)
		}
	}
	if users := last.of("USER"); len(users) > 0 {
		if user, _, _ := strings.Cut(users[len(users)-1].rest, ":"); user == "root" || user == "0" {
			found.addf("it ends as root")
		}
	}
	return found
}

// lintStage looks at one stage behind those with some names.
func lintStage(s stage, names []string) (found problems) {
	for i, next := range s.instructions {
		if problem := next.problem(names); problem != "" {
			found.addf("line %d: %s", next.line, problem)
		}
		if i > 0 && next.name == "RUN" && s.instructions[i-1].name == "RUN" {
			found.addf("line %d: one RUN behind another", next.line)
		}
	}
	for _, name := range []string{"CMD", "ENTRYPOINT", "HEALTHCHECK"} {
		if len(s.of(name)) > 1 {
			found.addf("%s is there more than once", name)
		}
	}
	return found
}

// problem is what is wrong with one instruction, behind stages with some names; "": nothing.
func (i instruction) problem(names []string) string {
	switch i.name {
	case "FROM", "ARG", "ENV", "LABEL", "USER", "VOLUME", "STOPSIGNAL":
	case "WORKDIR":
		if !path.IsAbs(i.rest) {
			return "WORKDIR " + i.rest + " is relative"
		}
	case "COPY":
		if from := i.opt("from"); from != "" && !slices.Contains(names, from) {
			return fmt.Sprintf("there is no stage %q", from)
		}
	case "EXPOSE":
		for port := range strings.FieldsSeq(i.rest) {
			number, _, _ := strings.Cut(port, "/")
			if n, err := strconv.Atoi(number); err != nil || n < 1 || n > 65535 {
				return port + " is no port"
			}
		}
	case "RUN":
		if word := commandWord.FindString(i.rest); word != "" {
			return strings.TrimSpace(word) + " in a RUN"
		}
	case "CMD", "ENTRYPOINT", "HEALTHCHECK":
		if (instruction{rest: strings.TrimPrefix(i.rest, "CMD ")}).list() == nil {
			return i.name + " is not in the form of a list"
		}
	default:
		return i.name
	}
	return ""
}

const dockerfile = "examples/docker/Dockerfile"

func TestDockerfileLint(t *testing.T) {
	if found := lintDockerfile(readDoc(t, filepath.Join("..", dockerfile))); len(found) > 0 {
		t.Errorf("%s: %s", dockerfile, strings.Join(found, "; "))
	}
}

// TestDockerfileLintFindsFaults: with one fault in it, the Dockerfile is found fault with.
func TestDockerfileLintFindsFaults(t *testing.T) {
	text := readDoc(t, filepath.Join("..", dockerfile))
	for _, tt := range []struct{ old, with, want string }{
		{"golang:1.26", "golang", `"golang" has no tag`},
		{"golang:1.26", "golang:latest", `"golang:latest" has no tag`},
		{"WORKDIR /srv", "WORKDIR srv", "is relative"},
		{"COPY . .", "ADD . .", "ADD"},
		{"USER 65532:65532", "USER 65532\nUSER root", "ends as root"},
		{"USER 65532:65532\n", "", "no USER"},
		{"CMD [\"caddy\", \"run\"", "CMD [\"caddy\"]\nCMD [\"caddy\", \"run\"", "CMD is there more than once"},
		{`CMD ["caddy", "conditional-cache", "status"]`, "CMD caddy conditional-cache status", "form of a list"},
		{`["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]`, "caddy run", "form of a list"},
		{"--from=build", "--from=builder", `no stage "builder"`},
		{"EXPOSE 80 ", "EXPOSE 80000 ", "no port"},
		{"RUN mkdir", "RUN cd / && mkdir", "cd in a RUN"},
		{"WORKDIR /src\nCOPY . .\nARG TARGETOS\nARG TARGETARCH\n", "", "one RUN behind another"},
		{"FROM scratch", "FROM scratch AS build", "two stages"},
		{"FROM scratch", "FROM scratch\nMAINTAINER nobody", "MAINTAINER"},
	} {
		faulty := strings.Replace(text, tt.old, tt.with, 1)
		if found := strings.Join(lintDockerfile(faulty), "; "); faulty == text || !strings.Contains(found, tt.want) {
			t.Errorf("%q in place of %q: found %q, want %q", tt.with, tt.old, found, tt.want)
		}
	}
}

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
