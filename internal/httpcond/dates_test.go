package httpcond

import (
	"testing"
	"time"
)

// now is the clock of these tests, in a zone other than UTC on purpose.
var now = time.Date(2026, time.July, 10, 12, 0, 0, 0, time.FixedZone("", 3*3600))

func at(year int, month time.Month, day, hour, minute, second int) time.Time {
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

var nov94 = at(1994, time.November, 6, 8, 49, 37)

func TestParseDate(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want time.Time
	}{
		"IMF-fixdate (§5.6.7, MUST)":                   {"Sun, 06 Nov 1994 08:49:37 GMT", nov94},
		"RFC 850 (§5.6.7, MUST)":                       {"Sunday, 06-Nov-94 08:49:37 GMT", nov94},
		"asctime (§5.6.7, MUST)":                       {"Sun Nov  6 08:49:37 1994", nov94},
		"asctime, two-digit day (§5.6.7, MUST)":        {"Wed Nov 16 08:49:37 1994", nov94.AddDate(0, 0, 10)},
		"asctime, day with a zero (§5.6.7, MUST)":      {"Sun Nov 06 08:49:37 1994", nov94},
		"optional whitespace (§5.5, MUST)":             {" \tSun, 06 Nov 1994 08:49:37 GMT  ", nov94},
		"29 Feb of a leap year":                        {"Tue, 29 Feb 2000 00:00:00 GMT", at(2000, 2, 29, 0, 0, 0)},
		"past 2038":                                    {"Tue, 19 Jan 2038 03:14:08 GMT", at(2038, 1, 19, 3, 14, 8)},
		"year 9999":                                    {"Fri, 31 Dec 9999 23:59:59 GMT", at(9999, 12, 31, 23, 59, 59)},
		"year 0001":                                    {"Mon, 01 Jan 0001 00:00:00 GMT", time.Time{}},
		"the wrong weekday (MAY)":                      {"Mon, 06 Nov 1994 08:49:37 GMT", nov94},
		"leap second (§5.6.7, MAY)":                    {"Sat, 31 Dec 2016 23:59:60 GMT", at(2017, 1, 1, 0, 0, 0)},
		"RFC 850, wrong weekday (MAY)":                 {"Monday, 06-Nov-94 08:49:37 GMT", nov94},
		"RFC 850, 99 (§5.6.7, MUST)":                   {"Saturday, 06-Nov-99 08:49:37 GMT", at(1999, 11, 6, 8, 49, 37)},
		"RFC 850, fixed pivot of 69 (§5.6.7, MUST)":    {"Thursday, 06-Nov-70 08:49:37 GMT", at(2070, 11, 6, 8, 49, 37)},
		"RFC 850, 50 years ahead (§5.6.7, MUST)":       {"Friday, 10-Jul-76 09:00:00 GMT", at(2076, 7, 10, 9, 0, 0)},
		"RFC 850, a second more is past (§5.6.7)":      {"Saturday, 10-Jul-76 09:00:01 GMT", at(1976, 7, 10, 9, 0, 1)},
		"RFC 850, 00 (§5.6.7, MUST)":                   {"Tuesday, 29-Feb-00 00:00:00 GMT", at(2000, 2, 29, 0, 0, 0)},
		"RFC 850, Wednesday is the longest (§5.6.7)":   {"Wednesday, 09-Apr-14 09:57:42 GMT", at(2014, 4, 9, 9, 57, 42)},
		"every month's last day, April (§5.6.7, MUST)": {"Sat, 30 Apr 2022 00:00:00 GMT", at(2022, 4, 30, 0, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseDate(tc.in, now)
			if !ok || !got.Equal(tc.want) || got.Location() != time.UTC {
				t.Fatalf("ParseDate(%q) = %v, %v; want %v", tc.in, got, ok, tc.want)
			}
		})
	}
}

