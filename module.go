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
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/adminapi"
	"github.com/conditionalcache/caddy-conditional-cache/internal/contained"
	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/ignore"
	"github.com/conditionalcache/caddy-conditional-cache/internal/lastmodified"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory" // the default store
)

const (
	defaultMaxBody  = 4 << 20
	defaultMaxDelay = 200 * time.Millisecond
	defaultMaxTotal = 256 << 20
	maxMaxBody      = 1 << 40
	defaultStore    = "memory"
	maxRemembered   = 365 * 24 * time.Hour
)

func init() {
	caddy.RegisterModule(new(Handler))
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(adminapi.New(held))
	httpcaddyfile.RegisterHandlerDirective("conditional_cache", parseCaddyfile)
	// Inside encode, whose output for a streamed body is not the same twice; outside of everything that
	// makes content.
	httpcaddyfile.RegisterDirectiveOrder("conditional_cache", httpcaddyfile.After, "encode")
	httpcaddyfile.RegisterGlobalOption("conditional_cache", parseGlobalOption)
}

// App holds what all `conditional_cache` handlers of a process share. It is optional.
type App struct {
	// The bytes of response bodies held at one time by this process, over all sites and requests.
	// Responses that find the budget used up are streamed. Default: 268435456 (256 MiB).
	MaxTotal int64 `json:"max_total,omitempty"`

	// The store of every `remember`, and of every source `first_seen`, of a handler that does not name one itself.
	// Default: memory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=http.conditional_cache.stores inline_key=name"`

	store validators.Store // nil: none is named
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "conditional_cache", New: func() caddy.Module { return new(App) }}
}

// Provision sets the defaults and loads the store.
func (a *App) Provision(ctx caddy.Context) (err error) {
	a.MaxTotal = cmp.Or(a.MaxTotal, defaultMaxTotal)
	if err := a.check(); err != nil || a.StoreRaw == nil {
		return err
	}
	a.store, err = loadStore(ctx, a)
	return err
}

func (a *App) check() error {
	if a.MaxTotal <= 0 {
		return errors.New("max_total has to be a positive number of bytes")
	}
	return checkStore(a.StoreRaw)
}

// Start implements caddy.App; there is nothing to start.
func (*App) Start() error { return nil }

// Stop implements caddy.App; there is nothing to stop.
func (*App) Stop() error { return nil }

// held is for the admin API, which outlives configurations as well.
func held() adminapi.Held {
	now := adminapi.Held{Bytes: exchange.Budget.Held(), MaxTotal: defaultMaxTotal}
	if app, err := configuredApp(caddy.ActiveContext()); err == nil && app != nil {
		now.MaxTotal = app.MaxTotal
	}
	return now
}

// configuredApp is the app of a configuration, or nil if it has none.
func configuredApp(ctx caddy.Context) (*App, error) {
	app, err := ctx.AppIfConfigured("conditional_cache")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil //nolint:nilnil // the app is optional
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

	// Whether Range (RFC 9110 §14) is answered here where the upstream has not done it. `on` (default): of
	// 200 responses to GET that have a strong validator and are held, or declare a length of at most
	// max_body. `stream`: one range also of those that declare a greater length; it is cut out of the
	// passing body, up to its last byte. `off`: not at all.
	Ranges string `json:"ranges,omitempty"`

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

	// Response matchers that rows of cache_control name.
	ResponseMatchers map[string]caddyhttp.ResponseMatcher `json:"response_matchers,omitempty"`

	// Of the handlers with the same block name that one request meets, only the outermost acts. The
	// Caddyfile adapter gives each block a name, so that of sibling directives the most specific acts.
	// Default: none, and every handler acts.
	Block string `json:"block,omitempty"`

	logger  *zap.Logger
	policy  policy.Policy
	service *exchange.Service
	digest  [sha256.Size]byte // of the configuration
	store   validators.Store  // nil: nothing here needs one
	release func()            // takes the store off the admin API's list; nil if it is not there
}

