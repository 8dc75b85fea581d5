package exchange_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// someone is who asks: fields of the request, and what the server knows besides.
type someone struct {
	fields      []string
	certificate string
	user        string // known before the handler is reached
	userInside  string // found out by a handler further in
}

// asks makes a request of someone's.
func (s someone) asks(t *testing.T, fields ...string) *visit {
	t.Helper()
	v := newVisit(t, http.MethodGet, "/", append(fields, s.fields...)...)
	if s.certificate != "" {
		v.r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(s.certificate)}}}
	}
	if s.user != "" {
		v.repl.Set("http.auth.user.id", s.user)
	}
	return v
}

// gets is the visit of someone, and what the upstream has for everybody: a page with one date.
func (s someone) gets(t *testing.T, h *Handler, fields ...string) *visit {
	t.Helper()
	v := s.asks(t, fields...)
	return v.to(h, func(w http.ResponseWriter, r *http.Request) error {
		if s.userInside != "" {
			v.repl.Set("http.auth.user.id", s.userInside)
		}
		// A handler further in gives the upstream credentials of its own, and edits in place.
		for _, name := range []string{"Cookie", "Authorization"} {
			for i := range r.Header[name] {
				r.Header[name][i] = "replaced"
			}
		}
		defer restore(r.Header, s.fields)
		return sendsPage("Last-Modified", modified)(w, r)
	})
}

func restore(h http.Header, fields []string) {
	for i := 0; i < len(fields); i += 2 {
		h.Del(fields[i])
	}
	addPairs(h, fields)
}

var (
	nobody = someone{}
	alice  = someone{fields: pairs("Cookie", "sid=alice")}
	bob    = someone{fields: pairs("Cookie", "sid=bob")}
	basicA = someone{fields: pairs("Authorization", "Basic YTpi")}
	basicB = someone{fields: pairs("Authorization", "Basic Yjpi")}
)

// keyed is a handler that has a key to digest who asks with.
func keyed(h *Handler) *Handler {
	if h == nil {
		h = new(Handler)
	}
	if h.ETag == nil {
		h.ETag = new(ETag)
	}
	h.ETag.Secret = "secret"
	return h
}

