// Package upstream knows what to think of an upstream's validators and what to show an upstream of a
// client's preconditions.
//
// Conditional fields that name no tag of ours go through unchanged: the upstream's own 304, 412 or 206
// is cheaper than ours, and it knows its tags. A tag of ours means nothing to it, so what rests on one
// is translated, or withheld and judged here.
package upstream

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// names of the fields by which a client makes a request conditional or partial (RFC 9110 §13.1, §14.2).
var names = [...]string{
	IfMatch: "If-Match", IfNoneMatch: "If-None-Match", IfModifiedSince: "If-Modified-Since",
	IfUnmodifiedSince: "If-Unmodified-Since", IfRange: "If-Range", Range: "Range",
}

// Places of these in Fields.
const (
	IfMatch = iota
	IfNoneMatch
	IfModifiedSince
	IfUnmodifiedSince
	IfRange
	Range
)

// Fields are the field lines of a request's conditional fields and Range. The lists are shared with
// the request's header map and must not be changed.
type Fields [len(names)][]string

// Snapshot reads the fields of a request.
func Snapshot(h http.Header) (f Fields) {
	for i, name := range names {
		f[i] = h[name]
	}
	return f
}

// Preconditions reads the conditions among them. Dates may be in more forms than HTTP's where that is lenient.
func (f *Fields) Preconditions(now time.Time, lenient bool) httpcond.Preconditions {
	return httpcond.Preconditions{
		IfMatch:           httpcond.ParseTagCondition(f[IfMatch]),
		IfNoneMatch:       httpcond.ParseTagCondition(f[IfNoneMatch]),
		IfModifiedSince:   httpcond.ParseDateCondition(f[IfModifiedSince], now, lenient),
		IfUnmodifiedSince: httpcond.ParseDateCondition(f[IfUnmodifiedSince], now, lenient),
	}
}

// RangeRequest reads Range and If-Range, the same way.
func (f *Fields) RangeRequest(now time.Time, lenient bool) httpcond.RangeRequest {
	return httpcond.RangeRequest{
		Range:   httpcond.ParseRange(f[Range]),
		IfRange: httpcond.ParseIfRange(f[IfRange], now, lenient),
	}
}

// Detach gives a request lists of its own where it still has these: handlers inside edit lines in place.
func (f *Fields) Detach(h http.Header) {
	for i, lines := range f {
		if len(lines) == 0 {
			continue
		}
		if now := h[names[i]]; len(now) > 0 && &now[0] == &lines[0] {
			h[names[i]] = slices.Clone(lines)
		}
	}
}

// Restore makes a request have exactly these fields, by these very lists.
func (f *Fields) Restore(h http.Header) {
	for i, name := range names {
		switch {
		case f[i] != nil:
			h[name] = f[i]
		case h[name] != nil: // a look is cheaper than a deletion, and mostly there is nothing
			delete(h, name)
		}
	}
}

// takeOff takes these fields off a request that has them.
func (f *Fields) takeOff(h http.Header) {
	for i, name := range names {
		if f[i] != nil {
			delete(h, name)
		}
	}
}

// Put makes a request have exactly these fields.
func (f *Fields) Put(h http.Header) {
	for i, name := range names {
		if f[i] == nil {
			delete(h, name)
		} else {
			h[name] = slices.Clone(f[i]) // handlers inside edit lines in place
		}
	}
}

// Any reports whether there is a conditional field or Range at all.
func (f *Fields) Any() bool {
	for i := range f {
		if f[i] != nil {
			return true
		}
	}
	return false
}

// Dated reports whether there is one that is, or may be, a date.
func (f *Fields) Dated() bool {
	return f[IfModifiedSince] != nil || f[IfUnmodifiedSince] != nil || f[IfRange] != nil
}

// Header returns the fields as a header map of their own, for parsing.
func (f *Fields) Header() http.Header {
	h := make(http.Header, len(names))
	f.Put(h)
	return h
}

// Remove takes all conditional fields and Range off a request, as an error's answer needs it: a
// condition does not apply to it (RFC 9110 §13.2.1), and a handler that honoured one all the same
// would send an empty page.
func Remove(h http.Header) {
	for _, name := range names {
		delete(h, name)
	}
}

// RemoveRange takes Range, and the condition that goes with it, off a request.
func RemoveRange(h http.Header) {
	delete(h, names[IfRange])
	delete(h, names[Range])
}

