package guard

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/delivery"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// Bounds of a write that the next handlers have.
const (
	// MaxDetached is how long a write goes on without its client, if the upstream may be doing it already.
	MaxDetached = 10 * time.Second
	// MaxUnsettled is how long the turn of a write is kept that was not answered, and that the upstream may still be doing.
	MaxUnsettled = 10 * time.Second
)

// passing is a write that the next handlers have.
//
// Its context is not the client's. What an upstream has been sent is not undone when the client leaves: it may be done at
// any time after that, and a turn that had been given on would let it overwrite what others have written meanwhile. So a
// write of which something may have been sent goes on until the head of its answer, MaxDetached at most. Before and after
// that, the client's leaving ends it.
type passing struct {
	handle capture.Handle   // what the next handlers hold of the answer
	answer capture.Response // what stands behind it; neither is used again
	client context.Context
	cancel context.CancelFunc
	body   *turnBody // nil: it is here, or there is none, or the turn is not ours

	sent delivery.Delivery

	mu     sync.Mutex
	headed bool        // the head of the answer has come, or comes no more; set by answered
	bound  *time.Timer // ends it though the upstream has not answered; set by left
}

// pass lets the write through. Its turn ends when the head of the answer is there: what comes after it
// is not the next write's concern.
func (g *Write) pass() error {
	p := &passing{client: g.R.Context(), cancel: func() {}}
	g.passing = p
	if g.turn != nil {
		defer g.bind()()
	}
	p.answer.Start(&p.handle, &capture.Options{Outer: g.To, Exchange: g, HTTP2: g.R.ProtoMajor == 2}) // nothing is held
	returned := false
	defer func() {
		if !returned {
			g.Said.Decide(journal.Failed, journal.Aborted, nil)
		}
		p.answer.Settle() // who still writes after a panic writes to nobody
	}()
	delivery.Begin(g.R.Context())
	err := g.Next.ServeHTTP(&p.handle, g.R)
	returned = true
	if err != nil {
		g.Said.Decide(journal.Failed, journal.Error, nil)
		err = g.failed(err)
	}
	if p.answer.Settle() == capture.Untouched {
		p.answer.Adopt()
	}
	return err
}

// bind gives the write a context of its own, and watches its body. The returned function is for its end. The context stays
// then, and follows the client's: a transport whose upstream has answered early may still be sending the body, and look
// into the request at its end, which must not change meanwhile. A body that was given up comes to no end.
func (g *Write) bind() (unbind func()) {
	p, sent := g.passing, g.R.Body
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(p.client))
	context.AfterFunc(p.client, p.left)
	*g.R = *g.R.WithContext(p.sent.Watch(ctx)) // in place: handlers outside know this request by its address
	over := make(chan struct{})
	var hurried sync.WaitGroup
	if !g.early.whole && sent != nil && sent != http.NoBody {
		p.body = &turnBody{ReadCloser: sent, rest: g.R.ContentLength}
		g.R.Body = p.body
		hurried.Go(func() { g.hurry(over) })
	}
	return func() {
		close(over)
		hurried.Wait() // it must not set a deadline for a request that has ended
		p.end()
		g.R.Body = sent
		if p.body.is() == bodyLate {
			*g.R = *g.R.WithContext(p.client) // handlers outside may have something to say to the client
		}
	}
}

// left is called when the client has left.
func (p *passing) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.headed || !p.sent.MayBeSent() {
		p.cancel()
		return
	}
	p.bound = time.AfterFunc(MaxDetached, p.cancel)
}

// answered is called with the head of the answer, or when none comes any more: from now on the client's leaving counts, and
// the body keeps nobody waiting. If that was given up before, it is too late.
func (p *passing) answered() (late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.body.is() == bodyLate {
		return true
	}
	p.headed = true
	if p.client.Err() != nil {
		p.cancel()
	}
	return false
}

func (p *passing) isAnswered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.headed
}

// giveUp ends the body, unless it has come to its end by itself, or the write is answered: then it is another's turn that
// others wait for.
func (p *passing) giveUp() (late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.headed && p.body.giveUp()
}

// end is called when the next handlers are done.
func (p *passing) end() {
	p.answered()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bound != nil {
		p.bound.Stop()
	}
}

// Field implements capture.Exchange. What the answer's fields say is not asked.
func (*Write) Field(string, []string) {}

// Head is the first of those that decide.
func (g *Write) Head(status int, _ http.Header) capture.Decision {
	if g.passing.answered() {
		// Whatever the next handlers say: the request was ended in its client's place.
		g.closeAfter()
		return capture.Decision{Action: capture.Answer, Status: http.StatusRequestTimeout}
	}
	g.endTurn(status)
	return capture.Decision{Action: capture.Stream}
}

// Spill is the second. Nothing is held, so it is not called.
func (*Write) Spill(http.Header, capture.Reason) capture.Decision {
	return capture.Decision{Action: capture.Stream}
}

// Hijacked ends the turn: no head comes any more.
func (g *Write) Hijacked() {
	g.passing.answered()
	g.turn.End()
}

// endTurn ends the turn with an answer that says what has become of the write, and keeps it with one that does not. Where
// the body has not come to its end, no upstream that heeds its framing will do it (RFC 9112 §8), and it is kept no longer
// than the body would have been waited for: else it would be a way to keep all others out.
func (g *Write) endTurn(status int) {
	switch status {
	case statusClientGone, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		g.turn.End()
		return
	}
	switch p := g.passing; {
	case !p.sent.MayBeSent():
		g.turn.End()
	case p.body.is() == bodyWhole:
		g.turn.Keep(MaxUnsettled, g.settled(status))
	default:
		g.turn.Linger(MaxUnsettled)
	}
}

// settled says, when the turn has been kept for long enough, that it goes on.
func (g *Write) settled(status int) func() {
	log, method, host, uri := g.Log, g.R.Method, g.R.Host, g.URL.RequestURI()
	return func() {
		log.Warn("a write was not answered, and other writes to its URI go on now: if the upstream still does it, it overwrites what they wrote",
			zap.Int("status", status), zap.String("method", method), zap.String("host", host), zap.String("uri", uri))
	}
}