// ETag says how entity tags (RFC 9110 §8.8.3) are made.
type ETag struct {
	// `auto` (default): weak when the response may still be content-coded on its way out, else strong.
	// `strong`, `weak`: always so. `off`: none is made; a tag of the upstream still counts.
	Mode string `json:"mode,omitempty"`

	// The digest: `xxh3` (128 bits, default) or `sha256` (cut to 128 bits), which is for content of
	// which one party may choose two versions.
	Hash string `json:"hash,omitempty"`

	// What becomes of a tag that the upstream sent: `keep` (default), `repair` (a tag without quotes
	// gets them), `weaken` (made weak), `replace` (by one of ours), `remove` (nothing in its place).
	// Under replace and remove the upstream sees no conditional fields.
	Existing string `json:"existing,omitempty"`

	// A key for HMAC-SHA-256, so that a tag tells nothing of the content to those without it. May
	// have global placeholders such as {env.SECRET} and {file./run/secret}. Needs hash `sha256` or none.
	Secret string `json:"secret,omitempty"`

	// What is left out of the digest, so that it does not count as a change: `csrf` (the masks of CSRF tokens; the
	// secrets under them count), `nonce` (of scripts, styles and links), and RE2 regular expressions (all they match, or
	// what their groups match, in bodies of at most 1 MiB). Speaks of text only; gzip is decoded for it. All tags made
	// here are weak then, so not beside mode `strong`.
	Ignore []string `json:"ignore,omitempty"`

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

	// Whether date conditions in requests may be quoted or in another form than HTTP's. Without it an
	// invalid date is ignored (RFC 9110 §13.1.3).
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

	// How long a response is held, counted from its head; what takes longer is streamed. Negative: no
	// limit. Default: 200ms.
	MaxDelay caddy.Duration `json:"max_delay,omitempty"`
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
// Nothing is remembered of responses that are `private`, `no-store` or `no-cache` or that set cookies, nor for
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

	// The names of cookies that no answer depends on. One that ends with * stands for all that begin so: `_ga*`.
	// Case matters, as in cookies.
	IgnoreCookies []string `json:"ignore_cookies,omitempty"`

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

// Provision compiles the configuration. It opens nothing: `caddy validate` provisions, too.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if err := h.check(); err != nil {
		return err
	}
	if err := h.provisionTags(); err != nil {
		return err
	}
	if err := h.provisionRows(ctx); err != nil {
		return err
	}
	lastModified := valueOr(h.LastModified)
	h.policy.Lenient = lastModified.Lenient
	h.policy.Dates = policy.Dates{From: lastmodified.Compile(lastModified.sources()), FirstSeen: lastModified.firstSeen()}
	existing := valueOr(h.ETag).Existing
	withholdAll := existing == "replace" || existing == "remove"
	h.policy.Treatment = upstream.Treatment{
		LastModified: lastModified.Mode, Existing: existing, Tagless: h.policy.Tags.Mode == policy.Off,
		Undated: h.policy.Tags.Maker.Epoch != "" || lastModified.Mode == "remove" || withholdAll,
	}
	h.policy.Shown = upstream.Rules{
		WithholdAll: withholdAll, Undated: h.policy.Treatment.Undated, DatesFound: h.policy.Dates.Any(),
	}
	h.policy.Freshness.Expires, h.policy.Freshness.AfterModified = h.Expires != "off", time.Duration(h.ExpiresModified)
	h.policy.HeadAsGet = h.Head == "get"
	h.policy.Ranges = map[string]policy.Ranges{"off": policy.RangesOff, "stream": policy.RangesStream}[h.Ranges]
	h.policy.ContentLocation, h.policy.Block, h.policy.Key = h.ContentLocation, h.Block, valueOr(h.Remember).Key
	h.provisionBuffer()
	h.provisionGuard()
	notModified := valueOr(h.NotModified)
	h.policy.NotModified = policy.NotModified{Keep: fieldSet(notModified.Keep), Drop: fieldSet(notModified.Drop)}
	if err := h.provisionDigest(); err != nil {
		return err
	}
	h.warn()
	return h.provisionShared(ctx)
}

// Cleanup implements caddy.CleanerUpper. Caddy calls it after a failed Provision, too. The store itself is cleaned up
// by Caddy, and requests that are still under way may go on to use it.
func (h *Handler) Cleanup() error {
	if h.release != nil {
		h.release()
	}
	return nil
}

func (h *Handler) provisionTags() error {
	etag := valueOr(h.ETag)
	h.policy.Tags.Mode = modes[etag.Mode]
	h.policy.Tags.Maker.SHA256 = etag.Hash == "sha256"
	// Only global placeholders: a tag must not depend on the request.
	secret, err := caddy.NewReplacer().ReplaceOrErr(etag.Secret, true, true)
	if err != nil {
		return fmt.Errorf("etag secret: %w", err)
	}
	epoch, err := caddy.NewReplacer().ReplaceOrErr(etag.Epoch, true, true)
	if err != nil {
		return fmt.Errorf("etag epoch: %w", err)
	}
	h.policy.Tags.Maker.Secret, h.policy.Tags.Maker.Epoch = []byte(secret), epoch
	h.policy.Tags.Ignore, err = ignore.Compile(etag.Ignore)
	if h.policy.Tags.Ignore != nil {
		h.policy.Tags.Mode = policy.Weak // bodies that differ share a tag (RFC 9110 §8.8.1)
	}
	return err
}

