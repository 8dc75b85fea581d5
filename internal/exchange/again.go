package exchange

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/subrequest"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// again is how the next handler can be asked once more, for the whole and without conditions: it may misread Range, or
// confirm with a 304 what it cannot know.
type again struct {
	note   subrequest.Note // the request, before the next handler sees it; taken by show
	method string          // which the next handler was asked with; set by show
	met    int             // how many blocks had acted before the next handler was called; set by show
	ranged bool            // there is a Range, which is ours to answer; set by show
	open   *peekedBody     // content may be still to come, and then it cannot; nil: there is none; set by show
	wanted bool            // the answer cannot be used, and the next handler is to be asked; set by head
}

// noteAgain notes the request as the next handler gets it, if it may have to be asked again. A request with content
// cannot be: the next handler has read it. Where it may have some, that shows by the time it is needed.
func (x *Exchange) noteAgain() {
	r, p := x.asked.r, x.svc.Policy
	// Range counts where it was withheld, too: an instance further in takes what the client has sent.
	ranged := x.shown.cond.ranges.Range.Present && x.asked.method == http.MethodGet && p.Ranges.Mode != policy.RangesOff
	asks := r.Header["If-Modified-Since"] != nil || r.Header["If-None-Match"] != nil && x.shown.cond.view == upstream.Unchanged
	if !ranged && !asks {
		return
	}
	open := openStream(r)
	if open == nil && hasContent(r) {
		return
	}
	a := &x.room.again
	x.shown.again = a
	a.method, a.met, a.ranged, a.open = r.Method, len(x.kept.shared.blocks), ranged, open
	a.note.Take(r)
}

// forget makes it ready for another request.
func (a *again) forget() {
	a.note.Forget()
	*a = again{note: a.note}
}

// possible reports whether the next handler can be asked: the request has no content.
func (a *again) possible() bool { return a.open == nil || a.open.isEmpty(longPatience) }

// restsOnNothing reports whether a 304 of the upstream's says nothing of the content. A client's date, that of a tag of
// ours too, is later than a build tool's: what has such a date was never modified since. And the date in a tag of ours
// counts for whom it was made, who is another one now, if a handler further in has found out a user.
func (x *Exchange) restsOnNothing(status int) bool {
	s := x.selected
	return status == http.StatusNotModified && x.shown.again != nil && !x.kept.shared.is(made304) &&
		(upstream.Unfounded(s.etag, s.lastModified, s.now) || x.shown.cond.foundOut(&x.asked)) && x.shown.again.possible()
}

// misreads reports whether the answer to a Range is known to be wrong. Its fields do not tell: a part that lacks all
// that a part should have may be right, and its upstream is not to be asked twice. Who writes it does.
//
// `templates` renders file_server's part of a file as if it were the file, and file_server's 416 speaks of the file's
// length as well. Several parts it does not render at all, as their media type is none of its own: they are of the file that
// the page is made from, code and all. Whether that would have been rendered does not show. And net/http, by which
// file_server answers, has a 416 for a unit that it does not know, which a server has to ignore (RFC 9110 §14.2), and for a
// set that is malformed.
func (x *Exchange) misreads(status int) bool {
	if !x.rangeIsOurs() {
		return false
	}
	wrong := false
	switch status {
	case http.StatusPartialContent:
		by := readWriters()
		wrong = by.rendered || by.unrendered && httpcond.MediaType(x.selected.contentType) == "multipart/byteranges"
	case http.StatusRequestedRangeNotSatisfiable:
		by := readWriters()
		wrong = by.rendered || by.serveContent && !x.shown.cond.ranges.Range.Valid
	}
	return wrong && x.shown.again.possible()
}

// rangeIsOurs reports whether there is a Range that is ours to answer, and the next handler may be asked again for it.
func (x *Exchange) rangeIsOurs() bool { return x.shown.again != nil && x.shown.again.ranged }

// failedOnRange reports whether `templates` has failed, or refused: on a part that ends within an action it fails, and on
// one that begins within a condition it may do what that forbids. Nobody else's error is meant.
func (x *Exchange) failedOnRange(err error) bool {
	if err == nil || !x.rangeIsOurs() {
		return false
	}
	if found := x.resp.Settle(); found != capture.Untouched && found != capture.Held {
		return false
	}
	handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err)
	return ok && byTemplates(handlerErr.Trace) && x.shown.again.possible()
}

// askAgain asks the next handler for the whole, out of which conditions and Range are answered here. It is another
// exchange, which says what there is to say in this one's record.
func (x *Exchange) askAgain(next caddyhttp.Handler) error {
	x.resp.Settle() // its timer would end this answer, too
	x.resp.Restore()
	again, shared := x.shown.again, x.kept.shared
	shared.blocks = shared.blocks[:again.met]
	handed := shared.handedOn
	shared.handedOn = new(handedOn) // instances further in would show the Range once more
	defer func() { shared.handedOn = handed }()
	second := x.svc.exchange()
	second.enter(arrived)
	second.asked = x.asked
	// The request is not bound to the context that ends the first answer.
	second.asked.r = again.note.Request(x.asked.r.WithContext(x.asked.client), again.method, x.resp.Outer())
	upstream.Remove(second.asked.r.Header)
	second.asked.client = second.asked.r.Context()
	second.asked.shared, second.asked.replacer = shared, replacerOf(second.asked.client) // keep would make a Shared of its own else
	second.readRequest()
	second.enter(shown)
	second.shown = &second.room.given
	second.shown.asGet = x.shown.asGet
	second.keep()
	second.kept.said = x.kept.said
	second.asked.shared = x.asked.shared // it is as far in as this one
	c := &second.room.conditions
	*c = conditions{original: x.shown.cond.original, view: upstream.Withheld, pre: x.shown.cond.pre, ranges: x.shown.cond.ranges}
	second.shown.cond = c
	second.takeVisit(x)
	second.beginDates()
	second.bind()
	second.start(x.resp.Outer())
	returned := false
	defer func() { second.close(returned) }()
	err := second.finish(second.run(next))
	returned = true
	second.noteMemory()
	return err
}

// takeVisit goes on with the dealings of a first exchange, which has come to nothing, with the memory.
func (x *Exchange) takeVisit(first *Exchange) {
	if first.visit != nil {
		x.room.visit, first.room.visit = first.room.visit, remember.Visit{}
		x.visit, first.visit = &x.room.visit, nil
	}
}
