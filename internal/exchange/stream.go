package exchange

import (
	"net/http"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// stream lets the response pass, with its head put in order. If the next handler was asked with GET for a HEAD, only the
// head goes out.
func (x *Exchange) stream(status int, header http.Header, reason journal.Reason) capture.Decision {
	x.dress(header)
	x.noteUncoded(status, header)
	switch {
	case status != http.StatusOK:
		x.visit.Unfit(remember.UnkeptStatus)
	case x.shown.asGet:
		x.visit.Unfit(remember.UnkeptHead) // its body is not read to the end
	default:
		x.prepare(header, x.selected.declared)
	}
	outcome := journal.Streamed
	switch part, made := x.verdict.part.Reason, x.madeFurtherIn(status); {
	case part != "" && !x.selected.spilled:
		reason = journal.Because(part) // who asks for a part wants to know why it is the whole
	case made != journal.Undecided:
		outcome, reason = made, journal.Inner
	case reason == journal.ExistingTag:
		reason = x.besideTag()
	}
	if status == http.StatusOK {
		x.acceptRanges(header, x.selected.declared)
	}
	x.decide(outcome, reason, header)
	if !x.shown.asGet {
		return capture.Decision{Action: capture.Stream}
	}
	return capture.Decision{Action: capture.Answer, Status: status, Declared: x.unread()}
}

// madeFurtherIn is what an instance further in has made of the response, if it is no longer the upstream's.
func (x *Exchange) madeFurtherIn(status int) journal.Outcome {
	made := journal.Outcome(x.kept.shared.further.Load()) //nolint:gosec // it was one
	if made == journal.Tagged && status == http.StatusOK || made == journal.Partial && status == http.StatusPartialContent {
		return made
	}
	return journal.Undecided
}

// besideTag is the reason where the upstream's own tag is kept: it says what became of the conditions.
func (x *Exchange) besideTag() journal.Reason {
	switch c := x.shown.cond; {
	case !x.selected.ETag.Usable:
		return journal.ExistingTag
	case x.svc.Policy.Tags.Ignore != nil:
		return journal.IgnoreIdle
	case c == nil:
		return journal.FirstVisit
	default:
		if _, ours := upstream.Ours(c.pre.IfNoneMatch.Tags); ours {
			return journal.ExistingTag
		}
		return x.because()
	}
}

// streams names the reason why a 200 is not held. The fields are as the upstream has sent them.
func (x *Exchange) streams(header http.Header) journal.Reason {
	p, s := x.svc.Policy, x.selected
	switch {
	case x.headPasses():
		return journal.Head
	case p.Tags.Mode == policy.Off:
		return journal.ETagOff
	case s.ETag.Present:
		return journal.ExistingTag
	case x.asked.noStore || x.goesUnstored(header):
		return journal.NoStore
	case s.trailed:
		return journal.Trailer
	case x.kept.shared.is(gaveUp):
		return journal.MaxDelay
	case x.kept.shared.is(overworked):
		return journal.IgnoreWork
	case s.incremental != journal.NoReason:
		return s.incremental
	case s.declared > p.Bounds.MaxBody:
		return journal.DeclaredLength
	}
	return journal.NoReason
}
