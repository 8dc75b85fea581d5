package exchange

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Answer calls the next handler, and completes the exchange with what that leaves behind.
func (x *Exchange) Answer(next caddyhttp.Handler) error {
	err := x.run(next)
	if x.mustAskAgain() || x.failedOnRange(err) {
		err = x.askAgain(next)
	} else {
		err = x.finish(err)
	}
	x.dropForbidden()
	x.shown.failed = err != nil
	x.enter(ended)
	return err
}

// run calls the next handler. If the upstream aborts while the response is held and the client is there, that becomes an
// error, which can be answered. After an answer by the head the abort is ignored: it may be of our own making. Every
// other panic travels on.
func (x *Exchange) run(next caddyhttp.Handler) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		found := x.resp.Settle()
		over := found == capture.Answered || found == capture.Sliced && x.resp.Complete()
		if !over && (found != capture.Held || x.gone()) {
			x.decide(journal.Failed, journal.Aborted, nil)
			return // the panic goes on, its stack untouched
		}
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares the value, too
			x.decide(journal.Failed, journal.Aborted, nil)
			panic(p)
		}
		x.shown.aborted = true
		if found == capture.Held {
			x.decide(journal.Failed, journal.Aborted, nil)
			err = caddyhttp.Error(http.StatusBadGateway, errors.New("the upstream aborted its response"))
		}
	}()
	err = next.ServeHTTP(x.kept.handle, x.asked.r)
	returned = true
	return err
}

// gone reports whether the client has left.
func (x *Exchange) gone() bool { return x.asked.client.Err() != nil }

// finish completes the exchange after the next handler has returned.
func (x *Exchange) finish(err error) error {
	switch found := x.resp.Settle(); {
	case found == capture.Answered && !x.resp.Sent():
		return x.refused()
	case found == capture.Answered, found == capture.Sliced && x.resp.Complete():
		return nil // the answer is out; what the handler says of the rest is no news
	case err != nil && found == capture.Held && x.selected.labelling:
		x.confirm() // what the handler says of the rest is no news here, either
	case err != nil:
		return x.fail(found, err)
	case found == capture.Held:
		return x.complete()
	case found == capture.Streamed && x.resp.Status() == http.StatusOK && !x.headPasses():
		x.visit.Save(x.resp.Whole(x.selected.declared))
	case found == capture.Untouched:
		x.decide(journal.Streamed, journal.NoResponse, nil)
		x.resp.Adopt()
	}
	return nil
}

// fail lets an error travel on, unless what is remembered answers for it. Nothing held is sent, tagged or
// remembered.
func (x *Exchange) fail(found capture.Found, err error) error {
	unsent := found == capture.Untouched || found == capture.Held
	if unsent && guard.StatusOf(err) >= 500 && !x.gone() && x.covers() {
		x.fillFromMemory()
		x.resp.SendHead(http.StatusNotModified)
		flushHTTP3(x.resp.Outer(), x.asked.r)
		return nil
	}
	if guard.StatusOf(err) < 500 && !x.gone() {
		x.visit.Drop() // a 404 is an answer like any other
	}
	if x.kept.said.Last().Outcome != journal.Failed {
		x.decide(x.becomes(err))
	}
	switch found {
	case capture.Untouched:
		x.resp.Adopt() // the error's own fields, such as Allow or Retry-After
	case capture.Held:
		x.clearForError()
	case capture.Streamed, capture.Sliced, capture.Answered, capture.Hijacked:
	}
	return err
}

