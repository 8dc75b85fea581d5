package exchange

import (
	"net/http"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// verdict is what became of the client's conditions and of Range. It is nothing before they were judged.
type verdict struct {
	result httpcond.Result      // of the preconditions; set by evaluate or covers
	part   httpcond.RangeResult // what Range makes of the response; set by judgeRange or rangeAtHead once result says Proceed
	size   int64                // length of the whole that Range was judged against; set with part
}

// byDate reports whether only dates were asked by.
func (c *conditions) byDate() bool {
	return c != nil && !c.pre.IfMatch.Present && !c.pre.IfNoneMatch.Present && c.pre.Any()
}

// judgeAtHead evaluates the preconditions against the validators that are known without the body.
func (x *Exchange) judgeAtHead(status int, header http.Header, reason journal.Reason) capture.Decision {
	if status == http.StatusOK {
		x.takeFirstSeen(header, x.selected.opaque())
	}
	x.evaluate(status)
	x.dropDate(header)
	if x.verdict.result.Verdict != httpcond.Proceed {
		return x.answer(header)
	}
	if status == http.StatusOK {
		if d, ok := x.rangeAtHead(header); ok {
			return d
		}
	}
	return x.stream(status, header, reason)
}

// evaluate applies RFC 9110 §13.2.2 with the upstream's validators.
func (x *Exchange) evaluate(status int) {
	c := x.shown.cond
	if c == nil {
		x.verdict.result = httpcond.Result{Reason: httpcond.ReasonNoCondition}
		return
	}
	rep := x.representation()
	if c.pre.IfMatch.Present && !c.pre.IfNoneMatch.Present {
		rep.Same = upstream.SameCoded // encode takes its suffix off If-None-Match only
	}
	result := c.pre.Evaluate(x.asked.method, rep)
	if result.Verdict != httpcond.Proceed && x.leavesTagToOuter(result.Reason) {
		result = httpcond.Result{Verdict: httpcond.Proceed, Reason: httpcond.Reason(journal.ETagOff.String())}
	}
	if result.Verdict == httpcond.NotModified && status != http.StatusOK {
		// A 304 stands for a 200 (§15.4.5).
		result = httpcond.Result{Verdict: httpcond.Proceed, Reason: httpcond.Reason(journal.Status.String())}
	}
	x.verdict.result = result
}

// leavesTagToOuter reports whether a condition is for an outer instance to judge, which will make a tag where this one makes
// none: If-Match that names one of ours, and If-None-Match: *, whose 304 has the tag that there is (RFC 9110 §15.4.5).
func (x *Exchange) leavesTagToOuter(by httpcond.Reason) bool {
	if !x.inner() || x.svc.Policy.Tags.Mode != policy.Off || x.selected.ETag.Present {
		return false
	}
	return by == httpcond.ReasonIfMatch && x.shown.cond.namesOurs() || by == httpcond.ReasonIfNoneMatch && x.shown.cond.pre.IfNoneMatch.Any
}

// answer gives the verdict in place of the response.
func (x *Exchange) answer(header http.Header) capture.Decision {
	d := capture.Decision{Action: capture.Answer, Declared: x.unread()}
	if x.verdict.result.Verdict == httpcond.NotModified {
		s := x.selected
		learned := x.learnFromHead(header)
		x.notModified(header, !learned && x.visit != nil && s.ETag.Usable && x.visit.Names(s.ETag.Tag.String()))
		d.Status = http.StatusNotModified
		return d
	}
	x.decide(journal.PreconditionFailed, x.because(), header)
	return d
}

// because is the reason of the verdict on the preconditions.
func (x *Exchange) because() journal.Reason {
	if x.shown.cond == nil {
		return journal.NoCondition
	}
	return journal.Because(x.verdict.result.Reason)
}
