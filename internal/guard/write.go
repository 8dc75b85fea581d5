// Package guard judges writes before an upstream sees them: a queue for each URI, a GET for the current
// representation, and the preconditions compared with that.
//
// What the next handlers' answer says of the representation is read by package exchange, as it would read the answer to
// a client's GET.
//
// The steps of a write are in write.go, its turn in turn.go and queue.go, how the GET is asked in request.go and what is read
// of it in reading.go, what the conditions say in judge.go, the answers of those that do not go on in refuse.go, and what
// becomes of those that do in passing.go, of their bodies in body.go.
package guard

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Write is one write that is judged before the upstream sees it. It is the capture.Exchange of its
// answer, to know when the head of that is there. The exported fields are the caller's to set.
type Write struct {
	To   http.ResponseWriter // where the answer goes
	R    *http.Request       // the write
	Next caddyhttp.Handler   // who does it, and answers the GET before

	Terms
	Site
	Learned *Learned        // what the instances that this write meets know of it; it is told before the write goes on
	Read    Read            // how the GET is asked, and its answer read
	Said    *journal.Record // where it is told what became of the write

	sent     upstream.Fields // what the client sent; set by Serve
	early    early           // its body, if that is short; set by readEarly
	turn     *Turn           // in the queue; nil before it has come, and without a queue; set by lineUp
	passing  *passing        // what is known of it while the next handlers have it; set by pass
	asked    *Sink           // the fields of the answer to the GET; set by ask or glance
	current  Current         // what the write would change; set by learn or glance
	answered bool            // an answer was given that is no error; set by gone or forbid
}

// Terms are what a write is judged by.
type Terms struct {
	URL  *url.URL // as the client sent it, before any rewrite
	Pre  httpcond.Preconditions
	Must bool // there has to be a precondition
}

// Learned is what a guarded write lets others know, before it goes on.
type Learned struct {
	Protected bool // there was a precondition that counts
	Ours      bool // what clients get of the current representation has a tag of ours
}

// Site is where writes meet.
type Site struct {
	// Queue is where a write waits for its turn; nil: an instance further out has done so.
	Queue *Queue
	// Budget is what short bodies are charged to while they wait, up to Limit.
	Budget *capture.Budget
	Limit  int64
	// Log is told of turns that go on though nobody knows whether the write is done.
	Log *zap.Logger
	// Waited is told how long the write has waited for its turn.
	Waited func(time.Duration)
}

// Serve takes the steps of a guarded write, up to the first that answers it.
func (g *Write) Serve() (err error) {
	g.sent = upstream.Snapshot(g.R.Header)
	defer func() { g.leave(err) }()
	for _, step := range [...]func() error{g.require, g.readEarly, g.lineUp, g.ask, g.judge} {
		if err = step(); err != nil {
			g.leaveBodyUnread()
		}
		if err != nil || g.answered {
			return err
		}
	}
	return g.pass()
}

// leave ends the turn, and gives the request its fields back; but for an error, whose answer is under no
// condition.
func (g *Write) leave(err error) {
	g.turn.End()
	g.early.free()
	if err != nil {
		upstream.Remove(g.R.Header)
	} else {
		g.sent.Put(g.R.Header)
	}
}

// ask asks the next handlers for the current representation, in the client's name.
func (g *Write) ask() error {
	g.asked = NewSink(g.To.Header())
	r, cancel := Request(g.R, g.asked)
	defer cancel()
	return g.Read(g.asked, r, g.learn)
}

// learn takes in what the answer says.
func (g *Write) learn(said Reading) error {
	if g.R.Context().Err() != nil {
		return g.gone()
	}
	switch said.Found {
	case Failed:
		return g.unavailable(journal.GuardUnavailable, said.Err)
	case Forbidden:
		return g.forbid(said)
	case Known:
		g.current = said.Current
	case Nothing:
	}
	return nil
}

// glance asks for the current representation only to say which it is in a refusal. It does not wait for long, nor for a
// turn, and what goes wrong is no matter.
func (g *Write) glance() {
	g.asked = NewSink(g.To.Header())
	r, cancel := Glance(g.R, g.asked)
	defer cancel()
	_ = g.Read(g.asked, r, func(said Reading) error {
		if said.Found == Known {
			g.current = said.Current
		}
		return nil
	})
}
