package freshness

import (
	"net/http"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Kept is what a response says to those who keep something of it for several clients (RFC 9111 §3).
type Kept struct {
	// Refused: it is not to be kept, or not for others, or not to be used without asking: no-store, private,
	// no-cache, or what only may mean one of them.
	Refused bool
	// Unstored: it is not to be kept at all: no-store.
	Unstored bool
	// Personal: it is not to be kept, or not for others: no-store or private, or what only may mean one of them. What is
	// Refused besides is not to be used without asking.
	Personal bool
	// Public: for everybody, whatever the request says of who asks.
	Public bool
	// Credentials: for everybody, though the request had Authorization (RFC 9111 §3.5).
	Credentials bool
	// NeverStale: not to be used past its lifetime, by whoever keeps it for others (RFC 9111 §4.2.4).
	NeverStale bool
	// Explicit: it says how long it lasts.
	Explicit bool
	// Lifetime is how long it lasts from its Date on, for those who keep it for others: s-maxage, max-age
	// or Expires (RFC 9111 §4.2.1); 0 if it does not say.
	Lifetime time.Duration
}

// ReadKept reads Cache-Control and Expires of a response with the given Date. It changes nothing.
func ReadKept(h http.Header, date, now time.Time) Kept {
	if !Explicit(h) {
		return Kept{}
	}
	p := read(h["Cache-Control"])
	if pragmaNoCache(h) {
		p.words |= noCache
	}
	if p.seconds[maxAge] == unsaid && hasValue(h["Expires"]) {
		p.seconds[maxAge] = lifetimeOf(h["Expires"], date, now)
	}
	personal := p.personal()
	kept := Kept{
		Refused:     personal || p.words&noCache != 0 || !onlyCookies(p.noCacheFields),
		Unstored:    p.neverStored(),
		Personal:    personal,
		Public:      p.words&public != 0,
		Credentials: p.words&(public|mustRevalidate) != 0 || p.seconds[sMaxAge] != unsaid,
		NeverStale:  p.endsSharing() != "",
	}
	if shared := p.shared(); shared != unsaid {
		kept.Explicit, kept.Lifetime = true, time.Duration(shared)*time.Second
	}
	return kept
}

// RefusesSharing reports whether the lines of a field with the grammar of Cache-Control, meant for caches near
// the server (CDN-Cache-Control of RFC 9213, Surrogate-Control), say that a response is not to be kept for others.
func RefusesSharing(lines []string) bool {
	p := read(lines)
	return p.words&(noStore|private|noCache) != 0 || !onlyCookies(p.privateFields) || !onlyCookies(p.noCacheFields)
}

// endsSharing is the directive that forbids whoever keeps a response for others to use it past its lifetime (RFC 9111 §4.2.4);
// empty: none does.
func (p *policy) endsSharing() string {
	switch {
	case p.seconds[sMaxAge] != unsaid:
		return lifetimeNames[sMaxAge]
	case p.words&mustRevalidate != 0:
		return wordNames[mustRevalidate.index()]
	case p.words&proxyRevalidate != 0:
		return wordNames[proxyRevalidate.index()]
	}
	return ""
}

// personal reports whether nobody is to keep a response for others.
func (p *policy) personal() bool {
	return p.neverStored() || p.words&private != 0 || !onlyCookies(p.privateFields)
}

// onlyCookies reports whether all names of a qualified private or no-cache are of fields that are never kept.
func onlyCookies(names []string) bool {
	for _, name := range names {
		if !strings.EqualFold(name, "Set-Cookie") && !strings.EqualFold(name, "Set-Cookie2") {
			return false
		}
	}
	return true
}

// RequestTerms are what the Cache-Control of a request says of answers from memory (RFC 9111 §5.2.1).
type RequestTerms struct {
	NoStore bool
	NoCache bool // or, without Cache-Control, Pragma: no-cache (§5.4)
	// MaxAge and MinFresh are negative when nothing is said.
	MaxAge, MinFresh time.Duration
}

// ReadRequestTerms reads them. What is no number of seconds counts as the strictest one.
func ReadRequestTerms(h http.Header) RequestTerms {
	terms := RequestTerms{MaxAge: -1, MinFresh: -1}
	lines := h["Cache-Control"]
	if lines == nil {
		if h["Pragma"] != nil {
			terms.NoCache = httpcond.HasDirective(h["Pragma"], "no-cache")
		}
		return terms
	}
	for _, d := range httpcond.ParseCacheControl(lines) {
		switch d.Name {
		case "no-store":
			terms.NoStore = true
		case "no-cache":
			terms.NoCache = true
		case "max-age":
			terms.MaxAge = time.Duration(deltaSeconds(d.Value)) * time.Second
		case "min-fresh":
			terms.MinFresh = time.Duration(deltaSeconds(d.Value)) * time.Second
			if d.Value == "" || strings.Trim(d.Value, "0123456789") != "" {
				terms.NoCache = true
			}
		}
	}
	return terms
}
