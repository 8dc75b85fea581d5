package lastmodified

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

var (
	now      = time.Date(2026, time.July, 1, 12, 0, 0, 500, time.UTC)
	day      = time.Date(2024, time.May, 6, 7, 8, 9, 0, time.UTC) // 1714979289
	dayAfter = day.AddDate(0, 0, 1)
)

// header makes a field map of names and values.
func header(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

// compiled are sources that are right.
func compiled(tb testing.TB, sources ...Source) *Sources {
	tb.Helper()
	for _, s := range sources {
		if err := s.Check(); err != nil {
			tb.Fatal(err)
		}
	}
	return Compile(sources)
}

// wantDate checks the date of a search; zero is none.
func wantDate(t *testing.T, q *Search, want time.Time) {
	t.Helper()
	got, ok := q.Date()
	if ok == want.IsZero() || !got.Equal(want) || got.Location() != time.UTC || got.Nanosecond() != 0 {
		t.Errorf("date %v, %v, want %v (missed: %q)", got, ok, want, q.Missed)
	}
}

// wantMissed checks which sources gave no date, by a part of each note.
func wantMissed(t *testing.T, q *Search, want ...string) {
	t.Helper()
	if !slices.EqualFunc(q.Missed, want, strings.Contains) {
		t.Errorf("missed %q, want %q", q.Missed, want)
	}
}

func TestHeaderSource(t *testing.T) {
	odd := Source{Header: "x-updated", Layout: "02.01.2006 15:04"}
	for _, tt := range []struct {
		name    string
		sources []Source
		fields  []string
		want    time.Time
		missed  []string
	}{
		{"IMF-fixdate", nil, []string{"X-Updated", "Mon, 06 May 2024 07:08:09 GMT"}, day, nil},
		{"RFC 850", nil, []string{"X-Updated", "Monday, 06-May-24 07:08:09 GMT"}, day, nil},
		{"asctime", nil, []string{"X-Updated", "Mon May  6 07:08:09 2024"}, day, nil},
		{"a zone of RFC 5322", nil, []string{"X-Updated", "Mon, 6 May 2024 09:08:09 +0200"}, day, nil},
		{"RFC 3339, cut to seconds", nil, []string{"X-Updated", "2024-05-06T09:08:09.999+02:00"}, day, nil},
		{"Unix seconds", nil, []string{"X-Updated", "1714979289"}, day, nil},
		{"the latest line", nil, []string{"X-Updated", "1714979289", "X-Updated", "1715065689", "X-Updated", "1714979289"}, dayAfter, nil},
		{"a line that is no date", nil, []string{"X-Updated", "today", "X-Updated", "1714979289"}, time.Time{}, []string{"header X-Updated: no date"}},
		{"an empty line", nil, []string{"X-Updated", " ", "X-Updated", "1714979289"}, day, []string{"header X-Updated: not there"}},
		{"absent", nil, nil, time.Time{}, []string{"header X-Updated: not there"}},
		{"before 1980-01-02", nil, []string{"X-Updated", "315619199"}, time.Time{}, []string{"build tool"}},
		{"1980-01-02", nil, []string{"X-Updated", "315619200"}, time.Unix(315619200, 0).UTC(), nil},
		{"in the future: not settled", nil, []string{"X-Updated", "Mon, 06 May 2030 07:08:09 GMT"}, day.AddDate(6, 0, 0), nil},
		{"a layout", []Source{odd}, []string{"X-Updated", " 06.05.2024 07:08 "}, day.Truncate(time.Minute), nil},
		{"a layout, and nothing else", []Source{odd}, []string{"X-Updated", "1714979289"}, time.Time{}, []string{"header X-Updated: no date"}},
		{"a layout with a zone", []Source{{Header: "X-Updated", Layout: "2006-01-02 15:04:05 -0700"}}, []string{"X-Updated", "2024-05-06 09:08:09 +0200"}, day, nil},
		{"the latest source", []Source{{Header: "X-A"}, {Header: "X-B"}, {Header: "X-C"}}, []string{"X-A", "1714979289", "X-B", "1715065689", "X-C", "1714979289"}, dayAfter, nil},
		{"one source is not there", []Source{{Header: "X-A"}, {Header: "X-B"}}, []string{"X-A", "1714979289"}, day, []string{"header X-B: not there"}},
		{"one is no date", []Source{{Header: "X-A"}, {Header: "X-B"}}, []string{"X-A", "1714979289", "X-B", "today"}, time.Time{}, []string{"header X-B: no date"}},
		{"one says that there was no change", []Source{{Header: "X-A"}, {Header: "X-B"}}, []string{"X-A", "1714979289", "X-B", "0"}, day, []string{"header X-B: the time of a build tool"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sources := tt.sources
			if sources == nil {
				sources = []Source{{Header: "X-Updated"}}
			}
			q := compiled(t, sources...).Begin(header(tt.fields...), nil, Request{}, now, true)
			wantDate(t, q, tt.want)
			wantMissed(t, q, tt.missed...)
		})
	}
}

// A Last-Modified in an odd form is off the header by then.
func TestLastModifiedInAnOddForm(t *testing.T) {
	s := compiled(t, Source{Header: "Last-Modified", Layout: "2006-01-02 15:04:05"})
	wantDate(t, s.Begin(header(), []string{"2024-05-06 07:08:09"}, Request{}, now, false), day)
	wantDate(t, s.Begin(header("Last-Modified", "2024-05-06 07:08:09"), nil, Request{}, now, false), time.Time{})
}

// Notes are taken when they are wanted, and not without end.
func TestNotes(t *testing.T) {
	s := compiled(t, Source{Header: "X-Updated"})
	lines := http.Header{"X-Updated": slices.Repeat([]string{"today"}, 100)}
	wantMissed(t, s.Begin(lines, nil, Request{}, now, false))
	if q := s.Begin(lines, nil, Request{}, now, true); len(q.Missed) != maxMissed {
		t.Errorf("%d notes, want %d", len(q.Missed), maxMissed)
	}
}

func TestJSONSource(t *testing.T) {
	for _, tt := range []struct {
		name, path, body string
		want             time.Time
		missed           []string
	}{
		{"a string", "updated_at", `{"updated_at":"2024-05-06T07:08:09Z"}`, day, nil},
		{"a string in another form", "updated_at", `{"updated_at":"Mon, 06 May 2024 07:08:09 GMT"}`, day, nil},
		{"a string with escapes", "updated_at", `{"updated_at":"\u0032024-05-06T07:08:09Z"}`, day, nil},
		{"nested", "page.meta.updated_at", `{"page":{"meta":{"updated_at":1714979289}}}`, day, nil},
		{"a list: the latest", "items.#.at", `{"items":[{"at":1714979289},{"at":1715065689},{"at":"2024-05-06T07:08:09Z"}]}`, dayAfter, nil},
		{"a list at the top", "#.at", `[{"at":1715065689},{"at":1714979289}]`, dayAfter, nil},
		{"lists in lists", "a.#.b.#.at", `{"a":[{"b":[{"at":1714979289}]},{"b":[{"at":1714979289},{"at":1715065689}]},{}]}`, dayAfter, nil},
		{"a list of dates", "dates", `{"dates":[1714979289,"2024-05-07T07:08:09Z",null]}`, dayAfter, []string{"json dates: not there"}},
		{"a list, one of them no date", "dates", `{"dates":[1714979289,"soon"]}`, time.Time{}, []string{"json dates: no date"}},
		{"a list, one of them zero", "dates", `{"dates":[1714979289,"0001-01-01T00:00:00Z",""]}`, day, []string{"build tool", "json dates: not there"}},
		{"an empty list", "items.#.at", `{"items":[]}`, time.Time{}, nil},
		{"a query", `items.#(live==true)#.at`, `{"items":[{"live":true,"at":1714979289},{"live":false,"at":1715065689}]}`, day, nil},
		{"a number with a fraction", "t", `{"t":1714979289.987}`, day, nil},
		{"milliseconds", "t", `{"t":1714979289999}`, day, nil},
		{"the greatest number of seconds", "t", `{"t":99999999999}`, time.Unix(99999999999, 0).UTC(), nil},
		{"the least number of milliseconds", "t", `{"t":100000000000}`, time.Time{}, []string{"build tool"}},
		{"milliseconds of 1980", "t", `{"t":315619200000}`, time.Unix(315619200, 0).UTC(), nil},
		{"microseconds", "t", `{"t":1714979289000000}`, time.Time{}, []string{"json t: no date"}},
		{"the least number that is none", "t", `{"t":100000000000000}`, time.Time{}, []string{"json t: no date"}},
		{"a number that is none", "t", `{"t":1e999}`, time.Time{}, []string{"json t: no date"}},
		{"a negative number", "t", `{"t":-1}`, time.Time{}, []string{"json t: no date"}},
		{"zero", "t", `{"t":0}`, time.Time{}, []string{"build tool"}},
		{"a date without a zone", "t", `{"t":"2024-05-06T07:08:09"}`, time.Time{}, []string{"json t: no date"}},
		{"true", "t", `{"t":true}`, time.Time{}, []string{"json t: no date"}},
		{"null", "t", `{"t":null}`, time.Time{}, []string{"json t: not there"}},
		{"an object", "t", `{"t":{"t":1714979289}}`, time.Time{}, []string{"json t: no date"}},
		{"absent", "t", `{"u":1714979289}`, time.Time{}, []string{"json t: not there"}},
		{"a byte order mark", "t", "\ufeff" + `{"t":1714979289}`, day, nil},
		{"a date alone", "t", `1714979289`, time.Time{}, []string{"json t: not there"}},
		{"no JSON", "t", `{"t":1714979289`, time.Time{}, []string{"json: not JSON"}},
		{"JSON and more", "t", `{"t":1714979289} {}`, time.Time{}, []string{"json: not JSON"}},
		{"nothing", "t", ``, time.Time{}, []string{"json: not JSON"}},
		{"brackets in strings", "t", `{"s":"` + strings.Repeat(`[{\"\\`, 300) + `","t":1714979289}`, day, nil},
		{"brackets beside each other", "t", `{"s":[` + strings.Repeat(`[{}],`, 300) + `0],"t":1714979289}`, day, nil},
		{"as deep as can be", "t", deep(maxDepth-1) + `,"t":1714979289}`, day, nil},
		{"as many lists as can be", "t", `{"t":` + nested(maxLists) + `}`, day, nil},
		{"more lists", "t", `{"t":` + nested(maxLists+1) + `}`, time.Time{}, []string{"json t: no date"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := header("Content-Type", "application/json")
			q := compiled(t, Source{JSON: tt.path}).Begin(h, nil, Request{}, now, true)
			wantDate(t, q, time.Time{})
			q.Body(h, []byte(tt.body), Reading{MaxBody: 4 << 20, Space: new(bytes.Buffer)})
			wantDate(t, q, tt.want)
			wantMissed(t, q, tt.missed...)
		})
	}
}

// deep is an object that is open, with n lists in each other in its first member.
func deep(n int) string { return `{"d":` + strings.Repeat("[", n) + strings.Repeat("]", n) }

func nested(n int) string {
	return strings.Repeat("[", n) + "1714979289" + strings.Repeat("]", n)
}

func TestJSONLayout(t *testing.T) {
	h := header("Content-Type", "application/json")
	q := compiled(t, Source{JSON: "t", Layout: "2006-01-02T15:04:05"}, Source{JSON: "n", Layout: "2006-01-02"}).Begin(h, nil, Request{}, now, false)
	q.Body(h, []byte(`{"t":"2024-05-06T07:08:09.123456","n":1714979288}`), Reading{MaxBody: 4 << 20, Space: new(bytes.Buffer)})
	wantDate(t, q, day)
}

// A body that was not looked at might name a later date than another source does, so that there is none: the
// other one would confirm what a client has of an older body.
func TestUnreadBody(t *testing.T) {
	const body = `{"t":1715065689}`
	padded := body + strings.Repeat(" ", maxJSON-len(body))
	sources := compiled(t, Source{JSON: "t"}, Source{Header: "X-Updated"})
	for _, tt := range []struct {
		name, mediaType, coding, body string
		maxBody                       int64
		want                          time.Time
	}{
		{"read", "application/json", "", body, 4 << 20, dayAfter},
		{"with parameters, in capitals", "Application/JSON; charset=utf-8", "", body, 4 << 20, dayAfter},
		{"built on JSON", "application/ld+json", "", body, 4 << 20, dayAfter},
		{"no JSON by its type", "text/html", "", body, 4 << 20, day},
		{"no JSON by its type, but nearly", "application/json-seq", "", body, 4 << 20, day},
		{"no type", "", "", body, 4 << 20, day},
		{"not JSON", "application/json", "", "<p>", 4 << 20, time.Time{}},
		{"JSON without the key", "application/json", "", "{}", 4 << 20, day},
		{"JSON with something else there", "application/json", "", `{"t":{}}`, 4 << 20, time.Time{}},
		{"of 1 MiB", "application/json", "", padded, 4 << 20, dayAfter},
		{"over 1 MiB", "application/json", "", padded + " ", 4 << 20, time.Time{}},
		{"too deep", "application/json", "", deep(maxDepth) + "}", 4 << 20, time.Time{}},
		{"identity", "application/json", "identity", body, 4 << 20, dayAfter},
		{"gzip", "application/json", "gzip", zipped(body), 4 << 20, dayAfter},
		{"gzip, by its other name", "application/json", "X-GZIP", zipped(body), 4 << 20, dayAfter},
		{"gzip of 1 MiB", "application/json", "gzip", zipped(padded), 4 << 20, dayAfter},
		{"gzip of over 1 MiB", "application/json", "gzip", zipped(padded + " "), 4 << 20, time.Time{}},
		{"gzip of max_body", "application/json", "gzip", zipped(body), int64(len(body)), dayAfter},
		{"gzip of over max_body", "application/json", "gzip", zipped(body), int64(len(body)) - 1, time.Time{}},
		{"gzip, cut off", "application/json", "gzip", zipped(body)[:25], 4 << 20, time.Time{}},
		{"not gzip", "application/json", "gzip", body, 4 << 20, time.Time{}},
		{"br", "application/json", "br", body, 4 << 20, time.Time{}},
		{"gzip twice", "application/json", "gzip, gzip", zipped(zipped(body)), 4 << 20, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := header("X-Updated", "1714979289")
			if tt.mediaType != "" {
				h.Set("Content-Type", tt.mediaType)
			}
			if tt.coding != "" {
				h.Set("Content-Encoding", tt.coding)
			}
			q := sources.Begin(h, nil, Request{}, now, true)
			before := []byte(tt.body)
			q.Body(h, before, Reading{MaxBody: tt.maxBody, Space: new(bytes.Buffer)})
			wantDate(t, q, tt.want)
			if string(before) != tt.body {
				t.Error("the body has been changed")
			}
			if failed := q.Err() != nil; failed != tt.want.IsZero() || failed == (len(q.Missed) == 0) && tt.body == body {
				t.Errorf("error %v, missed %q", q.Err(), q.Missed)
			}
		})
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// Several paths are asked of one body, and one that gives nothing takes nothing from the others.
func TestSeveralPaths(t *testing.T) {
	h := header("Content-Type", "application/json")
	q := compiled(t, Source{JSON: "a"}, Source{JSON: "b"}, Source{JSON: "c"}, Source{JSON: "d"}).Begin(h, nil, Request{}, now, true)
	q.Body(h, []byte(`{"a":1714979289,"b":1715065689,"d":1714979289}`), Reading{MaxBody: 4 << 20, Space: new(bytes.Buffer)})
	wantDate(t, q, dayAfter)
	wantMissed(t, q, "json c: not there")
}

// No document costs more than a moment, whatever its shape: the bound is for a slow machine, what grows faster than
// the document takes minutes.
func TestHostileDocuments(t *testing.T) {
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (maxJSON-len(head)-len(tail))/len(unit)) + tail
	}
	documents := map[string]string{
		"brackets":        strings.Repeat("[", maxJSON),
		"braces":          strings.Repeat(`{"a":`, maxJSON/5),
		"numbers":         fill("[", "1,", "1]"),
		"strings":         fill("[", `"{",`, "1]"),
		"empty objects":   fill("[", "{},", "{}]"),
		"empty lists":     fill("[", "[],", "[]]"),
		"members":         fill("{", `"a":1,`, `"b":1}`),
		"escapes":         fill(`{"a":"`, `\\`, `"}`),
		"spaces":          fill("[", " ", "]"),
		"one long name":   fill(`{"`, "a", `":1}`),
		"dates":           fill(`{"items":[`, `{"at":"2024-05-06T07:08:09Z"},`, `{}]}`),
		"lists in lists":  fill(`{"items":[`, `{"items":[{"at":1},{"at":2}]},`, `{}]}`),
		"lists, deep":     fill(`{"items":`+strings.Repeat("[", 200), `1,`, `1`+strings.Repeat("]", 200)+"}"),
		"digits":          fill("[", "1", "]"),
		"an open string":  fill(`{"a":"`, "a", ""),
		"backslashes":     fill(`{"a":"`, `\`, ""),
		"objects in list": fill("[", `{"items":[1]},`, "{}]"),
	}
	for _, path := range []string{"at", "#.at", "items", "items.#.at", "items.#.items.#.at", "#.items.#.at", "*a*a*a*a*b", `#(a=="b")#.at`, "#.#.#.#.at"} {
		sources := compiled(t, Source{JSON: path})
		for name, text := range documents {
			h := header("Content-Type", "application/json")
			q := sources.Begin(h, nil, Request{}, now, true)
			start := time.Now()
			q.Body(h, []byte(text), Reading{MaxBody: 4 << 20, Space: new(bytes.Buffer)})
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s of %s took %v", path, name, took)
			} else if testing.Verbose() && took > 20*time.Millisecond {
				t.Logf("%s of %s took %v", path, name, took)
			}
		}
	}
}

