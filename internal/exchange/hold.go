package exchange

import (
	"net/http"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// hold keeps the response back until its tag can be made, unless the dates decide already.
func (x *Exchange) hold(status int, header http.Header) capture.Decision {
	c := x.shown.cond
	// A found date may still change: the tag may have been seen later, or a row may make it worth less.
	open := x.kept.shared.is(dateFound) && (x.svc.Policy.Dates.FirstSeen || x.selected.row.uncertain)
	if !open && c.byDate() {
		if x.evaluate(status); x.verdict.result.Verdict != httpcond.Proceed {
			return x.answer(header)
		}
	}
	d := x.holdAll()
	if c.matchesTags() {
		if !c.namesOurs() {
			// No tag of ours can match, so it need not be made.
			x.evaluate(status)
			return x.answer(header)
		}
		// Without its tag the answer could only be 412, so this one is worth waiting for.
		d.MaxDelay = 0
	}
	if x.kept.shared.is(probing) {
		d.MaxDelay = 0 // and so is that of a guarded write
	}
	return d
}

func (x *Exchange) holdAll() capture.Decision {
	bounds := &x.svc.Policy.Bounds
	return capture.Decision{
		Action: capture.Hold, MaxBody: bounds.MaxBody, MaxDelay: bounds.MaxDelay, Declared: x.selected.declared,
	}
}

// holdPassing holds what would pass but for Range. It gets no tag for that.
func (x *Exchange) holdPassing() capture.Decision {
	x.selected.untagged = true
	return x.holdAll()
}

// Spill implements capture.Exchange: it gives up holding. It may run in the deadline's goroutine.
func (x *Exchange) Spill(header http.Header, reason capture.Reason) capture.Decision {
	d := x.spill(header, reason)
	x.follow(d.Action)
	return d
}

func (x *Exchange) spill(header http.Header, reason capture.Reason) capture.Decision {
	if x.probe != nil {
		return x.probe.spill(reason)
	}
	x.selected.spilled = true
	if reason == capture.ReasonMaxDelay {
		x.kept.shared.set(gaveUp) // the client has waited once, that is enough
	}
	return x.judgeAtHead(http.StatusOK, header, journal.Because(reason))
}