// The date in a tag counts for whom it was made, and for nobody else (design §3, "Entity tags"). Where it does not count,
// the tag goes up alone.
func TestDateCountsForWhomItWasMade(t *testing.T) {
	ignoring := func() *Handler { return &Handler{Remember: &Remember{IgnoreCookies: pairs("theme", "ab_*")}} }
	byKey := func() *Handler { return &Handler{Remember: &Remember{Key: "{http.request.header.X-Api-Key}"}} }
	for _, tt := range []struct {
		name        string
		handler     *Handler
		first, then someone
		counts      bool
	}{
		{"nobody and nobody", nil, nobody, nobody, true},
		{"login", nil, nobody, alice, false},
		{"logout", nil, alice, nobody, false},
		{"the same session", nil, alice, alice, true},
		{"another session", nil, alice, bob, false},
		{"another cookie besides", nil, alice, someone{fields: pairs("Cookie", "sid=alice; lang=de")}, false},
		{"cookies in another order", nil, someone{fields: pairs("Cookie", "a=1; sid=alice")}, someone{fields: pairs("Cookie", "sid=alice; a=1")}, true},
		{"cookies on other lines", nil, someone{fields: pairs("Cookie", "a=1", "Cookie", "sid=alice")}, someone{fields: pairs("Cookie", "sid=alice; a=1")}, true},
		{"the same name twice, in another order", nil, someone{fields: pairs("Cookie", "sid=alice; sid=bob")}, someone{fields: pairs("Cookie", "sid=bob; sid=alice")}, false},
		{"another counter", nil, someone{fields: pairs("Cookie", "_ga=1; sid=alice; _ga_A1=x")}, someone{fields: pairs("Cookie", "_ga=2; sid=alice; _ga_A1=y; _gid=1")}, true},
		{"a counter alone", nil, someone{fields: pairs("Cookie", "_ga=1")}, nobody, true},
		{"another session beside a counter", nil, someone{fields: pairs("Cookie", "_ga=1; sid=alice")}, someone{fields: pairs("Cookie", "_ga=1; sid=bob")}, false},
		{"a session that begins like a counter", nil, someone{fields: pairs("Cookie", "_gallery_session=alice")}, someone{fields: pairs("Cookie", "_gallery_session=bob")}, false},
		{"… and a logout", nil, someone{fields: pairs("Cookie", "_gallery_session=alice")}, nobody, false},
		{"a load balancer's way", nil, someone{fields: pairs("Cookie", "AWSALB=1; sid=alice")}, someone{fields: pairs("Cookie", "AWSALB=2; AWSALBCORS=2; sid=alice")}, true},
		{"a load balancer's user", nil, someone{fields: pairs("Cookie", "AWSELBAuthSessionCookie-0=a")}, someone{fields: pairs("Cookie", "AWSELBAuthSessionCookie-0=b")}, false},
		{"an ignored cookie", ignoring(), someone{fields: pairs("Cookie", "theme=dark; ab_x=1")}, nobody, true},
		{"an ignored cookie beside a session", ignoring(), someone{fields: pairs("Cookie", "sid=alice; theme=dark")}, alice, true},
		{"the same credentials", nil, basicA, basicA, true},
		{"other credentials", nil, basicA, basicB, false},
		{"no credentials any more", nil, basicA, nobody, false},
		{"credentials where there were none", nil, nobody, basicA, false},
		{"a cookie in place of credentials", nil, basicA, alice, false},
		{"credentials beside the same cookie", nil, alice, someone{fields: pairs("Cookie", "sid=alice", "Authorization", "Basic YTpi")}, false},
		{"the same certificate", nil, someone{certificate: "a"}, someone{certificate: "a"}, true},
		{"another certificate", nil, someone{certificate: "a"}, someone{certificate: "b"}, false},
		{"no certificate any more", nil, someone{certificate: "a"}, nobody, false},
		{"the same user", nil, someone{user: "alice"}, someone{user: "alice"}, true},
		{"another user", nil, someone{user: "alice"}, someone{user: "bob"}, false},
		{"no user any more", nil, someone{user: "alice"}, nobody, false},
		{"another user of the same cookie", nil, someone{user: "alice", fields: alice.fields}, someone{user: "bob", fields: alice.fields}, false},
		{"a user found out further in, who is not known yet", nil, someone{userInside: "alice"}, someone{userInside: "alice"}, false},
		{"… and was never found out", nil, someone{userInside: "alice"}, nobody, false},
		{"the same key", byKey(), someone{fields: pairs("X-Api-Key", "a")}, someone{fields: pairs("X-Api-Key", "a")}, true},
		{"another key", byKey(), someone{fields: pairs("X-Api-Key", "a")}, someone{fields: pairs("X-Api-Key", "b")}, false},
		{"no key any more", byKey(), someone{fields: pairs("X-Api-Key", "a")}, nobody, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := provisioned(t, keyed(tt.handler))
			etag := tt.first.gets(t, h).rec.Header().Get("Etag")
			v := tt.then.gets(t, h, "If-None-Match", etag, "If-Modified-Since", modified)
			if tt.counts {
				v.wantSeen("If-Modified-Since", modified)
			} else {
				v.wantSeen("If-None-Match", etag)
			}
			wantStatus(t, v, 304) // by the upstream's date or by the content, which is the same here
			wantPairs(t, "the 304", v.rec.Header(), pairs("Etag", etag))
		})
	}
}