// Original tells what the client sent, from what a request has now, what an outer instance left on it
// and what that one had found: a field that nobody has touched in between stands for the original.
func Original(now, left, original Fields) Fields {
	for i := range now {
		if slices.Equal(now[i], left[i]) {
			now[i] = original[i]
		}
	}
	return now
}

// PresentRange takes a Range off that has to be ignored whatever the answer will be, and writes what is
// left in its plainest form. It spares us the flaws of upstreams in what RFC 9110 leaves no choice about:
// Range of other methods than GET (§14.2), an If-Range that nothing can make true (§13.1.5), the case of
// "bytes", numbers that do not fit, and a range of no bytes, to which net/http gives an empty 206. Units that are not
// ours to know go through.
//
// It runs after Present, on fields that Present has left.
func PresentRange(h http.Header, method string, ranges *httpcond.RangeRequest, now time.Time) {
	lines := h[names[Range]]
	if ranges.IfRange.Loose && h[names[IfRange]] != nil {
		h[names[IfRange]] = []string{httpcond.FormatDate(ranges.IfRange.Date)}
	}
	switch {
	case lines == nil:
	case method != http.MethodGet || neverHolds(&ranges.IfRange, now) || ranges.Range.NeverSatisfiable():
		RemoveRange(h)
	case ranges.Range.Valid:
		if canonical := ranges.Range.Canonical(); lines[0] != canonical {
			h[names[Range]] = []string{canonical}
		}
	}
}

// neverHolds reports whether an If-Range is false whatever the validators. A date that is not over yet is
// no strong validator (RFC 9110 §8.8.2.2).
func neverHolds(c *httpcond.RangeCondition, now time.Time) bool {
	return c.NeverHolds() || c.HasDate && !httpcond.StrongDate(c.Date, now)
}

// View is what the upstream sees of the conditional fields.
type View uint8

const (
	// Unchanged: what the client asked, if not always to the letter.
	Unchanged View = iota
	// Translated: If-Modified-Since with the date of the one tag of ours that If-None-Match names. A
	// 304 in answer to it means that the client's representation is current.
	Translated
	// Alone: If-None-Match only. Another instance of ours may stand behind and know the tag.
	Alone
	// Withheld: nothing. All conditions are judged here, against the full answer.
	Withheld
)

// Rules says what a configuration demands of Present.
type Rules struct {
	// WithholdAll: the upstream's own tags are replaced or removed, so nothing it could say of a
	// condition would be about what the client has.
	WithholdAll bool
	// Undated: the dates in tags are not used, or that of the one tag (see Dated) counts for somebody else than who asks.
	Undated bool
	// DatesFound: a client's date may be one that the upstream has never heard of. What it would say of it
	// could be about another date, that of one file of several.
	DatesFound bool
	// Repaired are the tags that the upstream knows without their quotes; nil: none. It is no rule, but what is learned:
	// who serves requests sets it.
	Repaired *Repaired
}

// Present changes a request's fields, which are f, to what the upstream is to see. The caller puts f back afterwards.
//
// A conditional field is never withheld while another one goes through that the upstream would answer
// by itself: it would answer a question that the client has not asked.
func Present(h http.Header, f *Fields, pre *httpcond.Preconditions, rules Rules) View {
	if !f.Any() {
		return Unchanged
	}
	if rules.WithholdAll || mustWithhold(f, pre, rules) {
		f.takeOff(h)
		return Withheld
	}
	if !namesOurs(pre.IfNoneMatch.Tags) {
		joinLines(h, names[IfMatch])
		joinLines(h, names[IfNoneMatch])
		rules.Repaired.unquoteField(h, names[IfNoneMatch], pre.IfNoneMatch)
		presentDate(h, names[IfModifiedSince], &pre.IfModifiedSince)
		presentDate(h, names[IfUnmodifiedSince], &pre.IfUnmodifiedSince)
		if rules.DatesFound {
			delete(h, names[IfModifiedSince]) // overruled by If-None-Match, or no date (RFC 9110 §13.1.3)
		}
		return Unchanged
	}
	if pre.IfMatch.Present || pre.IfUnmodifiedSince.Present {
		f.takeOff(h)
		return Withheld
	}
	return presentOurs(h, f, pre, rules)
}

// joinLines puts a list that stands on several lines on one, which means the same (RFC 9110 §5.3): some
// upstreams read the first line only.
func joinLines(h http.Header, name string) {
	if lines := h[name]; len(lines) > 1 {
		h[name] = []string{strings.Join(lines, ", ")}
	}
}

