package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// conformancePage is the first of the pages.
const conformancePage = "docs/conformance.md"

// conformancePages say how RFC 9110 and RFC 9111 are met, from the root of the repository.
var conformancePages = []string{"docs/conformance-9110.md", "docs/conformance-9111.md", conformancePage}

// minConformanceRows keeps a broken reader of the page from passing by finding next to nothing.
const minConformanceRows = 100

// paragraphs that the page has to speak of, by RFC.
var paragraphs = map[string][]string{"9110": {
	"8.8.1", "8.8.2.1", "8.8.2.2", "8.8.3", "8.8.3.1", "8.8.3.2", "8.8.3.3",
	"13.1.1", "13.1.2", "13.1.3", "13.1.4", "13.1.5", "13.2.1", "13.2.2",
	"14.1", "14.1.1", "14.1.2", "14.2", "14.3", "14.4", "14.5", "14.6",
	"15.3.7", "15.3.7.1", "15.3.7.2", "15.3.7.3", "15.4.5", "15.5.13", "15.5.17",
}, "9111": {
	"3", "3.1", "3.2", "3.3", "3.5", "4", "4.1", "4.2", "4.2.1", "4.2.2", "4.2.3", "4.2.4", "4.3.2", "4.3.3", "4.3.4", "4.3.5", "4.4",
	"5.1", "5.2.1", "5.2.1.1", "5.2.1.2", "5.2.1.3", "5.2.1.4", "5.2.1.5", "5.2.1.6", "5.2.1.7", "5.4",
}}

// levels of a row; — is a definition, or a rule without a keyword.
var levels = []string{"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "ought", "—"}

// conformanceRow is one requirement.
type conformanceRow struct {
	where                        string // file:line
	rfc                          string // as the name of the page says; else 9110
	paragraph, asked, level, how string
	tests                        []string // "file name"
}

// clientsHeading is above the one table that is not about paragraphs.
const clientsHeading = "What clients do"

// conformanceRows reads the tables of a page's text that are about paragraphs.
func conformanceRows(t *testing.T, page, text string) []conformanceRow {
	t.Helper()
	span := regexp.MustCompile("`([^`]+)`")
	var rows []conformanceRow
	rfc, clients := "9110", false
	if strings.Contains(page, "9111") {
		rfc = "9111"
	}
	for i, line := range strings.Split(text, "\n") {
		if heading, is := strings.CutPrefix(line, "## "); is {
			clients = heading == clientsHeading
		}
		if clients || !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| §") {
			continue
		}
		where := page + ":" + strconv.Itoa(i+1)
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 5 {
			t.Errorf("%s: %d cells, want 5", where, len(cells))
			continue
		}
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		row := conformanceRow{where: where, rfc: rfc, paragraph: cells[0], asked: cells[1], level: cells[2], how: cells[3]}
		for _, found := range span.FindAllStringSubmatch(cells[4], -1) {
			row.tests = append(row.tests, found[1])
		}
		rows = append(rows, row)
	}
	return rows
}

// TestConformance: every row has a paragraph, a level and tests that exist, and every paragraph has a row.
func TestConformance(t *testing.T) {
	t.Chdir("..")
	var rows []conformanceRow
	var text strings.Builder
	for _, page := range conformancePages {
		rows = append(rows, conformanceRows(t, page, readDoc(t, page))...)
		text.WriteString(readDoc(t, page))
	}
	if len(rows) < minConformanceRows {
		t.Errorf("%d rows, want at least %d", len(rows), minConformanceRows)
	}
	catalogue := testCatalogue(t)
	for _, row := range rows {
		for _, problem := range row.problems(catalogue) {
			t.Errorf("%s: %s", row.where, problem)
		}
	}
	for rfc, all := range paragraphs {
		for _, paragraph := range all {
			if !slices.ContainsFunc(rows, func(r conformanceRow) bool { return r.rfc == rfc && r.paragraph == paragraph }) {
				t.Errorf("no row for RFC %s §%s", rfc, paragraph)
			}
		}
	}
	for _, problem := range choiceProblems(text.String()) {
		t.Errorf("choices: %s", problem)
	}
}

