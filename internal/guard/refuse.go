package guard

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// statusClientGone is what reverse_proxy answers to nobody; the access log has it.
const statusClientGone = 499

// leaveBodyUnread lets the answer to a refused write go out at once. Before it, net/http waits for a body
// that was not read, and a client that has asked for 100 (Continue) waits for an answer before it sends
// one: net/http knows that, but not behind the body that Caddy has put in place of its own. Where the
// connection is to end, nothing is waited for.
func (g *Write) leaveBodyUnread() {
	if g.R.ProtoMajor == 1 && expectsContinue(g.R) {
		g.To.Header()["Connection"] = []string{"close"}
	}
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
	header := g.To.Header()
	if g.asked != nil {
		header = g.asked.Header()
	}
	g.To.Header().Set("Retry-After", cmp.Or(header.Get("Retry-After"), "1"))
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); ok && handlerErr.Err != nil {
		err = handlerErr.Err // without the ID that Caddy gives an error, and where it was made
	}
	// Not wrapped: the status of an error inside would count for more than this one.
	return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the write could not be checked: "+err.Error()))
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
