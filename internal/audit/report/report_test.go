package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/report"
)

// sample is a report of three pages: a good one, one with faults, and one that was not reached.
func sample() *audit.Report {
	parts := make([]audit.Part, 7)
	for i := range parts {
		parts[i] = audit.Part{From: i * 10, To: i*10 + 5, FromAgain: i * 10, ToAgain: i*10 + 5, Looks: audit.Time, Before: "<b>at "}
	}
	return &audit.Report{
		Pages: []*audit.Page{
			{URL: "https://example.com/", Final: "https://example.com/", Status: 200, MediaType: "text/html", Requests: 24, Plain: 3000, Coded: 1000, Confirmed: true},
			{
				URL: "https://example.com/?a=<script>", Final: "https://example.com/b", Status: 200, MediaType: "text/html", Requests: 20, Plain: 30_000, Coded: 20_000,
				Findings: []audit.Finding{
					{Kind: audit.UnstableBody, Evidence: "</code><script>x()</script>", Cure: audit.Cure{Lines: "etag auto {\n\tignore `at (\\d+)`\n}"}, Parts: parts},
					{Kind: audit.Redirected, Cure: audit.Redirected.Cure()},
				},
			},
			{URL: "https://example.com/c", Requests: 1, Findings: []audit.Finding{{Kind: audit.Unreachable, Cure: audit.Unreachable.Cure()}}},
		},
		Site: []audit.Finding{{Kind: audit.DateEverywhere, Cure: audit.DateEverywhere.Cure()}},
	}
}

// TestText: what people read.
func TestText(t *testing.T) {
	var out bytes.Buffer
	if err := report.Text(&out, sample(), 2, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"https://example.com/\n  a reload is a 304, which saves 1000 bytes\n  nothing to mend\n",
		"  a reload is sent in full: 20.0 KB\n  warning unstable_body (RFC 9110 §8.8.1)\n",
		"    octets 0 to 5: time, behind <b>at \n", "    … and 2 more\n",
		"      conditional_cache {\n      \tetag auto {\n      \t\tignore `at (\\d+)`\n      \t}\n      }\n",
		"https://example.com/c\n  error unreachable",
		"All pages\n  warning date_everywhere",
		"3 pages: 1 error, 2 warnings, 1 note; 45 requests sent\nA reload of all pages saves 1000 bytes, and sends 20.0 KB in full.\n",
		"2 further URLs not looked at",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours")
	}
	plain := out.String()
	out.Reset()
	if err := report.Text(&out, sample(), 2, true); err != nil {
		t.Fatal(err)
	}
	if got := regexp.MustCompile("\x1b\\[\\d+m").ReplaceAllString(out.String(), ""); got != plain || out.String() == plain {
		t.Error("with colours it says something else, or has none")
	}
}

// TestJSON: names and shape are a promise.
func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := report.JSON(&out, sample(), 2); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"version": 1.0, "summary.pages": 3.0, "summary.requests": 45.0, "summary.errors": 1.0, "summary.warnings": 2.0, "summary.notes": 1.0,
		"summary.bytes_saved": 1000.0, "summary.bytes_lost": 20_000.0, "summary.urls_left_out": 2.0,
		"site.0.name": "date_everywhere",
		"pages.0.url": "https://example.com/", "pages.0.confirmed": true, "pages.0.findings": "[]", "pages.0.bytes_saved": 1000.0, "pages.0.bytes_gzip": 1000.0,
		"pages.1.url": "https://example.com/?a=<script>", "pages.1.final_url": "https://example.com/b", "pages.1.bytes_plain": 30_000.0, "pages.1.bytes_lost": 20_000.0,
		"pages.1.status": 200.0, "pages.1.media_type": "text/html", "pages.1.requests": 20.0,
		"pages.1.findings.0.name": "unstable_body", "pages.1.findings.0.severity": "warning", "pages.1.findings.0.section": "RFC 9110 §8.8.1",
		"pages.1.findings.0.evidence":       "</code><script>x()</script>",
		"pages.1.findings.0.cure.caddyfile": "conditional_cache {\n\tetag auto {\n\t\tignore `at (\\d+)`\n\t}\n}",
		"pages.1.findings.0.parts.6.from":   60.0, "pages.1.findings.0.parts.6.to": 65.0, "pages.1.findings.0.parts.6.again.1": 65.0,
		"pages.1.findings.0.parts.6.looks": "time", "pages.1.findings.0.parts.6.before": "<b>at ",
		"pages.1.findings.1.cure.reason": audit.Redirected.Cure().Reason,
		"pages.2.status":                 0.0,
	} {
		if at := at(got, strings.Split(path, ".")); at != want {
			t.Errorf("%s is %v, want %v", path, at, want)
		}
	}
}

// at is what stands at a path; an empty list is "[]".
func at(value any, path []string) any {
	if list, ok := value.([]any); ok && len(list) == 0 {
		return "[]"
	}
	if len(path) == 0 {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		return at(v[path[0]], path[1:])
	case []any:
		var i int
		if _, err := fmt.Sscan(path[0], &i); err == nil && i < len(v) {
			return at(v[i], path[1:])
		}
	}
	return nil
}

// TestHTML: one file that loads nothing and runs nothing, whatever a server says.
func TestHTML(t *testing.T) {
	var out bytes.Buffer
	if err := report.HTML(&out, sample(), 2, "1 June 2026, 12:00"); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, unwanted := range []string{"<script", "<link", "<img", "src=", "@import", "url(", "ZgotmplZ", "https://example.com/\""} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	for _, want := range []string{
		"<!doctype html>", `name="viewport"`, "prefers-color-scheme: dark", "1 June 2026, 12:00",
		`<rect class="lost" x="0" width="1000" height="12"/>`, `<rect class="saved" width="50" height="12"/>`,
		`<a href="#page-2">`, `<article id="page-2">`, "<code>unstable_body</code>", "&lt;/code&gt;&lt;script&gt;x()&lt;/script&gt;",
		"Nothing to mend.", "2 further URLs not looked at", "no answer", "date_everywhere", "ignore `at (\\d&#43;)`",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestLongChart: of many pages the chart has those that send the most.
func TestLongChart(t *testing.T) {
	r := new(audit.Report)
	for i := range 100 {
		r.Pages = append(r.Pages, &audit.Page{URL: fmt.Sprintf("https://example.com/%d", i), Status: 200, Coded: int64(i + 1)})
	}
	var out bytes.Buffer
	if err := report.HTML(&out, r, 0, "today"); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	if n := strings.Count(page, "<svg"); n != 30 || !strings.Contains(page, "and 70 pages that send less") || !strings.Contains(page, `href="#page-100"`) {
		t.Errorf("%d bars", n)
	}
}

// TestSize: figures that people can read.
func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 9999: "9999 bytes", 10_000: "10.0 KB", 9_999_999: "10000.0 KB", 12_345_678: "12.3 MB"} {
		if got := report.Size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
