package remember_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// noon is when the tests begin.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const pageTag = `"cc1.0123456789abcdef0123456789abcdef"`

// header writes a header map from lines such as "Vary: Cookie".
func header(lines ...string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// site is a memory with a store and a clock.
type site struct {
	t     *testing.T
	m     *remember.Memory
	store *shelf
	now   time.Time
}

func newSite(t *testing.T, ttl time.Duration) *site {
	t.Helper()
	store := newShelf()
	return &site{t: t, m: &remember.Memory{Store: store, TTL: ttl}, store: store, now: noon}
}

func (s *site) request(target string, fields ...string) remember.Request {
	s.t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		s.t.Fatal(err)
	}
	return remember.Request{Scheme: "https", Host: "a.example", URL: u, Header: header(fields...)}
}

// visit begins a visit and lets the next handler answer it with a complete 200.
func (s *site) visit(request remember.Request, fields ...string) {
	s.t.Helper()
	var v remember.Visit
	v.Begin(s.t.Context(), s.m, request, s.now)
	s.answer(&v, fields...)
}

// answer is the next handler's answer: a 200 with a tag of ours.
func (s *site) answer(v *remember.Visit, fields ...string) {
	v.Detach()
	h := header(fields...)
	v.Judge(h, s.now)
	if h["Etag"] == nil {
		h.Set("Etag", pageTag)
	}
	v.Prepare(remember.Response{Header: h, Size: 1000})
	v.Save(true)
	v.Leave()
}

// answers reports whether a request may be answered from memory, and why not.
func (s *site) answers(request remember.Request) (ok bool, why remember.Reason) {
	var v remember.Visit
	v.Begin(s.t.Context(), s.m, request, s.now)
	defer v.Leave()
	return v.MayAnswer(s.now)
}

// names is a list of so many names of fields.
func names(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("x-%d", i))
	}
	return strings.Join(list, ", ")
}

func TestWhatIsRememberedOfWhom(t *testing.T) { //nolint:funlen // a table
	const ttl = time.Minute
	cases := []struct {
		name     string
		ttl      time.Duration
		request  []string // fields of the first request
		response []string
		asks     []string        // fields of the second one
		want     remember.Reason // why the second one is not answered; empty: it is
	}{
		{"its own lifetime", 0, nil, []string{"Cache-Control: max-age=60"}, nil, ""},
		{"s-maxage", 0, nil, []string{"Cache-Control: s-maxage=60"}, nil, ""},
		{"Expires", 0, nil, []string{"Expires: Wed, 04 Mar 2026 12:01:00 GMT"}, nil, ""},
		{"no lifetime", 0, nil, nil, nil, remember.WhyMiss},
		{"a heuristic is none", 0, nil, []string{"Last-Modified: Wed, 04 Mar 2020 12:01:00 GMT"}, nil, remember.WhyMiss},
		{"used up on its way", 0, nil, []string{"Cache-Control: max-age=60", "Age: 60"}, nil, remember.WhyMiss},
		{"an operator's ttl", ttl, nil, nil, nil, ""},
		{"ttl over a max-age of 0", ttl, nil, []string{"Cache-Control: max-age=0"}, nil, ""},
		{"no-store", ttl, nil, []string{"Cache-Control: no-store"}, nil, remember.WhyMiss},
		{"private", ttl, nil, []string{"Cache-Control: private, max-age=60"}, nil, remember.WhyMiss},
		{"private of some fields", ttl, nil, []string{`Cache-Control: private="x-user"`}, nil, remember.WhyMiss},
		{"private cookies, and none there", ttl, nil, []string{`Cache-Control: private="Set-Cookie"`}, nil, ""},
		{"no-cache", ttl, nil, []string{"Cache-Control: no-cache"}, nil, remember.WhyMiss},
		{"private to CDNs", ttl, nil, []string{"CDN-Cache-Control: private"}, nil, remember.WhyMiss},
		{"no-store to surrogates", ttl, nil, []string{`Surrogate-Control: no-store, content="ESI/1.0"`}, nil, remember.WhyMiss},
		{"Set-Cookie", ttl, nil, []string{"Set-Cookie: a=1", "Cache-Control: public"}, nil, remember.WhyMiss},
		{"4 KiB of fields", ttl, nil, []string{"Content-Location: /" + strings.Repeat("x", 4<<10)}, nil, remember.WhyMiss},
		{"Vary: *", ttl, nil, []string{"Vary: *"}, nil, remember.WhyMiss},
		{"a Vary of 16 names", ttl, nil, []string{"Vary: " + names(16)}, nil, ""},
		{"a Vary of 17 names", ttl, nil, []string{"Vary: " + names(17)}, nil, remember.WhyMiss},
		{"a Vary of no names", ttl, nil, []string{"Vary: a b"}, nil, remember.WhyMiss},
		{"asked with no-store", ttl, []string{"Cache-Control: no-store"}, nil, nil, remember.WhyMiss},
		{"asked with no-cache", ttl, []string{"Cache-Control: no-cache"}, nil, nil, ""},

		{"credentials", ttl, []string{"Authorization: Basic eA=="}, nil, nil, remember.WhyMiss},
		{"credentials, and public", ttl, []string{"Authorization: Basic eA=="}, []string{"Cache-Control: public"}, nil, ""},
		{"credentials, and s-maxage", ttl, []string{"Authorization: Basic eA=="}, []string{"Cache-Control: s-maxage=9"}, nil, ""},
		{"credentials, and must-revalidate", ttl, []string{"Authorization: Basic eA=="}, []string{"Cache-Control: must-revalidate"}, nil, ""},
		{"for credentials", ttl, nil, nil, []string{"Authorization: Basic eA=="}, remember.WhyPersonal},
		{"for credentials, and public", ttl, nil, []string{"Cache-Control: public"}, []string{"Authorization: Basic eA=="}, ""},
		{"cookies", ttl, []string{"Cookie: a=1"}, nil, nil, remember.WhyMiss},
		{"cookies, and public", ttl, []string{"Cookie: a=1"}, []string{"Cache-Control: public"}, nil, ""},
		{"cookies that count for the answer", ttl, []string{"Cookie: a=1"}, []string{"Vary: Cookie"}, []string{"Cookie: a=1"}, ""},
		{"other cookies", ttl, []string{"Cookie: a=1"}, []string{"Vary: Cookie"}, []string{"Cookie: a=2"}, remember.WhyMiss},
		{"no cookies, asked with some", ttl, nil, nil, []string{"Cookie: a=1"}, remember.WhyPersonal},
		{"no cookies, public, asked with some", ttl, nil, []string{"Cache-Control: public"}, []string{"Cookie: a=1"}, ""},

		{"no-cache asked", ttl, nil, nil, []string{"Cache-Control: no-cache"}, remember.WhyRequest},
		{"Pragma asked", ttl, nil, nil, []string{"Pragma: no-cache"}, remember.WhyRequest},
		{"Pragma beside Cache-Control", ttl, nil, nil, []string{"Pragma: no-cache", "Cache-Control: max-age=5"}, ""},
		{"a reload against a ttl", ttl, nil, nil, []string{"Cache-Control: max-age=0"}, ""},
		{"a reload", 0, nil, []string{"Cache-Control: max-age=60", "Age: 5"}, []string{"Cache-Control: max-age=0"}, remember.WhyRequest},
		{"young enough", 0, nil, []string{"Cache-Control: max-age=60", "Age: 5"}, []string{"Cache-Control: max-age=5"}, ""},
		{"fresh for long enough", 0, nil, []string{"Cache-Control: max-age=60"}, []string{"Cache-Control: min-fresh=60"}, ""},
		{"not for long enough", 0, nil, []string{"Cache-Control: max-age=60"}, []string{"Cache-Control: min-fresh=61"}, remember.WhyRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.ttl)
			s.visit(s.request("/page", c.request...), c.response...)
			if ok, why := s.answers(s.request("/page", c.asks...)); ok != (c.want == "") || why != c.want {
				t.Errorf("answered: %v, %q; want %q", ok, why, c.want)
			}
		})
	}
}

