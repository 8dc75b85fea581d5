package httpcond

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// facts are what a request and a representation come to, stated without the
// types of this package, so that the oracle below shares no code with it.
type facts struct {
	method string
	exists bool

	ifMatch, ifMatchTrue          bool // present; true by RFC 9110 §13.1.1
	ifNoneMatch, ifNoneMatchTrue  bool // present; true by RFC 9110 §13.1.2
	unmodifiedUsable, modifUsable bool // one valid date, and a Last-Modified
	unmodifiedTrue, modifiedTrue  bool
}

// oracle walks through the steps of RFC 9110 §13.2.2 as they are numbered there
// and returns the status code that the steps end in, 0 for step 6.
func oracle(f facts) int { //nolint:gocognit // the RFC's own steps, jumps and all, so that it can be held against them
	safe := f.method == "GET" || f.method == "HEAD"
	if f.method == "OPTIONS" || f.method == "TRACE" || f.method == "CONNECT" {
		return 0
	}
	for step := 1; ; {
		switch step {
		case 1:
			step = 2
			if f.ifMatch {
				if !f.ifMatchTrue {
					return 412
				}
				step = 3
			}
		case 2:
			if f.unmodifiedUsable && !f.unmodifiedTrue {
				return 412
			}
			step = 3
		case 3:
			step = 4
			if f.ifNoneMatch {
				if !f.ifNoneMatchTrue {
					if safe {
						return 304
					}
					return 412
				}
				step = 5
			}
		case 4:
			if safe && f.modifUsable && !f.modifiedTrue {
				return 304
			}
			step = 5
		default:
			return 0
		}
	}
}

var statusOf = map[Verdict]int{Proceed: 0, NotModified: 304, PreconditionFailed: 412}

// tagChoice is one way to send a tag field; strong and weak tell whether it
// names "foo", and in which spelling.
type tagChoice struct {
	lines              []string
	star, strong, weak bool
}

var tagChoices = []tagChoice{
	{lines: nil},
	{lines: []string{"*"}, star: true},
	{lines: []string{`"foo"`}, strong: true},
	{lines: []string{`W/"foo"`}, weak: true},
	{lines: []string{`"bar"`}},
	{lines: []string{`"foo,", W/"foo", x, "foo"`}, strong: true, weak: true},
	{lines: []string{`"bar"`, ``, `"foo"`}, strong: true},
	{lines: []string{``}},
	{lines: []string{`foo, "foo`}},
	{lines: []string{`*, "bar"`}},
}

// dateChoice is one way to send a date field; seconds is relative to the
// Last-Modified.
type dateChoice struct {
	lines   []string
	valid   bool
	seconds int
}

var dateChoices = []dateChoice{
	{lines: nil},
	{lines: []string{lmOlder}, valid: true, seconds: -1},
	{lines: []string{lmEqual}, valid: true},
	{lines: []string{"Sunday, 06-Nov-94 08:49:38 GMT"}, valid: true, seconds: 1},
	{lines: []string{"Fri, 31 Dec 9999 23:59:59 GMT"}, valid: true, seconds: 1 << 30},
	{lines: []string{"Mon, 01 Jan 0001 00:00:00 GMT"}, valid: true, seconds: -1 << 30},
	{lines: []string{"784111777"}},
	{lines: []string{lmEqual, lmEqual}},
}

var representations = []Representation{
	{},
	noTag, weak, strong,
	undated(noTag), undated(weak), undated(strong),
}

// Those that net/http does not know.
var trustedLess = []Representation{
	trusted(noTag, TrustEqual), trusted(strong, TrustEqual), trusted(undated(strong), TrustEqual),
	trusted(noTag, TrustDifference), trusted(strong, TrustDifference), trusted(undated(strong), TrustDifference),
}

// trusted is the same with a Last-Modified that is trusted so far.
func trusted(rep Representation, trust DateTrust) Representation {
	rep.Trust = trust
	return rep
}

