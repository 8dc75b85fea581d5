package subrequest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func prepared(t *testing.T) (*http.Request, http.ResponseWriter) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://user@a.example/page?q=1", http.NoBody)
	r.Header = http.Header{"Accept": {"a", "b"}, "Cookie": {"c=d"}, "Empty": {}}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	caddyhttp.SetVar(r.Context(), "outside", "1")
	return r, w
}

// TestNote: whatever handlers have done to a request does not show in the second one.
func TestNote(t *testing.T) {
	r, w := prepared(t)
	var n Note
	n.Take(r)
	r.Header["Accept"][0] = "changed"
	r.Header.Set("New", "1")
	r.Host, r.RequestURI, r.URL.Path, r.Method = "b.example", "/changed", "/changed", http.MethodPost
	caddyhttp.SetVar(r.Context(), "inside", "1")
	groups, _ := r.Context().Value(routeGroups).(map[string]struct{})
	groups["used"] = struct{}{}

	got := n.Request(r, http.MethodHead, w)
	if got.Method != http.MethodHead || got.Host != "a.example" || got.URL.String() != "http://user@a.example/page?q=1" || got.RequestURI != "http://user@a.example/page?q=1" {
		t.Errorf("it asks with %s for %s of %s (%s)", got.Method, got.URL, got.Host, got.RequestURI)
	}
	if h := got.Header; len(h) != 3 || h["Accept"][0] != "a" || h["Accept"][1] != "b" || h.Get("Cookie") != "c=d" {
		t.Errorf("it has %v", h)
	}
	if got.Header.Add("Accept", "x"); got.Header.Get("Cookie") != "c=d" {
		t.Error("its lists are in each other's way")
	}
	if caddyhttp.GetVar(got.Context(), "outside") != "1" || caddyhttp.GetVar(got.Context(), "inside") != nil {
		t.Error("its variables are not those of the first")
	}
	if groups, ok := got.Context().Value(routeGroups).(map[string]struct{}); !ok || len(groups) != 0 {
		t.Errorf("its groups are %v", groups)
	}
}

// TestNoteIsCheap: a note that is taken again costs no allocation, as most are never needed.
func TestNoteIsCheap(t *testing.T) {
	r, _ := prepared(t)
	var n Note
	if allocs := testing.AllocsPerRun(100, func() {
		n.Take(r)
		n.Forget()
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
