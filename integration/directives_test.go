package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestRequestDirectives: what a request's Cache-Control and Pragma say of answers from memory (RFC 9111 §5.2.1, §5.4),
// where the page has a minute of its own, and where an operator grants an hour.
func TestRequestDirectives(t *testing.T) {
	cases := []struct {
		name, field, value  string
		asksOwn, asksUnder1 int64 // how often the upstream is asked: by its own lifetime, and under a ttl
	}{
		{"nothing", "X-Nothing", "", 0, 0},
		{"no-cache (§5.2.1.4)", "Cache-Control", "no-cache", 1, 1},
		{"no-store (§5.2.1.5)", "Cache-Control", "no-store", 1, 1},
		{"a reload: max-age=0 (§5.2.1.1)", "Cache-Control", "max-age=0", 1, 0},
		{"max-age that is no number (§1.2.2)", "Cache-Control", "max-age=soon", 1, 0},
		{"max-age, young enough (§5.2.1.1)", "Cache-Control", "max-age=30", 0, 0},
		{"min-fresh, for long enough (§5.2.1.3)", "Cache-Control", "min-fresh=5", 0, 0},
		{"min-fresh, not for long enough (§5.2.1.3)", "Cache-Control", "min-fresh=61", 1, 0},
		{"max-stale (§5.2.1.2)", "Cache-Control", "max-stale=3600", 0, 0},
		{"no-transform (§5.2.1.6)", "Cache-Control", "no-transform", 0, 0},
		{"only-if-cached, and it is known (§5.2.1.7)", "Cache-Control", "only-if-cached", 0, 0},
		{"an extension (§5.2.3)", "Cache-Control", "x-own=1", 0, 0},
		{"Pragma (§5.4)", "Pragma", "no-cache", 1, 1},
		{"Pragma of something else (§5.4)", "Pragma", "x-own", 0, 0},
	}
	upstream := newCounted("page", "Cache-Control", "public, max-age=60")
	for _, ttl := range []string{"", "1h"} {
		c := noteSite(t, strings.Replace(remembering, "1h", ttl, 1), upstream)
		for _, tt := range cases {
			t.Run(strings.TrimSpace(tt.name+" "+ttl), func(t *testing.T) {
				path := "/" + strings.ReplaceAll(tt.value+ttl, "=", "-")
				etag := c.must(t, http.StatusOK, http.MethodGet, path, "").header.Get("Etag")
				want := tt.asksOwn
				if ttl != "" {
					want = tt.asksUnder1
				}
				status := http.StatusNotModified
				if tt.value == "no-store" {
					status = http.StatusOK // of what is not to be stored no tag is made, that could match
				}
				upstream.asks(t, want, func() {
					c.must(t, status, http.MethodGet, path, "", "If-None-Match", etag, tt.field, tt.value)
				})
			})
		}
	}
}

// TestOnlyIfCachedPasses: this is no cache of responses, so that a 504 would tell nothing but that; the upstream, which
// may have one in front of it, is asked (RFC 9111 §5.2.1.7).
func TestOnlyIfCachedPasses(t *testing.T) {
	upstream := newCounted("page", "Cache-Control", "max-age=60")
	var said string
	before := func(r *http.Request) { said = fmt.Sprint(r.Header["Cache-Control"]) }
	upstream.before.Store(&before)
	c := noteSite(t, remembering, upstream)
	for _, fields := range [][]string{nil, {"If-None-Match", `"unknown"`}} {
		upstream.asks(t, 1, func() {
			got := c.must(t, http.StatusOK, http.MethodGet, "/", "", append(fields, "Cache-Control", "only-if-cached")...)
			if got.body != "page" || said != "[only-if-cached]" {
				t.Errorf("got %v; the upstream was told %s", got, said)
			}
		})
	}
}

// TestLocationUnderTheOtherScheme: what is forgotten knows no schemes, so that a write over one reaches the other.
func TestLocationUnderTheOtherScheme(t *testing.T) {
	upstream := newCounted("page")
	c := noteSite(t, remembering, upstream)
	etag := c.must(t, http.StatusOK, http.MethodGet, "/page", "").header.Get("Etag")
	again := func() { c.must(t, http.StatusNotModified, http.MethodGet, "/page", "", "If-None-Match", etag) }
	upstream.asks(t, 0, again)
	c.must(t, http.StatusNoContent, http.MethodPost, "/form", "x")
	upstream.asks(t, 0, again)
	location := "https://" + strings.Replace(c.host, "localhost", "LOCALHOST", 1) + "/page"
	upstream.location.Store(&location)
	c.must(t, http.StatusNoContent, http.MethodPost, "/form", "x")
	upstream.asks(t, 1, again)
}