// fileTree is a folder with a site, and a secret beside it.
func fileTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, mtime := range map[string]time.Time{
		"site/page.html": day.Add(999 * time.Millisecond), "site/parts/layout.html": dayAfter, "site/a..b": dayAfter,
		"site/nix": time.Unix(1, 0), "site/soon": now.AddDate(1, 0, 0), "secret": dayAfter,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "site/a"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"link": "page.html", "dangling": "nowhere", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, "site", name)); err != nil {
			t.Skip(err)
		}
	}
	return dir
}

func TestFileSource(t *testing.T) {
	dir := fileTree(t)
	t.Setenv("LASTMODIFIED_TEST", "../site")
	for _, tt := range []struct {
		name, files, path string
		want              time.Time
		missed            []string
	}{
		{"a file, cut to seconds", dir + "/site/page.html", "", day, nil},
		{"the newest", dir + "/site/page.html " + dir + "/site/parts/layout.html", "", dayAfter, nil},
		{"the newest, first", dir + "/site/parts/layout.html " + dir + "/site/page.html", "", dayAfter, nil},
		{"of the request", "{http.vars.root}{http.request.uri.path}", "/page.html", day, nil},
		{"one of several", "{http.vars.root}/missing {http.vars.root}/page.html", "", day, []string{"file {http.vars.root}/missing: stat"}},
		{"a name with dots", "{http.vars.root}{http.request.uri.path}", "/a..b", dayAfter, nil},
		{"missing", "{http.vars.root}{http.request.uri.path}", "/none", time.Time{}, []string{"no such file"}},
		{"a folder", "{http.vars.root}{http.request.uri.path}", "/parts", time.Time{}, []string{"not a regular file"}},
		{"a folder with a slash", "{http.vars.root}{http.request.uri.path}", "/parts/", time.Time{}, []string{"not a regular file"}},
		{"a file as a folder", "{http.vars.root}{http.request.uri.path}", "/page.html/x", time.Time{}, []string{"not a directory"}},
		{"slashes", "{http.vars.root}{http.request.uri.path}", "//.//page.html", day, nil},
		{"a link", "{http.vars.root}/link", "", day, nil},
		{"a link to nothing", "{http.vars.root}/dangling", "", time.Time{}, []string{"no such file"}},
		{"of a build tool", "{http.vars.root}/nix", "", time.Time{}, []string{"build tool"}},
		{"in the future: not settled", "{http.vars.root}/soon", "", now.AddDate(1, 0, 0).Truncate(time.Second), nil},
		{"of a build tool, beside another", "{http.vars.root}/nix {http.vars.root}/page.html", "", time.Time{}, []string{"build tool"}},
		{"a folder, beside another", "{http.vars.root}/parts {http.vars.root}/page.html", "", time.Time{}, []string{"not a regular file"}},
		{"a folder, beside a file in it", "{http.vars.root}{http.request.uri.path} {http.vars.root}{http.request.uri.path}layout.html", "/parts/", dayAfter, []string{"a file in it counts"}},
		{"a folder, beside a file in it that is not there", "{http.vars.root}{http.request.uri.path} {http.vars.root}{http.request.uri.path}none {http.vars.root}/page.html", "/parts/", time.Time{}, []string{"not a regular file", "no such file"}},
		{"a folder, beside a file whose name begins like its", "{http.vars.root}/a {http.vars.root}/a..b", "", time.Time{}, []string{"not a regular file"}},
		{"a folder, and by chance a file in it", "{http.vars.root}{http.request.uri.path} {http.vars.root}/page.html", "/", time.Time{}, []string{"not a regular file"}},
		{"a file as a folder, beside another", "{http.vars.root}/page.html/x {http.vars.root}/page.html", "", day, []string{"not a directory"}},
		{"what cannot be asked, beside another", "{http.vars.root}/loop {http.vars.root}/page.html", "", time.Time{}, []string{"stat"}},
		{"upwards, beside another", "{http.vars.root}{http.request.uri.path} {http.vars.root}/page.html", "/../secret", time.Time{}, []string{`".." in a placeholder`}},
		{"an unknown placeholder", dir + "/site/page.html{unknown}", "", time.Time{}, []string{"{unknown} is empty or not known"}},
		{"an empty placeholder", dir + "/site/page.html{http.request.uri.path}", "", time.Time{}, []string{"{http.request.uri.path} is empty"}},
		{"upwards", "{http.vars.root}{http.request.uri.path}", "/../secret", time.Time{}, []string{`".." in a placeholder`}},
		{"upwards and back", "{http.vars.root}{http.request.uri.path}", "/parts/../page.html", time.Time{}, []string{`".." in a placeholder`}},
		{"upwards, as Windows writes it", "{http.vars.root}{http.request.uri.path}", `\..\secret`, time.Time{}, []string{`".." in a placeholder`}},
		{"upwards, put together", "{http.vars.root}/.{http.request.uri.path}", "./secret", time.Time{}, []string{`".." in a placeholder`}},
		{"upwards by the operator", "{http.vars.root}/../secret", "", dayAfter, nil},
		{"upwards by the operator, and no further", "{http.vars.root}/../site{http.request.uri.path}", "/../secret", time.Time{}, []string{`".." in a placeholder`}},
		{"upwards by the environment", "{http.vars.root}/{env.LASTMODIFIED_TEST}{http.request.uri.path}", "/page.html", day, nil},
		{"NUL", "{http.vars.root}{http.request.uri.path}", "/page.html\x00", time.Time{}, []string{"invalid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repl := caddy.NewReplacer()
			repl.Set("http.vars.root", filepath.Join(dir, "site"))
			repl.Set("http.request.uri.path", tt.path)
			q := compiled(t, Source{Files: strings.Fields(tt.files)}).Begin(nil, nil, Request{Replacer: repl}, now, true)
			wantDate(t, q, tt.want)
			wantMissed(t, q, tt.missed...)
		})
	}
}

