package httpcond

import (
	"net/http"
	"time"
)

// Preconditions are the conditional fields of one request, parsed once.
// If-Range is not among them: it selects between two right answers and never
// stops one (RFC 9110 §13.1.5). The zero value is a request without conditions.
type Preconditions struct {
	IfMatch           TagCondition
	IfNoneMatch       TagCondition
	IfModifiedSince   DateCondition
	IfUnmodifiedSince DateCondition
}

// ParsePreconditions reads the conditional fields of a request; h has to have
// canonical keys, as net/http makes them. The result shares strings with h but
// keeps its meaning when h is edited later. lenient accepts more dates than
// RFC 9110 (ParseLenientDate).
func ParsePreconditions(h http.Header, now time.Time, lenient bool) Preconditions {
	return Preconditions{
		IfMatch:           ParseTagCondition(h["If-Match"]),
		IfNoneMatch:       ParseTagCondition(h["If-None-Match"]),
		IfModifiedSince:   ParseDateCondition(h["If-Modified-Since"], now, lenient),
		IfUnmodifiedSince: ParseDateCondition(h["If-Unmodified-Since"], now, lenient),
	}
}

// Any reports whether the request had a conditional field, usable or not.
func (p *Preconditions) Any() bool {
	return p.IfMatch.Present || p.IfNoneMatch.Present ||
		p.IfModifiedSince.Present || p.IfUnmodifiedSince.Present
}

// Representation is what preconditions are evaluated against: the selected
// representation as it is now, before the request's method is applied.
type Representation struct {
	// Exists tells that there is a current representation. It is what `*`
	// matches; a representation without a tag exists too.
	Exists bool
	// HasETag tells that ETag is its entity tag. `""` is a tag, so the zero
	// EntityTag cannot say it.
	HasETag bool
	ETag    EntityTag
	// LastModified is in whole seconds; zero is none.
	LastModified time.Time
	// Trust says what LastModified can tell when it is compared.
	Trust DateTrust
	// Same compares opaque tags; nil compares them byte for byte.
	Same SameFunc
}

// DateTrust is how far a Last-Modified is to be trusted. The steps take away:
// what a date of one step confirms, that of the step before confirms as well.
type DateTrust uint8

const (
	// TrustOrder: the date only moves forwards, as RFC 9110 §13.1.3 and §13.1.4
	// suppose: what is not later than the client's date has not changed since.
	TrustOrder DateTrust = iota
	// TrustEqual: it may move backwards, so that an earlier date than the
	// client's is a change as well. §13.1.3 says SHOULD of a 304 to a later
	// date, and cannot mean one for a page that the client has not got.
	TrustEqual
	// TrustDifference: even where it stays there may be a change. It can tell
	// that there was one, which is enough to stop a write by §13.1.4, but never
	// that there was none: If-Modified-Since is ignored.
	TrustDifference
)

// unmodified reports whether LastModified says that nothing has changed since
// the client's date.
func (rep *Representation) unmodified(since time.Time) bool {
	if rep.Trust == TrustOrder {
		return !rep.LastModified.After(since)
	}
	return rep.LastModified.Equal(since)
}

// Verdict is what preconditions make of a request.
type Verdict uint8

const (
	// Proceed: answer, or act, as if there were no condition.
	Proceed Verdict = iota
	// NotModified: answer 304 instead of the 200 to GET or HEAD.
	NotModified
	// PreconditionFailed: answer 412 and do not act.
	PreconditionFailed
)

// String returns the verdict in lower_snake, for logs and metric labels.
func (v Verdict) String() string {
	switch v {
	case Proceed:
		return "proceed"
	case NotModified:
		return "not_modified"
	case PreconditionFailed:
		return "precondition_failed"
	}
	return "unknown"
}

// Reason says why a verdict is what it is, above all why there was no 304. The
// set is closed, so it can be a metric label.
type Reason string

// Reasons for NotModified and PreconditionFailed name the field that decided.
const (
	ReasonIfMatch           Reason = "if_match"
	ReasonIfMatchUnusable   Reason = "if_match_unusable" // nothing in it is an entity tag
	ReasonIfUnmodifiedSince Reason = "if_unmodified_since"
	ReasonIfNoneMatch       Reason = "if_none_match"
	ReasonIfModifiedSince   Reason = "if_modified_since"
)

// Refusal says to a person why a request gets a 412.
func (r Reason) Refusal() string {
	if r == ReasonIfMatchUnusable {
		return "nothing in If-Match is an entity tag, which stands in double quotes"
	}
	return "the precondition in " + string(r) + " is false"
}

// Reasons for Proceed.
const (
	// ReasonNoCondition: the request had no conditional field.
	ReasonNoCondition Reason = "no_condition"
	// ReasonMethod: the method selects no representation (RFC 9110 §13.2.1).
	ReasonMethod Reason = "method"
	// ReasonMatched: If-Match or If-Unmodified-Since held, nothing else was asked.
	ReasonMatched Reason = "matched"
	// ReasonNoneMatched: If-None-Match named other tags.
	ReasonNoneMatched Reason = "none_matched"
	// ReasonNoEntityTag: If-None-Match named tags, the representation has none.
	ReasonNoEntityTag Reason = "no_entity_tag"
	// ReasonUnusable: If-None-Match had no well-formed member.
	ReasonUnusable Reason = "if_none_match_unusable"
	// ReasonModifiedSince: Last-Modified is later than If-Modified-Since, or
	// another date where only the same one is trusted.
	ReasonModifiedSince Reason = "modified_since"
	// ReasonIgnored: the date conditions were not valid, not for this method,
	// or there was no Last-Modified to compare them with that is trusted so far.
	ReasonIgnored Reason = "condition_ignored"
)

