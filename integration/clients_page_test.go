package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestClients: every client in the table of the page has tests that exist, and every test with a client is there.
func TestClients(t *testing.T) {
	t.Chdir("..")
	catalogue := testCatalogue(t)
	_, section, _ := strings.Cut(readDoc(t, conformancePage), "\n## "+clientsHeading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := 0
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| client |") {
			continue
		}
		rows++
		for _, problem := range clientProblems(catalogue, line) {
			t.Errorf("%s: %s: %s", conformancePage, line, problem)
		}
	}
	if rows == 0 {
		t.Errorf("%s has no table of clients", conformancePage)
	}
	for path, functions := range catalogue.functions {
		if named, _ := filepath.Match("integration/clients_*_test.go", filepath.ToSlash(path)); !named {
			continue
		}
		for name := range functions {
			if !strings.Contains(section, filepath.Base(path)+" "+name) && !strings.HasPrefix(name, "TestClients") {
				t.Errorf("%s does not speak of %s", conformancePage, name)
			}
		}
	}
}

// clientProblems says what is wrong with a row of that table.
func clientProblems(catalogue catalogue, row string) (found []string) {
	cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
	if len(cells) != 4 {
		return []string{"not a client, what it does, what was seen and tests"}
	}
	tests := testNames.FindAllStringSubmatch(cells[3], -1)
	if len(tests) == 0 {
		found = append(found, "no test")
	}
	for _, test := range tests {
		if problem := catalogue.lacks(test[1]); problem != "" {
			found = append(found, test[1]+": "+problem)
		}
	}
	return found
}

// TestClientsFindsFaults shows that the checks of TestClients can fail.
func TestClientsFindsFaults(t *testing.T) {
	t.Chdir("..")
	catalogue := testCatalogue(t)
	for row, want := range map[string]string{
		"| a | b | c | `clients_page_test.go TestClients` |":                 "",
		"| a | b | c | `clients_download_test.go TestDownloaders/wget -N` |": "",
		"| a | b | c | `clients_download_test.go TestDownloaders/wget -M` |": "no such test",
		"| a | b | c | `clients_download_test.go TestUploaders` |":           "no such test",
		"| a | b | c | TestClients |":                                        "no test",
		"| a | b | `clients_page_test.go TestClients` |":                     "not a client",
	} {
		found := strings.Join(clientProblems(catalogue, row), "; ")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", row, found, want)
		}
	}
}