// The folder that the operator names may lead upwards itself.
func TestRootUpwards(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("page", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes("page", day, day); err != nil {
		t.Fatal(err)
	}
	t.Chdir("sub")
	repl := caddy.NewReplacer()
	repl.Set("http.vars.root", "..")
	repl.Set("http.request.uri.path", "/page")
	s := compiled(t, Source{Files: []string{"{http.vars.root}{http.request.uri.path}"}})
	wantDate(t, s.Begin(nil, nil, Request{Replacer: repl}, now, false), day)
	repl.Set("http.vars.other", "..")
	s = compiled(t, Source{Files: []string{"{http.vars.other}{http.request.uri.path}"}})
	wantDate(t, s.Begin(nil, nil, Request{Replacer: repl}, now, false), time.Time{})
}

// A root may be made of what the request says. file_server takes it as it is then, and so do we: what looks like a
// placeholder is none, and nothing leads out of the folder in front.
func TestRootOfTheRequest(t *testing.T) {
	dir := fileTree(t)
	t.Chdir(dir)
	t.Setenv("LASTMODIFIED_TEST", "site")
	for _, tt := range []struct {
		name, root string
		want       time.Time
		missed     string
	}{
		{"a folder", dir + "/site", day, ""},
		{"a folder below it", "site/parts/", time.Time{}, "no such file"},
		{"upwards", dir + "/site/..", time.Time{}, `".."`},
		{"upwards and on", dir + "/parts/../site", time.Time{}, `".."`},
		{"upwards at the top", "/.." + dir + "/site", time.Time{}, `".."`},
		{"upwards in front, by the operator", "./../" + filepath.Base(dir) + "/site", day, ""},
		{"upwards in front, and once more", "../" + filepath.Base(dir) + "/parts/../site", time.Time{}, `".."`},
		{"as Windows writes it", `site\..\site`, time.Time{}, `".."`},
		{"a placeholder", dir + "/{env.LASTMODIFIED_TEST}", time.Time{}, "no such file"},
		{"NUL", dir + "/site\x00", time.Time{}, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repl := caddy.NewReplacer()
			repl.Set("http.vars.root", tt.root)
			q := compiled(t, Source{Files: []string{"{http.vars.root}/page.html"}}).Begin(nil, nil, Request{Replacer: repl}, now, true)
			wantDate(t, q, tt.want)
			if got := strings.Join(q.Missed, "; "); !strings.Contains(got, tt.missed) || (got == "") != (tt.missed == "") {
				t.Errorf("missed %q, want %q", got, tt.missed)
			}
		})
	}
}