// Result is a verdict, its reason and, when a member of If-None-Match matched,
// that member as the client wrote it: a 304 may return the tag in the form the
// client named. Matched is zero when `*` or a date decided.
type Result struct {
	Verdict Verdict
	Reason  Reason
	Matched EntityTag
}

// answer is what one field says. An absent field, or one that has to be
// ignored, is not a false one.
type answer uint8

const (
	absent answer = iota
	holds
	fails
)

// Evaluate applies the preconditions in the order of RFC 9110 §13.2.2. It takes
// for granted what §13.2.1 demands of the caller: that the answer without
// conditions would be a 2xx, and for an unsafe method that nothing was done yet.
func (p *Preconditions) Evaluate(method string, rep Representation) Result {
	if !selects(method) {
		return Result{Reason: ReasonMethod}
	}
	if p.ifMatch(&rep) == fails {
		return Result{Verdict: PreconditionFailed, Reason: p.whyNotMatched()}
	}
	if p.ifUnmodifiedSince(&rep) == fails {
		return Result{Verdict: PreconditionFailed, Reason: ReasonIfUnmodifiedSince}
	}
	if a, matched := p.ifNoneMatch(&rep); a == fails {
		return Result{Verdict: matchVerdict(method), Reason: ReasonIfNoneMatch, Matched: matched}
	}
	if p.ifModifiedSince(method, &rep) == fails {
		return Result{Verdict: NotModified, Reason: ReasonIfModifiedSince}
	}
	return Result{Reason: p.whyProceed(method, &rep)}
}

// selects is false for the methods whose conditions are to be ignored, as they
// neither select nor modify a representation (RFC 9110 §13.2.1).
func selects(method string) bool {
	switch method {
	case http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// matchVerdict is step 3 of RFC 9110 §13.2.2: 304 for GET and HEAD, else 412.
func matchVerdict(method string) Verdict {
	if reads(method) {
		return NotModified
	}
	return PreconditionFailed
}

// ifMatch holds when a listed tag is the current one by strong comparison, or
// for `*` when anything exists (RFC 9110 §13.1.1). No tag to compare with, or
// no usable member, is false: the client asked not to act otherwise.
func (p *Preconditions) ifMatch(rep *Representation) answer {
	c := &p.IfMatch
	switch {
	case !c.Present:
		return absent
	case c.Any && rep.Exists:
		return holds
	case !rep.Exists || !rep.HasETag:
		return fails
	}
	for _, tag := range c.Tags {
		if StrongMatch(tag, rep.ETag, rep.Same) {
			return holds
		}
	}
	return fails
}

// ifUnmodifiedSince fails when the representation changed after the date, or has
// another one where only the same is trusted. It is
// ignored beside If-Match, even an unusable one, when it is not one valid date,
// and without a Last-Modified (RFC 9110 §13.1.4).
func (p *Preconditions) ifUnmodifiedSince(rep *Representation) answer {
	c := &p.IfUnmodifiedSince
	if p.IfMatch.Present || !c.Valid || !rep.Exists || rep.LastModified.IsZero() {
		return absent
	}
	if !rep.unmodified(c.Time) {
		return fails
	}
	return holds
}

// ifNoneMatch fails, returning the member, when a listed tag is the current one
// by weak comparison, or for `*` when anything exists (RFC 9110 §13.1.2).
func (p *Preconditions) ifNoneMatch(rep *Representation) (answer, EntityTag) {
	c := &p.IfNoneMatch
	switch {
	case !c.Present:
		return absent, EntityTag{}
	case c.Any && rep.Exists:
		return fails, EntityTag{}
	case !rep.Exists || !rep.HasETag:
		return holds, EntityTag{}
	}
	for _, tag := range c.Tags {
		if WeakMatch(tag, rep.ETag, rep.Same) {
			return fails, tag
		}
	}
	return holds, EntityTag{}
}

// ifModifiedSince fails when the representation did not change after the date.
// It is ignored beside If-None-Match, even an unusable one: the tag is the finer
// validator, and the date alone would answer 304 to changed content. Also for
// methods other than GET and HEAD, when it is not one valid date, and without a
// Last-Modified that can confirm anything (RFC 9110 §13.1.3). A date in the future counts like any other:
// the rule that called it invalid went with RFC 2616.
func (p *Preconditions) ifModifiedSince(method string, rep *Representation) answer {
	c := &p.IfModifiedSince
	if p.IfNoneMatch.Present || !reads(method) || !c.Valid ||
		!rep.Exists || rep.LastModified.IsZero() || rep.Trust == TrustDifference {
		return absent
	}
	if !rep.unmodified(c.Time) {
		return holds
	}
	return fails
}

func (p *Preconditions) whyNotMatched() Reason {
	if !p.IfMatch.Any && len(p.IfMatch.Tags) == 0 {
		return ReasonIfMatchUnusable
	}
	return ReasonIfMatch
}

// whyProceed names the condition that came nearest to another verdict: the
// field a revalidating client relies on before the one that guards a write.
func (p *Preconditions) whyProceed(method string, rep *Representation) Reason {
	switch {
	case !p.Any():
		return ReasonNoCondition
	case p.IfNoneMatch.Present:
		return p.whyNoneMatched(rep)
	case p.ifModifiedSince(method, rep) == holds:
		return ReasonModifiedSince
	case p.ifMatch(rep) == holds, p.ifUnmodifiedSince(rep) == holds:
		return ReasonMatched
	}
	return ReasonIgnored
}

func (p *Preconditions) whyNoneMatched(rep *Representation) Reason {
	switch c := &p.IfNoneMatch; {
	case !c.Any && len(c.Tags) == 0:
		return ReasonUnusable
	case !c.Any && rep.Exists && !rep.HasETag:
		return ReasonNoEntityTag
	}
	return ReasonNoneMatched
}
