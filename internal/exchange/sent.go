package exchange

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// asSent is the request with the URI as the client sent it, before any rewrite.
func asSent(r *http.Request) *http.Request {
	sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || sent.URL == nil || *sent.URL == *r.URL {
		return r
	}
	return sent.WithContext(r.Context())
}

// asSentAtHead is the same at the head. While the handler still runs, it may be writing the request's URL.
func (x *Exchange) asSentAtHead() *http.Request {
	r := x.asked.r
	sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if ok && sent.URL != nil && x.kept.shared.is(gaveUp) {
		return sent.WithContext(r.Context())
	}
	return asSent(r)
}

// sentURL is the URI of a request as the client sent it. It must not be changed.
func sentURL(r *http.Request) *url.URL {
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && sent.URL != nil {
		return sent.URL
	}
	return r.URL
}

// sentURI is that URI, for the log.
func sentURI(r *http.Request) string {
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && sent.RequestURI != "" {
		return sent.RequestURI
	}
	return r.RequestURI
}

// locationOf writes a URI for Content-Location, relative to its server (RFC 9110 §8.7). A path that
// begins with two slashes would name another server that way, and gets none.
func locationOf(uri *url.URL) string {
	location := uri.RequestURI()
	if strings.HasPrefix(location, "//") || !strings.HasPrefix(location, "/") {
		return ""
	}
	return location
}