func TestWhoIsKnownIsNobodysBusiness(t *testing.T) {
	s := newSite(t, time.Minute)
	known := s.request("/page")
	known.Unshared = true
	s.visit(known, "Cache-Control: public")
	if len(s.store.records) != 0 {
		t.Error("what a known client got was remembered")
	}
	s.visit(s.request("/page"), "Cache-Control: public")
	if ok, _ := s.answers(known); ok {
		t.Error("a known client was answered from memory")
	}
}

func TestOneURIIsWhatTheClientSent(t *testing.T) {
	s := newSite(t, time.Minute)
	s.visit(s.request("/page?a=1"))
	other := s.request("/page?a=1")
	other.Host = "b.example"
	plain := s.request("/page?a=1")
	plain.Scheme = "http"
	extra := s.request("/page?a=1")
	extra.Extra = "eu"
	for name, request := range map[string]remember.Request{
		"query": s.request("/page?a=2"), "no query": s.request("/page"), "path": s.request("/page/?a=1"),
		"host": other, "scheme": plain, "key": extra, "case": s.request("/Page?a=1"),
	} {
		if ok, _ := s.answers(request); ok {
			t.Errorf("another %s was answered", name)
		}
	}
	if ok, why := s.answers(s.request("/page?a=1")); !ok {
		t.Errorf("the same URI was not answered: %s", why)
	}
}

// TestTargetsWithoutAPath: what is no path, as in `GET http:p`, reaches the upstream as it stands.
func TestTargetsWithoutAPath(t *testing.T) {
	s := newSite(t, time.Minute)
	opaque := func(target string) remember.Request {
		r := s.request("/")
		r.URL = &url.URL{Scheme: "http", Opaque: target}
		return r
	}
	empty := s.request("/")
	empty.URL = &url.URL{}
	for range 100 { // so that keys that are at hand are among them
		s.visit(opaque("p"))
	}
	for name, request := range map[string]remember.Request{"another": opaque("q"), "none": empty, "the root": s.request("/")} {
		if ok, _ := s.answers(request); ok {
			t.Errorf("%s was answered", name)
		}
	}
	if ok, why := s.answers(opaque("p")); !ok {
		t.Errorf("the same was not answered: %s", why)
	}
}