// problems names what a row lacks.
func (r conformanceRow) problems(catalogue catalogue) (found []string) {
	if !regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`).MatchString(r.paragraph) {
		found = append(found, strconv.Quote(r.paragraph)+" is no paragraph")
	}
	if !slices.Contains(levels, r.level) {
		found = append(found, strconv.Quote(r.level)+" is no level")
	}
	if r.asked == "" || r.how == "" {
		found = append(found, "it does not say what is asked, or how it is met")
	}
	if len(r.tests) == 0 {
		found = append(found, "no test")
	}
	for _, test := range r.tests {
		if problem := catalogue.lacks(test); problem != "" {
			found = append(found, test+": "+problem)
		}
	}
	return found
}

// choiceProblems compares the choices that rows speak of, such as (C4), with those that are described: **C4. …**.
func choiceProblems(page string) (found []string) {
	described := make(map[string]bool)
	for _, m := range regexp.MustCompile(`\*\*(C[0-9]+)\. `).FindAllStringSubmatch(page, -1) {
		if described[m[1]] {
			found = append(found, m[1]+" stands for two choices")
		}
		described[m[1]] = true
	}
	used := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\|.*$`).FindAllString(page, -1) {
		for _, list := range regexp.MustCompile(`\(C[0-9, C]+\)`).FindAllString(row, -1) {
			for name := range strings.SplitSeq(strings.Trim(list, "()"), ", ") {
				used[name] = true
			}
		}
	}
	for name := range ordered(described) {
		if !used[name] {
			found = append(found, "no row speaks of "+name)
		}
	}
	for name := range ordered(used) {
		if !described[name] {
			found = append(found, name+" is not described")
		}
	}
	return found
}

// catalogue knows the tests of the repository, by the path of their file.
type catalogue struct {
	functions map[string]map[string][]string // file, function: the strings that may name a subtest
	cases     map[string]map[string]string   // file, case: why it is skipped
}

// testCatalogue reads all test files and case files below the working directory.
func testCatalogue(t *testing.T) catalogue {
	t.Helper()
	c := catalogue{functions: make(map[string]map[string][]string), cases: make(map[string]map[string]string)}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() != "." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			c.functions[path], err = testFunctions(path)
		case strings.HasSuffix(path, ".jsonl") && filepath.Base(filepath.Dir(path)) == "cases":
			c.cases[path] = make(map[string]string)
			for _, one := range readCases(t, path) {
				c.cases[path][one.ID] = one.skipReason()
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// testFunctions returns the test functions of a file, each with its own strings and those of the file's tables.
func testFunctions(path string) (map[string][]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	functions := make(map[string][]string)
	var tables []string
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		switch {
		case !ok:
			tables = append(tables, stringsIn(declaration)...)
		case function.Recv == nil && strings.HasPrefix(function.Name.Name, "Test"):
			functions[function.Name.Name] = stringsIn(function)
		}
	}
	for name := range functions {
		functions[name] = append(functions[name], tables...)
	}
	return functions, nil
}

// stringsIn returns the string literals of a piece of Go.
func stringsIn(node ast.Node) (found []string) {
	ast.Inspect(node, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if value, err := strconv.Unquote(literal.Value); err == nil {
				found = append(found, value)
			}
		}
		return true
	})
	return found
}

// lacks says what is wrong with a test that is named as "file name", where name may have a subtest; empty: nothing.
func (c catalogue) lacks(test string) string {
	file, name, ok := strings.Cut(test, " ")
	if !ok {
		return "not a file and a name"
	}
	if strings.HasSuffix(file, ".jsonl") {
		cases, problem := only(c.cases, file)
		if problem != "" {
			return problem
		}
		switch skipped, exists := cases[name]; {
		case !exists:
			return "no such case"
		case skipped != "":
			return "the case is skipped: " + skipped
		}
		return ""
	}
	name, subtest, hasSubtest := strings.Cut(name, "/")
	for path, functions := range c.functions {
		if !inFile(path, file) {
			continue
		}
		if names, exists := functions[name]; exists && (!hasSubtest || slices.Contains(names, subtest)) {
			return ""
		}
	}
	return "no such test"
}

// inFile reports whether a path ends in the given name of a file.
func inFile(path, name string) bool {
	return strings.HasSuffix("/"+filepath.ToSlash(path), "/"+name)
}

// only returns the entry of the one file of that name.
func only[T any](files map[string]T, name string) (entry T, problem string) {
	n := 0
	for path, value := range files {
		if inFile(path, name) {
			entry = value
			n++
		}
	}
	if n != 1 {
		return entry, strconv.Itoa(n) + " files have that name"
	}
	return entry, ""
}

