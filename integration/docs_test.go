package integration

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	conditionalcache "github.com/conditionalcache/caddy-conditional-cache"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// exampleFile is the runnable example, from the root of the repository.
const exampleFile = "Caddyfile.example"

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// codeBlock is a fenced block of a page, without the indentation of its fence.
type codeBlock struct {
	where, text string // where is file:line
}

// codeBlocks returns a page's fenced blocks of one language, "" being a language, too.
func codeBlocks(t *testing.T, page, language string) []codeBlock {
	t.Helper()
	var blocks []codeBlock
	var inside bool
	var indent, found string
	for i, line := range strings.Split(readDoc(t, page), "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && !inside:
			inside, found = true, fence
			indent, _, _ = strings.Cut(line, "```")
			blocks = append(blocks, codeBlock{where: page + ":" + strconv.Itoa(i+1)})
		case isFence:
			inside = false
			if found != language {
				blocks = blocks[:len(blocks)-1]
			}
		case inside:
			blocks[len(blocks)-1].text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	if inside {
		t.Fatalf("%s: the last fence is not closed", page)
	}
	return blocks
}

// adaptDoc adapts a Caddyfile as a user would, and fails on any warning: one of them is that it is not
// formatted.
func adaptDoc(t *testing.T, where, text string) []byte {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": where})
	if err != nil {
		t.Fatalf("adapting %s: %v", where, err)
	}
	for _, w := range warnings {
		t.Errorf("%s: %v", where, w)
	}
	return adapted
}

// validateDoc does what `caddy validate` does.
func validateDoc(t *testing.T, where string, adapted []byte) {
	t.Helper()
	config := new(caddy.Config)
	if err := json.Unmarshal(adapted, config); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if err := caddy.Validate(config); err != nil {
		t.Errorf("validating %s: %v", where, err)
	}
}

// TestDocsCaddyfiles: every Caddyfile that a user may copy is valid and formatted.
func TestDocsCaddyfiles(t *testing.T) {
	t.Chdir("..")
	var blocks []codeBlock
	for _, page := range docPages(t) {
		blocks = append(blocks, codeBlocks(t, page, "caddyfile")...)
	}
	files, err := filepath.Glob("examples/*/Caddyfile")
	if err != nil || len(blocks) == 0 || len(files) == 0 {
		t.Fatalf("%d blocks in the pages, %d files in examples, %v", len(blocks), len(files), err)
	}
	for _, file := range append(files, exampleFile) {
		blocks = append(blocks, codeBlock{file, readDoc(t, file)})
	}
	for _, block := range blocks {
		t.Run(block.where, func(t *testing.T) {
			validateDoc(t, block.where, adaptDoc(t, block.where, block.text))
		})
	}
}

// TestDocsJSON: every handler in JSON is valid, and so is every whole configuration. What else is JSON, the tests of its page compare.
func TestDocsJSON(t *testing.T) {
	t.Chdir("..")
	var blocks []codeBlock
	for _, page := range docPages(t) {
		blocks = append(blocks, codeBlocks(t, page, "json")...)
	}
	var handlers, configs int
	for _, block := range blocks {
		switch {
		case strings.Contains(block.text, `"apps"`):
			configs++
			validateDoc(t, block.where, []byte(block.text))
		case strings.Contains(block.text, `"handler"`):
			handlers++
			config := `{"apps": {"http": {"servers": {"srv0": {"routes": [{"handle": [` + block.text + `]}]}}}}}`
			validateDoc(t, block.where, []byte(config))
		case block.where[:strings.LastIndex(block.where, ":")] != auditPage && !strings.HasPrefix(block.where, "docs/admin-api.md"):
			t.Errorf("%s: no test knows what this is", block.where)
		}
	}
	if handlers == 0 || configs == 0 {
		t.Errorf("the pages have %d handlers and %d configurations in JSON", handlers, configs)
	}
}

// optionRow is a request to the example and what its answer has.
type optionRow struct {
	method, url, ifNoneMatch string
	status                   int
	fields                   map[string]string // patterns; "" is no such field
}

// exampleFormsTag is that of a page which is another one in each answer.
const exampleFormsTag = `W/"cc1.addd4943d8d8e0f1048a05074bc9b66e"`

var optionRows = []optionRow{
	{"GET", ":8080/assets/site.css", "", 200, map[string]string{"Cache-Control": "^public, max-age=2592000, immutable$", "Expires": "GMT$"}},
	{"GET", ":8080/demo/demo.js", "", 200, map[string]string{"Cache-Control": "^no-cache$", "Server-Timing": `^cc;desc="streamed first_visit"$`}},
	{"GET", ":8080/files/picture.png", "", 200, map[string]string{"Etag": `^"cc1\.[0-9a-f]{32}\.spduo0"$`, "Last-Modified": "^Wed, 01 Jan 2025"}},
	{"GET", ":8080/files/picture.png", "*", 304, map[string]string{"Etag": `\.spduo0"$`, "Last-Modified": ""}},
	{"GET", ":8080/app/form", "", 200, map[string]string{"Etag": `^W/"cc1\.[0-9a-f]{32}"$`, "Server-Timing": `^cc;desc="tagged no_condition", cc-enc;desc="accept"$`}},
	{"GET", ":8080/remembered/slow", "*", 304, map[string]string{"Server-Timing": `cc-mem`}},
	{"GET", ":8080/conditional_cache/", "", 200, map[string]string{"Content-Type": "^application/json$"}},
	{"POST", ":8080/conditional_cache/purge", "", 404, nil},
	{"GET", ":8080/config/", "", 404, nil},
	{"GET", ":8082/hour/", "", 200, map[string]string{"Cache-Control": "^s-maxage=3600, max-age=3600$", "Expires": "GMT$"}},
	{"GET", ":8082/tags/", "", 200, map[string]string{"Etag": `^"cc1\.[0-9a-f]{32}"$`}},
	{"GET", ":8082/forms/", "", 200, map[string]string{"Etag": `^W/"cc1\.[0-9a-f]{32}"$`, "Content-Security-Policy": "'nonce-"}},
	{"GET", ":8082/forms/", exampleFormsTag, 304, map[string]string{"Etag": "^" + regexp.QuoteMeta(exampleFormsTag) + "$", "Content-Security-Policy": ""}},
	{"GET", ":8082/dates/", "", 200, map[string]string{"Last-Modified": "^Wed, 01 Jan 2025 00:00:00 GMT$"}},
	{"GET", ":8082/found/", "", 200, map[string]string{"Last-Modified": "^Wed, 01 Jan 2025 00:00:00 GMT$", "Cache-Control": "^no-cache$"}},
	{"GET", ":8082/found/", "*", 304, map[string]string{"Last-Modified": "", "Cache-Control": "^no-cache$"}},
	{"GET", ":8082/newest/", "", 200, map[string]string{"Last-Modified": "GMT$", "Cache-Control": "^no-cache$", "Etag": `^"cc1\.[0-9a-f]{32}"$`}},
	{"GET", ":8082/policy/", "", 200, map[string]string{"Cache-Control": "^max-age=3600, example-directive=1$", "Expires": ""}},
	{"GET", ":8082/policy/news/today", "", 200, map[string]string{"Cache-Control": "^public, max-age=300, stale-while-revalidate=3600$"}},
	{"GET", ":8082/policy/gone/it", "", 410, map[string]string{"Cache-Control": "^max-age=60$", "Etag": ""}},
	{"GET", ":8082/joined/", "", 200, map[string]string{"Cache-Control": "^public, max-age=600, must-revalidate$", "Expires": "GMT$"}},
	{"GET", ":8082/daily/", "", 200, map[string]string{"Cache-Control": "^max-age=(86400|86399)$", "Expires": "GMT$"}},
	{"HEAD", ":8082/bounds/", "", 200, map[string]string{"Etag": `^"cc1`, "Content-Length": "^26$"}},
	{"GET", ":8082/texts/", "", 200, map[string]string{"Etag": `^"cc1`}},
	{"PUT", ":8082/texts/", "", 428, map[string]string{"Etag": ""}},
	{"PUT", ":8082/texts/", "*", 412, map[string]string{"Etag": ""}},
	{"PUT", ":8082/texts/", `"another"`, 204, nil},
	{"GET", ":8082/fields/", "", 200, map[string]string{"Content-Location": "^/fields/$", "Server-Timing": "render"}},
	{"GET", ":8082/fields/", "*", 304, map[string]string{"Content-Location": "^/fields/$", "Content-Language": "^en$", "Server-Timing": `^cc;desc="not_modified if_none_match"$`, "Cache-Status": "^example;fwd=bypass;fwd-status=200;detail=", "X-Cache-Hit": "^false$"}},
}

// TestExampleOptions: every option of Caddyfile.example does what its comment says.
func TestExampleOptions(t *testing.T) {
	ports := runExample(t)
	for _, row := range optionRows {
		t.Run(row.method+row.url+row.ifNoneMatch, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), row.method, "http://localhost"+ports.Replace(row.url), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if row.ifNoneMatch != "" {
				r.Header.Set("If-None-Match", row.ifNoneMatch)
			}
			row.check(t, r)
		})
	}
}

