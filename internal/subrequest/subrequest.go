// Package subrequest makes requests that the next handlers are asked besides the client's own, in the
// client's name.
package subrequest

import (
	"context"
	"maps"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// routeGroups is the context key of the groups of routes that a request has used up (caddyhttp's own).
const routeGroups = caddy.CtxKey("route_group")

// Get makes a GET of what r asks for, without a body, whose answer goes to w. Its fields are a copy of
// r's, as is all that handlers keep in a request and its context: rewrites, variables, placeholders. Most of all the
// groups of routes: one that this request uses up would be used up for r, which would then match nothing
// and end as an empty 200.
//
// It has to be made before the next handlers see r, and ends with r's context.
func Get(r *http.Request, w http.ResponseWriter) *http.Request {
	get := r.WithContext(r.Context())
	get.Method = http.MethodGet
	get.Header = r.Header.Clone()
	get.Body, get.GetBody, get.ContentLength = http.NoBody, nil, 0
	get.TransferEncoding, get.Trailer = nil, nil
	get.Form, get.PostForm, get.MultipartForm = nil, nil, nil
	target := *r.URL
	if r.URL.User != nil {
		user := *r.URL.User
		target.User = &user
	}
	get.URL = &target

	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	repl := caddy.NewReplacer()
	get = caddyhttp.PrepareRequest(get, repl, w, server)
	// In place, as the replacer speaks of this request and of no copy.
	*get = *get.WithContext(inherit(get.Context(), r.Context()))
	if outer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(outer.Get) // what handlers outside have set: the user, captures of a matcher
	}
	return get
}

// inherit gives a prepared context copies of what handlers outside have put into that of the request.
func inherit(ctx, outer context.Context) context.Context {
	if vars, ok := outer.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
	}
	if groups, ok := outer.Value(routeGroups).(map[string]struct{}); ok {
		ctx = context.WithValue(ctx, routeGroups, maps.Clone(groups))
	}
	if sent, ok := outer.Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		sent.Method = http.MethodGet
		ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, sent)
	}
	return ctx
}
