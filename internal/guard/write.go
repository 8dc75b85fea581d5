// Package guard judges writes before an upstream sees them: a queue for each URI, a GET for the current
// representation, and the preconditions compared with that.
//
// What the next handlers' answer says of the representation is read by package exchange, as it would read the answer to
// a client's GET.
package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// statusClientGone is what reverse_proxy answers to nobody; the access log has it.
const statusClientGone = 499

// Write is one write that is judged before the upstream sees it. It is the capture.Exchange of its
// answer, to know when the head of that is there. The exported fields are the caller's to set.
type Write struct {
	To   http.ResponseWriter // where the answer goes
	R    *http.Request       // the write
	Next caddyhttp.Handler   // who does it, and answers the GET before

	Terms
	// Protected, if set, is told before the write goes on that there was a precondition that counts.
	Protected *bool
	// Queue is where it waits for its turn; nil: an instance further out has done so.
	Queue *Queue
	Read  Read            // how the GET is asked, and its answer read
	Said  *journal.Record // where it is told what became of the write

	handle   capture.Handle          // what the next handlers hold of the answer
	answer   capture.Response        // what stands behind it; neither is used again
	sent     upstream.Fields         // what the client sent; set by Serve
	turn     turn                    // in the queue
	asked    *Sink                   // the fields of the answer to the GET; set by ask
	current  httpcond.Representation // what the write would change; set by learn
	answered bool                    // an answer was given that is no error; set by gone or forbid
}

// Terms are what a write is judged by.
type Terms struct {
	URL  *url.URL // as the client sent it, before any rewrite
	Pre  httpcond.Preconditions
	Must bool // there has to be a precondition
}

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

// Read asks the next handlers with r, as for a client's GET, whose answer's fields go to w; what can be
// read out of the answer is given to use, whose error it returns.
type Read func(w *Sink, r *http.Request, use func(Reading) error) error

// Reading is what an answer says of the current representation.
type Reading struct {
	Found Found
	// Current is the representation; of Known.
	Current httpcond.Representation
	// Status is the answer's, and Body its whole body or nil; of Forbidden, unless Err is set.
	Status int
	Body   []byte
	// Err is why it Failed, or the error by which a handler said Forbidden.
	Err error
}

// Found is how much an answer says.
type Found uint8

const (
	// Failed: nothing is known of the representation.
	Failed Found = iota
	// Nothing: there is none.
	Nothing
	// Forbidden: who asks may not know.
	Forbidden
	// Known: there is one.
	Known
)

// ReadError reads the error of a handler that has written nothing: 404 and 410 say that there is nothing, 401 and 403 that
// who asks may not know.
func ReadError(err error) Reading {
	handlerErr, _ := errors.AsType[caddyhttp.HandlerError](err)
	switch handlerErr.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return Reading{Found: Nothing}
	case http.StatusUnauthorized, http.StatusForbidden:
		return Reading{Found: Forbidden, Err: err}
	}
	return Reading{Err: cmp.Or(err, errors.New("no handler answers a GET here"))}
}

// Serve takes the steps of a guarded write, up to the first that answers it.
func (g *Write) Serve() (err error) {
	g.sent = upstream.Snapshot(g.R.Header)
	defer func() { g.leave(err) }()
	for _, step := range [...]func() error{g.require, g.lineUp, g.ask, g.judge} {
		if err = step(); err != nil {
			g.leaveBodyUnread()
		}
		if err != nil || g.answered {
			return err
		}
	}
	return g.pass()
}

// leaveBodyUnread lets the answer to a refused write go out at once. Before it, net/http waits for a body
// that was not read, and a client that has asked for 100 (Continue) waits for an answer before it sends
// one: net/http knows that, but not behind the body that Caddy has put in place of its own. Where the
// connection is to end, nothing is waited for.
func (g *Write) leaveBodyUnread() {
	if g.R.ProtoMajor == 1 && strings.EqualFold(strings.TrimSpace(g.R.Header.Get("Expect")), "100-continue") {
		g.To.Header()["Connection"] = []string{"close"}
	}
}