func (row *optionRow) check(t *testing.T, r *http.Request) {
	t.Helper()
	response, err := exampleClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != row.status {
		t.Errorf("status %d, want %d", response.StatusCode, row.status)
	}
	for name, pattern := range row.fields {
		value := response.Header.Get(name)
		if (pattern == "") != (value == "") || !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("%s: %q, want %q", name, value, pattern)
		}
	}
}

// grammarOf is the grammar in the doc comment of UnmarshalCaddyfile.
func grammarOf(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "caddyfile.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, declared := range file.Decls {
		if fn, ok := declared.(*ast.FuncDecl); ok && fn.Name.Name == "UnmarshalCaddyfile" {
			doc := fn.Doc.Text()
			start, end := strings.Index(doc, "conditional_cache ["), strings.LastIndex(doc, "\n\t}\n")
			if start < 0 || end < start {
				t.Fatalf("no grammar in\n%s", doc)
			}
			return doc[start:end] + "\n}\n"
		}
	}
	t.Fatal("caddyfile.go has no UnmarshalCaddyfile")
	return ""
}

// referenceSubjects are the words in the first column of a page's tables.
func referenceSubjects(page string) map[string]bool {
	subjects := make(map[string]bool)
	for line := range strings.Lines(page) {
		if subject, _, _ := strings.Cut(line, " | "); strings.HasPrefix(line, "| `") {
			for word := range strings.SplitSeq(strings.TrimPrefix(subject, "| "), " › ") {
				subjects[strings.Trim(word, "`")] = true
			}
		}
	}
	return subjects
}

