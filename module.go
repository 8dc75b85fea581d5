// Package conditionalcache is a Caddy HTTP handler that gives every response working validators and
// answers conditional requests itself: entity tags made from content, clean Last-Modified dates, one
// typed Cache-Control policy, the 304 and 412 of RFC 9110 §13 and the 206 and 416 of §14, for proxied,
// rendered and static responses alike.
//
// The bare directive is safe on any site: what it cannot hold within its bounds it streams untouched.
// See README.md for the Caddyfile, and the fields of Handler for the JSON.
package conditionalcache

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/adminapi"
	"github.com/conditionalcache/caddy-conditional-cache/internal/command"
	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/internal/contained"
	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/internal/place"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/storedkey"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tokens"
	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory" // the default store
)

// defaultMaxTotal is max_total where none is set: 256 MiB, or a quarter of the memory limit of this process, if that is
// less. Caddy sets that limit by its cgroup, unless GOMEMLIMIT does.
func defaultMaxTotal() int64 { return min(256<<20, debug.SetMemoryLimit(-1)/4) }

func init() {
	caddy.RegisterModule(new(Handler))
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(adminapi.New(held, adminapi.Counted{Tally: counters.Tally, URLs: &urls}))
	httpcaddyfile.RegisterDirective("conditional_cache", parseCaddyfile)
	// Inside encode, whose output for a streamed body is not the same twice; outside of everything that
	// makes content.
	httpcaddyfile.RegisterDirectiveOrder("conditional_cache", httpcaddyfile.After, "encode")
	httpcaddyfile.RegisterGlobalOption("conditional_cache", parseGlobalOption)
	command.Register()
}

// App holds what all `conditional_cache` handlers of a process share. It is optional.
type App struct {
	// The bytes of response bodies held at one time by this process, over all sites and requests.
	// Responses that find the budget used up are streamed. Default: 268435456 (256 MiB), or a quarter of the memory
	// limit of the process (GOMEMLIMIT, or what Caddy sets it to by its cgroup), if that is less.
	MaxTotal int64 `json:"max_total,omitempty"`

	// The store of every `remember`, and of every source `first_seen`, of a handler that does not name one itself.
	// Default: memory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=http.conditional_cache.stores inline_key=name"`

	ctx   caddy.Context
	store validators.Store // nil: none is named
	key   *storedkey.Key   // that tells users apart, where no secret does
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "conditional_cache", New: func() caddy.Module { return new(App) }}
}

// Provision sets the defaults and loads the store.
func (a *App) Provision(ctx caddy.Context) (err error) {
	a.ctx = ctx
	a.MaxTotal, a.key = cmp.Or(a.MaxTotal, defaultMaxTotal()), storedkey.New(ctx)
	if err := a.check(); err != nil || a.StoreRaw == nil {
		return err
	}
	a.store, err = config.LoadStore(ctx, a)
	return err
}

func (a *App) check() error {
	if a.MaxTotal <= 0 {
		return errors.New("max_total has to be a positive number of bytes")
	}
	return config.CheckStore(a.StoreRaw)
}

// Start implements caddy.App. Provision asks nothing of a storage; and that a handler stands where it does nothing, shows
// when all servers have been provisioned.
func (a *App) Start() error {
	a.key.Start()
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		for _, server := range app.(*caddyhttp.App).Servers { // the module ID is Caddy's
			warnOfErrorRoutes(server)
		}
	}
	return nil
}

func warnOfErrorRoutes(server *caddyhttp.Server) {
	for _, h := range place.OfErrors(server, settingsOf) {
		h.(*Handler).logger.Warn("this conditional_cache stands in handle_errors, where it does nothing: the answer to an error is under no condition "+ // settingsOf knows no others
			"(RFC 9110 §13.2.1); remove it", zap.Strings("listen", server.Listen))
	}
}

// Stop implements caddy.App; there is nothing to stop.
func (*App) Stop() error { return nil }

