package integration

import (
	"net/http"
	"testing"
)

// TestRowsForbidRemembering: beside a row that is private or no-store, a changed page is never "not modified", whatever the ttl.
func TestRowsForbidRemembering(t *testing.T) {
	for _, row := range []string{
		"cache_control private no-store", "cache_control text/plain private", "cache_control no-store {\n existing replace\n }", "cache_control private {\n existing merge\n }",
	} {
		t.Run(row, func(t *testing.T) {
			upstream := newCounted("one", "Content-Type", "text/plain")
			c := noteSite(t, "conditional_cache {\n remember 5m\n "+row+"\n}\nreverse_proxy {upstream}", upstream)
			etag := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
			if etag == "" {
				etag = `"none"`
			}
			two := "two"
			upstream.page.Store(&two)
			if got := c.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", etag); got.body != two {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestPublicRowsBehindTheProxy: with a row that is public each of two people has a record, and neither gets the other's page.
func TestPublicRowsBehindTheProxy(t *testing.T) {
	counting := newCounted("")
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counting.asked.Add(1)
		_, _ = w.Write([]byte("page of " + r.Header.Get("Cookie")))
	})
	c := noteSite(t, "conditional_cache {\n remember 5m\n cache_control public max-age=60\n}\nreverse_proxy {upstream}", upstream)
	tags := make(map[string]string)
	for _, who := range []string{"id=1", "id=2"} {
		tags[who] = c.must(t, http.StatusOK, http.MethodGet, "/", "", "Cookie", who).header.Get("Etag")
	}
	counting.asks(t, 0, func() {
		for who, etag := range tags {
			c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "Cookie", who, "If-None-Match", etag)
		}
	})
	c.must(t, http.StatusOK, http.MethodGet, "/", "", "Cookie", "id=1", "If-None-Match", tags["id=2"])
	c.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", tags["id=2"])
}
