package capture

import (
	"io"
	"time"
)

// discardLimit is how much of a body that nobody needs is read all the same, in bytes: an upstream's
// connection can be used again when a short body has been read to its end.
const discardLimit = 64 << 10

// quietLimit is how long a body that nobody needs is read. It saves a connection, which is worth about
// the round trips of making a new one, and the client may be waiting meanwhile: an HTTP/1 connection
// carries no next response before the handler returns, and an outer handler such as encode keeps a head
// without a body back until then.
const quietLimit = 50 * time.Millisecond

// unneeded is called when nobody needs what is still to come of the body: rest bytes, or negative when
// that is unknown. The caller holds the lock.
func (w *Writer) unneeded(rest int64) {
	w.state = answered
	w.rest = rest
	w.answeredAt = time.Now()
	w.heardAt = w.answeredAt
	if w.Stalled != nil && !w.exhausted() {
		w.timer = time.AfterFunc(quietLimit, w.quiet)
	}
}

// exhausted reports whether the whole body has come: then its handler is busy with something else.
func (w *Writer) exhausted() bool { return w.rest >= 0 && w.discarded >= w.rest }

// discard counts n bytes that nobody needs. Past the limits it asks for the transfer to end.
func (w *Writer) discard(n int64) error {
	w.discarded += n
	now := time.Now()
	if w.discarded <= discardLimit && w.rest <= discardLimit && now.Sub(w.answeredAt) <= quietLimit {
		w.heardAt = now
		return nil
	}
	if !w.refused {
		// The handler has as much time again to come to its end by itself; but one that writes on and
		// on, whatever it is told, is heard no longer.
		w.refused, w.heardAt = true, now
	}
	if w.Cancel != nil {
		return w.Cancel
	}
	return io.ErrShortWrite
}

// quiet runs in a goroutine of its own, and calls Stalled if nothing has come for quietLimit. A panic is
// kept for Settle, like one of the deadline.
func (w *Writer) quiet() {
	if !w.mustStall() {
		return
	}
	defer w.stalling.Done()
	defer func() {
		if p := recover(); p != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.panicked = p
		}
	}()
	w.Stalled()
}

// mustStall decides for quiet. If it says yes, Settle waits for what follows; if something has come
// meanwhile, the timer runs on.
func (w *Writer) mustStall() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != answered || w.exhausted() {
		return false
	}
	if wait := quietLimit - time.Since(w.heardAt); wait > 0 {
		w.timer.Reset(wait)
		return false
	}
	w.stalling.Add(1)
	return true
}
