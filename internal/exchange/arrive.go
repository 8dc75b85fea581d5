package exchange

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// asked are the facts of a request, read before handlers inside may change it. Arrive and show read them;
// for a second try askAgain does, for the GET before a write reader.
type asked struct {
	r        *http.Request   // the same for all handlers, which know it by its address
	method   string          // the client's
	client   context.Context // the request's, as it came; what show gives it ends earlier
	vars     map[string]any  // the request's variables; nil outside of Caddy's server
	replacer *caddy.Replacer // of the request, or an empty one
	shared   *Shared         // of the outermost instance; nil: this is the outermost
	fields   upstream.Fields // conditional fields and Range as they came to this instance; an outer one may have changed them
	codable  bool            // the client accepts content codings
	format   *coding.Format  // which one encode_once gives it; nil: none; set by negotiate
	noStore  bool            // the request has Cache-Control: no-store
	claims   claims          // what it says of who asks
	personal bool            // it is somebody's (see identified); known where something is said of freshness, or asked by date
	location string          // for Content-Location; empty: none is added
	urlHash  uint64          // for rows that spread their lifetimes
}

// Arrive reads the facts of a request. What is none of this handler's business has no exchange, and the reason why.
func (s *Service) Arrive(r *http.Request) (*Exchange, journal.Reason) {
	ctx := r.Context()
	vars := varsOf(ctx)
	outer := sharedBy(vars)
	if reason := s.passes(ctx, r, vars, outer); reason != journal.NoReason {
		return nil, reason
	}
	if r.Header[includeField] != nil {
		upstream.Remove(r.Header)
	}
	x := s.exchange()
	x.enter(arrived)
	a := &x.asked
	a.r, a.method, a.client, a.vars, a.shared, a.replacer = r, r.Method, ctx, vars, outer, replacerOf(ctx)
	a.readFields()
	return x, journal.NoReason
}

// includeField is on a request that a template makes for what it includes (httpInclude, Caddy v2.11.9). That request is a
// copy of the page's, with conditions and Range that are about the page. Of what is included the whole is needed.
const includeField = "Caddy-Templates-Include"

// passes names the reason why a request is none of this handler's business.
func (s *Service) passes(ctx context.Context, r *http.Request, vars map[string]any, outer *Shared) journal.Reason {
	switch {
	case ctx.Value(caddyhttp.ErrorCtxKey) != nil:
		return journal.ErrorRoute
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return journal.Method
	case upgrades(r.Header):
		return journal.Upgrade
	case s.leavesAlone(vars), outer != nil && s.Policy.Block != "" && slices.Contains(outer.blocks, s.Policy.Block):
		return journal.Sibling
	}
	return journal.NoReason
}

// upgrades reports whether the client asks for another protocol. An offer of h2c is none: it comes with
// every first request of some clients, and servers answer it as the plain request it is.
func upgrades(h http.Header) bool {
	lines := h["Upgrade"]
	return len(lines) > 0 && !strings.EqualFold(strings.TrimSpace(lines[0]), "h2c")
}

// readFields reads what the memory has to know.
func (a *asked) readFields() {
	a.fields = upstream.Snapshot(a.r.Header)
	a.claims.read(a.r)
}

// readRequest reads what else the request says, and what of it the configuration makes worth knowing. It is called by
// show: what is answered from memory does not need it.
func (x *Exchange) readRequest() {
	a, p := &x.asked, x.svc.Policy
	h := a.r.Header
	a.codable = httpcond.AcceptsCoding(h["Accept-Encoding"])
	x.negotiate()
	a.noStore = httpcond.HasDirective(h["Cache-Control"], "no-store")
	if p.ContentLocation {
		a.location = locationOf(asSent(a.r).URL)
	}
	x.readText()
	if p.Freshness.Any() {
		a.personal = a.identified()
	}
	if p.Freshness.Spreads {
		sent := asSent(a.r).URL
		a.urlHash = freshness.HashURL(a.r.Host, sent.EscapedPath(), sent.RawQuery)
	}
}

// varsOf are a request's variables; nil outside of Caddy's server.
func varsOf(ctx context.Context) map[string]any {
	vars, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	return vars
}

// replacerOf is a request's, with its placeholders.
func replacerOf(ctx context.Context) *caddy.Replacer {
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		return repl
	}
	return caddy.NewReplacer()
}
