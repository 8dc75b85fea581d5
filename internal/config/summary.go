package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Summary says in words what a handler does: what it says when it starts.
func (h *Handler) Summary() string {
	if h.Off {
		return "leaves requests alone"
	}
	said := []string{valueOr(h.ETag).summary(), valueOr(h.LastModified).summary()}
	if n := len(h.CacheControl); n > 0 {
		said = append(said, fmt.Sprintf("sets Cache-Control by %s", counted(n, "cache_control line")))
	} else {
		said = append(said, "leaves Cache-Control alone")
	}
	if h.Expires == "modified" {
		said = append(said, "lets what has no lifetime last "+time.Duration(h.ExpiresModified).String()+" from its Last-Modified")
	}
	said = append(said, valueOr(h.Buffer).summary(), valueOr(h.Ranges).summary())
	if h.Head == "get" {
		said = append(said, "asks for HEAD with GET")
	}
	said = append(said, guardSummary(h.GuardWrites), rememberSummary(h.Remember))
	if h.EncodeOnce != nil {
		said = append(said, "compresses what comes again once, and keeps that")
	}
	return strings.Join(said, "; ")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (e ETag) summary() string {
	existing := map[string]string{
		"": "keeps the upstream's", "keep": "keeps the upstream's", "repair": "puts quotes on the upstream's", "weaken": "makes the upstream's weak",
		"replace": "puts them in place of the upstream's", "remove": "takes the upstream's off",
	}[e.Existing]
	if e.Mode == "off" {
		return "makes no entity tags, " + existing
	}
	kind := cmp.Or(e.Mode, "auto")
	hash := cmp.Or(e.Hash, "xxh3")
	if e.Secret != "" {
		hash = "HMAC-SHA-256"
	}
	text := fmt.Sprintf("makes entity tags (%s, %s), %s", kind, hash, existing)
	if n := len(e.Ignore) + len(e.IgnoreExpressions); n > 0 {
		ignored := e.Ignore
		if n := len(e.IgnoreExpressions); n > 0 {
			ignored = append(slices.Clip(ignored), counted(n, "expression"))
		}
		text += ", ignores " + strings.Join(ignored, ", ")
	}
	return text
}

func (l LastModified) summary() string {
	text := map[string]string{"": "puts Last-Modified in order", "normalize": "puts Last-Modified in order", "off": "leaves Last-Modified as it is", "remove": "takes Last-Modified off"}[l.Mode]
	if n := len(l.From); n > 0 {
		text += " and has " + counted(n, "other source") + " of dates"
	}
	return text
}

func (b Buffer) summary() string {
	size, delay := cmp.Or(b.MaxBody, DefaultMaxBody), cmp.Or(time.Duration(b.MaxDelay), DefaultMaxDelay)
	text := "buffers up to " + humanize.IBytes(uint64(size)) //nolint:gosec // checked to be positive
	if delay < 0 {
		return text + " for as long as it takes"
	}
	return text + " for " + delay.String()
}

func (r Ranges) summary() string {
	switch r.Mode {
	case "off":
		return "answers no Range"
	case "stream":
		return "answers Range, of what passes as well"
	}
	return "answers Range"
}

func guardSummary(g *GuardWrites) string {
	if g == nil {
		return "judges writes that name a tag made here"
	}
	text := "judges " + strings.Join(g.compile().Methods, ", ")
	if g.Require {
		text += " and refuses them without a condition"
	}
	return text
}

func rememberSummary(r *Remember) string {
	if r == nil {
		return "remembers nothing"
	}
	text := "remembers for as long as responses say"
	if r.TTL > 0 {
		text = "remembers for " + time.Duration(r.TTL).String()
	}
	var store struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(r.StoreRaw, &store) == nil && store.Name != "" {
		text += " in " + store.Name
	}
	for _, longer := range []struct {
		d    time.Duration
		what string
	}{{time.Duration(r.Grace), "of grace"}, {time.Duration(r.StaleIfError), "while the upstream fails"}} {
		if longer.d > 0 {
			text += ", " + longer.d.String() + " more " + longer.what
		}
	}
	return text
}