// presentDate writes a date that only leniency has understood as upstreams understand it.
func presentDate(h http.Header, name string, c *httpcond.DateCondition) {
	if c.Loose {
		h[name] = []string{httpcond.FormatDate(c.Time)}
	}
}

// presentOurs handles an If-None-Match that names a tag of ours, alone or beside fields that it
// overrules.
func presentOurs(h http.Header, f *Fields, pre *httpcond.Preconditions, rules Rules) View {
	f.takeOff(h)
	if own, ok := Dated(pre); ok && !rules.Undated && onlyMember(f[IfNoneMatch], pre) {
		h[names[IfModifiedSince]] = []string{httpcond.FormatDate(own.Date)}
		return Translated
	}
	h[names[IfNoneMatch]] = slices.Clone(f[IfNoneMatch])
	return Alone
}

// Dated returns the tag of ours whose date would go to the upstream in its place, if If-None-Match names one.
func Dated(pre *httpcond.Preconditions) (own tag.Own, ok bool) {
	if len(pre.IfNoneMatch.Tags) != 1 {
		return tag.Own{}, false
	}
	own, ok = tag.Parse(pre.IfNoneMatch.Tags[0].Opaque)
	return own, ok && !own.Date.IsZero()
}

// onlyMember reports whether If-None-Match consists of its one entity tag and nothing else. A malformed
// member would not be among the tags.
func onlyMember(lines []string, pre *httpcond.Preconditions) bool {
	if len(lines) != 1 || len(pre.IfNoneMatch.Tags) != 1 {
		return false
	}
	only := pre.IfNoneMatch.Tags[0]
	length := len(`""`) + len(only.Opaque)
	if only.Weak {
		length += len("W/")
	}
	if len(lines[0]) == length {
		return true // there is no room for anything else
	}
	_, ok := httpcond.ParseEntityTag(lines[0])
	return ok
}

func mustWithhold(f *Fields, pre *httpcond.Preconditions, rules Rules) bool {
	return namesOurs(pre.IfMatch.Tags) || namesCoded(pre.IfMatch.Tags) || namesOurs(rangeTag(f[IfRange])) || restsOnUntrusted(f, pre) ||
		rules.Repaired.knowsAny(pre.IfMatch.Tags) || rules.Repaired.knowsAny(rangeTag(f[IfRange])) ||
		rules.DatesFound && pre.IfModifiedSince.Valid && !pre.IfNoneMatch.Present
}

// Ours returns the first member that is a tag of ours.
func Ours(tags []httpcond.EntityTag) (httpcond.EntityTag, bool) {
	for _, t := range tags {
		if _, ok := tag.Parse(t.Opaque); ok {
			return t, true
		}
	}
	return httpcond.EntityTag{}, false
}

func namesOurs(tags []httpcond.EntityTag) bool {
	_, ok := Ours(tags)
	return ok
}

// namesCoded reports whether a tag has the suffix that Caddy's encode puts on a strong one, and which it
// takes off If-None-Match only. The upstream may not know it: If-Match would be false for good.
func namesCoded(tags []httpcond.EntityTag) bool {
	return slices.ContainsFunc(tags, func(t httpcond.EntityTag) bool { return !t.Weak && withoutSuffix(t.Opaque) != t.Opaque })
}

// rangeTag reads the entity tag of If-Range, if it has one.
func rangeTag(lines []string) (tags []httpcond.EntityTag) {
	for _, line := range lines {
		if t, ok := httpcond.ParseEntityTag(line); ok {
			tags = append(tags, t)
		}
	}
	return tags
}

// restsOnUntrusted reports whether a condition can be told to rest on a validator that says nothing of
// the content: a tag that Untrusted would not let pass, or the date of a build tool.
func restsOnUntrusted(f *Fields, pre *httpcond.Preconditions) bool {
	for _, tags := range [...][]httpcond.EntityTag{pre.IfNoneMatch.Tags, pre.IfMatch.Tags, rangeTag(f[IfRange])} {
		for _, t := range tags {
			if Untrusted(t.Opaque, time.Time{}) {
				return true
			}
		}
	}
	for _, c := range [...]httpcond.DateCondition{pre.IfModifiedSince, pre.IfUnmodifiedSince} {
		if c.Valid && httpcond.BuildEpoch(c.Time) {
			return true
		}
	}
	return false
}
