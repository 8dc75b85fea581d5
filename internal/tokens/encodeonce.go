package tokens

import (
	"cmp"
	"math"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// EncodeOnce reads `encode_once`; nil: it is off.
func (r Reader) EncodeOnce() (*config.EncodeOnce, error) {
	e, at := &config.EncodeOnce{EncodingsRaw: make(caddy.ModuleMap)}, r.Here()
	formats := r.RemainingArgs()
	if len(formats) > 0 && formats[0] == "off" {
		if len(formats) > 1 {
			return nil, r.Surplus(formats[1], "encode_once off", "no formats")
		}
		return nil, r.NoBlock("encode_once off")
	}
	for _, format := range formats {
		if err := r.plainFormat(e, format); err != nil {
			return nil, err
		}
	}
	seen := make(map[string]bool)
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		name := r.Val()
		if seen[name] {
			return nil, r.Errf("duplicate option %q; write it once", name)
		}
		seen[name] = true
		if err := r.encodeOption(e, name); err != nil {
			return nil, err
		}
	}
	if len(e.EncodingsRaw) == 0 {
		e.EncodingsRaw = nil
	}
	return e, at.At(e.Check())
}

// plainFormat reads a format among the arguments. It has the defaults.
func (r Reader) plainFormat(e *config.EncodeOnce, format string) error {
	if config.CureOfArgument(format, "encode_once") != "" {
		return r.Surplus(format, "encode_once", "formats")
	}
	module, err := config.FormatModule(format)
	if err != nil {
		return r.At(err)
	}
	e.Prefer = append(e.Prefer, format)
	e.EncodingsRaw[format] = caddyconfig.JSON(module.New(), nil)
	return nil
}

func (r Reader) encodeOption(e *config.EncodeOnce, name string) (err error) {
	switch name {
	case "max_bytes":
		e.MaxBytes, err = r.Size("64MiB")
	case "minimum_length":
		e.MinLength, err = r.Count(math.MaxInt32)
	case "match":
		matcher, err := r.ResponseMatcher("match of encode_once")
		e.Matcher = &matcher
		return err
	default:
		return r.format(e, name)
	}
	return cmp.Or(err, r.NoBlock(name))
}

// format reads a format with what its module reads behind it.
func (r Reader) format(e *config.EncodeOnce, format string) error {
	if _, err := config.FormatModule(format); err != nil {
		return r.Unrecognized("option of encode_once", "encode_once "+format, append([]string{"match", "max_bytes", "minimum_length"}, config.Formats()...))
	}
	at, ahead := r.Here(), *r.Dispenser
	module, err := caddyfile.UnmarshalModule(r.Dispenser, config.EncoderNamespace+"."+format)
	switch {
	case err != nil && !strings.Contains(err.Error(), at.File()) && ahead.NextArg():
		return at.Errf("encode_once: %s does not take %q; it takes what it does in encode, such as gzip 6 or zstd better", format, ahead.Val())
	case err != nil:
		return err // with file and line
	}
	if e.EncodingsRaw[format] == nil {
		e.Prefer = append(e.Prefer, format)
	}
	e.EncodingsRaw[format] = caddyconfig.JSON(module, nil)
	return nil
}