// counters are those of this process. They outlive configurations, and so does what they are counted for.
var counters = metrics.Collector{
	Tally: metrics.New(),
	Held: func() (bytes, limit int64) {
		now := held()
		return now.Bytes, now.MaxTotal
	},
	Stores: adminapi.Stores,
}

// urls are counted in this process, and outlive configurations, too.
var urls top.Table

// held is for the admin API and for metrics, which outlive configurations as well.
func held() adminapi.Held {
	now := adminapi.Held{Bytes: exchange.Budget.Held(), MaxTotal: defaultMaxTotal()}
	if app, err := configuredApp(caddy.ActiveContext()); err == nil {
		now.MaxTotal = app.MaxTotal
	}
	return now
}

// configuredApp is the app of a configuration. If it has none, that is one with the defaults, which Caddy starts if the
// context is that of a handler that it loads.
func configuredApp(ctx caddy.Context) (*App, error) {
	app, err := ctx.AppIfConfigured("conditional_cache")
	if errors.Is(err, caddy.ErrNotConfigured) {
		if ctx.Module() == nil {
			return &App{MaxTotal: defaultMaxTotal()}, nil
		}
		app, err = ctx.App("conditional_cache")
	}
	if err != nil {
		return nil, err
	}
	return app.(*App), nil // the module ID is ours
}

// Handler gives responses validators (RFC 9110 §8.8) and a freshness policy (RFC 9111), and answers
// conditional requests (RFC 9110 §13) and range requests (§14) against them.
//
// Without any option it makes entity tags, normalizes Last-Modified and answers If-None-Match,
// If-Modified-Since, If-Match and If-Unmodified-Since of GET and HEAD, and Range and If-Range of GET; it
// sets no Cache-Control. A write passes, unless its If-Match names a tag made here that is no longer the
// current one.
type Handler struct {
	// Whether requests that come here are left alone, by the handlers with the same block name as well. Nothing else may be
	// set beside it but `block`. Default: no.
	Off bool `json:"off,omitempty"`

	// How entity tags are made, and what becomes of the upstream's.
	ETag *ETag `json:"etag,omitempty"`

	// What becomes of the upstream's Last-Modified.
	LastModified *LastModified `json:"last_modified,omitempty"`

	// Rows of Cache-Control directives. They are tried in order; the first whose selector matches
	// applies. A row without a response matcher applies to 200, 203 and 206, and to the 304 that
	// stands for them; never to errors.
	CacheControl []CacheControl `json:"cache_control,omitempty"`

	// Whether a row that sets max-age (or no-cache, no-store) also sets Expires: `auto` (default)
	// or `off`. `modified`: as auto, and responses for which neither a row nor the upstream says how long
	// they last are given a max-age that counts from their Last-Modified.
	Expires string `json:"expires,omitempty"`

	// With expires `modified`: how long after its Last-Modified a response lasts, in whole seconds. What is
	// older is stale at once. A response without a Last-Modified that can be believed gets nothing.
	ExpiresModified caddy.Duration `json:"expires_modified,omitempty"`

	// Bounds of what is held back to be tagged.
	Buffer *Buffer `json:"buffer,omitempty"`

	// How HEAD is asked of the next handler: as it is (`pass`, default), or as a GET whose body is
	// thrown away (`get`), which gives HEAD the fields that GET would have.
	Head string `json:"head,omitempty"`

	// Whether Range (RFC 9110 §14) is answered here where the upstream has not done it.
	Ranges *Ranges `json:"ranges,omitempty"`

	// Which writes are judged before the upstream sees them, besides those whose If-Match names a tag
	// made here: these always are. Needs `etag` with mode `strong`.
	GuardWrites *GuardWrites `json:"guard_writes,omitempty"`

	// Whether validators are remembered, so that a 304 can be answered without asking the next handler.
	// Default: they are not.
	Remember *Remember `json:"remember,omitempty"`

	// Changes to the set of fields that a 304 keeps of the 200 it stands for.
	NotModified *NotModified `json:"not_modified,omitempty"`

	// Whether 200 responses (and their 304) without a Content-Location get one: the URI as the client
	// sent it (RFC 9110 §8.7).
	ContentLocation bool `json:"content_location,omitempty"`

	// The name of this cache in a Cache-Status field (RFC 9211): `hit` or `fwd`, `fwd-status`, `stored`, `ttl` in seconds, and
	// in `detail` the outcome with its reason. Members that are there stay. Default: empty, and the field is not sent.
	CacheStatus string `json:"cache_status,omitempty"`

	// Whether a Server-Timing field says what was decided and why, for the developer tools of browsers. Default: no.
	ServerTiming bool `json:"server_timing,omitempty"`

	// Whether X-Cache-Hit says `true` or `false`, and X-Cache-Key what the answer is, or would be, remembered under: a
	// digest with a secret in it, never the URL or a cookie. Default: no.
	DebugHeaders bool `json:"debug_headers,omitempty"`

	// Response matchers that rows of cache_control name.
	ResponseMatchers map[string]caddyhttp.ResponseMatcher `json:"response_matchers,omitempty"`

	// Of the handlers with the same block name that one request meets, only the outermost acts. Default: none,
	// and every handler acts. The Caddyfile adapter numbers the blocks, so that of sibling directives the most
	// specific acts: `1`, `named 1`.
	//
	// A name of your own, which is no number, also stands for the place of the handler in what `remember` and
	// `first_seen` keep: handlers that share a store, a block name and all other settings share that, on whatever
	// server, route or node they are. Without it the place is found in the running server: its listen addresses,
	// the matchers on the way to the handler, and the named route.
	Block string `json:"block,omitempty"`

	running
}