// In another goroutine than the request's no file is asked, as its placeholders have no lock: it might be the newest.
func TestFilesElsewhere(t *testing.T) {
	dir := fileTree(t)
	s := compiled(t, Source{Files: []string{dir + "/site/page.html"}}, Source{Header: "X-Updated"})
	q := s.Begin(header("X-Updated", "1714979289"), nil, Request{Elsewhere: true}, now, true)
	wantDate(t, q, time.Time{})
	wantMissed(t, q, "stopped waiting")
	q = compiled(t, Source{Header: "X-Updated"}).Begin(header("X-Updated", "1714979289"), nil, Request{Elsewhere: true}, now, true)
	wantDate(t, q, day)
}

// RFC 9110 §8.8.2.2: a date says nothing of what comes within its second, after the response or while it is made.
func TestSettled(t *testing.T) {
	for _, tt := range []struct {
		name        string
		asked, date time.Duration // after the date that was found
		want        bool
	}{
		{"long ago", time.Hour, time.Hour, true},
		{"its second is just over", time.Second, time.Second, true},
		{"its second is not over when the request comes", time.Second - 1, time.Minute, false},
		{"… nor by Date", time.Minute, time.Second - 1, false},
		{"in the future", -time.Hour, -time.Hour, false},
		{"Date comes from a cache", time.Hour, -time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := compiled(t, Source{Header: "X-Updated"}).Begin(header("X-Updated", "1714979289"), nil, Request{}, now, true)
			if got := q.Settled(day.Add(tt.asked), day.Add(tt.date)); got != tt.want || got != (len(q.Missed) == 0) {
				t.Errorf("%t, want %t; missed %q", got, tt.want, q.Missed)
			}
			wantDate(t, q, day)
		})
	}
}

