package freshness

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func compileSpread(tb testing.TB, directives string, percent float64) *Row {
	tb.Helper()
	row, err := Compile(Source{Directives: []string{directives}, Jitter: percent, Existing: Merge}, parseDuration)
	if err != nil {
		tb.Fatal(err)
	}
	return row
}

func applied(row *Row, h http.Header, resp Response) string {
	resp.Now = now
	row.Apply(h, resp)
	return h.Get("Cache-Control")
}

// Design, "Freshness": jitter spreads lifetimes, never beyond what the operator has said.
func TestJitter(t *testing.T) {
	const half, most = 1 << 63, math.MaxUint64
	for _, tt := range []struct {
		name, directives string
		percent          float64
		url              uint64
		want             string
	}{
		{"nothing off", "max-age=1000", 10, 0, "max-age=1000"},
		{"half of it", "max-age=1000", 10, half, "max-age=950"},
		{"nearly all of it", "max-age=1000", 10, most, "max-age=901"},
		{"the most", "max-age=1000", 50, most, "max-age=501"},
		{"decimals", "max-age=10000", 2.25, half, "max-age=9888"},
		{"two decimals", "max-age=1000000", 1.01, half, "max-age=994950"},
		{"a decimal that is no binary fraction", "max-age=2000000", 1.15, half, "max-age=1988500"},
		{"both by the same share", "public s-maxage=2000 max-age=1000", 10, half, "public, s-maxage=1900, max-age=950"},
		{"0 stays", "s-maxage=100 max-age=0", 50, most, "s-maxage=51, max-age=0"},
		{"1 does not become 0", "max-age=1", 50, most, "max-age=1"},
		{"not what comes after it", "max-age=1000 stale-while-revalidate=1000 stale-if-error=1000", 10, half, "max-age=950, stale-while-revalidate=1000, stale-if-error=1000"},
		{"the longest", "max-age=2147483647", 50, half, "max-age=1610612736"},
		{"arguments stay", `private="A" max-age=100`, 10, half, `private="A", max-age=95`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row := compileSpread(t, tt.directives, tt.percent)
			for range 2 { // a row is not written to
				if got := applied(row, response(), Response{URL: tt.url}); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
			if !row.Spreads() {
				t.Error("Spreads is false")
			}
		})
	}
	row := compileSpread(t, "public max-age=60 s-maxage=120", 50)
	h := response("Date", sentDate)
	if got := applied(row, h, Response{URL: half, Personal: true, Expires: true}); got != "private, max-age=45" || h.Get("Expires") != "Mon, 06 May 2024 00:00:15 GMT" {
		t.Errorf("one user's: %q, Expires %q", got, h.Get("Expires"))
	}
	alone := compileSpread(t, "max-age=60", 50)
	if got := applied(alone, response("Cache-Control", "s-maxage=59"), Response{URL: half}); got != "max-age=45, s-maxage=45" {
		t.Errorf("without s-maxage: %q", got)
	}
	if got := applied(row, response("Cache-Control", "max-age=59"), Response{URL: half}); got != "public, max-age=45, s-maxage=59" {
		t.Errorf("merged: %q", got)
	}
}

func TestJitterRefused(t *testing.T) {
	for _, percent := range []float64{-1, 0.5, 0.99, 50.01, 51, 100, 2.125, 1.001, math.NaN(), math.Inf(1)} {
		_, err := Compile(Source{Directives: []string{"max-age=60"}, Jitter: percent}, parseDuration)
		if err == nil || !strings.Contains(err.Error(), "is not a percentage from 1% to 50%") {
			t.Errorf("%v%%: %v", percent, err)
		}
	}
	for _, percent := range []float64{1, 50, 1.1, 33.33, 2.2, 49.99} {
		compileSpread(t, "max-age=60", percent)
	}
	for _, directives := range []string{"public", "no-cache", "stale-if-error=60"} {
		_, err := Compile(Source{Directives: []string{directives}, Jitter: 10}, parseDuration)
		if err == nil || !strings.Contains(err.Error(), "jitter spreads max-age and s-maxage") {
			t.Errorf("%s: %v", directives, err)
		}
	}
	compileSpread(t, "s-maxage=60", 10)
}