// leave ends the turn, and gives the request its fields back; but for an error, whose answer is under no
// condition.
func (g *Write) leave(err error) {
	g.turn.end()
	if err != nil {
		upstream.Remove(g.R.Header)
	} else {
		g.sent.Put(g.R.Header)
	}
}

// require refuses a write without a precondition, where there has to be one (RFC 6585 §3). One that has
// to be ignored is none.
func (g *Write) require() error {
	if !g.Must || g.protected(true) {
		return nil
	}
	return g.demand(errors.New("a write needs If-Match, If-None-Match or If-Unmodified-Since"))
}

func (g *Write) demand(why error) error {
	g.Said.Decide(journal.PreconditionRequired, journal.GuardRequired, nil)
	return caddyhttp.Error(http.StatusPreconditionRequired, why)
}

// protected reports whether a precondition stands before the write that does not have to be ignored: an
// If-Match always counts, an If-None-Match if it names something, a date if it is one and there is
// another (dated) to compare it with.
func (g *Write) protected(dated bool) bool {
	none := &g.Pre.IfNoneMatch
	return g.Pre.IfMatch.Present || none.Any || len(none.Tags) > 0 || g.Pre.IfUnmodifiedSince.Valid && dated
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

// gone ends a write whose client is known to have left: the upstream does not see it. Over HTTP/1, net/http
// does not notice while a body waits to be read. Should somebody read the answer
// all the same, it must not look like a success.
func (g *Write) gone() error {
	g.Said.Decide(journal.Failed, journal.Aborted, nil)
	g.To.WriteHeader(statusClientGone)
	g.answered = true
	return nil
}

// unavailable refuses a write that could not be judged. The client may try again.
func (g *Write) unavailable(reason journal.Reason, err error) error {
	g.Said.Decide(journal.Failed, reason, nil)
	g.passCORS()
	retry := "1"
	if g.asked != nil {
		retry = cmp.Or(g.asked.Header().Get("Retry-After"), retry)
	}
	g.To.Header().Set("Retry-After", retry)
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); ok && handlerErr.Err != nil {
		err = handlerErr.Err // without the ID that Caddy gives an error, and where it was made
	}
	// Not wrapped: the status of an error inside would count for more than this one.
	return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the write could not be checked: "+err.Error()))
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

// forbid answers the write with the 401 or 403 that the GET got; with its body, if all of that is here.
func (g *Write) forbid(said Reading) error {
	g.Said.Decide(journal.Failed, journal.GuardForbidden, nil)
	whole := said.Body != nil
	g.passFields(whole)
	if said.Err != nil {
		return said.Err
	}
	g.answered = true
	if whole {
		g.To.Header()["Content-Length"] = []string{strconv.Itoa(len(said.Body))}
	}
	g.leaveBodyUnread()
	g.To.WriteHeader(said.Status)
	if whole {
		_, _ = g.To.Write(said.Body) // a failed write is the client's leaving
	}
	return nil
}

// passFields passes the fields of the answer to the probe on, but for validators and freshness: they were
// those of a GET. Without a body, none that speaks of it either.
func (g *Write) passFields(body bool) {
	header, asked := g.To.Header(), g.asked.Header()
	stays := func(name string) bool { return ofGet(name) || !body && httpcond.DroppedFromNotModified(name) }
	for name := range header {
		if _, kept := asked[name]; !kept && !stays(name) {
			delete(header, name)
		}
	}
	for name, lines := range asked {
		if !stays(name) {
			header[name] = lines
		}
	}
}

// ofGet reports whether a field belongs to the answer to the GET alone.
func ofGet(name string) bool {
	switch name {
	case "Etag", "Last-Modified", "Cache-Control", "Cdn-Cache-Control", "Surrogate-Control", "Expires", "Age", "Pragma",
		"Accept-Ranges", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

// passCORS passes on what lets a browser read an answer of ours.
func (g *Write) passCORS() {
	if g.asked == nil {
		return
	}
	for name, lines := range g.asked.Header() {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			g.To.Header()[name] = lines
		}
	}
}

// judge evaluates the preconditions. What was judged here does not go on with the write: the upstream
// could not know our tags, nor the suffixes that were put on its own.
func (g *Write) judge() error {
	result := g.Pre.Evaluate(g.R.Method, g.current)
	if result.Reason == httpcond.ReasonIfMatch && g.namesWeakly() {
		// Strong comparison can say nothing of it, and the upstream is not asked to: the field goes on, and
		// the write with it, unless another condition is false.
		others := g.Pre
		others.IfMatch, others.IfUnmodifiedSince = httpcond.TagCondition{}, httpcond.DateCondition{}
		if result = others.Evaluate(g.R.Method, g.current); result.Verdict == httpcond.Proceed {
			g.Said.Decide(journal.Guarded, journal.GuardWeakTag, nil)
			g.tell(true)
			return nil
		}
	}
	switch {
	case result.Verdict != httpcond.Proceed:
		g.Said.Decide(journal.PreconditionFailed, journal.Because(result.Reason), nil)
		g.passCORS()
		return caddyhttp.Error(http.StatusPreconditionFailed, fmt.Errorf("the precondition in %s is false", result.Reason))
	case g.Must && !g.protected(g.dated()):
		g.passCORS()
		return g.demand(errors.New("a write needs another precondition than If-Unmodified-Since: there is no Last-Modified"))
	}
	g.Said.Decide(journal.Guarded, journal.Because(result.Reason), nil)
	g.tell(g.protected(g.dated()))
	g.withhold()
	return nil
}

// tell tells the instances further in.
func (g *Write) tell(protected bool) {
	if g.Protected != nil {
		*g.Protected = protected
	}
}

// namesWeakly reports whether If-Match names the current tag, ours, in its weak form: what a client has
// that accepts content codings, or one behind a proxy that applies them.
func (g *Write) namesWeakly() bool {
	return g.current.HasETag && slices.ContainsFunc(g.Pre.IfMatch.Tags, func(t httpcond.EntityTag) bool {
		_, ours := tag.Parse(t.Opaque)
		return ours && t.Weak && tag.Same(t.Opaque, g.current.ETag.Opaque)
	})
}

// dated reports whether If-Unmodified-Since has something to be compared with; what does not exist has
// not been modified.
func (g *Write) dated() bool { return !g.current.Exists || !g.current.LastModified.IsZero() }

// withhold takes the fields that were judged off the write, and If-Modified-Since, which means nothing
// in a write and would be alone now. A date that had to be ignored here may mean something to the upstream.
func (g *Write) withhold() {
	h := g.R.Header
	delete(h, "If-Match")
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	judged := g.Pre.IfUnmodifiedSince.Valid && !g.current.LastModified.IsZero()
	if g.Pre.IfMatch.Present || judged {
		delete(h, "If-Unmodified-Since")
	}
}

// pass lets the write through. Its turn ends when the head of the answer is there: what comes after it
// is not the next write's concern.
func (g *Write) pass() error {
	defer g.hurry()()
	g.answer.Start(&g.handle, &capture.Options{Outer: g.To, Exchange: g}) // nothing is held
	returned := false
	defer func() {
		if !returned {
			g.Said.Decide(journal.Failed, journal.Aborted, nil)
		}
		g.answer.Settle() // who still writes after a panic writes to nobody
	}()
	err := g.Next.ServeHTTP(&g.handle, g.R)
	returned = true
	if err != nil {
		g.Said.Decide(journal.Failed, journal.Error, nil)
	}
	if g.answer.Settle() == capture.Untouched {
		g.answer.Adopt()
	}
	return err
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

// Field implements capture.Exchange. What the answer's fields say is not asked.
func (*Write) Field(string, []string) {}

// Head is the first of those that decide.
func (g *Write) Head(status int, _ http.Header) capture.Decision {
	g.turn.end()
	if g.turn.late.Load() && status == statusClientGone {
		// It has not gone; the request was ended in its place.
		return capture.Decision{Action: capture.Answer, Status: http.StatusRequestTimeout}
	}
	return capture.Decision{Action: capture.Stream}
}

// Spill is the second. Nothing is held, so it is not called.
func (*Write) Spill(http.Header, capture.Reason) capture.Decision {
	return capture.Decision{Action: capture.Stream}
}

// Hijacked ends the turn: no head comes any more.
func (g *Write) Hijacked() { g.turn.end() }
