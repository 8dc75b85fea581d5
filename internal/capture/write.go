package capture

import (
	"net/http"
	"sync/atomic"
)

// passed is what the writer below took of a streamed body.
type passed struct {
	bytes atomic.Int64 // that were taken
	cut   atomic.Bool  // some were refused
}

func (p *passed) count(n int64, err error) {
	p.bytes.Add(n)
	if err != nil {
		p.cut.Store(true)
	}
}

func (w *Response) write(p []byte) (int, error) {
	switch now, err := w.take(p); now {
	case held, answered:
		return len(p), err
	case streaming:
		// Without the lock: while streaming, the writer below is used as if this one were not there.
		n, err := w.opt.Outer.Write(p)
		w.passed.count(int64(n), err)
		return n, err
	case slicing:
		return w.writePart(p)
	case open, hijacked, settled:
		return 0, ErrSettled
	}
	return 0, ErrSettled
}

// take holds p or throws it away, if the state it returns says so. The lock is given back by a defer
// wherever a head or a spill can happen: Settle must not wait for it after a panic of the Exchange or
// of the writer below.
func (w *Response) take(p []byte) (state, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == open {
		w.takeHead(http.StatusOK)
	}
	if w.state == held {
		reason := w.room(len(p))
		if reason == "" {
			w.hold.body.bytes = append(w.hold.body.bytes, p...)
			return held, nil
		}
		w.spill(reason)
	}
	if w.state == answered {
		return answered, w.discard(int64(len(p)))
	}
	return w.state, nil
}