// running is what Provision makes of a configuration, and all of it: requests change no field.
type running struct {
	logger  *zap.Logger
	service *exchange.Service // serves requests by what the configuration says
	digest  place.Digest      // see configDigest
	spot    *spot             // where it stands; nil: nobody has to know
	store   validators.Store  // nil: nothing here needs one
	release func()            // takes the store off the admin API's list; nil if it is not there
}

// ETag says how entity tags (RFC 9110 §8.8.3) are made.
type ETag struct {
	// `auto` (default): weak when the response may still be content-coded on its way out, or is gzip-coded with a time or
	// a name in its header, which do not count then; else strong.
	// `strong`, `weak`: always so. `off`: none is made; a tag of the upstream still counts.
	Mode string `json:"mode,omitempty"`

	// The digest: `xxh3` (128 bits, default) or `sha256` (cut to 128 bits), which is for content of
	// which one party may choose two versions.
	Hash string `json:"hash,omitempty"`

	// What becomes of a tag that the upstream sent: `keep` (default), `repair` (a tag without quotes
	// gets them), `weaken` (made weak), `replace` (by one of ours), `remove` (nothing in its place).
	// Under replace and remove the upstream sees no conditional fields.
	Existing string `json:"existing,omitempty"`

	// A key for HMAC-SHA-256, so that a tag tells nothing of the content, nor of whom its date counts for (a random key in
	// Caddy's storage hides that else). May have placeholders such as {env.SECRET}. Needs hash `sha256` or none.
	Secret string `json:"secret,omitempty"`

	// What is left out of the digest, so that it does not count as a change: `csrf` (the masks of CSRF tokens; the
	// secrets under them count) and `nonce` (of scripts, styles and links). Speaks of text only; gzip is decoded for
	// it. All tags made here are weak then, so not beside mode `strong`.
	Ignore []string `json:"ignore,omitempty"`

	// The same by RE2 regular expressions: all that they match, or what their groups match if they have any, in bodies
	// of at most 1 MiB. All together have one budget of work for a body, past which it gets no tag. One that matches every number or any word hides changed prices and texts; it is warned of.
	IgnoreExpressions []string `json:"ignore_expressions,omitempty"`

	// A text that is part of every digest: a new epoch gives everything a new tag. May have global
	// placeholders such as {env.RELEASE}.
	Epoch string `json:"epoch,omitempty"`
}