// The tag says for whom its date counts, by a digest that nobody makes without the key.
func TestTagSaysForWhom(t *testing.T) {
	h := provisioned(t, keyed(nil))
	digest := (&tag.Maker{Secret: []byte("secret")}).Digest(tag.Metadata{ContentType: pairs("text/plain")}, []byte(page))
	date := time.Unix(1_700_000_000, 0)
	who := new(identity.Rules).Who(&identity.Request{Cookie: pairs("sid=alice")}, identity.KeyOf([]byte("secret"))).Digest()
	wantPairs(t, "the answer to alice", alice.gets(t, h).rec.Header(), pairs("Etag", digest.FieldFor(false, date, who)))
	wantPairs(t, "the answer to nobody", nobody.gets(t, h).rec.Header(), pairs("Etag", digest.Field(false, date)))

	for name, forged := range map[string]string{
		"nobody's":         digest.Field(false, date),
		"somebody else's":  digest.FieldFor(false, date, strings.Repeat("0", identity.Digits)),
		"with another key": digest.FieldFor(false, date, new(identity.Rules).Who(&identity.Request{Cookie: pairs("sid=alice")}, identity.KeyOf([]byte("guessed"))).Digest()),
	} {
		t.Run(name, func(t *testing.T) { alice.gets(t, h, "If-None-Match", forged).wantSeen("If-None-Match", forged) })
	}
	t.Run("beside another condition", func(t *testing.T) {
		etag := digest.FieldFor(false, date, who)
		alice.gets(t, h, "If-None-Match", etag+`, "abc"`).wantSeen("If-None-Match", etag+`, "abc"`)
	})
}

// A page that comes with another session may be that one's: what was made for whom is not known.
func TestNoDateWithAnotherSession(t *testing.T) {
	h := provisioned(t, keyed(nil))
	for name, tt := range map[string]struct {
		request []string
		set     string
		dots    int
	}{
		"it begins":                   {nil, "sid=1; Path=/", 1},
		"it ends":                     {alice.fields, "sid=; Max-Age=0", 1},
		"it is prolonged":             {alice.fields, "sid=alice; Max-Age=60", 3},
		"a load balancer's":           {alice.fields, "AWSALB=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT", 3},
		"a load balancer's, nobody's": {nil, "AWSALB=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT", 2},
	} {
		v := newVisit(t, "GET", "/", tt.request...).to(h, sendsPage("Last-Modified", modified, "Set-Cookie", tt.set))
		if etag := v.rec.Header().Get("Etag"); strings.Count(etag, ".") != tt.dots {
			t.Errorf("%s: the tag is %s", name, etag)
		}
	}
}

// Without a key there is no date under an identity, whoever's it is; all else is as ever.
func TestWithoutAKey(t *testing.T) {
	h := provisioned(t, nil)
	for name, s := range map[string]someone{"a session": alice, "credentials": basicA, "a certificate": {certificate: "a"}, "a user": {user: "alice"}, "a user found out further in": {userInside: "alice"}} {
		t.Run(name, func(t *testing.T) {
			wantPairs(t, "the answer", s.gets(t, h).rec.Header(), pairs("Etag", strongTag))
			if s.userInside == "" {
				s.gets(t, h, "If-None-Match", datedTag).wantSeen("If-None-Match", datedTag)
			}
		})
	}
	for name, s := range map[string]someone{"nobody": nobody, "a counter": {fields: pairs("Cookie", "_ga=1")}} {
		t.Run(name, func(t *testing.T) {
			wantPairs(t, "the answer", s.gets(t, h).rec.Header(), pairs("Etag", datedTag))
			s.gets(t, h, "If-None-Match", datedTag).wantSeen("If-Modified-Since", modified)
		})
	}
	t.Run("a key of which a placeholder is unknown", func(t *testing.T) {
		h := provisioned(t, keyed(&Handler{Remember: &Remember{Key: "{http.nobody.knows}"}}))
		if etag := nobody.gets(t, h).rec.Header().Get("Etag"); strings.Count(etag, ".") != 1 {
			t.Errorf("the tag is %s", etag)
		}
	})
}