// refused answers 412 or 416 in place of a response that was not sent, by way of Caddy's error routes.
func (x *Exchange) refused() error {
	x.clearForError()
	if x.svc.Policy.Announce.Any() {
		x.sayIn(x.resp.OuterHeader())
	}
	if x.inner() {
		current := x.kept.said.Last().ETag
		x.kept.shared.refused.Store(&current)
	}
	if v := &x.verdict; v.part.Verdict == httpcond.RangeUnsatisfiable {
		x.resp.OuterHeader()["Content-Range"] = x.one(httpcond.UnsatisfiedRange(v.size))
		return caddyhttp.Error(http.StatusRequestedRangeNotSatisfiable,
			fmt.Errorf("no byte that Range asks for is among the %d there are", v.size))
	}
	return caddyhttp.Error(http.StatusPreconditionFailed, errors.New(x.verdict.result.Reason.Refusal()))
}

// becomes is what becomes of a request whose handler returns an error: who refuses it further in says so, and what is not
// there, or not allowed, is an answer like any other. Of a refusal the fields have the current tag.
func (x *Exchange) becomes(err error) (journal.Outcome, journal.Reason, map[string][]string) {
	status := guard.StatusOf(err)
	current := x.kept.shared.refused.Load()
	switch {
	case current != nil && status == http.StatusPreconditionFailed:
		var fields http.Header
		if *current != "" {
			fields = http.Header{"Etag": {*current}}
		}
		return journal.PreconditionFailed, journal.Inner, fields
	case current != nil && status == http.StatusRequestedRangeNotSatisfiable:
		return journal.RangeUnsatisfiable, journal.Inner, nil
	case x.gone():
		return journal.Failed, journal.Aborted, nil
	case status < 500:
		return journal.Streamed, journal.ErrorRoute, nil
	}
	return journal.Failed, journal.Error, nil
}

// clearForError takes the fields of a response that is not sent off, so that the error's answer has
// neither its freshness nor its length. What lets a browser read the error stays: without CORS fields
// it reports a network failure instead.
func (x *Exchange) clearForError() {
	header := x.resp.OuterHeader()
	kept := make(http.Header)
	for name, lines := range header {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			kept[name] = lines
		}
	}
	x.resp.Restore()
	maps.Copy(header, kept)
}

// Leave ends the exchange, in any case. It gives the memory back, and the request its method and fields. Only an error
// leaves it without conditions: an error route comes next, and its answer is under none (RFC 9110 §13.2.1).
func (x *Exchange) Leave() {
	returned := x.phase == ended
	if x.shown == nil {
		x.leaveUnshown(returned)
		return
	}
	defer x.close(returned)
	x.resp.Settle()
	r, shared := x.asked.r, x.kept.shared
	if x.shown.asGet {
		r.Method = x.asked.method
	}
	switch {
	case x.shown.failed:
		upstream.Remove(r.Header)
	case x.inner():
		x.asked.fields.Put(r.Header)
		if shared.handedOn != nil {
			shared.handedOn.left = x.asked.fields
		}
	case x.shown.cond != nil || shared.is(nested):
		x.asked.fields.Restore(r.Header)
	}
	if !x.inner() {
		shared.set(left)
	}
	x.noteMemory()
	note := x.kept.said.Last()
	x.count(&note)
	x.svc.tell(note, r, x.asked.method, x.dates.missed())
}

// noteMemory notes what the memory has had to do with the answer.
func (x *Exchange) noteMemory() {
	if x.visit != nil {
		x.kept.said.Remembering(journal.Because(x.visit.Why), journal.Because(x.visit.Unkept()))
	}
}

// leaveUnshown ends an exchange that was answered from memory, or came to nothing before the next handler was called.
func (x *Exchange) leaveUnshown(returned bool) {
	x.visit.Leave()
	if returned {
		x.recycle()
	}
}

// close gives back memory, context and place in the pool. returned is false after a panic: then the exchange is not used
// again, as the handler may have left anything behind.
func (x *Exchange) close(returned bool) {
	x.resp.Settle()
	x.resp.Close()
	x.unbind()
	x.visit.Leave()
	if !returned || x.shown.aborted || !x.resp.Quiet() {
		return
	}
	if x.phase != ended {
		x.enter(ended)
	}
	x.recycle()
}
