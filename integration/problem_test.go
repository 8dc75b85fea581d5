package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// documentedSite runs the Caddyfile of docs/writes.md that has a mark before an upstream.
func documentedSite(t *testing.T, mark string, upstream http.Handler) *client {
	t.Helper()
	for _, block := range codeBlocks(t, "../docs/writes.md", "caddyfile") {
		if !strings.Contains(block.text, mark) {
			continue
		}
		server := httptest.NewServer(upstream)
		t.Cleanup(server.Close)
		port := freePort(t)
		text := strings.Replace(block.text, "example.com", fmt.Sprintf("http://localhost:%d", port), 1)
		runCaddy(t, strings.Replace(text, "127.0.0.1:3000", server.Listener.Addr().String(), 1))
		return plainClient(t, port)
	}
	t.Fatalf("docs/writes.md has no Caddyfile with %q", mark)
	return nil
}

// TestProblemDetails: the documented error says which version is current, in JSON whatever the tag is.
func TestProblemDetails(t *testing.T) {
	for name, tt := range map[string]struct {
		up   *naming
		want string // "": none is told
	}{
		"ours":            {&naming{quiet: true}, ""},
		"the upstream's":  {&naming{}, `"up-1"`},
		"a weak one":      {&naming{tag: func(int) string { return `W/"up"` }}, `W/"up"`},
		"with backslashs": {&naming{tag: func(int) string { return `"a\b{}<&>'"` }}, `"a\b{}<&>'"`},
		"nothing there":   {&naming{get: http.NotFound}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tt.up.version, tt.up.text = 1, longText
			c := documentedSite(t, "problem+json", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", "https://app.example")
				tt.up.ServeHTTP(w, r)
			}))
			if name == "ours" {
				tt.want = c.get(t, "/", nil).header.Get("Etag")
			}
			for status, fields := range map[int][]string{412: {"If-Match", `"cc1.ffffffffffffffffffffffffffffffff"`}, 428: nil} {
				wantProblem(t, c.must(t, status, "PUT", "/", "new", fields...), tt.want)
			}
			if strings.Contains(tt.up.methods(), "PUT") {
				t.Error("a write came through")
			}
		})
	}
}

// wantProblem checks an error's body, and that scripts may read it and its ETag.
func wantProblem(t *testing.T, got answer, current string) {
	t.Helper()
	var problem struct {
		Title, Detail string
		Status        int
		Current       *string `json:"current_etag"`
	}
	if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Current == nil {
		t.Fatalf("%s: %v", got.body, err)
	}
	if problem.Status != got.status || problem.Title == "" || *problem.Current != current || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %s as %q, want the tag %s", got.body, got.header.Get("Content-Type"), current)
	}
	if got.header.Get("Access-Control-Allow-Origin") != "https://app.example" || got.header.Get("Access-Control-Expose-Headers") != "ETag" {
		t.Errorf("no script may read it: %v", got.header)
	}
}

// TestWeakUpstreamAsDocumented: the documented recipe for upstreams with weak tags only, whose application compares what it
// gets, as strictly as can be.
func TestWeakUpstreamAsDocumented(t *testing.T) {
	n := &naming{version: 1, text: longText, tag: func(v int) string { return fmt.Sprintf(`W/"7d0-%d"`, v) }}
	c := documentedSite(t, "existing replace\n\t\t}\n\t\tguard_writes", n)
	read := c.get(t, "/", nil).header.Get("Etag")
	if got := c.must(t, http.StatusNoContent, "PUT", "/", "new", "If-Match", read); got.header["Etag"] != nil {
		t.Errorf("the answer names %s", got.header.Get("Etag"))
	}
	c.must(t, http.StatusPreconditionFailed, "PUT", "/", "newer", "If-Match", read)
	c.must(t, http.StatusPreconditionFailed, "PUT", "/", "newer", "If-Match", `W/"7d0-2"`)
}
