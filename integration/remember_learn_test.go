package integration

import (
	"net/http"
	"testing"
)

// TestFeedsThatOnlyRevalidate: after a start, clients that send nothing but conditions reach the upstream once, be it one
// that judges them or not.
func TestFeedsThatOnlyRevalidate(t *testing.T) {
	fields := []string{"Etag", `"v"`, "Cache-Control", "public, max-age=600"}
	for name, judges := range map[string]bool{"it sends 200 always": false, "it judges by itself": true} {
		t.Run(name, func(t *testing.T) {
			counting := newCounted("page", fields...)
			upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if judges && r.Header.Get("If-None-Match") == `"v"` {
					counting.asked.Add(1)
					w.Header().Set("Etag", `"v"`)
					w.Header().Set("Cache-Control", "public, max-age=600")
					w.WriteHeader(http.StatusNotModified)
					return
				}
				counting.ServeHTTP(w, r)
			})
			c := noteSite(t, "encode\n"+remembering, upstream)
			counting.asks(t, 1, func() {
				for range 4 {
					got := c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", `"v"`)
					if got.header.Get("Etag") != `"v"` || got.header.Get("Cache-Control") != "public, max-age=600" {
						t.Errorf("got %v", got.header)
					}
				}
			})
			counting.asks(t, 1, func() { c.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", `"w"`) })
		})
	}
}

// TestForgedTagsTeachNothing: an upstream that judges by the date alone, and sends back the tag that it was asked by, does
// not make a record of what somebody has made up.
func TestForgedTagsTeachNothing(t *testing.T) {
	const date = "Tue, 14 Nov 2023 22:13:20 GMT"
	counting := newCounted("page")
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counting.asked.Add(1)
		w.Header().Set("Last-Modified", date)
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Etag", `"current"`)
		if named := r.Header.Get("If-None-Match"); named == `"current"` || named != "" && r.Header.Get("If-Modified-Since") == date {
			w.Header().Set("Etag", named)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte("page"))
	})
	c := noteSite(t, remembering, upstream)
	c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", `"old"`, "If-Modified-Since", date)
	counting.asks(t, 1, func() { c.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", `"old"`) })
}