// LastModified says what becomes of the Last-Modified field (RFC 9110 §8.8.2).
type LastModified struct {
	// `normalize` (default): every date form that is understood is sent as IMF-fixdate in GMT, not
	// later than Date; dates before 1980-01-02 and what is not understood are removed. `off`: left as
	// it is. `remove`: removed.
	Mode string `json:"mode,omitempty"`

	// Where a date comes from when the upstream sent none that can be used: the latest that these sources
	// give counts, for 200 responses and what is judged by them. Not under `remove`; under `off` only
	// where the upstream sent no such field at all. A response that gets a date this way and says nothing of
	// its freshness gets `Cache-Control: no-cache`, as it would be cacheable by a heuristic else
	// (RFC 9111 §4.2.2).
	From []LastModifiedSource `json:"from,omitempty"`

	// Whether date conditions in requests may be quoted or in another form than HTTP's: with `; length=`
	// behind them, fractions of a second or numeric zones, as RFC 3339 or Unix seconds. The upstream gets
	// them in HTTP's form. Without it an invalid date is ignored (RFC 9110 §13.1.3).
	Lenient bool `json:"lenient,omitempty"`
}

// LastModifiedSource is one place that a date may come from: of header, json, file and first_seen, one is given.
type LastModifiedSource struct {
	// A response field. Of several lines the latest date counts.
	Header string `json:"header,omitempty"`

	// A path into a JSON body of at most 1 MiB that is held, in the syntax of gjson: `updated_at`,
	// `item.updated_at`, or `items.#.updated_at` for the latest in a list. Numbers are Unix seconds, or
	// milliseconds from 1e11 on. Not beside `etag` with mode `off`, under which nothing is held.
	JSON string `json:"json,omitempty"`

	// Files, of which the newest counts. Paths may have placeholders, of the request as well. Those that
	// are not there, and folders, do not count.
	File []string `json:"file,omitempty"`

	// When the entity tag of the response last became the current one, as the store of `remember` or else of the
	// app knows. All nodes that share the store give the same date, and it never moves backwards. Not beside
	// `etag` with mode `off`, under which there are no tags.
	FirstSeen bool `json:"first_seen,omitempty"`

	// The form of the dates of header or json, as Go's reference date: `02.01.2006 15:04`. Without a zone
	// they are UTC. Default: the HTTP dates, RFC 5322, RFC 3339, and Unix seconds.
	Layout string `json:"layout,omitempty"`
}

// CacheControl is one row: a selector (of path, media_type and response_matcher at most one; none
// selects every response) and directives.
type CacheControl struct {
	// A path pattern of the original request, as in Caddy's path matcher.
	Path string `json:"path,omitempty"`

	// A media type (`text/html`) or range (`image/*`) of the response.
	MediaType string `json:"media_type,omitempty"`

	// The name of a response matcher, without `@`. Such a row applies to every status that matches.
	ResponseMatcher string `json:"response_matcher,omitempty"`

	// Directives of RFC 9111 §5.2.2, RFC 5861 and RFC 8246. Lifetimes are whole seconds
	// (`max-age=3600`) or durations (`max-age=1h`).
	Directives []string `json:"directives,omitempty"`

	// Directives that those RFCs do not know, passed on as they are.
	Extension []string `json:"extension,omitempty"`

	// `keep` (default): a Cache-Control or Expires of the upstream stands. `merge`: of each directive the
	// stricter one counts, the row's or the upstream's. `replace`: the row wins, and with it the operator's
	// word that personal responses may be shared if the row says so.
	Existing string `json:"existing,omitempty"`

	// By how many percent max-age and s-maxage are shortened at most, from 1 to 50, with two decimals at
	// most. How much it is depends on host, path and query as the client sent them, so that what was stored
	// at one time does not end at one time. Default: 0, not at all.
	Jitter float64 `json:"jitter,omitempty"`
}

