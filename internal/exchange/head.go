package exchange

import (
	"math"
	"net/http"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

// Head implements capture.Exchange: it decides at the response head.
func (x *Exchange) Head(status int, header http.Header) capture.Decision {
	x.enter(headed)
	x.readHead(status, header)
	d := x.decideAtHead(status, header)
	if d.Action == capture.Hold {
		x.limitWork(d.MaxDelay)
	}
	x.follow(d.Action)
	return d
}

// Hijacked implements capture.Exchange. There is nothing to do: the response tells of it when it is settled.
func (*Exchange) Hijacked() {}

// follow enters the phase that a decision means.
func (x *Exchange) follow(action capture.Action) {
	switch action {
	case capture.Stream:
		x.enter(streamed)
	case capture.Hold:
		x.enter(held)
	case capture.Answer:
		x.enter(answered)
	case capture.Slice:
		x.enter(sliced)
	}
}

// readHead reads what the head says of the representation, and lets the memory judge what the upstream itself has sent.
func (x *Exchange) readHead(status int, header http.Header) {
	x.readSelected()
	if x.restsOnNothing(status) || x.misreads(status) {
		x.shown.again.wanted = true
	} else if x.visit != nil {
		x.visit.Outside = &x.resp
		x.visit.Judge(header, x.selected.now)
		if x.asked.authenticated() {
			x.visit.Forbid(remember.WhyPersonal) // a handler further in has found out who asks
		}
	}
	if x.kept.shared.is(probing) {
		x.noteOwn()
	}
	x.readValidators(status, header)
}

// mustAskAgain reports whether the next handler's answer cannot be used.
func (x *Exchange) mustAskAgain() bool { return x.shown.again != nil && x.shown.again.wanted }

func (x *Exchange) decideAtHead(status int, header http.Header) capture.Decision {
	if x.probe != nil {
		return x.probe.head(x, status, header)
	}
	if x.mustAskAgain() {
		return capture.Decision{Action: capture.Answer, Declared: x.unread()}
	}
	if status >= 500 && x.covers() {
		return x.cover()
	}
	x.chooseRow(status, header)
	x.forbidFurtherIn(header)
	x.narrowDate(header)
	x.compareWithRecord(status, header)
	switch {
	case status == http.StatusNotModified:
		return x.relayNotModified(header)
	case status < 200 || status > 299 || status == http.StatusPartialContent:
		// Errors are under no condition; before an upstream cut a part out, it has judged them.
		return x.stream(status, header, journal.Status)
	case status != http.StatusOK:
		return x.judgeAtHead(status, header, journal.Status)
	}
	if reason := x.streams(header); reason != journal.NoReason {
		return x.judgeAtHead(status, header, reason)
	}
	return x.hold(status, header)
}

// unread is the length of a body that nobody needs. Of one that is made to have no end not even the
// beginning is worth reading.
func (x *Exchange) unread() int64 {
	if x.selected.incremental != journal.NoReason {
		return math.MaxInt64
	}
	return x.selected.declared
}
