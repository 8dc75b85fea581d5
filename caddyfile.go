package conditionalcache

import (
	"cmp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tokens"
)

// parseCaddyfile makes a route of a directive, as httpcaddyfile.RegisterHandlerDirective would, and compares it with its
// siblings.
func parseCaddyfile(helper httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	matcher := tokens.Matcher(helper)
	helper.Next() // to the directive's name
	at := *helper.Dispenser
	matchers, err := helper.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	h, p := new(Handler), new(parser)
	if err := h.unmarshal(helper.Dispenser, p); err != nil {
		return nil, err
	}
	h.Block = tokens.BlockName(helper)
	_, says := p.places["remember"]
	sibling := tokens.Sibling{Block: h.Block, Matcher: matcher, Remembers: h.Remember != nil, SaysRemember: says || h.Off, Line: at.Line()}
	for _, warning := range append(tokens.Meet(helper, sibling), tokens.Misplaced(helper, at.File(), at.Line())...) {
		warnings().Warn(warning, zap.String("file", at.File()), zap.Int("line", at.Line()))
	}
	p.warn(warnings())
	return helper.NewRoute(matchers, h), nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	conditional_cache [<matcher>] [<max_age>|off] {
//	    etag            [auto|strong|weak|off] {
//	        hash        xxh3|sha256
//	        existing    keep|repair|weaken|replace|remove
//	        ignore      csrf|nonce|`<regexp>`...
//	        secret      <text with {env.*} or {file.*}>
//	        epoch       <text>
//	    }
//	    last_modified   [normalize|off|remove] {
//	        from        header <field> [<layout>] | json <path> [<layout>] | file <path...> | first_seen
//	        lenient     [on|off]
//	    }
//	    cache_control   [<selector...>] <directive...>|off {
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
//	    ranges          on|off|stream {
//	        max         <n>
//	    }
//	    guard_writes    [<method...>|off] {
//	        require     [on|off]
//	    }
//	    remember        [<ttl>|off] {
//	        store          memory { [max_entries <n>] [max_first_seen <n>] } | redis { ... }
//	        key            <text with placeholders>
//	        ignore_cookies <pattern...>
//	        ignore_set_cookie <pattern...>
//	        grace          <duration>|off
//	        stale_if_error <duration>|off
//	    }
//	    not_modified {
//	        keep        <field...>
//	        drop        <field...>
//	    }
//	    encode_once     [<format...>|off] {
//	        max_bytes      <size>
//	        minimum_length <n>
//	        match          header <field> <pattern> | status <code...>
//	        gzip           [<level>]
//	        zstd           [<level>]
//	    }
//	    content_location [on|off]
//	    cache_status    [<name>|off]
//	    server_timing   [on|off]
//	    debug_headers   [on|off]
//	    @<name> status <code...>
//	    @<name> {
//	        status      <code...>
//	        header      <field> <pattern>
//	    }
//	}
//
// Selectors are paths (/assets/*), or media types (text/html, image/*), or the name of one response matcher (@name). A line that
// is off leaves what it selects as it is, whatever the lines below say; cache_control off alone means no lines. A max_age of
// 1h lets browsers and shared caches keep everything that has no Cache-Control of its own for one hour. A number without a
// unit is seconds. The error names file and line, and what to write instead.
//
// Caddy puts variables such as {$TTL} in before a word is read: nothing is left of one that is not set. In quotes, "{$TTL}",
// an empty word is left, which is refused.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	var p parser
	if err := h.unmarshal(d, &p); err != nil {
		return err
	}
	p.warn(warnings())
	return nil
}

// warnings is where they go that have a file and a line.
func warnings() *zap.Logger { return caddy.Log().Named("caddyfile") }

func (h *Handler) unmarshal(d *caddyfile.Dispenser, p *parser) error {
	d.Next() // consume the directive's name
	*p = parser{Reader: tokens.Reader{Dispenser: d}, h: h, places: make(map[string]tokens.Place)}
	at := p.Here()
	if err := p.readShorthand(); err != nil {
		return err
	}
	for d.NextBlock(0) {
		if err := p.subdirective(); err != nil {
			return err
		}
	}
	if p.shorthand != nil {
		h.CacheControl = append(h.CacheControl, *p.shorthand)
		p.rows = append(p.rows, at)
	}
	return cmp.Or(p.checkMatchers(), p.checkTogether())
}

// parser reads one directive.
type parser struct {
	tokens.Reader
	// h is what is read into: its fields are set as their subdirectives come.
	h *Handler
	// shorthand is the row of the directive's own argument; nil: it has none. It becomes the last row when the block
	// has been read.
	shorthand *CacheControl
	// places say where each subdirective stands that has come so far, of cache_control the first; and where the sources
	// of dates stand that some errors are about, such as "last_modified from json". What is wrong only beside another
	// subdirective shows when all have been read.
	places map[string]tokens.Place
	// rows say where each row of h stands.
	rows []tokens.Place
	// named are the response matchers that rows have named, and defined those that the block has defined, which may
	// come later.
	named, defined []reference
}

// reference is where a response matcher is named: by a row, or by its definition.
type reference struct {
	name string
	at   tokens.Place
}

// readShorthand reads the directive's own arguments.
func (p *parser) readShorthand() error {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return nil
	}
	if strings.HasPrefix(args[0], "/") {
		return p.Errf("unexpected %q: conditional_cache takes one path; for several write a matcher, as in @pages path /a/* /b/*, and conditional_cache @pages 1h", args[0])
	}
	if len(args) > 1 {
		return p.Errf("unexpected %q: conditional_cache takes a matcher, then a max_age such as 1h, or off; %s", args[1], config.CureBesideMaxAge(args[0], args[1]))
	}
	if args[0] == off[0] {
		p.h.Off = true
		return p.NoBlock("conditional_cache off")
	}
	seconds, err := p.MaxAge(args[0])
	if err != nil {
		return err
	}
	p.shorthand = &CacheControl{Directives: []string{"s-maxage=" + seconds, "max-age=" + seconds}}
	return nil
}

