package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// logLine is a line of Caddy's log.
type logLine struct {
	Level  string `json:"level"`
	Logger string `json:"logger"`
	Msg    string `json:"msg"`
	File   string `json:"file"`
	Line   int    `json:"line"`
}

// linesOf are the lines of a log that this module has written.
func linesOf(log io.Reader) (lines []logLine) {
	for scanner := bufio.NewScanner(log); scanner.Scan(); {
		var line logLine
		if json.Unmarshal(scanner.Bytes(), &line) == nil && (line.Logger == "caddyfile" || line.Logger == "http.handlers.conditional_cache") {
			lines = append(lines, line)
		}
	}
	return lines
}

// messages are those of a level.
func messages(lines []logLine, level string) (all []string) {
	for _, line := range lines {
		if line.Level == level {
			all = append(all, line.Msg)
		}
	}
	return all
}

// TestWarningsOfWhatIsDead: what is valid and has no effect is told when a Caddyfile is read, with its file and line.
func TestWarningsOfWhatIsDead(t *testing.T) {
	const (
		twice     = "conditional_cache%s: it never acts, as the one of line %d is for the same requests; put both into one"
		remembers = "conditional_cache /assets/*: on line %d, acts alone on what it matches, so remember of line %d does not count there; " +
			"say remember in its block as well, or remember off"
		alone   = "conditional_cache off: switches off itself alone, and the one of line %d outside of this block still acts; write it beside that one, as in conditional_cache /path/* off"
		behind  = "conditional_cache: never acts, as respond of line %d answers all requests before it: in route the order of the lines counts; write it above that line"
		session = "remember ignore_cookies: sessionid is the name of a session (Django): who has signed in would be answered from what guests have got; remove it"
		signing = "remember ignore_set_cookie: PHPSESSID is the name of a session (PHP): what somebody gets who is signing in would be remembered; remove it"
	)
	cases := map[string]struct {
		site string
		want []string // line and text
	}{
		"one":                               {"conditional_cache", nil},
		"two bare ones":                     {"conditional_cache\nconditional_cache 1h", []string{"4 " + fmt.Sprintf(twice, "", 3)}},
		"a bare one and *":                  {"conditional_cache *\nconditional_cache", []string{"4 " + fmt.Sprintf(twice, "", 3)}},
		"two of one path":                   {"conditional_cache /a/*\nconditional_cache /a/* 1h", []string{"4 " + fmt.Sprintf(twice, " /a/*", 3)}},
		"two of one name":                   {"@a path /a/*\nconditional_cache @a\nconditional_cache @a 1h", []string{"5 " + fmt.Sprintf(twice, " @a", 4)}},
		"a specific one beside":             {"conditional_cache\nconditional_cache /a/* 1h\nconditional_cache /b/* 2h", nil},
		"in two blocks":                     {"handle /a/* {\nconditional_cache\n}\nhandle {\nconditional_cache\n}\nconditional_cache", nil},
		"two in a nested block":             {"conditional_cache\nhandle {\nconditional_cache\nconditional_cache 1h\n}", []string{"6 " + fmt.Sprintf(twice, "", 5)}},
		"in two sites":                      {"conditional_cache\n}\nhttp://127.0.0.1:{port} {\nconditional_cache\nconditional_cache /a/* 1h", nil},
		"twice in the second site":          {"conditional_cache\n}\nhttp://127.0.0.1:{port} {\nconditional_cache\nconditional_cache 1h", []string{"7 " + fmt.Sprintf(twice, "", 6)}},
		"a folder without a star":           {"conditional_cache /assets 1h", []string{"3 conditional_cache /assets: matches that path alone, and nothing below it; for a folder write /assets/*"}},
		"a file":                            {"conditional_cache /feed.xml 1h", nil},
		"a sibling that forgets":            {"conditional_cache {\nremember 1m\n}\nconditional_cache /assets/* 30d", []string{"6 " + fmt.Sprintf(remembers, 6, 3)}},
		"a sibling that forgets, before":    {"conditional_cache /assets/* 30d\nconditional_cache {\nremember 1m\n}", []string{"4 " + fmt.Sprintf(remembers, 3, 4)}},
		"a sibling that is not to remember": {"conditional_cache {\nremember 1m\n}\nconditional_cache /assets/* {\nremember off\n}", nil},
		"siblings that remember":            {"conditional_cache {\nremember 1m\n}\nconditional_cache /assets/* {\nremember 1h\n}", nil},
		"off inside of a block":             {"conditional_cache\nhandle /raw/* {\nconditional_cache off\n}", []string{"5 " + fmt.Sprintf(alone, 3)}},
		"behind what answers":               {"route {\nrespond hello\nconditional_cache\n}", []string{"5 " + fmt.Sprintf(behind, 4)}},
		"sessions ignored":                  {"conditional_cache {\nremember 1m {\nignore_cookies _ga sessionid\nignore_set_cookie PHPSESSID\n}\n}", []string{"5 " + session, "6 " + signing}},
		"only the specific one remembers":   {"conditional_cache\nconditional_cache /assets/* {\nremember 1h\n}", nil},
	}
	dir, files := t.TempDir(), make(map[string]string)
	for name, c := range cases { // a file each, so that lines can be told apart
		files[filepath.Join(dir, name)] = fmt.Sprintf("# A site.\nhttp://localhost:%d {\n%s\n}\n", freePort(t), strings.ReplaceAll(c.site, "{port}", fmt.Sprint(freePort(t))))
	}
	writeFiles(t, files)
	all := filepath.Join(t.TempDir(), "Caddyfile")
	writeFiles(t, map[string]string{all: "import " + dir + "/*\n"})
	said := command(t, "", "validate", "--config", all, "--adapter", "caddyfile")
	if said.status != 0 {
		t.Fatal(said.err)
	}
	got := make(map[string][]string)
	for _, line := range linesOf(strings.NewReader(said.err)) {
		if line.Level == "warn" {
			name := filepath.Base(line.File)
			got[name] = append(got[name], fmt.Sprint(line.Line, " ", line.Msg))
		}
	}
	for name, c := range cases {
		if !slices.Equal(got[name], c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got[name], c.want)
		}
	}
}

