// Package capture is a response writer that holds a response until it is complete, or streams it, and
// decides that once, when the head is known.
//
// It knows net/http and nothing else: what to hold, what to do with a head, and what becomes of a held
// body are the business of the Exchange that uses it.
//
// # States
//
//	open ──head──▶ streaming             the head goes out, the body follows as it comes
//	     ├─head──▶ slicing ──▶ answered  a part of the body goes out as it comes; the rest is thrown away
//	     ├─head──▶ answered              the answer is known from the head; the body is thrown away
//	     └─head──▶ held                  the body is kept; too much or too late, and it becomes one of
//	                                     the other three after all
//
// Settle ends them all: from then on the inner handlers' calls have no effect. A body that is thrown
// away is read for a short while, then its transfer is ended: by the error that Write returns or, if
// nothing is written, by Stalled.
//
// # The lock
//
// Heads, held bytes, counts and changes of state are under one lock, as the deadline, a flush and Settle
// may come from other goroutines than the body does. Bytes that pass go to the writer below without it:
// there it is as if this writer were not in between. So does the flush at the end of a part. Stalled is
// called without it, and Settle waits for its return.
//
// # Header maps
//
// The inner handlers get a map of their own. When their head is known it is copied into the outer map,
// which only this writer touches from then on: a deadline that fires in another goroutine never reads
// a map in which a handler is setting trailers.
package capture

import (
	"errors"
	"net/http"
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

// Exchange decides what becomes of a response. Its methods are called with the writer's lock held:
// they must not call the writer.
type Exchange interface {
	// Head is called once, with the final status and the fields, which it may change.
	Head(status int, header http.Header) Decision
	// Spill is called when a held response cannot be held any longer, with the fields as Head left
	// them. It answers with Stream, Answer or Slice. It may run in a goroutine of its own while the inner
	// handlers go on: it must not touch the request.
	Spill(header http.Header, reason Reason) Decision
}

// ErrSettled is what an inner handler's late calls get.
var ErrSettled = errors.New("the response was settled when its handler returned")

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

// Writer is the response writer. Start makes it usable; it must not be copied after that, and not be
// used for a second response: a handler that kept it must never reach another client.
type Writer struct {
	outer    http.ResponseWriter
	exchange Exchange
	inner    http.Header
	before   saved // the outer map as it was at Start

	mu       sync.Mutex
	state    state
	found    Found // what Settle found
	status   int
	decision Decision // Head's, but for the Status of a Spill that answers; or that of a Spill that slices
	body     buffer
	reading  bool // a ReadFrom is filling the spare room of body
	flushed  bool // a Flush came while the response was held
	part     part
	timer    *time.Timer // of the deadline while the response is held, of quiet once it is answered
	panicked any         // what the timer's goroutine recovered

	streamed atomic.Int64 // bytes that the writer below took of a streamed body
	cut      atomic.Bool  // it refused some

	// What nobody needs, once the response is answered.
	rest       int64 // bytes to come, or negative
	discarded  int64 // bytes that have come
	answeredAt time.Time
	heardAt    time.Time // when the handler last wrote, or was first refused
	refused    bool      // it has been told to end the transfer
	stalling   sync.WaitGroup

	// Cancel is the error that ends a transfer nobody needs; io.ErrShortWrite when nil.
	Cancel error
	// Stalled, if set, is called when nobody needs the rest of the body and nothing of it comes: it
	// should make the inner handlers return. It is called once at most, from a goroutine of its own and
	// without the lock, and never after Settle has returned. It must not call Settle, which waits for it.
	Stalled func()
}

// Start readies w for one response to outer. The budget counts what is held, up to limit bytes (0 or
// less: no limit).
func (w *Writer) Start(outer http.ResponseWriter, exchange Exchange, budget *Budget, limit int64) {
	w.outer, w.exchange = outer, exchange
	w.body.budget, w.body.limit = budget, limit
	header := outer.Header()
	w.inner = make(http.Header, len(header)+8)
	w.before.keep(header, w.inner)
}

// Header returns the inner handlers' map.
func (w *Writer) Header() http.Header { return w.inner }

// Unwrap returns the writer below, for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.outer }

// WriteHeader takes the head. Informational ones pass at once; of final ones the first counts.
func (w *Writer) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != open {
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.inform(status)
		return
	}
	w.head(status)
}

// inform sends a 1xx with the fields the inner handlers have set so far, and leaves the outer map as
// it was: those fields are not yet those of the final response.
func (w *Writer) inform(status int) {
	header := w.outer.Header()
	copyOut(header, w.inner)
	w.outer.WriteHeader(status)
	w.before.restore(header)
}