// subdirective reads one subdirective; the reader stands on its name.
func (p *parser) subdirective() error {
	name := p.Val()
	if strings.HasPrefix(name, "@") {
		return p.responseMatcher(name)
	}
	if _, twice := p.places[name]; twice && name != "cache_control" {
		return p.Errf("duplicate subdirective %q; write it once", name)
	}
	p.place(name)
	if read := p.readers()[name]; read != nil {
		return read()
	}
	return p.Unrecognized(config.Subdirective, name, append(slices.Clip(config.Subdirectives), "@<name>"))
}

// readers are what reads each subdirective.
func (p *parser) readers() tokens.Options {
	return tokens.Options{
		"etag": p.etag, "last_modified": p.lastModified, "cache_control": p.cacheControl, "expires": p.expires, "buffer": p.buffer,
		"head": p.head, "ranges": p.ranges, "guard_writes": p.guardWrites, "remember": p.remember, "not_modified": p.notModified,
		"encode_once": p.encodeOnce, "cache_status": p.cacheStatus,
		"content_location": func() error { return p.flag("content_location", &p.h.ContentLocation) },
		"server_timing":    func() error { return p.flag("server_timing", &p.h.ServerTiming) },
		"debug_headers":    func() error { return p.flag("debug_headers", &p.h.DebugHeaders) },
	}
}

// place notes that something stands here, unless it is noted already.
func (p *parser) place(of string) {
	if _, noted := p.places[of]; !noted {
		p.places[of] = p.Here()
	}
}

func (p *parser) etag() error {
	e, err := p.ETag(p.place)
	p.h.ETag = (*ETag)(e)
	return err
}

