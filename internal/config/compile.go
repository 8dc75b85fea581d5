package config

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/ignore"
	"github.com/conditionalcache/caddy-conditional-cache/internal/lastmodified"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Compile makes the policy of a configuration that Check has passed. It reads the global placeholders of secret and
// epoch, and fails where one has no value. maxTotal is how many bytes the process may hold at one time; ctx readies
// Caddy's path matchers. Nothing is opened.
//
// Shown.Repaired is not set: exchange.New makes it, as it is learned from responses.
func (h *Handler) Compile(ctx caddy.Context, maxTotal int64) (*policy.Policy, error) {
	etag, lastModified, buffer := valueOr(h.ETag), valueOr(h.LastModified), valueOr(h.Buffer)
	tags, err := etag.compile()
	if err != nil {
		return nil, err
	}
	lasting, err := h.compileFreshness(ctx)
	if err != nil {
		return nil, err
	}
	p := &policy.Policy{
		Tags:      tags,
		Lenient:   lastModified.Lenient,
		Dates:     policy.Dates{From: lastmodified.Compile(lastModified.sources()), FirstSeen: lastModified.firstSeen()},
		Freshness: lasting,
		Bounds: policy.Bounds{
			MaxBody:  cmp.Or(buffer.MaxBody, DefaultMaxBody),
			MaxDelay: cmp.Or(time.Duration(buffer.MaxDelay), DefaultMaxDelay),
			MaxTotal: maxTotal,
		},
		HeadAsGet:       h.Head == "get",
		Ranges:          valueOr(h.Ranges).compile(),
		NotModified:     valueOr(h.NotModified).compile(),
		ContentLocation: h.ContentLocation,
		Announce:        h.announces(),
		Block:           h.Block,
		Identity: policy.Identity{
			Cookies: identity.Rules{Ignored: valueOr(h.Remember).IgnoreCookies}, Text: valueOr(h.Remember).Key, Key: identity.KeyOf(tags.Maker.Secret),
		},
	}
	if h.GuardWrites != nil {
		p.Guard = h.GuardWrites.compile()
	}
	undated := tags.Maker.Epoch != "" || lastModified.Mode == "remove" || etag.withholdsAll()
	p.Treatment = upstream.Treatment{
		LastModified: datingWords[lastModified.Mode], Existing: existingTagWords[etag.Existing], Tagless: tags.Mode == policy.Off, Undated: undated,
	}
	p.Shown = upstream.Rules{WithholdAll: etag.withholdsAll(), Undated: undated, DatesFound: p.Dates.Any()}
	return p, nil
}

// What words mean; the empty word is the zero value in each.
var (
	modeWords     = map[string]policy.Mode{"auto": policy.Auto, "strong": policy.Strong, "weak": policy.Weak, "off": policy.Off}
	datingWords   = map[string]upstream.Dating{"normalize": upstream.Normalize, "off": upstream.AsSent, "remove": upstream.Undate}
	existingWords = map[string]freshness.Existing{"keep": freshness.Keep, "merge": freshness.Merge, "replace": freshness.Replace}

	existingTagWords = map[string]upstream.Existing{
		"keep": upstream.KeepTag, "repair": upstream.RepairTag, "weaken": upstream.WeakenTag, "replace": upstream.ReplaceTag, "remove": upstream.RemoveTag,
	}
)

func (e ETag) compile() (policy.Tags, error) {
	// Only global placeholders: a tag must not depend on the request.
	secret, err := caddy.NewReplacer().ReplaceOrErr(e.Secret, true, true)
	if err != nil {
		return policy.Tags{}, fmt.Errorf("etag secret: %w; write one that has a value when Caddy starts, such as {env.ETAG_SECRET}", err)
	}
	epoch, err := caddy.NewReplacer().ReplaceOrErr(e.Epoch, true, true)
	if err != nil {
		return policy.Tags{}, fmt.Errorf("etag epoch: %w; write one that has a value when Caddy starts, such as {env.RELEASE}, or remove epoch", err)
	}
	ignored, err := ignore.Compile(e.Ignore, e.IgnoreExpressions)
	mode := modeWords[e.Mode]
	if ignored != nil {
		mode = policy.Weak // bodies that differ share a tag (RFC 9110 §8.8.1)
	}
	return policy.Tags{
		Mode: mode, Maker: tag.Maker{SHA256: e.Hash == "sha256", Secret: []byte(secret), Epoch: epoch}, Ignore: ignored,
	}, err
}

func (h *Handler) compileFreshness(ctx caddy.Context) (policy.Freshness, error) {
	f := policy.Freshness{
		Rows:          make([]policy.Row, 0, len(h.CacheControl)),
		Expires:       h.Expires != "off",
		AfterModified: time.Duration(h.ExpiresModified),
	}
	for i, config := range h.CacheControl {
		row, err := h.compileRow(ctx, config)
		if err != nil {
			return f, inRow(i, err)
		}
		f.Rows = append(f.Rows, row)
		f.Spreads = f.Spreads || row.Spreads()
	}
	return f, nil
}

func (h *Handler) compileRow(ctx caddy.Context, config CacheControl) (policy.Row, error) {
	compiled, err := config.compile()
	row := policy.Row{Row: compiled}
	for _, mediaType := range config.MediaType {
		row.MediaTypes = append(row.MediaTypes, strings.ToLower(mediaType))
	}
	if config.ResponseMatcher != "" {
		matcher := h.ResponseMatchers[config.ResponseMatcher]
		row.Response = &matcher
	}
	if err != nil || len(config.Path) == 0 {
		return row, err
	}
	row.Path = slices.Clone(caddyhttp.MatchPath(config.Path)) // Provision writes into it
	return row, row.Path.Provision(ctx)
}

func (g GuardWrites) compile() policy.Guard {
	guard := policy.Guard{Methods: g.Methods, Require: g.Require}
	if len(guard.Methods) == 0 {
		guard.Methods = []string{http.MethodPut, http.MethodPatch, http.MethodDelete}
	}
	return guard
}

func (n NotModified) compile() policy.NotModified {
	return policy.NotModified{Keep: fieldSet(n.Keep), Drop: fieldSet(n.Drop)}
}

// fieldSet has the names in their canonical form.
func fieldSet(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[http.CanonicalHeaderKey(name)] = true
	}
	return set
}
