package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

func TestFlags(t *testing.T) {
	for line, want := range map[string]struct {
		pairs, seconds, rows int
		refused              bool
	}{
		"":                                {21, 1, len(rows), false},
		"-short -pairs 99":                {3, 1, len(rows), false},
		"-pairs 5 -seconds 2 -rows ^held": {5, 2, 3, false},
		"-rows A/A|off":                   {21, 1, 2, false},
		"-rows (":                         {refused: true},
		"-pairs 0":                        {refused: true},
		"-seconds 61":                     {refused: true},
		"held":                            {refused: true},
	} {
		o, err := parse(strings.Fields(line), io.Discard)
		if (err != nil) != want.refused {
			t.Errorf("%q: %v", line, err)
		}
		if err == nil && (o.pairs != want.pairs || o.seconds != want.seconds || len(matching(o.rows)) != want.rows) {
			t.Errorf("%q: got %+v, %d rows", line, o, len(matching(o.rows)))
		}
	}
}

// TestPages: the upstream has every page of the table, and what a row says of its length is right.
func TestPages(t *testing.T) {
	handler := rig.Pages()
	for _, r := range rows {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, r.page, nil))
		if got, want := int64(w.Body.Len()), r.bodyOf(proxied); w.Code != http.StatusOK || got != want || want == 0 {
			t.Errorf("%s: %d with %d bytes, want %d", r.page, w.Code, got, want)
		}
		header := w.Header()
		if chunked := header.Get("Content-Length") == ""; chunked != strings.HasPrefix(r.page, "/chunked/") {
			t.Errorf("%s: chunked is %t", r.page, chunked)
		}
		if header.Get("Etag") != "" || header.Get("Last-Modified") != "" {
			t.Errorf("%s has validators", r.page)
		}
	}
	for _, path := range []string{"/length/x", "/length/-1", "/length/99999999999", "/length"} {
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