// Every replica has to come to the same, and two URLs rarely do.
func TestHashURL(t *testing.T) {
	if got := HashURL("Example.COM:8080", "/a", "b=c"); got != HashURL("example.com:8080", "/a", "b=c") || got != 0x3ec646db8c29aced {
		t.Errorf("%#x", got)
	}
	seen := make(map[uint64]string)
	for _, url := range [][3]string{
		{"a.example", "/", ""},
		{"b.example", "/", ""},
		{"a.example", "/a", ""},
		{"a.example", "/A", ""},
		{"a.example", "/", "a"},
		{"a.example", "", "/a"},
		{"a.example/", "a", ""},
		{"", "a.example/", ""},
		{"a.example:1", "/", ""},
	} {
		h := HashURL(url[0], url[1], url[2])
		if other, twice := seen[h]; twice {
			t.Errorf("%q and %s are one", url, other)
		}
		seen[h] = fmt.Sprint(url)
	}
	// The lifetimes lie evenly in their bounds.
	row, tenths := compileSpread(t, "max-age=10000", 10), [10]int{}
	for i := range 10_000 {
		lifetime := row.spread(10_000, HashURL("example.com", "/"+strconv.Itoa(i), ""))
		if lifetime <= 9000 || lifetime > 10_000 {
			t.Fatal(lifetime)
		}
		tenths[(lifetime-9001)/100]++
	}
	if slices.Min(tenths[:]) < 850 || slices.Max(tenths[:]) > 1150 {
		t.Errorf("%v, want about 1000 in each tenth", tenths)
	}
}

// Design, "Freshness": `modified` counts from Last-Modified, and sets max-age to match.
func TestAfterModified(t *testing.T) {
	sent := time.Date(2024, 5, 5, 23, 59, 30, 0, time.UTC)
	old := sent.Add(-time.Hour)
	for _, tt := range []struct {
		name, row string // "": no row
		existing  Existing
		sent      []string
		modified  time.Time
		after     time.Duration
		personal  bool
		want      string
		expires   string
	}{
		{name: "no row", modified: old, after: time.Hour + time.Minute, want: "max-age=60", expires: sentPlus1},
		{name: "past: stale at once", modified: old, after: time.Minute, want: "max-age=0", expires: sentDate},
		{name: "at its end", modified: old, after: time.Hour, want: "max-age=0", expires: sentDate},
		{name: "just modified", modified: sent, after: time.Minute, want: "max-age=60", expires: sentPlus1},
		{name: "one user's", modified: sent, after: time.Minute, personal: true, want: "private, max-age=60", expires: sentPlus1},
		{name: "no Last-Modified", after: time.Minute},
		{name: "off", modified: sent},
		{name: "the upstream's stands", modified: sent, after: time.Minute, sent: []string{"Cache-Control", "public"}, want: "public"},
		{name: "a lone Pragma stands", modified: sent, after: time.Minute, sent: []string{"Pragma", "no-cache"}},
		{name: "the upstream's Expires stands", modified: sent, after: time.Minute, sent: []string{"Expires", "0"}, expires: "0"},
		{name: "a row without a lifetime", row: "public must-revalidate", modified: sent, after: time.Minute, want: "public, must-revalidate, max-age=60", expires: sentPlus1},
		{name: "and no Last-Modified", row: "public", after: time.Minute, want: "public"},
		{name: "and off", row: "public", modified: sent, want: "public"},
		{name: "a row with s-maxage", row: "s-maxage=5", modified: sent, after: time.Minute, want: "s-maxage=5, max-age=60", expires: sentPlus1},
		{name: "a row with max-age", row: "max-age=30", modified: sent, after: time.Hour, want: "max-age=30", expires: "Mon, 06 May 2024 00:00:00 GMT"},
		{name: "a row with max-age=0", row: "max-age=0", modified: sent, after: time.Hour, want: "max-age=0", expires: sentDate},
		{name: "a row with no-cache", row: "no-cache", modified: sent, after: time.Hour, want: "no-cache", expires: sentDate},
		{name: "a row with no-store", row: "no-store", modified: sent, after: time.Hour, want: "no-store", expires: sentDate},
		{name: "no-cache for one field", row: `no-cache="A"`, modified: sent, after: time.Minute, want: `no-cache="A", max-age=60`, expires: sentPlus1},
		{name: "a row for one user", row: "public", modified: sent, after: time.Minute, personal: true, want: "private, max-age=60", expires: sentPlus1},
		{name: "a row that replaces", row: "public", existing: Replace, sent: []string{"Cache-Control", "no-cache"}, modified: sent, after: time.Minute, want: "public, max-age=60", expires: sentPlus1},
		{name: "a row that merges", row: "public", existing: Merge, sent: []string{"Cache-Control", "max-age=90"}, modified: sent, after: time.Minute, want: "public, max-age=60", expires: sentPlus1},
		{name: "a row that merges what is shorter", row: "public", existing: Merge, sent: []string{"Cache-Control", "max-age=60"}, modified: sent, after: time.Hour, want: "public, max-age=60", expires: sentPlus1},
		{name: "more than caches count", modified: sent, after: math.MaxInt32*time.Second + time.Hour, want: "max-age=2147483647", expires: "Sat, 24 May 2092 03:13:37 GMT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := response(append(tt.sent, "Date", sentDate)...)
			resp := Response{Personal: tt.personal, Expires: true, Now: now, LastModified: tt.modified, AfterModified: tt.after}
			for range 2 { // rows, and what stands for none, are not written to
				again := h.Clone()
				applyOrNone(t, tt.row, tt.existing, again, resp)
				if got := again.Get("Cache-Control"); got != tt.want {
					t.Errorf("Cache-Control %q, want %q", got, tt.want)
				}
				if got := again.Get("Expires"); got != tt.expires {
					t.Errorf("Expires %q, want %q", got, tt.expires)
				}
			}
		})
	}
}

