package httpcond

import (
	"strings"
	"testing"
	"time"
)

func TestParseIfRange(t *testing.T) {
	tag := func(wire string) RangeCondition {
		return RangeCondition{Present: true, HasTag: true, Tag: tags(wire)[0]}
	}
	nov := RangeCondition{Present: true, HasDate: true, Date: nov94}
	neither := RangeCondition{Present: true}
	for name, tc := range map[string]struct {
		lines  []string
		want   RangeCondition
		broken bool // NeverHolds
	}{
		"absent":                                   {nil, RangeCondition{}, false},
		"no line":                                  {[]string{}, RangeCondition{}, false},
		"strong tag (§13.1.5, MUST)":               {[]string{`"foo"`}, tag(`"foo"`), false},
		"empty tag (§8.8.3, MUST)":                 {[]string{`""`}, tag(`""`), false},
		"weak tag (§13.1.5, MUST)":                 {[]string{`W/"foo"`}, tag(`W/"foo"`), true},
		"a date in quotes is a tag (§13.1.5)":      {[]string{`"784111777"`}, tag(`"784111777"`), false},
		"whitespace around it (§5.5, MUST)":        {[]string{" \t\"foo\" "}, tag(`"foo"`), false},
		"IMF-fixdate (§13.1.5, MUST)":              {[]string{lmEqual}, nov, false},
		"RFC 850 (§5.6.7, MUST)":                   {[]string{"Sunday, 06-Nov-94 08:49:37 GMT"}, nov, false},
		"asctime (§5.6.7, MUST)":                   {[]string{"Sun Nov  6 08:49:37 1994"}, nov, false},
		"empty (§13.1.5, SHOULD)":                  {[]string{""}, neither, true},
		"star (§13.1.5, MUST)":                     {[]string{"*"}, neither, true},
		"unquoted (§13.1.5, MUST)":                 {[]string{"foo"}, neither, true},
		"unterminated (§13.1.5, MUST)":             {[]string{`"foo`}, neither, true},
		"lower-case w/ (§8.8.3, MUST)":             {[]string{`w/"foo"`}, neither, true},
		"junk behind the tag (§13.1.5, MUST)":      {[]string{`"foo"x`}, neither, true},
		"a list of tags (§13.1.5, MUST)":           {[]string{`"foo", "foo"`}, neither, true},
		"two lines, the same (§13.1.5, MUST)":      {[]string{`"foo"`, `"foo"`}, neither, true},
		"two lines, one empty (§13.1.5, MUST)":     {[]string{`"foo"`, ``}, neither, true},
		"two dates (§13.1.5, MUST)":                {[]string{lmEqual, lmEqual}, neither, true},
		"tag and date (§13.1.5, MUST)":             {[]string{`"foo"`, lmEqual}, neither, true},
		"Unix seconds (§5.6.7, MUST)":              {[]string{"784111777"}, neither, true},
		"numeric zone (§5.6.7, MUST)":              {[]string{"Sun, 06 Nov 1994 08:49:37 +0000"}, neither, true},
		"date with a parameter (§5.6.7, MUST)":     {[]string{lmEqual + "; length=5"}, neither, true},
		"zone that begins like GMT (§5.6.7, MUST)": {[]string{"Sunday, 06-Nov-94 08:49:37 GMX"}, neither, true},
		"month across two names (§5.6.7, MUST)":    {[]string{"Sun, 06 anF 1994 08:49:37 GMT"}, neither, true},
		"a quoted date is no tag (§8.8.3)":         {[]string{`"` + lmEqual + `"`}, neither, true},
		"over any limit is still one tag (SAFE)":   {[]string{`"` + strings.Repeat("x", 9000) + `"`}, tag(`"` + strings.Repeat("x", 9000) + `"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			got := ParseIfRange(tc.lines, now, false)
			if got != tc.want {
				t.Fatalf("%q: %+v, want %+v", tc.lines, got, tc.want)
			}
			if got.NeverHolds() != tc.broken {
				t.Errorf("%q: NeverHolds is %v", tc.lines, !tc.broken)
			}
		})
	}
}

func TestParseIfRangeLeniently(t *testing.T) {
	for _, s := range []string{"784111777", "1994-11-06T08:49:37Z", `"` + lmEqual + `"`, "sun, 6 nov 1994 08:49:37 gmt"} {
		if c := ParseIfRange([]string{s}, now, true); !c.HasDate || !c.Date.Equal(nov94) {
			t.Errorf("%q: %+v", s, c)
		}
	}
	if c := ParseIfRange([]string{`"784111777"`}, now, true); !c.HasTag || c.HasDate {
		t.Errorf("a tag is taken for a date: %+v", c)
	}
}

func TestIfRangeHolds(t *testing.T) {
	const year1 = "Mon, 01 Jan 0001 00:00:00 GMT"
	for name, tc := range map[string]struct {
		field string
		rep   Representation
		date  time.Time
		want  bool
	}{
		"same tag (§13.1.5, MUST)":                      {`"foo"`, strong, later, true},
		"same tag, undated (§13.1.5, MUST)":             {`"foo"`, undated(strong), time.Time{}, true},
		"same tag, weak date (§13.1.5)":                 {`"foo"`, strong, nov94, true},
		"other tag, same date (§13.1.5, MUST)":          {`"bar"`, strong, later, false},
		"case counts (§8.8.3.2, MUST)":                  {`"Foo"`, strong, later, false},
		"weak in the request (§13.1.5, MUST)":           {`W/"foo"`, strong, later, false},
		"weak representation (§8.8.3.2, MUST)":          {`"foo"`, weak, later, false},
		"weak both (§8.8.3.2, MUST)":                    {`W/"foo"`, weak, later, false},
		"tag, none there (§13.1.5, MUST)":               {`"foo"`, noTag, later, false},
		"empty tag, none there (§13.1.5, MUST)":         {`""`, noTag, later, false},
		"empty tag, empty tag there (§8.8.3, MUST)":     {`""`, representation(`""`), later, true},
		"same date (§13.1.5, MUST)":                     {lmEqual, noTag, later, true},
		"same date, there is a tag (§13.1.5)":           {lmEqual, strong, later, true},
		"earlier date (§13.1.5, MUST)":                  {lmOlder, noTag, later, false},
		"later date (§13.1.5, MUST)":                    {lmNewer, noTag, later, false},
		"the epoch (§13.1.5, MUST)":                     {"Thu, 01 Jan 1970 00:00:00 GMT", noTag, later, false},
		"date, no Last-Modified (§13.1.5, MUST)":        {lmEqual, undated(strong), later, false},
		"the zero time, no Last-Modified (§13.1.5)":     {year1, undated(strong), later, false},
		"same date within its second (§13.1.5, MUST)":   {lmEqual, noTag, nov94, false},
		"same date, a moment too early (§8.8.2.2)":      {lmEqual, noTag, later.Add(-1), false},
		"same date, no Date (§8.8.2.2)":                 {lmEqual, noTag, time.Time{}, false},
		"Date before Last-Modified (§8.8.2.2)":          {lmEqual, noTag, nov94.Add(-time.Hour), false},
		"neither, no Last-Modified (§13.1.5, MUST)":     {"foo", undated(strong), later, false},
		"neither, the zero time to compare (§13.1.5)":   {"foo", undated(noTag), later, false},
		"empty, empty tag there (§13.1.5, SHOULD)":      {"", representation(`""`), later, false},
		"star (§13.1.5, MUST)":                          {"*", strong, later, false},
		"list with the tag (§13.1.5, MUST)":             {`"foo", "bar"`, strong, later, false},
		"tag and junk (§13.1.5, MUST)":                  {`"foo"x`, strong, later, false},
		"unterminated (§13.1.5, MUST)":                  {`"foo`, strong, later, false},
		"not an HTTP-date though the same day (§5.6.7)": {"1994-11-06T08:49:37Z", strong, later, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := ParseIfRange([]string{tc.field}, now, false)
			if got := c.Holds(tc.rep, tc.date); got != tc.want {
				t.Errorf("If-Range: %s is %v", tc.field, got)
			}
			if tc.want && c.NeverHolds() {
				t.Errorf("If-Range: %s never holds, but does", tc.field)
			}
		})
	}
	if c := (RangeCondition{Present: true, Date: nov94}); c.Holds(noTag, later) {
		t.Error("a date that is not the field's value counts")
	}
	if c := (RangeCondition{}); !c.Holds(undated(noTag), time.Time{}) || c.NeverHolds() {
		t.Error("an absent If-Range stands in the way")
	}
}

// The year 0 is before Go's zero time, which must not make it strong.
func TestZeroDateMakesNothingStrong(t *testing.T) {
	const year0 = "Sat, 01 Jan 0000 00:00:00 GMT"
	c := ParseIfRange([]string{year0}, now, false)
	if !c.HasDate || c.Holds(Representation{Exists: true, LastModified: c.Date}, time.Time{}) {
		t.Errorf("%+v holds without a Date", c)
	}
}

func TestIfRangeComparesWithSame(t *testing.T) {
	rep := strong
	rep.Same = func(a, b string) bool { return strings.TrimSuffix(a, "-gzip") == b }
	for field, want := range map[string]bool{`"foo-gzip"`: true, `"foo"`: true, `"bar"`: false, `W/"foo-gzip"`: false} {
		if c := ParseIfRange([]string{field}, now, false); c.Holds(rep, later) != want {
			t.Errorf("If-Range: %s is %v", field, !want)
		}
	}
}