// modes are the words of `etag`; none is auto.
var modes = map[string]policy.Mode{"auto": policy.Auto, "strong": policy.Strong, "weak": policy.Weak, "off": policy.Off}

func (h *Handler) provisionRows(ctx caddy.Context) error {
	rows := make([]policy.Row, 0, len(h.CacheControl))
	for i, config := range h.CacheControl {
		compiled, err := config.compile()
		if err != nil {
			return fmt.Errorf("cache_control row %d: %w", i+1, err)
		}
		r := policy.Row{Row: compiled, MediaType: strings.ToLower(config.MediaType)}
		if config.Path != "" {
			r.Path = caddyhttp.MatchPath{config.Path}
			if err := r.Path.Provision(ctx); err != nil {
				return fmt.Errorf("cache_control row %d: %w", i+1, err)
			}
		}
		if config.ResponseMatcher != "" {
			matcher := h.ResponseMatchers[config.ResponseMatcher]
			r.Response = &matcher
		}
		rows = append(rows, r)
		h.policy.Freshness.Spreads = h.policy.Freshness.Spreads || r.Spreads()
	}
	h.policy.Freshness.Rows = rows
	return nil
}

func (h *Handler) provisionBuffer() {
	buffer := valueOr(h.Buffer)
	h.policy.Bounds.MaxBody = cmp.Or(buffer.MaxBody, defaultMaxBody)
	h.policy.Bounds.MaxDelay = cmp.Or(time.Duration(buffer.MaxDelay), defaultMaxDelay)
}

func (h *Handler) provisionGuard() {
	if h.GuardWrites == nil {
		return
	}
	h.policy.Guard.Methods, h.policy.Guard.Require = h.GuardWrites.Methods, h.GuardWrites.Require
	if len(h.policy.Guard.Methods) == 0 {
		h.policy.Guard.Methods = []string{http.MethodPut, http.MethodPatch, http.MethodDelete}
	}
}

// provisionShared takes what the app of this configuration has for all handlers. Of the budget, only the counter
// is global.
func (h *Handler) provisionShared(ctx caddy.Context) error {
	app, err := configuredApp(ctx)
	if err != nil {
		return err
	}
	h.policy.Bounds.MaxTotal = cmp.Or(valueOr(app).MaxTotal, defaultMaxTotal)
	h.service = exchange.New(&h.policy)
	h.service.Log = h.logger
	return h.provisionStore(ctx, valueOr(app).store)
}

// provisionStore comes last, as it is the one step that Cleanup has to take back.
func (h *Handler) provisionStore(ctx caddy.Context, shared validators.Store) (err error) {
	switch {
	case h.Remember == nil && !h.policy.Dates.FirstSeen:
		return nil
	case valueOr(h.Remember).StoreRaw != nil:
		h.store, err = loadStore(ctx, h.Remember)
	case shared != nil:
		h.store = shared
	default:
		module, loadErr := ctx.LoadModuleByID(validators.StoreNamespace+"."+defaultStore, nil)
		h.store, err = asStore(module, loadErr)
	}
	if err != nil {
		return err
	}
	if _, ours := h.store.(*memory.Store); !ours { // ours needs it less than every hit needs the time that it takes
		h.store = contained.Store(h.store, h.logger)
	}
	h.provisionMemory()
	h.release = adminapi.Register(h.store)
	return nil
}

func (h *Handler) provisionMemory() {
	h.service.Dates = &remember.Memory{Store: h.store, Secret: h.configDigest()}
	config := h.Remember
	if config == nil {
		return
	}
	h.service.Memory = &remember.Memory{
		Store: h.store, Secret: h.configDigest(), TTL: time.Duration(config.TTL), Grace: time.Duration(config.Grace),
		StaleIfError: time.Duration(config.StaleIfError), IgnoredCookies: config.IgnoreCookies, Keep: h.policy.NotModified.Keep,
	}
}

// loadStore loads the guest module in the field StoreRaw.
func loadStore(ctx caddy.Context, config any) (validators.Store, error) {
	module, err := ctx.LoadModule(config, "StoreRaw")
	return asStore(module, err)
}

func asStore(module any, err error) (validators.Store, error) {
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	store, is := module.(validators.Store)
	if !is {
		return nil, fmt.Errorf("store: a %T is not a validators.Store", module)
	}
	return store, nil
}

