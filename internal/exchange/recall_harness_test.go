package exchange_test

import (
	"cmp"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// remembering is a handler that remembers, with records of its own.
func remembering(t *testing.T, change func(*Handler)) *Handler {
	t.Helper()
	h := &Handler{Remember: &Remember{TTL: caddy.Duration(time.Hour)}, Block: t.Name()}
	if change != nil {
		change(h)
	}
	return provisioned(t, h)
}

// step is one request to a handler that remembers, and what becomes of it.
type step struct {
	method string // GET
	target string // "/"
	fields []string
	next   caddyhttp.HandlerFunc // sendsPage
	asked  bool                  // next is called
	status int                   // 200
	reason string                // empty: any
	want   []string
}

func (s *step) run(t *testing.T, h caddyhttp.MiddlewareHandler, i int) {
	t.Helper()
	method, target, next, status := cmp.Or(s.method, http.MethodGet), cmp.Or(s.target, "/"), s.next, cmp.Or(s.status, http.StatusOK)
	if next == nil {
		next = sendsPage()
	}
	v := newVisit(t, method, target, s.fields...).to(h, next)
	if asked := v.seen != nil; asked != s.asked {
		t.Errorf("step %d: the upstream was asked: %v, want %v", i, asked, s.asked)
	}
	if got := v.status(); got != status {
		t.Errorf("step %d: status %d, want %d (error %v, panic %v)", i, got, status, v.err, v.panicked)
	}
	if got := v.said("reason"); s.reason != "" && got != s.reason {
		t.Errorf("step %d: reason %q, want %q", i, got, s.reason)
	}
	if status == http.StatusNotModified && v.rec.Body.Len() > 0 {
		t.Errorf("step %d: a 304 with a body", i)
	}
	wantPairs(t, fmt.Sprintf("the response of step %d", i), v.rec.Header(), s.want)
}

func runSteps(t *testing.T, h caddyhttp.MiddlewareHandler, steps ...step) {
	t.Helper()
	for i := range steps {
		steps[i].run(t, h, i+1)
	}
}

// first and revalidation are the steps that most scripts begin with.
var (
	firstVisit   = step{asked: true}
	revalidation = step{fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered", want: pairs("Etag", strongTag)}
)

func changed() step { return step{fields: pairs("If-None-Match", strongTag), status: 304, asked: true} }

// nestedIn is two instances on one request.
type nestedIn struct{ outer, inner *Handler }

func (n nestedIn) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return n.outer.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return n.inner.ServeHTTP(w, r, next)
	}))
}
