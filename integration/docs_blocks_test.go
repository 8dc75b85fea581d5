package integration

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
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

	"go.yaml.in/yaml/v3"
)

// ranBy are the languages of the pages' blocks, and the tests that run them, or that have them read by what reads them.
var ranBy = map[string]string{
	"":          "TestReferenceHasTheGrammar",
	"caddyfile": "TestDocsCaddyfiles",
	"console":   "TestTranscriptsAreReplayed",
	"js":        "TestGuideAPI",
	"json":      "TestDocsJSON",
	"php":       "TestBlocksHaveTheirSyntax",
	"promql":    "TestBlocksHaveTheirSyntax",
	"ruby":      "TestBlocksHaveTheirSyntax",
	"sh":        "TestBlocksHaveTheirSyntax",
	"text":      "TestEveryBlockIsRun",
	"yaml":      "TestManifest",
}

// onlyOn are languages whose tests read one page.
var onlyOn = map[string]string{"": referencePage, "js": "docs/guides/api.md"}

// drawnPages have blocks that nothing can run.
var drawnPages = map[string]string{
	"docs/entity-tags.md":  "forms of tags, with what they are made of",
	"docs/how-it-works.md": "a drawing",
	"docs/listing.md":      "what is typed into the form of a web site",
}

// unreplayedPages have commands that no test types.
var unreplayedPages = map[string]string{
	"docs/listing.md": "it builds from the module proxy what is published after these steps",
}

// testFiles are this package's.
func testFiles(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*_test.go")
	if err != nil || len(names) < 50 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// testsByName are the tests of this package.
func testsByName(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	tests := make(map[string]*ast.FuncDecl)
	for _, file := range testFiles(t) {
		for _, declared := range file.Decls {
			if fn, ok := declared.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") {
				tests[fn.Name.Name] = fn
			}
		}
	}
	return tests
}

// typedGuides are the guides that tests type.
func typedGuides(t *testing.T) (names []string) {
	t.Helper()
	for _, test := range testsByName(t) {
		ast.Inspect(test, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			called, _ := call.Fun.(*ast.Ident)
			name, _ := call.Args[1].(*ast.BasicLit)
			if called != nil && called.Name == "checkGuide" && name != nil {
				text, err := strconv.Unquote(name.Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, "docs/guides/"+text+".md")
			}
			return true
		})
	}
	return names
}

// TestEveryBlockIsRun: there is no block on a page of which no test would know that it has become false.
func TestEveryBlockIsRun(t *testing.T) {
	tests := testsByName(t)
	for language, test := range ranBy {
		if tests[test] == nil {
			t.Errorf("%s: there is no %s", language, test)
		}
	}
	t.Chdir("..")
	for _, page := range docPages(t) {
		languages := languagesOf(t, page)
		for _, language := range languages {
			if only, special := onlyOn[language]; ranBy[language] == "" || special && page != only {
				t.Errorf("%s: no test runs a block of %q", page, language)
			}
		}
		if drawn := drawnPages[page] != ""; drawn != slices.Contains(languages, "text") {
			t.Errorf("%s has a block of text that nothing runs, or is listed as if it had: %v", page, !drawn)
		}
	}
}

// languagesOf are those of a page's blocks.
func languagesOf(t *testing.T, page string) (languages []string) {
	t.Helper()
	fences := regexp.MustCompile("(?m)^ *```(.*)$").FindAllStringSubmatch(readDoc(t, page), -1)
	for i := 0; i < len(fences); i += 2 {
		languages = append(languages, fences[i][1])
	}
	slices.Sort(languages)
	return slices.Compact(languages)
}

// promptLine is a command with a prompt, or the beginning of an answer.
var promptLine = regexp.MustCompile(`(?m)^(\$ |HTTP/\d)`)

// TestTranscriptsAreReplayed: what shows a command with its answer is a block of the language console, and is typed by a test.
func TestTranscriptsAreReplayed(t *testing.T) {
	tests, typed := testsByName(t), typedGuides(t)
	t.Chdir("..")
	for _, page := range docPages(t) {
		for _, language := range languagesOf(t, page) {
			for _, block := range codeBlocks(t, page, language) {
				if language != "console" && promptLine.MatchString(block.text) {
					t.Errorf("%s shows a command and its answer: its language is console, not %q", block.where, language)
				}
			}
		}
		commands := shownCommands(t, page)
		if len(commands) == 0 && ownReplays[page]+unreplayedPages[page] != "" {
			t.Errorf("%s shows no command: it is listed without need", page)
		}
		for _, shown := range commands {
			if problem := unreplayed(page, shown.command, tests, typed); problem != "" {
				t.Errorf("%s: $ %s: %s", shown.where, shown.command, problem)
			}
		}
	}
}

