// Package subrequest makes requests that the next handlers are asked besides the client's own, in the
// client's name.
package subrequest

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// routeGroups is the context key of the groups of routes that a request has used up (caddyhttp's own).
const routeGroups = caddy.CtxKey("route_group")

// Get makes a GET of what r asks for, without a body, whose answer goes to w. It has to be made before the next
// handlers see r, and ends with r's context.
func Get(r *http.Request, w http.ResponseWriter) *http.Request {
	var n Note
	n.Take(r)
	return n.Request(r, http.MethodGet, w)
}

// Note is a copy of all that handlers may change of a request and its context: fields, rewrites, variables. Most of all
// the groups of routes: one that a request has used up would be used up for another one with the same context, which
// would then match nothing and end as an empty 200.
//
// Most notes are never needed, so that taking one is cheap, and costs no allocation once it has been used. The zero value is
// ready for Take, and so is one after Forget.
type Note struct {
	host, uri string
	url       url.URL
	fields    []field
	lines     []string // of the fields, in their order
	vars      []variable
	groups    []string
}

type field struct {
	name  string
	lines int // how many
}

type variable struct {
	name  string
	value any
}

// Take notes what a request is, before the next handlers see it.
func (n *Note) Take(r *http.Request) {
	n.host, n.uri, n.url = r.Host, r.RequestURI, *r.URL
	for name, lines := range r.Header {
		n.fields = append(n.fields, field{name, len(lines)})
		n.lines = append(n.lines, lines...) // handlers edit the lists in place
	}
	ctx := r.Context()
	if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		for name, value := range vars {
			n.vars = append(n.vars, variable{name, value})
		}
	}
	if groups, ok := ctx.Value(routeGroups).(map[string]struct{}); ok {
		for name := range groups {
			n.groups = append(n.groups, name)
		}
	}
}

// Forget makes the note ready for another request.
func (n *Note) Forget() {
	clear(n.fields)
	clear(n.lines)
	clear(n.vars)
	clear(n.groups)
	*n = Note{fields: n.fields[:0], lines: n.lines[:0], vars: n.vars[:0], groups: n.groups[:0]}
}

// Request makes a request with this method like the one that was noted, which is r, but without a body. Its answer goes
// to w, and it ends with r's context.
func (n *Note) Request(r *http.Request, method string, w http.ResponseWriter) *http.Request {
	again := r.WithContext(r.Context())
	again.Method, again.Host, again.RequestURI = method, n.host, n.uri
	again.Header = n.header()
	again.Body, again.GetBody, again.ContentLength = http.NoBody, nil, 0
	again.TransferEncoding, again.Trailer = nil, nil
	again.Form, again.PostForm, again.MultipartForm = nil, nil, nil
	target := n.url
	if target.User != nil {
		user := *target.User
		target.User = &user
	}
	again.URL = &target

	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	repl := caddy.NewReplacer()
	again = caddyhttp.PrepareRequest(again, repl, w, server)
	// In place, as the replacer speaks of this request and of no copy.
	*again = *again.WithContext(n.inherit(again.Context(), r.Context(), method))
	if outer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(outer.Get) // what handlers outside have set: the user, captures of a matcher
	}
	return again
}

func (n *Note) header() http.Header {
	header, lines := make(http.Header, len(n.fields)), slices.Clone(n.lines)
	for _, f := range n.fields {
		header[f.name], lines = lines[:f.lines:f.lines], lines[f.lines:]
	}
	return header
}

// inherit gives a prepared context what handlers outside have put into that of the request.
func (n *Note) inherit(ctx, outer context.Context, method string) context.Context {
	if _, ok := outer.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		vars := make(map[string]any, len(n.vars))
		for _, v := range n.vars {
			vars[v.name] = v.value
		}
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, vars)
	}
	if _, ok := outer.Value(routeGroups).(map[string]struct{}); ok {
		groups := make(map[string]struct{}, len(n.groups))
		for _, name := range n.groups {
			groups[name] = struct{}{}
		}
		ctx = context.WithValue(ctx, routeGroups, groups)
	}
	if sent, ok := outer.Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		sent.Method = method
		ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, sent)
	}
	return ctx
}
