package integration

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// debugFields are what the middlewares of testdata/django/sitewide.py say of themselves, and where the page is.
var debugFields = []string{"Content-Location", "X-Debug-View", "X-Debug-Status", "X-Debug-Answered-By", "Content-Debug"}

// debugSite is a way to have a Content-Location on a page and its 304, beside fields for developers. The maps are what
// the two have of debugFields; {uri} is the target as the client sent it.
type debugSite struct {
	name           string
	own            string // the middleware of Django that makes tags and 304s; empty: none
	directives     string
	whole, confirm map[string]string
}

// onEveryPage is what Django's middlewares, or one of them and ours, put on the 200.
var onEveryPage = map[string]string{
	"Content-Location": "{uri}", "X-Debug-View": "page", "X-Debug-Status": "200", "Content-Debug": "no queries",
}

// changed is a map with some of its entries changed; an empty value takes one out.
func changed(m map[string]string, entries ...string) map[string]string {
	m = maps.Clone(m)
	for i := 0; i < len(entries); i += 2 {
		m[entries[i]] = entries[i+1]
		if entries[i+1] == "" {
			delete(m, entries[i])
		}
	}
	return m
}

// revalidating makes tags, Content-Locations and 304s with all that the 200 has for developers.
const revalidating = "sitewide.revalidating"

var debugSites = []debugSite{
	{
		name: "Django's own", own: revalidating,
		whole: onEveryPage, confirm: changed(onEveryPage, "X-Debug-Answered-By", "revalidating"),
	},
	{
		// What begins with Content- is about a content that the 304 has not (RFC 9110 §15.4.5).
		name: "ours", directives: "content_location",
		whole: onEveryPage, confirm: changed(onEveryPage, "Content-Debug", ""),
	},
	{
		name:  "ours, without content_location",
		whole: changed(onEveryPage, "Content-Location", ""), confirm: changed(onEveryPage, "Content-Location", "", "Content-Debug", ""),
	},
	{
		name: "ours, keep", directives: "content_location\n not_modified {\n keep Content-Debug\n }",
		whole: onEveryPage, confirm: onEveryPage,
	},
	{
		name: "ours, drop", directives: "content_location\n not_modified {\n drop X-Debug-View X-Debug-Status\n }",
		whole: onEveryPage, confirm: map[string]string{"Content-Location": "{uri}"},
	},
	{
		name: "Django's, relayed", own: revalidating, directives: "content_location",
		whole: onEveryPage, confirm: changed(onEveryPage, "X-Debug-Answered-By", "revalidating", "Content-Debug", ""),
	},
	{
		name: "Django's, relayed, keep", own: revalidating, directives: "not_modified {\n keep Content-Debug\n }",
		whole: onEveryPage, confirm: changed(onEveryPage, "X-Debug-Answered-By", "revalidating"),
	},
	{
		name: "Django's, relayed, drop", own: revalidating, directives: "not_modified {\n drop X-Debug-View X-Debug-Answered-By\n }",
		whole: onEveryPage, confirm: map[string]string{"Content-Location": "{uri}", "X-Debug-Status": "200"},
	},
	{
		// It makes tags and 304s, but no Content-Location, and copies no field that it does not know.
		name: "ConditionalGetMiddleware, relayed", own: "django.middleware.http.ConditionalGetMiddleware", directives: "content_location",
		whole: onEveryPage, confirm: map[string]string{"Content-Location": "{uri}"},
	},
}

// TestMiddlewareWithContentLocation: a site without a middleware that makes tags, Content-Locations and 304s says through Caddy
// what it would say with it. The 304 that such a middleware makes itself goes through as it is, but for what a 304 should
// not have; in both, keep and drop decide about the fields for developers.
func TestMiddlewareWithContentLocation(t *testing.T) {
	for i, c := range runDebugSites(t, "") {
		site := debugSites[i]
		for _, path := range []string{"/pages/2", "/pages/1?lang=en&q=%C3%A9&q=a+b"} {
			t.Run(site.name+path, func(t *testing.T) { site.check(t, c, path, path) })
		}
	}
}

