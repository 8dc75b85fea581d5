package remember_test

import (
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// confirm is a visit whose upstream confirms the record with a 304 of these fields.
func (s *site) confirm(request remember.Request, fields ...string) {
	var v remember.Visit
	v.Begin(s.t.Context(), s.m, request, s.now)
	v.Detach()
	h := header(fields...)
	v.Judge(h, s.now)
	v.Confirm(h)
	v.Leave()
}

func TestAConfirmationThatEndsTheLifetimeIsHeard(t *testing.T) {
	for _, line := range []string{"Cache-Control: max-age=0", "Cache-Control: s-maxage=0, max-age=60"} {
		s := newSite(t, 0)
		page := s.request("/")
		s.visit(page, "Cache-Control: max-age=3600")
		s.now = s.now.Add(time.Minute)
		s.confirm(page, line)
		if ok, _ := s.answers(page); ok {
			t.Errorf("a 304 with %q, and the record is still used", line)
		}
	}
}

func TestPersonalVisitsLeaveTheSharedRecordAlone(t *testing.T) {
	for _, fields := range [][]string{{"Cookie: session=1"}, {"Authorization: Basic eA=="}, {"Cache-Control: no-store"}} {
		s := newSite(t, time.Hour)
		s.visit(s.request("/"))
		s.visit(s.request("/", fields...))
		if ok, why := s.answers(s.request("/")); !ok {
			t.Errorf("after a visit with %v: %s", fields, why)
		}
	}
}

func TestAClockSetBackDoesNotEndRemembering(t *testing.T) {
	s := newSite(t, 24*time.Hour)
	s.visit(s.request("/"))
	s.now = s.now.Add(-time.Hour)
	s.visit(s.request("/"))
	if ok, why := s.answers(s.request("/")); !ok {
		t.Errorf("right after a visit: %s", why)
	}
}

func TestAClaimEndsUnderTheKeyItBeganUnder(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Grace = time.Hour
	page := s.request("/")
	s.visit(page)
	s.now = s.now.Add(2 * time.Minute)
	var v remember.Visit
	v.Begin(t.Context(), s.m, page, s.now)
	if ok, _ := v.MayAnswer(s.now); ok {
		t.Fatal("nobody asks")
	}
	s.answer(&v, "Vary: Accept") // and leaves
	// The site loses its Vary: the URI is forgotten, and remembered as at first.
	_ = s.store.Forget(t.Context(), validators.NewURI(page.Host, page.URL))
	s.visit(page)
	s.now = s.now.Add(2 * time.Minute)
	if ok, _ := s.answers(page); ok {
		t.Error("answered though nobody asks")
	}
}

func TestAgeThatIsTooLargeIsOld(t *testing.T) {
	for _, line := range []string{"Age: 9999999999", "Age: 120, 3", "Age: 99999999999999999999999"} {
		s := newSite(t, 0)
		s.visit(s.request("/"), "Cache-Control: max-age=60", line)
		if ok, _ := s.answers(s.request("/")); ok {
			t.Errorf("%s: used as if it were young", line)
		}
	}
}

func TestWaitingForTheAnswerCountsAsAge(t *testing.T) {
	s := newSite(t, 0)
	page := s.request("/")
	var v remember.Visit
	v.Begin(t.Context(), s.m, page, s.now)
	s.now = s.now.Add(50 * time.Second) // RFC 9111 §4.2.3: response_delay
	s.answer(&v, "Cache-Control: max-age=60")
	s.now = s.now.Add(30 * time.Second)
	if ok, _ := s.answers(page); ok {
		t.Error("80 s after the request, with max-age=60, it is fresh")
	}
}

func TestFreshIsLessThanTheLifetime(t *testing.T) {
	s := newSite(t, 0)
	s.visit(s.request("/"), "Cache-Control: max-age=60")
	s.now = s.now.Add(60 * time.Second)
	if ok, _ := s.answers(s.request("/")); ok {
		t.Error("RFC 9111 §4.2: freshness_lifetime > current_age")
	}
}

func TestRecordsAreBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, line := range []string{"Content-Location: /" + long, "Cache-Control: max-age=60, " + long, `Etag: "` + long + `"`, "Vary: " + long} {
		s := newSite(t, time.Hour)
		s.visit(s.request("/"), line)
		for _, kept := range s.store.records {
			if len(kept) > 20_000 {
				t.Errorf("%.20s: a record of %d octets", line, len(kept))
			}
		}
	}
}

func TestAConfirmationsVaryCookieIsNotLostByDrop(t *testing.T) {
	s := newSite(t, time.Hour)
	page := s.request("/")
	s.visit(page)
	var v remember.Visit
	v.Begin(t.Context(), s.m, page, s.now)
	v.Detach()
	v.Judge(header("Vary: Cookie", "Cache-Control: max-age=60"), s.now.Add(20*time.Minute))
	v.Confirm(header("Cache-Control: max-age=60")) // not_modified drop Vary
	v.Leave()
	s.now = s.now.Add(20 * time.Minute)
	if ok, _ := s.answers(s.request("/", "Cookie: session=ada")); ok {
		t.Error("a page for nobody is for a session")
	}
}

func TestADateAloneThatHasMovedEndsTheRecord(t *testing.T) {
	s := newSite(t, time.Hour)
	page := s.request("/")
	visit := func(day int, complete bool) {
		var v remember.Visit
		v.Begin(t.Context(), s.m, page, s.now)
		v.Detach()
		h := header("Cache-Control: max-age=60")
		v.Judge(h, s.now)
		v.Prepare(remember.Response{Header: h, LastModified: noon.AddDate(0, 0, day), Trust: httpcond.TrustOrder, Size: 3})
		v.Save(complete)
	}
	visit(-3, true)
	visit(-1, false)
	if ok, _ := s.answers(page); ok {
		t.Error("what the upstream has said to be older is still remembered")
	}
}

func TestQueryThatIsEmptyIsNotNone(t *testing.T) {
	s := newSite(t, time.Hour)
	s.visit(s.request("/p"))
	if ok, _ := s.answers(s.request("/p?")); ok {
		t.Error("/p? and /p share a record")
	}
}
