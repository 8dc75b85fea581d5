package peers

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var reported = report{
	conditions: conditions{Date: "2026-01-02", CPUs: 2, Processor: "A Processor", System: "linux/amd64", Go: "go1.26", Rounds: 5, Seconds: 3, Programs: []string{"nginx 1.22.1", "varnish 7.1.1"}},
	rows: []result{
		{row{name: "304 from memory", group: "Not modified", means: "A visitor comes back.", charted: true}, []line{
			{varnish, confirmed, figures{49.66, 10985, 0.44, 8.97, 15.8, 0}, 95 << 20},
			{directive, unchanged, figures{240, 1407.2, 6.51, 20.7, 22.6, 1.0061}, 76 << 20},
		}},
		{row{name: "304 by date", group: "Not modified", means: "The same with a date."}, []line{{varnish, unchanged, figures{}, 0}}},
	},
	site: []siteLine{
		{"Django alone", false, 0.8, 2, 1, 0},
		{"remember", true, 0.8, 0.4, 0.2, 0.803},
		{"Django alone", false, 1, 2, 1, 0},
		{"remember", true, 1, 0.01, 0.005, 1},
	},
}

func TestTables(t *testing.T) {
	var text bytes.Buffer
	if err := writeText(&text, reported); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^304 from memory$`,
		`(?m)^Varnish +304, from memory +49\.7 +10,985 +0\.44 +8\.97 +15\.8 +95\.0 +0$`,
		`(?m)^conditional_cache +304 +240 +1,407 +6\.51 +20\.7 +22\.6 +76\.0 +100\.6$`,
		`(?m)^remember +80 +0\.40 +20 +80 +80\.3$`,
		`(?m)^remember +100 +0\.01 +0\.5 +99\.5 +100$`,
		`(?m)^5 rounds of 3 s; 2 CPUs, linux/amd64, go1\.26; nginx 1\.22\.1, varnish 7\.1\.1$`,
	} {
		if !regexp.MustCompile(want).MatchString(text.String()) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
}

// TestPage: the page has each row's table once, under its group's heading, and its charts are there.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	o := Options{Markdown: filepath.Join(dir, "benchmarks.md"), Output: new(bytes.Buffer)}
	if err := publish(o, reported); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.Markdown)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n## Not modified\n", "\n### 304 from memory\n", "\nA visitor comes back.\n", "\n## A site\n", "2 CPUs (A Processor)", "5 rounds of 3 s", "nginx 1.22.1, varnish 7.1.1.",
		"\n| Varnish | 304, from memory | 49.7 | 10,985 | 0.44 | 8.97 | 15.8 | 95.0 | 0 |\n", "\n| remember | 80 | 0.40 | 20 | 80 | 80.3 |\n",
	} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("%d times %q in\n%s", strings.Count(string(text), want), want, text)
		}
	}
	images := regexp.MustCompile(`\]\((images/[^)]+)\)`).FindAllStringSubmatch(string(text), -1)
	for _, image := range images {
		if svg, err := os.ReadFile(filepath.Join(dir, image[1])); err != nil || len(svg) > 20<<10 {
			t.Errorf("%s: %d bytes, %v", image[1], len(svg), err)
		}
	}
	if len(images) != 3 || strings.Contains(string(text), "short run") || strings.Contains(string(text), "\n\n\n") {
		t.Errorf("%d images in\n%s", len(images), text)
	}
	short := reported
	short.conditions.Short = true
	if text, _, err := short.page(); err != nil || !strings.Contains(string(text), "**These figures are from a short run") {
		t.Errorf("%v, a short run is not marked as such:\n%s", err, text)
	}
}

// TestInTwo: nothing is lost between the two pages.
func TestInTwo(t *testing.T) {
	for name, tt := range map[string]struct{ page, first, more string }{
		"one page":     {"# A\n\n## B\nb\n", "# A\n\n## B\nb\n", ""},
		"two":          {"# A\n" + moreBegins + "m\n" + moreEnds + "s\n", "# A\n" + moreEnds + "s\n", moreTitle + moreBegins + "m\n"},
		"without site": {"# A\n" + moreBegins + "m\n", "# A\n", moreTitle + moreBegins + "m\n"},
	} {
		if first, more := inTwo([]byte(tt.page)); string(first) != tt.first || string(more) != tt.more {
			t.Errorf("%s: %q and %q", name, first, more)
		}
	}
}

func TestMedians(t *testing.T) {
	got := medians([]figures{{cpu: 3, p99: 1}, {cpu: 1, p99: 2}, {cpu: 2, p99: 9}})
	if got.cpu != 2 || got.p99 != 2 || got.second != 0 {
		t.Errorf("%+v", got)
	}
	if none := medians(nil); !math.IsNaN(none.cpu) {
		t.Errorf("%+v", none)
	}
}

func TestVersions(t *testing.T) {
	for said, want := range map[string]string{
		"nginx version: nginx/1.22.1\n":                     "nginx 1.22.1",
		"varnishd (varnish-7.1.1 revision 7cee)\nCopyright": "varnish 7.1.1",
		"wrk debian/4.1.0-3+b2 [epoll] Copyright (C)":       "wrk debian 4.1.0-3+b2",
		"h2load nghttp2/1.52.0":                             "h2load nghttp2 1.52.0",
		"gunicorn (version 20.1.0)":                         "gunicorn 20.1.0",
		"":                                                  "",
	} {
		if got := versionIn(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	if got := processorIn("processor\t: 0\nmodel name\t: A: B\n"); got != "A: B" {
		t.Error(got)
	}
}
