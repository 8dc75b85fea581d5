package httpcond

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	lmEqual = "Sun, 06 Nov 1994 08:49:37 GMT"
	lmNewer = "Sun, 06 Nov 1994 08:49:38 GMT"
	lmOlder = "Sun, 06 Nov 1994 08:49:36 GMT"
)

// The representation most rows are about.
func representation(tag string) Representation {
	rep := Representation{Exists: true, LastModified: nov94}
	rep.ETag, rep.HasETag = ParseEntityTag(tag)
	return rep
}

func undated(rep Representation) Representation {
	rep.LastModified = time.Time{}
	return rep
}

// evaluationRow is one request; headers is "Name: value" lines.
type evaluationRow struct {
	method  string // GET and HEAD when empty
	headers []string
	rep     Representation
	want    Verdict
	reason  Reason
}

func (row evaluationRow) run(t *testing.T) {
	t.Helper()
	h := http.Header{}
	for _, line := range row.headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	methods := []string{row.method}
	if row.method == "" {
		methods = []string{http.MethodGet, http.MethodHead}
	}
	p := ParsePreconditions(h, now, false)
	for _, method := range methods {
		got := p.Evaluate(method, row.rep)
		if got.Verdict != row.want || got.Reason != row.reason {
			t.Errorf("%s %q: %v (%s), want %v (%s)", method, row.headers, got.Verdict, got.Reason, row.want, row.reason)
		}
	}
}

var (
	strong = representation(`"foo"`)
	weak   = representation(`W/"foo"`)
	noTag  = representation("")
)