// Buffer bounds what is held back.
type Buffer struct {
	// The longest body that is held, in bytes; longer ones are streamed without a tag of ours.
	// Default: 4194304 (4 MiB).
	MaxBody int64 `json:"max_body,omitempty"`

	// How long a response is held, counted from its head; what takes longer, with the work of
	// `ignore` on it, is streamed. Negative: no limit. Default: 200ms.
	MaxDelay caddy.Duration `json:"max_delay,omitempty"`
}

// Ranges says which responses Range is answered out of, and how often.
type Ranges struct {
	// `on` (default): 200 responses to GET that have a strong validator and are held, or declare a length of at
	// most max_body, unless the upstream says `Accept-Ranges: none`. `stream`: whatever the upstream says; one
	// range also of those that declare a greater length, cut out of the passing body, up to its last byte; and
	// those without a validator, where no content coding can follow. With such a one nobody can tell whether two
	// parts are of the same version. `off`: none.
	Mode string `json:"mode,omitempty"`

	// How many ranges are answered in one response, from 1 to 1000; to more of them the whole is sent. Those that
	// stand side by side in the request, and touch or overlap, are one. Default: 16. Not beside `off`.
	Max int `json:"max,omitempty"`
}

// NotModified changes the set of fields of a 304 (RFC 9110 §15.4.5).
type NotModified struct {
	// Fields to keep that would be left out.
	Keep []string `json:"keep,omitempty"`
	// Fields to leave out that would be kept.
	Drop []string `json:"drop,omitempty"`
}

// GuardWrites makes writes safe against lost updates: their If-Match, If-None-Match and
// If-Unmodified-Since are judged against the current representation, one write to a URI at a time.
type GuardWrites struct {
	// The methods, in capitals. Default: PUT, PATCH, DELETE.
	Methods []string `json:"methods,omitempty"`

	// Whether a write of these methods without a precondition is answered with 428 (RFC 6585 §3).
	Require bool `json:"require,omitempty"`
}