// full is a space without room.
type full struct{ bytes.Buffer }

func (*full) ReadFrom(io.Reader) (int64, error) { return 0, errors.New("full") }

// A body that there is no memory for is not read, which the next one does not feel.
func TestNoSpace(t *testing.T) {
	h := header("Content-Type", "application/json", "Content-Encoding", "gzip")
	for _, space := range []Space{new(full), new(bytes.Buffer)} {
		q := compiled(t, Source{JSON: "t"}).Begin(h, nil, Request{}, now, true)
		q.Body(h, []byte(zipped(`{"t":1714979289}`)), Reading{MaxBody: 4 << 20, Space: space})
		if _, none := space.(*full); none {
			wantDate(t, q, time.Time{})
			wantMissed(t, q, "json: not read")
		} else {
			wantDate(t, q, day)
		}
	}
}

// FuzzJSON: whatever document and path, there is an answer, and it is a date that can be sent.
func FuzzJSON(f *testing.F) {
	for _, seed := range [][2]string{
		{"updated_at", `{"updated_at":"2024-05-06T07:08:09Z"}`},
		{"items.#.at", `{"items":[{"at":1714979289},{"at":1.7e12},"{",[null]]}`},
		{`items.#(a=="b")#.at`, `{"items":[{"a":"b","at":"Mon, 06 May 2024 07:08:09 GMT"}]}`},
		{"#.#.at|0", `[[{"at":1}],[{"at":[[2]]}]]`},
		{"*", `{"a\u0041":-1e999}`},
		{"a.b", deep(maxDepth) + "}"},
	} {
		f.Add(seed[0], "", []byte(seed[1]), false)
		f.Add(seed[0], "02.01.2006 15:04", []byte(zipped(seed[1])), true)
	}
	f.Fuzz(func(t *testing.T, path, layout string, body []byte, coded bool) {
		source := Source{JSON: path, Layout: layout}
		if source.Check() != nil {
			return
		}
		h := header("Content-Type", "application/json")
		if coded {
			h.Set("Content-Encoding", "gzip")
		}
		q := Compile([]Source{source}).Begin(h, nil, Request{}, now, true)
		q.Body(h, body, Reading{MaxBody: 1 << 16, Space: new(bytes.Buffer)})
		got, ok := q.Date()
		if ok && q.Settled(now, now) && got.Add(time.Second).After(now) {
			t.Errorf("%q of %q: %v is settled", path, body, got)
		}
		if ok && (got.Unix() < 315619200 || got.Nanosecond() != 0 || got.Location() != time.UTC) {
			t.Errorf("%q of %q: %v", path, body, got)
		}
		if !ok && !got.IsZero() {
			t.Errorf("%v, and none", got)
		}
		if len(q.Missed) > maxMissed {
			t.Errorf("%d notes", len(q.Missed))
		}
	})
}