// unreplayed says why no test types a command of a page.
func unreplayed(page, command string, tests map[string]*ast.FuncDecl, typed []string) string {
	switch {
	case unreplayedPages[page] != "" || slices.Contains(typed, page):
		return ""
	case isGuide(page):
		return "no test calls checkGuide with this page"
	case ownReplays[page] != "":
		if test := tests[ownReplays[page]]; test == nil || !names(test, page) {
			return "there is no " + ownReplays[page] + ", or it does not read this page"
		}
	case !strings.HasPrefix(command, "curl "):
		return "TestDocsTranscripts is for curl before Caddyfile.example: give the page a test, and list it in ownReplays"
	}
	return ""
}

// names reports whether a test has the path of a page in it, or the constant for it.
func names(test *ast.FuncDecl, page string) (found bool) {
	constant := map[string]string{commandPage: "commandPage", auditPage: "auditPage"}[page]
	ast.Inspect(test, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BasicLit:
			found = found || strings.Contains(node.Value, page)
		case *ast.Ident:
			found = found || node.Name == constant
		}
		return true
	})
	return found
}

// TestUnreplayedIsFound shows that the check can fail.
func TestUnreplayedIsFound(t *testing.T) {
	tests := testsByName(t)
	delete(tests, ownReplays[commandPage])
	tests[ownReplays["docs/redis.md"]] = tests[ownReplays["xcaddy.md"]]
	for _, tt := range []struct {
		page, command string
		typed         []string
		found         bool
	}{
		{"README.md", "curl -i http://localhost:8080/", nil, false},
		{"README.md", "wget http://localhost:8080/", nil, true},
		{"docs/guides/api.md", "curl -i http://localhost:8080/", nil, true},
		{"docs/guides/api.md", "curl -i http://localhost:8080/", []string{"docs/guides/api.md"}, false},
		{"docs/listing.md", "xcaddy build", nil, false},
		{auditPage, "caddy conditional-cache audit", nil, false},
		{commandPage, "caddy conditional-cache top", nil, true},
		{"docs/redis.md", "caddy conditional-cache status", nil, true},
	} {
		if problem := unreplayed(tt.page, tt.command, tests, tt.typed); (problem != "") != tt.found {
			t.Errorf("%s: $ %s: %q", tt.page, tt.command, problem)
		}
	}
}

// syntaxChecks are what reads the blocks of a language without doing what they say. {file} is one with the block, which stands
// where the page takes it from.
var syntaxChecks = []struct {
	language, frame string
	command         []string
	broken          string // which has to be found
}{
	{"sh", "%s", []string{"bash", "-n", "{file}"}, "if true"},
	{"php", "<?php\nreturn $app\n%s;\n", []string{"php-cgi", "-l", "{file}"}, "->withRouting("},
	{"ruby", "%s", []string{"ruby", "-c", "{file}"}, "class Articles"},
	{"promql", "groups:\n  - name: example\n    rules:\n      - record: example\n        expr: %s", []string{"promtool", "check", "rules", "{file}"}, "sum("},
}

// TestBlocksHaveTheirSyntax: blocks of code for something else than Caddy are read by what they are for.
func TestBlocksHaveTheirSyntax(t *testing.T) {
	for _, check := range syntaxChecks {
		t.Run(check.language, func(t *testing.T) {
			// On Windows, the first bash may be one that only says how to install it.
			requireProgram(t, runtime.GOOS != "windows", "a shell as the pages have it")
			program(t, check.command[0])
			t.Chdir("..")
			read := func(text string) (string, error) {
				file := filepath.Join(t.TempDir(), "block")
				writeFiles(t, map[string]string{file: fmt.Sprintf(check.frame, text)})
				args := slices.Clone(check.command)
				args[slices.Index(args, "{file}")] = file
				out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
				return string(out), err
			}
			seen := 0
			for _, page := range docPages(t) {
				for _, block := range codeBlocks(t, page, check.language) {
					seen++
					if out, err := read(block.text); err != nil {
						t.Errorf("%s: %v\n%s", block.where, err, out)
					}
				}
			}
			if _, err := read(check.broken); err == nil || seen == 0 {
				t.Errorf("%d blocks were read, and %q is found fault with: %v", seen, check.broken, err)
			}
		})
	}
}

