package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/audittest"
)

// ran is what a command printed, and its exit status.
type ran struct {
	out, err string
	status   int
}

// command runs Caddy with arguments.
func command(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	return runProgram(t, stdin, exec.CommandContext(t.Context(), binary, args...))
}

func runProgram(t *testing.T, stdin string, cmd *exec.Cmd) ran {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// auditCommand runs the audit.
func auditCommand(t *testing.T, args ...string) ran {
	t.Helper()
	return command(t, "", append([]string{"conditional-cache", "audit"}, args...)...)
}

// serveScripts serves a good page at /good and one with a tag that changes at /bad.
func serveScripts(t *testing.T) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/good", audittest.Good.Handler())
	bad := audittest.Tags[3]
	mux.Handle("/bad", bad.Handler())
	server := httptest.NewServer(mux)
	mux.HandleFunc("/sitemap.xml", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "<urlset><url><loc>%s/good</loc></url><url><loc>%[1]s/bad</loc></url></urlset>", server.URL)
	})
	t.Cleanup(server.Close)
	return server.URL
}

// TestAuditCommand: exit status and what is printed where.
func TestAuditCommand(t *testing.T) {
	at := serveScripts(t)
	dir := t.TempDir()
	list, page, jar := filepath.Join(dir, "urls"), filepath.Join(dir, "report.html"), filepath.Join(dir, "jar")
	writeFiles(t, map[string]string{
		list: "# pages\n" + at + "/good\n", page: strings.Repeat("an older report ", 10_000),
		jar: "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tcookie-s3cret\n",
	})
	for _, test := range []struct {
		name   string
		args   []string
		status int
		out    string
	}{
		{"good", []string{at + "/good"}, 0, "1 page: 0 errors, 0 warnings, 0 notes; 24 requests sent"},
		{"bad", []string{at + "/bad"}, 1, "error unstable_tag (RFC 9110 §8.8.1)"},
		{"both", []string{at + "/good", at + "/bad", at + "/good"}, 1, "2 pages: 1 error"},
		{"a file", []string{"--file", list}, 0, "1 page: "},
		{"a sitemap", []string{"--sitemap", at + "/sitemap.xml", "--limit", "1"}, 0, "1 further URL not looked at"},
		{"an address", []string{"http://site.example/good", "--address", strings.TrimPrefix(at, "http://")}, 0, "http://site.example/good\n  a reload is a 304"},
		{"a header", []string{at + "/good", "-H", "X-Key: header-s3cret", "--cookie-jar", jar, "--html", page}, 0, "nothing to mend"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := auditCommand(t, test.args...)
			if got.status != test.status || !strings.Contains(got.out, test.out) || got.err != "" {
				t.Errorf("status %d\n%s\n%s", got.status, got.out, got.err)
			}
			if strings.Contains(got.out, "\x1b") || strings.Contains(got.out, "s3cret") {
				t.Errorf("colours in a pipe, or a secret: %q", got.out)
			}
		})
	}
	if html := readDoc(t, page); !strings.HasPrefix(html, "<!doctype html>") || !strings.HasSuffix(html, "</html>\n") || strings.Contains(html, "s3cret") {
		t.Error("the page is not a whole one")
	}
	if got := command(t, at+"/bad\n", "conditional-cache", "audit", "--file", "-"); got.status != 1 || !strings.Contains(got.out, "unstable_tag") {
		t.Errorf("from stdin: %+v", got)
	}
}

