package tokens

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// ResponseMatcher reads what stands behind a name with its @: `status 2xx`, or a block of conditions. It takes what
// Caddy's own parser takes, but that one reads `header A b c d e` as two conditions, and 999 as a status.
func (r Reader) ResponseMatcher(name string) (m caddyhttp.ResponseMatcher, err error) {
	at := r.Here()
	for nesting := r.Nesting(); r.NextArg() || r.NextBlock(nesting); {
		if err := r.condition(&m); err != nil {
			return m, err
		}
	}
	return m, at.At(config.CheckResponseMatcher(name, m))
}

// condition reads one line of a response matcher.
func (r Reader) condition(m *caddyhttp.ResponseMatcher) (err error) {
	name := r.Val()
	switch name {
	case "status":
		err = r.status(m)
	case "header":
		err = r.header(m)
	default:
		return r.Unrecognized("condition of a response matcher", name, []string{"status", "header"})
	}
	return cmp.Or(err, r.NoBlock(name))
}

func (r Reader) status(m *caddyhttp.ResponseMatcher) error {
	codes, err := r.Words("status", "404 or 5xx")
	if err != nil {
		return err
	}
	for _, word := range codes {
		// As in JSON, 4 stands for 4xx.
		code, err := strconv.Atoi(strings.TrimSuffix(word, "xx"))
		if err != nil || !config.IsFinalStatus(code) || code > 5 && strings.HasSuffix(word, "xx") {
			return r.Errf("status: %q is not a final status code from 200 to 599, nor a class such as 4xx (a 304 counts as the 200 it stands for)", word)
		}
		m.StatusCode = append(m.StatusCode, code)
	}
	return nil
}

func (r Reader) header(m *caddyhttp.ResponseMatcher) error {
	args := r.RemainingArgs()
	if len(args) == 0 {
		return r.Errf("header needs a field and a pattern, or !field")
	}
	field, absent := strings.CutPrefix(args[0], "!")
	takes := 2
	if absent {
		takes = 1
	}
	switch {
	case field == "":
		return r.Errf("header needs the name of a field, such as X-Draft, or !X-Draft")
	case !httpcond.IsToken(field):
		return r.Errf("header: %q is not a field name such as X-Draft%s", field, config.CureOfField(field))
	case len(args) > takes:
		return r.Surplus(args[takes], "header", "a field and one pattern, or !field")
	case len(args) < takes || args[takes-1] == "":
		return r.Errf("header %s needs a pattern, such as * for any value", field)
	}
	if m.Headers == nil {
		m.Headers = make(http.Header)
	}
	if absent {
		m.Headers[http.CanonicalHeaderKey(field)] = nil
	} else {
		m.Headers.Add(field, args[1])
	}
	return nil
}
