package demo

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// provisioned is an upstream that has been asked nothing.
func provisioned(t *testing.T) *Handler {
	t.Helper()
	h := new(Handler)
	if err := h.Provision(caddy.Context{Context: context.Background()}); err != nil {
		t.Fatal(err)
	}
	return h
}

// ask returns the body of a 2xx.
func ask(t *testing.T, h *Handler, method, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody), nil); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return w.Body.String()
}

// TestResources: each is the same until it is changed, but for those that are other ones each time.
func TestResources(t *testing.T) {
	always := map[string]bool{"form": true, "nonce": true, "clock": true}
	for name := range resources {
		h := provisioned(t)
		before, again := ask(t, h, http.MethodGet, "/a/"+name), ask(t, h, http.MethodGet, "/b/"+name)
		if (before == again) == always[name] {
			t.Errorf("%s: asked twice, it is the same: %t", name, before == again)
		}
		ask(t, h, http.MethodPost, "/upstream/change/"+name)
		if ask(t, h, http.MethodGet, "/a/"+name) == again {
			t.Errorf("%s was changed, and is the same", name)
		}
		if counts := ask(t, h, http.MethodGet, "/upstream/counts"); !strings.Contains(counts, `"`+name+`":3`) || strings.Count(counts, ":0") != len(resources)-1 {
			t.Errorf("%s was asked three times, and the counts are %s", name, counts)
		}
	}
}

func TestDirectiveIsOneWord(t *testing.T) {
	for input, good := range map[string]bool{directive: true, directive + " slow": false, directive + " {\n slow\n}": false} {
		if err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); (err == nil) != good {
			t.Errorf("%q: %v", input, err)
		}
	}
}
