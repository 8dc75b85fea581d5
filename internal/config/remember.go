package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Remember is `remember`.
type Remember struct {
	TTL           caddy.Duration
	StoreRaw      json.RawMessage
	Key           string
	IgnoreCookies []string
	Grace         caddy.Duration
	StaleIfError  caddy.Duration
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
	if err := CheckCookies(r.IgnoreCookies); err != nil {
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

// CheckCookies refuses what stands for no cookie, or for all. A cookie's name is a token (RFC 6265 §4.1.1), which may have an asterisk in it; here that stands
// for the rest of a name, and nowhere but at the end.
func CheckCookies(patterns []string) error {
	for i, pattern := range patterns {
		name, _ := strings.CutSuffix(pattern, "*")
		switch {
		case pattern == "*":
			return errors.New("ignore_cookies: * would give everybody what one user's cookies stand for; name the cookies")
		case strings.Contains(name, "*"):
			return fmt.Errorf("ignore_cookies: %q has an asterisk elsewhere than at its end", pattern)
		case !httpcond.IsToken(name):
			return fmt.Errorf("ignore_cookies: %q is not the name of a cookie, or the beginning of one and *, such as _ga*", pattern)
		case slices.Contains(patterns[:i], pattern):
			return fmt.Errorf("ignore_cookies: %s is named twice; name it once", pattern)
		}
	}
	return nil
}

// CheckKey refuses braces that are not those of a placeholder. What it cannot know is which placeholders the rest
// of the configuration defines.
func CheckKey(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("key: an empty text tells nothing apart; remove it")
	}
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
			i += len(name) + 1
		}
	}
	return nil
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
		return errors.New("remember keeps validators, and none is left where etag off has existing remove beside last_modified remove; keep one")
	}
	return nil
}
