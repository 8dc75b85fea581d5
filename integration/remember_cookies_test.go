package integration

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
)

// tokens gives every response a new token, as Inertia's adapters do, and one of a load balancer.
type tokens struct {
	*counted
	made  atomic.Int64
	login string // one more cookie to set, of who signs in; empty: none
}

func (c *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Set-Cookie", fmt.Sprintf("XSRF-TOKEN=%d; Path=/; SameSite=Lax", c.made.Add(1)))
	w.Header().Add("Set-Cookie", "AWSALB=a/b+c; Path=/")
	if c.login != "" && r.URL.Path == "/login" {
		w.Header().Add("Set-Cookie", c.login)
	}
	c.counted.ServeHTTP(w, r)
}

// TestTokensOfGuests: what every guest is given makes no page personal. Who has lost it gets a new one, and nobody gets
// somebody else's.
func TestTokensOfGuests(t *testing.T) {
	for name, fields := range map[string][]string{"a page": nil, "an image for all": {"Cache-Control", "max-age=600, public, immutable"}} {
		t.Run(name, func(t *testing.T) {
			upstream := &tokens{counted: newCounted("page", fields...), login: "session=7"}
			const site = "conditional_cache {\n remember 10m {\n  ignore_cookies XSRF-TOKEN AWSALB\n  ignore_set_cookie XSRF-TOKEN AWSALB\n }\n}\nreverse_proxy {upstream}"
			c := noteSite(t, site, upstream)
			first := c.must(t, http.StatusOK, http.MethodGet, "/", "")
			etag := first.header.Get("Etag")
			revalidates := func(path, cookies string, set int) {
				t.Helper()
				got := c.must(t, http.StatusNotModified, http.MethodGet, path, "", "Cookie", cookies, "If-None-Match", etag)
				if len(got.header["Set-Cookie"]) != set {
					t.Errorf("%s with %q got %v, want %d cookies", path, cookies, got.header, set)
				}
			}
			if got := first.header["Set-Cookie"]; len(got) != 2 {
				t.Fatalf("the first guest got %q", got)
			}
			upstream.asks(t, 0, func() { revalidates("/", "XSRF-TOKEN=1; AWSALB=x", 0); revalidates("/", "XSRF-TOKEN=2", 0) })
			upstream.asks(t, 2, func() { revalidates("/", "", 2); revalidates("/", "AWSALB=x", 2) })
			upstream.asks(t, 2, func() { revalidates("/login", "XSRF-TOKEN=1", 3); revalidates("/login", "XSRF-TOKEN=1", 3) })
		})
	}
}
