package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Remember is `remember`.
type Remember struct {
	TTL             caddy.Duration
	StoreRaw        json.RawMessage
	Key             string
	IgnoreCookies   []string
	IgnoreSetCookie []string
	Grace           caddy.Duration
	StaleIfError    caddy.Duration
}

const maxRemembered = 365 * 24 * time.Hour

// Check refuses what is wrong in `remember` by itself.
func (r Remember) Check() error {
	for _, span := range []struct {
		name string
		time caddy.Duration
	}{{"ttl", r.TTL}, {"grace", r.Grace}, {"stale_if_error", r.StaleIfError}} {
		// None is none in JSON; a Caddyfile that says 0 is asked to leave it out.
		if span.time != 0 && !IsSpan(time.Duration(span.time)) {
			return fmt.Errorf("remember: %s %v is not a duration of whole seconds such as 10m, from 1s to 365d", span.name, time.Duration(span.time))
		}
	}
	if err := IgnoreCookies.Check(r.IgnoreCookies); err != nil {
		return err
	}
	if err := IgnoreSetCookie.Check(r.IgnoreSetCookie); err != nil {
		return err
	}
	if r.Key != "" {
		if err := CheckKey(r.Key); err != nil {
			return err
		}
	}
	return CheckStore(r.StoreRaw)
}

// IsSpan reports whether validators may be remembered so long: Age and the directives that a record is compared with
// are whole seconds (RFC 9111 §1.2.2).
func IsSpan(d time.Duration) bool {
	return d >= time.Second && d <= maxRemembered && d%time.Second == 0
}

// Cookies are patterns of the names of cookies, as an option takes them.
type Cookies struct {
	Of      string // the option
	Example string
	all     string // what would become of all cookies
}

// The options that take them.
var (
	IgnoreCookies   = Cookies{"ignore_cookies", "_ga*", "would give everybody what one user's cookies stand for"}
	IgnoreSetCookie = Cookies{"ignore_set_cookie", "XSRF-TOKEN", "would remember pages of users who have just signed in"}
)

// Check refuses what stands for no cookie, or for all. A cookie's name is a token (RFC 6265 §4.1.1), which may have an
// asterisk in it; here that stands for the rest of a name, and nowhere but at the end.
func (c Cookies) Check(patterns []string) error {
	for i, pattern := range patterns {
		name, _ := strings.CutSuffix(pattern, "*")
		switch {
		case pattern == "*":
			return fmt.Errorf("%s: * %s; name the cookies", c.Of, c.all)
		case strings.Contains(name, "*"):
			return fmt.Errorf("%s: %q has an asterisk elsewhere than at its end; write the beginning of the name and one *, such as _ga*", c.Of, pattern)
		case !httpcond.IsToken(name):
			return fmt.Errorf("%s: %q is not the name of a cookie, or the beginning of one and *, such as _ga*%s", c.Of, pattern, plainName(pattern))
		case slices.Contains(patterns[:i], pattern):
			return fmt.Errorf("%s: %s is named twice; name it once", c.Of, pattern)
		}
	}
	return nil
}

// plainName says how the name of a cookie is written that comes with a value or a comma; empty: it does not.
func plainName(pattern string) string {
	if name, _, pair := strings.Cut(pattern, "="); pair && httpcond.IsToken(name) {
		return "; write " + name
	}
	return spaced(pattern)
}

// warnings are about sessions, and about cookies that may be set, but of which it is not said that no answer depends on them:
// who has one of them is answered from memory only where a response is for all.
func (r Remember) warnings() (all []Warning) {
	all = r.sessionWarnings()
	var missing []string
	for _, pattern := range r.IgnoreSetCookie {
		if sessionUnder(pattern) == "" && !slices.ContainsFunc(r.IgnoreCookies, func(other string) bool { return coversCookies(other, pattern) }) {
			missing = append(missing, pattern)
		}
	}
	if missing == nil {
		return all
	}
	names := strings.Join(missing, " ")
	return append(all, Warning{Row: NoRow, Of: OfSetCookie, Text: "remember ignore_set_cookie: clients that have got " + names +
		" send it, and who sends a cookie is answered from memory only where the response is public; if no answer depends on it, add ignore_cookies " + names})
}

