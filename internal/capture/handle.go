package capture

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// ErrSettled is what an inner handler's late calls get.
var ErrSettled = errors.New("the response was settled when its handler returned")

// Handle is the response writer that the inner handlers hold. It is for one response and no other: a handler that has
// kept it must never reach another client. Response.Start makes it usable; it must not be copied after that.
//
// Its calls are counted. Settle takes off more than there can be calls: later ones see a negative count and turn back
// before they see what stands behind, and those that are still inside show as a difference.
type Handle struct {
	calls atomic.Int32 // those under way; from Settle on, less cutOff
	to    *Response    // set by Start, and read by calls that are counted
	inner http.Header  // set by Start
}

// cutOff is more calls than there can be at one time.
const cutOff = 1 << 30

// enter begins a call, which has to end with leave; false if the response is settled.
func (h *Handle) enter() bool {
	if h.calls.Add(1) > 0 {
		return true
	}
	h.calls.Add(-1)
	return false
}

func (h *Handle) leave() { h.calls.Add(-1) }

// cut ends all use of the handle, and reports whether no call is under way.
func (h *Handle) cut() bool { return h.calls.Add(-cutOff) == -cutOff }

// Header returns the inner handlers' map. It stays theirs after the end.
func (h *Handle) Header() http.Header { return h.inner }

// Unwrap returns the writer below, for http.ResponseController, and nil once the response is settled: a late deadline
// would be one of the next request of the same connection.
func (h *Handle) Unwrap() http.ResponseWriter {
	if !h.enter() {
		return nil
	}
	defer h.leave()
	return h.to.opt.Outer
}

// WriteHeader takes the head. Informational ones pass at once; of final ones the first counts.
func (h *Handle) WriteHeader(status int) {
	if !h.enter() {
		return
	}
	defer h.leave()
	h.to.writeHeader(status)
}

// Write takes a part of the body.
func (h *Handle) Write(p []byte) (int, error) {
	if !h.enter() {
		return 0, ErrSettled
	}
	defer h.leave()
	return h.to.write(p)
}

// ReadFrom takes the body from r: into the buffer while the response is held, and from the writer
// below straight to the connection (sendfile) while it, or a part of it, is streamed.
func (h *Handle) ReadFrom(r io.Reader) (int64, error) {
	if !h.enter() {
		return 0, ErrSettled
	}
	defer h.leave()
	return h.to.readFrom(r)
}

// FlushError sends what has been written, unless the response is held: an upstream's proxy flushes
// after every write, which says nothing about whether the client waits for a part.
func (h *Handle) FlushError() error {
	if !h.enter() {
		return nil
	}
	defer h.leave()
	if !h.to.mayFlush() {
		return nil
	}
	return h.to.flushOuter()
}

// Hijack hands the connection over. A held response goes out first; an answered one has nothing left
// to hand over.
func (h *Handle) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !h.enter() {
		return nil, nil, http.ErrHijacked
	}
	defer h.leave()
	return h.to.hijack()
}

// Push passes an HTTP/2 server push on to the writer below.
func (h *Handle) Push(target string, opts *http.PushOptions) error {
	if !h.enter() {
		return http.ErrNotSupported
	}
	defer h.leave()
	if pusher, ok := h.to.opt.Outer.(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}
