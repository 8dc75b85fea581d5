package peers

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// TestRows: each row can be measured, and says what it is for.
func TestRows(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range rows {
		if names[r.name] || r.group == "" || r.means == "" {
			t.Errorf("%q: twice, or without a group or a meaning", r.name)
		}
		names[r.name] = true
		if text := rig.Page(r.page); int64(len(text)) != r.pageLength() {
			t.Errorf("%q: the page has %d bytes, want %d", r.name, len(text), r.pageLength())
		}
		if _, takesPart := r.answers[varnish]; takesPart && r.byTLS() {
			t.Errorf("%q: Varnish has no TLS", r.name)
		}
		if r.method != "" && r.tool == wrk {
			t.Errorf("%q: wrk asks with GET only", r.name)
		}
		if len(r.answers) < 2 || !slices.ContainsFunc(r.kindsOf(), kind.ours) {
			t.Errorf("%q: nobody to compare with", r.name)
		}
		if a, takesPart := r.answers[nginxStatic]; takesPart && !a.files {
			t.Errorf("%q: nginx with files asks no upstream", r.name)
		}
	}
}

func TestChoice(t *testing.T) {
	all, some := matching(regexp.MustCompile(""), false), matching(regexp.MustCompile(""), true)
	if len(all) != len(rows) || len(some) == 0 || len(some) > len(all)/2 {
		t.Errorf("%d of all, %d of a short pass", len(all), len(some))
	}
	if named := matching(regexp.MustCompile("^HEAD$"), true); len(named) != 1 {
		t.Errorf("%d of a name", len(named))
	}
	if names := Names(); len(names) != len(rows)+1 || names[len(rows)] != siteName {
		t.Error(names)
	}
}

func TestCheck(t *testing.T) {
	r := row{page: "/length/4096", condition: byTag}
	head := row{page: "/length/4096", method: http.MethodHead}
	tagged, gzipped := http.Header{"Etag": {`"a"`}}, http.Header{"Content-Encoding": {"gzip"}}
	for name, c := range map[string]struct {
		row    row
		answer answer
		status int
		header http.Header
		length int64
		right  bool
	}{
		"a page":                  {r, whole, 200, nil, 4096, true},
		"a short page":            {r, whole, 200, nil, 4095, false},
		"a compressed page":       {r, coded, 200, gzipped, 900, true},
		"hardly compressed":       {r, coded, 200, gzipped, 4000, false},
		"not compressed":          {r, coded, 200, nil, 900, false},
		"compressed without need": {r, whole, 200, gzipped, 4096, false},
		"a 304":                   {r, unchanged, 304, tagged, 0, true},
		"a 304 without its tag":   {r, unchanged, 304, nil, 0, false},
		"a 200 for a 304":         {r, unchanged, 200, tagged, 4096, false},
		"a part":                  {r, part, 206, nil, partLength, true},
		"the whole for a part":    {r, part, 200, nil, 4096, false},
		"HEAD":                    {head, whole, 200, nil, 0, true},
	} {
		header := c.header
		if header == nil {
			header = http.Header{}
		}
		if err := c.row.check(c.answer, &http.Response{StatusCode: c.status, Header: header}, c.length); (err == nil) != c.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConditions: a client comes back with what it was given, and with nothing where it was given nothing.
func TestConditions(t *testing.T) {
	first := http.Header{"Etag": {`"a"`}, "Last-Modified": {"yesterday"}}
	for name, c := range map[string]struct {
		row   row
		first http.Header
		want  string
		wrong bool
	}{
		"a tag":       {row{condition: byTag, fields: []string{"A: b"}}, first, `If-None-Match: "a"|A: b`, false},
		"a date":      {row{condition: byDate}, first, "If-Modified-Since: yesterday", false},
		"no tag":      {row{condition: byTag}, http.Header{}, "", false},
		"none":        {row{fields: []string{"A: b"}}, first, "A: b", false},
		"the tag":     {row{condition: byTag, tag: `"a"`}, first, `If-None-Match: "a"`, false},
		"another tag": {row{condition: byTag, tag: `"b"`}, first, "", true},
	} {
		got, err := c.row.requestFields(c.first)
		if strings.Join(got, "|") != c.want || (err != nil) != c.wrong {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestWhoAsks: a memory that asks is none, and neither is a proxy that does not.
func TestWhoAsks(t *testing.T) {
	for _, c := range []struct {
		answer answer
		part   float64
		right  bool
	}{
		{whole, 1, true},
		{whole, 1.01, true},
		{whole, 0.5, false},
		{kept, 0, true},
		{kept, 0.01, true},
		{kept, 1, false},
		{confirmed, 0.5, false},
		{whole.fromFile(), 0, true},
		{whole.fromFile(), 1, false},
	} {
		if err := c.answer.asks(c.part); (err == nil) != c.right {
			t.Errorf("%s, asked for %v: %v", c.answer, c.part, err)
		}
	}
}
