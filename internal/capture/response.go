package capture

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Reason names why a held response was streamed after all.
type Reason string

// The reasons that only the passing body can give.
const (
	ReasonMaxBody  Reason = "max_body"  // the body grew over Decision.MaxBody
	ReasonMaxDelay Reason = "max_delay" // Decision.MaxDelay passed before the body's end
	ReasonMaxTotal Reason = "max_total" // the budget is used up
	ReasonLength   Reason = "length"    // the body grew over its own declared length
	ReasonHijack   Reason = "hijack"    // a handler took the connection over
)

// Action is what is done with a response.
type Action uint8

const (
	// Stream sends the head and lets the body pass.
	Stream Action = iota
	// Hold keeps head and body back until Settle.
	Hold
	// Answer throws the body away. The head goes out at once with Decision.Status, or not at all when
	// that is 0.
	Answer
	// Slice sends the head with Decision.Status, and of the body Decision.Length bytes from
	// Decision.Offset on, as they pass. No trailers follow. It is no answer to HEAD.
	Slice
)

// Decision is made once for each response, at its head, and once more when a held one cannot be held
// any longer.
type Decision struct {
	Action Action
	// Status is the status of an Answer or a Slice: it is sent at once, with the fields then in the
	// header map. 0 sends nothing: the caller will answer after Settle. A Slice needs one.
	Status int
	// Offset and Length are the part of a Slice, in bytes of the body.
	Offset, Length int64
	// MaxBody is the longest body that is held, in bytes.
	MaxBody int64
	// Declared is the body's declared length in bytes, or negative: room is made for it at once, and it
	// tells how much nobody needs.
	Declared int64
	// MaxDelay is how long a response is held, counted from its head; 0 or less is without end.
	MaxDelay time.Duration
}

// Exchange decides what becomes of a response. Its methods are called with the response's lock held. Of the response
// they may call Status, OuterHeader, Outside and Restore, which take no lock; Settle, Close and Complete would wait for ever.
type Exchange interface {
	// Field is called for each field of the final head, in no order, before Head is.
	Field(name string, lines []string)
	// Head is called once, with the final status and the fields, which it may change. It runs in the goroutine that
	// writes the head; where a response further in is let go by its deadline, that is the deadline's.
	Head(status int, header http.Header) Decision
	// Spill is called when a held response cannot be held any longer, with the fields as Head left
	// them. It answers with Stream, Answer or Slice. It may run in a goroutine of its own while the inner
	// handlers go on: it must not touch the request.
	Spill(header http.Header, reason Reason) Decision
	// Hijacked is called when a handler has taken the connection over. No head comes after that.
	Hijacked()
}

// Staller makes inner handlers return that have fallen silent.
type Staller interface {
	// Stalled is called once at most, from a goroutine of its own and without the lock, and never after Settle has
	// returned. It must not call Settle, which waits for it.
	Stalled()
}

type state uint8

const (
	open state = iota
	held
	streaming
	slicing
	answered
	hijacked
	settled
)

// Options are what a response starts with. But for Outer and Exchange, the zero value of each is a choice.
type Options struct {
	Outer    http.ResponseWriter // the writer below
	Exchange Exchange
	Budget   *Budget // counts what is held; not needed where nothing is
	Limit    int64   // of the budget, in bytes; 0 or less: none
	Lines    *Lines  // room for copies of the lines that are there already; nil: none
	// Share gives the inner handlers the outer map itself. It is for a response of which it is known before its head
	// that it is streamed. As without this writer, what they set after the head stays in it, as do the fields of a
	// response that ends in a panic.
	Share bool
	// HTTP2 says that it goes out over HTTP/2, and that a 1xx is therefore written in another goroutine: see sendInterim.
	HTTP2 bool
	// Cancel is the error that ends a transfer nobody needs; nil: io.ErrShortWrite.
	Cancel error
	// Stalled, if set, is told when nobody needs the rest of the body and nothing of it comes.
	Stalled Staller
	// Over, if set, becomes true when the client gets nothing more of what the inner handlers may still be writing, as
	// their response has been answered, the part of it has ended, or all is settled. A client that leaves then has what
	// it came for.
	Over *atomic.Bool
}