var evaluationRows = map[string]evaluationRow{
	"no condition": {rep: strong, want: Proceed, reason: ReasonNoCondition},

	"If-None-Match: weak in the request (§13.1.2, MUST)":      {"", []string{`If-None-Match: W/"foo"`}, strong, NotModified, ReasonIfNoneMatch},
	"If-None-Match: weak representation (§13.1.2, MUST)":      {"", []string{`If-None-Match: "foo"`}, weak, NotModified, ReasonIfNoneMatch},
	"If-None-Match: case counts (§8.8.3.2, MUST)":             {"", []string{`If-None-Match: "Foo"`}, strong, Proceed, ReasonNoneMatched},
	"If-None-Match: last of a list (§13.1.2, MUST)":           {"", []string{`If-None-Match: "1", "2", "foo"`}, strong, NotModified, ReasonIfNoneMatch},
	"If-None-Match: star (§13.1.2, MUST)":                     {"", []string{`If-None-Match: *`}, strong, NotModified, ReasonIfNoneMatch},
	"If-None-Match: star without a tag (§13.1.2, MUST)":       {"", []string{`If-None-Match: *`}, noTag, NotModified, ReasonIfNoneMatch},
	"If-None-Match: star, nothing there (§13.1.2, MUST)":      {"PUT", []string{`If-None-Match: *`}, Representation{}, Proceed, ReasonNoneMatched},
	"If-None-Match: star, something there (§13.1.2, MUST)":    {"PUT", []string{`If-None-Match: *`}, noTag, PreconditionFailed, ReasonIfNoneMatch},
	"If-None-Match: match on DELETE (§13.1.2, MUST)":          {"DELETE", []string{`If-None-Match: W/"foo"`}, strong, PreconditionFailed, ReasonIfNoneMatch},
	"If-None-Match: quoted star is a tag (§13.1.2, MUST)":     {"", []string{`If-None-Match: "*"`}, strong, Proceed, ReasonNoneMatched},
	"If-None-Match: empty opaque tags (§8.8.3, MUST)":         {"", []string{`If-None-Match: ""`}, representation(`""`), NotModified, ReasonIfNoneMatch},
	"If-None-Match: empty tag, none there (§8.8.3, MUST)":     {"", []string{`If-None-Match: ""`}, noTag, Proceed, ReasonNoEntityTag},
	"If-None-Match: empty (§13.1.2, MUST)":                    {"", []string{`If-None-Match: `}, strong, Proceed, ReasonUnusable},
	"If-None-Match: unquoted on both sides (§8.8.3, SAFE)":    {"", []string{`If-None-Match: 1234`}, representation(`1234`), Proceed, ReasonUnusable},
	"If-None-Match: obs-text (§8.8.3, SHOULD)":                {"", []string{"If-None-Match: \"\xfc\""}, representation("\"\xfc\""), NotModified, ReasonIfNoneMatch},
	"If-None-Match: tag missing, date equal (§13.2.2, MUST)":  {"", []string{`If-None-Match: "foo"`, "If-Modified-Since: " + lmEqual}, noTag, Proceed, ReasonNoEntityTag},
	"If-None-Match: other tag, date newer (§13.2.2, MUST)":    {"", []string{`If-None-Match: "bar"`, "If-Modified-Since: " + lmNewer}, strong, Proceed, ReasonNoneMatched},
	"If-None-Match: match, date older (§13.2.2, MUST)":        {"", []string{`If-None-Match: "foo"`, "If-Modified-Since: " + lmOlder}, strong, NotModified, ReasonIfNoneMatch},
	"If-None-Match: match, date invalid (§13.2.2, MUST)":      {"", []string{`If-None-Match: "foo"`, "If-Modified-Since: foo"}, strong, NotModified, ReasonIfNoneMatch},
	"If-None-Match: match, no Last-Modified (§13.2.2, MUST)":  {"", []string{`If-None-Match: "foo"`, "If-Modified-Since: " + lmEqual}, undated(strong), NotModified, ReasonIfNoneMatch},
	"If-None-Match: nothing exists (§13.1.2, MUST)":           {"PUT", []string{`If-None-Match: "foo"`}, Representation{}, Proceed, ReasonNoneMatched},
	"If-Modified-Since: equal (§13.1.3, SHOULD)":              {"", []string{"If-Modified-Since: " + lmEqual}, noTag, NotModified, ReasonIfModifiedSince},
	"If-Modified-Since: newer (§13.1.3, SHOULD)":              {"", []string{"If-Modified-Since: " + lmNewer}, noTag, NotModified, ReasonIfModifiedSince},
	"If-Modified-Since: older (§13.1.3, MUST)":                {"", []string{"If-Modified-Since: " + lmOlder}, noTag, Proceed, ReasonModifiedSince},
	"If-Modified-Since: in the future (§13.1.3, SHOULD)":      {"", []string{"If-Modified-Since: Tue, 19 Jan 2038 03:14:08 GMT"}, noTag, NotModified, ReasonIfModifiedSince},
	"If-Modified-Since: year 1 (§13.1.3, MUST)":               {"", []string{"If-Modified-Since: Mon, 01 Jan 0001 00:00:00 GMT"}, noTag, Proceed, ReasonModifiedSince},
	"If-Modified-Since: with a tag there too (§13.1.3)":       {"", []string{"If-Modified-Since: " + lmEqual}, strong, NotModified, ReasonIfModifiedSince},
	"If-Modified-Since: no Last-Modified (§13.1.3, MUST)":     {"", []string{"If-Modified-Since: " + lmEqual}, undated(strong), Proceed, ReasonIgnored},
	"If-Modified-Since: not on PUT (§13.1.3, MUST)":           {"PUT", []string{"If-Modified-Since: " + lmEqual}, strong, Proceed, ReasonIgnored},
	"If-Modified-Since: nothing exists (§13.1.3)":             {"", []string{"If-Modified-Since: " + lmEqual}, Representation{LastModified: nov94}, Proceed, ReasonIgnored},
	"If-Match: match (§13.1.1, MUST)":                         {"", []string{`If-Match: "foo"`}, strong, Proceed, ReasonMatched},
	"If-Match: other (§13.1.1, MUST)":                         {"", []string{`If-Match: "bar"`}, strong, PreconditionFailed, ReasonIfMatch},
	"If-Match: list without it (§13.1.1, MUST)":               {"", []string{`If-Match:  "a",, "b" ,`}, strong, PreconditionFailed, ReasonIfMatch},
	"If-Match: list with it (§13.1.1, MUST)":                  {"", []string{"If-Match: \"a\", \t\"foo\" , \"b\""}, strong, Proceed, ReasonMatched},
	"If-Match: weak and strong listed (§13.1.1, MUST)":        {"PUT", []string{`If-Match: W/"foo", "foo"`}, strong, Proceed, ReasonMatched},
	"If-Match: star (§13.1.1, MUST)":                          {"PUT", []string{`If-Match: *`}, strong, Proceed, ReasonMatched},
	"If-Match: star, weak tag (§13.1.1, MUST)":                {"PUT", []string{`If-Match: *`}, weak, Proceed, ReasonMatched},
	"If-Match: star, no tag but exists (§13.1.1, MUST)":       {"PUT", []string{`If-Match: *`}, noTag, Proceed, ReasonMatched},
	"If-Match: star, nothing there (§13.1.1, MUST)":           {"PUT", []string{`If-Match: *`}, Representation{}, PreconditionFailed, ReasonIfMatch},
	"If-Match: tag, no tag there (§13.1.1, MUST)":             {"", []string{`If-Match: "foo"`}, noTag, PreconditionFailed, ReasonIfMatch},
	"If-Match: tag, nothing there (§13.1.1, MUST)":            {"PUT", []string{`If-Match: "foo"`}, Representation{HasETag: true, ETag: strong.ETag}, PreconditionFailed, ReasonIfMatch},
	"If-Match: empty (§13.1.1, SHOULD)":                       {"PUT", []string{`If-Match: `}, strong, PreconditionFailed, ReasonIfMatchUnusable},
	"If-Match: malformed (§13.1.1, SHOULD)":                   {"PUT", []string{`If-Match: tt`}, strong, PreconditionFailed, ReasonIfMatchUnusable},
	"If-Match: star in a list (§13.1.1, MAY)":                 {"PUT", []string{`If-Match: "bar", *`}, strong, PreconditionFailed, ReasonIfMatch},
	"If-Match before If-None-Match (§13.2.2, MUST)":           {"", []string{`If-Match: "bar"`, `If-None-Match: "foo"`}, strong, PreconditionFailed, ReasonIfMatch},
	"If-Match holds, If-None-Match matches (§13.2.2, MUST)":   {"", []string{`If-Match: "foo"`, `If-None-Match: "foo"`}, strong, NotModified, ReasonIfNoneMatch},
	"If-Match holds, not modified since (§13.2.2, MUST)":      {"", []string{`If-Match: "foo"`, "If-Modified-Since: " + lmEqual}, strong, NotModified, ReasonIfModifiedSince},
	"If-Match: other, unmodified since (§13.2.2, MUST)":       {"PUT", []string{`If-Match: "bar"`, "If-Unmodified-Since: " + lmEqual}, strong, PreconditionFailed, ReasonIfMatch},
	"If-Unmodified-Since: equal (§13.1.4, MUST)":              {"", []string{"If-Unmodified-Since: " + lmEqual}, noTag, Proceed, ReasonMatched},
	"If-Unmodified-Since: newer (§13.1.4, MUST)":              {"PUT", []string{"If-Unmodified-Since: " + lmNewer}, noTag, Proceed, ReasonMatched},
	"If-Unmodified-Since: older (§13.1.4, MUST)":              {"", []string{"If-Unmodified-Since: " + lmOlder}, noTag, PreconditionFailed, ReasonIfUnmodifiedSince},
	"If-Unmodified-Since: older, PUT (§13.1.4, MUST)":         {"PUT", []string{"If-Unmodified-Since: " + lmOlder}, noTag, PreconditionFailed, ReasonIfUnmodifiedSince},
	"If-Unmodified-Since: invalid (§13.1.4, MUST)":            {"PUT", []string{"If-Unmodified-Since: foo"}, noTag, Proceed, ReasonIgnored},
	"If-Unmodified-Since before If-None-Match (§13.2.2)":      {"", []string{"If-Unmodified-Since: " + lmOlder, `If-None-Match: "foo"`}, strong, PreconditionFailed, ReasonIfUnmodifiedSince},
	"If-Unmodified-Since holds, tag matches (§13.2.2)":        {"", []string{"If-Unmodified-Since: " + lmEqual, `If-None-Match: "foo"`}, strong, NotModified, ReasonIfNoneMatch},
	"If-Unmodified-Since before If-Modified-Since (§13.2.2)":  {"", []string{"If-Unmodified-Since: " + lmOlder, "If-Modified-Since: " + lmEqual}, strong, PreconditionFailed, ReasonIfUnmodifiedSince},
	"both dates equal (§13.2.2)":                              {"", []string{"If-Unmodified-Since: " + lmEqual, "If-Modified-Since: " + lmEqual}, strong, NotModified, ReasonIfModifiedSince},
	"OPTIONS selects nothing (§13.2.1, MUST)":                 {"OPTIONS", []string{`If-Match: "bar"`, `If-None-Match: *`}, strong, Proceed, ReasonMethod},
	"TRACE selects nothing (§13.2.1, MUST)":                   {"TRACE", []string{`If-Match: "bar"`}, strong, Proceed, ReasonMethod},
	"CONNECT selects nothing (§13.2.1, MUST)":                 {"CONNECT", []string{`If-Match: "bar"`}, strong, Proceed, ReasonMethod},
	"a method is case-sensitive (§9.1, MUST)":                 {"get", []string{`If-None-Match: "foo"`}, strong, PreconditionFailed, ReasonIfNoneMatch},
	"a method nobody knows (§13.1.2)":                         {"FROB", []string{`If-None-Match: "foo"`}, strong, PreconditionFailed, ReasonIfNoneMatch},
	"all four hold (§13.2.2, SHOULD)":                         {"", []string{`If-Match: "foo"`, "If-Unmodified-Since: " + lmOlder, `If-None-Match: "bar"`, "If-Modified-Since: " + lmEqual}, strong, Proceed, ReasonNoneMatched},
	"If-None-Match over the limits counts as no match (SAFE)": {"", []string{"If-None-Match: " + strings.Repeat(`"x",`, 100) + `"foo"`}, strong, Proceed, ReasonNoneMatched},
}

