package guard

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// turn is a write's turn in the queue.
type turn struct {
	uri     string      // what it is waited for; set by lineUp
	release func()      // ends it; nil before it has come; set by lineUp
	late    atomic.Bool // the body took too long while others waited; set by watch
}

// end ends the turn, if it has come.
func (t *turn) end() {
	if t.release != nil {
		t.release()
	}
}

// lineUp waits until the writes to the same URI that came before have been answered.
func (g *Write) lineUp() (err error) {
	if g.Queue == nil {
		return nil
	}
	g.turn.uri = g.key()
	g.turn.release, err = g.Queue.Acquire(g.R.Context(), g.turn.uri)
	switch {
	case g.R.Context().Err() != nil:
		return g.gone()
	case err != nil:
		return g.unavailable(journal.GuardQueue, err)
	}
	return nil
}

// key names the URI as the client sent it, before any rewrite; two ways to write one URI are one.
func (g *Write) key() string {
	uri := g.URL
	host := strings.ToLower(g.R.Host)
	if name, port, err := net.SplitHostPort(host); err == nil && (port == "80" || port == "443") {
		host = name
	}
	if at, ok := g.R.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, port, err := net.SplitHostPort(at.String()); err == nil && port != "80" && port != "443" {
			host = port + "/" + host
		}
	}
	return host + uri.Path + "?" + uri.RawQuery
}

// hurry ends a write whose client takes longer than MaxTurn to send its body while others wait for their
// turn: it would keep them waiting for as long as it likes. The returned function is for its end.
func (g *Write) hurry() (done func()) {
	if g.Queue == nil || g.R.Body == nil || g.R.Body == http.NoBody {
		return func() {}
	}
	unbound, sent := g.R.Context(), g.R.Body
	ctx, cancel := context.WithCancel(unbound)
	body := &watchedBody{ReadCloser: sent}
	*g.R = *g.R.WithContext(ctx) // in place: handlers outside know this request by its address
	g.R.Body = body
	over := make(chan struct{})
	go g.watch(body, over, cancel)
	return func() {
		close(over)
		cancel()
		*g.R = *g.R.WithContext(unbound)
		g.R.Body = sent
	}
}

// watch ends the write when its body has not come by MaxTurn, or later, and others wait.
func (g *Write) watch(body *watchedBody, over <-chan struct{}, end context.CancelFunc) {
	timer := time.NewTimer(MaxTurn)
	defer timer.Stop()
	for {
		select {
		case <-over:
			return
		case <-timer.C:
		}
		switch {
		case body.ended.Load():
			return
		case g.Queue.Waiting(g.turn.uri) > 0:
			g.turn.late.Store(true)
			end()
			return
		}
		timer.Reset(time.Second)
	}
}

// watchedBody is a body of which it is known whether it has come to its end.
type watchedBody struct {
	io.ReadCloser
	ended atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}
