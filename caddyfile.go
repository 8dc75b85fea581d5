package conditionalcache

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// parseCaddyfile makes a handler of a directive.
func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	h.Block = blockName(helper)
	return h, nil
}

// blockName names the block of directives that a directive stands in. Siblings share it; a nested
// block has another one, though Caddy hands the parent's state down to it. Site blocks have one name
// in common, which does not matter: no request is in two of them.
func blockName(helper httpcaddyfile.Helper) string {
	const key = "conditional_cache.blocks"
	if helper.State == nil {
		return ""
	}
	// The map itself is what tells one block from another; holding on to it keeps its address its own.
	type block struct{ state map[string]any }
	blocks, _ := helper.State[key].([]block)
	address := reflect.ValueOf(helper.BlockState).Pointer()
	i := slices.IndexFunc(blocks, func(b block) bool { return reflect.ValueOf(b.state).Pointer() == address })
	if i < 0 {
		i = len(blocks)
		helper.State[key] = append(blocks, block{helper.BlockState})
	}
	name := strconv.Itoa(i + 1)
	if helper.IsNamedRoute() {
		return "named " + name // all named routes of a configuration are adapted with one count of their own
	}
	return name
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	conditional_cache [<matcher>] [<max_age>] {
//	    etag            auto|strong|weak|off {
//	        hash        xxh3|sha256
//	        existing    keep|repair|weaken|replace|remove
//	        ignore      csrf|nonce|<regexp>...
//	        secret      <text with {env.*} or {file.*}>
//	        epoch       <text>
//	    }
//	    last_modified   normalize|off|remove {
//	        from        header <field> [<layout>] | json <path> [<layout>] | file <path...> | first_seen
//	        lenient
//	    }
//	    cache_control   [<selector>] <directive...> {
//	        existing    keep|merge|replace
//	        jitter      <percent>
//	        extension   <directive...>
//	    }
//	    expires         auto|off|modified <duration>
//	    buffer {
//	        max_body    <size>
//	        max_delay   <duration>|off
//	    }
//	    head            pass|get
//	    ranges          on|off|stream
//	    guard_writes    [<method...>] {
//	        require
//	    }
//	    remember        [<ttl>] {
//	        store          memory { max_entries <n> } | redis { ... }
//	        key            <text with placeholders>
//	        ignore_cookies <pattern...>
//	        grace          <duration>
//	        stale_if_error <duration>
//	    }
//	    not_modified {
//	        keep        <field...>
//	        drop        <field...>
//	    }
//	    content_location
//	    @<name> status <code...>
//	    @<name> {
//	        status      <code...>
//	        header      <field> <pattern>
//	    }
//	}
//
// A selector is a path (/assets/*), a media type (text/html, image/*) or the name of a response matcher
// (@name). A max_age of 1h is short for a last row `cache_control s-maxage=1h max-age=1h`.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	var p parser
	if err := h.unmarshal(d, &p); err != nil {
		return err
	}
	p.warn(caddy.Log().Named("caddyfile"))
	return nil
}

func (h *Handler) unmarshal(d *caddyfile.Dispenser, p *parser) error {
	d.Next() // consume the directive's name
	at := *d
	shorthand, err := parseShorthand(d)
	if err != nil {
		return err
	}
	*p = parser{Dispenser: d, h: h, hasShorthand: shorthand != nil, seen: make(map[string]bool)}
	for d.NextBlock(0) {
		if err := p.subdirective(); err != nil {
			return err
		}
	}
	if shorthand != nil {
		h.CacheControl = append(h.CacheControl, *shorthand)
		p.rows = append(p.rows, at)
	}
	return cmp.Or(p.checkMatchers(), p.checkGuard(), p.checkModified(), p.checkSources(), p.checkRemember())
}

// parseShorthand reads the directive's own arguments.
func parseShorthand(d *caddyfile.Dispenser) (*CacheControl, error) {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return nil, nil //nolint:nilnil // no shorthand is no error
	}
	if len(args) > 1 {
		return nil, d.Errf("unexpected %q: conditional_cache takes a matcher, then a max_age such as 1h; options go in a block", args[1])
	}
	lifetime, err := caddy.ParseDuration(args[0])
	if err != nil {
		return nil, d.Errf("%q is not a max_age such as 90s, 1h or 30d", args[0])
	}
	if lifetime < 0 || lifetime%time.Second != 0 || lifetime/time.Second > math.MaxInt32 {
		return nil, d.Errf("max_age %s has to be a whole number of seconds, from 0 to 2147483647", args[0])
	}
	seconds := strconv.FormatInt(int64(lifetime/time.Second), 10)
	return &CacheControl{Directives: []string{"s-maxage=" + seconds, "max-age=" + seconds}}, nil
}