// FuzzHeader: a field's date can be sent, and one line more never makes it earlier, if it does not take it away.
func FuzzHeader(f *testing.F) {
	f.Add("1714979289", "Mon, 06 May 2024 07:08:09 GMT", "")
	f.Add("06.05.2024 07:08", "today", "02.01.2006 15:04")
	f.Fuzz(func(t *testing.T, line, another, layout string) {
		source := Source{Header: "X-Updated", Layout: layout}
		if source.Check() != nil {
			return
		}
		s := Compile([]Source{source})
		one, _ := s.Begin(header("X-Updated", line), nil, Request{}, now, false).Date()
		two, ok := s.Begin(header("X-Updated", line, "X-Updated", another), nil, Request{}, now, false).Date()
		if ok && two.Before(one) || ok && (two.Unix() < 315619200 || two.Nanosecond() != 0) {
			t.Errorf("%v of %q, %v with %q", one, line, two, another)
		}
	})
}

// BenchmarkSource: what each source costs for one response.
func BenchmarkSource(b *testing.B) {
	path := filepath.Join(b.TempDir(), "page.html")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	list := func(n int) string {
		return `{"items":[` + strings.Repeat(`{"id":1,"text":"some words","updated_at":"2024-05-06T07:08:09Z"},`, n) + `{}]}`
	}
	for _, bench := range []struct {
		name         string
		source       Source
		body, coding string
	}{
		{"source=header", Source{Header: "X-Updated"}, "", ""},
		{"source=file/files=1", Source{Files: []string{path}}, "", ""},
		{"source=file/placeholders=2", Source{Files: []string{"{http.vars.root}{http.request.uri.path}"}}, "", ""},
		{"source=file/missing=1", Source{Files: []string{path + ".none"}}, "", ""},
		{"source=json/size=1KiB", Source{JSON: "items.#.updated_at"}, list(15), ""},
		{"source=json/size=64KiB", Source{JSON: "items.#.updated_at"}, list(1000), ""},
		{"source=json/size=1MiB", Source{JSON: "items.#.updated_at"}, list(15900), ""},
		{"source=json/size=64KiB/coding=gzip", Source{JSON: "items.#.updated_at"}, zipped(list(1000)), "gzip"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			repl := caddy.NewReplacer()
			repl.Set("http.vars.root", filepath.Dir(path))
			repl.Set("http.request.uri.path", "/page.html")
			h := header("X-Updated", "2024-05-06T07:08:09Z", "Content-Type", "application/json", "Content-Encoding", bench.coding)
			s, body, space := compiled(b, bench.source), []byte(bench.body), new(bytes.Buffer)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				q := s.Begin(h, nil, Request{Replacer: repl}, now, false)
				space.Reset()
				q.Body(h, body, Reading{MaxBody: 4 << 20, Space: space})
				if _, ok := q.Date(); !ok && !strings.Contains(bench.name, "missing") {
					b.Fatal(fmt.Sprint("no date: ", bench.name))
				}
			}
		})
	}
}

