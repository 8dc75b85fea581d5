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
func (w *Writer) Settle() Found {
	w.mu.Lock()
	if w.state == settled {
		defer w.mu.Unlock()
		return w.found
	}
	w.found = found(w.state)
	if w.found == Answered && w.part.begun {
		w.found = Sliced
	}
	w.state = settled
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.stalling.Wait()
	if w.panicked != nil {
		panic(w.panicked)
	}
	if w.found == Streamed {
		w.passTrailers()
	}
	return w.found
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
func (w *Writer) Status() int { return w.status }

// Body is what is held, empty when nothing is. It is valid until Close.
func (w *Writer) Body() []byte { return w.body.bytes }

// Sent reports whether the client has been sent a final head.
func (w *Writer) Sent() bool {
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

// Over reports whether the client gets nothing more of what the inner handlers may still be writing, as
// their response has been answered or the part of it has ended. A client that leaves then has what it
// came for. Any goroutine may ask at any time.
func (w *Writer) Over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state == answered || w.state == settled
}

// Whole reports whether a streamed response is known to have gone out as long as it declared, and without a
// failed write. It is for after Settle.
func (w *Writer) Whole(declared int64) bool {
	return w.found == Streamed && !w.cut.Load() && (declared < 0 || w.streamed.Load() == declared)
}

// OuterHeader is the map of the writer below: after a head, the fields that go out with it.
func (w *Writer) OuterHeader() http.Header { return w.outer.Header() }

// Adopt copies the inner handlers' fields out though they wrote no head: those of an error (Allow,
// WWW-Authenticate, Retry-After), or of an answer that an outer handler will give.
func (w *Writer) Adopt() { copyOut(w.outer.Header(), w.inner) }

// Restore makes the outer map what it was at Start, so that an error's answer inherits nothing.
func (w *Writer) Restore() { w.before.restore(w.outer.Header()) }

// Release sends what is held: the head as the outer map has it, and the body in one piece.
func (w *Writer) Release() error {
	w.outer.WriteHeader(w.status)
	if len(w.body.bytes) > 0 {
		if _, err := w.outer.Write(w.body.bytes); err != nil {
			return err
		}
	}
	if !w.LateTrailers() {
		return nil
	}
	// net/http looks for them only when the head is out before they are set.
	err := w.flushOuter()
	w.passTrailers()
	return err
}

// SendHead sends a head alone, in place of what is held.
func (w *Writer) SendHead(status int) { w.outer.WriteHeader(status) }

// LateTrailers reports whether the handlers have set trailers that they did not announce: these need a
// message without Content-Length. A part has none.
func (w *Writer) LateTrailers() bool {
	if w.found == Sliced {
		return false
	}
	for name := range w.inner {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// passTrailers copies trailers, announced or not, to where the server below reads them at the end.
func (w *Writer) passTrailers() {
	header := w.outer.Header()
	for name, lines := range w.inner {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			header[name] = lines
		}
	}
	for _, line := range header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
			if lines, ok := w.inner[name]; ok {
				header[name] = lines
			}
		}
	}
}

// Close gives the memory back. Nothing that Body returned may be used after it.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body.release(w.reading)
}