// referencePage explains all options.
const referencePage = "docs/reference.md"

// TestReferenceHasTheGrammar: the reference shows the parser's grammar and explains each of its words in a table;
// Caddyfile.example uses each, and names what it may be.
func TestReferenceHasTheGrammar(t *testing.T) {
	t.Chdir("..")
	grammar, reference, example := grammarOf(t), readDoc(t, referencePage), readDoc(t, exampleFile)
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if !strings.Contains(squeeze(reference), squeeze(grammar)) {
		t.Errorf(referencePage+" does not show the grammar of caddyfile.go:\n%s", grammar)
	}
	subjects := referenceSubjects(reference)
	subjects["status"], subjects["header"] = true, true // in the row of @<name>
	for _, line := range strings.Split(grammar, "\n")[1:] {
		name, arguments, _ := strings.Cut(strings.Trim(line, " \t{}"), " ")
		if name == "" {
			continue
		}
		if !subjects[name] {
			t.Errorf("%s has no row for %s", referencePage, name)
		}
		used := `(?m)^\t+` + strings.ReplaceAll(regexp.QuoteMeta(name), "@<name>", `@\w+`) + `\b`
		if !regexp.MustCompile(used).MatchString(example) {
			t.Errorf("%s does not use %s", exampleFile, name)
		}
		for _, word := range regexp.MustCompile(`\b\w+\b`).FindAllString(regexp.MustCompile(`<.*>`).ReplaceAllString(arguments, ""), -1) {
			if !strings.Contains(example, word) {
				t.Errorf("%s does not name %s %s", exampleFile, name, word)
			}
		}
	}
}