// runLogged runs a site, whose upstream's port is {upstream}, and returns what reads the log.
func runLogged(t *testing.T, site string, upstream http.HandlerFunc) (c *client, lines func() []logLine) {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	log, port := filepath.Join(t.TempDir(), "log"), freePort(t)
	runCaddyWith(t, "log {\noutput file "+log+"\n}\n", fmt.Sprintf("http://localhost:%d {\n%s\n}\n", port, strings.ReplaceAll(site, "{upstream}", server.Listener.Addr().String())))
	return plainClient(t, port), func() []logLine {
		f, err := os.Open(log)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return linesOf(f)
	}
}

// TestWarningOfErrorRoutes: a directive in handle_errors does nothing, and is told so when Caddy starts; the one outside is not.
func TestWarningOfErrorRoutes(t *testing.T) {
	_, lines := runLogged(t, "conditional_cache\nhandle_errors {\nconditional_cache 1h\nrespond oops\n}\nreverse_proxy {upstream}", http.NotFound)
	if got := messages(lines(), "warn"); len(got) != 1 || !strings.Contains(got[0], "stands in handle_errors, where it does nothing") {
		t.Errorf("got %q", got)
	}
}

// TestStartIsTold: one line a handler says what it does.
func TestStartIsTold(t *testing.T) {
	_, lines := runLogged(t, "conditional_cache\nhandle /a/* {\nconditional_cache {\nremember 1m\n}\n}\nreverse_proxy {upstream}", http.NotFound)
	got := messages(lines(), "info")
	slices.Sort(got)
	const bare = "makes entity tags (auto, xxh3), keeps the upstream's; puts Last-Modified in order; leaves Cache-Control alone; " +
		"buffers up to 4.0 MiB for 200ms; answers Range; judges writes that name a tag made here; remembers "
	if want := []string{bare + "for 1m0s", bare + "nothing"}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestWarningOfWeakTags: guard_writes beside an upstream whose tags are weak is told once, when that is seen.
func TestWarningOfWeakTags(t *testing.T) {
	tag := `"strong"`
	c, lines := runLogged(t, "conditional_cache {\netag strong\nguard_writes\n}\nreverse_proxy {upstream}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", tag)
		_, _ = io.WriteString(w, "page")
	})
	warnings := func() int {
		got := messages(lines(), "warn")
		for _, text := range got {
			if !strings.Contains(text, "guard_writes stands beside an upstream whose entity tags are weak") {
				t.Error(text)
			}
		}
		return len(got)
	}
	c.must(t, http.StatusOK, http.MethodPut, "/", "x", "If-Match", tag)
	if n := warnings(); n != 0 {
		t.Errorf("%d warnings of a strong tag", n)
	}
	tag = `W/"weak"`
	for range 2 {
		c.must(t, http.StatusPreconditionFailed, http.MethodPut, "/", "x", "If-Match", tag)
	}
	if n := warnings(); n != 1 {
		t.Errorf("%d warnings of a weak tag, want 1", n)
	}
}

// TestRefusedWritesAreAnnounced: the 412 and 428 of a write that the upstream has not seen say why, and that nobody was asked.
func TestRefusedWritesAreAnnounced(t *testing.T) {
	c, _ := runLogged(t, "conditional_cache {\netag strong\nguard_writes {\nrequire\n}\ncache_status edge\nserver_timing\n}\nreverse_proxy {upstream}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "page")
	})
	for _, want := range []struct {
		status  int
		says    string
		request []string
	}{
		{http.StatusPreconditionFailed, "precondition_failed if_match", []string{"If-Match", `"other"`}},
		{http.StatusPreconditionRequired, "precondition_required guard_required", nil},
	} {
		got := c.must(t, want.status, http.MethodPut, "/", "x", want.request...)
		if status, timing := got.header.Get("Cache-Status"), got.header.Get("Server-Timing"); status != `edge;detail="`+want.says+`"` || timing != `cc;desc="`+want.says+`"` {
			t.Errorf("%d: Cache-Status %q, Server-Timing %q", want.status, status, timing)
		}
	}
}
