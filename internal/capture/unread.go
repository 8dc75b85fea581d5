package capture

import (
	"io"
	"time"
)

// discardLimit is how much of a body that nobody needs is read all the same, in bytes: an upstream's connection can be
// used again when the body has been read to its end. Up to here that is cheaper than a new connection, by the CPU time of
// both sides in milliseconds, for the whole body read and for one that is left (BenchmarkUnread in bench):
//
//	           HTTP/1.1       over TLS     HTTP/2, where only a stream ends
//	           read  left     read  left   read  left
//	256 KiB    0.07  0.13     0.3   1.5    0.5   0.4
//	1 MiB      0.18  0.17     0.9   1.7    2.0   1.3
//	4 MiB      1.4   0.4      3.4   2.1    6.4   3.8
//
// Which protocol it is cannot be seen here. Where a length that is not declared turns out to be greater, both are paid: at
// most twice what the cheaper way would have cost.
const discardLimit = 1 << 20

// quietLimit is how long a body that nobody needs is read. It saves a connection, which is worth about
// the round trips of making a new one, and the client may be waiting meanwhile: an HTTP/1 connection
// carries no next response before the handler returns, and an outer handler such as encode keeps a head
// without a body back until then.
const quietLimit = 50 * time.Millisecond

// unread is the rest of a body that nobody needs, once the response is answered.
type unread struct {
	rest       int64     // bytes to come, or negative; set by unneeded
	discarded  int64     // bytes that have come; counted by discard
	answeredAt time.Time // set by unneeded
	heardAt    time.Time // when the handler last wrote, or was first refused; set by discard
	refused    bool      // it has been told to end the transfer; set by discard
}

// exhausted reports whether the whole body has come: then its handler is busy with something else.
func (u *unread) exhausted() bool { return u.rest >= 0 && u.discarded >= u.rest }

// unneeded is called when nobody needs what is still to come of the body: rest bytes, or negative when
// that is unknown. The caller holds the lock.
func (w *Response) unneeded(rest int64) {
	w.state = answered
	w.over()
	w.unread.rest = rest
	w.unread.answeredAt = time.Now()
	w.unread.heardAt = w.unread.answeredAt
	if w.opt.Stalled != nil && !w.unread.exhausted() {
		w.start(&w.clock.quiet, quietLimit, (*Response).quiet)
	}
}

func (w *Response) over() {
	if w.opt.Over != nil {
		w.opt.Over.Store(true)
	}
}

// discard counts n bytes that nobody needs. Past the limits it asks for the transfer to end.
func (w *Response) discard(n int64) error {
	u := &w.unread
	u.discarded += n
	now := time.Now()
	if u.discarded <= discardLimit && u.rest <= discardLimit && now.Sub(u.answeredAt) <= quietLimit {
		u.heardAt = now
		return nil
	}
	if !u.refused {
		// The handler has as much time again to come to its end by itself; but one that writes on and
		// on, whatever it is told, is heard no longer.
		u.refused, u.heardAt = true, now
	}
	if w.opt.Cancel != nil {
		return w.opt.Cancel
	}
	return io.ErrShortWrite
}

// quiet runs in a goroutine of its own, and calls Stalled if nothing has come for quietLimit. A panic is
// kept for Settle, like one of the deadline.
func (w *Response) quiet() {
	if !w.mustStall() {
		return
	}
	defer close(w.clock.stalled)
	defer func() {
		if p := recover(); p != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.clock.panicked = p
		}
	}()
	w.opt.Stalled.Stalled()
}

// mustStall decides for quiet. If it says yes, Settle waits for what follows; if something has come
// meanwhile, the timer runs on.
func (w *Response) mustStall() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != answered || w.unread.exhausted() {
		return false
	}
	if wait := quietLimit - time.Since(w.unread.heardAt); wait > 0 {
		w.clock.running.Reset(wait)
		return false
	}
	w.clock.stalled = make(chan struct{})
	return true
}
