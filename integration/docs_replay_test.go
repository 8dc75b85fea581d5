package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a page shows in a block of the language "console" is typed here: commands behind "$ ", each with what it prints. A shell
// runs them, with the real curl. What is printed has to be what the page shows, to the letter, but for what is another one each
// day (see sameValue) and for the sign … of the page: at the end of a line's text it is any text, on a line of its own in a
// header section further fields, and elsewhere any further lines.

// shownCommand is a command of a page and what it prints.
type shownCommand struct {
	where, command, output string
}

// shownCommands are those in the console blocks of a page.
func shownCommands(t *testing.T, page string) (all []shownCommand) {
	t.Helper()
	for _, block := range codeBlocks(t, page, "console") {
		before, rest, _ := strings.Cut("\n"+block.text, "\n$ ")
		if strings.TrimSpace(before) != "" || rest == "" {
			t.Errorf("%s does not begin with a command", block.where)
		}
		for part := range strings.SplitSeq(rest, "\n$ ") {
			command, output, _ := strings.Cut(part, "\n")
			for strings.HasSuffix(command, `\`) {
				next, more, _ := strings.Cut(output, "\n")
				command, output = command+"\n"+next, more
			}
			all = append(all, shownCommand{block.where, command, output})
		}
	}
	return all
}

// terminal is where a reader types the commands of a page.
type terminal struct {
	home    string
	here    *strings.Replacer // what is elsewhere in the test: addresses, names of programs
	learned []string          // what the page shows and what it is today: pairs for a strings.Replacer
	seen    map[int]bool      // statuses of answers
}

// openTerminal opens one. Pairs of what the page says and what stands for it in the test.
func openTerminal(t *testing.T, pairs ...string) *terminal {
	t.Helper()
	requireProgram(t, runtime.GOOS != "windows", "a shell as the pages have it")
	program(t, "bash")
	program(t, "curl")
	return &terminal{home: t.TempDir(), here: strings.NewReplacer(pairs...), seen: make(map[int]bool)}
}

// today is a text of the page as it has to be now.
func (x *terminal) today(text string) string {
	return x.here.Replace(strings.NewReplacer(x.learned...).Replace(text))
}

// run types a command, and returns what it prints.
func (x *terminal) run(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", "set -o pipefail\n"+x.today(command))
	cmd.Dir = x.home
	cmd.Env = append(os.Environ(), "HOME="+x.home, "LC_ALL=C", "NO_PROXY=*")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	output, err := cmd.Output()
	if err != nil || regexp.MustCompile(`(?m)^curl: `).Match(problem.Bytes()) {
		t.Errorf("%s: %v\n%s", command, err, problem.String())
	}
	return strings.ReplaceAll(string(output), "\r\n", "\n")
}

// replay types a command of a page, and compares what it prints.
func (x *terminal) replay(t *testing.T, shown shownCommand) {
	t.Helper()
	printed := x.run(t, shown.command)
	differences := x.compare(shown.output, printed)
	if len(differences) > 0 {
		t.Errorf("%s: $ %s\n%s\nIt prints\n%s", shown.where, shown.command, strings.Join(differences, "\n"), printed)
	}
}

// compare says how what was printed differs from what is shown.
func (x *terminal) compare(shown, printed string) (differences []string) {
	if !strings.HasPrefix(shown, "HTTP/") && !strings.HasPrefix(printed, "HTTP/") {
		return compareTexts(x.today(shown), printed)
	}
	shownHead, shownBody, _ := strings.Cut(shown, "\n\n")
	printedHead, printedBody, _ := strings.Cut(printed, "\n\n")
	shownHead, rest := strings.CutSuffix(strings.TrimSpace(shownHead), "\n…")
	differences = x.compareHeads(shownHead, strings.TrimSpace(printedHead), rest)
	if strings.TrimSpace(shownBody) == "" && rest {
		return differences
	}
	return append(differences, compareTexts(x.today(shownBody), printedBody)...)
}

// compareTexts compares texts but for spaces at their ends.
func compareTexts(shown, printed string) []string {
	shown, printed = strings.TrimSpace(shown), strings.TrimSpace(printed)
	pattern := regexp.QuoteMeta(shown)
	pattern = regexp.MustCompile(`(?m)^…$`).ReplaceAllString(pattern, `(?s:.*)`)
	pattern = strings.ReplaceAll(pattern, "…", `.*`)
	if regexp.MustCompile(`^` + pattern + `$`).MatchString(printed) {
		return nil
	}
	return []string{fmt.Sprintf("prints\n%s\nand the page shows\n%s", printed, shown)}
}

// parseHead reads a status line and fields.
func parseHead(head string) (status string, fields http.Header) {
	status, head, _ = strings.Cut(head, "\n")
	fields = make(http.Header)
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields.Add(name, strings.TrimSpace(value))
	}
	return status, fields
}

// compareHeads compares status lines and fields, of which there may be others where rest is set.
func (x *terminal) compareHeads(shown, printed string, rest bool) (differences []string) {
	wantStatus, want := parseHead(shown)
	status, is := parseHead(printed)
	if wantStatus != status {
		differences = append(differences, fmt.Sprintf("%q, the page shows %q", status, wantStatus))
	}
	if words := strings.Fields(status); len(words) > 1 {
		code, _ := strconv.Atoi(words[1])
		x.seen[code] = true
	}
	for name, values := range want {
		same := slices.EqualFunc(values, is[name], func(shown, now string) bool { return x.sameValue(name, shown, now) })
		if !same {
			differences = append(differences, fmt.Sprintf("%s: %q, the page shows %q", name, is[name], values))
		}
	}
	if shown, now := expiresAfter(want), expiresAfter(is); (shown - now).Abs() > 5*time.Second {
		differences = append(differences, fmt.Sprintf("Expires is %v behind Date, the page shows %v", now, shown))
	}
	for name := range is {
		if want[name] == nil && !rest && name != "Status" { // which Go's FastCGI sends
			differences = append(differences, fmt.Sprintf("%s: %q, which the page does not show", name, is[name]))
		}
	}
	return differences
}

// expiresAfter is how long behind Date Expires is; 0 where one of them is missing.
func expiresAfter(fields http.Header) time.Duration {
	date, err := http.ParseTime(fields.Get("Date"))
	expires, wrong := http.ParseTime(fields.Get("Expires"))
	if err != nil || wrong != nil {
		return 0
	}
	return expires.Sub(date)
}

// contentTag is a tag that is made of the content and nothing else, so it is the same one everywhere.
var contentTag = regexp.MustCompile(`^(W/)?"cc1\.[0-9a-f]{32}"$`)

// freeValues are the forms of values that are other ones each time.
var freeValues = map[string]*regexp.Regexp{
	"Age":          regexp.MustCompile(`^\d+$`),
	"X-Request-Id": regexp.MustCompile(`^[0-9A-Za-z-]+$`),
	"X-Runtime":    regexp.MustCompile(`^[0-9.]+$`),
	"X-Varnish":    regexp.MustCompile(`^\d+( \d+)?$`),
}

// sameValue reports whether a field has the value that the page shows, or one that stands for it today. Of validators it learns
// which one that is: later commands send them back.
func (x *terminal) sameValue(name, shown, now string) bool {
	switch name {
	case "Date", "Expires", "Last-Modified":
		_, wrong := http.ParseTime(shown)
		_, err := http.ParseTime(now)
		if name == "Last-Modified" {
			x.learned = append(x.learned, shown, now)
		}
		return wrong == nil && err == nil
	case "Etag":
		if contentTag.MatchString(shown) {
			break
		}
		quoted := func(tag string) string { return strings.Trim(strings.TrimPrefix(tag, "W/"), `"`) }
		if x.today(shown) != now {
			x.learned = append(x.learned, quoted(shown), quoted(now))
		}
		return strings.HasPrefix(shown, "W/") == strings.HasPrefix(now, "W/") && quoted(now) != "" && readmeTag.MatchString(shown) == readmeTag.MatchString(now)
	}
	if form := freeValues[name]; form != nil {
		return form.MatchString(shown) && form.MatchString(now)
	}
	return len(compareTexts(x.today(shown), now)) == 0
}

// replayPage types all commands of a page, one after the other.
func (x *terminal) replayPage(t *testing.T, page string) {
	t.Helper()
	for _, shown := range shownCommands(t, page) {
		t.Run(shown.where+" "+shown.command, func(t *testing.T) { x.replay(t, shown) })
	}
}

// checkGuide types the commands of a guide before its example, whose sites have the ports 8080 and 8081 in the guide.
func checkGuide(t *testing.T, name string, sites ...*client) {
	t.Helper()
	page := filepath.Join("..", "docs", "guides", name+".md")
	var pairs []string
	for i, site := range sites {
		pairs = append(pairs, fmt.Sprintf("localhost:%d", 8080+i), site.host)
	}
	x := openTerminal(t, pairs...)
	x.replayPage(t, page)
	if !x.seen[http.StatusOK] && !x.seen[http.StatusCreated] || len(x.seen) < 2 {
		t.Errorf("%s shows %v, which should include a success and another status", page, x.seen)
	}
}

// TestReplayFindsDifferences shows that the comparison can fail.
func TestReplayFindsDifferences(t *testing.T) {
	const tag, other = `"cc1.0123456789abcdef0123456789abcdef"`, `"cc1.0123456789abcdef0123456789abcde0"`
	head := "HTTP/1.1 200 OK\nDate: Sat, 28 Nov 2026 22:44:24 GMT\nEtag: " + tag + "\n"
	today := strings.Replace(head, "28 Nov 2026 22", "29 Nov 2036 21", 1)
	for name, tt := range map[string]struct {
		shown, printed string
		differ         bool
	}{
		"the same":               {head + "\ntext\n", today + "\ntext\n", false},
		"another status":         {head, strings.Replace(today, "200 OK", "304 Not Modified", 1), true},
		"another tag":            {head, strings.Replace(today, tag, other, 1), true},
		"a weak tag":             {head, strings.Replace(today, tag, "W/"+tag, 1), true},
		"no date":                {head, strings.Replace(today, "Date: Sat, 29 Nov 2036 21:44:24 GMT\n", "", 1), true},
		"a field more":           {head, today + "Via: 1.1 Caddy\n", true},
		"fields are left out":    {head + "…\n", today + "Via: 1.1 Caddy\n\ntext\n", false},
		"one is another":         {head + "Via: 1.1 Caddy\n…\n", today + "Via: 2 Caddy\n\ntext\n", true},
		"a body more":            {head, today + "\ntext\n", true},
		"another body":           {head + "\ntext\n", today + "\ntexts\n", true},
		"any text":               {head + "\nin … ms\n", today + "\nin 12 ms\n", false},
		"any text is of a line":  {head + "\nin … ms\n", today + "\nin 12\n ms\n", true},
		"lines are left out":     {head + "\nfirst\n…\n", today + "\nfirst\nsecond\nthird\n", false},
		"no answer":              {head, "", true},
		"an answer":              {"text\n", today, true},
		"another tag of a store": {"HTTP/1.1 200 OK\nEtag: \"a\"\n", "HTTP/1.1 200 OK\nEtag: \"b\"\n", false},
		"a weak one":             {"HTTP/1.1 200 OK\nEtag: \"a\"\n", "HTTP/1.1 200 OK\nEtag: W/\"b\"\n", true},
		"one made here":          {"HTTP/1.1 200 OK\nEtag: \"a\"\n", "HTTP/1.1 200 OK\nEtag: " + tag + "\n", true},
		"another lifetime":       {head + "Expires: Sat, 28 Nov 2026 22:54:24 GMT\n", today + "Expires: Sat, 29 Nov 2036 21:45:24 GMT\n", true},
		"the same lifetime":      {head + "Expires: Sat, 28 Nov 2026 22:54:24 GMT\n", today + "Expires: Sat, 29 Nov 2036 21:54:25 GMT\n", false},
		"an age":                 {"HTTP/1.1 200 OK\nAge: 3\n", "HTTP/1.1 200 OK\nAge: 0\n", false},
		"no age":                 {"HTTP/1.1 200 OK\nAge: 3\n", "HTTP/1.1 200 OK\n", true},
	} {
		x := &terminal{here: strings.NewReplacer(), seen: make(map[int]bool)}
		if differences := x.compare(tt.shown, tt.printed); (len(differences) > 0) != tt.differ {
			t.Errorf("%s: %q", name, differences)
		}
	}
	x := &terminal{here: strings.NewReplacer("localhost:8080", "localhost:1"), seen: make(map[int]bool)}
	x.compare("HTTP/1.1 200 OK\nEtag: \"a1b2\"\n", "HTTP/1.1 200 OK\nEtag: \"c3d4\"\n")
	if got := x.today(`-H 'If-Match: "a1b2"' http://localhost:8080/`); got != `-H 'If-Match: "c3d4"' http://localhost:1/` {
		t.Errorf("a later command is %s", got)
	}
}
