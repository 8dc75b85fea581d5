package httpcond

import (
	"net/http"
	"strings"
	"testing"
)

// RFC 9110 §13.2.2 as one decision table, reasons included: every combination
// of the columns is in exactly one row. (TestEvaluateExhaustively walks through
// the RFC's steps with many spellings of each field, without the reasons.)
//
// Methods: r reads (GET, HEAD), w writes, o selects nothing. Of a field: - is
// absent, i is one to be ignored, T is true, F is false; If-None-Match is false
// when a tag matches, the dates when the representation is older or newer.
var preconditionTable = []struct {
	method, ifMatch, ifUnmodifiedSince, ifNoneMatch, ifModifiedSince string

	verdict Verdict
	reason  Reason
}{
	//  If-Match, If-Unmod, If-None, If-Mod
	{"o", "-TF", "-iTF", "-TF", "-iTF", Proceed, ReasonMethod},

	// Steps 1 and 2: true goes on, false is 412 for all methods.
	{"rw", "F", "-iTF", "-TF", "-iTF", PreconditionFailed, ReasonIfMatch},
	{"rw", "-", "F", "-TF", "-iTF", PreconditionFailed, ReasonIfUnmodifiedSince},

	// Step 3: If-Unmodified-Since is not looked at beside If-Match.
	{"r", "T", "-iTF", "F", "-iTF", NotModified, ReasonIfNoneMatch},
	{"r", "-", "-iT", "F", "-iTF", NotModified, ReasonIfNoneMatch},
	{"w", "T", "-iTF", "F", "-iTF", PreconditionFailed, ReasonIfNoneMatch},
	{"w", "-", "-iT", "F", "-iTF", PreconditionFailed, ReasonIfNoneMatch},

	// Step 4: If-Modified-Since is not looked at beside If-None-Match.
	{"rw", "T", "-iTF", "T", "-iTF", Proceed, ReasonNoneMatched},
	{"rw", "-", "-iT", "T", "-iTF", Proceed, ReasonNoneMatched},
	{"r", "T", "-iTF", "-", "F", NotModified, ReasonIfModifiedSince},
	{"r", "-", "-iT", "-", "F", NotModified, ReasonIfModifiedSince},
	{"r", "T", "-iTF", "-", "T", Proceed, ReasonModifiedSince},
	{"r", "-", "-iT", "-", "T", Proceed, ReasonModifiedSince},

	// Step 6: nothing is against it. Only reading has an If-Modified-Since.
	{"r", "T", "-iTF", "-", "-i", Proceed, ReasonMatched},
	{"w", "T", "-iTF", "-", "-iTF", Proceed, ReasonMatched},
	{"r", "-", "T", "-", "-i", Proceed, ReasonMatched},
	{"w", "-", "T", "-", "-iTF", Proceed, ReasonMatched},
	{"r", "-", "i", "-", "-i", Proceed, ReasonIgnored},
	{"w", "-", "i", "-", "-iTF", Proceed, ReasonIgnored},
	{"r", "-", "-", "-", "i", Proceed, ReasonIgnored},
	{"w", "-", "-", "-", "iTF", Proceed, ReasonIgnored},
	{"rw", "-", "-", "-", "-", Proceed, ReasonNoCondition},
}

// How the columns look on the wire, the representation being the strong "foo".
var (
	tableMethods = map[string][]string{
		"r": {"GET", "HEAD"}, "w": {"PUT", "PATCH", "DELETE", "POST", "FROB"}, "o": {"OPTIONS", "TRACE", "CONNECT"},
	}
	tableIfMatch           = map[string]string{"-": "-", "T": `"foo"`, "F": `"bar"`}
	tableIfNoneMatch       = map[string]string{"-": "-", "T": `"bar"`, "F": `W/"foo"`}
	tableIfUnmodifiedSince = map[string]string{"-": "-", "i": "foo", "T": lmEqual, "F": lmOlder}
	tableIfModifiedSince   = map[string]string{"-": "-", "i": "foo", "T": lmOlder, "F": lmEqual}
)

func TestPreconditionTable(t *testing.T) {
	for method, methods := range tableMethods {
		for im, ifMatch := range tableIfMatch {
			for ius, ifUnmodifiedSince := range tableIfUnmodifiedSince {
				for inm, ifNoneMatch := range tableIfNoneMatch {
					for ims, ifModifiedSince := range tableIfModifiedSince {
						h := header("If-Match", ifMatch, "If-Unmodified-Since", ifUnmodifiedSince,
							"If-None-Match", ifNoneMatch, "If-Modified-Since", ifModifiedSince)
						checkRow(t, [5]string{method, im, ius, inm, ims}, methods, h)
					}
				}
			}
		}
	}
}

