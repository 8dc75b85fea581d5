package exchange

import (
	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

// Exchange is one request and its response, and decides for its response as its capture.Exchange. It comes out of a pool.
// What handlers may keep is in kept, which is never pooled.
type Exchange struct {
	svc      *Service         // whose it is, for good
	phase    phase            // how far it has come; every phase sets it
	asked    asked            // the facts of the request; set by arrive
	visit    *remember.Visit  // the dealings with the memory; set by recall, nil without one
	shown    *given           // what the next handler sees, and what that takes to undo; set by show
	kept     kept             // what outlives the exchange; set by show
	resp     capture.Response // the response; started by show
	dates    *dates           // a Last-Modified from elsewhere; set by show, nil without sources
	probe    *probe           // what is found out for a guarded write; set by the reader, else nil
	selected *selected        // the representation; set by head
	verdict  verdict          // set by whoever judges, at the head or when all is here
	room     room             // what the pointers above point into
}

// room is where the parts of an exchange are that not every request needs, so that they need not be made anew.
type room struct {
	visit      remember.Visit
	given      given
	again      again
	conditions conditions
	dates      dates
	selected   selected
}

// kept is what may be used when the exchange is over and serves another request: by handlers that keep the writer or
// its fields, by access logs and placeholders.
type kept struct {
	handle *capture.Handle
	lines  *capture.Lines
	said   *journal.Record
	shared *Shared
}

// keep makes what is kept, in one piece. Of nested instances the outermost makes what they share.
func (x *Exchange) keep() {
	if shared := x.asked.shared; shared != nil {
		k := new(struct {
			handle capture.Handle
			lines  capture.Lines
			said   journal.Record
		})
		x.kept = kept{&k.handle, &k.lines, &k.said, shared}
		return
	}
	k := new(struct {
		handle capture.Handle
		lines  capture.Lines
		said   journal.Record
		shared Shared
	})
	x.kept = kept{&k.handle, &k.lines, &k.said, &k.shared}
}

// one is a list of one field line.
func (x *Exchange) one(line string) []string { return x.kept.lines.One(line) }

// decide notes what became of the request. The fields are those that go out, of which the ETag is told; nil: none.
func (x *Exchange) decide(outcome journal.Outcome, reason journal.Reason, header map[string][]string) {
	x.kept.said.Decide(outcome, reason, header)
	if x.inner() {
		x.kept.shared.further.Store(uint32(outcome))
	}
	if header != nil && x.svc.Policy.Announce.Any() && outcome.Answers() {
		x.sayIn(header)
	}
}

// inner reports whether there is another instance further out.
func (x *Exchange) inner() bool { return x.asked.shared != nil }

// recycle gives the exchange back to the pool. It has to be certain that nothing of it is still under way.
func (x *Exchange) recycle() {
	if x.kept.handle != nil {
		x.resp.Recycle()
	}
	x.enter(idle)
	if x.visit != nil {
		x.room.visit = remember.Visit{}
	}
	if x.shown != nil {
		if x.shown.cond != nil {
			x.room.conditions = conditions{}
		}
		if x.shown.again != nil {
			x.room.again.forget()
		}
		x.room.given = given{}
	}
	if x.dates != nil {
		x.room.dates = dates{}
	}
	if x.selected != nil {
		x.room.selected = selected{}
	}
	x.asked, x.kept, x.verdict = asked{}, kept{}, verdict{}
	x.visit, x.shown, x.dates, x.probe, x.selected = nil, nil, nil, nil, nil
	x.svc.pool.Put(x)
}
