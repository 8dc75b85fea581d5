package httpcond

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

var parseRangeRows = map[string]struct {
	in   string
	want string // Canonical; empty when the field is not valid
}{
	"first bytes (§14.1.2, MUST)":                 {"bytes=0-4", "bytes=0-4"},
	"one byte (§14.1.2, MUST)":                    {"bytes=7-7", "bytes=7-7"},
	"open (§14.1.2, MUST)":                        {"bytes=10-", "bytes=10-"},
	"suffix (§14.1.2, MUST)":                      {"bytes=-5", "bytes=-5"},
	"suffix of no bytes is well-formed (§14.1.1)": {"bytes=-0", "bytes=-0"},
	"… and left out beside others (§14.1.2)":      {"bytes=-9,-0,20-24,-00", "bytes=-9,20-24"},
	"… first":                                        {"bytes=-0,0-4", "bytes=0-4"},
	"… and twice":                                    {"bytes=-0,-0", "bytes=-0,-0"},
	"list, order kept (§14.2, SHOULD)":               {"bytes=20-24,0-4,-5", "bytes=20-24,0-4,-5"},
	"whitespace around commas (§5.6.1, MUST)":        {"bytes=0-4 ,\t10- , -5", "bytes=0-4,10-,-5"},
	"whitespace behind = (§14.1.2, its example)":     {"bytes= 0-999, 4500-5499, -1000", "bytes=0-999,4500-5499,-1000"},
	"whitespace around the value (§5.5, MUST)":       {" \tbytes=0-4\t ", "bytes=0-4"},
	"empty members (§5.6.1.2, MUST)":                 {"bytes=,0-1,, ,5-8,", "bytes=0-1,5-8"},
	"units are case-insensitive (§14.1, MUST)":       {"ByTeS=0-4", "bytes=0-4"},
	"leading zeros (§14.1.1, MUST)":                  {"bytes=000-0004,-007", "bytes=0-4,-7"},
	"2^63-1 is the end (§14.1.2, MUST)":              {"bytes=0-9223372036854775807", "bytes=0-"},
	"one below it is a number":                       {"bytes=0-9223372036854775806", "bytes=0-9223372036854775806"},
	"2^63 saturates (§14.1.2, MUST)":                 {"bytes=9223372036854775808-,-9223372036854775808", "bytes=9223372036854775807-,-9223372036854775807"},
	"2^64 is not 0 (§14.1.2, MUST)":                  {"bytes=18446744073709551616-18446744073709551617", "bytes=9223372036854775807-"},
	"a hundred digits saturate (§14.1.2, MUST)":      {"bytes=0-" + strings.Repeat("1", 100), "bytes=0-"},
	"a hundred leading zeros do not (§14.1.1, MUST)": {"bytes=0-" + strings.Repeat("0", 99) + "4", "bytes=0-4"},

	"empty (§14.1.1, MUST)":                        {"", ""},
	"only the unit (§14.1.1, MUST)":                {"bytes", ""},
	"no set (§14.1.1, MUST)":                       {"bytes=", ""},
	"no member (§5.6.1.2, MUST)":                   {"bytes=,", ""},
	"only whitespace and commas (§5.6.1.2, MUST)":  {"bytes= , ,\t", ""},
	"no unit (§14.1, MUST)":                        {"0-4", ""},
	"empty unit (§14.1, MUST)":                     {"=0-4", ""},
	"unknown unit (§14.2, MUST)":                   {"seconds=0-4", ""},
	"unit in the singular (§14.1, MUST)":           {"byte=0-4", ""},
	"unit folded from outside ASCII (§14.1)":       {"byte\u017f=0-4", ""},
	"unit of one digit (§14.1)":                    {"0=0-4", ""},
	"space before = (§14.1.1, MUST)":               {"bytes =0-4", ""},
	"colon for = (§14.1.1, MUST)":                  {"bytes:0-4", ""},
	"space for = (§14.4 is Content-Range, MUST)":   {"bytes 0-4", ""},
	"last before first (§14.1.1, MUST)":            {"bytes=5-2", ""},
	"last before first, past the end (§14.1.1)":    {"bytes=900-800", ""},
	"only a dash (§14.1.1, MUST)":                  {"bytes=-", ""},
	"no dash (§14.1.1, MUST)":                      {"bytes=5", ""},
	"dash on both sides (§14.1.1, MUST)":           {"bytes=-6-", ""},
	"two dashes (§14.1.1, MUST)":                   {"bytes=0--4", ""},
	"dash and a suffix (§14.1.1, MUST)":            {"bytes=--5", ""},
	"letters for the last (§14.1.1, MUST)":         {"bytes=10-alpha", ""},
	"letters for the first (§14.1.1, MUST)":        {"bytes=a-", ""},
	"letters for the suffix (§14.1.1, MUST)":       {"bytes=-a", ""},
	"hexadecimal (§14.1.1, MUST)":                  {"bytes=0x0-0x4", ""},
	"a sign (§14.1.1, MUST)":                       {"bytes=+0-4", ""},
	"a sign before the last (§14.1.1, MUST)":       {"bytes=0-+4", ""},
	"a sign before the suffix (§14.1.1, MUST)":     {"bytes=-+4", ""},
	"an exponent (§14.1.1, MUST)":                  {"bytes=0-1e3", ""},
	"a fraction (§14.1.1, MUST)":                   {"bytes=0-4.5", ""},
	"underscores (§14.1.1, MUST)":                  {"bytes=0-1_000", ""},
	"digits of another script (§14.1.1, MUST)":     {"bytes=0-\u0664", ""},
	"junk behind digits past 2^63 (§14.1.1, MUST)": {"bytes=0-99999999999999999999x", ""},
	"space inside (§14.1.1, MUST)":                 {"bytes=0 -4", ""},
	"space before the last (§14.1.1, MUST)":        {"bytes=0- 4", ""},
	"space between suffix and dash (§14.1.1)":      {"bytes=- 4", ""},
	"NBSP is not optional whitespace (§5.6.3)":     {"bytes=\u00a00-4", ""},
	"line break is not optional whitespace (§5.5)": {"bytes=0-4\n", ""},
	"no comma between (§5.6.1, MUST)":              {"bytes=10-11 12-", ""},
	"semicolon for a comma (§5.6.1, MUST)":         {"bytes=0-4;10-14", ""},
	"malformed last member (§14.1.1, MAY)":         {"bytes=1-4,x", ""},
	"malformed first member (§14.1.1, MAY)":        {"bytes=x,1-4", ""},
	"reversed last member (§14.1.1, MAY)":          {"bytes=1-4,5-2", ""},
	"malformed member behind the limit (§14.1.1)":  {"bytes=" + strings.Repeat("0-0,", 40) + "x", ""},
	"two lines joined (§5.3, MAY)":                 {"bytes=0-4, bytes=10-14", ""},
	"quoted (§14.1.1, MUST)":                       {`bytes="0-4"`, ""},
	"star (§14.1.1, MUST)":                         {"bytes=*", ""},
	"Content-Range's form (§14.4, MUST)":           {"bytes=0-4/36", ""},
	"other-range is of other units (§14.1.1)":      {"bytes=foo", ""},
}