var notHTTPDates = map[string]struct {
	in      string
	lenient time.Time
}{
	"empty":                      {"", time.Time{}},
	"foo":                        {"foo", time.Time{}},
	"-1":                         {"-1", time.Time{}},
	"Unix seconds":               {"784111777", nov94},
	"Unix zero":                  {"0", time.Unix(0, 0)},
	"Unix seconds, 11 digits":    {"99999999999", time.Unix(99999999999, 0)},
	"Unix seconds past 9999":     {"999999999999", time.Time{}},
	"Unix milliseconds":          {"0784111777000", time.Time{}},
	"RFC 3339":                   {"1994-11-06T08:49:37Z", nov94},
	"RFC 3339, offset":           {"1994-11-06T09:49:37+01:00", nov94},
	"RFC 3339, behind":           {"1994-11-06T03:19:37-05:30", nov94},
	"RFC 3339, fraction":         {"1994-11-06t08:49:37.999z", nov94},
	"RFC 3339, no fraction":      {"1994-11-06T08:49:37.Z", time.Time{}},
	"RFC 3339, no zone":          {"1994-11-06T08:49:37", time.Time{}},
	"RFC 3339, month 13":         {"1994-13-06T08:49:37Z", time.Time{}},
	"RFC 3339, date only":        {"1994-11-06", time.Time{}},
	"ISO with spaces":            {"1994-11-06 08:49:37 +0000", nov94},
	"RFC 3339, into year -1":     {"0000-01-01T00:00:00+00:01", time.Time{}},
	"RFC 3339, into year 10000":  {"9999-12-31T23:59:59-00:01", time.Time{}},
	"numeric zone":               {"Sun, 06 Nov 1994 10:49:37 +0200", nov94},
	"numeric zone, behind":       {"Sun, 06 Nov 1994 00:49:37 -0800", nov94},
	"zone out of range":          {"Sun, 06 Nov 1994 00:49:37 +2400", time.Time{}},
	"zone UTC":                   {"Sun, 06 Nov 1994 08:49:37 UTC", nov94},
	"zone UT":                    {"Sun, 06 Nov 1994 08:49:37 UT", nov94},
	"zone Z":                     {"Sun, 06 Nov 1994 08:49:37 Z", nov94},
	"zone EST":                   {"Sun, 06 Nov 1994 03:49:37 EST", nov94},
	"zone EDT":                   {"Sun, 06 Nov 1994 04:49:37 EDT", nov94},
	"zone CST":                   {"Sun, 06 Nov 1994 02:49:37 CST", nov94},
	"zone CDT":                   {"Sun, 06 Nov 1994 03:49:37 CDT", nov94},
	"zone MST":                   {"Sun, 06 Nov 1994 01:49:37 MST", nov94},
	"zone MDT":                   {"Sun, 06 Nov 1994 02:49:37 MDT", nov94},
	"zone PST":                   {"Sun, 06 Nov 1994 00:49:37 PST", nov94},
	"zone PDT":                   {"Sun, 06 Nov 1994 01:49:37 PDT", nov94},
	"military zone":              {"Sun, 06 Nov 1994 08:49:37 A", time.Time{}},
	"no zone":                    {"Sun, 06 Nov 1994 08:49:37", time.Time{}},
	"asctime with a zone":        {"Sun Nov  6 03:49:37 1994 EST", nov94},
	"asctime, one space":         {"Sun Nov 6 08:49:37 1994", nov94},
	"asctime, two-digit year":    {"Sun Nov  6 08:49:37 94", time.Time{}},
	"quoted":                     {`"Sun, 06 Nov 1994 08:49:37 GMT"`, nov94},
	"quoted, padded":             {`" Sun, 06 Nov 1994 08:49:37 GMT "`, nov94},
	"half quoted":                {`"Sun, 06 Nov 1994 08:49:37 GMT`, time.Time{}},
	"lower case":                 {"sun, 06 nov 1994 08:49:37 gmt", nov94},
	"upper case":                 {"SUN, 06 NOV 1994 08:49:37 GMT", nov94},
	"lower-case RFC 850":         {"sunday, 06-nov-94 08:49:37 gmt", nov94},
	"no weekday":                 {"06 Nov 1994 08:49:37 GMT", nov94},
	"no weekday, asctime":        {"Nov  6 08:49:37 1994", nov94},
	"weekday of no language":     {"Foo, 06 Nov 1994 08:49:37 GMT", time.Time{}},
	"long weekday in IMF form":   {"Sunday, 06 Nov 1994 08:49:37 GMT", nov94},
	"short weekday in RFC 850":   {"Sun, 06-Nov-94 08:49:37 GMT", nov94},
	"one-digit day":              {"Sun, 6 Nov 1994 08:49:37 GMT", nov94},
	"one-digit day, padded":      {"Sun,  6 Nov 1994 08:49:37 GMT", nov94},
	"two-digit year in IMF form": {"Sun, 06 Nov 94 08:49:37 GMT", nov94},
	"dashes in IMF form":         {"Sun, 06-Nov-1994 08:49:37 GMT", nov94},
	"double space":               {"Sun,  06 Nov 1994 08:49:37 GMT", nov94},
	"trailing junk":              {"Sun, 06 Nov 1994 08:49:37 GMT foo", time.Time{}},
	"two dates in one line":      {"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", time.Time{}},
	"IE's length parameter":      {"Sun, 06 Nov 1994 08:49:37 GMT; length=5", nov94},
	"length, RFC 850":            {"Sunday, 06-Nov-94 08:49:37 GMT; length=1234", nov94},
	"length, asctime":            {"Sun Nov  6 08:49:37 1994;LENGTH = 0", nov94},
	"length, numeric zone":       {"Sun, 06 Nov 1994 10:49:37 +0200; length=5", nov94},
	"length, quoted":             {`"Sun, 06 Nov 1994 08:49:37 GMT; length=5"`, nov94},
	"length behind quotes":       {`"Sun, 06 Nov 1994 08:49:37 GMT" ; length=5`, nov94},
	"length, Unix seconds":       {"784111777; length=5", nov94},
	"length of no number":        {"Sun, 06 Nov 1994 08:49:37 GMT; length=x", time.Time{}},
	"length without a number":    {"Sun, 06 Nov 1994 08:49:37 GMT; length", time.Time{}},
	"another parameter":          {"Sun, 06 Nov 1994 08:49:37 GMT; size=5", time.Time{}},
	"two parameters":             {"Sun, 06 Nov 1994 08:49:37 GMT; length=5; length=5", time.Time{}},
	"a length alone":             {"; length=5", time.Time{}},
	"fraction":                   {"Sun, 06 Nov 1994 08:49:37.500 GMT", nov94},
	"fraction, comma":            {"Sun, 06 Nov 1994 08:49:37,9 GMT", nov94},
	"fraction, numeric zone":     {"Sun, 06 Nov 1994 10:49:37.5 +0200", nov94},
	"fraction, RFC 850":          {"Sunday, 06-Nov-94 08:49:37.123456 GMT", nov94},
	"fraction, asctime":          {"Sun Nov  6 08:49:37.5 1994", nov94},
	"fraction, Unix seconds":     {"784111777.75", nov94},
	"fraction, Unix, junk":       {"784111777.75x", time.Time{}},
	"fraction of no digits":      {"Sun, 06 Nov 1994 08:49:37. GMT", time.Time{}},
	"asctime, no digits":         {"Sun Nov  6 08:49:37. 1994", time.Time{}},
	"zone of hours":              {"1994-11-06 10:49:37.5+02", nov94},
	"zone and a comment":         {"Sun, 06 Nov 1994 08:49:37 +0000 (UTC)", nov94},
	"zone, comment in the open":  {"Sun, 06 Nov 1994 08:49:37 +0000 (UTC", time.Time{}},
	"zone, two comments":         {"Sun, 06 Nov 1994 08:49:37 +0000 (a) (b)", time.Time{}},
	"zone beside GMT":            {"Sun, 06 Nov 1994 10:49:37 GMT+0200", nov94},
	"zone beside UTC":            {"Sun, 06 Nov 1994 10:49:37 utc+02:00", nov94},
	"30 Feb":                     {"Wed, 30 Feb 2000 00:00:00 GMT", time.Time{}},
	"29 Feb of a common year":    {"Thu, 29 Feb 1900 00:00:00 GMT", time.Time{}},
	"31 Apr":                     {"Wed, 31 Apr 2000 00:00:00 GMT", time.Time{}},
	"day 0":                      {"Sun, 00 Nov 1994 08:49:37 GMT", time.Time{}},
	"month of no calendar":       {"Sun, 06 Foo 1994 08:49:37 GMT", time.Time{}},
	"hour 24":                    {"Sun, 06 Nov 1994 24:00:00 GMT", time.Time{}},
	"minute 60":                  {"Sun, 06 Nov 1994 08:60:00 GMT", time.Time{}},
	"second 61":                  {"Sat, 31 Dec 2016 23:59:61 GMT", time.Time{}},
	"second 60 at noon":          {"Sat, 31 Dec 2016 12:00:60 GMT", time.Time{}},
	"a sign for a digit":         {"Sun, +6 Nov 1994 08:49:37 GMT", time.Time{}},
	"negative year":              {"Sun, 06 Nov -994 08:49:37 GMT", time.Time{}},
	"RFC 850, one-digit day":     {"Sunday, 6-Nov-94 08:49:37 GMT", nov94},
	"RFC 850, 30 Feb":            {"Sunday, 30-Feb-94 08:49:37 GMT", time.Time{}},
	"RFC 850, year of letters":   {"Sunday, 06-Nov-xx 08:49:37 GMT", time.Time{}},
	"clock with one digit":       {"Sun, 06 Nov 1994  8:49:37 GMT", time.Time{}},
	"clock without seconds":      {"Sun, 06 Nov 1994 08:49 +0000", time.Time{}},
	"yesterday":                  {"yesterday", time.Time{}},
}

