package remember_test

import (
	"slices"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

func TestCookiesThatMakeNoPagePersonal(t *testing.T) {
	const token, balancer = "Set-Cookie: XSRF-TOKEN=a%3D; Path=/; SameSite=Lax; Secure", "Set-Cookie: AWSALB=abc; Expires=Wed, 04 Mar 2026 19:00:00 GMT; Path=/" //nolint:gosec // nobody's
	hex64 := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	cases := []struct {
		name     string
		request  []string // fields of the first request
		response []string
		asks     []string        // fields of the second one
		want     remember.Reason // why the second one is not answered; empty: it is
	}{
		{"all that are set are there", nil, []string{token}, []string{"Cookie: XSRF-TOKEN=other"}, ""},
		{"on several lines", nil, []string{token, "Set-Cookie: seen_a=1"}, []string{"Cookie: seen_a=2", "Cookie: XSRF-TOKEN=b; _ga=1"}, ""},
		{"none is there", nil, []string{token}, nil, remember.WhyCookies},
		{"one of two is gone", nil, []string{token, "Set-Cookie: seen_a=1"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyCookies},
		{"another one is there", nil, []string{token}, []string{"Cookie: seen_XSRF-TOKEN=b"}, remember.WhyCookies},
		{"names have a case", nil, []string{token}, []string{"Cookie: seen_x=1; XSRF-TOKEN=b"}, ""},
		{"a value is no name", nil, []string{token}, []string{"Cookie: seen_x=XSRF-TOKEN=b"}, remember.WhyCookies},
		{"a load balancer's need not be there", nil, []string{balancer, "Set-Cookie: lb=" + hex64}, nil, ""},
		{"a load balancer's beside another", nil, []string{balancer, token}, []string{"Cookie: XSRF-TOKEN=b"}, ""},
		{"what only looks so", nil, []string{"Set-Cookie: lb=1"}, nil, remember.WhyCookies},
		{"set for those who lack it, and this one had it", []string{"Cookie: XSRF-TOKEN=a"}, nil, nil, remember.WhyCookies},
		{"and the next one has it as well", []string{"Cookie: XSRF-TOKEN=a"}, nil, []string{"Cookie: XSRF-TOKEN=b"}, ""},
		{"a session besides", nil, []string{token}, []string{"Cookie: XSRF-TOKEN=b; id=7"}, remember.WhyPersonal},
		{"a session besides, and public", nil, []string{token, "Cache-Control: public"}, []string{"Cookie: XSRF-TOKEN=b; id=7"}, ""},
		{"public, and gone", nil, []string{token, "Cache-Control: public"}, []string{"Cookie: id=7"}, remember.WhyCookies},

		{"a session is set, too", nil, []string{token, "Set-Cookie: id=7"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyMiss},
		{"another case", nil, []string{"Set-Cookie: xsrf-token=a"}, []string{"Cookie: xsrf-token=a"}, remember.WhyMiss},
		{"no name", nil, []string{"Set-Cookie: =XSRF-TOKEN"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyMiss},
		{"no value", nil, []string{"Set-Cookie: XSRF-TOKEN"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyMiss},
		{"a name in an attribute", nil, []string{"Set-Cookie: id; XSRF-TOKEN=1"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyMiss},
		{"spaces in a name", nil, []string{"Set-Cookie: seen_a b=1"}, []string{"Cookie: seen_a b=1"}, remember.WhyMiss},
		{"two in one line", nil, []string{"Set-Cookie: seen_a=1, id=7"}, []string{"Cookie: seen_a=1"}, remember.WhyMiss},
		{"an empty line", nil, []string{"Set-Cookie: "}, nil, remember.WhyMiss},
		{"taken away", nil, []string{"Set-Cookie: XSRF-TOKEN=; Max-Age=0"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyMiss},
		{"taken away by a date", nil, []string{"Set-Cookie: XSRF-TOKEN=x; expires=Thu, 01 Jan 1970 00:00:00 GMT"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyMiss},
		{"private besides", nil, []string{token, "Cache-Control: private"}, []string{"Cookie: XSRF-TOKEN=b"}, remember.WhyMiss},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, time.Minute)
			s.m.SetCookies.Ignored = []string{"XSRF-TOKEN", "seen_*", "AWSALB", "lb"}
			s.m.Cookies.Ignored = []string{"_ga", "XSRF-TOKEN", "seen_*", "AWSALB", "lb"}
			s.visit(s.request("/page", c.request...), c.response...)
			if ok, why := s.answers(s.request("/page", c.asks...)); ok != (c.want == "") || why != c.want {
				t.Errorf("answered: %v, %q; want %q", ok, why, c.want)
			}
			if got := s.fill(s.request("/page", c.asks...), ""); got["Set-Cookie"] != nil {
				t.Errorf("somebody else's cookie: %v", got)
			}
		})
	}
}

// TestWhoLacksACookieStillEndsARecord: of what it gets to hear, those who have all cookies would have heard the same.
func TestWhoLacksACookieStillEndsARecord(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.SetCookies.Ignored, s.m.Cookies.Ignored = []string{"t"}, []string{"t"}
	s.m.StaleIfError = time.Minute
	s.visit(s.request("/page"), "Set-Cookie: t=1")
	var v remember.Visit
	v.Begin(t.Context(), s.m, s.request("/page"), s.now)
	if v.MayCover(s.now) {
		t.Error("a failure was covered for one who lacks a cookie")
	}
	s.visit(s.request("/page"), "Set-Cookie: t=1", "Cache-Control: private")
	if ok, why := s.answers(s.request("/page", "Cookie: t=2")); ok || why != remember.WhyMiss {
		t.Errorf("answered: %v, %s", ok, why)
	}
}

// TestA304ThatSetsCookies: what it sets is needed as well from then on; one that counts renews nothing.
func TestA304ThatSetsCookies(t *testing.T) {
	for line, want := range map[string]bool{
		"Set-Cookie: u=1":  true, // for who has both
		"Set-Cookie: t=2":  true,
		"X: none":          true,
		"Set-Cookie: id=1": false,
	} {
		s := newSite(t, time.Minute)
		s.m.SetCookies.Ignored, s.m.Cookies.Ignored = []string{"t", "u"}, []string{"t", "u"}
		s.visit(s.request("/page"), "Set-Cookie: t=1")
		s.now = noon.Add(50 * time.Second)
		var v remember.Visit
		v.Begin(t.Context(), s.m, s.request("/page"), s.now)
		v.Detach()
		h := header(line)
		v.Judge(h, s.now)
		v.Confirm(h)
		s.now = noon.Add(100 * time.Second)
		ok, _ := s.answers(s.request("/page", "Cookie: t=1; u=1"))
		if ok != want {
			t.Errorf("%s: renewed: %v", line, ok)
		}
		if alone, _ := s.answers(s.request("/page", "Cookie: t=1")); alone && line == "Set-Cookie: u=1" {
			t.Errorf("%s: answered without", line)
		}
		if without, _ := s.answers(s.request("/page")); without {
			t.Errorf("%s: answered without any", line)
		}
	}
}

// TestManyCookieNamesMakeNoRecord: the names count among a record's texts.
func TestManyCookieNamesMakeNoRecord(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.SetCookies.Ignored = []string{"t*"}
	long := string(slices.Repeat([]byte("t"), 4<<10))
	s.visit(s.request("/page"), "Set-Cookie: "+long+"=1")
	if len(s.store.records) != 0 {
		t.Error("a record of more than 4 KiB")
	}
}
