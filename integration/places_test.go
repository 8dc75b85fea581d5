package integration

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/zeebo/xxh3"
)

// samePlace finds a query by which the URI of a search would share the place of the root, if places were a hash that
// everybody knows.
func samePlace(host string) string {
	place := func(path, query string) uint16 {
		return uint16(xxh3.HashStringSeed(query, xxh3.HashStringSeed(path, xxh3.HashString(host))))
	}
	for n := 0; ; n++ {
		if query := fmt.Sprintf("q=%d", n); place("/search", query) == place("/", "") {
			return query
		}
	}
}

// TestAPageIsNotForgottenByAWriteElsewhere: who may not write to a page cannot work out another URI to write to, so
// that it is forgotten.
func TestAPageIsNotForgottenByAWriteElsewhere(t *testing.T) {
	upstream := newCounted("a page")
	site := noteSite(t, remembering, upstream)
	etag := site.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	site.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag)
	before := upstream.asked.Load()
	site.must(t, http.StatusNoContent, http.MethodPost, "/search?"+samePlace(site.host), "x")
	site.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag)
	if asked := upstream.asked.Load() - before; asked != 1 {
		t.Errorf("the upstream was asked %d times, want once, by the write", asked)
	}
	site.must(t, http.StatusNoContent, http.MethodPost, "/", "x")
	before = upstream.asked.Load()
	site.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag)
	if upstream.asked.Load() == before {
		t.Error("a write to the page itself leaves it remembered")
	}
}
