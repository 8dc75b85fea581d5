package integration

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// securityPage says what is done against whom, from the root of the repository.
const (
	securityPage     = "docs/security.md"
	maxSecurityLines = 250
	// minSecurityTests keeps a broken reader of the page from passing by finding next to nothing.
	minSecurityTests = 60
)

// testNames are the tests that a line names.
var testNames = regexp.MustCompile("`([^` ]+_test\\.go [^`]+)`")

// TestSecurity: the tests that the page names exist, every threat has one or is said not to be prevented, and every test of a
// hostile_*_test.go is named.
func TestSecurity(t *testing.T) {
	t.Chdir("..")
	page, catalogue := readDoc(t, securityPage), testCatalogue(t)
	lines := strings.Split(page, "\n")
	if len(lines) > maxSecurityLines {
		t.Errorf("%d lines, want %d at most", len(lines), maxSecurityLines)
	}
	named := 0
	for i, line := range lines {
		for _, problem := range securityProblems(catalogue, line) {
			t.Errorf("%s:%d: %s", securityPage, i+1, problem)
		}
		named += len(testNames.FindAllString(line, -1))
	}
	if named < minSecurityTests {
		t.Errorf("%d tests are named, want at least %d", named, minSecurityTests)
	}
	for path, functions := range catalogue.functions {
		if !strings.Contains(path, "/hostile_") {
			continue
		}
		for name := range functions {
			if !strings.Contains(page, name+"`") {
				t.Errorf("%s does not speak of %s", securityPage, name)
			}
		}
	}
}

// securityProblems says what is wrong with a line. In a table, the last cell has the tests; of the tables with four columns,
// which say who learns what, it may be empty.
func securityProblems(catalogue catalogue, line string) (found []string) {
	tests := testNames.FindAllStringSubmatch(line, -1)
	for _, test := range tests {
		if problem := catalogue.lacks(test[1]); problem != "" {
			found = append(found, test[1]+": "+problem)
		}
	}
	cells := strings.Split(strings.Trim(line, "|"), "|")
	isRow := strings.HasPrefix(line, "| ") && len(cells) == 3 && strings.TrimSpace(cells[0]) != "threat"
	if isRow && len(tests) == 0 && !strings.Contains(line, "**Not prevented") {
		found = append(found, "no test")
	}
	if names := strings.Count(line, "_test.go"); names != len(tests) {
		found = append(found, strconv.Itoa(names-len(tests))+" tests are not named as `file name`")
	}
	return found
}

// TestSecurityFindsFaults shows that the checks of TestSecurity can fail.
func TestSecurityFindsFaults(t *testing.T) {
	t.Chdir("..")
	catalogue := testCatalogue(t)
	for line, want := range map[string]string{
		"| a | b | `security_test.go TestSecurity` |":       "",
		"| a | **Not prevented.** b | |":                    "",
		"| threat | defence | test |":                       "",
		"| a | b | c | |":                                   "",
		"words (`security_test.go TestSecurity`)":           "",
		"| a | b | |":                                       "no test",
		"| a | b | `security_test.go TestInsecurity` |":     "no such test",
		"| a | b | `insecurity_test.go TestSecurity` |":     "no such test",
		"| a | b | security_test.go TestSecurity |":         "not named",
		"words (`security_test.go TestNothing`) of a line.": "no such test",
	} {
		found := strings.Join(securityProblems(catalogue, line), "; ")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", line, found, want)
		}
	}
	if !slices.Contains(docPages(t), securityPage) {
		t.Error("its links are not checked")
	}
}