// Where the time is over before all sources are asked, there may be a later date: none is known.
func TestBodyThatIsReadTooLate(t *testing.T) {
	h := http.Header{"Content-Type": {"application/json"}}
	long := `{"t":1714979289,"u":[` + strings.Repeat(`1714979289,`, 4*membersAtOnce) + `1]}`
	for name, tt := range map[string]struct {
		body string
		most int // questions that are answered with no
		want bool
	}{
		"in time":                  {`{"t":1714979289,"u":1}`, 100, true},
		"from the beginning":       {`{"t":1714979289,"u":1}`, 0, false},
		"before the first path":    {`{"t":1714979289,"u":1}`, 1, false},
		"between two paths":        {`{"t":1714979289,"u":1}`, 2, false},
		"in the midst of a list":   {long, 4, false},
		"a long list, but in time": {long, 100, true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			q := Compile([]Source{{JSON: "t"}, {JSON: "u"}}).Begin(h, nil, Request{}, time.Now(), true)
			q.Body(h, []byte(tt.body), Reading{MaxBody: 4 << 20, Space: new(bytes.Buffer), Late: func() bool { asked++; return asked > tt.most }})
			if _, ok := q.Date(); ok != tt.want || (q.Err() == nil) != tt.want {
				t.Errorf("a date: %t, error %v, missed %v", ok, q.Err(), q.Missed)
			}
			if !tt.want && asked != tt.most+1 {
				t.Errorf("%d questions, want %d", asked, tt.most+1)
			}
		})
	}
}