func writeFiles(t *testing.T, files map[string]string) {
	t.Helper()
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAuditCommandJSON: nothing but JSON is printed, and it says what the exit status does.
func TestAuditCommandJSON(t *testing.T) {
	got := auditCommand(t, serveScripts(t)+"/bad", "--json")
	var report struct {
		Version int
		Pages   []struct{ Findings []struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.status != 1 || got.err != "" {
		t.Fatalf("status %d, %v, %s\n%s", got.status, err, got.err, got.out)
	}
	if report.Version != 1 || len(report.Pages) != 1 || len(report.Pages[0].Findings) != 1 || report.Pages[0].Findings[0].Name != "unstable_tag" {
		t.Errorf("%+v", report)
	}
}

// TestAuditCommandUsage: what is asked for wrongly is said in words, with status 2, and nothing is asked.
func TestAuditCommandUsage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	jar, urls := filepath.Join(dir, "jar"), filepath.Join(dir, "urls")
	writeFiles(t, map[string]string{jar: "session=cookie-s3cret\n", urls: "http://example.com/\nexample.com\n"})
	for name, test := range map[string]struct {
		args []string
		err  string
	}{
		"no URL":                 {nil, "no URL is given"},
		"no scheme":              {[]string{"example.com"}, "begins with http://"},
		"no host":                {[]string{"http:///path"}, "has no host"},
		"credentials":            {[]string{"http://ada:url-s3cret@example.com/"}, "has credentials in it"},
		"a flag":                 {[]string{"--colour"}, "unknown flag: --colour"},
		"a flag without a value": {[]string{server.URL, "--html"}, "flag needs an argument"},
		"no number":              {[]string{server.URL, "--concurrency", "many"}, "invalid argument"},
		"too much at one time":   {[]string{server.URL, "--concurrency", "17"}, "it may be 1 to 16"},
		"nothing at one time":    {[]string{server.URL, "--concurrency", "0"}, "more than nothing"},
		"no time":                {[]string{server.URL, "--timeout", "-1s"}, "longer than nothing"},
		"a limit of none":        {[]string{server.URL, "--limit", "0"}, "limit is 0"},
		"a header":               {[]string{server.URL, "-H", "Authorization"}, "has to be"},
		"a header of the audit":  {[]string{server.URL, "-H", "If-None-Match: \"header-s3cret\""}, "cannot be given"},
		"a header in two lines":  {[]string{server.URL, "-H", "X: header-s3cret\nY: b"}, "has to be"},
		"a jar":                  {[]string{server.URL, "--cookie-jar", jar}, "line 1: "},
		"no jar":                 {[]string{server.URL, "--cookie-jar", filepath.Join(dir, "none")}, "no such file"},
		"a file":                 {[]string{"--file", urls}, "line 2: "},
		"no file":                {[]string{"--file", filepath.Join(dir, "none")}, "no such file"},
		"a page":                 {[]string{server.URL, "--html", filepath.Join(dir, "none", "report.html")}, "no such file"},
		"an address":             {[]string{server.URL, "--address", "localhost"}, "has to be host:port"},
		"an address twice":       {[]string{server.URL, "--address", "localhost:80", "--address", "localhost:80"}, "there twice"},
		"addresses of two hosts": {[]string{server.URL, "http://example.com/", "--address", "localhost:80"}, "one host"},
	} {
		t.Run(name, func(t *testing.T) {
			got := auditCommand(t, test.args...)
			if got.status != 2 || !strings.Contains(got.err, test.err) || got.out != "" || strings.Contains(got.err, "s3cret") {
				t.Errorf("status %d\n%s\n%s", got.status, got.out, got.err)
			}
		})
	}
	if got := command(t, "", "conditional-cache", "audits"); got.status != 2 || !strings.Contains(got.err, `unrecognized command \"audits\"; there is: audit`) {
		t.Errorf("%+v", got)
	}
}

// TestAuditCommandInTerminal: there are colours and a bar, unless NO_COLOR takes the colours away.
func TestAuditCommandInTerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	requireProgram(t, err == nil, "script")
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	at := serveScripts(t)
	inTerminal := func(env ...string) ran {
		cmd := exec.CommandContext(t.Context(), script, "-qec", binary+" conditional-cache audit "+at+"/bad", "/dev/null")
		cmd.Env = append(os.Environ(), append(env, "TERM=xterm")...)
		return runProgram(t, "", cmd)
	}
	const bar, red = "[########################] 1 of 1", "\x1b[31merror\x1b[0m"
	if got := inTerminal(); got.status != 1 || !strings.Contains(got.out, bar) || !strings.Contains(got.out, red) {
		t.Errorf("status %d: %q", got.status, got.out)
	}
	if got := inTerminal("NO_COLOR=1"); got.status != 1 || !strings.Contains(got.out, bar) || strings.Contains(got.out, "\x1b[31m") {
		t.Errorf("NO_COLOR, status %d: %q", got.status, got.out)
	}
}

// TestCommandIsInCaddysPages: manual pages, completions and the help have it.
func TestCommandIsInCaddysPages(t *testing.T) {
	dir := t.TempDir()
	if got := command(t, "", "manpage", "--directory", dir); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	completion := command(t, "", "completion", "bash").out
	for _, name := range []string{"audit", "explain", "purge", "status", "top"} {
		for _, page := range []string{"caddy-conditional-cache.8", "caddy-conditional-cache-" + name + ".8"} {
			if text := readDoc(t, filepath.Join(dir, page)); !strings.Contains(text, name) {
				t.Errorf("%s: %s", page, text)
			}
		}
		if !strings.Contains(completion, "_caddy_conditional-cache_"+name+"()") {
			t.Errorf("the completion does not know %s", name)
		}
	}
	if page := readDoc(t, filepath.Join(dir, "caddy-conditional-cache-audit.8")); !strings.Contains(page, "cookie-jar") {
		t.Error("the manual page has no options")
	}
	if !strings.Contains(completion, "--cookie-jar") {
		t.Error("the completion does not know the options")
	}
	if got := command(t, "", "help"); !strings.Contains(got.out, "conditional-cache Commands about caching") {
		t.Errorf("%s", got.out)
	}
	if got := command(t, "", "conditional-cache", "audit", "--help"); got.status != 0 || !strings.Contains(got.out, "at most 30 requests to a URL") {
		t.Errorf("%+v", got)
	}
}

// TestAuditPageExamples: the page shows what the command prints, but for its sizes.
func TestAuditPageExamples(t *testing.T) {
	at := serveScripts(t) + "/bad"
	t.Chdir("..")
	size := regexp.MustCompile(`\d+(\.\d+)? (bytes|KB)`)
	shown := codeBlocks(t, auditPage, "console")
	if len(shown) != 1 {
		t.Fatalf("%d examples", len(shown))
	}
	_, want, _ := strings.Cut(strings.ReplaceAll(shown[0].text, "https://example.com/", at), "\n")
	t.Chdir("integration") // from where Caddy is built
	got := auditCommand(t, at).out
	if size.ReplaceAllString(got, "n") != size.ReplaceAllString(want, "n") {
		t.Errorf("the page shows\n%s\nand the command prints\n%s", want, got)
	}
	wantKeys := keysOf(t, codeBlocks(t, filepath.Join("..", auditPage), "json")[0].text)
	if gotKeys := keysOf(t, auditCommand(t, at, "--json").out); gotKeys != wantKeys {
		t.Errorf("the page shows\n%s\nand the command prints\n%s", wantKeys, gotKeys)
	}
}

// keysOf are the names in a JSON text, sorted.
func keysOf(t *testing.T, text string) string {
	t.Helper()
	if !json.Valid([]byte(text)) {
		t.Fatalf("no JSON: %s", text)
	}
	names := regexp.MustCompile(`"(\w+)":`).FindAllString(text, -1)
	slices.Sort(names)
	return strings.Join(names, " ")
}
