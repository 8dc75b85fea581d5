package freshness

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

func compileMerging(tb testing.TB, directives string, extension ...string) *Row {
	tb.Helper()
	row, err := Compile(Source{Directives: []string{directives}, Extension: extension, Existing: Merge}, parseDuration)
	if err != nil {
		tb.Fatal(err)
	}
	return row
}

// merged is what a merging row makes of an upstream's lines.
func merged(tb testing.TB, row string, up ...string) string {
	tb.Helper()
	h := http.Header{"Cache-Control": up}
	compileMerging(tb, row).Apply(h, Response{Now: now})
	if len(h["Cache-Control"]) != 1 {
		tb.Errorf("lines %q", h["Cache-Control"])
	}
	return h.Get("Cache-Control")
}

// joins are rows, what upstreams say, and what becomes of both.
var joins = []struct{ name, row, up, want string }{
	{"the row's lifetime is shorter", "max-age=5", "max-age=60", "max-age=5"},
	{"the upstream's is", "max-age=60", "max-age=5", "max-age=5"},
	{"in any case (RFC 9111 §5.2)", "max-age=60", "Max-Age=5", "max-age=5"},
	{"quoted (§5.2)", "max-age=60", `max-age="5"`, "max-age=5"},
	{"only the row has one", "max-age=60", "no-transform", "max-age=60, no-transform"},
	{"only the upstream has one", "no-transform", "max-age=60", "max-age=60, no-transform"},
	{"each of them", "max-age=60 s-maxage=60 stale-while-revalidate=60 stale-if-error=60", "s-maxage=1, stale-if-error=2, stale-while-revalidate=3, max-age=4", "max-age=4, s-maxage=1, stale-while-revalidate=3, stale-if-error=2"},
	{"the upstream's max-age is its lifetime in shared caches, too", "max-age=60 s-maxage=3600", "max-age=600", "max-age=60, s-maxage=600"},
	{"and the row's", "max-age=60", "s-maxage=3600", "max-age=60, s-maxage=60"},
	{"s-maxage on both sides", "s-maxage=60 max-age=10", "s-maxage=30, max-age=20", "max-age=10, s-maxage=30"},
	{"s-maxage alone does not say how long a browser may", "s-maxage=60", "s-maxage=70", "s-maxage=60"},

	{"malformed: stale (§4.2.1)", "max-age=60", "max-age=abc", "max-age=0"},
	{"negative: stale", "max-age=60", "max-age=-1", "max-age=0"},
	{"fractional: stale", "max-age=60", "max-age=1.5", "max-age=0"},
	{"with a sign: stale", "max-age=60", "max-age=+5", "max-age=0"},
	{"with a unit: stale", "max-age=60", "max-age=5s", "max-age=0"},
	{"empty: stale", "max-age=60", "max-age=", "max-age=0"},
	{"without an argument: stale", "max-age=60", "max-age", "max-age=0"},
	{"an open quote: stale", "max-age=60", `max-age="5`, "max-age=0"},
	{"of the other lifetimes, too", "s-maxage=60 stale-if-error=60", "s-maxage=x, stale-if-error=y", "s-maxage=0, stale-if-error=0"},
	{"over 2^31-1 (§1.2.2)", "public", "max-age=2147483648", "public, max-age=2147483647"},
	{"over 2^63", "public", "max-age=99999999999999999999", "public, max-age=2147483647"},
	{"leading zeros", "public", "max-age=0060", "public, max-age=60"},
	{"twice: the shorter one", "max-age=60", "max-age=30, max-age=40", "max-age=30"},
	{"twice: malformed is shorter", "max-age=60", "max-age=x, max-age=40", "max-age=0"},

	{"public beside nothing", "public", "must-revalidate,max-age=60", "public, max-age=60, must-revalidate"},
	{"private over public", "private", "public", "private"},
	{"private over public, the other way round", "public", "must-revalidate,max-age=60,private", "private, max-age=60, must-revalidate"},
	{"the upstream with itself", "max-age=60", "public, private", "private, max-age=60"},
	{"private over s-maxage", "s-maxage=60 max-age=10", "private", "private, max-age=10"},
	{"no-store over all that stores", "public max-age=60 s-maxage=60 immutable stale-if-error=1 stale-while-revalidate=1", "no-store", "no-store"},
	{"the row's no-store", "no-store", "public, max-age=60", "no-store"},
	{"no-store agrees with 0", "max-age=60", "no-store, max-age=0, s-maxage=0", "no-store, max-age=0, s-maxage=0"},
	{"no-store agrees with restrictions", "must-revalidate no-transform", "no-store, no-cache, private", "private, no-store, no-cache, must-revalidate, no-transform"},
	{"no-store with an argument is one", "max-age=60", "no-store=1", "no-store"},
	{"no-cache", "max-age=60 public", "no-cache", "public, no-cache, max-age=60"},
	{"all restrictions", "must-revalidate no-transform", "proxy-revalidate, max-age=1", "max-age=1, must-revalidate, proxy-revalidate, no-transform"},
	{"public with an argument is no licence", "max-age=60", "public=1", "max-age=60"},
	{"immutable with an argument is none", "max-age=60", "immutable=1", "max-age=60"},
	{"must-revalidate with an argument is one", "max-age=60", "must-revalidate=1", "max-age=60, must-revalidate"},

	{"immutable while it is fresh (RFC 8246 §2)", "immutable max-age=1y", "max-age=60", "max-age=60, immutable"},
	{"immutable of the upstream", "max-age=60", "immutable, max-age=600", "max-age=60, immutable"},
	{"immutable, stale at once", "immutable max-age=1y", "max-age=0", "max-age=0"},
	{"immutable and no-cache", "immutable max-age=1y", "no-cache", "no-cache, max-age=31536000"},
	{"immutable without a lifetime", "immutable", "public", "public, immutable"},
	{"stale use and must-revalidate (§4.2.4)", "max-age=60 stale-while-revalidate=60 stale-if-error=60", "must-revalidate", "max-age=60, must-revalidate"},
	{"stale use and no-cache", "max-age=60 stale-while-revalidate=60 stale-if-error=60", "no-cache", "no-cache, max-age=60"},
	{"stale use of what is stale at once", "max-age=60 stale-while-revalidate=60 stale-if-error=60", "max-age=0", "max-age=0, stale-if-error=60"},
	{"in shared caches", "max-age=60 stale-while-revalidate=60", "max-age=30, s-maxage=0", "max-age=30, s-maxage=0"},
	{"and of the row's", "max-age=0", "max-age=60, stale-while-revalidate=60", "max-age=0"},
	{"unless it says so itself", "max-age=60", "max-age=0, stale-while-revalidate=60", "max-age=0, stale-while-revalidate=60"},
	{"0 of both sides", "stale-while-revalidate=0", "stale-while-revalidate=60, max-age=1", "max-age=1, stale-while-revalidate=0"},

	{"must-understand lifts no-store (§5.2.2.3)", "must-understand no-store max-age=60 public", "max-age=30", "public, no-store, max-age=30, must-understand"},
	{"but not that of the other side", "must-understand", "no-store", "no-store"},
	{"of which there may be two", "must-understand no-store max-age=60", "no-store", "no-store"},
	{"the other way round", "no-store", "must-understand, no-store, max-age=60", "no-store"},
	{"must-understand of both sides", "must-understand", "must-understand, no-store", "no-store, must-understand"},

	{"qualified private", `private="A" max-age=60`, "public", `public, private="A", max-age=60`},
	{"qualified, of both sides", `private="A, B"`, `private="b,C"`, `private="A, B, C"`},
	{"qualified no-cache of both sides", `no-cache="A"`, `no-cache=B`, `no-cache="A, B"`},
	{"qualified, on several lines", `no-cache="A"`, `no-cache="B", no-cache="C"`, `no-cache="A, B, C"`},
	{"the unqualified form says more", `private="A" no-cache="A"`, "no-cache, private", "private, no-cache"},
	{"the row's does", "private no-cache", `private="A", no-cache="A"`, "private, no-cache"},
	{"the upstream's both", "max-age=1", `private="A", private`, "private, max-age=1"},
	{"qualified private leaves s-maxage", "s-maxage=60", `private="A"`, `private="A", s-maxage=60`},
	{"empty members of the list", "max-age=1", `private=",A,, B ,"`, `private="A, B", max-age=1`},
	{"no field name is the unqualified form", "public", `private=""`, "private"},
	{"an empty argument is", "public", `private=`, "private"},
	{"what is no field name is", "public", `private="A, B C"`, "private"},
	{"an open quote is", "public", `private="A, max-age=1`, "private, max-age=1"},
	{"no-cache with a broken list", "max-age=1", `no-cache="?"`, "no-cache, max-age=1"},
	{"qualified no-cache leaves immutable and stale use", "max-age=1 immutable stale-if-error=1", `no-cache="A"`, `no-cache="A", max-age=1, stale-if-error=1, immutable`},

	{"unknown directives: verbatim, in order", "max-age=60", `X-b="1, \"2", private, x-A=Z, x-c`, `private, max-age=60, X-b="1, \"2", x-A=Z, x-c`},
	{"an unknown one twice", "max-age=60", "x=1, x=2", "max-age=60, x=1, x=2"},
	{"an unknown one with an open quote would hide the rest", "max-age=60", `x="1, y=a"b`, "max-age=60"},
	{"an empty argument of one", "max-age=60", "x=", "max-age=60, x="},
	{"no name", "max-age=60", `=1, "no-store", a b`, "max-age=60"},
	{"words in quotes", "public max-age=60", `x="private, no-store"`, `public, max-age=60, x="private, no-store"`},
	{"only blanks: the row as it is", "must-revalidate public", " ", "must-revalidate, public"},
	{"only commas", "must-revalidate public", ",,", "public, must-revalidate"},
}

