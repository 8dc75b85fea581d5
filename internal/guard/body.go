package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// MaxEarly is how long a body may be, in bytes, to be read before the write takes its turn.
const MaxEarly = 64 << 10

// errLate ends a body that takes too long while others wait.
var errLate = errors.New("the body took too long while other writes to the same URI were waiting")

// turnBody is a body that comes while it is the write's turn.
type turnBody struct {
	io.ReadCloser

	mu    sync.Mutex
	rest  int64 // bytes to come; negative: not known
	state bodyState
}

// bodyState is what has become of a body.
type bodyState uint8

const (
	bodyComing bodyState = iota
	bodyWhole            // all of it was given out; set by Read
	bodyBroken           // it has come to an error; set by Read
	bodyLate             // it takes too long, and nothing more of it is given out; set by giveUp
)

// is returns the state. What is nil was here before the write's turn.
func (b *turnBody) is() bodyState {
	if b == nil {
		return bodyWhole
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Read implements io.Reader.
func (b *turnBody) Read(p []byte) (int, error) {
	if b.is() == bodyLate {
		return 0, errLate
	}
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rest > 0 {
		b.rest = max(b.rest-int64(n), 0)
	}
	switch {
	case b.state == bodyLate:
		return 0, errLate // or the upstream would have it whole after all
	case b.state != bodyComing:
	case err == io.EOF || b.rest == 0:
		b.state = bodyWhole
	case err != nil:
		b.state = bodyBroken
	}
	return n, err
}

// giveUp ends the body, unless it has come to its end by itself.
func (b *turnBody) giveUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == bodyComing {
		b.state = bodyLate
	}
	return b.state == bodyLate
}

// hurry ends a write whose body takes longer than its turn may, for the sake of those who wait. To end its context is not
// enough: a transport that reads from the client is in that read until the read ends. A deadline for it does that, however
// much the client sends meanwhile.
func (g *Write) hurry(over <-chan struct{}) {
	p := g.passing
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
		}
		switch {
		case p.body.is() != bodyComing, p.isAnswered():
			return
		case g.turn.isDue() && p.giveUp():
			g.turn.End() // the upstream does not have the whole of it, and never will
			_ = http.NewResponseController(g.To).SetReadDeadline(time.Now())
			p.cancel()
			return
		}
	}
}

// failed is the error of a write that the next handlers could not do.
func (g *Write) failed(err error) error {
	if g.passing.body.is() == bodyLate {
		g.closeAfter()
		return caddyhttp.Error(http.StatusRequestTimeout, errLate)
	}
	g.passing.sent.Failed(err)
	g.endTurn(StatusOf(err))
	return err
}

// closeAfter ends the connection with the answer: what is left of the body would stand in the next request's way.
func (g *Write) closeAfter() {
	if g.R.ProtoMajor == 1 {
		g.To.Header()["Connection"] = []string{"close"}
	}
}

// StatusOf is the status of the answer to an error.
func StatusOf(err error) int {
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); ok && handlerErr.StatusCode != 0 {
		return handlerErr.StatusCode
	}
	return http.StatusInternalServerError
}

// early is a body that was read before the write's turn.
type early struct {
	space *capture.Scratch // nil: nothing was read
	whole bool             // … and it is all there is
}

// free takes what was read off the budget. The memory is the garbage collector's: a transport may still be reading it.
func (e *early) free() {
	if e.space != nil {
		e.space.Abandon()
	}
}

// readEarly reads a short body before the write waits for its turn, so that its client keeps nobody waiting. A longer one
// stays where it is, and so does that of a client that expects a 100 (Continue): it is asked for it when the write is
// allowed (RFC 9110 §10.1.1). What cannot be read is not sent.
func (g *Write) readEarly() error {
	body := g.R.Body
	if g.Queue == nil || body == nil || body == http.NoBody || g.R.ContentLength > MaxEarly || expectsContinue(g.R) {
		return nil
	}
	g.early.space = capture.NewScratch(g.Budget, g.Limit)
	_, err := g.early.space.ReadFrom(io.LimitReader(body, MaxEarly+1))
	read := g.early.space.Bytes()
	replay := io.Reader(bytes.NewReader(read))
	switch g.early.whole = err == nil && len(read) <= MaxEarly; {
	case g.early.whole:
	case err == nil || errors.Is(err, capture.ErrBudget):
		replay = io.MultiReader(replay, body) // the rest comes when it is its turn
	default:
		return g.unreadable(err)
	}
	g.R.Body = &struct {
		io.Reader
		io.Closer
	}{replay, body}
	return nil
}

// unreadable refuses a write whose body cannot be read.
func (g *Write) unreadable(err error) error {
	if g.R.Context().Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return g.gone()
	}
	g.Said.Decide(journal.Failed, journal.Error, nil)
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		return handlerErr // such as the 413 of request_body
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return caddyhttp.Error(http.StatusRequestTimeout, err)
	}
	return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("the body cannot be read: %w", err))
}

func expectsContinue(r *http.Request) bool {
	return strings.EqualFold(strings.TrimSpace(r.Header.Get("Expect")), "100-continue")
}