// manifest is what is read of Kubernetes' objects.
type manifest struct {
	Kind     string                `yaml:"kind"`
	Metadata struct{ Name string } `yaml:"metadata"`
	Data     map[string]string     `yaml:"data"`
	Spec     struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"selector"`
		Template struct {
			Metadata struct{ Labels map[string]string } `yaml:"metadata"`
			Spec     struct {
				Containers []struct {
					VolumeMounts []struct{ Name string } `yaml:"volumeMounts"`
				} `yaml:"containers"`
				Volumes []struct {
					Name      string
					ConfigMap struct{ Name string } `yaml:"configMap"`
				} `yaml:"volumes"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

// TestManifest: the objects for Kubernetes can be read, name one another, and have a Caddyfile that is valid. No program here
// knows all of their fields.
func TestManifest(t *testing.T) {
	t.Chdir("..")
	t.Setenv("ETAG_SECRET", strings.Repeat("0123456789abcdef", 4)) // as the page makes one
	seen := make(map[string]int)
	for _, page := range docPages(t) {
		for _, block := range codeBlocks(t, page, "yaml") {
			decoder, configs := yaml.NewDecoder(strings.NewReader(block.text)), make(map[string]bool)
			for {
				var object manifest
				err := decoder.Decode(&object)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", block.where, err)
				}
				seen[object.Kind]++
				if object.Kind == "ConfigMap" {
					configs[object.Metadata.Name] = true
					validateDoc(t, block.where, adaptDoc(t, block.where, object.Data["Caddyfile"]))
				}
				object.check(t, block.where, configs)
			}
		}
	}
	if seen["ConfigMap"] == 0 || seen["Deployment"] == 0 {
		t.Errorf("the pages have %v", seen)
	}
}

func (m *manifest) check(t *testing.T, where string, configs map[string]bool) {
	t.Helper()
	pod := m.Spec.Template
	if fmt.Sprint(m.Spec.Selector.MatchLabels) != fmt.Sprint(pod.Metadata.Labels) {
		t.Errorf("%s: the selector does not find the pods", where)
	}
	var volumes []string
	for _, volume := range pod.Spec.Volumes {
		volumes = append(volumes, volume.Name)
		if name := volume.ConfigMap.Name; name != "" && !configs[name] {
			t.Errorf("%s: there is no ConfigMap %s before it is used", where, name)
		}
	}
	for _, container := range pod.Spec.Containers {
		for _, mount := range container.VolumeMounts {
			if !slices.Contains(volumes, mount.Name) {
				t.Errorf("%s: there is no volume %s", where, mount.Name)
			}
		}
	}
}

// verifyUnit says what systemd finds wrong with a unit and its drop-ins.
func verifyUnit(t *testing.T, analyze, unit string) string {
	t.Helper()
	dir := filepath.Dir(unit)
	cmd := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte(dir)) {
		return fmt.Sprintf("%v\n%s", err, out)
	}
	return ""
}

// TestServiceUnit: the command that installs a unit for systemd is typed, and systemd can read it.
func TestServiceUnit(t *testing.T) {
	analyze := program(t, "systemd-analyze")
	dir := t.TempDir()
	// In the place of Caddy: a file that can be run. A user is not made.
	x := openTerminal(t, "sudo useradd", ": ", "sudo ", "", "/etc/systemd/system", dir, "/usr/local/bin/caddy-conditional-cache", program(t, "bash"), "User=caddy\nGroup=caddy", "User=root")
	blocks := slices.DeleteFunc(codeBlocks(t, "../docs/install.md", "sh"), func(b codeBlock) bool { return !strings.Contains(b.text, "[Install]") })
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	unit := filepath.Join(dir, "caddy.service")
	x.run(t, blocks[0].text)
	text := readDoc(t, unit)
	if problem := verifyUnit(t, analyze, unit); problem != "" {
		t.Error(problem)
	}
	writeFiles(t, map[string]string{unit: strings.Replace(text, "TimeoutStopSec=", "TimeoutStopsSec=", 1)})
	if verifyUnit(t, analyze, unit) == "" {
		t.Error("systemd does not say so of a line that it does not know")
	}
}