func TestEvaluate(t *testing.T) {
	for name, row := range evaluationRows {
		t.Run(name, row.run)
	}
}

// The mistakes below were all seen in servers and libraries; each has its name
// so that it cannot come back unnoticed.

func TestOnlyFirstLineRead(t *testing.T) {
	lines := []string{`If-None-Match: "bar"`, `If-None-Match: "foo"`}
	evaluationRow{"", lines, strong, NotModified, ReasonIfNoneMatch}.run(t)
	lines = []string{`If-Match: "bar"`, `If-Match: "foo"`}
	evaluationRow{"PUT", lines, strong, Proceed, ReasonMatched}.run(t)
}

func TestMalformedMemberStopsTheScan(t *testing.T) {
	for _, list := range []string{`bar, "foo"`, `"a b", "foo"`, `"bar, "foo"`, `*, "foo"`, `"bar"x, "foo"`, `W/, "foo"`} {
		evaluationRow{"", []string{"If-None-Match: " + list}, strong, NotModified, ReasonIfNoneMatch}.run(t)
		evaluationRow{"PUT", []string{"If-Match: " + list}, strong, Proceed, ReasonMatched}.run(t)
	}
}

func TestStarWithJunkIsAStar(t *testing.T) {
	for _, value := range []string{`*junk`, `**`, `*,`, `* "a"`, `*, "a"`, `"a", *`, `W/*`} {
		p := ParsePreconditions(http.Header{"If-None-Match": {value}}, now, false)
		if got := p.Evaluate("GET", strong); got.Verdict != Proceed {
			t.Errorf("If-None-Match: %s is %v", value, got)
		}
		why := ReasonIfMatchUnusable
		if strings.HasPrefix(value, `"a"`) || strings.HasSuffix(value, `, "a"`) {
			why = ReasonIfMatch // there is a tag
		}
		evaluationRow{"PUT", []string{"If-Match: " + value}, strong, PreconditionFailed, why}.run(t)
	}
}

