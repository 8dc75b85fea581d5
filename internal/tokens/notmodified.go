package tokens

import "github.com/conditionalcache/caddy-conditional-cache/internal/config"

// NotModified reads `not_modified`.
func (r Reader) NotModified() (*config.NotModified, error) {
	n := new(config.NotModified)
	if err := r.Nothing("not_modified"); err != nil {
		return nil, err
	}
	at := r.Here()
	fields := func(into *[]string, name string) func() error {
		return func() (err error) {
			if *into, err = r.Words(name, "Set-Cookie"); err != nil {
				return err
			}
			return r.At(n.Check())
		}
	}
	if err := r.Block("not_modified", Options{"keep": fields(&n.Keep, "keep"), "drop": fields(&n.Drop, "drop")}); err != nil {
		return nil, err
	}
	if n.Keep == nil && n.Drop == nil {
		return nil, at.Errf("not_modified needs a block with keep or drop, such as not_modified { keep X-Request-Id }%s", config.Breaks)
	}
	return n, nil
}