// head takes the final head. The caller holds the lock.
func (w *Writer) head(status int) {
	w.status = status
	header := w.outer.Header()
	copyOut(header, w.inner)
	w.decision = w.exchange.Head(status, header)
	if w.decision.Action == Hold || w.decision.Action == Answer {
		detach(header) // the fields wait here while handlers go on, and may edit theirs in place
	}
	switch w.decision.Action {
	case Hold:
		w.hold()
	case Answer:
		w.answer(w.decision.Status)
	case Slice:
		w.slice(nil)
	case Stream:
		w.state = streaming
		w.outer.WriteHeader(status)
	}
}

func (w *Writer) hold() {
	w.state = held
	if n := w.decision.Declared; n > 0 && n <= w.decision.MaxBody && !w.body.reserve(int(n)) {
		w.spill(ReasonMaxTotal)
		return
	}
	if w.decision.MaxDelay > 0 {
		w.timer = time.AfterFunc(w.decision.MaxDelay, w.deadline)
	}
}

// answer sends a head of its own, if any, and sees to it that it does not wait for a slow body that
// nobody needs.
func (w *Writer) answer(status int) {
	w.state = answered
	if status != 0 {
		w.outer.WriteHeader(status)
		_ = w.flushOuter()
	}
	w.unneeded(w.decision.Declared)
}

// spill ends the holding: what there is goes out, and the rest streams. The caller holds the lock.
func (w *Writer) spill(reason Reason) {
	if w.timer != nil {
		w.timer.Stop()
	}
	switch d := w.exchange.Spill(w.outer.Header(), reason); d.Action {
	case Answer:
		w.discarded = int64(len(w.body.bytes))
		w.decision.Status = d.Status // what Sent goes by
		w.answer(d.Status)
	case Slice:
		w.decision = d
		w.slice(w.body.bytes)
	case Stream, Hold:
		w.state = streaming
		w.outer.WriteHeader(w.status)
		if len(w.body.bytes) > 0 {
			// A failed write shows again at the next one, which the handler sees.
			n, err := w.outer.Write(w.body.bytes)
			w.count(int64(n), err)
		}
	}
	if w.passing() && (w.flushed || reason == ReasonMaxDelay || reason == ReasonHijack) {
		_ = w.flushOuter()
	}
	// Nothing is held any longer: a long transfer must not keep its share of the budget.
	w.body.release(w.reading)
}

// deadline runs in a goroutine of its own. A panic here would end the process, so it is kept for
// Settle to throw again where net/http expects it.
func (w *Writer) deadline() {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			w.panicked = p
			w.unneeded(-1)
		}
	}()
	if w.state == held {
		w.spill(ReasonMaxDelay)
	}
}

// Write takes a part of the body.
func (w *Writer) Write(p []byte) (int, error) {
	switch now, err := w.take(p); now {
	case held, answered:
		return len(p), err
	case streaming:
		// Without the lock: while streaming, the writer below is used as if this one were not there.
		n, err := w.outer.Write(p)
		w.count(int64(n), err)
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
func (w *Writer) take(p []byte) (state, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == open {
		w.head(http.StatusOK)
	}
	if w.state == held {
		reason := w.room(len(p))
		if reason == "" {
			w.body.bytes = append(w.body.bytes, p...)
			return held, nil
		}
		w.spill(reason)
	}
	if w.state == answered {
		return answered, w.discard(int64(len(p)))
	}
	return w.state, nil
}

// room makes room for n more bytes, or says why it cannot.
func (w *Writer) room(n int) Reason {
	switch size := int64(len(w.body.bytes)) + int64(n); {
	case size > w.decision.MaxBody:
		return ReasonMaxBody
	case w.decision.Declared >= 0 && size > w.decision.Declared:
		// The server below answers http.ErrContentLength, as it would without us.
		return ReasonLength
	case !w.body.reserve(n):
		return ReasonMaxTotal
	default:
		return ""
	}
}

// FlushError sends what has been written, unless the response is held: an upstream's proxy flushes
// after every write, which says nothing about whether the client waits for a part.
func (w *Writer) FlushError() error {
	if !w.mayFlush() {
		return nil
	}
	return w.flushOuter()
}

func (w *Writer) mayFlush() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == open {
		w.head(http.StatusOK)
	}
	if w.state == held {
		w.flushed = true
	}
	return w.passing()
}

// count notes what the writer below took of a streamed body.
func (w *Writer) count(n int64, err error) {
	w.streamed.Add(n)
	if err != nil {
		w.cut.Store(true)
	}
}

// passing reports whether bytes go straight to the writer below.
func (w *Writer) passing() bool { return w.state == streaming || w.state == slicing }

func (w *Writer) flushOuter() error {
	return http.NewResponseController(w.outer).Flush()
}