// Remember says how long validators are remembered, where, and for whom. A request whose condition matches what is
// remembered gets its 304 without the next handler being asked; every other request goes there.
//
// Nothing is remembered of responses that are `private`, `no-store` or `no-cache` or set cookies that count, nor for
// requests with Authorization, cookies, a client certificate or a user whom Caddy has authenticated, unless the
// response says that it is for all of them alike. Whatever else tells one user from another has to be in `key`.
type Remember struct {
	// How long a response's validators are used without asking the next handler, in whole seconds, one year at
	// most. Default: as long as the response says that shared caches may (s-maxage, max-age, Expires).
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Where they are kept. Default: the store of the app `conditional_cache`, or else `memory`.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=http.conditional_cache.stores inline_key=name"`

	// A text that is added to what tells one record from another, besides the target URI and the fields named
	// by Vary. Has placeholders of the request, such as {http.request.header.X-Api-Key}: for all that an answer
	// depends on and neither Vary nor cookies nor Authorization tell.
	Key string `json:"key,omitempty"`

	// The names of cookies that no answer depends on. One that ends with * stands for all that begin so: `ab_*`.
	// Case matters, as in cookies. Nor do these tell for whom the date in a tag counts.
	IgnoreCookies []string `json:"ignore_cookies,omitempty"`

	// The names of cookies that a response may set and still be remembered, in the same form: the token that every guest
	// gets (`XSRF-TOKEN`), those of load balancers; no session. Only requests that have all of them (but a load balancer's)
	// are answered from memory. Name them in `ignore_cookies` as well.
	IgnoreSetCookie []string `json:"ignore_set_cookie,omitempty"`

	// How long after their time validators are still used while one request asks for new ones, in whole
	// seconds, one year at most. Default: not at all.
	Grace caddy.Duration `json:"grace,omitempty"`

	// How long after their time validators are still used while the next handler fails with 5xx or cannot be
	// reached, in whole seconds, one year at most. Default: not at all.
	StaleIfError caddy.Duration `json:"stale_if_error,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.conditional_cache", New: func() caddy.Module { return new(Handler) }}
}

// Provision checks and compiles the configuration. It opens nothing: `caddy validate` provisions, too.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	c := h.config()
	if err := c.Check(); err != nil {
		return err
	}
	app, err := configuredApp(ctx)
	if err != nil {
		return err
	}
	compiled, err := c.Compile(ctx, app.MaxTotal)
	if err != nil {
		return err
	}
	h.service = exchange.New(compiled)
	h.service.Log, h.service.Tally, h.service.URLs = h.logger, counters.Tally, &urls
	h.service.Keys = app.key.Needed(compiled.Identity.Key == nil)
	if h.digest, err = h.configDigest(); err != nil {
		return err
	}
	if err := counters.Register(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	h.warn()
	h.logger.Info(c.Summary())
	return h.provisionStore(ctx, app.store)
}

func (h *Handler) warn() {
	for _, warning := range h.config().Warnings() {
		var fields []zap.Field
		if warning.Row != config.NoRow {
			fields = append(fields, zap.Int("row", warning.Row+1))
		}
		h.logger.Warn(warning.Text, fields...)
	}
}

// Cleanup implements caddy.CleanerUpper. Caddy calls it after a failed Provision, too. The store itself is cleaned up
// by Caddy, and requests that are still under way may go on to use it; those that come over connections of before are not
// answered from memory.
func (h *Handler) Cleanup() error {
	if h.service != nil && h.service.Memory != nil {
		h.service.Memory.End()
	}
	if h.release != nil {
		h.release()
	}
	return nil
}

// provisionStore comes last, as it is the one step that Cleanup has to take back.
func (h *Handler) provisionStore(ctx caddy.Context, shared validators.Store) (err error) {
	switch {
	case h.Remember == nil && !h.service.Policy.Dates.FirstSeen:
		return nil
	case h.Remember != nil && h.Remember.StoreRaw != nil:
		h.store, err = config.LoadStore(ctx, h.Remember)
	case shared != nil:
		h.store = shared
	default:
		h.store, err = config.DefaultStore(ctx)
	}
	if err != nil {
		return err
	}
	if _, ours := h.store.(*memory.Store); !ours { // ours needs it less than every hit needs the time that it takes
		h.store = contained.Store(h.store, h.logger, counters.Tally.StoreCalled)
	}
	h.provisionMemory()
	h.release = adminapi.Register(h.store)
	return nil
}

func (h *Handler) provisionMemory() {
	secret := h.digest
	if tokens.IsNumbered(h.Block) {
		h.spot = new(spot)
		_, _ = rand.Read(secret[:]) // shares nothing until settle knows better; it does not fail
	}
	h.service.Dates = &remember.Memory{Store: h.store, Secret: secret}
	r := h.Remember
	if r == nil {
		return
	}
	h.service.Memory = &remember.Memory{
		Store: h.store, Secret: secret, TTL: time.Duration(r.TTL), Grace: time.Duration(r.Grace), StaleIfError: time.Duration(r.StaleIfError),
		Cookies: h.service.Policy.Identity.Cookies, SetCookies: identity.Rules{Ignored: r.IgnoreSetCookie},
		Keep: h.service.Policy.NotModified.Keep, Drop: h.service.Policy.NotModified.Drop, InUse: adminapi.Stores,
	}
}

// Interface guards
var (
	_ caddy.App                   = (*App)(nil)
	_ caddy.Provisioner           = (*App)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
