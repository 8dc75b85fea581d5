package integration

import (
	"io"
	"net/http"
	"testing"
)

// TestOff: a directive that is off keeps its siblings away from what it matches, reads and writes alike, and no others.
func TestOff(t *testing.T) {
	const site = `
conditional_cache {
	etag strong
	guard_writes
	remember 1h
	content_location
}
conditional_cache /raw/* off
handle /raw/nested/* {
	conditional_cache
	reverse_proxy {upstream}
}
handle {
	reverse_proxy {upstream}
}`
	c := noteSite(t, site, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Location", "/page")
			w.Header().Set("Etag", "unquoted")
		}
		_, _ = io.WriteString(w, "page")
	}))
	tag := c.must(t, http.StatusOK, http.MethodGet, "/page", "").header.Get("Etag")
	c.must(t, http.StatusNotModified, http.MethodGet, "/page", "", "If-None-Match", tag)

	raw := c.must(t, http.StatusOK, http.MethodGet, "/raw/page", "", "If-None-Match", tag, "Range", "bytes=0-1")
	if raw.body != "page" || raw.header.Get("Etag") != "" || raw.header.Get("Content-Location") != "" || raw.header.Get("Accept-Ranges") != "" {
		t.Errorf("what is off has got %v", raw)
	}
	if got := c.must(t, http.StatusOK, http.MethodGet, "/raw/nested/page", ""); got.header.Get("Etag") == "" {
		t.Errorf("in another block there is no tag: %v", got)
	}
	if got := c.must(t, http.StatusOK, http.MethodPut, "/raw/page", "x", "If-Match", `"other"`); got.header.Get("Etag") != "unquoted" {
		t.Errorf("a write that is off was answered with %v", got)
	}
	c.must(t, http.StatusPreconditionFailed, http.MethodPut, "/page", "x", "If-Match", `"other"`)
}

// TestOffForgets: what a write names that is off is not answered from memory any longer.
func TestOffForgets(t *testing.T) {
	upstream := newCounted("page")
	location := "/page"
	upstream.location.Store(&location)
	c := noteSite(t, "conditional_cache {\nremember 1h\n}\nconditional_cache /raw/* off\nreverse_proxy {upstream}", upstream)
	tag := c.must(t, http.StatusOK, http.MethodGet, "/page", "").header.Get("Etag")
	upstream.asks(t, 0, func() { c.must(t, http.StatusNotModified, http.MethodGet, "/page", "", "If-None-Match", tag) })
	c.must(t, http.StatusNoContent, http.MethodPost, "/raw/page", "x")
	upstream.asks(t, 1, func() { c.must(t, http.StatusNotModified, http.MethodGet, "/page", "", "If-None-Match", tag) })
}

// TestCacheControlOff: what a row selects that is off is left as the upstream sent it, errors too; the rows below speak to
// the rest, each path and each type of theirs.
func TestCacheControlOff(t *testing.T) {
	const site = `
conditional_cache {
	cache_control /raw/* /api/* off
	cache_control text/css image/* max-age=1d
	cache_control @missing max-age=1m
	cache_control /a/* /b/* max-age=1h
	expires off
	@missing status 404
}
reverse_proxy {upstream}`
	c := noteSite(t, site, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if said := r.Header.Get("X-Says"); said != "" {
			w.Header().Set("Cache-Control", said)
		}
		w.Header().Set("Content-Type", r.Header.Get("X-Type"))
		if r.Header.Get("X-Missing") != "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "page")
	}))
	for _, asked := range []struct {
		path, kind, says, want string
		missing                string
	}{
		{path: "/raw/a", kind: "image/png"},
		{path: "/api/a", kind: "text/css", says: "max-age=5", want: "max-age=5"},
		{path: "/api/a", kind: "text/html", missing: "yes"},
		{path: "/a/b", kind: "text/css", want: "max-age=86400"},
		{path: "/a/b", kind: "image/png", want: "max-age=86400"},
		{path: "/a/b", kind: "text/html", want: "max-age=3600"},
		{path: "/b/b", kind: "text/html", want: "max-age=3600"},
		{path: "/b/b", kind: "text/html", missing: "yes", want: "max-age=60"},
		{path: "/c", kind: "text/html"},
	} {
		status := http.StatusOK
		if asked.missing != "" {
			status = http.StatusNotFound
		}
		got := c.must(t, status, http.MethodGet, asked.path, "", "X-Type", asked.kind, "X-Says", asked.says, "X-Missing", asked.missing)
		if got.header.Get("Cache-Control") != asked.want {
			t.Errorf("%+v: %q", asked, got.header.Get("Cache-Control"))
		}
	}
}
