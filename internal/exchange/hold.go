package exchange

import (
	"net/http"
	"time"

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
		switch x.evaluate(status); {
		case x.mayLabel(header), x.mayFindRow():
			return x.holdForLabel()
		case x.verdict.result.Verdict != httpcond.Proceed:
			return x.answer(header)
		}
	}
	d := x.holdAll()
	if x.svc.Tally != nil {
		x.selected.since = time.Now()
	}
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

// limitWork notes by when all has to be done that is done with the body: holding it ends of itself, what is looked for in
// it when all of it is here does not.
func (x *Exchange) limitWork(delay time.Duration) {
	if p := x.svc.Policy; delay > 0 && (p.Tags.Ignore != nil || p.Dates.From != nil) {
		x.selected.until = time.Now().Add(delay)
	}
}

// late reports whether the time for that is over.
func (x *Exchange) late() bool {
	return !x.selected.until.IsZero() && !time.Now().Before(x.selected.until)
}

// mayLabel reports whether the 304 that a date decides is to have the tag that the 200 would have (RFC 9110 §15.4.5). For
// that the body is waited for where it would be read anyway. A client that has stored one of two versions of one second
// would get the other one's name for it, and win a write with it: so the date has to be a strong one, be a minute old, as
// clocks differ, and speak for the whole content, whoever asks.
func (x *Exchange) mayLabel(header http.Header) bool {
	return x.mayWait() && x.speaksForAll(header) && !x.svc.unmoved.Found()
}

// mayFindRow reports whether that 304 is to have the Cache-Control that the 200 would have (RFC 9110 §15.4.5), where it is
// the content's beginning that says which row of cache_control applies.
func (x *Exchange) mayFindRow() bool { return x.selected.row.uncertain && x.mayWait() }

// mayWait reports whether a date has decided for a 304, and the body is one that would be read anyway.
func (x *Exchange) mayWait() bool {
	return x.verdict.result.Verdict == httpcond.NotModified && x.selected.declared <= capture.DiscardLimit
}

// speaksForAll reports whether the upstream's Last-Modified is the same for everybody, and so old that no change since
// then can have left it as it is.
func (x *Exchange) speaksForAll(header http.Header) bool {
	s, a := x.selected, &x.asked
	return !s.LastModified.IsZero() && s.Date.Sub(s.LastModified) >= time.Minute && !x.kept.shared.is(dateFound) &&
		!a.claims.cookie.any() && !a.claims.byText() && !a.personal && !a.authenticated() && x.worthAlone(header)
}

// holdForLabel waits for the body, for no longer than it would be read if nobody needed it. If it does not come, the
// answer is the same without the tag.
func (x *Exchange) holdForLabel() capture.Decision {
	x.selected.labelling = true
	d := x.holdAll()
	d.MaxBody = min(d.MaxBody, capture.DiscardLimit)
	if d.MaxDelay <= 0 || d.MaxDelay > capture.QuietLimit {
		d.MaxDelay = capture.QuietLimit
	}
	return d
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
	x.countSpill()
	if reason == capture.ReasonMaxDelay {
		x.kept.shared.set(gaveUp) // the client has waited once, that is enough
	}
	return x.judgeAtHead(http.StatusOK, header, journal.Because(reason))
}
