// Package config says what is refused of a configuration, what is warned of in one, and what the rest of it means to
// requests: Check, Warnings and Compile of Handler. A configuration may come as JSON or as a Caddyfile. Both are held
// to these rules, with these words; of neither is anything known here.
//
// The types repeat the fields of those that the root publishes, in their order and without their tags and comments.
// There it says what a field means; Go converts between the two, and no longer does when they drift apart.
//
// A new subdirective is: a field in module.go with its documentation, and in Handler.config there; its reader, and its
// line of the grammar, in caddyfile.go, or in package tokens if it is long; its name in Subdirectives, and its example in
// examples.go; its type and Check in a file here, called by Handler.Check, and by Contradiction if it may contradict
// another one; its part of Compile, and its field in package policy; its section in docs/reference.md; a golden file for
// the adapter; and docs/json.md, which package jsondoc writes.
package config

import (
	"errors"
	"reflect"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Handler is the configuration of one directive. Its methods change nothing of it.
type Handler struct {
	Off              bool
	ETag             *ETag
	LastModified     *LastModified
	CacheControl     []CacheControl
	Expires          string
	ExpiresModified  caddy.Duration
	Buffer           *Buffer
	Head             string
	Ranges           *Ranges
	GuardWrites      *GuardWrites
	Remember         *Remember
	NotModified      *NotModified
	EncodeOnce       *EncodeOnce
	ContentLocation  bool
	CacheStatus      string
	ServerTiming     bool
	DebugHeaders     bool
	ResponseMatchers map[string]caddyhttp.ResponseMatcher
	Block            string
}

// Head are the words of `head`.
var Head = Choice{Of: "head", Words: []string{"pass", "get"}}

// Check refuses what no Caddyfile could say either. Of several errors it returns one, always the same.
func (h *Handler) Check() error {
	checks := []func() error{
		h.checkOff,
		valueOr(h.ETag).Check, valueOr(h.LastModified).Check, valueOr(h.Buffer).Check, valueOr(h.NotModified).Check,
		h.checkResponseMatchers, h.checkRows, valueOr(h.GuardWrites).Check, h.checkGuard,
		func() error { return CheckExpires(h.Expires, h.ExpiresModified) },
		h.checkModified, valueOr(h.EncodeOnce).Check, h.checkEncodeOnce, h.checkSources, h.checkFirstSeen, valueOr(h.Remember).Check, h.checkRemember,
		func() error { return Head.Check(h.Head) },
		valueOr(h.Ranges).Check,
		func() error { return CheckCacheStatus(h.CacheStatus) },
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkOff refuses whatever stands beside off. A block has the number, or the name, that tells siblings.
func (h *Handler) checkOff() error {
	alone := Handler{Off: true, Block: h.Block}
	if h.Off && !reflect.DeepEqual(*h, alone) {
		return errors.New("off leaves requests alone, whatever else is said; remove the rest, or off")
	}
	return nil
}

// Contradiction refuses what is wrong in no subdirective by itself, but in two together. of is the one that the error
// is about, or the source of dates, as it begins in a Caddyfile.
func (h *Handler) Contradiction() (of string, err error) {
	for _, rule := range []struct {
		of    string
		check func() error
	}{
		{"guard_writes", h.checkGuard},
		{"expires", h.checkModified},
		{"last_modified from json", h.checkSources},
		{"last_modified from first_seen", h.checkFirstSeen},
		{"remember", h.checkRemember},
		{"encode_once", h.checkEncodeOnce},
	} {
		if err := rule.check(); err != nil {
			return rule.of, err
		}
	}
	return "", nil
}

// valueOr is what p points to; nil is the zero value, under which every default holds.
func valueOr[T any](p *T) (v T) {
	if p != nil {
		return *p
	}
	return v
}
