package guard

import (
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// require refuses a write without a precondition, where there has to be one (RFC 6585 §3). One that has
// to be ignored is none.
func (g *Write) require() error {
	if !g.Must || g.protected(true) {
		return nil
	}
	g.glance()
	return g.demand(errors.New("a write needs If-Match, If-None-Match or If-Unmodified-Since"))
}

func (g *Write) demand(why error) error {
	g.refuse(journal.PreconditionRequired, journal.GuardRequired)
	return caddyhttp.Error(http.StatusPreconditionRequired, why)
}

// refuse notes that the client is told to look again, and at which version.
func (g *Write) refuse(outcome journal.Outcome, reason journal.Reason) {
	g.passCORS()
	var fields http.Header
	if g.current.HasETag {
		fields = http.Header{"Etag": {g.current.ETag.String()}}
	}
	g.Said.Decide(outcome, reason, fields)
}

// protected reports whether a precondition stands before the write that does not have to be ignored: an
// If-Match always counts, an If-None-Match if it names something, a date if it is one and there is
// another (dated) to compare it with.
func (g *Write) protected(dated bool) bool {
	none := &g.Pre.IfNoneMatch
	return g.Pre.IfMatch.Present || none.Any || len(none.Tags) > 0 || g.Pre.IfUnmodifiedSince.Valid && dated
}

// name is by which of its names If-Match has named the current representation.
type name uint8

const (
	byNone name = iota // by none that counts, or there is no If-Match
	byTag              // the tag that clients get, or *
	byOwn              // the one by which the upstream knows it, be it the one that clients get
	byWeak             // the tag that clients get, ours, in its weak form, and the upstream may know it
)

// judge evaluates the preconditions. What was judged here does not go on with the write: the upstream
// could not know our tags, nor the suffixes that were put on its own.
func (g *Write) judge() error {
	result, by := g.evaluate()
	switch {
	case result.Verdict != httpcond.Proceed:
		g.refuse(journal.PreconditionFailed, journal.Because(result.Reason))
		return caddyhttp.Error(http.StatusPreconditionFailed, errors.New(result.Reason.Refusal()))
	case g.Must && !g.protected(g.dated()):
		return g.demand(errors.New("a write needs another precondition than If-Unmodified-Since: there is no Last-Modified"))
	}
	reason := journal.Because(result.Reason)
	if by == byWeak {
		reason = journal.GuardWeakTag
	}
	g.Said.Decide(journal.Guarded, reason, nil)
	g.tell()
	g.withhold(by)
	return nil
}

// tell tells the other instances.
func (g *Write) tell() {
	if g.Learned == nil {
		return
	}
	g.Learned.Protected = g.protected(g.dated())
	if _, ours := tag.Parse(g.current.ETag.Opaque); ours && g.current.HasETag {
		g.Learned.Ours = true
	}
}

// evaluate applies the preconditions to the current representation, by all names that it has: If-Match holds if one of
// them is named, If-None-Match if none is.
func (g *Write) evaluate() (result httpcond.Result, by name) {
	if g.deletedSince() {
		return httpcond.Result{Verdict: httpcond.PreconditionFailed, Reason: httpcond.ReasonIfUnmodifiedSince}, byNone
	}
	result, by = g.Pre.Evaluate(g.R.Method, g.current.Representation), byTag
	others := httpcond.Preconditions{IfNoneMatch: g.Pre.IfNoneMatch} // If-Match overrules If-Unmodified-Since (RFC 9110 §13.2.2)
	if result.Reason == httpcond.ReasonIfMatch {
		if by = g.otherName(); by == byNone {
			return result, byNone
		}
		if result = others.Evaluate(g.R.Method, g.current.Representation); result.Reason == httpcond.ReasonNoCondition {
			result.Reason = httpcond.ReasonMatched
		}
	}
	if result.Verdict == httpcond.Proceed && g.current.hasOwn() {
		own := httpcond.Representation{Exists: true, HasETag: true, ETag: g.current.Own, Same: func(named, own string) bool {
			return named == own || named == g.current.Uncoded.Opaque
		}}
		if again := others.Evaluate(g.R.Method, own); again.Verdict != httpcond.Proceed {
			return again, byNone
		}
	}
	if by == byTag && g.current.isItsOwn() && slices.ContainsFunc(g.Pre.IfMatch.Tags, g.current.isOwn) {
		by = byOwn
	}
	return result, by
}

// otherName is by which other name than the tag that clients get If-Match names the current representation.
//
// The weak form of ours is what a client has that accepts content codings, or one behind a proxy that applies them. It
// stands for every octet, as the strong one does, unless parts of the content are left out of it: then it is weak here,
// too. By strong comparison it could match nothing, so who has made it decides: this process, or else the upstream.
func (g *Write) otherName() name {
	c := &g.current
	weakly := false
	for _, t := range g.Pre.IfMatch.Tags {
		if c.isOwn(t) {
			return byOwn
		}
		_, ours := tag.Parse(t.Opaque)
		weakly = weakly || ours && t.Weak && c.HasETag && tag.Same(t.Opaque, c.ETag.Opaque)
	}
	switch {
	case !weakly || c.Made && c.ETag.Weak:
		return byNone
	case c.Made:
		return byTag
	}
	return byWeak
}

// deletedSince reports whether a date rests on a representation that is there no more. RFC 9110 §13.1.4 ignores a date where
// none is available to compare it with, which speaks of a resource without dates: who sends one has read a representation,
// and a deletion that he does not know of is a change as any other.
func (g *Write) deletedSince() bool {
	return !g.current.Exists && g.Pre.IfUnmodifiedSince.Valid && !g.Pre.IfMatch.Present
}

// dated reports whether If-Unmodified-Since has something to be compared with.
func (g *Write) dated() bool { return !g.current.LastModified.IsZero() }

// withhold takes the fields that were judged off the write, and If-Modified-Since, which means nothing
// in a write and would be alone now. A date that had to be ignored here may mean something to the upstream. If-Match stays
// where the upstream knows what it names, and may judge once more.
func (g *Write) withhold(by name) {
	h := g.R.Header
	switch by {
	case byWeak:
		return
	case byOwn:
		// Alone, for those who compare the field as one string.
		h["If-Match"] = []string{g.Pre.IfMatch.Tags[slices.IndexFunc(g.Pre.IfMatch.Tags, g.current.isOwn)].String()}
	case byTag, byNone:
		delete(h, "If-Match")
	}
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	judged := g.Pre.IfUnmodifiedSince.Valid && !g.current.LastModified.IsZero()
	if g.Pre.IfMatch.Present || judged {
		delete(h, "If-Unmodified-Since")
	}
}