// configDigest stands for the part of the configuration that answers depend on: two handlers with the same one
// give the same answers, on whatever node they are, and may share records. Only the store, the limits and
// placeholders of the request are left out. It has the secret in it, and is safe as a key of digests.
func (h *Handler) configDigest() [sha256.Size]byte { return h.digest }

// provisionDigest follows provisionTags, which reads the global placeholders of secret and epoch: their values
// count, in hexadecimal, as JSON would not tell all octets apart.
func (h *Handler) provisionDigest() error {
	config := *h
	if h.ETag != nil {
		etag := *h.ETag
		etag.Secret, etag.Epoch = hex.EncodeToString(h.policy.Tags.Maker.Secret), hex.EncodeToString([]byte(h.policy.Tags.Maker.Epoch))
		config.ETag = &etag
	}
	if h.Remember != nil {
		remembering := *h.Remember
		remembering.StoreRaw = nil
		config.Remember = &remembering
	}
	text, err := json.Marshal(&config)
	h.digest = sha256.Sum256(text)
	return err
}

// check refuses what the Caddyfile adapter would refuse, for configurations that come as JSON.
func (h *Handler) check() error {
	checks := []func() error{
		valueOr(h.ETag).check, valueOr(h.LastModified).check, valueOr(h.Buffer).check,
		valueOr(h.NotModified).check, h.checkConditions, h.checkRows, h.checkGuard,
		h.checkExpires, h.checkModified, h.checkSources, h.checkFirstSeen, h.Remember.check, h.checkRemember,
		func() error { return oneOf("head", h.Head, "pass", "get") },
		func() error { return oneOf("ranges", h.Ranges, "on", "off", "stream") },
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (e ETag) check() error {
	if err := oneOf("etag", e.Mode, "auto", "strong", "weak", "off"); err != nil {
		return err
	}
	if err := oneOf("etag hash", e.Hash, "xxh3", "sha256"); err != nil {
		return err
	}
	if err := oneOf("etag existing", e.Existing, "keep", "repair", "weaken", "replace", "remove"); err != nil {
		return err
	}
	switch {
	case e.Hash == "xxh3" && e.Secret != "":
		return errors.New("hash xxh3 takes no secret; remove the hash line, or say hash sha256")
	case e.Mode == "off" && (e.Hash != "" || e.Secret != "" || e.Epoch != ""):
		return errors.New("etag off makes no tags, so hash, secret and epoch have no meaning beside it; remove them")
	case e.Mode == "off" && e.Existing == "replace":
		return errors.New("etag off makes no tags, so existing replace has nothing to put in place; say existing remove")
	}
	return e.checkIgnore()
}

func (e ETag) checkIgnore() error {
	switch {
	case len(e.Ignore) == 0:
		return nil
	case e.Mode == "off":
		return errors.New("etag off makes no tags, so ignore has no meaning beside it; remove it")
	case e.Mode == "strong":
		return errors.New("ignore makes every tag weak, as bodies that differ share one (RFC 9110 §8.8.1); say etag auto or etag weak")
	}
	_, err := ignore.Compile(e.Ignore)
	return err
}

func (l LastModified) check() error {
	if err := oneOf("last_modified", l.Mode, "normalize", "off", "remove"); err != nil {
		return err
	}
	if l.Mode == "remove" && len(l.From) > 0 {
		return errors.New("last_modified remove sends no date, so from has no meaning beside it; remove one of them")
	}
	if err := l.checkFirstSeen(); err != nil {
		return fmt.Errorf("last_modified from: %w", err)
	}
	sources := l.sources()
	for i, source := range sources {
		if err := source.Check(); err != nil {
			return fmt.Errorf("last_modified from: %w", err)
		}
		if slices.ContainsFunc(sources[:i], func(above lastmodified.Source) bool { return above.Same(source) }) {
			return fmt.Errorf("last_modified from: %s is given twice; give it once", source)
		}
	}
	return nil
}

func (l LastModified) checkFirstSeen() error {
	times := 0
	for _, from := range l.From {
		switch {
		case !from.FirstSeen:
			continue
		case from.Header != "" || from.JSON != "" || len(from.File) > 0:
			return errors.New("a source is one of header, json, file and first_seen")
		case from.Layout != "":
			return errors.New("first_seen is no date of the response, so a layout has no meaning beside it; remove it")
		}
		times++
	}
	if times > 1 {
		return errors.New("first_seen is given twice; give it once")
	}
	return nil
}

// firstSeen reports whether first_seen is among the sources.
func (l LastModified) firstSeen() bool {
	return slices.ContainsFunc(l.From, func(s LastModifiedSource) bool { return s.FirstSeen })
}

// sources are those of from but first_seen, as package lastmodified has them.
func (l LastModified) sources() []lastmodified.Source {
	sources := make([]lastmodified.Source, 0, len(l.From))
	for _, from := range l.From {
		if !from.FirstSeen {
			sources = append(sources, lastmodified.Source{Header: from.Header, JSON: from.JSON, Files: from.File, Layout: from.Layout})
		}
	}
	return sources
}

// checkSources refuses a source that never comes to be read.
func (h *Handler) checkSources() error {
	inBody := slices.ContainsFunc(valueOr(h.LastModified).From, func(s LastModifiedSource) bool { return s.JSON != "" })
	if inBody && valueOr(h.ETag).Mode == "off" {
		return errors.New("last_modified from json reads bodies that are held, and under etag off none is; remove one of them")
	}
	return nil
}

// checkFirstSeen refuses first_seen where there is no tag to be seen.
func (h *Handler) checkFirstSeen() error {
	if valueOr(h.LastModified).firstSeen() && valueOr(h.ETag).Mode == "off" {
		return errors.New("last_modified from first_seen dates entity tags, and etag off makes none; remove one of them")
	}
	return nil
}

// check refuses what the Caddyfile adapter would refuse.
func (r *Remember) check() error {
	if r == nil {
		return nil
	}
	for _, span := range []struct {
		name string
		time caddy.Duration
	}{{"ttl", r.TTL}, {"grace", r.Grace}, {"stale_if_error", r.StaleIfError}} {
		// None is none in JSON; a Caddyfile that says 0 is asked to leave it out.
		if span.time != 0 && !isSpan(time.Duration(span.time)) {
			return fmt.Errorf("remember: %s %v is not a duration of whole seconds such as 10m, from 1s to 365d", span.name, time.Duration(span.time))
		}
	}
	if err := checkCookies(r.IgnoreCookies); err != nil {
		return err
	}
	if r.Key != "" {
		if err := checkKey(r.Key); err != nil {
			return err
		}
	}
	return checkStore(r.StoreRaw)
}

// isSpan: Age and the directives that a record is compared with are whole seconds (RFC 9111 §1.2.2).
func isSpan(d time.Duration) bool {
	return d >= time.Second && d <= maxRemembered && d%time.Second == 0
}

// checkCookies: a cookie's name is a token (RFC 6265 §4.1.1), which may have an asterisk in it; here that stands
// for the rest of a name, and nowhere but at the end.
func checkCookies(patterns []string) error {
	for i, pattern := range patterns {
		name, _ := strings.CutSuffix(pattern, "*")
		switch {
		case pattern == "*":
			return errors.New("ignore_cookies: * would give everybody what one user's cookies stand for; name the cookies")
		case strings.Contains(name, "*"):
			return fmt.Errorf("ignore_cookies: %q has an asterisk elsewhere than at its end", pattern)
		case !httpcond.IsToken(name):
			return fmt.Errorf("ignore_cookies: %q is not the name of a cookie, or the beginning of one and *, such as _ga*", pattern)
		case slices.Contains(patterns[:i], pattern):
			return fmt.Errorf("ignore_cookies: %s is named twice; name it once", pattern)
		}
	}
	return nil
}

// checkKey refuses braces that are not those of a placeholder. What it cannot know is which placeholders the rest
// of the configuration defines.
func checkKey(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("key: an empty text tells nothing apart; remove it")
	}
	for i := 0; i < len(text); i++ {
		switch escaped := i > 0 && text[i-1] == '\\'; {
		case escaped: // \{ is a brace, as everywhere in Caddy
		case text[i] == '}':
			return fmt.Errorf("key: %q has a } without its {; a brace that is meant is written \\}", text)
		case text[i] == '{':
			name, _, closed := strings.Cut(text[i+1:], "}")
			if !closed {
				return fmt.Errorf("key: %q has a { without its }; a brace that is meant is written \\{", text)
			}
			if err := checkPlaceholder(name); err != nil {
				return err
			}
			i += len(name) + 1
		}
	}
	return nil
}

// checkPlaceholder refuses a name that no placeholder has, and the short forms that Caddyfiles have and JSON has
// not: unknown to Caddy, they would tell nobody apart.
func checkPlaceholder(name string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{$\`, r) }) {
		return fmt.Errorf("key: {%s} is not a placeholder such as {http.request.header.X-Api-Key}", name)
	}
	first, _, _ := strings.Cut(name, ".")
	if full, short := shortPlaceholders[first]; short {
		return fmt.Errorf("key: {%s} is not known; write {%s}", name, full+strings.TrimPrefix(name, first))
	}
	return nil
}

// shortPlaceholders are those that tell requests apart, of the ones that Caddy spells out in Caddyfiles.
var shortPlaceholders = map[string]string{
	"client_ip": "http.vars.client_ip", "cookie": "http.request.cookie", "header": "http.request.header", "host": "http.request.host",
	"labels": "http.request.host.labels", "method": "http.request.method", "path": "http.request.uri.path", "query": "http.request.uri.query",
	"re": "http.regexp", "remote_host": "http.request.remote.host", "scheme": "http.request.scheme", "vars": "http.vars",
	"headers": "http.request.header", "cookies": "http.request.cookie", // not known in Caddyfiles either
}

// checkStore refuses a store that is not there. None is the default.
func checkStore(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(raw, &named); err != nil || named.Name == "" {
		return errors.New(`store has to be an object that has a name, such as {"name": "memory"}`)
	}
	return checkStoreName(named.Name)
}

func checkStoreName(name string) error {
	if _, err := caddy.GetModule(validators.StoreNamespace + "." + name); err == nil {
		return nil
	}
	var built []string
	for _, module := range caddy.GetModules(validators.StoreNamespace) {
		built = append(built, module.ID.Name())
	}
	const redis = "github.com/conditionalcache/caddy-conditional-cache/validators/redis"
	if !slices.Contains(built, "redis") {
		return fmt.Errorf("no store %q is built in, only %s; redis comes with `xcaddy build --with %s` (see xcaddy.md)", name, strings.Join(built, ", "), redis)
	}
	return fmt.Errorf("no store %q is built in, only %s", name, strings.Join(built, ", "))
}

// checkRemember refuses to remember what nothing is left of.
func (h *Handler) checkRemember() error {
	etag := valueOr(h.ETag)
	if h.Remember != nil && etag.Mode == "off" && etag.Existing == "remove" && valueOr(h.LastModified).Mode == "remove" {
		return errors.New("remember keeps validators, and none is left where etag off has existing remove beside last_modified remove; keep one")
	}
	return nil
}

func (b Buffer) check() error {
	if b.MaxBody < 0 || b.MaxBody > maxMaxBody {
		return errors.New("max_body has to be a positive number of bytes, at most 1 TiB")
	}
	return nil
}

// mandatory are the fields a 304 must have if the 200 had them (RFC 9110 §15.4.5).
var mandatory = []string{"Cache-Control", "Content-Location", "Date", "ETag", "Expires", "Vary"}

// impossible are fields of a message with content, or of one transfer.
var impossible = []string{"Content-Length", "Content-Range", "Transfer-Encoding", "Trailer"}

func (n NotModified) check() error {
	for _, name := range slices.Concat(n.Keep, n.Drop) {
		if !httpcond.IsToken(name) {
			return fmt.Errorf("not_modified: %q is not a field name such as Set-Cookie", name)
		}
	}
	if name, found := common(n.Drop, mandatory); found {
		return fmt.Errorf("not_modified: %s cannot be dropped: a 304 must send it if the 200 would (RFC 9110 §15.4.5)", name)
	}
	if name, found := common(n.Keep, impossible); found {
		return fmt.Errorf("not_modified: %s cannot be kept: it describes a body, and a 304 has none", name)
	}
	if name, found := common(n.Keep, n.Drop); found {
		return fmt.Errorf("not_modified: %s is both kept and dropped; name it once", name)
	}
	return nil
}

// check refuses what the Caddyfile adapter would refuse.
func (g *GuardWrites) check() error {
	if g == nil {
		return nil
	}
	for i, method := range g.Methods {
		switch {
		case !httpcond.IsToken(method):
			return fmt.Errorf("guard_writes: %q is not a method such as PUT", method)
		case method != strings.ToUpper(method):
			return fmt.Errorf("guard_writes: %q is not a method, as these are in capitals; options go in a block", method)
		case slices.Contains(guard.Unguarded, method):
			return fmt.Errorf("guard_writes: %s is no write, so there is nothing to guard; remove it", method)
		case slices.Contains(g.Methods[:i], method):
			return fmt.Errorf("guard_writes: %s is named twice; name it once", method)
		}
	}
	return nil
}

// checkGuard refuses guards that could not hold.
func (h *Handler) checkGuard() error {
	if err := h.GuardWrites.check(); err != nil {
		return err
	}
	switch mode := cmp.Or(valueOr(h.ETag).Mode, "auto"); {
	case h.GuardWrites == nil || mode == "strong":
		return nil
	case len(valueOr(h.ETag).Ignore) > 0:
		return errors.New("guard_writes needs etag strong, and ignore makes every tag weak; keep one of the two")
	case mode == "off":
		return errors.New("guard_writes needs etag strong: etag off makes no tags that a write could name")
	default:
		return fmt.Errorf("guard_writes needs etag strong: etag %s makes weak tags, and If-Match matches none of these (RFC 9110 §13.1.1)", mode)
	}
}

func (h *Handler) checkRows() error {
	for i, config := range h.CacheControl {
		if _, err := config.compile(); err != nil {
			return fmt.Errorf("cache_control row %d: %w", i+1, err)
		}
		if err := h.checkMatcher(config.ResponseMatcher); err != nil {
			return err
		}
	}
	return h.checkOrder()
}

// checkExpires checks the words of expires by themselves.
func (h *Handler) checkExpires() error {
	if err := oneOf("expires", h.Expires, "auto", "off", "modified"); err != nil {
		return err
	}
	lifetime := time.Duration(h.ExpiresModified)
	switch {
	case h.Expires != "modified" && lifetime != 0:
		return errors.New("expires_modified goes with expires modified; remove it, or say modified")
	case h.Expires != "modified":
		return nil
	case lifetime <= 0 || lifetime%time.Second != 0 || lifetime/time.Second > math.MaxInt32:
		return fmt.Errorf("expires modified: %v is not a duration of whole seconds such as 1h, from 1 to 2147483647 of them", lifetime)
	}
	return nil
}

// checkModified refuses an `expires modified` that could never count.
func (h *Handler) checkModified() error {
	switch {
	case h.Expires != "modified":
		return nil
	case valueOr(h.LastModified).Mode == "remove":
		return errors.New("expires modified counts from Last-Modified, which last_modified remove takes off; keep one")
	}
	for _, config := range h.CacheControl {
		if row, err := config.compile(); err == nil && config.selector() == "" && !row.Dated() {
			return errors.New("expires modified and a row without a selector (or the max_age of the directive) both say how long every other response lasts; keep one")
		}
	}
	return nil
}

// warn logs what is valid in rows, and probably not what was meant.
func (h *Handler) warn() {
	for i := range h.CacheControl {
		for _, warning := range h.warnings(i) {
			h.logger.Warn(warning, zap.Int("row", i+1))
		}
	}
}

// warnings are those of one row.
func (h *Handler) warnings(i int) []string {
	config := h.CacheControl[i]
	row, err := config.compile()
	if err != nil {
		return nil // refused elsewhere
	}
	subject := strings.Join(slices.DeleteFunc([]string{"cache_control", config.selector()}, func(s string) bool { return s == "" }), " ")
	all := row.Warnings(freshness.About{
		Pages: slices.Contains([]string{"text/html", "text/*", "application/xhtml+xml"}, strings.ToLower(config.MediaType)),
		Dated: h.Expires == "modified",
	})
	for i, warning := range all {
		all[i] = subject + ": " + warning
	}
	return all
}

func (h *Handler) checkConditions() error {
	for _, name := range slices.Sorted(maps.Keys(h.ResponseMatchers)) {
		if err := checkConditions("@"+name, h.ResponseMatchers[name]); err != nil {
			return err
		}
	}
	return nil
}

// checkConditions refuses a response matcher that matches everything, or nothing.
func checkConditions(name string, m caddyhttp.ResponseMatcher) error {
	if len(m.StatusCode) == 0 && len(m.Headers) == 0 {
		return fmt.Errorf("response matcher %s matches everything; give it a status or a header", name)
	}
	for _, code := range m.StatusCode {
		if !isFinalStatus(code) {
			return fmt.Errorf("response matcher %s: %d is not a final status code or a class such as 4 for 4xx", name, code)
		}
	}
	return nil
}

// isFinalStatus: a code of RFC 9110 §15 but 1xx, which rows do not speak of, and 304, which stands for a
// 200; or the first digit of a class.
func isFinalStatus(code int) bool {
	return code >= 200 && code <= 599 && code != http.StatusNotModified || code >= 2 && code <= 5
}

// checkMatcher refuses the name of a response matcher that is not defined; the empty name is none.
func (h *Handler) checkMatcher(name string) error {
	if _, defined := h.ResponseMatchers[name]; !defined && name != "" {
		return fmt.Errorf("cache_control @%s: no response matcher of that name; define it with @%s status <code...>", name, name)
	}
	return nil
}

// checkOrder refuses rows that could never apply.
func (h *Handler) checkOrder() error {
	for i, config := range h.CacheControl {
		for _, above := range h.CacheControl[:i] {
			switch selector := config.selector(); {
			case above.selector() == selector:
				return fmt.Errorf("cache_control %s: a second row for the same responses would never apply; keep one", cmp.Or(selector, "without a selector"))
			case above.selector() == "" && config.ResponseMatcher == "":
				return fmt.Errorf("cache_control %s: never applies, as a row without a selector stands above it; move that one to the end", selector)
			case above.covers(config):
				return fmt.Errorf("cache_control %s: never applies, as the row %s above it takes all of it; move that one below", selector, above.selector())
			}
		}
	}
	return nil
}

// covers reports whether a row plainly selects every response that another one does: /a/* and /a/b*,
// image/* and image/png.
func (c CacheControl) covers(other CacheControl) bool {
	if kind, isRange := strings.CutSuffix(strings.ToLower(c.MediaType), "/*"); isRange {
		return strings.HasPrefix(strings.ToLower(other.MediaType), kind+"/")
	}
	prefix, isPrefix := strings.CutSuffix(strings.ToLower(c.Path), "*")
	// Nothing is said of patterns that Caddy compares escaped, unmerged or by placeholders.
	plain := func(s string) bool { return !strings.ContainsAny(s, `?[\%{`) && !strings.Contains(s, "//") }
	return isPrefix && !strings.Contains(prefix, "*") && plain(prefix) && plain(other.Path) &&
		strings.HasPrefix(strings.ToLower(other.Path), prefix)
}

// selector writes a row's selector as in a Caddyfile.
func (c CacheControl) selector() string {
	if c.ResponseMatcher != "" {
		return "@" + c.ResponseMatcher
	}
	return strings.ToLower(cmp.Or(c.Path, c.MediaType)) // neither is compared with regard to case
}

// compile checks a row by itself.
func (c CacheControl) compile() (*freshness.Row, error) {
	given := 0
	for _, selector := range []string{c.Path, c.MediaType, c.ResponseMatcher} {
		if selector != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, errors.New("a row has one selector: a path, a media type or a response matcher")
	case strings.Contains(c.Path, "?"):
		return nil, fmt.Errorf("path %q: a path selector has no query", c.Path)
	case c.Path != "" && !strings.HasPrefix(c.Path, "/"):
		return nil, fmt.Errorf("path %q has to begin with a slash", c.Path)
	case !validPattern(c.Path):
		return nil, fmt.Errorf("path %q is not a pattern: a bracket or backslash stands alone", c.Path)
	case c.MediaType != "" && !validMediaType(c.MediaType):
		return nil, fmt.Errorf("%q is not a media type such as text/html or image/*", c.MediaType)
	}
	if err := oneOf("existing", c.Existing, "keep", "merge", "replace"); err != nil {
		return nil, err
	}
	return freshness.Compile(freshness.Source{
		Directives: c.Directives, Extension: c.Extension, Existing: existingWords[c.Existing], Jitter: c.Jitter,
	}, caddy.ParseDuration)
}

// existingWords are the words of `cache_control › existing`; none is keep.
var existingWords = map[string]freshness.Existing{"merge": freshness.Merge, "replace": freshness.Replace}

// validPattern: Caddy takes a malformed pattern for one that never matches.
func validPattern(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err == nil
}

func validMediaType(s string) bool {
	kind, subtype, found := strings.Cut(s, "/")
	return found && httpcond.IsToken(kind) && httpcond.IsToken(subtype) && kind != "*" &&
		(subtype == "*" || !strings.Contains(subtype, "*")) && httpcond.MediaType(s) != ""
}

// oneOf refuses a word that is not among the allowed ones; the empty word is the default.
func oneOf(what, word string, allowed ...string) error {
	if word == "" || slices.Contains(allowed, word) {
		return nil
	}
	if slices.Contains(later, what+" "+word) {
		return fmt.Errorf("%s %s is not available in this version; use %s", what, word, list(allowed))
	}
	return fmt.Errorf("%s: unrecognized %q; use %s", what, word, list(allowed))
}

// later are words of the grammar that this version does not have: they are refused, never ignored.
var later = []string{
	"cache_status", "debug_headers",
}

func list(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// common returns the first of names that is among others, in any case.
func common(names, others []string) (string, bool) {
	for _, name := range names {
		if slices.ContainsFunc(others, func(other string) bool { return strings.EqualFold(name, other) }) {
			return name, true
		}
	}
	return "", false
}

func fieldSet(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[http.CanonicalHeaderKey(name)] = true
	}
	return set
}

func valueOr[T any](p *T) (v T) {
	if p != nil {
		return *p
	}
	return v
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