// TestOriginsAreForgottenTogether: each has a record of its own, and all are of one URI.
func TestOriginsAreForgottenTogether(t *testing.T) {
	origins := [][]string{nil, {"https://a.example"}, {"https://b.example"}, {"https://a.example", "https://b.example"}, {""}}
	for name, forget := range map[string]func(*site){
		"forgotten": func(s *site) { s.m.Forget(t.Context(), 0, remember.Changed("a.example", s.request("/page").URL, nil)) },
		"purged":    func(s *site) { _ = s.store.Purge(t.Context(), validators.Scope{Host: "a.example", Path: "/page"}) },
	} {
		s := newSite(t, time.Minute)
		from := func(origin []string) remember.Request {
			r := s.request("/page")
			r.Origin = origin
			return r
		}
		for i, origin := range origins {
			if ok, why := s.answers(from(origin)); ok || why != remember.WhyMiss {
				t.Errorf("%q was answered from another one's record, or %s", origin, why)
			}
			s.visit(from(origin), fmt.Sprintf("Access-Control-Allow-Origin: %d", i))
		}
		for i, origin := range origins {
			if got := s.fill(from(origin), "").Get("Access-Control-Allow-Origin"); got != fmt.Sprint(i) {
				t.Errorf("%q has what is for %s", origin, got)
			}
		}
		forget(s)
		for _, origin := range origins {
			if ok, _ := s.answers(from(origin)); ok {
				t.Errorf("%s, %q is still answered", name, origin)
			}
		}
	}
}

// TestKeptFieldsMakeOneRecord: whatever the order of a map, the same fields are the same record.
func TestKeptFieldsMakeOneRecord(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Keep = map[string]bool{"X-A": true, "X-B": true, "X-C": true}
	for range 20 {
		s.visit(s.request("/page"), "X-A: 1", "X-B: 2", "X-C: 3", "Access-Control-Allow-Origin: *", "Timing-Allow-Origin: *")
	}
	if s.store.saves != 1 {
		t.Errorf("%d saves", s.store.saves)
	}
}

func TestAnotherConfigurationHasItsOwnRecords(t *testing.T) {
	s := newSite(t, time.Minute)
	s.visit(s.request("/page"))
	s.m = &remember.Memory{Store: s.store, TTL: time.Minute, Secret: [32]byte{1}}
	if ok, _ := s.answers(s.request("/page")); ok {
		t.Error("answered from a record of another configuration")
	}
}

func TestValuesNominatedByVarySelect(t *testing.T) {
	cases := []struct {
		name, vary  string
		first, then []string
		want        bool
	}{
		{"same", "Accept-Language", []string{"Accept-Language: de"}, []string{"Accept-Language: de"}, true},
		{"case and spaces of languages", "Accept-Language", []string{"Accept-Language: de-AT, en;q=0.5"}, []string{"Accept-Language: DE-at,en; q=0.5"}, true},
		{"other language", "Accept-Language", []string{"Accept-Language: de"}, []string{"Accept-Language: en"}, false},
		{"none", "Accept-Language", []string{"Accept-Language: de"}, nil, false},
		{"empty", "X-A", nil, []string{"X-A: "}, false},
		{"case of other fields", "X-A", []string{"X-A: b"}, []string{"X-A: B"}, false},
		{"lines", "X-A", []string{"X-A: b", "X-A: c"}, []string{"X-A: b, c"}, true},
		{"several", "X-A, x-b", []string{"X-A: 1", "X-B: 2"}, []string{"X-B: 2", "X-A: 1"}, true},
		{"several, moved", "X-A, x-b", []string{"X-A: 1", "X-B: 2"}, []string{"X-A: 2", "X-B: 1"}, false},
		{"cookies that do not count", "Cookie", []string{"Cookie: _ga_1=2; id=1"}, []string{"Cookie: id=1; _gab=4; x=7"}, true},
		{"no cookie that counts", "Cookie", nil, []string{"Cookie: x=7"}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, time.Minute)
			s.m.Cookies.Ignored = []string{"_ga*", "x"}
			s.visit(s.request("/page", c.first...), "Vary: "+c.vary)
			if ok, why := s.answers(s.request("/page", c.then...)); ok != c.want {
				t.Errorf("answered: %v (%s), want %v", ok, why, c.want)
			}
		})
	}
}

func TestCookiesThatDoNotCountAreNone(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Cookies.Ignored = []string{"_ga*"}
	s.visit(s.request("/page", "Cookie: _ga=1; _gat=2"))
	if ok, why := s.answers(s.request("/page", "Cookie: _ga=3")); !ok {
		t.Errorf("not answered: %s", why)
	}
	if ok, _ := s.answers(s.request("/page", "Cookie: _ga=3; session=1")); ok {
		t.Error("a session was answered with what nobody's request gave")
	}
}

func TestVariantsAreBounded(t *testing.T) {
	s := newSite(t, time.Minute)
	for i := range 3 * validators.MaxVariants {
		s.visit(s.request("/page", fmt.Sprintf("X-A: %d", i)), "Vary: X-A")
	}
	if n := len(s.store.records); n != validators.MaxVariants+1 {
		t.Errorf("%d records of one URI, want %d and a signpost", n, validators.MaxVariants)
	}
	if ok, _ := s.answers(s.request("/page", "X-A: 0")); ok {
		t.Error("the oldest variant is still answered")
	}
	if ok, why := s.answers(s.request("/page", fmt.Sprintf("X-A: %d", 3*validators.MaxVariants-1))); !ok {
		t.Errorf("the newest variant is not answered: %s", why)
	}
}

