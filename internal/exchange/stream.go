package exchange

import (
	"net/http"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
)

// stream lets the response pass, with its head put in order. If the next handler was asked with GET for a HEAD, only the
// head goes out.
func (x *Exchange) stream(status int, header http.Header, reason journal.Reason) capture.Decision {
	x.dress(header)
	if status == http.StatusOK {
		x.prepare(header, x.selected.declared)
	}
	if part := x.verdict.part.Reason; part != "" && !x.selected.spilled {
		reason = journal.Because(part) // who asks for a part wants to know why it is the whole
	}
	if status == http.StatusOK {
		x.acceptRanges(header, x.selected.declared)
	}
	x.decide(journal.Streamed, reason, header)
	if !x.shown.asGet {
		return capture.Decision{Action: capture.Stream}
	}
	return capture.Decision{Action: capture.Answer, Status: status, Declared: x.unread()}
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
