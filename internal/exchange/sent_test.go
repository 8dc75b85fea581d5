package exchange_test

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// RFC 9110 §8.7: Content-Location is the URI as the client sent it; 200 and 304 have it.
func TestContentLocation(t *testing.T) {
	for _, tt := range []struct {
		name, target, to string
		next             caddyhttp.HandlerFunc
		fields           []string
		want             string
	}{
		{name: "200", target: "/a/b?x=1&y", next: sendsPage(), want: "/a/b?x=1&y"},
		{name: "streamed", target: "/a", next: sendsPage("Etag", `"abc"`), want: "/a"},
		{name: "304", target: "/a?x", next: sendsPage(), fields: pairs("If-None-Match", strongTag), want: "/a?x"},
		{name: "304 at the head", target: "/a", next: sendsPage("Etag", `"abc"`), fields: pairs("If-None-Match", `"abc"`), want: "/a"},
		{name: "the upstream's 304", target: "/a", next: sends(304, ""), want: "/a"},
		{name: "the upstream's stands", target: "/a", next: sendsPage("Content-Location", "/b"), want: "/b"},
		{name: "203", target: "/a", next: sends(203, page)},
		{name: "206", target: "/a", next: sends(206, page)},
		{name: "404", target: "/a", next: sends(404, page)},
		{name: "412", target: "/a", next: sendsPage(), fields: pairs("If-Match", staleTag)},
		{name: "rewritten", target: "/a?x=1", to: "/index.php?p=a", next: sendsPage(), want: "/a?x=1"},
		{name: "only the query rewritten", target: "/a?x=1", to: "/a?y=2", next: sendsPage(), want: "/a?x=1"},
		{name: "only the query removed", target: "/a?x=1", to: "/a", next: sendsPage(), want: "/a?x=1"},
		{name: "escaped otherwise", target: "/a%2Fb", to: "/a/b", next: sendsPage(), want: "/a%2Fb"},
		{name: "escaped", target: "/a%20b%C3%A9", next: sendsPage(), want: "/a%20b%C3%A9"},
		{name: "a path that would name another server", target: "http://here//evil.example/", next: sendsPage()},
		{name: "the same behind a rewrite", target: "http://here//evil.example/", to: "/a", next: sendsPage()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVisit(t, "GET", tt.target, tt.fields...)
			if tt.to != "" {
				v = rewritten(t, tt.target, tt.to, tt.fields...)
			}
			v.to(provisioned(t, &Handler{ContentLocation: true}), tt.next)
			wantPairs(t, "the response", v.rec.Header(), pairs("Content-Location", tt.want))
		})
	}
}