func TestAVaryThatGrowsSelectsByAllOfIt(t *testing.T) {
	s := newSite(t, time.Minute)
	s.visit(s.request("/page", "X-A: 1", "X-B: 1"), "Vary: X-A")
	s.visit(s.request("/page", "X-A: 2", "X-B: 1"), "Vary: X-B")
	if ok, _ := s.answers(s.request("/page", "X-A: 2", "X-B: 2")); ok {
		t.Error("answered although X-B differs")
	}
	if ok, _ := s.answers(s.request("/page", "X-A: 1", "X-B: 1")); ok {
		t.Error("a record that was selected by X-A only is answered")
	}
	if ok, why := s.answers(s.request("/page", "X-A: 2", "X-B: 1")); !ok {
		t.Errorf("not answered: %s", why)
	}
}

func TestASlowAnswerDoesNotOutliveAWrite(t *testing.T) {
	for name, forget := range map[string]func(*site){
		"forgotten": func(s *site) { s.m.Forget(t.Context(), 0, remember.Changed("a.example", s.request("/page").URL, nil)) },
		"purged":    func(s *site) { _ = s.store.Purge(t.Context(), validators.Scope{Host: "a.example", Path: "/"}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, time.Minute)
			var slow remember.Visit
			slow.Begin(t.Context(), s.m, s.request("/page"), s.now)
			forget(s)
			s.answer(&slow)
			if ok, _ := s.answers(s.request("/page")); ok {
				t.Error("what was read before the write is answered after it")
			}
			s.visit(s.request("/page"))
			if ok, why := s.answers(s.request("/page")); !ok {
				t.Errorf("what was read after it is not: %s", why)
			}
		})
	}
}

func TestGraceLetsOneAsk(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Grace = time.Minute
	s.visit(s.request("/page"))
	s.now = noon.Add(90 * time.Second)
	var asker, second remember.Visit
	asker.Begin(t.Context(), s.m, s.request("/page"), s.now)
	if ok, why := asker.MayAnswer(s.now); ok || why != remember.WhyStale {
		t.Fatalf("the first one was answered: %v, %q", ok, why)
	}
	second.Begin(t.Context(), s.m, s.request("/page"), s.now)
	if ok, why := second.MayAnswer(s.now); !ok {
		t.Fatalf("the second one was not answered: %s", why)
	}
	second.Leave()
	if ok, _ := s.answers(s.request("/page")); !ok {
		t.Error("the leaving of one who was answered has ended the asking")
	}
	asker.Leave() // it has failed
	if ok, _ := s.answers(s.request("/page")); ok {
		t.Error("nobody asks any longer, and the next one does not either")
	}
	s.now = noon.Add(2*time.Minute + time.Millisecond)
	if ok, _ := s.answers(s.request("/page")); ok {
		t.Error("answered after the grace")
	}
}

func TestWhatMustNotBeStaleIsNot(t *testing.T) {
	for _, directive := range []string{"must-revalidate", "proxy-revalidate", "s-maxage=60"} {
		s := newSite(t, 0)
		s.m.Grace, s.m.StaleIfError = time.Hour, time.Hour
		s.visit(s.request("/page"), "Cache-Control: max-age=60, "+directive)
		s.now = noon.Add(61 * time.Second)
		var asker, second remember.Visit
		for _, v := range []*remember.Visit{&asker, &second} {
			v.Begin(t.Context(), s.m, s.request("/page"), s.now)
			if ok, _ := v.MayAnswer(s.now); ok || v.MayCover(s.now) {
				t.Errorf("%s: answered when stale", directive)
			}
		}
	}
}

func TestStaleIfError(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.StaleIfError = time.Minute
	s.visit(s.request("/page"))
	covers := func(fields ...string) bool {
		var v remember.Visit
		v.Begin(t.Context(), s.m, s.request("/page", fields...), s.now)
		return v.MayCover(s.now)
	}
	for after, want := range map[time.Duration]bool{0: true, 2 * time.Minute: true, 2*time.Minute + 1e6: false, -time.Second: false} {
		if s.now = noon.Add(after); covers() != want {
			t.Errorf("after %v: %v, want %v", after, !want, want)
		}
	}
	s.now = noon
	if covers("Cache-Control: no-cache") || covers("Authorization: x") {
		t.Error("covered for a request that is not to be answered from memory")
	}
}

// fill is the 304 that a request is answered with.
func (s *site) fill(request remember.Request, etag string) http.Header {
	var v remember.Visit
	v.Begin(s.t.Context(), s.m, request, s.now)
	h := header("Vary: Outer", "X-Outer: stays")
	v.Fill(h, etag, s.now, new(remember.Space))
	return h
}

