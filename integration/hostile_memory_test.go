package integration

import (
	"net/http"
	"strconv"
	"testing"
)

// TestNobodyForgetsAPageByNamingIt: a write forgets what it is about, not what its sender says that it is about, nor what is on
// another server. One that fails forgets nothing.
func TestNobodyForgetsAPageByNamingIt(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(r.Header.Get("X-Status")); err == nil {
			w.Header()["Location"] = r.Header["X-Location"]
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = w.Write([]byte("a page"))
	})
	c := noteSite(t, remembering, upstream)
	for name, tt := range map[string]struct {
		method, path, status string
		fields               []string
		forgets              bool
	}{
		"POST with Destination":              {"POST", "/other", "200", []string{"Destination", "/page"}, false},
		"PUT with Destination":               {"PUT", "/other", "200", []string{"Destination", "/page"}, false},
		"MOVE with Destinations":             {"MOVE", "/other", "201", []string{"Destination", "/else", "Destination", "/page"}, false},
		"MOVE to it":                         {"MOVE", "/other", "201", []string{"Destination", "/page"}, true},
		"MOVE that fails":                    {"MOVE", "/other", "403", []string{"Destination", "/page"}, false},
		"POST that is not allowed":           {"POST", "/page", "405", nil, false},
		"POST that needs to log in":          {"POST", "/page", "401", nil, false},
		"PURGE that is not known":            {"PURGE", "/page", "501", nil, true}, // a server's failure may be halfway
		"POST":                               {"POST", "/page", "200", nil, true},
		"POST with another query":            {"POST", "/page?x", "200", nil, false},
		"POST that leads to it":              {"POST", "/other", "303", []string{"X-Location", "/page"}, true},
		"POST that leads to another server":  {"POST", "/other", "303", []string{"X-Location", "https://example.org/page"}, false},
		"POST with a Host of another server": {"POST", "/page", "200", []string{"Host", "example.org"}, false},
		"POST with a forwarded host":         {"POST", "/other", "200", []string{"X-Forwarded-Host", c.host, "X-Original-URL", "/page", "X-Rewrite-URL", "/page"}, false},
		"POST whose sender says that it is":  {"POST", "/other", "200", []string{"Content-Location", "/page", "Location", "/page", "Referer", "/page"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			etag := c.must(t, http.StatusOK, "GET", "/page", "").header.Get("Etag")
			sender := *c
			var fields []string
			for i := 0; i < len(tt.fields); i += 2 {
				if tt.fields[i] == "Host" {
					sender.host = tt.fields[i+1]
					continue
				}
				fields = append(fields, tt.fields[i:i+2]...)
			}
			if _, err := sender.write(t.Context(), tt.method, tt.path, "x", append(fields, "X-Status", tt.status)...); err != nil {
				t.Fatal(err)
			}
			again := c.must(t, http.StatusNotModified, "GET", "/page", "", "If-None-Match", etag)
			if forgotten := again.header.Get("Age") == ""; forgotten != tt.forgets {
				t.Errorf("the page is forgotten: %t, want %t", forgotten, tt.forgets)
			}
		})
	}
}
