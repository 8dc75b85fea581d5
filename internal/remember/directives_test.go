package remember_test

import (
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

// TestMaxStaleIsNotTakenUp: a client's leave is not the operator's, who says by grace what may be stale (RFC 9111
// §5.2.1.2).
func TestMaxStaleIsNotTakenUp(t *testing.T) {
	s := newSite(t, 0)
	s.visit(s.request("/page"), "Cache-Control: max-age=60")
	s.now = noon.Add(61 * time.Second)
	for _, line := range []string{"Cache-Control: max-stale", "Cache-Control: max-stale=3600", "Cache-Control: max-stale, max-age=3600"} {
		if ok, why := s.answers(s.request("/page", line)); ok || why != remember.WhyStale {
			t.Errorf("%s: answered: %v, %q", line, ok, why)
		}
	}
}

// TestGraceObeysTheRequest: what is stale is not for who asks for something younger, whoever else is asking.
func TestGraceObeysTheRequest(t *testing.T) {
	s := newSite(t, 0)
	s.m.Grace = time.Hour
	s.visit(s.request("/page"), "Cache-Control: max-age=60")
	s.now = noon.Add(61 * time.Second)
	var asker remember.Visit
	asker.Begin(t.Context(), s.m, s.request("/page"), s.now)
	if ok, _ := asker.MayAnswer(s.now); ok {
		t.Fatal("nobody asks")
	}
	defer asker.Leave()
	for line, want := range map[string]remember.Reason{
		"X: nothing": "", "Cache-Control: max-age=60": remember.WhyRequest, "Cache-Control: max-age=61": "",
		"Cache-Control: min-fresh=0": remember.WhyRequest, "Cache-Control: no-cache": remember.WhyRequest, "Pragma: no-cache": remember.WhyRequest,
	} {
		if ok, why := s.answers(s.request("/page", line)); ok != (want == "") || !ok && why != want {
			t.Errorf("%s: answered: %v, %q; want %q", line, ok, why, want)
		}
	}
}
