package capture

import "net/http"

// kept is a response that is held back.
type kept struct {
	body    buffer // set by Start, filled until Settle or a spill
	reading bool   // a ReadFrom is filling the spare room of body; set by nextRead, until what was read is kept
	flushed bool   // a Flush came meanwhile; set by mayFlush
}

// beginHolding is called by the head. The caller holds the lock.
func (w *Response) beginHolding() {
	w.state = held
	if n := w.decision.Declared; n > 0 && n <= w.decision.MaxBody && !w.hold.body.reserve(int(n)) {
		w.spill(ReasonMaxTotal)
		return
	}
	if w.decision.MaxDelay > 0 {
		w.start(&w.clock.deadline, w.decision.MaxDelay, (*Response).deadline)
	}
}

// room makes room for n more bytes, or says why it cannot.
func (w *Response) room(n int) Reason {
	switch size := int64(len(w.hold.body.bytes)) + int64(n); {
	case size > w.decision.MaxBody:
		return ReasonMaxBody
	case w.decision.Declared >= 0 && size > w.decision.Declared:
		// The server below answers http.ErrContentLength, as it would without us.
		return ReasonLength
	case !w.hold.body.reserve(n):
		return ReasonMaxTotal
	default:
		return ""
	}
}

// spill ends the holding: what there is goes out, and the rest streams. The caller holds the lock.
func (w *Response) spill(reason Reason) {
	w.clock.stop()
	body := w.hold.body.bytes
	switch d := w.opt.Exchange.Spill(w.opt.Outer.Header(), reason); d.Action {
	case Answer:
		w.unread.discarded = int64(len(body))
		w.decision.Status = d.Status // what Sent goes by
		w.answer(d.Status)
	case Slice:
		w.decision = d
		w.slice(body)
	case Stream, Hold:
		w.state = streaming
		w.opt.Outer.WriteHeader(w.head.status)
		if len(body) > 0 {
			// A failed write shows again at the next one, which the handler sees.
			n, err := w.opt.Outer.Write(body)
			w.passed.count(int64(n), err)
		}
	}
	if w.passing() && (w.hold.flushed || reason == ReasonMaxDelay || reason == ReasonHijack) {
		_ = w.flushOuter()
	}
	// Nothing is held any longer: a long transfer must not keep its share of the budget.
	w.hold.body.release(w.hold.reading)
}

// deadline runs in a goroutine of its own. A panic here would end the process, so it is kept for
// Settle to throw again where net/http expects it.
func (w *Response) deadline() {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			w.clock.panicked = p
			w.unneeded(-1)
		}
	}()
	if w.state == held {
		w.spill(ReasonMaxDelay)
	}
}

// Body is what is held, empty when nothing is. It is valid until Close.
func (w *Response) Body() []byte { return w.hold.body.bytes }

// Release sends what is held: the head as the outer map has it, and the body in one piece.
func (w *Response) Release() error {
	w.opt.Outer.WriteHeader(w.head.status)
	if body := w.hold.body.bytes; len(body) > 0 {
		if _, err := w.opt.Outer.Write(body); err != nil {
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
func (w *Response) SendHead(status int) { w.opt.Outer.WriteHeader(status) }

// Close gives the memory back. Nothing that Body returned may be used after it.
func (w *Response) Close() {
	if !w.idle { // else there is nobody to keep out
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	w.hold.body.release(w.hold.reading)
}

// Outer is the writer below, for what the caller sends by itself after Settle.
func (w *Response) Outer() http.ResponseWriter { return w.opt.Outer }