// applyOrNone applies a row; the empty one is none.
func applyOrNone(t *testing.T, directives string, existing Existing, h http.Header, resp Response) {
	t.Helper()
	if directives == "" {
		ApplyWithoutRow(h, resp)
		return
	}
	row, err := Compile(Source{Directives: []string{directives}, Existing: existing}, parseDuration)
	if err != nil {
		t.Fatal(err)
	}
	row.Apply(h, resp)
}

// A row says itself how long a response lasts, if it has max-age or says that it does not last.
func TestDated(t *testing.T) {
	for directives, want := range map[string]bool{
		"public": true, "s-maxage=5": true, `no-cache="A"`: true, "must-understand no-store": true,
		"max-age=5": false, "max-age=0": false, "no-cache": false, "no-store": false,
	} {
		if got := compile(t, directives, false).Dated(); got != want {
			t.Errorf("%s: %t", directives, got)
		}
	}
}

// What is valid, and probably not meant.
func TestWarnings(t *testing.T) {
	pages, dated, late := About{Pages: true}, About{Dated: true}, About{Late: true}
	for _, tt := range []struct {
		directives string
		existing   Existing
		about      About
		want       []string // the beginning of each
	}{
		{directives: "public max-age=1h"},
		{directives: "public s-maxage=1h"},
		{directives: "public max-age=0 must-revalidate"},
		{directives: "public no-cache"},
		{directives: "max-age=1h s-maxage=1h must-revalidate"},
		{directives: "max-age=1h", about: late},
		{directives: "s-maxage=1h max-age=1h", about: late, want: []string{"s-maxage forbids shared caches"}},
		{directives: "max-age=1h Must-Revalidate", about: late, want: []string{"must-revalidate forbids shared caches"}},
		{directives: "proxy-revalidate max-age=1h", about: late, want: []string{"proxy-revalidate forbids shared caches"}},
		{directives: "public", want: []string{"public says who may store"}},
		{directives: "public", existing: Replace, want: []string{"public says who may store"}},
		{directives: "public", existing: Merge},
		{directives: "public", about: dated},
		{directives: "public immutable max-age=365d"},
		{directives: "max-age=31536001", want: []string{"max-age is over a year"}},
		{directives: "max-age=366d s-maxage=366d", existing: Merge, want: []string{"max-age is over a year", "s-maxage is over a year"}},
		{directives: "stale-if-error=730d max-age=1h"},
		{directives: "immutable max-age=1h", about: pages, want: []string{"immutable on pages"}},
		{directives: "max-age=1h", about: pages},
		{directives: "immutable", want: []string{"immutable counts as long as"}},
		{directives: "immutable max-age=0", want: []string{"immutable counts as long as"}},
		{directives: "immutable max-age=0", about: dated, want: []string{"immutable counts as long as"}},
		{directives: "immutable s-maxage=1h", want: []string{"immutable counts as long as"}},
		{directives: "immutable", existing: Merge},
		{directives: "immutable", about: dated},
		{directives: "no-cache max-age=1h", want: []string{"no-cache has recipients ask each time, so max-age never"}},
		{directives: "no-cache s-maxage=1h max-age=0", want: []string{"no-cache has recipients ask each time, so s-maxage never"}},
		{directives: "no-cache max-age=0"},
		{directives: `no-cache="A" max-age=1h`},
		{directives: "max-age=1h must-revalidate stale-while-revalidate=1h", want: []string{"must-revalidate forbids to use what is stale (RFC 9111 §4.2.4), so stale-while-revalidate never"}},
		{directives: "max-age=1h must-revalidate stale-if-error=1h", want: []string{"must-revalidate forbids to use what is stale (RFC 9111 §4.2.4), so stale-if-error never"}},
		{directives: "no-cache stale-if-error=1h", want: []string{"no-cache forbids to use"}},
		{directives: "max-age=1h must-revalidate stale-if-error=0"},
		{directives: "max-age=1h stale-while-revalidate=1h"},
		{directives: "must-understand max-age=1h", want: []string{"must-understand is meant to stand beside no-store"}},
		{directives: "must-understand no-store max-age=1h"},
	} {
		row, err := Compile(Source{Directives: []string{tt.directives}, Existing: tt.existing}, parseDuration)
		if err != nil {
			t.Fatal(err)
		}
		got := row.Warnings(tt.about)
		if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", tt.directives, got, tt.want)
		}
		for _, line := range got {
			if strings.Contains(line, "\n") || strings.Contains(line, "%!") {
				t.Errorf("%q", line)
			}
		}
	}
}