// The options that warnings are about.
const (
	OfCookies   = "remember ignore_cookies"
	OfSetCookie = "remember ignore_set_cookie"
)

// coversCookies reports whether a pattern stands for every cookie that other stands for.
func coversCookies(pattern, other string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == other || open && strings.HasPrefix(other, prefix)
}

// CheckKey refuses braces that are not those of a placeholder, and a text without any, which is the same for all who ask.
// What it cannot know is which placeholders the rest of the configuration defines.
func CheckKey(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("key: an empty text tells nothing apart; remove it")
	}
	found := false
	for i := 0; i < len(text); i++ {
		switch escaped := i > 0 && text[i-1] == '\\'; {
		case escaped: // \{ is a brace, as everywhere in Caddy
		case text[i] == '}':
			return fmt.Errorf("key: %q has a } without its {; a brace that is meant is written \\}", text)
		case text[i] == '{':
			name, _, closed := strings.Cut(text[i+1:], "}")
			if !closed {
				return fmt.Errorf("key: %q has a { without its }; a brace that is meant is written \\{", text)
			}
			if err := checkPlaceholder(name); err != nil {
				return err
			}
			found = true
			i += len(name) + 1
		}
	}
	if !found {
		return fmt.Errorf("key: %q has no placeholder, so it tells nothing apart; write {%s}", text, placeholderMeant(text))
	}
	return nil
}

// placeholderMeant is what a key without braces is meant for: a placeholder's name, or else a request field.
func placeholderMeant(text string) string {
	first, rest, dotted := strings.Cut(text, ".")
	full, short := shortPlaceholders[first]
	switch {
	case short && dotted && rest != "":
		return full + "." + rest
	case slices.Contains([]string{"client_ip", "host", "method", "path", "query", "remote_host", "scheme"}, text):
		return full
	case httpcond.IsToken(text) && strings.ContainsAny(text, "-_"):
		return "http.request.header." + http.CanonicalHeaderKey(strings.ReplaceAll(text, "_", "-"))
	}
	return "http.request.header.X-Api-Key"
}

// checkPlaceholder refuses a name that no placeholder has, and the short forms that Caddyfiles have and JSON has
// not: unknown to Caddy, they would tell nobody apart.
func checkPlaceholder(name string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{$\`, r) }) {
		return fmt.Errorf("key: {%s} is not a placeholder such as {http.request.header.X-Api-Key}", name)
	}
	first, _, _ := strings.Cut(name, ".")
	if full, short := shortPlaceholders[first]; short {
		return fmt.Errorf("key: {%s} is not known; write {%s}", name, full+strings.TrimPrefix(name, first))
	}
	return nil
}

// shortPlaceholders are those that tell requests apart, of the ones that Caddy spells out in Caddyfiles.
var shortPlaceholders = map[string]string{
	"client_ip": "http.vars.client_ip", "cookie": "http.request.cookie", "header": "http.request.header", "host": "http.request.host",
	"labels": "http.request.host.labels", "method": "http.request.method", "path": "http.request.uri.path", "query": "http.request.uri.query",
	"re": "http.regexp", "remote_host": "http.request.remote.host", "scheme": "http.request.scheme", "vars": "http.vars",
	"headers": "http.request.header", "cookies": "http.request.cookie", // not known in Caddyfiles either
}

// checkRemember refuses to remember what nothing is left of.
func (h *Handler) checkRemember() error {
	etag := valueOr(h.ETag)
	if h.Remember != nil && etag.Mode == "off" && etag.Existing == "remove" && valueOr(h.LastModified).Mode == "remove" {
		return errors.New("remember keeps validators, and none is left: etag off with existing remove takes off the tags, and last_modified remove the dates; remove remember, or one of these")
	}
	return nil
}