// parser reads the block of one directive.
type parser struct {
	*caddyfile.Dispenser
	h            *Handler
	hasShorthand bool
	seen         map[string]bool
	unresolved   []reference
	defined      []reference
	guard        caddyfile.Dispenser   // where guard_writes stands
	dated        caddyfile.Dispenser   // where expires stands
	rows         []caddyfile.Dispenser // where the rows stand
	body         caddyfile.Dispenser   // where the first `from json` stands
	firstSeen    caddyfile.Dispenser   // where `from first_seen` stands
	remembered   caddyfile.Dispenser   // where remember stands
}

// reference is where a response matcher is named: by a row, or by its definition, which may come later.
type reference struct {
	name string
	at   caddyfile.Dispenser
}

// here remembers where the parser stands, for errors that show only further on.
func (p *parser) here() caddyfile.Dispenser { return *p.Dispenser }

// subdirective reads one subdirective; the dispenser stands on its name.
func (p *parser) subdirective() error {
	name := p.Val()
	if strings.HasPrefix(name, "@") {
		return p.responseMatcher(name)
	}
	if p.seen[name] && name != "cache_control" {
		return p.Errf("duplicate subdirective %q; write it once", name)
	}
	p.seen[name] = true
	switch name {
	case "etag":
		return p.etag()
	case "last_modified":
		return p.lastModified()
	case "cache_control":
		return p.cacheControl()
	case "expires":
		return p.expires()
	case "buffer":
		return p.buffer()
	case "head":
		return p.head()
	case "ranges":
		return p.ranges()
	case "guard_writes":
		return p.guardWrites()
	case "remember":
		return p.remember()
	case "not_modified":
		return p.notModified()
	case "content_location":
		return p.contentLocation()
	}
	return p.unrecognized("subdirective", name, subdirectives)
}

var subdirectives = []string{
	"etag", "last_modified", "cache_control", "expires", "buffer", "head", "ranges", "guard_writes", "remember", "not_modified", "content_location", "@<name>",
}

func (p *parser) etag() error {
	mode, err := p.word("etag", "auto", "strong", "weak", "off")
	if err != nil {
		return err
	}
	e := &ETag{Mode: mode}
	p.h.ETag = e
	// Checked after every option: what contradicts stands on the line that the error names.
	return p.block("etag", options{
		"hash": func() (err error) {
			e.Hash, err = p.word("etag hash", "xxh3", "sha256")
			return cmp.Or(err, p.at(e.check()))
		},
		"existing": func() (err error) { e.Existing, err = p.existingTag(); return cmp.Or(err, p.at(e.check())) },
		"ignore": func() error {
			words, err := p.words("ignore", "csrf, nonce or a regular expression")
			e.Ignore = append(e.Ignore, words...)
			return cmp.Or(err, p.at(e.check()))
		},
		"secret": func() (err error) {
			e.Secret, err = p.text("secret", "{env.ETAG_SECRET}")
			return cmp.Or(err, p.at(e.check()))
		},
		"epoch": func() (err error) { e.Epoch, err = p.text("epoch", "2026-07"); return cmp.Or(err, p.at(e.check())) },
	})
}

func (p *parser) existingTag() (string, error) {
	return p.word("etag existing", "keep", "repair", "weaken", "replace", "remove")
}

func (p *parser) lastModified() error {
	mode, err := p.word("last_modified", "normalize", "off", "remove")
	if err != nil {
		return err
	}
	l := &LastModified{Mode: mode}
	p.h.LastModified = l
	return p.block("last_modified", options{
		"from":    func() error { return p.from(l) },
		"lenient": func() error { l.Lenient = true; return p.nothing("lenient") },
	})
}