func TestRepeatedDatesHonoured(t *testing.T) {
	date := "If-Modified-Since: " + lmEqual
	evaluationRow{"", []string{date, date}, strong, Proceed, ReasonIgnored}.run(t)
	date = "If-Unmodified-Since: " + lmOlder
	evaluationRow{"PUT", []string{date, date}, strong, Proceed, ReasonIgnored}.run(t)
	evaluationRow{"PUT", []string{date + ", " + lmOlder}, strong, Proceed, ReasonIgnored}.run(t)
}

func TestCommaInsideATag(t *testing.T) {
	evaluationRow{"", []string{`If-None-Match: "a,b"`}, representation(`"b"`), Proceed, ReasonNoneMatched}.run(t)
	evaluationRow{"", []string{`If-None-Match: "x", "a,b", "y"`}, representation(`"a,b"`), NotModified, ReasonIfNoneMatch}.run(t)
	evaluationRow{"PUT", []string{`If-Match: "a,b"`}, representation(`"a,b"`), Proceed, ReasonMatched}.run(t)
}

func TestIfModifiedSinceDespiteIfNoneMatch(t *testing.T) {
	for _, field := range []string{`"bar"`, ``, `,`, `bar`, `*junk`, `"unterminated`} {
		for _, rep := range []Representation{strong, noTag} {
			p := ParsePreconditions(http.Header{
				"If-None-Match":     {field},
				"If-Modified-Since": {lmEqual},
			}, now, false)
			if got := p.Evaluate("GET", rep); got.Verdict != Proceed {
				t.Errorf("If-None-Match: %s leaves If-Modified-Since in force: %v", field, got)
			}
		}
	}
}

