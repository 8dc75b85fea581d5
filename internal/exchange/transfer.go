package exchange

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
	"go.uber.org/zap"
)

// errNotNeeded ends an upstream's transfer whose body nobody needs. reverse_proxy takes it for a client
// that went away and logs it at DEBUG, where any other error would be a warning.
var errNotNeeded error = &http3.Error{Remote: true, ErrorCode: http3.ErrCodeRequestCanceled}

// transfer is the context of a request that may be answered without the body of its response. There are two ways to
// end a transfer that nobody needs: an error for the next write, which leaves no trace in the log, and for an upstream
// that has fallen silent the end of the request's context, which reverse_proxy logs as a warning. It also ends when the
// client leaves, but not once the client has its answer: leaving is no fault then, and no warning is due.
//
// It is never used for another request: dialers and transports keep contexts. Most handlers never ask to be told of its
// end. Who does finds a context of the standard library behind it, to which derived ones attach without a goroutine.
type transfer struct {
	context.Context             // the client's: its values, its deadline, and its leaving
	log             *zap.Logger // told when a silent upstream is left; nil: nobody is
	uri             string      // for that line; known where it would be written
	over            atomic.Bool // the client has its answer; set by the response

	mu      sync.Mutex
	err     error // why it has ended, where nobody was told; set by Err or end
	watched atomic.Pointer[watched]
}

// watched is what somebody watches of a transfer. It is made once, when it is asked for.
type watched struct {
	context.Context
	cancel  context.CancelFunc
	unwatch func() bool // ends the watch over the client
}

// watch makes it, the first time.
func (t *transfer) watch() *watched {
	if w := t.watched.Load(); w != nil {
		return w
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.watched.Load(); w != nil {
		return w
	}
	w := new(watched)
	if deadline, ok := t.Context.Deadline(); ok {
		w.Context, w.cancel = context.WithDeadline(context.WithoutCancel(t.Context), deadline)
	} else {
		w.Context, w.cancel = context.WithCancel(context.WithoutCancel(t.Context))
	}
	w.unwatch = context.AfterFunc(t.Context, func() {
		if !t.over.Load() {
			w.cancel()
		}
	})
	if t.err != nil {
		w.end()
	}
	t.watched.Store(w)
	return w
}

func (w *watched) end() {
	w.unwatch()
	w.cancel()
}

// Done implements context.Context.
func (t *transfer) Done() <-chan struct{} { return t.watch().Done() }

// Value implements context.Context. Contexts that are derived from this one find the one behind it by a value.
func (t *transfer) Value(key any) any {
	if w := t.watched.Load(); w != nil {
		return w.Value(key)
	}
	return t.Context.Value(key)
}

// Err implements context.Context.
func (t *transfer) Err() error {
	if w := t.watched.Load(); w != nil {
		return w.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = t.clientLeft()
	}
	return t.err
}

// clientLeft is why the client's context has ended, if that counts. A deadline does at all times.
func (t *transfer) clientLeft() error {
	err := t.Context.Err()
	if err == nil || !t.over.Load() {
		return err
	}
	if deadline, ok := t.Context.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// end ends the transfer, and all that is derived from it.
func (t *transfer) end() {
	t.mu.Lock()
	if t.err == nil {
		t.err = context.Canceled
	}
	w := t.watched.Load()
	t.mu.Unlock()
	if w != nil {
		w.end()
	}
}

// Stalled implements capture.Staller: the upstream has fallen silent, and nobody needs what it might still say.
func (t *transfer) Stalled() {
	if t.log != nil {
		if c := t.log.Check(zap.DebugLevel, "closing the connection of a silent upstream"); c != nil {
			c.Write(zap.String("uri", t.uri))
		}
	}
	t.end()
}

// bind gives the request a context that can be ended, if it may be answered without a body. (guard.Write does the same for
// a write whose body is slow.)
func (x *Exchange) bind() {
	if x.shown.cond == nil && !x.shown.asGet && x.probe == nil {
		return
	}
	t := &transfer{Context: x.asked.client}
	if x.probe == nil && x.svc.Log.Core().Enabled(zap.DebugLevel) {
		t.log, t.uri = x.svc.Log, sentURI(x.asked.r)
	}
	x.shown.transfer = t
	*x.asked.r = *x.asked.r.WithContext(t) // in place: handlers outside know this request by its address
}

// unbind gives the request its context back, and ends what is still bound to the other one.
func (x *Exchange) unbind() {
	t := x.shown.transfer
	if t == nil {
		return
	}
	t.end()
	*x.asked.r = *x.asked.r.WithContext(x.asked.client)
}
