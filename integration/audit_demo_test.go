package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// demoFindings are what the demonstration shows on purpose, by path, notes included: head_without as HEAD passes, and what
// has no 304 or shall not.
var demoFindings = map[string]string{
	"/":                     "note head_without",
	"/rendered.html":        "note head_without",
	"/app/slow":             "note head_without",
	"/app/chunked":          "note head_without",
	"/app/data.json":        "note head_without",
	"/app/form":             "",
	"/app/nonce":            "",
	"/app/clock":            "warning unstable_body",
	"/app/account":          "warning no_store",
	"/files/picture.png":    "note head_without",
	"/files/table.csv":      "warning not_modified_changes", // encode renames the upstream's strong tag on the 200 only
	"/files/tune.wav":       "note head_without",
	"/remembered/slow":      "",
	"/remembered/chunked":   "",
	"/remembered/data.json": "",
	"/remembered/form":      "",
	"/remembered/nonce":     "",
	"/assets/site.css":      "",
	"/demo/demo.js":         "",
	"/demo/demo.css":        "",
}

// TestAuditOfTheDemo: the audit finds nothing in Caddyfile.example but that.
func TestAuditOfTheDemo(t *testing.T) {
	if _, err := caddyBinary(); err != nil { // before the folder changes
		t.Fatal(err)
	}
	base := "http://localhost" + runExample(t).Replace(":8080")
	args := []string{"--json"}
	for path := range demoFindings {
		args = append(args, base+path)
	}
	got := auditCommand(t, args...)
	var report struct {
		Pages []struct {
			URL      string
			Findings []struct{ Severity, Name string }
		}
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || len(report.Pages) != len(demoFindings) {
		t.Fatalf("%v, status %d, %s\n%s", err, got.status, got.err, got.out)
	}
	for _, page := range report.Pages {
		var found []string
		for _, finding := range page.Findings {
			found = append(found, finding.Severity+" "+finding.Name)
		}
		slices.Sort(found)
		path := strings.TrimPrefix(page.URL, base)
		if text := strings.Join(found, ", "); text != demoFindings[path] {
			t.Errorf("%s: %q, want %q", path, text, demoFindings[path])
		}
	}
}