// None of these is an HTTP-date, so a field with one MUST be ignored (RFC 9110
// §13.1.3, §13.1.4). lenient is what the operator's leniency makes of it; zero
// is nothing.
func TestNotAnHTTPDate(t *testing.T) {
	for name, tc := range notHTTPDates {
		t.Run(name, func(t *testing.T) {
			if got, ok := ParseDate(tc.in, now); ok {
				t.Errorf("ParseDate(%q) = %v, want none", tc.in, got)
			}
			got, ok := ParseLenientDate(tc.in, now)
			if ok != !tc.lenient.IsZero() || ok && !got.Equal(tc.lenient) {
				t.Errorf("ParseLenientDate(%q) = %v, %v; want %v", tc.in, got, ok, tc.lenient)
			}
			if ok && got.Location() != time.UTC {
				t.Errorf("ParseLenientDate(%q) is in %v", tc.in, got.Location())
			}
		})
	}
}

// The rule of RFC 9110 §5.6.7 moves with the clock; a pivot compiled in is
// right for some decades only.
func TestTwoDigitYearMovesWithTheClock(t *testing.T) {
	for _, tc := range []struct{ clock, digits, want int }{
		{1995, 94, 1994},
		{1995, 44, 2044},
		{1995, 46, 1946},
		{2026, 26, 2026},
		{2026, 75, 2075},
		{2026, 77, 1977},
		{2095, 10, 2110},
		{2095, 46, 2046},
	} {
		s := "Sunday, 06-Nov-" + string([]byte{byte('0' + tc.digits/10), byte('0' + tc.digits%10)}) + " 08:49:37 GMT"
		got, ok := ParseDate(s, at(tc.clock, time.July, 1, 0, 0, 0))
		if !ok || got.Year() != tc.want {
			t.Errorf("in %d, %q is of %d, want %d", tc.clock, s, got.Year(), tc.want)
		}
	}
}