// The date of a 304 from further in counts `expires modified` for whom it was made only.
func TestExpiresModifiedOfAnothersDate(t *testing.T) {
	h := keyed(&Handler{Expires: "modified", ExpiresModified: caddy.Duration(50 * 365 * 24 * time.Hour)})
	h = provisioned(t, h)
	etag := alice.gets(t, h).rec.Header().Get("Etag")
	for name, tt := range map[string]struct {
		who   someone
		lasts bool
	}{"one's own": {who: alice, lasts: true}, "another's": {who: bob}} {
		t.Run(name, func(t *testing.T) {
			v := tt.who.asks(t, "If-None-Match", etag).to(h, says304("Etag", etag))
			wantStatus(t, v, 304)
			if lasts := !strings.Contains(v.rec.Header().Get("Cache-Control"), "max-age=0"); lasts != tt.lasts {
				t.Errorf("Cache-Control: %s", v.rec.Header().Get("Cache-Control"))
			}
		})
	}
}

// A record is for many. So its tag says of nobody that the date counts for him, to whomever it is shown.
func TestRecordsAreForNobody(t *testing.T) {
	h := remembering(t, func(h *Handler) { keyed(h) })
	shared := sendsPage("Last-Modified", modified, "Cache-Control", "public, max-age=60")
	v := newVisit(t, "GET", "/", alice.fields...).to(h, shared)
	etag := v.rec.Header().Get("Etag")
	if strings.Count(etag, ".") != 3 {
		t.Fatalf("the tag is %s", etag)
	}
	bare := etag[:strings.Index(etag, ".")+33] + `"`
	bobs := newVisit(t, "GET", "/other", bob.fields...).to(h, shared).rec.Header().Get("Etag")
	runSteps(t, h,
		step{fields: pairs("If-None-Match", etag, "Cookie", "sid=alice"), status: 304, reason: "remembered", want: pairs("Etag", etag)},
		step{fields: pairs("If-None-Match", bobs, "Cookie", "sid=bob"), status: 304, reason: "remembered", want: pairs("Etag", bobs)},
		step{fields: pairs("If-None-Match", bare), status: 304, reason: "remembered", want: pairs("Etag", bare)},
		step{fields: pairs("If-None-Match", "*", "Cookie", "sid=bob"), status: 304, reason: "remembered", want: pairs("Etag", bare)},
		step{fields: pairs("If-Modified-Since", modified, "Cookie", "sid=bob"), status: 304, reason: "remembered", want: pairs("Etag", bare)},
		step{method: "HEAD", fields: bob.fields, next: sends(200, "", "Last-Modified", modified), asked: true, want: pairs("Etag", bare)},
		// One's own date confirms it still, and nobody else's.
		step{fields: pairs("If-None-Match", etag, "Cookie", "sid=alice", "Cache-Control", "no-cache"), next: says304("Cache-Control", "public, max-age=70"), asked: true, status: 304},
		step{fields: pairs("If-None-Match", bare), status: 304, reason: "remembered", want: pairs("Cache-Control", "public, max-age=70")},
	)
}

// A user whom a handler further in finds out, by what no tag tells, is not known when the date goes up. The upstream's 304
// to it is not for him then, and it is asked again, without conditions.
func TestUserFoundOutBehindADate(t *testing.T) {
	h := provisioned(t, keyed(nil))
	etag := nobody.gets(t, h).rec.Header().Get("Etag")
	for name, tt := range map[string]struct {
		user, page string
		asked      int
		status     int
	}{
		"nobody":                  {"", page, 1, 304},
		"somebody":                {"bob", "the page of bob", 2, 200},
		"somebody, the same page": {"bob", page, 2, 304},
	} {
		t.Run(name, func(t *testing.T) {
			v, asked := newVisit(t, http.MethodGet, "/", "If-None-Match", etag, "X-Token", tt.user), 0
			v.to(h, func(w http.ResponseWriter, r *http.Request) error {
				asked++
				if tt.user != "" {
					caddyReplacer(r).Set("http.auth.user.id", tt.user)
				}
				if r.Header.Get("If-Modified-Since") != "" {
					return says304("Last-Modified", modified)(w, r)
				}
				return sends(200, tt.page, "Content-Type", "text/plain", "Last-Modified", modified)(w, r)
			})
			wantStatus(t, v, tt.status)
			if tt.status == 200 && v.rec.Body.String() != tt.page || asked != tt.asked {
				t.Errorf("asked %d times; got %q", asked, v.rec.Body)
			}
		})
	}
}

func caddyReplacer(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}
