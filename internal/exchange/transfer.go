package exchange

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

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
// It is never used for another request: dialers and transports keep contexts. It watches the client only while somebody
// watches it.
type transfer struct {
	context.Context             // the client's: its values, its deadline, and its leaving
	log             *zap.Logger // told when a silent upstream is left; nil: nobody is
	uri             string      // for that line; known where it would be written
	over            atomic.Bool // the client has its answer; set by the response

	mu      sync.Mutex
	err     error         // why it has ended; nil: it has not
	done    chan struct{} // made when somebody asks for it
	watches map[*watch]struct{}
	unwatch func() bool // ends the watch over the client; set by watchClient
}

// watch is a function that runs when the transfer ends.
type watch struct{ f func() }

// Done implements context.Context.
func (t *transfer) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		t.done = make(chan struct{})
		if t.err != nil {
			close(t.done)
		} else {
			t.watchClient()
		}
	}
	return t.done
}

// Err implements context.Context.
func (t *transfer) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil && t.done == nil {
		t.err = t.clientLeft() // nobody has asked to be told, so nobody watches
	}
	return t.err
}

// AfterFunc is what contexts derived from this one call, so that none of them needs a goroutine (see context.AfterFunc).
func (t *transfer) AfterFunc(f func()) (stop func() bool) {
	w := &watch{f}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		go f()
		return func() bool { return false }
	}
	if t.watches == nil {
		t.watches = make(map[*watch]struct{})
	}
	t.watches[w] = struct{}{}
	t.watchClient()
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		_, waits := t.watches[w]
		delete(t.watches, w)
		return waits
	}
}

// watchClient makes the transfer end with the client's leaving. The caller holds the lock.
func (t *transfer) watchClient() {
	if t.unwatch == nil {
		t.unwatch = context.AfterFunc(t.Context, func() {
			t.mu.Lock()
			err := t.clientLeft()
			t.mu.Unlock()
			if err != nil {
				t.end(err)
			}
		})
	}
}

// clientLeft is why the client's context has ended, if that counts. A deadline of its own always does.
func (t *transfer) clientLeft() error {
	err := t.Context.Err()
	if err != nil && t.over.Load() && !errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// end ends the transfer, once.
func (t *transfer) end(err error) {
	t.mu.Lock()
	if t.err == nil {
		t.err = err
	}
	if t.done != nil {
		select {
		case <-t.done:
		default:
			close(t.done)
		}
	}
	watches := t.watches
	t.watches = nil
	t.mu.Unlock()
	for w := range watches {
		go w.f()
	}
}

// Stalled implements capture.Staller: the upstream has fallen silent, and nobody needs what it might still say.
func (t *transfer) Stalled() {
	if t.log != nil {
		if c := t.log.Check(zap.DebugLevel, "closing the connection of a silent upstream"); c != nil {
			c.Write(zap.String("uri", t.uri))
		}
	}
	t.end(context.Canceled)
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
	t.mu.Lock()
	unwatch := t.unwatch
	t.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	t.end(context.Canceled)
	*x.asked.r = *x.asked.r.WithContext(x.asked.client)
}
