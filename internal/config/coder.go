package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
)

// Coder makes what codes responses, and loads its encoders. What it keeps is given back by release.
func (e EncodeOnce) Coder(ctx caddy.Context) (c *coding.Coder, release func(), err error) {
	var defaults encode.Encode // the media types and the length are Caddy's to choose
	if err := defaults.Provision(ctx); err != nil {
		return nil, nil, fmt.Errorf("encode_once: %w", err)
	}
	encodings := e.encodings()
	formats, err := e.formats(ctx, encodings)
	if err != nil {
		return nil, nil, err
	}
	settings, err := json.Marshal(encodings)
	if err != nil {
		return nil, nil, fmt.Errorf("encode_once: %w", err)
	}
	kept, release := coding.Share(string(settings), cmp.Or(e.MaxBytes, defaultMaxBytes()))
	return coding.NewCoder(coding.Options{
		Formats: formats, MinLength: cmp.Or(e.MinLength, defaults.MinLength), Matcher: cmp.Or(e.Matcher, defaults.Matcher), Kept: kept,
	}), release, nil
}

// encodings are those that are configured, or the default ones.
func (e EncodeOnce) encodings() caddy.ModuleMap {
	if len(e.EncodingsRaw) > 0 {
		return e.EncodingsRaw
	}
	all := make(caddy.ModuleMap)
	for _, name := range defaultFormats() {
		all[name] = json.RawMessage(`{}`)
	}
	return all
}

func (e EncodeOnce) formats(ctx caddy.Context, encodings caddy.ModuleMap) (formats []coding.Format, err error) {
	for _, name := range e.order(encodings) {
		module, err := ctx.LoadModuleByID(EncoderNamespace+"."+name, encodings[name])
		if err != nil {
			return nil, fmt.Errorf("encode_once: loading %s: %w", name, err)
		}
		encoding, is := module.(encode.Encoding)
		if !is {
			return nil, fmt.Errorf("encode_once: %s is a %T, which makes no encoders; remove it", name, module)
		}
		formats = append(formats, coding.Format{Name: encoding.AcceptEncoding(), NewEncoder: encoding.NewEncoder})
	}
	if len(formats) == 0 {
		return nil, fmt.Errorf("encode_once: this Caddy has no encoder; build it with the standard modules")
	}
	return formats, nil
}

// order is the one in which they are chosen: as it is configured, or as encode has it, and then the rest.
func (e EncodeOnce) order(encodings caddy.ModuleMap) []string {
	order := slices.Clone(e.Prefer)
	if len(order) == 0 {
		order = []string{"zstd", "br", "gzip"}
	}
	order = slices.DeleteFunc(order, func(name string) bool { return encodings[name] == nil })
	for _, name := range slices.Sorted(maps.Keys(encodings)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	return order
}
