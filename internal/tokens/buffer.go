package tokens

import (
	"cmp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// Buffer reads `buffer`.
func (r Reader) Buffer() (*config.Buffer, error) {
	b := new(config.Buffer)
	if err := r.NoSize("buffer", "max_body"); err != nil {
		return nil, err
	}
	at := r.Here()
	err := r.Block("buffer", Options{
		"max_body":  func() (err error) { b.MaxBody, err = r.Size("4MiB"); return cmp.Or(err, r.At(b.Check())) },
		"max_delay": func() (err error) { b.MaxDelay, err = r.Delay("max_delay"); return err },
	})
	if err == nil && *b == (config.Buffer{}) {
		return nil, at.Errf("buffer needs a block with max_body or max_delay, such as buffer { max_body 4MiB }%s", config.Breaks)
	}
	return b, err
}
