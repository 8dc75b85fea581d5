package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/audittest"
)

const commandPage = "docs/command-line.md"

// commandSites have a page that is remembered, and one that is another one each time.
const commandSites = `
http://example.com:%d {
	bind 127.0.0.1
	handle /news {
		conditional_cache {
			server_timing
			cache_control no-cache
		}
		respond "Today's news, served as {http.request.uuid}."
	}
	handle {
		conditional_cache {
			remember 1m
			cache_control no-cache
		}
		respond "Who we are."
	}
}
`

// separate is a Caddy in a process of its own, so that nothing else has been counted there.
type separate struct {
	*client
	t      *testing.T
	port   int
	admin  string
	config string
}

// startSeparate runs one whose admin endpoint is at an address.
func startSeparate(t *testing.T, admin string) *separate {
	t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), freePort(t)
	s := &separate{client: plainClient(t, port), t: t, port: port, admin: admin, config: filepath.Join(dir, "Caddyfile")}
	s.host = fmt.Sprintf("example.com:%d", port)
	writeFiles(t, map[string]string{s.config: "{\n" + strings.Replace(globalOptions, "admin off", "admin "+admin, 1) + "}\n" + fmt.Sprintf(commandSites, port)})
	cmd := exec.Command(binary, "run", "--config", s.config)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "a Caddy that listens", func() bool {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	})
	return s
}

// run carries out a command that finds its endpoint.
func (s *separate) run(args ...string) ran {
	s.t.Helper()
	return command(s.t, "", append(append([]string{"conditional-cache"}, args...), "--address", s.admin)...)
}

// inPage is what was printed, as the page has it.
func (s *separate) inPage(text string) string {
	text = strings.NewReplacer("http://"+s.host, "https://example.com", s.host, "example.com", s.admin, "localhost:2019").Replace(text)
	text = regexp.MustCompile(`cc1\.[0-9a-f]{32}`).ReplaceAllString(text, "cc1.tag")
	text = regexp.MustCompile(`since .*`).ReplaceAllString(text, "since then")
	return regexp.MustCompile(` +`).ReplaceAllString(text, " ") // the host is as wide as its port makes it
}

// TestCommandLinePage: the page shows what the commands print, one after the other.
func TestCommandLinePage(t *testing.T) {
	s := startSeparate(t, fmt.Sprintf("localhost:%d", freePort(t)))
	shown := codeBlocks(t, filepath.Join("..", commandPage), "console")
	if len(shown) != 5 {
		t.Fatalf("%d examples", len(shown))
	}
	for _, block := range shown {
		line, want, _ := strings.Cut(block.text, "\n")
		args, ok := strings.CutPrefix(line, "$ caddy conditional-cache ")
		if !ok {
			t.Fatalf("%s: %s", block.where, line)
		}
		words := strings.Fields(args)
		if words[0] == "explain" {
			words[1] = strings.Replace(words[1], "https://example.com", "http://"+s.host, 1)
			words = append(words, "--connect", fmt.Sprintf("127.0.0.1:%d", s.port))
		}
		got := s.run(words...)
		if s.inPage(got.out) != s.inPage(want) || got.err != "" || (got.status == 1) != strings.HasSuffix(line, "/news") {
			t.Errorf("%s shows\n%s\nand with status %d the command prints\n%s\n%s", block.where, want, got.status, s.inPage(got.out), got.err)
		}
	}
}

// TestCommandLinePageHasEveryOption: and no other one.
func TestCommandLinePageHasEveryOption(t *testing.T) {
	var known []string
	for _, name := range []string{"explain", "status", "top", "purge"} {
		_, flags, _ := strings.Cut(command(t, "", "conditional-cache", name, "--help").out, "\nFlags:\n")
		known = append(known, optionNames.FindAllString(flags, -1)...)
	}
	if len(known) < 20 {
		t.Errorf("options: %v", known)
	}
	wantOptions(t, commandPage, "`", known)
}