func checkRow(t *testing.T, states [5]string, methods []string, h http.Header) {
	t.Helper()
	rows := 0
	for _, row := range preconditionTable {
		if !strings.Contains(row.method, states[0]) || !strings.Contains(row.ifMatch, states[1]) ||
			!strings.Contains(row.ifUnmodifiedSince, states[2]) || !strings.Contains(row.ifNoneMatch, states[3]) ||
			!strings.Contains(row.ifModifiedSince, states[4]) {
			continue
		}
		rows++
		p := ParsePreconditions(h, now, false)
		for _, method := range methods {
			if got := p.Evaluate(method, strong); got.Verdict != row.verdict || got.Reason != row.reason {
				t.Errorf("%s %q: %v (%s), want %v (%s)", method, h, got.Verdict, got.Reason, row.verdict, row.reason)
			}
		}
	}
	if rows != 1 {
		t.Errorf("%q is in %d rows", states, rows)
	}
}

// What a Representation carries counts only as far as it says that it is there:
// validators of one that does not exist, and the zero tag of one without a tag,
// are leftovers of the caller.
func TestLeftoverValidators(t *testing.T) {
	gone := strong
	gone.Exists = false
	for name, row := range map[string]evaluationRow{
		"If-Match, gone (§13.1.1, MUST)":            {"PUT", []string{`If-Match: "foo"`}, gone, PreconditionFailed, ReasonIfMatch},
		"If-Match: empty tag, none (§13.1.1, MUST)": {"PUT", []string{`If-Match: ""`}, noTag, PreconditionFailed, ReasonIfMatch},
		"If-None-Match, gone (§13.1.2, MUST)":       {"PUT", []string{`If-None-Match: "foo"`}, gone, Proceed, ReasonNoneMatched},
		"If-None-Match, gone, GET (§13.1.2, MUST)":  {"", []string{`If-None-Match: "foo"`}, gone, Proceed, ReasonNoneMatched},
		"If-None-Match: empty tag, none (§13.1.2)":  {"", []string{`If-None-Match: ""`}, noTag, Proceed, ReasonNoEntityTag},
		"If-Unmodified-Since, gone (§13.1.4)":       {"PUT", []string{"If-Unmodified-Since: " + lmOlder}, gone, Proceed, ReasonIgnored},
		"If-Modified-Since, gone (§13.1.3)":         {"", []string{"If-Modified-Since: " + lmEqual}, gone, Proceed, ReasonIgnored},
	} {
		t.Run(name, row.run)
	}
}

// A date that may move backwards confirms nothing but itself, and one that may stay over a change nothing at all; both
// stop what rests on another date.
func TestTrustInDates(t *testing.T) {
	const ims, ius = "If-Modified-Since: ", "If-Unmodified-Since: "
	equal, difference := trusted(noTag, TrustEqual), trusted(noTag, TrustDifference)
	for name, row := range map[string]evaluationRow{
		"in order: later (§13.1.3, SHOULD)":            {"", []string{ims + lmNewer}, noTag, NotModified, ReasonIfModifiedSince},
		"in order: later, a write (§13.1.4)":           {"PUT", []string{ius + lmNewer}, noTag, Proceed, ReasonMatched},
		"equal: the same (§13.1.3, SHOULD)":            {"", []string{ims + lmEqual}, equal, NotModified, ReasonIfModifiedSince},
		"equal: later (choice)":                        {"", []string{ims + lmNewer}, equal, Proceed, ReasonModifiedSince},
		"equal: earlier (§13.1.3)":                     {"", []string{ims + lmOlder}, equal, Proceed, ReasonModifiedSince},
		"equal: the same, a write (§13.1.4)":           {"PUT", []string{ius + lmEqual}, equal, Proceed, ReasonMatched},
		"equal: later, a write (choice)":               {"PUT", []string{ius + lmNewer}, equal, PreconditionFailed, ReasonIfUnmodifiedSince},
		"equal: earlier, a write (§13.1.4, MUST)":      {"PUT", []string{ius + lmOlder}, equal, PreconditionFailed, ReasonIfUnmodifiedSince},
		"equal: none (§13.1.4, MUST)":                  {"PUT", []string{ius + lmOlder}, undated(equal), Proceed, ReasonIgnored},
		"equal: a tag (§13.1.2)":                       {"", []string{`If-None-Match: "bar"`, ims + lmEqual}, trusted(strong, TrustEqual), Proceed, ReasonNoneMatched},
		"difference: the same (choice)":                {"", []string{ims + lmEqual}, difference, Proceed, ReasonIgnored},
		"difference: later (choice)":                   {"", []string{ims + lmNewer}, difference, Proceed, ReasonIgnored},
		"difference: a tag (§13.1.2)":                  {"", []string{`If-None-Match: "foo"`, ims + lmEqual}, trusted(strong, TrustDifference), NotModified, ReasonIfNoneMatch},
		"difference: the same, a write (§13.1.4)":      {"PUT", []string{ius + lmEqual}, difference, Proceed, ReasonMatched},
		"difference: later, a write (choice)":          {"PUT", []string{ius + lmNewer}, difference, PreconditionFailed, ReasonIfUnmodifiedSince},
		"difference: earlier, a write (§13.1.4, MUST)": {"PUT", []string{ius + lmOlder}, difference, PreconditionFailed, ReasonIfUnmodifiedSince},
	} {
		t.Run(name, row.run)
	}
}