// TestConformanceFindsFaults shows that the checks of TestConformance can fail.
func TestConformanceFindsFaults(t *testing.T) {
	t.Chdir("..")
	catalogue := testCatalogue(t)
	for line, want := range map[string]string{
		"| 14.2 | a | MUST | b | `range.jsonl rng-first-5` |":                                        "",
		"| 14.2 | a | MUST | b | `conformance_test.go TestConformance` |":                            "",
		"| 14.2 | a | MUST | b | `flaws_test.go TestPeerFlaws/05_range_on_head` |":                   "",
		"| 3 | a | MUST | b | `range.jsonl rng-first-5` |":                                           "",
		"| 3. | a | MUST | b | `range.jsonl rng-first-5` |":                                          "is no paragraph",
		"| | a | MUST | b | `range.jsonl rng-first-5` |":                                             "is no paragraph",
		"| 14.2 | a | | b | `range.jsonl rng-first-5` |":                                             "is no level",
		"| 14.2 | a | WILL | b | `range.jsonl rng-first-5` |":                                        "is no level",
		"| 14.2 | a | MUST | | `range.jsonl rng-first-5` |":                                          "how it is met",
		"| 14.2 | a | MUST | b | |":                                                                  "no test",
		"| 14.2 | a | MUST | b | TestConformance |":                                                  "no test",
		"| 14.2 | a | MUST | b | `range.jsonl rng-first-6` |":                                        "no such case",
		"| 14.2 | a | MUST | b | `ranges.jsonl rng-first-5` |":                                       "0 files",
		"| 14.2 | a | MUST | b | `vary.jsonl vary-merge-django-4` |":                                 "is skipped",
		"| 14.2 | a | MUST | b | `range.jsonl` |":                                                    "not a file and a name",
		"| 14.2 | a | MUST | b | `conformance_test.go TestConformanceOf` |":                          "no such test",
		"| 14.2 | a | MUST | b | `flaws_test.go TestPeerFlaws/05_range_on_get` |":                    "no such test",
		"| 14.2 | a | MUST | b | `range.jsonl rng-first-5`, `nowhere_test.go TestConformance` |":     "no such test",
		"| 14.2 | a | MUST | b | `range.jsonl rng-first-5`, `conformance_test.go conformanceRows` |": "no such test",
	} {
		rows := conformanceRows(t, "a page", line)
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows", line, len(rows))
		}
		found := strings.Join(rows[0].problems(catalogue), "; ")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", line, found, want)
		}
	}
	for page, want := range map[string]string{
		"| a (C1) |\n## Choices\n* **C1. x**":              "",
		"| a (C1, C2) |\n## Choices\n* **C1. x**":          "C2 is not described",
		"(C1) | a |\n| C1 | (C10) |\n* **C1. x**":          "no row speaks of C1",
		"| a (C1) |\n## Choices\n* **C1. x**\n* **C1. y**": "two choices",
	} {
		if found := strings.Join(choiceProblems(page), "; "); want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%q: found %q, want %q", page, found, want)
		}
	}
}

// conformanceSite runs a bare conditional_cache in front of an origin that answers key.
func conformanceSite(t *testing.T, key string, a originAnswer) (*origin, *probe) {
	t.Helper()
	o := startOrigin(t)
	o.answer(key, a)
	port := freePort(t)
	runCaddy(t, "http://:"+strconv.Itoa(port)+" {\nbind 127.0.0.1\nconditional_cache\nreverse_proxy "+o.addr()+"\n}")
	return o, &probe{t: t, port: port, key: key}
}

// TestContentRangeOfARequest: of a GET it means nothing (RFC 9110 §14.4), of a PUT it is the upstream's to understand
// (§14.5).
func TestContentRangeOfARequest(t *testing.T) {
	const field = "bytes 0-4/1024"
	o, p := conformanceSite(t, "whole", originAnswer{Status: http.StatusOK, Body: flawBody})
	p.expect(200, "GET", "Content-Range", field)
	p.expectPart(5, 9, "Content-Range", field, "Range", "bytes=5-9")
	o.received("whole")
	o.answer("whole", originAnswer{Status: http.StatusBadRequest, Body: "no parts"})
	p.expect(400, "PUT", "Content-Range", field)
	if got := o.received("whole"); len(got) != 1 || !slices.Equal(got[0].fields.lines("Content-Range"), []string{field}) {
		t.Errorf("the upstream received %v, want the PUT with its Content-Range", got)
	}
	for _, problem := range p.problems {
		t.Error(problem)
	}
}

// TestPartsInOtherUnitsPass: an upstream may know units that are not ours to know (RFC 9110 §14.2, §14.4).
func TestPartsInOtherUnitsPass(t *testing.T) {
	const contentRange = "lines 0-1/64"
	o, p := conformanceSite(t, "lines", originAnswer{
		Status: http.StatusPartialContent, Headers: headerLines{"Content-Range": {contentRange}}, Body: "two lines",
	})
	got := p.ask("GET", "Range", "lines=0-1")
	if said, _ := got.fields.joined("Content-Range"); got.status != 206 || said != contentRange || string(got.body) != "two lines" {
		t.Errorf("got %v, want the upstream's 206", got)
	}
	if got := o.received("lines"); len(got) != 1 || !slices.Equal(got[0].fields.lines("Range"), []string{"lines=0-1"}) {
		t.Errorf("the upstream received %v, want Range as it was", got)
	}
}
