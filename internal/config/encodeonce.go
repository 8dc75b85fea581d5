package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// EncoderNamespace is that of the modules that make encoders.
const EncoderNamespace = "http.encoders"

// defaultMaxBytes is max_bytes where none is set: 64 MiB, or a sixteenth of the memory limit of this process, if that is less.
func defaultMaxBytes() int64 { return max(min(64<<20, debug.SetMemoryLimit(-1)/16), leastMaxBytes) }

// leastMaxBytes is the least max_bytes: of less there is no use.
const leastMaxBytes = 64 << 10

// EncodeOnce is `encode_once`.
type EncodeOnce struct {
	EncodingsRaw caddy.ModuleMap
	Prefer       []string
	MinLength    int
	Matcher      *caddyhttp.ResponseMatcher
	MaxBytes     int64
}

// Check refuses what is wrong in `encode_once`.
func (e EncodeOnce) Check() error {
	encodings := e.encodings()
	for i, format := range e.Prefer {
		switch {
		case slices.Contains(e.Prefer[:i], format):
			return fmt.Errorf("encode_once: %s is named twice; name it once", format)
		case encodings[format] == nil:
			return fmt.Errorf("encode_once: prefer names %s, which is not among the encodings; add it there, or remove it", format)
		}
	}
	switch {
	case e.MaxBytes != 0 && e.MaxBytes < leastMaxBytes || e.MaxBytes > maxMaxBody:
		return errors.New("encode_once: max_bytes has to be a number of bytes from 64 KiB to 1 TiB, such as 64MiB")
	case e.MinLength < 0 || e.MinLength > math.MaxInt32:
		return errors.New("encode_once: minimum_length has to be a number of bytes from 1 to 2147483647, such as 512")
	case e.Matcher != nil:
		return CheckResponseMatcher("match of encode_once", *e.Matcher)
	}
	return nil
}

// checkEncodeOnce refuses what would never code anything.
func (h *Handler) checkEncodeOnce() error {
	for _, name := range slices.Sorted(maps.Keys(valueOr(h.EncodeOnce).EncodingsRaw)) {
		if valueOr(h.ETag).Mode == "strong" && !tag.IsCodingSuffix("-"+name) {
			return fmt.Errorf("encode_once %s beside etag strong: a strong tag with -%[1]s at its end would not be known again; write etag auto, or another format", name)
		}
	}
	if h.EncodeOnce != nil && valueOr(h.ETag).Mode == "off" {
		return errors.New("encode_once compresses what is buffered to make its tag, and etag off buffers nothing; write etag auto, or remove encode_once")
	}
	return nil
}

// FormatModule is the module that makes a content coding; the error says that this Caddy has none.
func FormatModule(format string) (caddy.ModuleInfo, error) {
	module, err := caddy.GetModule(EncoderNamespace + "." + format)
	if err == nil {
		return module, nil
	}
	built := Formats()
	if len(built) == 0 {
		return module, fmt.Errorf("encode_once: this Caddy has no encoder %q, nor any other; build it with the standard modules", format)
	}
	return module, fmt.Errorf("encode_once: this Caddy has no encoder %q; use %s", format, either(built))
}

// Formats are the content codings that this Caddy has encoders for.
func Formats() (names []string) {
	for _, module := range caddy.GetModules(EncoderNamespace) {
		names = append(names, module.ID.Name())
	}
	return names
}

// defaultFormats are those that encode has without arguments, as far as they are built in, in its order.
func defaultFormats() []string {
	built := Formats()
	return slices.DeleteFunc([]string{"zstd", "gzip"}, func(name string) bool { return !slices.Contains(built, name) })
}

// either lists one word or more.
func either(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return List(words)
}