// TestServiceDropIn: the command that installs a drop-in for systemd is typed, and systemd reads the unit with it.
func TestServiceDropIn(t *testing.T) {
	analyze := program(t, "systemd-analyze")
	dir := t.TempDir()
	binary := program(t, "bash") // in the place of Caddy: a file that can be run
	x := openTerminal(t, "sudo ", "", "/etc/systemd/system", dir, "/usr/local/bin/caddy-conditional-cache", binary)
	blocks := slices.DeleteFunc(codeBlocks(t, "../docs/install.md", "sh"), func(b codeBlock) bool { return !strings.Contains(b.text, ".conf <<") })
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	x.run(t, blocks[0].text)
	unit, dropIn := filepath.Join(dir, "caddy.service"), filepath.Join(dir, "caddy.service.d", "conditional-cache.conf")
	writeFiles(t, map[string]string{unit: "[Unit]\nDescription=Caddy\n[Service]\nType=notify\nExecStart=" + binary + " run\n"})
	if problem := verifyUnit(t, analyze, unit); problem != "" {
		t.Error(problem)
	}
	writeFiles(t, map[string]string{dropIn: strings.Replace(readDoc(t, dropIn), "ExecStart=\n", "", 1)})
	if verifyUnit(t, analyze, unit) == "" {
		t.Error("without the empty ExecStart= there are two, and systemd does not say so")
	}
}

// TestAdminPageCommands: what is typed at the admin endpoint is understood, and the status has the members that the page shows.
func TestAdminPageCommands(t *testing.T) {
	s := startSeparate(t, fmt.Sprintf("localhost:%d", freePort(t)))
	s.must(t, http.StatusOK, http.MethodGet, "/about", "")
	x := openTerminal(t, "localhost:2019", s.admin)
	seen := 0
	for _, page := range []string{"../docs/admin-api.md", "../docs/metrics.md"} {
		for _, block := range codeBlocks(t, page, "sh") {
			for line := range strings.Lines(block.text) {
				if !strings.HasPrefix(line, "curl ") {
					continue
				}
				seen++
				if out := x.run(t, line); out == "" || strings.Contains(out, `"error"`) {
					t.Errorf("%s: %s is answered with %q", block.where, line, out)
				}
			}
		}
	}
	if seen != 7 {
		t.Errorf("%d commands", seen)
	}
	shown := codeBlocks(t, "../docs/admin-api.md", "json")[0].text
	if status := x.run(t, "curl -s http://localhost:2019/conditional_cache/"); keysOf(t, shown) != keysOf(t, status) {
		t.Errorf("the page shows\n%s\nand the status is\n%s", shown, status)
	}
}

// TestXcaddyPage: a build has the modules that the page lists. Caddy is built here with the Redis store and the demonstration, too.
func TestXcaddyPage(t *testing.T) {
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	x := openTerminal(t, "./caddy", binary)
	for _, shown := range shownCommands(t, "../xcaddy.md") {
		printed := strings.Split(x.run(t, shown.command), "\n")
		more := len(printed)
		printed = slices.DeleteFunc(printed, func(name string) bool {
			return name == "http.conditional_cache.stores.redis" || strings.Contains(name, "demo")
		})
		more -= len(printed)
		count := fmt.Sprintf("modules: %d", 4+more)
		if differences := compareTexts(shown.output, strings.Replace(strings.Join(printed, "\n"), count, "modules: 4", 1)); len(differences) > 0 {
			t.Errorf("%s: $ %s %s", shown.where, shown.command, differences[0])
		}
	}
}

// TestRedisPage: the status of a Caddy with Redis has the form that the page shows, whatever the numbers are.
func TestRedisPage(t *testing.T) {
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	redis := startRedis(t)
	s := startNodeWith(t, redis.addr, "http:// {\nbind fd/3\nconditional_cache {\nremember 1h\n}\nrespond page\n}")
	s.untilRemembered(t, "/")
	admin := strings.TrimPrefix(s.admin, "http://")
	x := openTerminal(t, "caddy conditional-cache status", binary+" conditional-cache status --address "+admin, "localhost:2019", admin, "127.0.0.1:6379", redis.addr)
	shown := shownCommands(t, "../docs/redis.md")
	if len(shown) != 1 {
		t.Fatalf("%d commands", len(shown))
	}
	printed := x.run(t, shown[0].command)
	squeeze := func(text string) string {
		return regexp.MustCompile(`[0-9]+ %|\b[0-9]+\b|\?`).ReplaceAllString(strings.Join(strings.Fields(text), " "), "n")
	}
	if squeeze(printed) != squeeze(x.today(shown[0].output)) {
		t.Errorf("%s shows\n%s\nand the command prints\n%s", shown[0].where, shown[0].output, printed)
	}
}