func TestIfUnmodifiedSinceDespiteIfMatch(t *testing.T) {
	lines := []string{`If-Match: "foo"`, "If-Unmodified-Since: " + lmOlder}
	evaluationRow{"PUT", lines, strong, Proceed, ReasonMatched}.run(t)
	// An unusable If-Match is in force all the same, and is the reason given.
	lines[0] = "If-Match: foo"
	evaluationRow{"PUT", lines, strong, PreconditionFailed, ReasonIfMatchUnusable}.run(t)
}

func TestWeakTagsMatchingIfMatch(t *testing.T) {
	for _, rep := range []Representation{strong, weak} {
		evaluationRow{"PUT", []string{`If-Match: W/"foo"`}, rep, PreconditionFailed, ReasonIfMatch}.run(t)
	}
	evaluationRow{"PUT", []string{`If-Match: "foo"`}, weak, PreconditionFailed, ReasonIfMatch}.run(t)
}

func TestPreconditionFailedWithoutLastModified(t *testing.T) {
	lines := []string{"If-Unmodified-Since: " + lmOlder}
	evaluationRow{"PUT", lines, undated(noTag), Proceed, ReasonIgnored}.run(t)
	evaluationRow{"", lines, undated(strong), Proceed, ReasonIgnored}.run(t)
	evaluationRow{"PUT", lines, Representation{}, Proceed, ReasonIgnored}.run(t)
}

func TestNoTagTakenForNoRepresentation(t *testing.T) {
	evaluationRow{"PUT", []string{`If-Match: *`}, noTag, Proceed, ReasonMatched}.run(t)
	evaluationRow{"PUT", []string{`If-None-Match: *`}, noTag, PreconditionFailed, ReasonIfNoneMatch}.run(t)
	evaluationRow{"PUT", []string{`If-None-Match: *`}, Representation{}, Proceed, ReasonNoneMatched}.run(t)
}