// from reads one source of dates.
func (p *parser) from(l *LastModified) error {
	args := p.RemainingArgs()
	if len(args) == 0 || args[0] == "" {
		return p.Errf("from needs a source: header, json, file or first_seen")
	}
	kind, args := args[0], args[1:]
	var source LastModifiedSource
	var err error
	switch kind {
	case "header":
		source.Header, source.Layout, err = p.sourceText(kind, "a field, such as X-Updated-At", "a field and a layout", args)
	case "json":
		source.JSON, source.Layout, err = p.sourceText(kind, "a path, such as updated_at; one that begins with # has to be quoted, or it is a comment", "a path and a layout", args)
		if p.body.File() == "" {
			p.body = p.here()
		}
	case "file":
		if source.File = args; len(args) == 0 {
			err = p.Errf("from file needs at least one path, such as {http.vars.root}{path}")
		}
	case "first_seen":
		p.firstSeen, source.FirstSeen = p.here(), true
		if len(args) > 0 {
			err = p.surplus(args[0], "from first_seen", "no argument")
		}
	default:
		return p.Errf("unrecognized source of last_modified: %q; use header, json, file or first_seen", kind)
	}
	if err != nil {
		return err
	}
	l.From = append(l.From, source)
	return p.at(l.check())
}

// sourceText reads what a source is called by, and the layout that may follow.
func (p *parser) sourceText(kind, needs, takes string, args []string) (name, layout string, err error) {
	switch {
	case len(args) == 0 || args[0] == "":
		return "", "", p.Errf("from %s needs %s", kind, needs)
	case len(args) > 2:
		return "", "", p.surplus(args[2], "from "+kind, takes)
	case len(args) == 2 && args[1] == "":
		return "", "", p.Errf(`from %s: an empty layout means nothing; remove it`, kind)
	case len(args) == 2:
		layout = args[1]
	}
	return args[0], layout, nil
}

// checkSources comes last, as the etag subdirective may stand below.
func (p *parser) checkSources() error {
	if err := p.h.checkSources(); err != nil {
		return p.body.WrapErr(err)
	}
	if err := p.h.checkFirstSeen(); err != nil {
		return p.firstSeen.WrapErr(err)
	}
	return nil
}