// jsonNames are the names of a configuration's JSON, and those of its parts that are ours.
func jsonNames(of reflect.Type) (names []string) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil
	}
	for field := range of.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(append(names, name), jsonNames(field.Type)...)
		}
	}
	return names
}

// TestReferenceHasTheJSON: the fields of the JSON are words of the grammar, or named on their page.
func TestReferenceHasTheJSON(t *testing.T) {
	t.Chdir("..")
	page, reference, example := readDoc(t, "docs/json.md"), readDoc(t, referencePage), readDoc(t, exampleFile)
	words := strings.Fields(grammarOf(t))
	for _, name := range jsonNames(reflect.TypeFor[conditionalcache.Handler]()) {
		if !slices.Contains(words, name) && !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/json.md does not name %s", name)
		}
	}
	for _, name := range jsonNames(reflect.TypeFor[conditionalcache.App]()) {
		if !strings.Contains(reference, "| `conditional_cache` › `"+name+"` |") || !strings.Contains(example, name) {
			t.Errorf("%s or %s does not have the global option %s", referencePage, exampleFile, name)
		}
	}
}

// TestReasonsAreOnOnePage: whatever an operator may read in a log line is there, with the sentence that it has in the code, and
// nothing else is.
func TestReasonsAreOnOnePage(t *testing.T) {
	t.Chdir("..")
	page, troubleshooting := readDoc(t, "docs/reasons.md"), readDoc(t, "docs/troubleshooting.md")
	told := make(map[string]bool)
	known := map[string]bool{"outcome": true, "reason": true, "memory": true, "not_remembered": true, "cache_control": true, "encode_once": true}
	for _, outcome := range journal.Outcomes() {
		known[outcome.String()] = true
	}
	for _, reason := range journal.Reasons() {
		known[reason.String()] = true
		if line := "\n| `" + reason.String() + "` | " + reason.Sentence() + " |\n"; !strings.Contains(page, line) {
			t.Errorf("docs/reasons.md does not have %q", line)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(page, -1) {
		if !known[row[1]] {
			t.Errorf("docs/reasons.md has %s, which nothing says", row[1])
		}
		told[row[1]] = true
	}
	for word := range known {
		if !told[word] {
			t.Errorf("docs/reasons.md does not have %s", word)
		}
	}
	troubles := regexp.MustCompile("(?m)^ *\\| `[a-z_`, ]+` \\| ((?:`[a-z_]+`[,; a-z]*)+) \\|").FindAllStringSubmatch(troubleshooting, -1)
	if len(troubles) < 25 {
		t.Errorf("%d rows in docs/troubleshooting.md: does this test still look in the right place?", len(troubles))
	}
	for _, row := range troubles {
		for _, word := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			if journal.Because(word[1]) == journal.NoReason {
				t.Errorf("docs/troubleshooting.md has the reason %s, which nothing says", word[1])
			}
		}
	}
}

// laterWords are the words that the parser refuses as not available in this version.
func laterWords(t *testing.T) (words []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "internal/config/words.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "later" {
			return true
		}
		ast.Inspect(spec, func(node ast.Node) bool {
			if value, ok := node.(*ast.BasicLit); ok {
				words = append(words, strings.Trim(value.Value, `"`))
			}
			return true
		})
		return false
	})
	if len(words) == 0 {
		t.Fatal("no words: does this test still look in the right place?")
	}
	return words
}

// TestDocsPromiseNothingRefused: words of later versions are named where README.md says what is missing, and
// nowhere else.
func TestDocsPromiseNothingRefused(t *testing.T) {
	t.Chdir("..")
	const missing = "\n## What it does not do\n"
	later, code := laterWords(t), regexp.MustCompile("`[^`\n]+`")
	for _, page := range docPages(t) {
		before, after, _ := strings.Cut(readDoc(t, page), missing)
		_, after, _ = strings.Cut(after, "\n## ")
		for _, span := range code.FindAllString(before+after, -1) {
			for word := range strings.FieldsSeq(strings.Trim(span, "`")) {
				if slices.Contains(later, word) {
					t.Errorf("%s: %s is not available in this version", page, span)
				}
			}
		}
	}
}
