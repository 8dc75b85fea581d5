package lastmodified

import (
	"strings"
	"testing"
	"time"
)

// A source that could never give a date is refused, and so is a path in another syntax than gjson's: it would
// be taken for the name of a key.
func TestCheck(t *testing.T) {
	for _, tt := range []*checkRow{
		{"a field", Source{Header: "X-Updated-At"}, ""},
		{"a field with a layout", Source{Header: "x-updated-at", Layout: "02.01.2006 15:04"}, ""},
		{"no field name", Source{Header: "X Updated"}, "is not a field name"},
		{"Date", Source{Header: "date"}, "when the message was sent"},
		{"Expires", Source{Header: "Expires"}, "becomes stale"},
		{"Last-Modified", Source{Header: "last-modified"}, "is read anyway"},
		{"Last-Modified in an odd form", Source{Header: "Last-Modified", Layout: "2006-01-02 15:04:05"}, ""},
		{"nothing", Source{}, "one of header, json and file"},
		{"two", Source{Header: "X-A", JSON: "a"}, "one of header, json and file"},
		{"three", Source{Header: "X-A", JSON: "a", Files: []string{"a"}}, "one of header, json and file"},
	} {
		t.Run(tt.name, tt.run)
	}
}

func TestCheckPath(t *testing.T) {
	for _, tt := range []*checkRow{
		{"a key", Source{JSON: "updated_at"}, ""},
		{"a nested key", Source{JSON: "page.meta.updated_at"}, ""},
		{"a list", Source{JSON: "items.#.updated_at"}, ""},
		{"the document is a list", Source{JSON: "#.updated_at"}, ""},
		{"a member", Source{JSON: "items.0.updated_at"}, ""},
		{"a query", Source{JSON: `items.#(status=="live).")#.updated_at`}, ""},
		{"a query with an escape", Source{JSON: `items.#(name=="\")")#.updated_at`}, ""},
		{"a wildcard", Source{JSON: "items.*.updated_at"}, ""},
		{"a key with a dot", Source{JSON: `meta.last\.change`}, ""},
		{"a key that begins with @", Source{JSON: "_source.@timestamp"}, ""},
		{"a piped path", Source{JSON: "items|#.updated_at"}, ""},
		{"a layout", Source{JSON: "day", Layout: "2006-01-02"}, ""},
		{"JSONPath", Source{JSON: "$.items[*].updated_at"}, "JSONPath"},
		{"JSON pointer", Source{JSON: "/items/0"}, "JSON pointer"},
		{"jq", Source{JSON: ".updated_at"}, "empty part"},
		{"an empty part", Source{JSON: "a..b"}, "empty part"},
		{"a dot at the end", Source{JSON: "a."}, "empty part"},
		{"an open bracket", Source{JSON: "items.#(a==1.b"}, "without its other one"},
		{"a closing bracket", Source{JSON: "items.#)a==1(.b"}, "without its other one"},
		{"an index in brackets", Source{JSON: "items.[0].b"}, "is the name of a key"},
		{"an index behind a key", Source{JSON: "items[0].b"}, "is the name of a key"},
		{"a list of values", Source{JSON: "[a,b]"}, "is the name of a key"},
		{"a key with brackets", Source{JSON: `items\[0].b`}, ""},
		{"a query for a bracket", Source{JSON: `items.#(a=="[").b`}, ""},
		{"several values", Source{JSON: "{a,b}"}, "is the name of a key"},
		{"a constant", Source{JSON: `!"2024-01-01"`}, "is the name of a key"},
		{"a modifier", Source{JSON: "items.@reverse.0"}, "modifiers such as @reverse"},
		{"a modifier with an argument", Source{JSON: `@pretty:{"indent":""}`}, "modifiers such as"},
		{"a modifier behind a pipe", Source{JSON: "items|@flatten"}, "modifiers such as @flatten"},
		{"a count", Source{JSON: "items.#"}, "number of members"},
	} {
		t.Run(tt.name, tt.run)
	}
}

func TestCheckFiles(t *testing.T) {
	for _, tt := range []*checkRow{
		{"files", Source{Files: []string{"{http.vars.root}{http.request.uri.path}", "layout.html"}}, ""},
		{"no file", Source{Files: []string{}}, "one of header, json and file"},
		{"an empty path", Source{Files: []string{"a", ""}}, "empty path"},
		{"NUL", Source{Files: []string{"a\x00b"}}, "NUL"},
		{"a pattern", Source{Files: []string{"templates/*.html"}}, "patterns are not understood"},
		{"a folder", Source{Files: []string{"templates/"}}, "is a folder"},
		{"a folder of Windows", Source{Files: []string{`templates\`}}, "is a folder"},
		{"a file twice", Source{Files: []string{"a", "b", "a"}}, "a is named twice"},
		{"a file with a layout", Source{Files: []string{"a"}, Layout: "2006-01-02"}, "no layout"},
	} {
		t.Run(tt.name, tt.run)
	}
}

type checkRow struct {
	name   string
	source Source
	want   string // part of the error; empty: none
}

func (row *checkRow) run(t *testing.T) {
	t.Helper()
	err := row.source.Check()
	if (row.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), row.want) {
		t.Errorf("%v: error %v, want %q", row.source, err, row.want)
	}
}

// The case of a field's name makes no difference, another layout does.
func TestSame(t *testing.T) {
	a := Source{Header: "X-A"}
	for _, tt := range []struct {
		other Source
		want  bool
	}{
		{Source{Header: "x-a"}, true},
		{Source{Header: "X-B"}, false},
		{Source{JSON: "X-A"}, false},
		{Source{Header: "X-A", Layout: "2006-01-02"}, false},
	} {
		if got := a.Same(tt.other); got != tt.want {
			t.Errorf("%v and %v: %v, want %v", a, tt.other, got, tt.want)
		}
	}
}

func TestString(t *testing.T) {
	for want, source := range map[string]Source{
		"header X-A": {Header: "x-a", Layout: "2006"}, "json a.b": {JSON: "a.b"}, "file a b": {Files: []string{"a", "b"}},
	} {
		if got := source.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A layout names a day at least, and an hour that is certain if it names one.
func TestCheckLayout(t *testing.T) {
	for layout, want := range map[string]string{
		"":                              "",
		"02.01.2006 15:04":              "",
		"02.01.2006 15:04:05":           "",
		"2006-01-02T15:04:05":           "",
		"2006-01-02T15:04:05.000Z07:00": "",
		"2006-01-02":                    "",
		"20060102 15h":                  "",
		"Monday, 2 January 06":          "",
		"2006-002":                      "",
		"01/02/2006 03:04 PM":           "",
		time.RFC1123Z:                   "",
		"Mon, 02 Jan 2006 15:04 GMT":    "",
		"%Y-%m-%d":                      "names no year, month and day",
		"YYYY-MM-DD":                    "names no year, month and day",
		"15:04":                         "names no year, month and day",
		"2006":                          "names no year, month and day",
		"02.01.":                        "names no year, month and day",
		"01/02/2006 03:04":              "does not tell morning from evening",
		"2006-01-02 :04":                "leaves out the hour",
		time.RFC1123:                    "a zone by name",
	} {
		err := checkLayout(layout)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", layout, err, want)
		}
	}
}

func TestCompileNothing(t *testing.T) {
	if s := Compile(nil); s != nil {
		t.Errorf("%v of no sources, want nil", s)
	}
}