func TestFieldsOfTheAnswer(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Keep = map[string]bool{"X-Own": true, "Set-Cookie": true}
	s.visit(s.request("/page"), "Cache-Control: public", "Vary: A", "Vary: B", "Content-Type: text/html", "X-Own: 1", "X-Own: 2",
		"Expires: Wed, 04 Mar 2026 12:01:00 GMT", "Date: Wed, 04 Mar 2026 11:59:50 GMT", "Content-Location: /p", "X-Other: 1")
	s.now = noon.Add(5 * time.Second)
	want := header("Cache-Control: public", "Vary: A", "Vary: B", "X-Own: 1", "X-Own: 2", "Expires: Wed, 04 Mar 2026 12:01:00 GMT",
		"Date: Wed, 04 Mar 2026 11:59:50 GMT", "Content-Location: /p", "ETag: "+pageTag, "Age: 15", "X-Outer: stays")
	if got := s.fill(s.request("/page"), ""); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := s.fill(s.request("/page"), `W/"x"`).Get("Etag"); got != `W/"x"` {
		t.Errorf("the client's form became %s", got)
	}
}

// A policy with a nonce is another one each time, and on no 304: it is no reason to write a record anew.
func TestANonceIsNotRemembered(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Keep = map[string]bool{"Content-Security-Policy": true}
	for _, nonce := range []string{"a", "b", "c"} {
		s.visit(s.request("/page"), "Content-Security-Policy: default-src 'self'", "Content-Security-Policy: script-src 'nonce-"+nonce+"'")
	}
	if s.store.saves != 1 {
		t.Errorf("%d records were written, want 1", s.store.saves)
	}
	if got := s.fill(s.request("/page"), "")["Content-Security-Policy"]; got != nil {
		t.Errorf("the answer has %q", got)
	}
}

func TestLastModifiedOnlyWithoutATag(t *testing.T) {
	s := newSite(t, time.Minute)
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var v remember.Visit
	v.Begin(t.Context(), s.m, s.request("/page"), s.now)
	v.Detach()
	v.Judge(header(), s.now)
	v.Prepare(remember.Response{Header: header(), LastModified: date, Size: -1})
	v.Save(true)
	if got := s.fill(s.request("/page"), "").Get("Last-Modified"); got != httpcond.FormatDate(date) {
		t.Errorf("Last-Modified %q", got)
	}
	rep := func() httpcond.Representation {
		var v remember.Visit
		v.Begin(t.Context(), s.m, s.request("/page"), s.now)
		return v.Representation()
	}()
	if rep.HasETag || !rep.LastModified.Equal(date) {
		t.Errorf("judged against %+v", rep)
	}
}

func TestOnlyCompleteBodiesAreRemembered(t *testing.T) {
	s := newSite(t, time.Minute)
	var v remember.Visit
	v.Begin(t.Context(), s.m, s.request("/page"), s.now)
	v.Detach()
	v.Judge(header(), s.now)
	v.Prepare(remember.Response{Header: header("ETag: " + pageTag)})
	v.Save(false)
	if len(s.store.records) != 0 {
		t.Error("a body that was cut off is remembered")
	}
}

func TestAnotherAnswerEndsARecord(t *testing.T) {
	for name, fields := range map[string][]string{
		"private": {"Cache-Control: private"}, "a cookie and another page": {"Set-Cookie: a=1", `ETag: "other"`}, "Vary: *": {"Vary: *"},
		"another page": {`ETag: "other"`, "Cache-Control: private"}, "no validator": {"ETag: none"},
	} {
		s := newSite(t, time.Minute)
		s.visit(s.request("/page"))
		s.visit(s.request("/page"), fields...)
		if ok, _ := s.answers(s.request("/page")); ok {
			t.Errorf("%s: still answered", name)
		}
	}
}

// An upstream may name another field in Vary than it did before: both select from then on.
func TestVaryThatBecomesAnother(t *testing.T) {
	s := newSite(t, time.Minute)
	asks := func(a, b string) remember.Request { return s.request("/page", "A: "+a, "B: "+b) }
	s.visit(asks("1", "1"), "Vary: A")
	s.visit(asks("1", "1"), "Vary: B", "Content-Location: /b")
	for _, c := range []struct {
		a, b string
		want bool
	}{{"1", "1", true}, {"1", "2", false}, {"2", "1", false}} {
		if ok, why := s.answers(asks(c.a, c.b)); ok != c.want {
			t.Errorf("A: %s, B: %s: answered: %t %s", c.a, c.b, ok, why)
		}
	}
}

func TestTheSameAgainIsNotWrittenAgain(t *testing.T) {
	s := newSite(t, time.Minute)
	for range 10 {
		s.now = s.now.Add(time.Second)
		s.visit(s.request("/page"), "Expires: "+httpcond.FormatDate(s.now.Add(time.Minute)))
	}
	if s.store.saves != 2 { // at first, and a tenth of the ttl later
		t.Errorf("%d saves", s.store.saves)
	}
	s.visit(s.request("/page"), "Cache-Control: max-age=5")
	if s.store.saves != 3 {
		t.Error("another Cache-Control was not written")
	}
}