func TestMatchedIsTheMemberOfTheClient(t *testing.T) {
	rep := strong
	rep.Same = func(a, b string) bool { return strings.TrimSuffix(a, "-gzip") == b }
	for field, want := range map[string]EntityTag{
		`"x", W/"foo-gzip", "foo"`: {Weak: true, Opaque: "foo-gzip"},
		`"foo"`:                    {Opaque: "foo"},
		`*`:                        {},
		`"x"`:                      {},
	} {
		p := ParsePreconditions(http.Header{"If-None-Match": {field}}, now, false)
		if got := p.Evaluate("GET", rep).Matched; got != want {
			t.Errorf("If-None-Match: %s matched %+v, want %+v", field, got, want)
		}
	}
	p := ParsePreconditions(http.Header{"If-Modified-Since": {lmEqual}}, now, false)
	if got := p.Evaluate("GET", rep); got.Verdict != NotModified || got.Matched != (EntityTag{}) {
		t.Errorf("a date matched a tag: %+v", got)
	}
}

func TestLenientPreconditions(t *testing.T) {
	h := http.Header{"If-Modified-Since": {`"1994-11-06T08:49:37Z"`}, "If-Unmodified-Since": {"784111777"}}
	strict, lenient := ParsePreconditions(h, now, false), ParsePreconditions(h, now, true)
	if strict.IfModifiedSince.Valid || strict.IfUnmodifiedSince.Valid {
		t.Error("not HTTP-dates, but honoured (§13.1.3, MUST)")
	}
	if got := lenient.Evaluate("GET", noTag); got.Verdict != NotModified {
		t.Errorf("leniently: %+v", got)
	}
}

func TestAny(t *testing.T) {
	if (&Preconditions{}).Any() {
		t.Error("none is any")
	}
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		p := ParsePreconditions(http.Header{name: {""}}, now, false)
		if !p.Any() {
			t.Errorf("an empty %s is not seen", name)
		}
	}
	p := ParsePreconditions(http.Header{"If-Range": {`"a"`}, "Range": {"bytes=0-"}}, now, false)
	if p.Any() {
		t.Error("If-Range stops nothing")
	}
}

// Parsed preconditions outlive the header they came from: handlers inside edit it.
func TestPreconditionsAreASnapshot(t *testing.T) {
	h := http.Header{"If-None-Match": {`"foo"`}}
	p := ParsePreconditions(h, now, false)
	h["If-None-Match"][0] = `"bar"`
	if got := p.Evaluate("GET", strong); got.Verdict != NotModified {
		t.Errorf("an edit of the header changed the verdict: %+v", got)
	}
}

func TestVerdictString(t *testing.T) {
	for v, want := range map[Verdict]string{
		Proceed: "proceed", NotModified: "not_modified", PreconditionFailed: "precondition_failed", 99: "unknown",
	} {
		if v.String() != want {
			t.Errorf("%d is %q, want %q", v, v, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	absentFields := http.Header{"Accept": {"*/*"}}
	present := http.Header{"If-None-Match": {`W/"foo"`}, "If-Modified-Since": {lmEqual}}
	parsed := ParsePreconditions(present, now, false)
	for name, tc := range map[string]struct {
		f    func()
		want float64
	}{
		"parse, absent":        {func() { ParsePreconditions(absentFields, now, false) }, 0},
		"parse, tag and date":  {func() { ParsePreconditions(present, now, false) }, 1},
		"evaluate":             {func() { parsed.Evaluate("GET", weak) }, 0},
		"date":                 {func() { ParseDate(lmEqual, now) }, 0},
		"date, RFC 850":        {func() { ParseDate("Sunday, 06-Nov-94 08:49:37 GMT", now) }, 0},
		"directive":            {func() { HasDirective([]string{`private="a, b", max-age=60`}, "no-store") }, 0},
		"media type":           {func() { MediaType("text/html; charset=utf-8") }, 0},
		"media type, any case": {func() { MatchMediaType("text/html", "Text/HTML; charset=utf-8") }, 0},
		"accept-encoding":      {func() { AcceptsCoding([]string{"gzip;q=0, br;q=0.0, identity"}) }, 0},
		"vary":                 {func() { OnlyVariesOn([]string{"accept-encoding, ,"}, "Accept-Encoding") }, 0},
	} {
		if got := testing.AllocsPerRun(100, tc.f); got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tc.want)
		}
	}
}