// Response is what stands behind a Handle. The zero value is ready for Start, and so is one that was recycled; in
// between it must not be copied. What is exported is for the caller: Start, then, when the inner handlers have
// returned, Settle, and what follows from what that found.
type Response struct {
	opt    Options // set by Start
	handle *Handle // set by Start; nil once it is recycled
	before saved   // the outer map as it was at Start, where it is not shared

	mu       sync.Mutex
	state    state
	ended    atomic.Bool // Settle was called
	found    Found       // set by Settle
	idle     bool        // set by Settle: see Quiet
	head     head        // what the inner handlers wrote; set by takeHead
	decision Decision    // Head's, but for the Status of a Spill that answers; or that of a Spill that slices

	hold   kept   // while it is held
	passed passed // while it is streamed
	part   part   // from the head of a Slice on
	unread unread // once it is answered
	clock  clock  // of the deadline, then of the patience with what nobody needs
}

// head is what the inner handlers had said when they wrote their head.
type head struct {
	status   int  // 0: there is none
	fields   int  // how many
	trailers bool // among them were trailers that nobody announced
}

// Start readies the response and its handle, for one response to o.Outer.
func (w *Response) Start(h *Handle, o *Options) {
	w.opt, w.handle = *o, h
	w.hold.body.budget, w.hold.body.limit = o.Budget, o.Limit
	h.to, h.inner = w, o.Outer.Header()
	if !o.Share {
		h.inner = make(http.Header, usualFields)
		w.before.keep(o.Outer.Header(), h.inner, o.Lines)
	}
}

// usualFields are as many as most responses have, and as a map has in one piece.
const usualFields = 8

func (w *Response) writeHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != open {
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.inform(status)
		return
	}
	w.takeHead(status)
}

// inform sends a 1xx with the fields the inner handlers have set so far, and leaves the outer map as
// it was: those fields are not yet those of the final response.
func (w *Response) inform(status int) {
	header := w.opt.Outer.Header()
	if w.opt.Share {
		before := maps.Clone(header)
		w.sendInterim(status, header)
		clear(header) // what handlers outside have set for this head is not for the next one
		maps.Copy(header, before)
		return
	}
	w.copyOut(header, nil)
	w.sendInterim(status, header)
	w.before.restore(header)
}

// sendInterim writes a 1xx. When its client leaves meanwhile, Go's HTTP/2 server returns while another goroutine of it still
// reads the map (net/http of Go 1.26, golang.org/x/net v0.60.0), and whoever writes into it then may end the process. The
// server reads a copy if there is a Content-Length, which it leaves out of a 1xx. An HTTP/3 server would send that.
func (w *Response) sendInterim(status int, header http.Header) {
	if w.opt.HTTP2 {
		header.Set("Content-Length", "0")
	}
	w.opt.Outer.WriteHeader(status)
}

// takeHead takes the final head. The caller holds the lock.
func (w *Response) takeHead(status int) {
	w.head.status = status
	header := w.opt.Outer.Header()
	w.copyOut(header, w.opt.Exchange)
	w.head.fields = len(w.handle.inner)
	w.decision = w.opt.Exchange.Head(status, header)
	switch w.decision.Action {
	case Hold:
		w.beginHolding()
	case Answer:
		w.answer(w.decision.Status)
	case Slice:
		w.slice(nil)
	case Stream:
		w.state = streaming
		w.opt.Outer.WriteHeader(status)
	}
}

// copyOut makes the outer map hold exactly the fields of the inner one, and tells tell of each, unless that is nil. The
// lists of lines are copies, because handlers edit lines in place (Caddy's header directive does): what goes out, or
// waits here, must not show that, and may be read in another goroutine.
func (w *Response) copyOut(outer http.Header, tell Exchange) {
	inner := w.handle.inner
	if !w.opt.Share {
		w.before.dropFrom(outer, inner)
	}
	for name, lines := range inner {
		if !w.opt.Share {
			outer[name] = w.opt.Lines.copyOf(lines)
		}
		if tell != nil {
			tell.Field(name, lines)
			w.head.trailers = w.head.trailers || strings.HasPrefix(name, http.TrailerPrefix)
		}
	}
}

// answer sends a head of its own, if any, and sees to it that it does not wait for a slow body that
// nobody needs.
func (w *Response) answer(status int) {
	w.state = answered
	w.over() // before the client can know: who has its answer may leave at once
	if status != 0 {
		w.opt.Outer.WriteHeader(status)
		_ = w.flushOuter()
	}
	w.unneeded(w.decision.Declared)
}

func (w *Response) mayFlush() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == open {
		w.takeHead(http.StatusOK)
	}
	if w.state == held {
		w.hold.flushed = true
	}
	return w.passing()
}

// passing reports whether bytes go straight to the writer below.
func (w *Response) passing() bool { return w.state == streaming || w.state == slicing }

func (w *Response) flushOuter() error {
	return http.NewResponseController(w.opt.Outer).Flush()
}
