package exchange

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
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

// misreads reports whether the answer to a Range cannot be used or trusted, judging by its fields.
//
// `templates` renders file_server's part of a file as if it were the file, and takes off whatever said
// which part of what it is: validators and Accept-Ranges, but not Content-Range. Of the file's length a
// 416 speaks as well, which net/http also gives to a unit it does not know (RFC 9110 §14.2). A whole over
// max_body would get no tag of ours, and is not asked for.
func (x *Exchange) misreads(status int, header http.Header) bool {
	if x.shown.again == nil || x.asked.method != http.MethodGet || header["Etag"] != nil || header["Last-Modified"] != nil ||
		header["Accept-Ranges"] != nil || x.asked.noStore || httpcond.HasDirective(header["Cache-Control"], "no-store") {
		return false
	}
	asked := &x.shown.cond.ranges.Range
	contentRange := first(header["Content-Range"])
	size, known := httpcond.SizeOfWhole(contentRange)
	served := asked.Valid && known && size <= x.svc.Policy.Bounds.MaxBody
	switch status {
	case http.StatusPartialContent:
		return served
	case http.StatusRequestedRangeNotSatisfiable:
		byNetHTTP := first(header["X-Content-Type-Options"]) == "nosniff" && httpcond.MediaType(first(header["Content-Type"])) == "text/plain"
		return byNetHTTP && (served || !asked.Valid && contentRange == "")
	}
	return false
}

// failedOnRange reports whether a handler may have failed only because it was sent a Range. `templates` does, on a part
// that ends within an action. An error that tells of an unreachable upstream is not meant.
func (x *Exchange) failedOnRange(err error) bool {
	if err == nil || x.shown.again == nil || x.asked.method != http.MethodGet {
		return false
	}
	if found := x.resp.Settle(); found != capture.Untouched && found != capture.Held {
		return false
	}
	handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err)
	return !ok || handlerErr.StatusCode == http.StatusInternalServerError
}

// askAgain asks the next handler for the whole, out of which Range is answered here. It is another exchange, which says
// what there is to say in this one's record.
func (x *Exchange) askAgain(next caddyhttp.Handler) error {
	x.resp.Settle() // its timer would end this answer, too
	x.resp.Restore()
	shared := x.kept.shared
	shared.blocks = shared.blocks[:x.shown.again.met]
	if shared.handedOn != nil {
		shared.handedOn.left = upstream.Fields{}
	}
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