func TestEveryMonthAndWeekday(t *testing.T) {
	for day := range 366 {
		want := at(2024, time.January, 1, 23, 59, 59).AddDate(0, 0, day)
		for _, layout := range []string{
			"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC,
		} {
			s := want.Format(layout)
			if got, ok := ParseDate(s, now); !ok || !got.Equal(want) {
				t.Fatalf("ParseDate(%q) = %v, %v", s, got, ok)
			}
		}
	}
}

func TestFormatDate(t *testing.T) {
	for in, want := range map[time.Time]string{
		nov94:                                 "Sun, 06 Nov 1994 08:49:37 GMT",
		nov94.In(time.FixedZone("", 7200)):    "Sun, 06 Nov 1994 08:49:37 GMT",
		nov94.Add(999 * time.Millisecond):     "Sun, 06 Nov 1994 08:49:37 GMT",
		at(1990, time.June, 13, 12, 10, 0):    "Wed, 13 Jun 1990 12:10:00 GMT",
		at(1, time.January, 1, 0, 0, 0):       "Mon, 01 Jan 0001 00:00:00 GMT",
		at(9999, time.December, 31, 0, 0, 59): "Fri, 31 Dec 9999 00:00:59 GMT",
	} {
		if got := FormatDate(in); got != want {
			t.Errorf("FormatDate(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestParseDateCondition(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	for name, tc := range map[string]struct {
		lines   []string
		lenient bool
		want    DateCondition
	}{
		"absent":                           {nil, false, DateCondition{}},
		"empty slice is absent":            {[]string{}, true, DateCondition{}},
		"one":                              {[]string{date}, false, DateCondition{Present: true, Valid: true, Time: nov94}},
		"one, leniently":                   {[]string{date}, true, DateCondition{Present: true, Valid: true, Time: nov94}},
		"empty (§13.1.3, MUST)":            {[]string{""}, false, DateCondition{Present: true}},
		"invalid (§13.1.3, MUST)":          {[]string{"784111777"}, false, DateCondition{Present: true}},
		"invalid but read leniently":       {[]string{"784111777"}, true, DateCondition{Present: true, Valid: true, Loose: true, Time: nov94}},
		"invalid even so":                  {[]string{"foo"}, true, DateCondition{Present: true}},
		"two lines that agree (§13.1.3)":   {[]string{date, date}, false, DateCondition{Present: true}},
		"two lines, leniently (§13.1.3)":   {[]string{date, date}, true, DateCondition{Present: true}},
		"two lines, one empty (§13.1.4)":   {[]string{date, ""}, false, DateCondition{Present: true}},
		"two members on a line (§13.1.4)":  {[]string{date + ", " + date}, false, DateCondition{Present: true}},
		"two members, leniently (§13.1.4)": {[]string{date + ", " + date}, true, DateCondition{Present: true}},
	} {
		got := ParseDateCondition(tc.lines, now, tc.lenient)
		if got.Present != tc.want.Present || got.Valid != tc.want.Valid || got.Loose != tc.want.Loose || got.Valid && !got.Time.Equal(tc.want.Time) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestLastModified(t *testing.T) {
	date := at(2026, time.July, 10, 9, 0, 0)
	for name, tc := range map[string]struct {
		lines []string
		want  time.Time
	}{
		"none":                                 {nil, time.Time{}},
		"unchanged (§8.8.2, MUST)":             {[]string{"Sun, 06 Nov 1994 08:49:37 GMT"}, nov94},
		"trailing spaces (§5.5, MUST)":         {[]string{"Sun, 06 Nov 1994 08:49:37 GMT   "}, nov94},
		"lower case (CONFIG)":                  {[]string{"sun, 06 nov 1994 08:49:37 gmt"}, nov94},
		"numeric zone (CONFIG)":                {[]string{"Sun, 06 Nov 1994 10:49:37 +0200"}, nov94},
		"RFC 3339 (CONFIG)":                    {[]string{"1994-11-06T08:49:37.123Z"}, nov94},
		"Unix seconds (CONFIG)":                {[]string{"784111777"}, nov94},
		"garbage (CONFIG)":                     {[]string{"foo"}, time.Time{}},
		"latest valid line wins":               {[]string{"foo", "784111777", "Wed, 13 Jun 1990 12:10:00 GMT"}, nov94},
		"future becomes Date (§8.8.2.1, MUST)": {[]string{"Fri, 31 Dec 9999 23:59:59 GMT"}, date},
		"two-digit future becomes Date":        {[]string{"Thursday, 06-Nov-70 08:49:37 GMT"}, date},
		"a second later becomes Date":          {[]string{"Fri, 10 Jul 2026 09:00:01 GMT"}, date},
		"equal to Date stays":                  {[]string{"Fri, 10 Jul 2026 09:00:00 GMT"}, date},
		"Unix epoch":                           {[]string{"Thu, 01 Jan 1970 00:00:00 GMT"}, time.Time{}},
		"Nix epoch":                            {[]string{"Thu, 01 Jan 1970 00:00:01 GMT"}, time.Time{}},
		"zip epoch":                            {[]string{"Tue, 01 Jan 1980 00:00:00 GMT"}, time.Time{}},
		"zip epoch in a zone":                  {[]string{"Tue, 01 Jan 1980 23:59:59 GMT"}, time.Time{}},
		"the first date believed":              {[]string{"Wed, 02 Jan 1980 00:00:00 GMT"}, at(1980, 1, 2, 0, 0, 0)},
		"year 1":                               {[]string{"Mon, 01 Jan 0001 00:00:00 GMT"}, time.Time{}},
		"epoch beside a real date":             {[]string{"0", "784111777"}, nov94},
	} {
		got, ok := LastModified(tc.lines, date, now)
		if ok != !tc.want.IsZero() || !got.Equal(tc.want) {
			t.Errorf("%s: LastModified(%q) = %v, %v; want %v", name, tc.lines, got, ok, tc.want)
		}
	}
}

func TestLastModifiedWithoutDate(t *testing.T) {
	got, ok := LastModified([]string{"Fri, 31 Dec 9999 23:59:59 GMT"}, time.Time{}, now.Add(5*time.Millisecond))
	if !ok || !got.Equal(now) || got.Nanosecond() != 0 || got.Location() != time.UTC {
		t.Errorf("later than now and no Date: %v, %v; want %v in whole seconds, UTC", got, ok, now)
	}
}

func TestStrongDate(t *testing.T) {
	for name, tc := range map[string]struct {
		lm, date time.Time
		want     bool
	}{
		"a second later (§8.8.2.2)":    {nov94, nov94.Add(time.Second), true},
		"less than a second":           {nov94, nov94.Add(999 * time.Millisecond), false},
		"the same second":              {nov94, nov94, false},
		"Date before it":               {nov94, nov94.Add(-time.Hour), false},
		"no Last-Modified":             {time.Time{}, nov94, false},
		"no Date":                      {nov94, time.Time{}, false},
		"further than a Duration goes": {at(1, 1, 1, 0, 0, 1), nov94, true},
	} {
		if got := StrongDate(tc.lm, tc.date); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBuildEpoch(t *testing.T) {
	first := at(1980, time.January, 2, 0, 0, 0)
	if BuildEpoch(first) || !BuildEpoch(first.Add(-1)) || !BuildEpoch(time.Time{}) || !BuildEpoch(time.Unix(0, 0)) {
		t.Error("build epochs are the dates before 1980-01-02 UTC")
	}
}

func TestFormatDateIsTheStandardLibrarys(t *testing.T) {
	for day := range 366 * 9 {
		in := time.Unix(int64(day)*86399*37+int64(day)%3601, 0).In(time.FixedZone("", day%86400-43200))
		if got, want := FormatDate(in), in.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