func (p *parser) lastModified() error {
	mode, err := p.WordOrBlock(config.LastModifiedMode)
	if err != nil {
		return err
	}
	l := &LastModified{Mode: mode}
	p.h.LastModified = l
	return p.Block("last_modified", tokens.Options{
		"from":    func() error { return p.from(l) },
		"lenient": func() (err error) { l.Lenient, err = p.OnOff("lenient"); return err },
	}, "from")
}

// from reads one source of dates.
func (p *parser) from(l *LastModified) error {
	kind, source, err := p.Source()
	if err != nil {
		return err
	}
	p.place("last_modified from " + kind)
	l.From = append(l.From, LastModifiedSource(source))
	return p.At(l.config().Check())
}

// noRows is `cache_control off`, as places know it.
const noRows = "cache_control off"

func (p *parser) cacheControl() error {
	at := p.Here()
	row, err := p.Row()
	if err != nil {
		return err
	}
	if row.Off && row.Selector() == "" {
		if _, twice := p.places[noRows]; twice {
			return at.Errf("cache_control off is there twice; write it once")
		}
		p.places[noRows] = at
		return nil
	}
	if row.Selector() == "" && p.shorthand != nil {
		return at.Errf("cache_control without a selector, and the max_age behind conditional_cache, are both for every other response; remove one")
	}
	p.h.CacheControl = append(p.h.CacheControl, CacheControl(row))
	p.rows = append(p.rows, at)
	if row.ResponseMatcher != "" {
		p.named = append(p.named, reference{row.ResponseMatcher, at})
	}
	return at.At(p.h.config().CheckOrder())
}

func (p *parser) expires() (err error) {
	at := p.Here()
	if p.NextArg() && p.Val() == "modified" {
		return cmp.Or(p.modified(), p.NoBlock("expires"))
	}
	p.Return(at)
	if p.h.Expires, err = p.Word(config.Expires); err != nil {
		return err
	}
	return p.NoBlock("expires")
}

// modified reads what stands behind `expires modified`.
func (p *parser) modified() (err error) {
	p.h.Expires = "modified"
	if p.h.ExpiresModified, err = p.Lifetime("expires modified"); err != nil {
		return err
	}
	return p.At(config.CheckExpires(p.h.Expires, p.h.ExpiresModified))
}

func (p *parser) buffer() error {
	b, err := p.Buffer()
	p.h.Buffer = (*Buffer)(b)
	return err
}

func (p *parser) head() (err error) {
	if p.h.Head, err = p.Word(config.Head); err != nil {
		return err
	}
	return p.NoBlock("head")
}

func (p *parser) ranges() error {
	mode, err := p.Word(config.RangesMode)
	if err != nil {
		return err
	}
	r := &Ranges{Mode: mode}
	p.h.Ranges = r
	return p.Block("ranges", tokens.Options{
		"max": func() (err error) {
			r.Max, err = p.Count(config.MostRanges)
			return cmp.Or(err, p.At(config.Ranges(*r).Check()))
		},
	})
}

func (p *parser) guardWrites() error {
	g, err := p.GuardWrites()
	p.h.GuardWrites = (*GuardWrites)(g)
	return err
}

func (p *parser) remember() error {
	r, err := p.Remember(p.place)
	p.h.Remember = (*Remember)(r)
	return err
}

func (p *parser) encodeOnce() error {
	e, err := p.EncodeOnce()
	p.h.EncodeOnce = (*EncodeOnce)(e)
	return err
}

func (p *parser) notModified() error {
	n, err := p.NotModified()
	p.h.NotModified = (*NotModified)(n)
	return err
}

// off are the arguments of a subdirective that is there to say that it does not hold.
var off = []string{"off"}

// flag reads a subdirective that is on or off.
func (p *parser) flag(name string, set *bool) (err error) {
	if *set, err = p.OnOff(name); err != nil {
		return err
	}
	return p.NoBlock(name)
}

