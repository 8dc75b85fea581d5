package capture

import (
	"net/http"
	"net/textproto"
	"strings"
)

// Found is what became of a response by the time its handler returned.
type Found uint8

const (
	// Untouched: no final head was written.
	Untouched Found = iota
	// Held: head and body are here, nothing has been sent.
	Held
	// Streamed: the head has been sent, and the body as far as it came.
	Streamed
	// Answered: the body was thrown away; the head has been sent if the decision named a status.
	Answered
	// Hijacked: the connection is no longer ours.
	Hijacked
	// Sliced: the head has been sent with the decision's status, and of the part as much as came.
	Sliced
)

// Settle ends the inner handlers' part: the deadline is off and their further calls have no effect, so
// that everything here belongs to the caller alone. Trailers of a streamed response are passed on. A
// panic of the deadline's goroutine, or of Stalled, is thrown again here, once.
func (w *Response) Settle() Found {
	if w.handle == nil || w.ended.Load() || !w.settle() {
		return w.found // it was never started, or this is not the first call
	}
	w.idle = w.handle.cut() && w.clock.still() && w.found != Hijacked
	if w.clock.stalled != nil {
		<-w.clock.stalled
	}
	if w.clock.panicked != nil {
		panic(w.clock.panicked)
	}
	if w.found == Streamed {
		w.passTrailers()
	}
	return w.found
}

// settle is the part of it under the lock; false if it was done before.
func (w *Response) settle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == settled {
		return false
	}
	w.found = found(w.state)
	if w.found == Answered && w.part.begun {
		w.found = Sliced
	}
	w.state = settled
	w.over()
	w.clock.stop()
	w.ended.Store(true)
	return true
}

// Quiet reports, after Settle, whether nothing of this response is or will be under way in another goroutine: no call
// behind the handle, no timer, nothing on a connection that was taken over. Only then may it be recycled.
func (w *Response) Quiet() bool { return w.idle }

// Recycle makes a response ready for another Start. It has to be Quiet, and closed.
func (w *Response) Recycle() {
	w.handle.to = nil // who comes late is turned away before that
	w.before.forget()
	w.part, w.unread = part{}, unread{}
	if w.passed.bytes.Load() != 0 {
		w.passed.bytes.Store(0)
	}
	w.opt, w.handle, w.hold, w.decision = Options{}, nil, kept{}, Decision{}
	w.state, w.found, w.idle, w.head = open, Untouched, false, head{}
	w.ended.Store(false)
	w.passed.cut.Store(false)
}

func found(s state) Found {
	switch s {
	case held:
		return Held
	case streaming:
		return Streamed
	case answered:
		return Answered
	case slicing:
		return Sliced
	case hijacked:
		return Hijacked
	case open, settled:
		return Untouched
	}
	return Untouched
}

// Status is the status the inner handlers wrote; 0 when they wrote none.
func (w *Response) Status() int { return w.head.status }

// Sent reports whether the client has been sent a final head.
func (w *Response) Sent() bool {
	switch w.found {
	case Streamed, Sliced, Hijacked:
		return true
	case Answered:
		return w.decision.Status != 0
	case Untouched, Held:
		return false
	}
	return false
}

// Whole reports whether a streamed response is known to have gone out as long as it declared, and without a
// failed write. It is for after Settle.
func (w *Response) Whole(declared int64) bool {
	return w.found == Streamed && !w.passed.cut.Load() && (declared < 0 || w.passed.bytes.Load() == declared)
}

// OuterHeader is the map of the writer below: after a head, the fields that go out with it.
func (w *Response) OuterHeader() http.Header { return w.opt.Outer.Header() }

// Outside are the lines of a field that were there at Start, from handlers outside. Of a map that is shared nothing is
// known.
func (w *Response) Outside(name string) []string { return w.before.lines(name) }

// Adopt copies the inner handlers' fields out though they wrote no head: those of an error (Allow,
// WWW-Authenticate, Retry-After), or of an answer that an outer handler will give.
func (w *Response) Adopt() {
	if !w.opt.Share {
		w.copyOut(w.opt.Outer.Header(), nil)
	}
}

// Restore makes the outer map what it was at Start, so that an error's answer inherits nothing. It is not for one that
// is shared.
func (w *Response) Restore() { w.before.restore(w.opt.Outer.Header()) }

// LateTrailers reports whether the handlers have set trailers that they did not announce: these need a
// message without Content-Length. A part has none.
func (w *Response) LateTrailers() bool {
	if w.found == Sliced || !w.mayHaveTrailers() {
		return false
	}
	for name := range w.handle.inner {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// mayHaveTrailers tells at a glance that nobody has set a trailer without announcing it: there are no more fields than
// at the head, and none of those was one.
func (w *Response) mayHaveTrailers() bool {
	return w.head.trailers || len(w.handle.inner) != w.head.fields
}

// passTrailers copies trailers, announced or not, to where the server below reads them at the end.
func (w *Response) passTrailers() {
	if w.opt.Share {
		return // they are there
	}
	header := w.opt.Outer.Header()
	if header["Trailer"] == nil && !w.mayHaveTrailers() {
		return
	}
	for name, lines := range w.handle.inner {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			header[name] = lines
		}
	}
	for _, line := range header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
			if lines, ok := w.handle.inner[name]; ok {
				header[name] = lines
			}
		}
	}
}