// Every combination of the choices above, against the oracle.
func TestEvaluateExhaustively(t *testing.T) {
	n := 0
	for _, im := range tagChoices {
		for _, inm := range tagChoices {
			for _, ius := range dateChoices {
				for _, ims := range dateChoices {
					n += compareAll(t, im, inm, ius, ims)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d combinations", n)
}

func compareAll(t *testing.T, im, inm tagChoice, ius, ims dateChoice) (n int) {
	t.Helper()
	h := http.Header{}
	for name, lines := range map[string][]string{
		"If-Match": im.lines, "If-None-Match": inm.lines,
		"If-Unmodified-Since": ius.lines, "If-Modified-Since": ims.lines,
	} {
		if lines != nil {
			h[name] = lines
		}
	}
	p := ParsePreconditions(h, now, false)
	for _, rep := range slices.Concat(representations, trustedLess) {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS"} {
			n++
			want := oracle(choiceFacts(method, rep, im, inm, ius, ims))
			if got := p.Evaluate(method, rep); statusOf[got.Verdict] != want {
				t.Fatalf("%s %v on %+v: %v (%s), want %d", method, h, rep, got.Verdict, got.Reason, want)
			}
		}
	}
	return n
}

func choiceFacts(method string, rep Representation, im, inm tagChoice, ius, ims dateChoice) facts {
	dated := !rep.LastModified.IsZero()
	return facts{
		method:           method,
		exists:           rep.Exists,
		ifMatch:          im.lines != nil,
		ifMatchTrue:      im.star && rep.Exists || im.strong && rep.HasETag && !rep.ETag.Weak,
		ifNoneMatch:      inm.lines != nil,
		ifNoneMatchTrue:  !(inm.star && rep.Exists) && !((inm.strong || inm.weak) && rep.HasETag),
		unmodifiedUsable: ius.valid && dated,
		unmodifiedTrue:   ius.seconds == 0 || rep.Trust == TrustOrder && ius.seconds > 0,
		modifUsable:      ims.valid && dated && rep.Trust != TrustDifference,
		modifiedTrue:     ims.seconds < 0 || rep.Trust == TrustEqual && ims.seconds > 0,
	}
}

// parsedFacts states the facts of fields that were parsed already: it checks the
// evaluation, not the parsing.
func parsedFacts(method string, p Preconditions, rep Representation) facts {
	f := facts{method: method, exists: rep.Exists}
	f.ifMatch, f.ifNoneMatch, f.ifNoneMatchTrue = p.IfMatch.Present, p.IfNoneMatch.Present, true
	if rep.Exists {
		f.ifMatchTrue, f.ifNoneMatchTrue = p.IfMatch.Any, !p.IfNoneMatch.Any
	}
	if rep.Exists && rep.HasETag {
		current := fmt.Sprintf("%q", rep.ETag.Opaque)
		for _, tag := range p.IfMatch.Tags {
			same := fmt.Sprintf("%q", tag.Opaque) == current
			f.ifMatchTrue = f.ifMatchTrue || same && !tag.Weak && !rep.ETag.Weak
		}
		for _, tag := range p.IfNoneMatch.Tags {
			f.ifNoneMatchTrue = f.ifNoneMatchTrue && fmt.Sprintf("%q", tag.Opaque) != current
		}
	}
	dated := rep.Exists && rep.LastModified != time.Time{}
	f.unmodifiedUsable = dated && p.IfUnmodifiedSince.Valid
	f.modifUsable = dated && p.IfModifiedSince.Valid && rep.Trust != TrustDifference
	lm, ius, ims := rep.LastModified.Unix(), p.IfUnmodifiedSince.Time.Unix(), p.IfModifiedSince.Time.Unix()
	if f.unmodifiedTrue, f.modifiedTrue = lm <= ius, lm > ims; rep.Trust != TrustOrder {
		f.unmodifiedTrue, f.modifiedTrue = lm == ius, lm != ims
	}
	return f
}
