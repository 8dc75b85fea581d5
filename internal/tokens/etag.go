package tokens

import (
	"cmp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// ETag reads `etag`. note is called with the reader on what a warning may be about, with the name that it has there.
func (r Reader) ETag(note func(of string)) (*config.ETag, error) {
	mode, err := r.WordOrBlock(config.ETagMode)
	if err != nil {
		return nil, err
	}
	e := &config.ETag{Mode: mode}
	// Checked after every option: what contradicts stands on the line that the error names.
	checked := func(err error) error { return cmp.Or(err, r.At(e.Check())) }
	return e, r.Block("etag", Options{
		"hash":     func() (err error) { e.Hash, err = r.Word(config.ETagHash); return checked(err) },
		"existing": func() (err error) { e.Existing, err = r.Word(config.ETagExisting); return checked(err) },
		"ignore": func() error {
			words, expressions, err := r.Ignored()
			for _, expression := range expressions {
				note(config.OfExpression(expression))
			}
			e.Ignore, e.IgnoreExpressions = append(e.Ignore, words...), append(e.IgnoreExpressions, expressions...)
			return checked(err)
		},
		"secret": func() (err error) { e.Secret, err = r.Text("secret", "{env.ETAG_SECRET}"); return checked(err) },
		"epoch":  func() (err error) { e.Epoch, err = r.Text("epoch", "2026-07"); return checked(err) },
	}, "ignore")
}
