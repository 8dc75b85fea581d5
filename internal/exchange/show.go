package exchange

import (
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// given is the request as the next handler gets it.
type given struct {
	cond     *conditions // nil: the client has asked for nothing but the whole
	asGet    bool        // the next handler is asked with GET for the client's HEAD
	transfer *transfer   // what ends it before its time; nil: only the client's leaving does
	again    *again      // how the next handler can be asked again; nil: it need not be
	aborted  bool        // the next handler has panicked, though that goes no further; set by run
	failed   bool        // an error was returned: the error routes are next; set in the end
}

// conditions are a request's conditional fields and Range, and what became of them.
type conditions struct {
	original upstream.Fields        // what the client sent; set by show
	view     upstream.View          // what the upstream sees; set by present
	user     string                 // whom Caddy knew then; set with it, where a date counts for him
	pre      httpcond.Preconditions // what the client asks for; set by show
	ranges   httpcond.RangeRequest  // … of which parts; set by show
}

// original is what the client sent. An inner instance judges the original conditions, not what an outer one has made of
// them.
func (x *Exchange) original() upstream.Fields {
	if s := x.asked.shared; s != nil && s.handedOn != nil {
		return upstream.Original(x.asked.fields, s.handedOn.left, s.handedOn.original)
	}
	return x.asked.fields
}

// Show makes the request what the next handler is to see, and readies the writer that it gets.
func (x *Exchange) Show(w http.ResponseWriter) {
	x.keep()
	if !x.inner() {
		x.announce()
	}
	x.show(w)
}

// announce lets the handlers inside and outside know of the outermost instance.
func (x *Exchange) announce() {
	if x.asked.vars != nil {
		x.asked.vars[sharedVar] = x.kept.shared
	}
	x.kept.said.Offer(x.asked.client, x.asked.replacer)
}

func (x *Exchange) show(w http.ResponseWriter) {
	x.enter(shown)
	x.shown = &x.room.given
	x.readRequest()
	x.readConditions()
	p, shared := x.svc.Policy, x.kept.shared
	if p.Block != "" {
		shared.blocks = append(shared.blocks, p.Block)
	}
	if p.Tags.Ignore != nil {
		shared.set(ignoring)
	}
	if x.inner() {
		shared.set(nested)
	}
	x.beginDates()
	x.present()
	x.start(w)
}

// readConditions reads what the client asks, before handlers inside change the request.
func (x *Exchange) readConditions() {
	shared := x.kept.shared
	if shared.handedOn == nil && !x.asked.fields.Any() {
		return
	}
	original := x.original()
	var now time.Time
	if original.Dated() {
		now = time.Now()
	}
	c := &x.room.conditions
	c.original, c.pre = original, original.Preconditions(now, x.svc.Policy.Lenient)
	c.ranges = original.RangeRequest(now, x.svc.Policy.Lenient)
	x.shown.cond = c
	if c.pre.IfModifiedSince.Valid {
		x.asked.personal = x.asked.identified()
	}
	switch {
	case shared.handedOn != nil:
	case x.inner():
		shared.handedOn = new(handedOn) // the client has sent none of this
	default:
		shared.handedOn = &handedOn{original: original}
	}
}

// present shows the upstream the conditional fields it can judge, and the method it is to answer.
func (x *Exchange) present() {
	r, c, p := x.asked.r, x.shown.cond, x.svc.Policy
	if c != nil {
		if x.inner() {
			c.original.Restore(r.Header)
		}
		if c.view = upstream.Present(r.Header, &c.original, &c.pre, x.rulesFor(c)); c.view == upstream.Translated {
			c.user = x.asked.user()
		}
		c.original.Detach(r.Header)
	}
	x.shown.asGet = x.asked.method == http.MethodHead && (p.HeadAsGet || c.namesOurs())
	x.bind()
	if c != nil && p.Ranges.Mode != policy.RangesOff && r.Header["Range"] != nil {
		upstream.PresentRange(r.Header, x.asked.method, &c.ranges, time.Now())
	}
	if x.shown.asGet {
		r.Method = http.MethodGet
		upstream.RemoveRange(r.Header) // a HEAD has none (RFC 9110 §14.2)
	}
	if c != nil {
		x.kept.shared.handedOn.left = upstream.Snapshot(r.Header)
		x.noteAgain()
	}
}

// start readies the response.
func (x *Exchange) start(w http.ResponseWriter) {
	o := &capture.Options{
		Outer: w, Exchange: x, Budget: &Budget, Limit: x.svc.Policy.Bounds.MaxTotal, Lines: x.kept.lines,
		Share: x.passesWhatever(), HTTP2: x.asked.r.ProtoMajor == 2, Cancel: errNotNeeded,
	}
	if t := x.shown.transfer; t != nil {
		if o.Stalled = t; x.probe == nil {
			o.Over = &t.over // the client of a guarded write still waits for the answer to that
		}
	}
	x.resp.Start(x.kept.handle, o)
}

// passesWhatever reports whether the response is streamed whatever its head says: nothing is asked of it but the whole,
// and it cannot be held. Then no deadline can fire, and handlers inside need no map of their own.
func (x *Exchange) passesWhatever() bool {
	if x.shown.cond != nil || x.shown.asGet || x.probe != nil {
		return false
	}
	return x.svc.Policy.Tags.Mode == policy.Off || x.asked.noStore || x.asked.method == http.MethodHead
}

// headPasses reports whether the next handler is asked with the client's HEAD.
func (x *Exchange) headPasses() bool { return x.asked.method == http.MethodHead && !x.shown.asGet }

// namesOurs reports whether If-Match names a tag of ours. Such a condition is judged against the full
// answer, of HEAD as of GET: the client has had that answer to a GET before.
func (c *conditions) namesOurs() bool {
	if c == nil {
		return false
	}
	_, ours := upstream.Ours(c.pre.IfMatch.Tags)
	return ours
}

// matchesTags reports whether there is an If-Match that is not *.
func (c *conditions) matchesTags() bool {
	return c != nil && c.pre.IfMatch.Present && !c.pre.IfMatch.Any
}

// byRange reports whether If-Range makes the client's interest in a part depend on a validator.
func (c *conditions) byRange() bool { return c != nil && c.ranges.IfRange.Present }

// byRangeDate reports whether that validator is a date.
func (c *conditions) byRangeDate() bool { return c != nil && c.ranges.IfRange.HasDate }
