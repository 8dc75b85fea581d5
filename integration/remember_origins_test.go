package integration

import (
	"fmt"
	"net/http"
	"testing"
)

// TestCrossOriginRevalidation: a script of another origin reads its 304 from memory as it has read the 200, though the
// upstream forgets Vary: Origin. A preflight is the upstream's to answer.
func TestCrossOriginRevalidation(t *testing.T) {
	counting := newCounted("page")
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "ETag")
		}
		w.Header().Set("Timing-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		counting.ServeHTTP(w, r)
	})
	c := noteSite(t, remembering, upstream)
	const a, b = "https://a.example", "https://b.example"
	etag := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	checked := func(h http.Header) string {
		return fmt.Sprint(h["Access-Control-Allow-Origin"], h["Access-Control-Expose-Headers"], h["Timing-Allow-Origin"], h["Cross-Origin-Resource-Policy"])
	}
	for _, fields := range [][]string{{"Origin", a}, {"Origin", b}, {"Origin", "null"}, nil} {
		whole := c.must(t, http.StatusOK, http.MethodGet, "/", "", fields...)
		counting.asks(t, 0, func() {
			again := c.must(t, http.StatusNotModified, http.MethodGet, "/", "", append(fields, "If-None-Match", etag)...)
			if got, want := checked(again.header), checked(whole.header); got != want {
				t.Errorf("%q: the 304 has %s, the 200 %s", fields, got, want)
			}
		})
	}
	counting.asks(t, 1, func() {
		got := c.must(t, http.StatusNoContent, http.MethodOptions, "/", "", "Origin", a, "Access-Control-Request-Method", "GET")
		if got.header.Get("Access-Control-Allow-Origin") != a {
			t.Errorf("the preflight got %v", got.header)
		}
	})
}