// TestCommandsOverASocket: the endpoint is found by its address or by the configuration, and what is purged is gone.
func TestCommandsOverASocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "cc-") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := startSeparate(t, "unix/"+filepath.Join(dir, "admin"))
	etag := s.must(t, http.StatusOK, http.MethodGet, "/about", "").header.Get("Etag")
	records := regexp.MustCompile(`(?m)^memory +(\d+) `)
	want := func(when, n string) {
		t.Helper()
		if got := s.run("status"); got.status != 0 || len(records.FindStringSubmatch(got.out)) != 2 || records.FindStringSubmatch(got.out)[1] != n {
			t.Errorf("%s: %+v, want %s", when, got, n)
		}
	}
	want("a page was asked for", "1")
	if got := s.run("purge", "https://example.com/other"); got.status != 0 {
		t.Errorf("%+v", got)
	}
	s.must(t, http.StatusNotModified, http.MethodGet, "/about", "", "If-None-Match", etag)
	if got := command(t, "", "conditional-cache", "top", "--json", "--config", s.config); got.status != 0 || !strings.Contains(got.out, `"from_memory":1`) {
		t.Errorf("%+v", got)
	}
	if got := s.run("purge", "http://"+s.host+"/about", "--store", "memory"); got.status != 0 || !strings.HasSuffix(got.out, "/about from memory\n") {
		t.Errorf("%+v", got)
	}
	s.must(t, http.StatusNotModified, http.MethodGet, "/about", "", "If-None-Match", etag)
	if got := s.run("top"); !strings.Contains(got.out, "of these from memory: 1\n") || strings.Contains(got.out, "\x1b") {
		t.Errorf("after the purge: %+v", got)
	}
	nowhere := "unix/" + filepath.Join(dir, "none")
	if got := s.run("purge", "--all", "--address", nowhere); got.status != 1 || !strings.Contains(got.out, "purged everything from memory") || !strings.Contains(got.err, "no such file") {
		t.Errorf("one of two: %+v", got)
	}
	for _, args := range [][]string{{"status", "x"}, {"purge"}, {"purge", "example.com"}, {"top", "--limit", "0"}, {"explain"}} {
		if got := s.run(args...); got.status != 2 || got.out != "" || got.err == "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// typed is where a terminal's output goes, and types when something is there.
type typed struct {
	mu   sync.Mutex
	text strings.Builder
	wait string
	keys string
	to   io.WriteCloser
}

func (w *typed) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.keys != "" && strings.Contains(w.text.String(), w.wait) {
		_, _ = io.WriteString(w.to, w.keys)
		w.keys = ""
	}
	return len(p), nil
}

// TestTopInTerminal: it draws itself anew with rates, ends by a key, and leaves the terminal as it was.
func TestTopInTerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	requireProgram(t, err == nil, "script")
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := startSeparate(t, fmt.Sprintf("localhost:%d", freePort(t)))
	s.must(t, http.StatusOK, http.MethodGet, "/about", "")
	for name, key := range map[string]string{"q": "q", "Ctrl-C": "\x03"} {
		cmd := exec.CommandContext(t.Context(), script, "-qec", "stty -g; "+binary+" conditional-cache top --interval 200ms --address "+s.admin+"; echo status $?; stty -g", "/dev/null")
		cmd.Env = append(os.Environ(), "TERM=xterm")
		out := &typed{wait: "/s)", keys: key}
		cmd.Stdout = out
		if out.to, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		lines := strings.Split(strings.TrimSpace(out.text.String()), "\n")
		before, after := strings.TrimSpace(lines[0]), strings.TrimSpace(lines[len(lines)-1])
		if before != after || !strings.Contains(out.text.String(), "\x1b[?1049h") || !strings.Contains(out.text.String(), "\x1b[?25h\x1b[?1049lstatus 0") {
			t.Errorf("%s: the terminal was %s and is %s\n%q", name, before, after, out.text.String())
		}
	}
}

// TestExplainCommand: exit status, JSON, and what is told of servers that are no Caddy.
func TestExplainCommand(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/good", audittest.Good.Handler())
	bad := audittest.Tags[3]
	mux.Handle("/bad", bad.Handler())
	mux.Handle("/moved", http.RedirectHandler("/good", http.StatusFound))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	nowhere := fmt.Sprintf("localhost:%d", freePort(t))
	for _, test := range []struct {
		path   string
		status int
		out    string
	}{
		{"/good", 0, "304: the tag is the current one"},
		{"/moved", 0, "It redirects to " + server.URL + "/good."},
		{"/bad", 1, "existing replace"},
		{"/none", 1, "Only a 200 is revalidated"},
	} {
		got := command(t, "", "conditional-cache", "explain", server.URL+test.path, "--address", nowhere, "-H", "X-Key: header-s3cret")
		if got.status != test.status || !strings.Contains(got.out, test.out) || !strings.Contains(got.out, nowhere+" does not say what was counted") || strings.Contains(got.out, "s3cret") {
			t.Errorf("%s: %+v", test.path, got)
		}
	}
	got := command(t, "", "conditional-cache", "explain", server.URL+"/bad", "--json")
	var said struct {
		NotModified bool `json:"not_modified"`
		Exchanges   []struct{ Status int }
		Story       []struct{ About, Says string }
	}
	if err := json.Unmarshal([]byte(got.out), &said); err != nil || got.status != 1 || said.NotModified || len(said.Exchanges) != 2 || len(said.Story) < 5 {
		t.Errorf("%v, %+v", err, got)
	}
}
