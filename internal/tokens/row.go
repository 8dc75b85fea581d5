package tokens

import (
	"fmt"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// Row reads a row of `cache_control`, and checks it by itself. One that is off and has no selector stands for no rows at all.
func (r Reader) Row() (row config.CacheControl, err error) {
	at := r.Here()
	words := r.RemainingArgs()
	refuse := func(err error) error {
		for _, word := range words {
			if hint := unknownYet(word); hint != "" {
				return at.Errf("%w%s", err, hint)
			}
		}
		return at.At(err)
	}
	if row, err = config.ReadRow(words); err != nil {
		return row, refuse(err)
	}
	if row.Off && row.Selector() == "" {
		return row, r.NoBlock("cache_control off")
	}
	err = r.Block("cache_control", Options{
		"existing":  func() (err error) { row.Existing, err = r.Word(config.RowExisting); return err },
		"jitter":    func() (err error) { row.Jitter, err = r.jitter(); return err },
		"extension": func() (err error) { row.Extension, err = r.extension(); return err },
	})
	if err != nil {
		return row, err
	}
	if err := row.Check(); err != nil {
		return row, refuse(fmt.Errorf("cache_control: %w", err))
	}
	return row, nil
}

// jitter is checked by itself, so that an error names its line.
func (r Reader) jitter() (float64, error) {
	percent, err := r.Percent("jitter")
	if err != nil {
		return 0, err
	}
	if percent == 0 {
		return 0, nil
	}
	return percent, r.At(config.CheckJitter(percent))
}

// extension is checked by itself, so that an error names its line.
func (r Reader) extension() ([]string, error) {
	words, err := r.Words("extension", "name or name=value")
	if err != nil {
		return nil, err
	}
	return words, r.At(config.CheckExtension(words))
}
