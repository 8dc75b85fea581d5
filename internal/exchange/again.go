package exchange

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/subrequest"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// again is how the next handler can be asked once more, for the whole: it may misread Range.
type again struct {
	r      *http.Request // a copy as GET, without conditions and Range; set by show
	met    int           // how many blocks had acted before the next handler was called; set by show
	wanted bool          // the next handler has misread Range, and is to be asked; set by head
}

// anew makes the second request before the next handler sees the first. It is not bound to the context that ends the
// first answer.
func (x *Exchange) anew(w http.ResponseWriter) *again {
	r := subrequest.Get(x.asked.r.WithContext(x.asked.client), w)
	upstream.Remove(r.Header)
	return &again{r: r, met: len(x.kept.shared.blocks)}
}

// misreads reports whether the answer to a Range is known to be wrong. Its fields do not tell: a part that lacks all
// that a part should have may be right, and its upstream is not to be asked twice. Who writes it does.
//
// `templates` renders file_server's part of a file as if it were the file, and file_server's 416 speaks of the file's
// length as well. And net/http, by which file_server answers, has a 416 for a unit that it does not know, which a server
// has to ignore (RFC 9110 §14.2), and for a set that is malformed.
func (x *Exchange) misreads(status int) bool {
	if x.shown.again == nil || x.asked.method != http.MethodGet {
		return false
	}
	switch status {
	case http.StatusPartialContent:
		return readWriters().rendered
	case http.StatusRequestedRangeNotSatisfiable:
		by := readWriters()
		return by.rendered || by.serveContent && !x.shown.cond.ranges.Range.Valid
	}
	return false
}

// failedOnRange reports whether `templates` has failed, or refused: on a part that ends within an action it fails, and on
// one that begins within a condition it may do what that forbids. Nobody else's error is meant.
func (x *Exchange) failedOnRange(err error) bool {
	if err == nil || x.shown.again == nil || x.asked.method != http.MethodGet {
		return false
	}
	if found := x.resp.Settle(); found != capture.Untouched && found != capture.Held {
		return false
	}
	handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err)
	return ok && byTemplates(handlerErr.Trace)
}

// askAgain asks the next handler for the whole, out of which Range is answered here. It is another exchange, which says
// what there is to say in this one's record.
func (x *Exchange) askAgain(next caddyhttp.Handler) error {
	x.resp.Settle() // its timer would end this answer, too
	x.resp.Restore()
	shared := x.kept.shared
	shared.blocks = shared.blocks[:x.shown.again.met]
	handed := shared.handedOn
	shared.handedOn = new(handedOn) // instances further in would show the Range once more
	defer func() { shared.handedOn = handed }()
	second := x.svc.exchange()
	second.enter(arrived)
	second.asked = x.asked
	second.asked.r, second.asked.client = x.shown.again.r, x.shown.again.r.Context()
	second.asked.shared, second.asked.replacer = shared, replacerOf(second.asked.client) // keep would make a Shared of its own else
	second.readRequest()
	second.enter(shown)
	second.shown = &second.room.given
	second.keep()
	second.kept.said = x.kept.said
	second.asked.shared = x.asked.shared // it is as far in as this one
	c := &second.room.conditions
	*c = conditions{original: x.shown.cond.original, view: upstream.Withheld, pre: x.shown.cond.pre, ranges: x.shown.cond.ranges}
	second.shown.cond = c
	second.beginDates()
	second.bind()
	second.start(x.resp.Outer())
	returned := false
	defer func() { second.close(returned) }()
	err := second.finish(second.run(next))
	returned = true
	return err
}