func TestParseRange(t *testing.T) {
	for name, tc := range parseRangeRows {
		t.Run(name, func(t *testing.T) {
			s := ParseRange([]string{tc.in})
			if !s.Present || s.Valid != (tc.want != "") {
				t.Fatalf("ParseRange(%q): present %v, valid %v", tc.in, s.Present, s.Valid)
			}
			if got := s.Canonical(); got != tc.want {
				t.Errorf("%q is sent on as %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestParseRangeLines(t *testing.T) {
	if s := ParseRange(nil); s != (RangeSet{}) {
		t.Errorf("absent: %+v", s)
	}
	if s := ParseRange([]string{}); s.Present {
		t.Errorf("no line: %+v", s)
	}
	// RFC 9110 §5.3: Range is not a list of ranges-specifiers.
	for _, lines := range [][]string{
		{"bytes=0-4", "bytes=10-14"},
		{"bytes=0-4", "bytes=0-4"},
		{"bytes=0-4", ""},
		{"bytes=0-4", "10-14"},
	} {
		if s := ParseRange(lines); !s.Present || s.Valid || s.Canonical() != "" {
			t.Errorf("%q: %+v", lines, s)
		}
	}
}

func TestRangeLengthLimit(t *testing.T) {
	for n, valid := range map[int]bool{64 << 10: true, 64<<10 + 1: false} {
		field := "bytes=" + strings.Repeat(",", n-len("bytes=0-4")) + "0-4"
		if s := ParseRange([]string{field}); !s.Present || s.Valid != valid || valid && s.Canonical() != "bytes=0-4" {
			t.Errorf("a field of %d bytes: present %v, valid %v", len(field), s.Present, s.Valid)
		}
	}
}

func TestLenientRangeRequest(t *testing.T) {
	h := http.Header{"Range": {"bytes=0-4"}, "If-Range": {"784111777"}}
	strict, lenient := ParseRangeRequest(h, now, false), ParseRangeRequest(h, now, true)
	if strict.IfRange.HasDate || !lenient.IfRange.HasDate {
		t.Errorf("strictly %+v, leniently %+v", strict.IfRange, lenient.IfRange)
	}
}

// A RangeSet is a snapshot, like Preconditions.
func TestRangeIsASnapshot(t *testing.T) {
	h := http.Header{"Range": {"bytes=0-4"}, "If-Range": {`"foo"`}}
	r := ParseRangeRequest(h, now, false)
	h["Range"][0], h["If-Range"][0] = "bytes=7-7", `"bar"`
	if got := r.Evaluate("GET", strong, later, 36, sixteen); !reflect.DeepEqual(got.Ranges, []ByteRange{{0, 5}}) {
		t.Errorf("an edit of the header changed the selection: %+v", got)
	}
}

// sixteen are the terms of a handler that is told nothing else.
var sixteen = RangeTerms{Max: 16}

// later makes the Last-Modified of the representations strong.
var later = nov94.Add(time.Second)

// rangeRow is one GET of 36 bytes with an ETag `"foo"`, unless the row says
// otherwise; ifRange has several lines where it has line breaks.
type rangeRow struct {
	rng     string
	ifRange string
	rep     Representation
	date    time.Time
	size    int64
	want    RangeVerdict
	reason  Reason
	ranges  []ByteRange
	terms   RangeTerms
}

func (row rangeRow) run(t *testing.T) {
	t.Helper()
	h := http.Header{"Range": {row.rng}}
	if row.ifRange != "" {
		h["If-Range"] = strings.Split(row.ifRange, "\n")
	}
	if !row.rep.Exists {
		row.rep = strong
	}
	if row.date.IsZero() {
		row.date = later
	}
	r := ParseRangeRequest(h, now, false)
	if row.terms == (RangeTerms{}) {
		row.terms = sixteen
	}
	got := r.Evaluate(http.MethodGet, row.rep, row.date, row.size, row.terms)
	if got.Verdict != row.want || got.Reason != row.reason || !reflect.DeepEqual(got.Ranges, row.ranges) {
		t.Errorf("%q of %d bytes: %v (%s) %v, want %v (%s) %v",
			h, row.size, got.Verdict, got.Reason, got.Ranges, row.want, row.reason, row.ranges)
	}
}

func partial(rng string, size int64, ranges ...ByteRange) rangeRow {
	return rangeRow{rng: rng, size: size, want: RangePartial, reason: ReasonRange, ranges: ranges}
}

func unsatisfiable(rng string, size int64) rangeRow {
	return rangeRow{rng: rng, size: size, want: RangeUnsatisfiable, reason: ReasonRangeUnsatisfiable}
}

func whole(rng string, size int64, reason Reason) rangeRow {
	return rangeRow{rng: rng, size: size, reason: reason}
}

const maxInt64 = 1<<63 - 1

var rangeRows = map[string]rangeRow{
	"first bytes (§14.1.2, SHOULD)":                      partial("bytes=0-4", 36, ByteRange{0, 5}),
	"first byte (§14.1.2, SHOULD)":                       partial("bytes=0-0", 36, ByteRange{0, 1}),
	"last byte by its position (§14.1.2, SHOULD)":        partial("bytes=35-35", 36, ByteRange{35, 1}),
	"from the middle (§14.1.2, SHOULD)":                  partial("bytes=3-7", 36, ByteRange{3, 5}),
	"all of it, open (§14.1.2, SHOULD)":                  partial("bytes=0-", 36, ByteRange{0, 36}),
	"the rest (§14.1.2, SHOULD)":                         partial("bytes=30-", 36, ByteRange{30, 6}),
	"the last byte, open (§14.1.2, SHOULD)":              partial("bytes=35-", 36, ByteRange{35, 1}),
	"suffix (§14.1.2, SHOULD)":                           partial("bytes=-5", 36, ByteRange{31, 5}),
	"suffix of one (§14.1.2, SHOULD)":                    partial("bytes=-1", 36, ByteRange{35, 1}),
	"suffix as long as it (§14.1.2, SHOULD)":             partial("bytes=-36", 36, ByteRange{0, 36}),
	"suffix longer than it (§14.1.2, MUST)":              partial("bytes=-37", 36, ByteRange{0, 36}),
	"last at the end (§14.1.2, SHOULD)":                  partial("bytes=30-35", 36, ByteRange{30, 6}),
	"last behind the end (§14.1.2, MUST)":                partial("bytes=30-36", 36, ByteRange{30, 6}),
	"last far behind the end (§14.1.2, MUST)":            partial("bytes=30-1000", 36, ByteRange{30, 6}),
	"last past 2^64 (§14.1.2, MUST)":                     partial("bytes=0-18446744073709551616", 36, ByteRange{0, 36}),
	"suffix past 2^64 (§14.1.2, MUST)":                   partial("bytes=-18446744073709551617", 36, ByteRange{0, 36}),
	"leading zeros (§14.1.1, SHOULD)":                    partial("bytes=000-0004", 36, ByteRange{0, 5}),
	"first at the end (§14.1.2, SHOULD)":                 unsatisfiable("bytes=36-", 36),
	"first behind the end (§14.1.2, SHOULD)":             unsatisfiable("bytes=100000-110000", 36),
	"first past 2^64 (§14.1.2, SHOULD)":                  unsatisfiable("bytes=18446744073709551616-", 36),
	"suffix of no bytes (§14.1.2, SHOULD)":               unsatisfiable("bytes=-0", 36),
	"suffix of no bytes, zeros (§14.1.2, SHOULD)":        unsatisfiable("bytes=-000", 36),
	"all of two behind the end (§14.1.2, SHOULD)":        unsatisfiable("bytes=100000-110000,200000-", 36),
	"one byte of one (§14.1.2, SHOULD)":                  partial("bytes=0-0", 1, ByteRange{0, 1}),
	"three bytes of one (§14.1.2, SHOULD)":               partial("bytes=0-2", 1, ByteRange{0, 1}),
	"the longest there is (§14.1.2)":                     partial("bytes=-1,0-0", maxInt64, ByteRange{maxInt64 - 1, 1}, ByteRange{0, 1}),
	"all of the longest there is (§14.1.2)":              partial("bytes=0-", maxInt64, ByteRange{0, maxInt64}),
	"behind the longest there is (§14.1.2)":              unsatisfiable("bytes=9223372036854775807-", maxInt64),
	"first and last byte (§14.2, SHOULD)":                partial("bytes=0-0,-1", 3600, ByteRange{0, 1}, ByteRange{3599, 1}),
	"three as in the RFC's example (§14.1.2, SHOULD)":    partial("bytes= 0-999, 4500-5499, -1000", 10000, ByteRange{0, 1000}, ByteRange{4500, 1000}, ByteRange{9000, 1000}),
	"not in order: the client's (§15.3.7.2, SHOULD)":     partial("bytes=0-9, -10, 11-19", 3600, ByteRange{0, 10}, ByteRange{3590, 10}, ByteRange{11, 9}),
	"some behind the end (§14.1.2, SHOULD)":              partial("bytes=0-4, -5, 100000-, 10-14", 3600, ByteRange{0, 5}, ByteRange{3595, 5}, ByteRange{10, 5}),
	"a suffix of no bytes beside one (§14.1.2)":          partial("bytes=-0,3-4", 36, ByteRange{3, 2}),
	"adjacent ones are joined (§15.3.7.2, MAY)":          partial("bytes=1-2,3-5", 36, ByteRange{1, 5}),
	"one byte between: never over a gap (§15.3.7.2)":     partial("bytes=1-2,4-5", 3600, ByteRange{1, 2}, ByteRange{4, 2}),
	"joined, in their place (§15.3.7.2, SHOULD)":         partial("bytes=900-909,5-9,0-4,800-809", 3600, ByteRange{900, 10}, ByteRange{0, 10}, ByteRange{800, 10}),
	"only neighbours in the list are joined":             partial("bytes=0-4,900-909,5-9", 3600, ByteRange{0, 5}, ByteRange{900, 10}, ByteRange{5, 5}),
	"what is joined closes the gap before it":            partial("bytes=0-4,20-24,5-19", 36, ByteRange{0, 25}),
	"joined across one behind the end":                   partial("bytes=0-4,99-,5-9", 36, ByteRange{0, 10}),
	"seventeen that are one when joined":                 partial("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16", 36, ByteRange{0, 17}),
	"part heads and delimiters make it longer":           whole("bytes=0-0,-1", 36, ReasonRangeExcessive),
	"just as long as the whole":                          partial("bytes=0-0,-1", 168, ByteRange{0, 1}, ByteRange{167, 1}),
	"a byte longer":                                      whole("bytes=0-1,-1", 168, ReasonRangeExcessive),
	"the media type counts":                              {rng: "bytes=0-0,-1", size: 186, terms: RangeTerms{Max: 16, ContentType: "a/b"}, reason: ReasonRangeExcessive},
	"two hundred and fifty-five (dnf)":                   {rng: manyRanges(255), size: 1 << 20, terms: RangeTerms{Max: 255}, want: RangePartial, reason: ReasonRange, ranges: manyParts(255)},
	"one more":                                           {rng: manyRanges(256), size: 1 << 20, terms: RangeTerms{Max: 255}, reason: ReasonRangeMany},
	"one at most":                                        {rng: "bytes=0-0,9-9", size: 3600, terms: RangeTerms{Max: 1}, reason: ReasonRangeMany},
	"one at most, and two that are one":                  {rng: "bytes=0-0,1-1", size: 3600, terms: RangeTerms{Max: 1}, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{0, 2}}},
	"adjacent, the later one first (§15.3.7.2)":          partial("bytes=3-5,1-2", 36, ByteRange{1, 5}),
	"two halves (§14.2)":                                 partial("bytes=0-17,18-", 36, ByteRange{0, 36}),
	"empty members (§5.6.1.2, SHOULD)":                   partial("bytes=0-1,,5-8,", 3600, ByteRange{0, 2}, ByteRange{5, 4}),
	"unit in upper case (§14.1, MUST)":                   partial("BYTES=0-4", 36, ByteRange{0, 5}),
	"one shared byte (§14.2, MAY)":                       partial("bytes=0-5,5-9", 36, ByteRange{0, 10}),
	"one shared byte, later one first (§14.2, MAY)":      partial("bytes=5-9,0-5", 36, ByteRange{0, 10}),
	"overlapping (§14.2, MAY)":                           partial("bytes=0-9,5-14", 36, ByteRange{0, 15}),
	"one inside the other (§14.2, MAY)":                  partial("bytes=0-9,5-6", 36, ByteRange{0, 10}),
	"one around the other (§14.2, MAY)":                  partial("bytes=5-6,0-9", 36, ByteRange{0, 10}),
	"the same twice (§14.2, MAY)":                        partial("bytes=5-6,5-6", 36, ByteRange{5, 2}),
	"the same twice, one between (§14.2, MAY)":           partial("bytes=5-6,0-0,5-6", 3600, ByteRange{5, 2}, ByteRange{0, 1}, ByteRange{5, 2}),
	"overlapping behind the cut end (§14.2, MAY)":        partial("bytes=30-100,-1", 36, ByteRange{30, 6}),
	"more than the whole (§17.15, SHOULD)":               whole("bytes=0-3000,3500-,0-3000", 3600, ReasonRangeExcessive),
	"two that are the same past the end (§14.1.2)":       unsatisfiable("bytes=40-50,40-50", 36),
	"sixteen (§14.2, MAY)":                               partial(manyRanges(16), 3600, manyParts(16)...),
	"seventeen (§14.2, MAY)":                             whole(manyRanges(17), 3600, ReasonRangeMany),
	"seventeen, empty members not counted (§14.2, MAY)":  partial("bytes=,,,,"+strings.Repeat(",", 20)+"0-0", 36, ByteRange{0, 1}),
	"seventeen, behind the end (§14.2, MAY)":             partial("bytes=0-0"+strings.Repeat(",9999-", 16), 3600, ByteRange{0, 1}),
	"sixteen, all but one behind the end (§14.2)":        partial("bytes=0-0"+strings.Repeat(",99-", 15), 36, ByteRange{0, 1}),
	"seventeen, all behind the end (§14.2, MAY)":         unsatisfiable("bytes=99-"+strings.Repeat(",99-", 16), 36),
	"a hundred (§14.2, MAY)":                             whole(manyRanges(100), 36000, ReasonRangeMany),
	"no content, first byte (§14.2, MAY)":                whole("bytes=0-0", 0, ReasonRangeEmpty),
	"no content, suffix (§14.2, MAY)":                    whole("bytes=-5", 0, ReasonRangeEmpty),
	"no content, behind the end (§14.2, MAY)":            whole("bytes=7-", 0, ReasonRangeEmpty),
	"unknown length (§14.2, MAY)":                        whole("bytes=0-0", -1, ReasonRangeEmpty),
	"malformed (§14.1.1, §14.2, MAY)":                    whole("bytes=5-2", 36, ReasonRangeUnusable),
	"malformed member (§14.1.1, §14.2, MAY)":             whole("bytes=1-4,x", 36, ReasonRangeUnusable),
	"malformed on no content (§14.2, MAY)":               whole("bytes=x", 0, ReasonRangeUnusable),
	"empty field (§14.1.1, §14.2, MAY)":                  whole("", 36, ReasonRangeUnusable),
	"unknown unit (§14.2, MUST)":                         whole("lines=0-4", 36, ReasonRangeUnusable),
	"overlapping but malformed at the end (§14.1.1)":     whole("bytes=0-9,5-14,x", 36, ReasonRangeUnusable),
	"unsatisfiable but malformed at the end (§14.1.1)":   whole("bytes=99-,x", 36, ReasonRangeUnusable),
	"no content with no strong validator (§14.2)":        {rng: "bytes=0-4", rep: weak, reason: ReasonWeakValidator},
	"weak tag (§15.3.7.3, MUST NOT combine)":             {rng: "bytes=0-4", rep: weak, size: 36, reason: ReasonWeakValidator},
	"weak tag, undated (§15.3.7.3)":                      {rng: "bytes=0-4", rep: undated(weak), size: 36, reason: ReasonWeakValidator},
	"weak tag, unsatisfiable (§15.3.7.3)":                {rng: "bytes=99-", rep: weak, size: 36, reason: ReasonWeakValidator},
	"strong tag, undated (§15.3.7.3)":                    {rng: "bytes=0-4", rep: undated(strong), size: 36, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{0, 5}}},
	"strong tag, weak date (§15.3.7.3)":                  {rng: "bytes=0-4", rep: strong, date: nov94, size: 36, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{0, 5}}},
	"empty strong tag (§8.8.3)":                          {rng: "bytes=0-4", rep: representation(`""`), size: 36, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{0, 5}}},
	"no tag, strong date (§8.8.2.2)":                     {rng: "bytes=0-4", rep: noTag, size: 36, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{0, 5}}},
	"no tag, date of this very second (§8.8.2.2)":        {rng: "bytes=0-4", rep: noTag, date: nov94, size: 36, reason: ReasonWeakValidator},
	"neither tag nor date (§15.3.7.3)":                   {rng: "bytes=0-4", rep: undated(noTag), size: 36, reason: ReasonNoValidator},
	"malformed comes before weak (§14.2)":                {rng: "bytes=x", rep: weak, size: 36, reason: ReasonRangeUnusable},
	"without a validator, as told":                       {rng: "bytes=0-4", rep: undated(noTag), size: 36, terms: unvalidated, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{0, 5}}},
	"with a weak date, as told":                          {rng: "bytes=0-4", rep: noTag, date: nov94, size: 36, terms: unvalidated, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{0, 5}}},
	"with a weak tag, all the same":                      {rng: "bytes=0-4", rep: weak, size: 36, terms: unvalidated, reason: ReasonWeakValidator},
	"without a validator, none of it":                    {rng: "bytes=99-", rep: undated(noTag), size: 36, terms: unvalidated, want: RangeUnsatisfiable, reason: ReasonRangeUnsatisfiable},
	"without a validator no If-Range: a tag":             {rng: "bytes=0-4", ifRange: `"foo"`, rep: undated(noTag), size: 36, terms: unvalidated, reason: ReasonIfRange},
	"without a validator no If-Range: a date":            {rng: "bytes=0-4", ifRange: lmEqual, rep: undated(noTag), size: 36, terms: unvalidated, reason: ReasonIfRange},
	"with a weak date no If-Range":                       {rng: "bytes=0-4", ifRange: lmEqual, rep: noTag, date: nov94, size: 36, terms: unvalidated, reason: ReasonIfRange},
	"weak comes before a false If-Range (§13.1.5)":       {rng: "bytes=0-4", ifRange: `"bar"`, rep: weak, size: 36, reason: ReasonWeakValidator},
	"If-Range: the tag (§13.1.5, MUST)":                  {rng: "bytes=5-9", ifRange: `"foo"`, size: 36, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{5, 5}}},
	"If-Range: the tag, several ranges (§13.1.5, MUST)":  {rng: "bytes=5-9,-1", ifRange: `"foo"`, size: 3600, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{5, 5}, {3599, 1}}},
	"If-Range: the tag, unsatisfiable (§15.5.17)":        {rng: "bytes=99-", ifRange: `"foo"`, size: 36, want: RangeUnsatisfiable, reason: ReasonRangeUnsatisfiable},
	"If-Range: other tag (§13.1.5, MUST)":                {rng: "bytes=5-9", ifRange: `"bar"`, size: 36, reason: ReasonIfRange},
	"If-Range: other tag, unsatisfiable (§13.1.5, MUST)": {rng: "bytes=100-200", ifRange: `"bar"`, size: 36, reason: ReasonIfRange},
	"If-Range: other tag, malformed (§13.1.5, MUST)":     {rng: "bytes=foo", ifRange: `"bar"`, size: 36, reason: ReasonRangeUnusable},
	"If-Range: other tag, no content (§13.1.5)":          {rng: "bytes=0-4", ifRange: `"bar"`, reason: ReasonIfRange},
	"If-Range: other tag, overlapping (§13.1.5)":         {rng: "bytes=0-4,0-4", ifRange: `"bar"`, size: 36, reason: ReasonIfRange},
	"If-Range: two lines (§13.1.5, MUST)":                {rng: "bytes=5-9", ifRange: "\"foo\"\n\"foo\"", size: 36, reason: ReasonIfRange},
	"If-Range: date, there is a tag (§13.1.5)":           {rng: "bytes=5-9", ifRange: lmEqual, size: 36, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{5, 5}}},
	"If-Range: date, no tag (§13.1.5, SHOULD)":           {rng: "bytes=5-9", ifRange: lmEqual, rep: noTag, size: 36, want: RangePartial, reason: ReasonRange, ranges: []ByteRange{{5, 5}}},
	"If-Range: date of this very second (§13.1.5, MUST)": {rng: "bytes=5-9", ifRange: lmEqual, date: nov94, size: 36, reason: ReasonIfRange},
	"If-Range: a second later (§13.1.5, MUST)":           {rng: "bytes=5-9", ifRange: lmNewer, size: 36, reason: ReasonIfRange},
}