func (p *parser) cacheControl() error {
	at := p.here()
	row := CacheControl{Directives: p.RemainingArgs()}
	if len(row.Directives) > 0 && takeSelector(&row, row.Directives[0]) {
		row.Directives = row.Directives[1:]
	}
	if err := checkWords(row.Directives); err != nil {
		return at.WrapErr(err)
	}
	err := p.block("cache_control", options{
		"existing":  func() (err error) { row.Existing, err = p.word("existing", "keep", "merge", "replace"); return err },
		"jitter":    func() (err error) { row.Jitter, err = p.jitter(); return err },
		"extension": func() (err error) { row.Extension, err = p.extension(); return err },
	})
	if err != nil {
		return err
	}
	if _, err := row.compile(); err != nil {
		return at.Errf("cache_control: %w", err)
	}
	if row.selector() == "" && p.hasShorthand {
		return at.Errf("cache_control without a selector and the max_age of the directive both speak for every other response; keep one")
	}
	p.h.CacheControl = append(p.h.CacheControl, row)
	p.rows = append(p.rows, at)
	if row.ResponseMatcher != "" {
		p.unresolved = append(p.unresolved, reference{row.ResponseMatcher, at})
	}
	if err := p.h.checkOrder(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

// jitter reads a percentage; it is checked by itself, so that an error names its line.
func (p *parser) jitter() (float64, error) {
	word, err := p.text("jitter", "10%")
	if err != nil {
		return 0, err
	}
	number, hasUnit := strings.CutSuffix(word, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if !hasUnit || err != nil || strings.Trim(number, "0123456789.") != "" {
		return 0, p.Errf("jitter: %q is not a percentage such as 10%% or 2.5%%", word)
	}
	return percent, p.at(freshness.CheckJitter(percent))
}

// extension is checked by itself, so that an error names its line.
func (p *parser) extension() ([]string, error) {
	words, err := p.words("extension", "name or name=value")
	if err != nil {
		return nil, err
	}
	_, err = CacheControl{Extension: words}.compile()
	return words, p.at(err)
}

// checkWords refuses a row's words that are no directives, where the compiler would guess at a
// misspelt one.
func checkWords(words []string) error {
	for _, word := range words {
		switch {
		case strings.TrimSpace(word) == "":
			return errors.New("cache_control: an empty word is no directive")
		case word == "@":
			return errors.New("cache_control: a response matcher needs a name after @")
		case strings.HasPrefix(word, "*"):
			return fmt.Errorf("cache_control: %q is no directive; a path pattern begins with a slash", word)
		case takeSelector(new(CacheControl), word):
			return fmt.Errorf("cache_control: unexpected %q; a row begins with its selector, and has one at most", word)
		}
	}
	return nil
}

// takeSelector reports whether a row's first word is a selector, and takes it. A media type with
// parameters is taken for the sake of a clear error.
func takeSelector(c *CacheControl, word string) bool {
	name, _, _ := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(word, "/"):
		c.Path = word
	case strings.HasPrefix(word, "@") && len(word) > 1:
		c.ResponseMatcher = word[1:]
	case strings.Contains(name, "/") && !strings.Contains(name, `"`):
		c.MediaType = word
	default:
		return false
	}
	return true
}

func (p *parser) expires() (err error) {
	p.dated = p.here()
	if p.NextArg() && p.Val() == "modified" {
		return cmp.Or(p.modified(), p.noBlock("expires"))
	}
	*p.Dispenser = p.dated
	if p.h.Expires, err = p.word("expires", "auto", "off", "modified"); err != nil {
		return err
	}
	return p.noBlock("expires")
}

// modified reads what stands behind `expires modified`.
func (p *parser) modified() error {
	p.h.Expires = "modified"
	word, err := p.text("expires modified", "1h")
	if err != nil {
		return err
	}
	lifetime, err := caddy.ParseDuration(word)
	if err != nil {
		return p.Errf("expires modified: %q is not a duration such as 1h or 30d", word)
	}
	p.h.ExpiresModified = caddy.Duration(lifetime)
	return p.at(p.h.checkExpires())
}

// checkModified comes last, as what contradicts may stand below.
func (p *parser) checkModified() error {
	if err := p.h.checkModified(); err != nil {
		return p.dated.WrapErr(err)
	}
	return nil
}

// warn logs what is valid in rows, and probably not what was meant, with its line. Caddy's own directives do
// it in this way, too: the adapter's list of warnings is not open to them.
func (p *parser) warn(logger *zap.Logger) {
	for i, at := range p.rows {
		for _, warning := range p.h.warnings(i) {
			logger.Warn(warning, zap.String("file", at.File()), zap.Int("line", at.Line()))
		}
	}
}

func (p *parser) buffer() error {
	b := new(Buffer)
	p.h.Buffer = b
	if err := p.nothing("buffer"); err != nil {
		return err
	}
	at := p.here()
	err := p.block("buffer", options{
		"max_body": func() (err error) {
			b.MaxBody, err = parseSize(p.Dispenser)
			return cmp.Or(err, p.at(b.check()))
		},
		"max_delay": func() (err error) { b.MaxDelay, err = p.delay(); return err },
	})
	if err == nil && *b == (Buffer{}) {
		return at.Errf("buffer needs a block with max_body or max_delay")
	}
	return err
}

// delay reads a duration or off.
func (p *parser) delay() (caddy.Duration, error) {
	word, err := p.text("max_delay", "200ms, or off")
	if err != nil || word == "off" {
		return -1, err
	}
	delay, err := caddy.ParseDuration(word)
	if err != nil || delay <= 0 {
		return 0, p.Errf("max_delay: %q is neither a duration above zero, such as 200ms, nor off", word)
	}
	return caddy.Duration(delay), nil
}

func (p *parser) head() (err error) {
	if p.h.Head, err = p.word("head", "pass", "get"); err != nil {
		return err
	}
	return p.noBlock("head")
}

func (p *parser) ranges() (err error) {
	if p.h.Ranges, err = p.word("ranges", "on", "off", "stream"); err != nil {
		return err
	}
	return p.noBlock("ranges")
}

func (p *parser) guardWrites() error {
	p.guard = p.here()
	g := &GuardWrites{Methods: p.RemainingArgs()}
	p.h.GuardWrites = g
	if err := g.check(); err != nil {
		return p.guard.WrapErr(err)
	}
	return p.block("guard_writes", options{
		"require": func() error { g.Require = true; return p.nothing("require") },
	})
}

// checkGuard comes last, as the etag subdirective may stand below.
func (p *parser) checkGuard() error {
	if err := p.h.checkGuard(); err != nil {
		return p.guard.WrapErr(err)
	}
	return nil
}

func (p *parser) remember() error {
	p.remembered = p.here()
	r := new(Remember)
	p.h.Remember = r
	args := p.RemainingArgs()
	if len(args) > 1 {
		return p.surplus(args[1], "remember", "one ttl; options go in a block")
	}
	if len(args) == 1 {
		ttl, err := p.span("remember", args[0])
		if r.TTL = ttl; err != nil {
			return err
		}
	}
	return p.block("remember", options{
		"store":          func() (err error) { r.StoreRaw, err = p.store(); return err },
		"key":            func() (err error) { r.Key, err = p.key(); return err },
		"ignore_cookies": func() (err error) { r.IgnoreCookies, err = p.cookies(); return err },
		"grace":          func() (err error) { r.Grace, err = p.spanOf("grace"); return err },
		"stale_if_error": func() (err error) { r.StaleIfError, err = p.spanOf("stale_if_error"); return err },
	})
}

// spanOf reads the duration behind an option.
func (p *parser) spanOf(name string) (caddy.Duration, error) {
	word, err := p.text(name, "10m")
	if err != nil {
		return 0, err
	}
	return p.span(name, word)
}

func (p *parser) span(name, word string) (caddy.Duration, error) {
	d, err := caddy.ParseDuration(word)
	switch {
	case err != nil:
		return 0, p.Errf("%s: %q is not a duration such as 90s, 10m or 1d", name, word)
	case d == 0:
		return 0, p.Errf("%s %s: nothing would last; leave it out for %s", name, word, withoutSpan[name])
	case !isSpan(d):
		return 0, p.Errf("%s: %s is not a duration of whole seconds from 1s to 365d", name, word)
	}
	return caddy.Duration(d), nil
}

// withoutSpan says what holds where a duration is not given.
var withoutSpan = map[string]string{
	"remember": "the lifetime that the response gives itself", "grace": "no grace", "stale_if_error": "errors that are passed on",
}

func (p *parser) key() (string, error) {
	args := p.RemainingArgs()
	switch {
	case len(args) == 0:
		return "", p.Errf("key needs a text, such as {header.X-Api-Key}")
	case len(args) > 1:
		return "", p.surplus(args[1], "key", "one text; put quotes around one with spaces")
	}
	return args[0], p.at(checkKey(args[0]))
}

func (p *parser) cookies() ([]string, error) {
	patterns, err := p.words("ignore_cookies", "_ga*")
	if err != nil {
		return nil, err
	}
	return patterns, p.at(checkCookies(patterns))
}

// store reads the name of a store, and hands what follows to its module.
func (p *parser) store() (json.RawMessage, error) {
	if !p.NextArg() || p.Val() == "" {
		return nil, p.Errf("store needs a name, such as memory")
	}
	name := p.Val()
	if err := checkStoreName(name); err != nil {
		return nil, p.WrapErr(err)
	}
	module, err := caddyfile.UnmarshalModule(p.Dispenser, validators.StoreNamespace+"."+name)
	if err != nil {
		return nil, err // with file and line
	}
	return caddyconfig.JSONModuleObject(module, "name", name, nil), nil
}

// checkRemember comes last, as what contradicts may stand below.
func (p *parser) checkRemember() error {
	if err := p.h.checkRemember(); err != nil {
		return p.remembered.WrapErr(err)
	}
	return nil
}

func (p *parser) notModified() error {
	n := new(NotModified)
	p.h.NotModified = n
	if err := p.nothing("not_modified"); err != nil {
		return err
	}
	at := p.here()
	fields := func(into *[]string, name string) func() error {
		return func() (err error) {
			if *into, err = p.words(name, "Set-Cookie"); err != nil {
				return err
			}
			return p.at(n.check())
		}
	}
	if err := p.block("not_modified", options{"keep": fields(&n.Keep, "keep"), "drop": fields(&n.Drop, "drop")}); err != nil {
		return err
	}
	if n.Keep == nil && n.Drop == nil {
		return at.Errf("not_modified needs a block with keep or drop")
	}
	return nil
}

func (p *parser) contentLocation() error {
	p.h.ContentLocation = true
	if err := p.nothing("content_location"); err != nil {
		return err
	}
	return p.noBlock("content_location")
}

// responseMatcher reads `@name status 2xx` or a block of conditions. It takes what Caddy's own parser
// takes, but that one reads `header A b c d e` as two conditions, and 999 as a status.
func (p *parser) responseMatcher(name string) error {
	if len(name) == 1 {
		return p.Errf("a response matcher needs a name after @")
	}
	if _, twice := p.h.ResponseMatchers[name[1:]]; twice {
		return p.Errf("response matcher %s is defined twice; give one another name", name)
	}
	at := p.here()
	var m caddyhttp.ResponseMatcher
	for nesting := p.Nesting(); p.NextArg() || p.NextBlock(nesting); {
		if err := p.condition(&m); err != nil {
			return err
		}
	}
	if err := checkConditions(name, m); err != nil {
		return at.WrapErr(err)
	}
	if p.h.ResponseMatchers == nil {
		p.h.ResponseMatchers = make(map[string]caddyhttp.ResponseMatcher)
	}
	p.h.ResponseMatchers[name[1:]] = m
	p.defined = append(p.defined, reference{name[1:], at})
	return nil
}

// condition reads one line of a response matcher.
func (p *parser) condition(m *caddyhttp.ResponseMatcher) (err error) {
	name := p.Val()
	switch name {
	case "status":
		err = p.status(m)
	case "header":
		err = p.header(m)
	default:
		return p.unrecognized("condition of a response matcher", name, []string{"status", "header"})
	}
	return cmp.Or(err, p.noBlock(name))
}

func (p *parser) status(m *caddyhttp.ResponseMatcher) error {
	codes, err := p.words("status", "404 or 5xx")
	if err != nil {
		return err
	}
	for _, word := range codes {
		// As in JSON, 4 stands for 4xx.
		code, err := strconv.Atoi(strings.TrimSuffix(word, "xx"))
		if err != nil || !isFinalStatus(code) || code > 5 && strings.HasSuffix(word, "xx") {
			return p.Errf("status: %q is not a final status code from 200 to 599, nor a class such as 4xx (a 304 counts as the 200 it stands for)", word)
		}
		m.StatusCode = append(m.StatusCode, code)
	}
	return nil
}

func (p *parser) header(m *caddyhttp.ResponseMatcher) error {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return p.Errf("header needs a field and a pattern, or !field")
	}
	field, absent := strings.CutPrefix(args[0], "!")
	takes := 2
	if absent {
		takes = 1
	}
	switch {
	case !httpcond.IsToken(field):
		return p.Errf("header: %q is not a field name", field)
	case len(args) > takes:
		return p.surplus(args[takes], "header", "a field and one pattern, or !field")
	case len(args) < takes || args[takes-1] == "":
		return p.Errf("header %s needs a pattern, such as * for any value", field)
	}
	if m.Headers == nil {
		m.Headers = make(http.Header)
	}
	if absent {
		m.Headers[http.CanonicalHeaderKey(field)] = nil
	} else {
		m.Headers.Add(field, args[1])
	}
	return nil
}

// checkMatchers refuses rows that name a matcher which the block does not define, and matchers that no
// row names.
func (p *parser) checkMatchers() error {
	used := make(map[string]bool, len(p.unresolved))
	for _, ref := range p.unresolved {
		used[ref.name] = true
		if err := p.h.checkMatcher(ref.name); err != nil {
			return ref.at.WrapErr(err)
		}
	}
	for _, def := range p.defined {
		if !used[def.name] {
			return def.at.Errf("response matcher @%s is not used; name it in a row, as in cache_control @%s max-age=1m", def.name, def.name)
		}
	}
	return nil
}

// options are the words of a block and what reads each.
type options map[string]func() error

// block reads the block after a subdirective, if there is one. Every option but the repeatable ones may stand there once.
func (p *parser) block(of string, known options) error {
	seen := make(map[string]bool, len(known))
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		name := p.Val()
		read, ok := known[name]
		if !ok {
			return p.unrecognized("option of "+of, of+" "+name, sortedNames(known))
		}
		if seen[name] && !slices.Contains(repeatable, of+" "+name) {
			return p.Errf("duplicate option %q; write it once", name)
		}
		seen[name] = true
		if err := read(); err != nil {
			return err
		}
		if err := p.noBlock(name); err != nil {
			return err
		}
	}
	return nil
}