func TestConfirmationRenews(t *testing.T) {
	confirm := func(t *testing.T, ttl time.Duration, fields ...string) (*site, bool) {
		t.Helper()
		s := newSite(t, ttl)
		s.visit(s.request("/page"), "Cache-Control: max-age=60", "Content-Location: /p")
		s.now = noon.Add(50 * time.Second)
		var v remember.Visit
		v.Begin(t.Context(), s.m, s.request("/page"), s.now)
		v.Detach()
		h := header(fields...)
		v.Judge(h, s.now)
		v.Confirm(h)
		s.now = noon.Add(100 * time.Second)
		ok, _ := s.answers(s.request("/page"))
		return s, ok
	}
	t.Run("own lifetime", func(t *testing.T) {
		s, ok := confirm(t, 0)
		if !ok {
			t.Error("not renewed")
		}
		if h := s.fill(s.request("/page"), ""); h.Get("Cache-Control") != "max-age=60" || h.Get("Content-Location") != "/p" || h.Get("Age") != "50" {
			t.Errorf("fields %v", h)
		}
	})
	t.Run("new fields", func(t *testing.T) {
		s, ok := confirm(t, 0, "Cache-Control: max-age=70, public")
		if h := s.fill(s.request("/page"), ""); !ok || h.Get("Cache-Control") != "max-age=70, public" {
			t.Errorf("renewed: %v, fields %v", ok, h)
		}
	})
	for _, fields := range []string{"Cache-Control: no-store", "Cache-Control: private", "Set-Cookie: a=1", "Cache-Control: max-age=1"} {
		if _, ok := confirm(t, 0, fields); ok {
			t.Errorf("%s: renewed", fields)
		}
	}
	if _, ok := confirm(t, time.Minute, "CDN-Cache-Control: no-store"); ok {
		t.Error("renewed against CDN-Cache-Control")
	}
}

func TestTagsThatConfirm(t *testing.T) {
	begin := func(remembered string) *remember.Visit {
		s := newSite(t, time.Minute)
		s.visit(s.request("/page"), "ETag: "+remembered)
		v := new(remember.Visit)
		v.Begin(t.Context(), s.m, s.request("/page"), s.now)
		return v
	}
	const hex = "cc1.0123456789abcdef0123456789abcdef"
	if v := begin(`"a"`); !v.Names(`"a"`) || v.Names(`W/"a"`) || v.Names(`"b"`) || v.Names("") {
		t.Error("an upstream's tag is confirmed by itself, to the letter")
	}
	if v := begin(`"` + hex + `"`); !v.Names(`W/"` + hex + `.t5bv40"`) {
		t.Error("a tag of ours is confirmed by its digest")
	}
	v := begin(`W/"` + hex + `.t5bv40"`)
	if !v.NamesDated(hex+".t5bv40") || v.NamesDated(hex+".t5bv41") || v.NamesDated(hex) || v.NamesDated("x.t5bv40") {
		t.Error("a translated date confirms by digest and date")
	}
}

func TestHeadOfAnotherRepresentation(t *testing.T) {
	date := noon.Add(-time.Hour)
	s := newSite(t, time.Minute)
	var v remember.Visit
	v.Begin(t.Context(), s.m, s.request("/page"), s.now)
	v.Detach()
	v.Judge(header(), s.now)
	v.Prepare(remember.Response{Header: header(`ETag: "a"`), LastModified: date, Size: 7})
	v.Save(true)
	cases := []struct {
		name   string
		fields []string
		date   time.Time
		want   bool
	}{
		{"nothing said", nil, time.Time{}, false},
		{"all the same", []string{"Content-Length: 7", `ETag: "a"`}, date, false},
		{"length", []string{"Content-Length: 8"}, time.Time{}, true},
		{"tag", []string{`ETag: "b"`}, time.Time{}, true},
		{"date", nil, date.Add(time.Second), true},
	}
	for _, c := range cases {
		if got := v.Differs(header(c.fields...), c.date); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWhatAWriteMakesDoubtful(t *testing.T) {
	target, _ := url.ParseRequestURI("/a/b?q")
	paths := func(fields ...string) (all []string) {
		h := header(fields...)
		for _, uri := range remember.Changed("a.example:443", target, h["Location"], h["Content-Location"], h["Destination"]) {
			all = append(all, uri.Path)
		}
		return all
	}
	cases := []struct {
		fields []string
		want   []string
	}{
		{nil, []string{"/a/b"}},
		{[]string{"Location: /c", "Content-Location: d"}, []string{"/a/b", "/c", "/a/d"}},
		{[]string{"Destination: https://a.example/c"}, []string{"/a/b", "/c"}},
		{[]string{"Location: https://A.example/c"}, []string{"/a/b", "/c"}},
		{[]string{"Location: https://b.example/c"}, []string{"/a/b"}},
		{[]string{"Location: //b.example/c"}, []string{"/a/b"}},
		{[]string{"Location: mailto:x"}, []string{"/a/b"}},
		{[]string{"Location: ://"}, []string{"/a/b"}},
		{[]string{"Location: /a/b?q"}, []string{"/a/b"}},
	}
	for _, c := range cases {
		if got := paths(c.fields...); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.fields, got, c.want)
		}
	}
	for status, want := range map[int]bool{200: true, 204: true, 400: false, 498: false, 499: true, 303: true, 304: true, 405: false, 412: false, 500: true, 502: true} {
		if remember.Changes(status) != want {
			t.Errorf("%d: %v", status, !want)
		}
	}
}

