package exchange

import (
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// claims are what a request says of who asks, as it came to this instance: handlers further in may write other cookies and
// credentials in their place, for an upstream that has its own. What is not here nobody changes, but for the user, whom a
// handler further in may find out.
type claims struct {
	cookie        fieldLines // set by read
	authorization fieldLines // too
	text          string     // what `remember › key` gives; set by readText
	textRead      bool       // too
	unclear       bool       // a placeholder in that is not known, so that nobody can be told from anybody; too
}

func (c *claims) read(r *http.Request) {
	c.cookie.keep(r.Header["Cookie"])
	c.authorization.keep(r.Header["Authorization"])
}

// byText reports whether the configuration tells who asks by more than credentials and cookies.
func (c *claims) byText() bool { return c.text != "" || c.unclear }

// readText reads what the configuration adds, once: the placeholders may have another value later.
func (x *Exchange) readText() {
	c, text := &x.asked.claims, x.svc.Policy.Identity.Text
	if text == "" || c.textRead {
		return
	}
	var err error
	c.textRead = true
	if c.text, err = x.asked.replacer.ReplaceOrErr(text, false, true); err != nil {
		c.unclear = true
		x.svc.Log.Error("remember key: nothing is remembered", zap.Error(err))
	}
}

// who is who asks, as far as that is known by now: a user whom a handler further in finds out is only known behind it. It
// makes a digest; nobody costs nothing.
func (x *Exchange) who() identity.Who {
	a := &x.asked
	if a.claims.unclear {
		return identity.Unknown
	}
	asks := identity.Request{
		Cookie: a.claims.cookie.list(), Authorization: a.claims.authorization.list(), User: a.user(), Key: a.claims.text,
	}
	if a.certified() {
		asks.Certificate = a.r.TLS.PeerCertificates[0].Raw
	}
	return x.svc.Policy.Identity.Cookies.Who(&asks, x.svc.identityKey())
}

// identityKey is what digests of who asks are made with; nil: there is none at hand.
func (s *Service) identityKey() *identity.Key {
	switch key := s.Policy.Identity.Key; {
	case key != nil:
		return key
	case s.Keys != nil:
		return s.Keys.Get()
	}
	return nil
}

// rulesFor are the rules for conditions. The date in a tag counts only for whom it was made: one Last-Modified may stand
// for what the upstream sends to every user, and its 304 to another's date would bring that one's page back.
func (x *Exchange) rulesFor(c *conditions) upstream.Rules {
	rules := x.svc.rules
	if own, ok := upstream.Dated(&c.pre); ok && !rules.Undated && !x.who().Has(own.Who) {
		rules.Undated = true
	}
	return rules
}

// foundOut reports whether the date of a tag went up for a user who is another one by now.
func (c *conditions) foundOut(a *asked) bool {
	return c != nil && c.view == upstream.Translated && c.user != a.user()
}

// fieldOf is the ETag of a digest. It has the upstream's date, for who asks. It has none for who is unknown, nor where the
// response makes its client somebody else by a cookie: the page may be that one's already.
func (x *Exchange) fieldOf(header http.Header, digest tag.Digest, weak bool) string {
	date, cookies := x.selected.TagDate, &x.svc.Policy.Identity.Cookies
	if date.IsZero() || cookies.Changes(header["Set-Cookie"], x.asked.claims.cookie.list()) {
		return digest.Field(weak, time.Time{})
	}
	who := x.who()
	if !who.Known() {
		return digest.Field(weak, time.Time{})
	}
	return digest.FieldFor(weak, date, who.Digest())
}

// identified reports whether the server or the upstream can tell who asks, by other things than cookies: credentials, a
// user that Caddy has authenticated (whatever became of the credentials since), or a client certificate.
func (a *asked) identified() bool { return a.claims.authorization.any() || a.authenticated() }

// authenticated reports whether this server has found out who asks. A handler further in may do that, too.
func (a *asked) authenticated() bool { return a.certified() || a.user() != "" }

func (a *asked) certified() bool { return a.r.TLS != nil && len(a.r.TLS.PeerCertificates) > 0 }

// user is whom Caddy has authenticated by now.
func (a *asked) user() string {
	user, _ := a.replacer.GetString("http.auth.user.id")
	return user
}

// fieldLines are the lines of a request field as they came. Handlers further in edit lines in place, and most fields have
// one: that costs no allocation.
type fieldLines struct {
	first [1]string
	n     int
	more  []string // all, where there are several
}

func (l *fieldLines) keep(lines []string) {
	switch l.n = len(lines); l.n {
	case 0:
	case 1:
		l.first[0] = lines[0]
	default:
		l.more = slices.Clone(lines)
	}
}

func (l *fieldLines) any() bool { return l.n > 0 }

// list is a list of them that must not be changed; nil: there are none.
func (l *fieldLines) list() []string {
	switch l.n {
	case 0:
		return nil
	case 1:
		return l.first[:]
	}
	return l.more
}
