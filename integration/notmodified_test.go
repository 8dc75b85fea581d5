package integration

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// nonceUpstream sends a page whose scripts run under the nonce of this very answer, under one tag for ever. On /304 it
// answers conditions by itself.
func nonceUpstream() http.Handler {
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		nonce := fmt.Sprintf("n%d", n)
		w.Header().Set("Etag", `W/"9b4e"`)
		w.Header().Add("Content-Security-Policy", "default-src 'self'")
		w.Header().Add("Content-Security-Policy", "img-src *, script-src 'nonce-"+nonce+"'")
		w.Header().Set("Content-Security-Policy-Report-Only", "default-src 'none'")
		if r.URL.Path == "/304" && r.Header.Get("If-None-Match") == `W/"9b4e"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<script nonce="+nonce+">alert(1)</script>")
	})
}

// A page with a nonce whose tag does not change with it: the stored page keeps the policy that it came with, whoever
// makes the 304 and whatever is configured.
func TestNonceOfAPageThatWasNotSent(t *testing.T) {
	for name, directives := range map[string]string{
		"bare":         "conditional_cache",
		"with encode":  "conditional_cache\nencode",
		"kept by name": "conditional_cache {\n not_modified {\n keep Content-Security-Policy\n }\n }",
		"etag off":     "conditional_cache {\n etag off\n }",
		"remembered":   "conditional_cache {\n remember 1m\n not_modified {\n keep Content-Security-Policy\n }\n }",
		"set outside":  "header Content-Security-Policy \"script-src 'nonce-{http.request.uuid}'\"\nconditional_cache",
		"nested":       "conditional_cache {\n not_modified {\n keep Content-Security-Policy\n }\n }\nroute {\n conditional_cache\n }",
	} {
		t.Run(name, func(t *testing.T) {
			c := noteSite(t, directives+"\nreverse_proxy {upstream}", nonceUpstream())
			for _, path := range []string{"/200", "/304"} {
				first := c.get(t, path, nil)
				got := c.get(t, path, http.Header{"If-None-Match": {first.header.Get("Etag")}})
				if got.status != http.StatusNotModified || got.header.Get("Etag") != `W/"9b4e"` {
					t.Errorf("%s: got %v, want a 304 with its tag", path, got)
				}
				if lines := got.header["Content-Security-Policy"]; lines != nil {
					t.Errorf("%s: the 304 has the policy %q", path, lines)
				}
				if got.header.Get("Content-Security-Policy-Report-Only") == "" && name != "remembered" {
					t.Errorf("%s: the 304 lacks the policy for reports, which has no nonce", path)
				}
			}
		})
	}
}

// A framework says no-store to every page with a token, and the operator overrules it: what goes out decides.
func TestNoStoreIsOverruled(t *testing.T) {
	c := noteSite(t, `conditional_cache {
		cache_control text/html private no-cache {
			existing replace
		}
		remember 1m
	}
	reverse_proxy {upstream}`, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store, no-cache, must-revalidate")
		w.Header().Set("Pragma", "no-cache")
		w.Header().Set("Expires", "Thu, 19 Nov 1981 08:52:00 GMT")
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.Header().Set("X-Asked", r.Method)
		_, _ = io.WriteString(w, "<p>a page</p>")
	}))
	first := c.get(t, "/", nil)
	etag := first.header.Get("Etag")
	if first.header.Get("Cache-Control") != "private, no-cache" || first.header.Get("Pragma") != "" || etag == "" {
		t.Fatalf("got %v, want the row's word and a tag", first)
	}
	for range 2 {
		again := c.get(t, "/", http.Header{"If-None-Match": {etag}})
		checkNotModified(t, again, etag)
		if again.header.Get("X-Asked") == "" || again.header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("got %v, want the upstream's answer with the row's word", again)
		}
	}
}