// runDebugSites runs Django with and without middlewares of its own, and Caddy before it with a site for each of debugSites.
// The further directives are on all of them. It returns a client of each.
func runDebugSites(t *testing.T, further string) []*client {
	t.Helper()
	marked := newMarkedSite(t)
	django := make(map[string]string)
	sites := make([][2]string, 0, len(debugSites))
	for i, site := range debugSites {
		if django[site.own] == "" {
			django[site.own] = marked.django(t, site.own+" sitewide.debugging")
		}
		directives := further
		if i > 0 {
			directives += "\nconditional_cache {\n head get\n " + site.directives + "\n}"
		}
		sites = append(sites, [2]string{directives, django[site.own]})
	}
	return marked.behind(t, sites...)
}

// check asks for a page, and then whether it is still the same, with GET and HEAD. Between the two, the site may know
// the page by another URI than the client.
func (s *debugSite) check(t *testing.T, c *client, path, uri string) {
	t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		first := c.must(t, http.StatusOK, method, path, "")
		s.compare(t, first, s.whole, uri)
		again := c.must(t, http.StatusNotModified, method, path, "", "If-None-Match", first.header.Get("Etag"))
		s.compare(t, again, s.confirm, uri)
		if again.header.Get("Etag") != first.header.Get("Etag") || again.body != "" {
			t.Errorf("%s: got %v, want an empty 304 with the tag of %v", method, again, first)
		}
		other := c.must(t, http.StatusOK, method, path, "", "If-None-Match", `"another"`)
		s.compare(t, other, s.whole, uri)
	}
}

// compare wants these of debugFields and no others, each once.
func (s *debugSite) compare(t *testing.T, got answer, want map[string]string, uri string) {
	t.Helper()
	for _, name := range debugFields {
		value := strings.ReplaceAll(want[name], "{uri}", uri)
		if lines := strings.Join(got.header[name], " | "); lines != value {
			t.Errorf("%d: %s %q, want %q", got.status, name, lines, value)
		}
	}
}

// TestContentLocationBehindAPrefix: a middleware names the URI that has reached it. Where Caddy has taken a prefix off,
// that is not the one the client asked for, and if it is another page's, the answer would be stored as that page
// (RFC 9110 §8.7). Caddy knows what the client has sent.
func TestContentLocationBehindAPrefix(t *testing.T) {
	for i, c := range runDebugSites(t, "uri strip_prefix /app") {
		site := debugSites[i]
		uri := "/app/pages/2?lang=en"
		if site.own == revalidating {
			uri = "/pages/2?lang=en"
		}
		t.Run(site.name, func(t *testing.T) { site.check(t, c, "/app/pages/2?lang=en", uri) })
	}
}

// TestContentLocationOfPagesOnly: an error, a redirect and an answer to POST are not what is at their URI; they keep
// what Django says and get nothing else.
func TestContentLocationOfPagesOnly(t *testing.T) {
	for i, c := range runDebugSites(t, "") {
		t.Run(debugSites[i].name, func(t *testing.T) {
			for _, tt := range []struct {
				method, path string
				status       int
				view, said   string
			}{
				{http.MethodGet, "/nothing", http.StatusNotFound, "none", "404"},
				{http.MethodHead, "/nothing", http.StatusNotFound, "none", "404"},
				{http.MethodGet, "/broken", http.StatusInternalServerError, "broken", "500"},
				{http.MethodGet, "/moved", http.StatusFound, "moved", "302"},
				{http.MethodPost, "/send", http.StatusOK, "send", "200"},
			} {
				body := ""
				if tt.method == http.MethodPost {
					body = "q=text"
				}
				got := c.must(t, tt.status, tt.method, tt.path, body, "Content-Type", "application/x-www-form-urlencoded", "If-None-Match", "*")
				debugSites[i].compare(t, got, map[string]string{"X-Debug-View": tt.view, "X-Debug-Status": tt.said, "Content-Debug": "no queries"}, "")
			}
		})
	}
}
