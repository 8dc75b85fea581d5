package freshness

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

var now = time.Date(2024, 5, 6, 7, 8, 9, 987_654_321, time.UTC)

const (
	nowDate   = "Mon, 06 May 2024 07:08:09 GMT"
	nowPlus1m = "Mon, 06 May 2024 07:09:09 GMT"
	sentDate  = "Sun, 05 May 2024 23:59:30 GMT"
	sentPlus1 = "Mon, 06 May 2024 00:00:30 GMT"
)

// response makes a header map of pairs of a name and a line; a repeated name is one more line.
func response(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

func compile(tb testing.TB, directives string, replace bool) *Row {
	tb.Helper()
	existing := Keep
	if replace {
		existing = Replace
	}
	row, err := Compile(Source{Directives: []string{directives}, Existing: existing}, parseDuration)
	if err != nil {
		tb.Fatal(err)
	}
	return row
}

type applyRow struct {
	name       string
	directives string
	replace    bool
	sent       http.Header
	resp       Response
	want       http.Header // nil: the response stays as it is
}

func (row applyRow) run(t *testing.T) {
	t.Helper()
	compiled := compile(t, row.directives, row.replace)
	row.resp.Now = now
	want := row.want
	if want == nil {
		want = row.sent.Clone()
	}
	got := row.sent.Clone()
	if compiled.Apply(got, row.resp); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// Design, "Freshness": an upstream's Cache-Control (or Expires) is kept by default; replace wins.
func TestApplyExisting(t *testing.T) {
	set := response("Cache-Control", "public, max-age=60")
	for _, row := range []applyRow{
		{name: "nothing there", sent: response(), want: set},
		{name: "Cache-Control stands", sent: response("Cache-Control", "no-cache")},
		{name: "an unknown Cache-Control stands", sent: response("Cache-Control", "foo")},
		{name: "a second line stands", sent: response("Cache-Control", "", "Cache-Control", "private")},
		{name: "Expires stands (RFC 9111 §5.3)", sent: response("Expires", nowDate)},
		{name: "an invalid Expires is in the past, and stands", sent: response("Expires", "0")},
		{name: "an empty Cache-Control is none", sent: response("Cache-Control", " "), want: set},
		{name: "an empty Expires is none", sent: response("Expires", ""), want: set},
		{name: "replaced", replace: true, sent: response("Cache-Control", "no-store", "Cache-Control", "private"), want: set},
		{name: "Expires goes with what is replaced", replace: true, sent: response("Expires", nowDate), want: set},
		{name: "a lone Pragma is the upstream's word", sent: response("Pragma", "no-cache")},
		{name: "a lone Pragma, in capitals among others", sent: response("Pragma", "x", "Pragma", "y, No-Cache")},
		{name: "a lone Pragma, beside an empty Cache-Control", sent: response("Cache-Control", "", "Pragma", "no-cache")},
		{name: "another Pragma says nothing (RFC 9111 §5.4), and stays", sent: response("Pragma", "public"), want: response("Pragma", "public", "Cache-Control", "public, max-age=60")},
		{name: "a lone Pragma goes with what is replaced", replace: true, sent: response("Pragma", "no-cache"), want: set},
		{name: "Pragma beside a Cache-Control stands with it", sent: response("Cache-Control", "no-cache", "Pragma", "no-cache")},
		{name: "Pragma goes with what is replaced", replace: true, sent: response("Cache-Control", "no-cache", "Pragma", "no-cache"), want: set},
		{name: "Date is not touched", sent: response("Date", "x"), want: response("Date", "x", "Cache-Control", "public, max-age=60")},
	} {
		row.directives = "public max-age=60"
		t.Run(row.name, row.run)
	}
}

// Design, "Freshness": a row never licenses sharing of what belongs to one user, unless it replaces.
func TestApplyPersonal(t *testing.T) {
	for _, row := range []applyRow{
		{name: "public", directives: "public max-age=60", want: response("Cache-Control", "private, max-age=60")},
		{name: "s-maxage", directives: "s-maxage=1h max-age=1m", want: response("Cache-Control", "private, max-age=60")},
		{name: "nothing else", directives: "public", want: response("Cache-Control", "private")},
		{name: "private already", directives: "max-age=60 private", want: response("Cache-Control", "private, max-age=60")},
		{name: "private for one field", directives: `private="Set-Cookie" max-age=60`, want: response("Cache-Control", "private, max-age=60")},
		{name: "no-store", directives: "no-store", want: response("Cache-Control", "private, no-store")},
		{
			name: "what is for one user as well stays", directives: "must-revalidate no-transform max-age=60 stale-while-revalidate=1d immutable",
			want: response("Cache-Control", "private, must-revalidate, no-transform, max-age=60, stale-while-revalidate=86400, immutable"),
		},
		{
			name: "replace is the operator's word", directives: "public s-maxage=60", replace: true,
			want: response("Cache-Control", "public, s-maxage=60"),
		},
	} {
		row.sent, row.resp.Personal = response(), true
		t.Run(row.name, row.run)
	}
}

// Design, "Freshness": Expires = Date + max-age, or Date itself for what is stale at once.
func TestApplyExpires(t *testing.T) {
	for _, row := range []struct{ directives, expires string }{
		{"max-age=60", sentPlus1},
		{"max-age=60 s-maxage=3600", sentPlus1},
		{"public max-age=60", sentPlus1},
		{"max-age=0", sentDate},
		{"max-age=0 must-revalidate", sentDate},
		{"no-cache", sentDate},
		{"no-cache max-age=60", sentDate},
		{"max-age=60 no-cache", sentDate},
		{"no-store", sentDate},
		{"no-store max-age=0", sentDate},
		{`no-cache="Set-Cookie" max-age=60`, sentPlus1},
		{`no-cache="Set-Cookie"`, ""},
		{"s-maxage=60", ""},
		{"private", ""},
		{"public stale-while-revalidate=60", ""},
		{"max-age=2147483647", "Sat, 24 May 2092 03:13:37 GMT"},
	} {
		for _, personal := range []bool{false, true} {
			h := response("Date", sentDate)
			compile(t, row.directives, false).Apply(h, Response{Personal: personal, Expires: true, Now: now})
			if got := h.Get("Expires"); got != row.expires {
				t.Errorf("%s, personal %t: Expires %q, want %q", row.directives, personal, got, row.expires)
			}
			if len(h["Expires"]) > 1 || h.Get("Date") != sentDate {
				t.Errorf("%s: %v", row.directives, h)
			}
		}
	}
}

// A recipient counts from Date (RFC 9111 §4.2.1), so Expires never rests on another clock than it.
func TestApplyDate(t *testing.T) {
	for _, row := range []applyRow{
		{
			name: "none", sent: response(),
			want: response("Cache-Control", "max-age=60", "Date", nowDate, "Expires", nowPlus1m),
		},
		{
			name: "given", sent: response("Date", sentDate),
			want: response("Cache-Control", "max-age=60", "Date", sentDate, "Expires", sentPlus1),
		},
		{
			name: "given in an obsolete form", sent: response("Date", "Sunday, 05-May-24 23:59:30 GMT"),
			want: response("Cache-Control", "max-age=60", "Date", "Sunday, 05-May-24 23:59:30 GMT", "Expires", sentPlus1),
		},
		{
			name: "invalid", sent: response("Date", "today"),
			want: response("Cache-Control", "max-age=60", "Date", nowDate, "Expires", nowPlus1m),
		},
		{
			name: "two lines", sent: response("Date", sentDate, "Date", sentDate),
			want: response("Cache-Control", "max-age=60", "Date", nowDate, "Expires", nowPlus1m),
		},
	} {
		row.directives, row.resp.Expires = "max-age=60", true
		t.Run(row.name, row.run)
	}
}

// Rows are shared by all requests, so what they set must not be.
func TestApplySharesNoLines(t *testing.T) {
	row := compile(t, "max-age=60", false)
	for range 2 {
		h := response()
		row.Apply(h, Response{Expires: true, Now: now})
		if got := h.Get("Cache-Control"); got != "max-age=60" {
			t.Fatalf("Cache-Control %q", got)
		}
		h["Cache-Control"][0] = "edited in place, as Caddy's header directive does"
	}
	if row.String() != "max-age=60" || row.Replaces() || !compile(t, "no-store", true).Replaces() {
		t.Errorf("%q, replaces: %t", row, row.Replaces())
	}
}

// TestNoStore: what is said beforehand of no-store is what Apply makes of it.
func TestNoStore(t *testing.T) {
	ups := []http.Header{
		nil, response("Cache-Control", ""), response("Cache-Control", "max-age=60"), response("Cache-Control", "private", "Cache-Control", "no-store"),
		response("Cache-Control", "no-store, must-understand"), response("Cache-Control", `x="no-store"`), response("Expires", nowDate), response("Pragma", "no-cache"),
	}
	for _, directives := range []string{"max-age=60", "no-store", "no-store, must-understand", "no-cache"} {
		for _, existing := range []Existing{Keep, Merge, Replace} {
			row, err := Compile(Source{Directives: []string{directives}, Existing: existing}, parseDuration)
			if err != nil {
				t.Fatal(err)
			}
			for _, up := range ups {
				checkNoStore(t, row, up, directives)
			}
		}
	}
}

func checkNoStore(t *testing.T, row *Row, up http.Header, directives string) {
	t.Helper()
	for _, personal := range []bool{false, true} {
		got, h := row.NoStore(up), up.Clone()
		if h == nil {
			h = http.Header{}
		}
		row.Apply(h, Response{Now: now, Expires: true, Personal: personal})
		if want := httpcond.HasDirective(h["Cache-Control"], "no-store"); got != want {
			t.Errorf("%q (%d) on %v: %v, and what goes out is %v", directives, row.existing, up, got, h)
		}
	}
}