// unvalidated are the terms under which parts are sent without a validator.
var unvalidated = RangeTerms{Max: 16, Unvalidated: true}

// manyRanges asks for n bytes one by one, with a byte between.
func manyRanges(n int) string {
	var b strings.Builder
	for i, r := range manyParts(n) {
		b.WriteString(map[bool]string{true: "bytes=", false: ","}[i == 0])
		b.Write(rangeSpec{first: r.Start, last: r.Start}.append(nil))
	}
	return b.String()
}

func manyParts(n int) []ByteRange {
	var parts []ByteRange
	for i := range n {
		parts = append(parts, ByteRange{2 * int64(i), 1})
	}
	return parts
}

func TestRangeEvaluate(t *testing.T) {
	for name, row := range rangeRows {
		t.Run(name, row.run)
	}
}

// RFC 9110 §14.2: GET only, and to all others it is as if there were no Range.
func TestRangeOnOtherMethods(t *testing.T) {
	for _, rng := range []string{"bytes=0-4", "bytes=99-", "bytes=x"} {
		r := ParseRangeRequest(http.Header{"Range": {rng}, "If-Range": {`"bar"`}}, now, false)
		for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", ""} {
			if got := r.Evaluate(method, strong, later, 36, sixteen); !reflect.DeepEqual(got, RangeResult{}) {
				t.Errorf("%s with Range: %s is %+v", method, rng, got)
			}
		}
	}
}