// repeatable are the options that may stand several times.
var repeatable = []string{"etag ignore", "last_modified from"}

func sortedNames(known options) []string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// unrecognized refuses the word that the parser stands on; full is how `later` would list it.
func (p *parser) unrecognized(what, full string, known []string) error {
	switch {
	case slices.Contains(later, full):
		return p.Errf("%s is not available in this version; remove it", full)
	case len(known) == 1:
		return p.Errf("unrecognized %s: %q; the only one is %s", what, p.Val(), known[0])
	}
	return p.Errf("unrecognized %s: %q; use %s", what, p.Val(), list(known))
}

// word reads one argument out of a few.
func (p *parser) word(name string, allowed ...string) (string, error) {
	args := p.RemainingArgs()
	if len(args) == 0 || args[0] == "" {
		return "", p.Errf("%s needs a word: %s", name, list(allowed))
	}
	if err := oneOf(name, args[0], allowed...); err != nil {
		return "", p.WrapErr(err)
	}
	if len(args) > 1 {
		return "", p.surplus(args[1], name, "one word")
	}
	return args[0], nil
}

// text reads one argument that is not empty.
func (p *parser) text(name, example string) (string, error) {
	args := p.RemainingArgs()
	if len(args) == 0 || args[0] == "" {
		return "", p.Errf("%s needs a value, such as %s", name, example)
	}
	if len(args) > 1 {
		return "", p.surplus(args[1], name, "one value")
	}
	return args[0], nil
}