func TestABrokenStoreIsNoMemory(t *testing.T) {
	s := newSite(t, time.Minute)
	s.visit(s.request("/page"))
	s.store.broken = true
	if ok, why := s.answers(s.request("/page")); ok || why != remember.WhyUnavailable {
		t.Errorf("answered: %v, %q", ok, why)
	}
	s.visit(s.request("/page"))
}

func TestAnAnswerAllocatesFieldValuesOnly(t *testing.T) {
	s := newSite(t, time.Minute)
	s.visit(s.request("/page"), "Cache-Control: public, max-age=60")
	request := s.request("/page", "If-None-Match: "+pageTag)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		var v remember.Visit
		v.Begin(ctx, s.m, request, s.now)
		if ok, _ := v.MayAnswer(s.now); !ok {
			t.Fatal("not answered")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWhatOthersGetEndsNoRecord(t *testing.T) {
	for name, other := range map[string]struct{ request, response []string }{
		"a session":                  {[]string{"Cookie: id=1"}, []string{`ETag: "of a user"`, "Cache-Control: private"}},
		"credentials":                {[]string{"Authorization: x"}, []string{`ETag: "of a user"`}},
		"the same page, not to keep": {[]string{"Cache-Control: no-store"}, nil},
		"the same page and a cookie": {nil, []string{"Set-Cookie: a=1"}},
	} {
		s := newSite(t, time.Minute)
		s.visit(s.request("/page"))
		s.visit(s.request("/page", other.request...), other.response...)
		if ok, why := s.answers(s.request("/page")); !ok {
			t.Errorf("%s: not answered any longer: %s", name, why)
		}
	}
}

func TestTimesToTheLastMillisecond(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Grace, s.m.StaleIfError = time.Minute, 2*time.Minute
	s.visit(s.request("/page"))
	cases := []struct {
		after               time.Duration
		fresh, grace, cover bool
	}{
		{-time.Millisecond, false, false, false}, // a clock was set back
		{0, true, false, true},
		{time.Minute - time.Millisecond, true, false, true},
		{time.Minute, false, true, true},
		{2 * time.Minute, false, true, true},
		{2*time.Minute + time.Millisecond, false, false, true},
		{3 * time.Minute, false, false, true},
		{3*time.Minute + time.Millisecond, false, false, false},
	}
	for _, c := range cases {
		s.now = noon.Add(c.after)
		var asker, second remember.Visit
		asker.Begin(t.Context(), s.m, s.request("/page"), s.now)
		second.Begin(t.Context(), s.m, s.request("/page"), s.now)
		first, why := asker.MayAnswer(s.now)
		other, _ := second.MayAnswer(s.now)
		if first != c.fresh || other != (c.fresh || c.grace) || asker.Fresh(s.now) != c.fresh || asker.MayCover(s.now) != c.cover {
			t.Errorf("after %v: the first is answered: %v (%s), the second: %v, fresh: %v, covers: %v", c.after, first, why, other, asker.Fresh(s.now), asker.MayCover(s.now))
		}
		second.Leave()
		asker.Leave()
	}
}

func TestFreshIsForWhoMayBeAnswered(t *testing.T) {
	s := newSite(t, time.Minute)
	s.visit(s.request("/page"))
	for _, fields := range [][]string{{"Cache-Control: no-cache"}, {"Cache-Control: no-store"}, {"Cookie: a=1"}} {
		var v remember.Visit
		v.Begin(t.Context(), s.m, s.request("/page", fields...), s.now)
		if v.Fresh(s.now) {
			t.Errorf("fresh for %v", fields)
		}
	}
	var none, nobody remember.Visit
	none.Begin(t.Context(), s.m, s.request("/other"), s.now)
	if none.Fresh(s.now) || nobody.MayCover(s.now) || none.MayCover(s.now) {
		t.Error("what there is not is fresh, or covers")
	}
}

func TestAgeOnArrival(t *testing.T) {
	for field, want := range map[string]string{"Age: 7": "7", "Age: -7": "0", "Age: x": "0", "Date: Wed, 04 Mar 2026 11:59:50 GMT": "10"} {
		s := newSite(t, time.Minute)
		s.visit(s.request("/page"), field)
		if got := s.fill(s.request("/page"), "").Get("Age"); got != want {
			t.Errorf("%s: Age %s, want %s", field, got, want)
		}
	}
}

func TestFieldsToKeepAreKeptOnce(t *testing.T) {
	s := newSite(t, time.Minute)
	s.m.Keep = map[string]bool{"Vary": true, "Cache-Control": true, "Etag": true, "Date": true, "Last-Modified": true}
	s.visit(s.request("/page"), "Cache-Control: public", "Vary: A")
	h := s.fill(s.request("/page"), "")
	for _, name := range []string{"Vary", "Cache-Control", "Etag", "Date"} {
		if len(h[name]) != 1 {
			t.Errorf("%s: %q", name, h[name])
		}
	}
	if h["Last-Modified"] != nil {
		t.Errorf("Last-Modified of a response that had none: %q", h["Last-Modified"])
	}
}

// TestTheFieldsThatGoOutSayHowLong: without a ttl our own rows count, also where they say that it is not for others.
func TestTheFieldsThatGoOutSayHowLong(t *testing.T) {
	for line, want := range map[string]bool{"max-age=60": true, "private, max-age=60": false, "no-store": false, "public": false, "max-age=0": false} {
		s := newSite(t, 0)
		var v remember.Visit
		v.Begin(t.Context(), s.m, s.request("/page"), s.now)
		v.Detach()
		v.Judge(header(), s.now)
		v.Prepare(remember.Response{Header: header("ETag: "+pageTag, "Cache-Control: "+line), Size: 1})
		v.Save(true)
		if ok, _ := s.answers(s.request("/page")); ok != want {
			t.Errorf("%s: %v", line, ok)
		}
	}
}

func TestACutOffAnswerEndsARecordOfAnotherTag(t *testing.T) {
	for etag, want := range map[string]bool{pageTag: true, `"other"`: false} {
		s := newSite(t, time.Minute)
		s.visit(s.request("/page"))
		var v remember.Visit
		v.Begin(t.Context(), s.m, s.request("/page"), s.now)
		v.Detach()
		v.Judge(header(), s.now)
		v.Prepare(remember.Response{Header: header("ETag: " + etag)})
		v.Save(false)
		if ok, _ := s.answers(s.request("/page")); ok != want {
			t.Errorf("after %s: %v", etag, ok)
		}
	}
}

func TestLongURIsHaveKeysOfTheirOwn(t *testing.T) {
	s := newSite(t, time.Minute)
	for _, length := range []int{400, 440, 460, 480, 500, 520, 600, 3000} {
		long := "/" + strings.Repeat("x", length)
		s.visit(s.request(long + "?a"))
		if ok, why := s.answers(s.request(long + "?a")); !ok {
			t.Errorf("%d: not answered: %s", length, why)
		}
		for _, other := range []string{long + "?b", long + "x?a", long[:len(long)-1] + "?a"} {
			if ok, _ := s.answers(s.request(other)); ok {
				t.Errorf("%d: another URI is answered", length)
			}
		}
	}
}

func TestFirstSeenAsksTheStore(t *testing.T) {
	s := newSite(t, time.Minute)
	request := s.request("/page", "Cookie: a=1")
	if date, ok := s.m.FirstSeen(&request, []string{"Cookie"}, "tag", noon, 0); !ok || !date.Equal(noon) {
		t.Errorf("got %v, %v", date, ok)
	}
	if _, ok := s.m.FirstSeen(&request, []string{"*"}, "tag", noon, 0); ok {
		t.Error("a date of something that is never the same")
	}
	s.store.broken = true
	if _, ok := s.m.FirstSeen(&request, nil, "tag", noon, 0); ok {
		t.Error("a date of a store that fails")
	}
}

func TestDatesThatConfirm(t *testing.T) {
	date := noon.Add(-time.Hour)
	begin := func(etag string, trust httpcond.DateTrust) *remember.Visit {
		s := newSite(t, time.Minute)
		h := header()
		if etag != "" {
			h.Set("ETag", etag)
		}
		var first remember.Visit
		first.Begin(t.Context(), s.m, s.request("/page"), s.now)
		first.Detach()
		first.Judge(header(), s.now)
		first.Prepare(remember.Response{Header: h, LastModified: date, Trust: trust})
		first.Save(true)
		v := new(remember.Visit)
		v.Begin(t.Context(), s.m, s.request("/page"), s.now)
		return v
	}
	if v := begin("", httpcond.TrustOrder); !v.NamesDate(date) || v.NamesDate(date.Add(time.Second)) || v.NamesDate(time.Time{}) {
		t.Error("a record without a tag is confirmed by its date, and no other")
	}
	if begin(pageTag, httpcond.TrustOrder).NamesDate(date) || begin("", httpcond.TrustEqual).NamesDate(date) {
		t.Error("a date confirms a record that has a tag, or one whose date was found")
	}
	var none remember.Visit
	if none.NamesDate(date) || none.NamesDate(time.Time{}) {
		t.Error("a date confirms nothing at all")
	}
}

// However many calls a request makes, the store is told how long it has waited for those before.
func TestTheStoreIsToldForHowLongARequestHasWaited(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, time.Minute)
		for _, calls := range []string{"Load, Save of a signpost, Save", "Load, Load, Save"} {
			s.now, s.store.waited, s.store.delay = time.Now(), nil, 10*ms
			s.visit(s.request("/page"), "Vary: X-A", "Cache-Control: max-age=60")
			if want := []time.Duration{0, 10 * ms, 20 * ms}; !slices.Equal(s.store.waited, want) {
				t.Errorf("%s: %v, want %v", calls, s.store.waited, want)
			}
			time.Sleep(30 * time.Second) //nolint:forbidigo // of the bubble, so that it is saved again
		}
		s.store.waited = nil
		uris := remember.Changed("a.example", s.request("/page").URL, []string{"/other"})
		waited := s.m.Forget(t.Context(), 5*ms, uris)
		if want := []time.Duration{5 * ms, 15 * ms}; !slices.Equal(s.store.waited, want) || waited != 25*ms {
			t.Errorf("two Forgets: %v, %v in all, want %v", s.store.waited, waited, want)
		}
	})
}