// RFC 9110 §13.1.5: without Range there is nothing for If-Range to decide.
func TestIfRangeWithoutRange(t *testing.T) {
	for _, h := range []http.Header{{}, {"If-Range": {`"foo"`}}, {"If-Range": {`"bar"`}}, {"If-Range": {""}}} {
		r := ParseRangeRequest(h, now, false)
		if got := r.Evaluate("GET", strong, later, 36, sixteen); !reflect.DeepEqual(got, RangeResult{}) {
			t.Errorf("%q is %+v", h, got)
		}
	}
}

func TestRangeVerdictString(t *testing.T) {
	for v, want := range map[RangeVerdict]string{
		RangeWhole: "whole", RangePartial: "partial", RangeUnsatisfiable: "unsatisfiable", 99: "unknown",
	} {
		if v.String() != want {
			t.Errorf("%d is %q, want %q", v, v, want)
		}
	}
}

// Reasons are labels of metrics: renaming one breaks dashboards.
func TestRangeReasons(t *testing.T) {
	for got, want := range map[Reason]string{
		ReasonRange: "range", ReasonRangeUnsatisfiable: "range_unsatisfiable", ReasonRangeUnusable: "range_unusable",
		ReasonRangeEmpty: "range_empty", ReasonRangeExcessive: "range_excessive", ReasonRangeMany: "range_many",
		ReasonNoValidator: "no_validator", ReasonWeakValidator: "weak_validator", ReasonIfRange: "if_range",
	} {
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// RFC 9110 §14.4.
func TestContentRange(t *testing.T) {
	for _, tc := range []struct {
		r    ByteRange
		size int64
		want string
	}{
		{ByteRange{0, 5}, 36, "bytes 0-4/36"},
		{ByteRange{35, 1}, 36, "bytes 35-35/36"},
		{ByteRange{0, maxInt64}, maxInt64, "bytes 0-9223372036854775806/9223372036854775807"},
	} {
		if got := tc.r.ContentRange(tc.size); got != tc.want {
			t.Errorf("%v of %d is %q, want %q", tc.r, tc.size, got, tc.want)
		}
	}
	if got := UnsatisfiedRange(36); got != "bytes */36" {
		t.Errorf("UnsatisfiedRange(36) is %q", got)
	}
}

func TestRangeAllocations(t *testing.T) {
	var (
		none      = http.Header{"Accept": {"*/*"}}
		single    = http.Header{"Range": {"bytes=0-4"}, "If-Range": {`"foo"`}}
		hostile   = http.Header{"Range": {"bytes=" + strings.Repeat("0-,", 2000) + "0-"}}
		malformed = http.Header{"Range": {"bytes=" + strings.Repeat("0-,", 2000) + "x"}}
		numbers   = http.Header{"Range": {"bytes=0-" + strings.Repeat("9", 8000)}}
	)
	for name, tc := range map[string]struct {
		h    http.Header
		want float64
	}{
		"absent":           {none, 0},
		"single":           {single, 1},
		"two thousand":     {hostile, 1},
		"a thousand apart": {http.Header{"Range": {manyRanges(1000)}}, 8},
		"malformed member": {malformed, 0},
		"8000 digits":      {numbers, 1},
	} {
		got := testing.AllocsPerRun(100, func() {
			r := ParseRangeRequest(tc.h, now, false)
			r.Evaluate("GET", strong, later, 36, sixteen)
		})
		if got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tc.want)
		}
	}
}

func BenchmarkRange(b *testing.B) {
	for name, h := range map[string]http.Header{
		"set=none":         {"Accept": {"*/*"}},
		"set=single":       {"Range": {"bytes=0-4"}},
		"set=single+tag":   {"Range": {"bytes=0-4"}, "If-Range": {`"foo"`}},
		"set=single+date":  {"Range": {"bytes=0-4"}, "If-Range": {lmEqual}},
		"set=three":        {"Range": {"bytes=0-4, 10-14, -5"}},
		"set=sixteen":      {"Range": {manyRanges(16)}},
		"set=two_thousand": {"Range": {"bytes=" + strings.Repeat("0-,", 2000) + "0-"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := ParseRangeRequest(h, now, false)
				r.Evaluate("GET", strong, later, 36, sixteen)
			}
		})
	}
}

func BenchmarkRangeCanonical(b *testing.B) {
	s := ParseRange([]string{"bytes=0-4, 10-14, -5"})
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Canonical()
	}
}
