package guard

import (
	"errors"
	"fmt"
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
	return g.demand(errors.New("a write needs If-Match, If-None-Match or If-Unmodified-Since"))
}

func (g *Write) demand(why error) error {
	g.Said.Decide(journal.PreconditionRequired, journal.GuardRequired, nil)
	return caddyhttp.Error(http.StatusPreconditionRequired, why)
}

// protected reports whether a precondition stands before the write that does not have to be ignored: an
// If-Match always counts, an If-None-Match if it names something, a date if it is one and there is
// another (dated) to compare it with.
func (g *Write) protected(dated bool) bool {
	none := &g.Pre.IfNoneMatch
	return g.Pre.IfMatch.Present || none.Any || len(none.Tags) > 0 || g.Pre.IfUnmodifiedSince.Valid && dated
}

// judge evaluates the preconditions. What was judged here does not go on with the write: the upstream
// could not know our tags, nor the suffixes that were put on its own.
func (g *Write) judge() error {
	result := g.Pre.Evaluate(g.R.Method, g.current)
	if result.Reason == httpcond.ReasonIfMatch && g.namesWeakly() {
		// Strong comparison can say nothing of it, and the upstream is not asked to: the field goes on, and
		// the write with it, unless another condition is false.
		others := g.Pre
		others.IfMatch, others.IfUnmodifiedSince = httpcond.TagCondition{}, httpcond.DateCondition{}
		if result = others.Evaluate(g.R.Method, g.current); result.Verdict == httpcond.Proceed {
			g.Said.Decide(journal.Guarded, journal.GuardWeakTag, nil)
			g.tell(true)
			return nil
		}
	}
	switch {
	case result.Verdict != httpcond.Proceed:
		g.Said.Decide(journal.PreconditionFailed, journal.Because(result.Reason), nil)
		g.passCORS()
		return caddyhttp.Error(http.StatusPreconditionFailed, fmt.Errorf("the precondition in %s is false", result.Reason))
	case g.Must && !g.protected(g.dated()):
		g.passCORS()
		return g.demand(errors.New("a write needs another precondition than If-Unmodified-Since: there is no Last-Modified"))
	}
	g.Said.Decide(journal.Guarded, journal.Because(result.Reason), nil)
	g.tell(g.protected(g.dated()))
	g.withhold()
	return nil
}

// tell tells the instances further in.
func (g *Write) tell(protected bool) {
	if g.Protected != nil {
		*g.Protected = protected
	}
}

// namesWeakly reports whether If-Match names the current tag, ours, in its weak form: what a client has
// that accepts content codings, or one behind a proxy that applies them.
func (g *Write) namesWeakly() bool {
	return g.current.HasETag && slices.ContainsFunc(g.Pre.IfMatch.Tags, func(t httpcond.EntityTag) bool {
		_, ours := tag.Parse(t.Opaque)
		return ours && t.Weak && tag.Same(t.Opaque, g.current.ETag.Opaque)
	})
}

// dated reports whether If-Unmodified-Since has something to be compared with; what does not exist has
// not been modified.
func (g *Write) dated() bool { return !g.current.Exists || !g.current.LastModified.IsZero() }

// withhold takes the fields that were judged off the write, and If-Modified-Since, which means nothing
// in a write and would be alone now. A date that had to be ignored here may mean something to the upstream.
func (g *Write) withhold() {
	h := g.R.Header
	delete(h, "If-Match")
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	judged := g.Pre.IfUnmodifiedSince.Valid && !g.current.LastModified.IsZero()
	if g.Pre.IfMatch.Present || judged {
		delete(h, "If-Unmodified-Since")
	}
}
