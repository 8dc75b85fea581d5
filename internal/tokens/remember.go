package tokens

import "github.com/conditionalcache/caddy-conditional-cache/internal/config"

// Remember reads `remember`; nil: it is off. note is called with the reader on what a warning may be about, with the name
// that it has there.
func (r Reader) Remember(note func(of string)) (*config.Remember, error) {
	args := r.RemainingArgs()
	switch {
	case len(args) > 1 && config.CureOfArgument(args[0], "remember") != "":
		return nil, r.Surplus(args[0], "remember", "one ttl")
	case len(args) > 1:
		return nil, r.Surplus(args[1], "remember", "one ttl; options go in a block")
	case len(args) == 1 && args[0] == "off":
		return nil, r.NoBlock("remember off")
	}
	m := new(config.Remember)
	if len(args) == 1 {
		ttl, err := r.AsSpan("remember", args[0])
		if m.TTL = ttl; err != nil {
			return nil, err
		}
	}
	return m, r.Block("remember", Options{
		"store": func() (err error) { m.StoreRaw, err = r.Store(); return err },
		"key":   func() (err error) { m.Key, err = r.Key(); return err },
		"ignore_cookies": func() (err error) {
			note(config.OfCookies)
			m.IgnoreCookies, err = r.Cookies(config.IgnoreCookies)
			return err
		},
		"ignore_set_cookie": func() (err error) {
			note(config.OfSetCookie)
			m.IgnoreSetCookie, err = r.Cookies(config.IgnoreSetCookie)
			return err
		},
		"grace":          func() (err error) { m.Grace, err = r.Span("grace"); return err },
		"stale_if_error": func() (err error) { m.StaleIfError, err = r.Span("stale_if_error"); return err },
	})
}
