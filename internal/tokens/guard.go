package tokens

import "github.com/conditionalcache/caddy-conditional-cache/internal/config"

// GuardWrites reads `guard_writes`; nil: it is off.
func (r Reader) GuardWrites() (*config.GuardWrites, error) {
	at := r.Here()
	g := &config.GuardWrites{Methods: r.RemainingArgs()}
	if len(g.Methods) > 0 && g.Methods[0] == "off" {
		if len(g.Methods) > 1 {
			return nil, r.Surplus(g.Methods[1], "guard_writes off", "no methods")
		}
		return nil, r.NoBlock("guard_writes off")
	}
	if err := g.Check(); err != nil {
		return nil, at.At(err)
	}
	return g, r.Block("guard_writes", Options{
		"require": func() (err error) { g.Require, err = r.OnOff("require"); return err },
	})
}
