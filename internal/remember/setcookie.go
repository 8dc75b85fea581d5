package remember

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
)

// A response that sets a cookie is nobody's to remember: the cookie may be a session, and the page that session's. The
// operator may name cookies of which that is not so, such as a token that every guest gets a new one of. The cookie
// itself is in no record, as it is somebody's; so a 304 from memory sets none. Who lacks one of them is therefore not
// answered from memory, but gets the next handler's answer, and with it the cookie.

// readSetCookies reads the Set-Cookie lines of an answer to a request. It reports whether they leave the page for
// everybody, and the names of the cookies that a request has to have then, sorted, separated by commas: those that are
// set, and those that the request has had, as they might have been set otherwise.
func (m *Memory) readSetCookies(lines, sent []string, now time.Time) (names string, ok bool) {
	if len(m.SetCookies.Ignored) == 0 {
		return "", lines == nil
	}
	var needed []string
	add := func(pair string) {
		if name := identity.NameOf(pair); !identity.Balances(pair) && httpcond.IsToken(name) {
			needed = append(needed, name)
		}
	}
	for _, line := range lines {
		pair, ok := m.ignoredPair(line, now)
		if !ok {
			return "", false
		}
		add(pair)
	}
	for pair := range identity.Cookies(sent) {
		if m.SetCookies.Ignores(pair) {
			add(pair)
		}
	}
	return joinNames(needed), true
}

// ignoredPair returns name and value of a Set-Cookie line, if it is one that the operator has named. What is malformed is
// not, whatever browsers make of it, nor what takes a cookie away: who has it would keep it.
func (m *Memory) ignoredPair(line string, now time.Time) (pair string, ok bool) {
	pair, _, _ = strings.Cut(line, ";")
	name, _, hasValue := strings.Cut(pair, "=")
	if !hasValue || !httpcond.IsToken(name) || strings.Contains(pair, ",") || !m.SetCookies.Ignores(pair) {
		return "", false
	}
	cookie, err := http.ParseSetCookie(line)
	if err != nil || cookie.MaxAge < 0 || cookie.MaxAge == 0 && !cookie.Expires.IsZero() && !cookie.Expires.After(now) {
		return "", false
	}
	return pair, true
}

func joinNames(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// lacksCookies reports whether a request is without one of the cookies that the response to it would set.
func (v *Visit) lacksCookies() bool {
	if v.record.SetCookies == "" {
		return false
	}
	for name := range strings.SplitSeq(v.record.SetCookies, ",") {
		if !hasCookie(v.request.Header["Cookie"], name) {
			return true
		}
	}
	return false
}

func hasCookie(lines []string, name string) bool {
	for pair := range identity.Cookies(lines) {
		if identity.NameOf(pair) == name {
			return true
		}
	}
	return false
}