// words reads one argument or more.
func (p *parser) words(name, example string) ([]string, error) {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return nil, p.Errf("%s needs at least one value, such as %s", name, example)
	}
	if slices.Contains(args, "") {
		return nil, p.Errf("%s: an empty value means nothing; remove it", name)
	}
	return args, nil
}

// nothing refuses arguments.
func (p *parser) nothing(name string) error {
	if args := p.RemainingArgs(); len(args) > 0 {
		return p.surplus(args[0], name, "no argument")
	}
	return nil
}

func (p *parser) surplus(arg, name, takes string) error {
	return p.Errf("unexpected %q: %s takes %s", arg, name, takes)
}

// noBlock refuses a block where none belongs, even an empty one.
func (p *parser) noBlock(name string) error {
	ahead := p.here() // behind the last argument; NextBlock would step over an empty block
	if !ahead.NextLine() && ahead.Next() && ahead.Val() == "{" {
		return ahead.Errf("%s takes no block", name)
	}
	return nil
}

// at adds file and line to an error, if there is one.
func (p *parser) at(err error) error {
	if err == nil {
		return nil
	}
	return p.WrapErr(err)
}

// parseGlobalOption reads the global option. Syntax:
//
//	conditional_cache {
//	    max_total <size>
//	    store     memory { max_entries <n> } | redis { ... }
//	}
func parseGlobalOption(d *caddyfile.Dispenser, prev any) (any, error) {
	d.Next() // consume the option's name
	if prev != nil {
		return nil, d.Errf("the global option conditional_cache is given twice; put everything into one block")
	}
	app := new(App)
	p := parser{Dispenser: d}
	if err := p.nothing("conditional_cache"); err != nil {
		return nil, err
	}
	at := p.here()
	err := p.block("conditional_cache", options{
		"max_total": func() (err error) { app.MaxTotal, err = parseSize(d); return err },
		"store":     func() (err error) { app.StoreRaw, err = p.store(); return err },
	})
	if err != nil {
		return nil, err
	}
	if app.MaxTotal == 0 && app.StoreRaw == nil {
		return nil, at.Errf("the global option conditional_cache needs a block with max_total or store")
	}
	return httpcaddyfile.App{Name: "conditional_cache", Value: caddyconfig.JSON(app, nil)}, nil
}

// parseSize reads a size in bytes, with or without a unit; the dispenser stands on the option's name.
func parseSize(d *caddyfile.Dispenser) (int64, error) {
	name := d.Val()
	word, err := (&parser{Dispenser: d}).text(name, "4MiB")
	if err != nil {
		return 0, err
	}
	size, err := humanize.ParseBytes(word)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return 0, d.Errf("%s: %q is not a size such as 4MiB, above zero and below 8EiB", name, word)
	}
	return int64(size), nil
}