func (p *parser) cacheStatus() error {
	args := append(p.RemainingArgs(), config.CacheName)
	if len(args) == 2 && args[0] == off[0] {
		return p.NoBlock("cache_status off")
	}
	switch p.h.CacheStatus = args[0]; {
	case len(args) > 2:
		return p.Surplus(args[1], "cache_status", "one name")
	case args[0] == "":
		return p.Errf("cache_status: the name is empty; leave it out for %s", config.CacheName)
	}
	if err := p.At(config.CheckCacheStatus(p.h.CacheStatus)); err != nil {
		return err
	}
	return p.NoBlock("cache_status")
}

// responseMatcher reads the definition of a response matcher.
func (p *parser) responseMatcher(name string) error {
	if len(name) == 1 {
		return p.Errf("a response matcher needs a name after @, such as @missing status 404")
	}
	if _, twice := p.h.ResponseMatchers[name[1:]]; twice {
		return p.Errf("response matcher %s is defined twice; give one another name", name)
	}
	at := p.Here()
	m, err := p.ResponseMatcher(name)
	if err != nil {
		return err
	}
	if p.h.ResponseMatchers == nil {
		p.h.ResponseMatchers = make(map[string]caddyhttp.ResponseMatcher)
	}
	p.h.ResponseMatchers[name[1:]] = m
	p.defined = append(p.defined, reference{name[1:], at})
	return nil
}

// checkMatchers refuses rows that name a matcher which the block does not define, and matchers that no
// row names.
func (p *parser) checkMatchers() error {
	used, whole := make(map[string]bool, len(p.named)), p.h.config()
	for _, ref := range p.named {
		used[ref.name] = true
		if err := whole.CheckMatcher(ref.name); err != nil {
			return ref.at.At(err)
		}
	}
	for _, def := range p.defined {
		if !used[def.name] {
			return def.at.Errf("response matcher @%s is not used; name it on a cache_control line, as in cache_control @%s max-age=1m", def.name, def.name)
		}
	}
	return nil
}

// checkTogether comes last, as what contradicts may stand below.
func (p *parser) checkTogether() error {
	if at, said := p.places[noRows]; said && len(p.h.CacheControl) > 0 {
		return at.Errf("cache_control off means that no Cache-Control is set here, so no other cache_control line and no max_age goes with it; remove it, " +
			"or write what it is for, as in cache_control /api/* off")
	}
	of, err := p.h.config().Contradiction()
	return p.places[of].At(err)
}

// warn logs what is valid, and probably not what was meant, with its line. Caddy's own directives do
// it in this way, too: the adapter's list of warnings is not open to them.
func (p *parser) warn(logger *zap.Logger) {
	for _, warning := range p.h.config().Warnings() {
		at := p.places[warning.Of]
		if warning.Row != config.NoRow {
			at = p.rows[warning.Row]
		}
		logger.Warn(warning.Text, zap.String("file", at.File()), zap.Int("line", at.Line()))
	}
}

// parseGlobalOption reads the global option. Syntax:
//
//	conditional_cache {
//	    max_total <size>
//	    store     memory { [max_entries <n>] [max_first_seen <n>] } | redis { ... }
//	}
func parseGlobalOption(d *caddyfile.Dispenser, prev any) (any, error) {
	d.Next() // consume the option's name
	if prev != nil {
		return nil, d.Errf("the global option conditional_cache is given twice; put everything into one block")
	}
	app, r := new(App), tokens.Reader{Dispenser: d}
	if err := r.NoSize("conditional_cache", "max_total"); err != nil {
		return nil, err
	}
	at := r.Here()
	err := r.Block("conditional_cache", tokens.Options{
		"max_total": func() (err error) { app.MaxTotal, err = r.Size("256MiB"); return err },
		"store":     func() (err error) { app.StoreRaw, err = r.Store(); return err },
	})
	if err != nil {
		return nil, err
	}
	if app.MaxTotal == 0 && app.StoreRaw == nil {
		return nil, at.Errf("the global option conditional_cache needs a block with max_total or store, such as conditional_cache { max_total 512MiB }%s", config.Breaks)
	}
	return httpcaddyfile.App{Name: "conditional_cache", Value: caddyconfig.JSON(app, nil)}, nil
}