// Design, "Freshness": merge joins per directive, the shorter lifetime and the more private word winning.
func TestMerge(t *testing.T) {
	for _, tt := range joins {
		t.Run(tt.name, func(t *testing.T) {
			row := strings.ReplaceAll(tt.row, "1y", "365d")
			if got := merged(t, row, tt.up); got != tt.want {
				t.Errorf("%q with %q is %q, want %q", row, tt.up, got, tt.want)
			}
			first, second, _ := strings.Cut(tt.up, ", ")
			if !strings.Contains(tt.up, `"`) && strings.TrimSpace(tt.up) != "" {
				if got := merged(t, row, first, second); got != tt.want {
					t.Errorf("on two lines: %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// A row's extension stands where the upstream has no directive of that name.
func TestMergeExtension(t *testing.T) {
	for up, want := range map[string]string{
		"max-age=1":         "max-age=1, x-a=1, x-b",
		"X-A=2":             "max-age=60, X-A=2, x-b",
		"x-c, x-b=1, x-a=1": "max-age=60, x-c, x-b=1, x-a=1",
	} {
		row := compileMerging(t, "max-age=60", "x-a=1", "x-b")
		for range 2 { // a row is not written to
			h := http.Header{"Cache-Control": {up}}
			row.Apply(h, Response{Now: now})
			if got := h.Get("Cache-Control"); got != want {
				t.Errorf("%q: %q, want %q", up, got, want)
			}
		}
	}
}

// Rows are shared by all requests, so what they are joined with must not get into them.
func TestMergeSharesNoFields(t *testing.T) {
	row := read([]string{`private="A, B, C"`})
	one, other := read([]string{`private="D"`}), read([]string{`private="E"`})
	first := join(&row, &one)
	join(&row, &other)
	if got := first.String(); got != `private="A, B, C, D"` {
		t.Errorf("%q", got)
	}
}

// A list that takes long to join says more than its length allows: it counts as the unqualified form.
func TestLongFieldList(t *testing.T) {
	for n, want := range map[int]bool{maxFields: true, maxFields + 1: false} {
		var names []string
		for i := range n {
			names = append(names, "x"+strconv.Itoa(i))
		}
		p := read([]string{`private="` + strings.Join(names, ",") + `"`})
		if got := p.words&private == 0; got != want {
			t.Errorf("%d names are a list: %t", n, got)
		}
		names[0] = "y"
		other := read([]string{`no-cache="x0", private="` + strings.Join(names[:min(n, maxFields)], ",") + `"`})
		if j := join(&p, &other); j.words != private {
			t.Errorf("the joined list is %.40q", &j)
		}
		p, other = policy{noCacheFields: p.privateFields, seconds: nothingSaid}, policy{noCacheFields: other.privateFields, seconds: nothingSaid}
		if j := join(&p, &other); want && j.words != noCache {
			t.Errorf("the joined list is %.40q", &j)
		}
	}
}

// Expires − Date is the upstream's lifetime if it has no max-age (RFC 9111 §5.3), and what is sent as
// Expires does not promise more than what is sent as max-age.
func TestMergeExpires(t *testing.T) {
	const plus30 = "Mon, 06 May 2024 00:00:00 GMT" // of sentDate
	for _, tt := range []struct {
		name, row   string
		off         bool
		sent        []string
		wantControl string
		wantExpires string
	}{
		{name: "shorter", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", plus30}, wantControl: "max-age=30", wantExpires: plus30},
		{name: "longer", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", "Wed, 06 May 2026 00:00:00 GMT"}, wantControl: "max-age=60", wantExpires: sentPlus1},
		{name: "the row has none", row: "public", sent: []string{"Date", sentDate, "Expires", sentPlus1}, wantControl: "public, max-age=60", wantExpires: sentPlus1},
		{name: "past", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", dayBeforeDate}, wantControl: "max-age=0", wantExpires: sentDate},
		{name: "invalid: already past", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", "0"}, wantControl: "max-age=0", wantExpires: sentDate},
		{name: "empty: none", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", " ", "Cache-Control", "public"}, wantControl: "public, max-age=60", wantExpires: sentPlus1},
		{name: "max-age is the upstream's word", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", "0", "Cache-Control", "max-age=90"}, wantControl: "max-age=60", wantExpires: sentPlus1},
		{name: "a broken max-age is, too", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", sentPlus1, "Cache-Control", "max-age=x"}, wantControl: "max-age=0", wantExpires: sentDate},
		{name: "s-maxage is for others", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", plus30, "Cache-Control", "s-maxage=90"}, wantControl: "max-age=30, s-maxage=60", wantExpires: plus30},
		{name: "of several the first to come", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", sentPlus1, "Expires", plus30}, wantControl: "max-age=30", wantExpires: plus30},
		{name: "of several an invalid one", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", sentPlus1, "Expires", "-1"}, wantControl: "max-age=0", wantExpires: sentDate},
		{name: "of several an empty one", row: "max-age=90", sent: []string{"Date", sentDate, "Expires", " ", "Expires", sentPlus1}, wantControl: "max-age=60", wantExpires: sentPlus1},
		{name: "beyond what caches count", row: "public", sent: []string{"Date", sentDate, "Expires", "Fri, 31 Dec 9999 23:59:59 GMT"}, wantControl: "public, max-age=2147483647", wantExpires: "Sat, 24 May 2092 03:13:37 GMT"},
		{name: "without Date it counts from now", row: "public", sent: []string{"Expires", nowPlus1m}, wantControl: "public, max-age=60", wantExpires: nowPlus1m},
		{name: "no-store", row: "max-age=60", sent: []string{"Date", sentDate, "Expires", sentPlus1, "Cache-Control", "no-store"}, wantControl: "no-store", wantExpires: sentDate},
		{name: "the row's no-cache", row: "no-cache", sent: []string{"Date", sentDate, "Expires", sentPlus1}, wantControl: "no-cache, max-age=60", wantExpires: sentDate},
		{name: "a lone Pragma is the upstream's no-cache", row: "max-age=60", sent: []string{"Date", sentDate, "Pragma", "no-cache"}, wantControl: "no-cache, max-age=60", wantExpires: sentDate},
		{name: "a Pragma beside Expires, too", row: "max-age=60", sent: []string{"Date", sentDate, "Pragma", "no-cache", "Expires", plus30}, wantControl: "no-cache, max-age=30", wantExpires: sentDate},
		{name: "a Pragma beside Cache-Control says nothing", row: "max-age=60", sent: []string{"Date", sentDate, "Pragma", "no-cache", "Cache-Control", "public"}, wantControl: "public, max-age=60", wantExpires: sentPlus1},
		{name: "no lifetime at all", row: "public", sent: []string{"Date", sentDate, "Cache-Control", "no-transform"}, wantControl: "public, no-transform"},

		{name: "off: it says less", row: "max-age=60", off: true, sent: []string{"Date", sentDate, "Expires", plus30}, wantControl: "max-age=30", wantExpires: plus30},
		{name: "off: one of several says more", row: "max-age=90", off: true, sent: []string{"Date", sentDate, "Expires", "Mon, 06 May 2024 00:01:30 GMT", "Expires", plus30}, wantControl: "max-age=30"},
		{name: "off: it says the same", row: "max-age=90", off: true, sent: []string{"Date", sentDate, "Expires", sentPlus1}, wantControl: "max-age=60", wantExpires: sentPlus1},
		{name: "off: it says more", row: "max-age=59", off: true, sent: []string{"Date", sentDate, "Expires", sentPlus1}, wantControl: "max-age=59"},
		{name: "off: no-cache", row: "no-cache", off: true, sent: []string{"Date", sentDate, "Expires", sentPlus1}, wantControl: "no-cache, max-age=60"},
		{name: "off: no-store", row: "no-store", off: true, sent: []string{"Date", sentDate, "Expires", sentPlus1}, wantControl: "no-store"},
		{name: "off: an invalid one promises nothing", row: "max-age=60", off: true, sent: []string{"Date", sentDate, "Expires", "0", "Cache-Control", "max-age=90"}, wantControl: "max-age=60", wantExpires: "0"},
		{name: "off: none is made", row: "max-age=60", off: true, sent: []string{"Date", sentDate, "Cache-Control", "max-age=90"}, wantControl: "max-age=60"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := response(tt.sent...)
			compileMerging(t, tt.row).Apply(h, Response{Expires: !tt.off, Now: now})
			if got := h.Get("Cache-Control"); got != tt.wantControl {
				t.Errorf("Cache-Control %q, want %q", got, tt.wantControl)
			}
			if got := strings.Join(h["Expires"], " | "); got != tt.wantExpires {
				t.Errorf("Expires %q, want %q", got, tt.wantExpires)
			}
		})
	}
}

const dayBeforeDate = "Sat, 04 May 2024 23:59:30 GMT"

// What tells of the past stands: Age is the time since the origin made the response, whatever is said of
// its future, and Pragma is the upstream's.
func TestMergeLeaves(t *testing.T) {
	for _, row := range []*Row{compileMerging(t, "max-age=60"), compile(t, "max-age=60", true), compile(t, "max-age=60", false)} {
		h := response("Date", sentDate, "Age", "3000", "Cache-Control", "max-age=3600")
		row.Apply(h, Response{Expires: true, Now: now})
		if h.Get("Age") != "3000" || h.Get("Date") != sentDate {
			t.Errorf("%v", h)
		}
	}
	for _, control := range []string{"", "public"} {
		h := response("Pragma", "no-cache", "Cache-Control", control)
		compileMerging(t, "max-age=60").Apply(h, Response{Expires: true, Now: now})
		if h.Get("Pragma") != "no-cache" {
			t.Errorf("Cache-Control %q: Pragma is gone", control)
		}
	}
}

// Design, "Freshness": no row shares what belongs to one user, and merge does not let the upstream do so.
func TestMergePersonal(t *testing.T) {
	for up, want := range map[string]string{
		"":                             "private, max-age=60",
		"max-age=30":                   "private, max-age=30",
		"public, s-maxage=5, max-age=": "private, max-age=0",
		"public, must-revalidate":      "private, max-age=60, must-revalidate",
		"no-store":                     "private, no-store",
		`private="A"`:                  "private, max-age=60",
	} {
		h := response("Cache-Control", up)
		compileMerging(t, "public max-age=60 s-maxage=60").Apply(h, Response{Personal: true, Now: now})
		if got := h.Get("Cache-Control"); got != want {
			t.Errorf("%q: %q, want %q", up, got, want)
		}
	}
}

// FuzzMerge: whatever an upstream sends, the result reads as it was meant; it is no longer fresh and no
// more public than either side; and merging it once more changes nothing.
func FuzzMerge(f *testing.F) {
	for _, seed := range [][2]string{
		{"public, max-age=60, stale-while-revalidate=5", "private, max-age=30"},
		{`private="A, B", no-cache=C, s-maxage=7`, `no-cache, x="a, \"b", MAX-AGE="5"`},
		{"must-understand, no-store, max-age=5", "no-store"},
		{"immutable, max-age=abc", "max-age=0, stale-if-error=3"},
		{`x="open, no-store`, `private="open, max-age=-1`},
		{`private, private="A, B", no-cache="A", no-cache`, `max-age=5`},
		{"s-maxage=5, s-maxage=x, public=1", "stale-while-revalidate=0, max-age=1, max-age=2"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		a, b := read([]string{one}), read([]string{other})
		ab, ba := join(&a, &b), join(&b, &a)
		text := ab.String()
		again := read([]string{text})
		checkSame(t, "read back", &again, &ab)
		checkSame(t, "the other way round", &ba, &ab)
		for _, side := range []*policy{&a, &b} {
			checkNoLooser(t, side, &ab)
			twice := join(side, &ab)
			checkSame(t, "once more", &twice, &ab)
			if twice.String() != text {
				t.Fatalf("%q and %q: %q, and once more %q", one, other, text, &twice)
			}
		}
		itself := join(&ab, &ab)
		checkSame(t, "with itself", &itself, &ab)
		for _, word := range [...]string{"private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate", "no-transform"} {
			if said := httpcond.HasDirective([]string{one, other}, word); said && !httpcond.HasDirective([]string{text}, word) {
				t.Fatalf("%q and %q: %q has lost %s", one, other, text, word)
			}
		}
	})
}

// checkSame compares what is said, but for the order.
func checkSame(t *testing.T, what string, got, want *policy) {
	t.Helper()
	if got.words != want.words || got.seconds != want.seconds ||
		!slices.Equal(sortedNames(got.privateFields), sortedNames(want.privateFields)) ||
		!slices.Equal(sortedNames(got.noCacheFields), sortedNames(want.noCacheFields)) ||
		!slices.Equal(sortedNames(got.others), sortedNames(want.others)) {
		t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

// sortedNames are the names of directives or fields, each once.
func sortedNames(list []string) []string {
	var names []string
	for _, member := range list {
		names = append(names, strings.ToLower(nameOf(member)))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkNoLooser: nothing is allowed that one side does not.
func checkNoLooser(t *testing.T, side, got *policy) {
	t.Helper()
	limit := func(what string, limit, seconds int64, never bool) {
		if limit != unsaid && !never && (seconds == unsaid || seconds > limit) {
			t.Fatalf("%s: %d of %q became %d in %q", what, limit, side, seconds, got)
		}
	}
	never, unshared := got.neverStored(), got.words&private != 0
	limit("max-age", side.seconds[maxAge], got.seconds[maxAge], never)
	limit("in shared caches", side.shared(), got.shared(), never || unshared)
	for _, stale := range []int{staleWhileRevalidate, staleIfError} {
		if limit := side.seconds[stale]; limit != unsaid && got.seconds[stale] > limit {
			t.Fatalf("%q became %q", side, got)
		}
	}
	denied := func(when bool, words wordSet) {
		if when && got.words&words != 0 {
			t.Fatalf("%q became %q", side, got)
		}
	}
	denied(side.words&private != 0, public)
	denied(side.neverStored(), public|immutable|mustUnderstand)
	denied(side.words&noCache != 0 || side.seconds[maxAge] == 0, immutable)
	if side.words&(noCache|mustRevalidate) != 0 && got.seconds[staleIfError]&got.seconds[staleWhileRevalidate] != unsaid {
		t.Fatalf("%q became %q", side, got)
	}
}

func BenchmarkApply(b *testing.B) {
	for _, bb := range []struct {
		name     string
		existing Existing
		jitter   float64
		up       string
	}{
		{"existing=keep,up=none", Keep, 0, ""},
		{"existing=merge,up=none", Merge, 0, ""},
		{"existing=merge,up=short", Merge, 0, "max-age=60"},
		{"existing=merge,up=long", Merge, 0, `private, max-age=0, must-revalidate, stale-if-error=60`},
		{"existing=merge,up=quoted", Merge, 0, `no-cache="Set-Cookie, X-User", max-age=60, x-unknown=1`},
		{"existing=keep,jitter", Keep, 10, ""},
	} {
		row, err := Compile(Source{Directives: []string{"public max-age=1h stale-while-revalidate=1d"}, Existing: bb.existing, Jitter: bb.jitter}, parseDuration)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			h, lines := http.Header{}, []string{bb.up}
			for b.Loop() {
				if h["Cache-Control"] = lines; bb.up == "" {
					delete(h, "Cache-Control")
				}
				row.Apply(h, Response{Now: now, URL: 1 << 62})
			}
		})
	}
}
