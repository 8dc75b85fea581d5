// Package conditionalcache is a Caddy HTTP handler that answers 304 Not Modified for what has not changed, whatever made
// the response: a proxied application, PHP, a template or a file.
//
// It gives responses validators (RFC 9110 §8.8): an entity tag made from the content, and a Last-Modified in HTTP's form.
// It evaluates the conditions of requests (§13: 304 and 412), answers range requests (§14: 206 and 416), and can set
// Cache-Control and Expires by path, media type and status. It stores no responses; with `remember` it stores validators.
//
// The handler is safe on any site without options. It buffers a response to make its tag. A response that is too long or
// too slow for that is streamed unchanged.
//
// [Handler] is the module http.handlers.conditional_cache, and its fields are its JSON. [Handler.UnmarshalCaddyfile] has
// the syntax of the Caddyfile. [App] has what all handlers of a process share. The folder docs has a page on each part.
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
	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/command"
	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/internal/contained"
	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/jsonread"
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

// App holds what all `conditional_cache` handlers of a process share. It is optional. In a Caddyfile it is the global
// option `conditional_cache`.
type App struct {
	// The most bytes of response bodies that this process buffers at one time, over all sites and requests. A response
	// for which no room is left is streamed. Default: 268435456 (256 MiB), or a quarter of the memory limit of the
	// process (GOMEMLIMIT, or the limit that Caddy reads from its cgroup) if that is less. Refused: a negative number.
	MaxTotal int64 `json:"max_total,omitempty"`

	// The store of every `remember` and every `from first_seen` that names none itself. Default: `memory`. Refused: a
	// store that is not built in.
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
		return errors.New("max_total has to be a size above zero, such as 256MiB (in JSON 268435456)")
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
	Coded:  coding.All,
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

// Handler gives responses validators (RFC 9110 §8.8) and answers conditional requests (§13) and range requests (§14) with
// them. It can also set how long a response stays fresh (RFC 9111 §4.2).
//
// Without options it makes entity tags and writes Last-Modified in HTTP's form. It answers If-None-Match,
// If-Modified-Since, If-Match and If-Unmodified-Since of GET and HEAD, and Range and If-Range of GET. It sets no
// Cache-Control. Writes pass, with one exception: an If-Match that names a tag made here is compared with the current tag
// first, because the upstream cannot know it.
type Handler struct {
	// Whether matching requests are left alone, by the other handlers with the same block name as well. Default: no.
	// Refused: beside any other field than `block`.
	Off bool `json:"off,omitempty"`

	// How entity tags are made, and what happens to the upstream's tags.
	ETag *ETag `json:"etag,omitempty"`

	// What happens to the upstream's Last-Modified, and where a missing one comes from.
	LastModified *LastModified `json:"last_modified,omitempty"`

	// Cache-Control by path, media type or response matcher. The entries are tried in order, and the first whose selector
	// matches applies. An entry without a response matcher applies to 200, 203 and 206, and to a 304 in place of a 200;
	// never to errors. Default: none. Refused: an entry that could never apply.
	CacheControl []CacheControl `json:"cache_control,omitempty"`

	// Whether Expires is sent beside a Cache-Control that this handler sets. `auto`: Expires says the same as max-age,
	// no-cache or no-store. `off`: it is not sent. `modified`: like `auto`, and a response that has no lifetime from
	// `cache_control` or the upstream gets a max-age that counts from its Last-Modified. Default: `auto`.
	Expires string `json:"expires,omitempty"`

	// How long after its Last-Modified a response stays fresh, in whole seconds, with `expires` `modified`. An older
	// response is stale at once. A response without a usable Last-Modified gets no lifetime. Default: none; required with
	// `modified`. Refused: fractions of a second.
	ExpiresModified caddy.Duration `json:"expires_modified,omitempty"`

	// How long and how much of a response is buffered to make its tag.
	Buffer *Buffer `json:"buffer,omitempty"`

	// How the handler behind this one sees a HEAD request. `pass`: as HEAD. `get`: as a GET whose body is thrown away, so
	// that HEAD has the same fields as GET. Default: `pass`.
	Head string `json:"head,omitempty"`

	// Whether this handler answers Range (RFC 9110 §14) where the upstream has not done so.
	Ranges *Ranges `json:"ranges,omitempty"`

	// Which writes are checked against the current representation before the upstream sees them. A write whose If-Match
	// names a tag made here is always checked. Default: no others. Refused: without `etag` in mode `strong`.
	GuardWrites *GuardWrites `json:"guard_writes,omitempty"`

	// Whether validators are kept, so that a 304 can be answered without asking the upstream. Default: they are not.
	Remember *Remember `json:"remember,omitempty"`

	// Which fields a 304 has, beyond or below the usual ones.
	NotModified *NotModified `json:"not_modified,omitempty"`

	// Whether what is buffered is compressed once for its content, and not once for each response. Default: it is not.
	// Refused: beside `etag` in mode `off`, because nothing is buffered then.
	EncodeOnce *EncodeOnce `json:"encode_once,omitempty"`

	// Whether a 200 without Content-Location, and its 304, get one: the URI as the client sent it (RFC 9110 §8.7).
	// Default: no.
	ContentLocation bool `json:"content_location,omitempty"`

	// The name of this cache in a Cache-Status field (RFC 9211). The field has `hit` or `fwd`, `fwd-status`, `stored`,
	// `ttl` in seconds, and the outcome with its reason in `detail`. Members that other caches have written stay.
	// Default: empty, and no field is sent. Refused: a name that is not printable ASCII.
	CacheStatus string `json:"cache_status,omitempty"`

	// Whether a Server-Timing field says what was decided and why. Browsers' developer tools show it. Default: no.
	ServerTiming bool `json:"server_timing,omitempty"`

	// Whether X-Cache-Hit (`true` or `false`) and X-Cache-Key are sent. The key is what the answer is, or would be,
	// remembered under: a digest with a secret in it, which shows neither URL nor cookies. Default: no.
	DebugHeaders bool `json:"debug_headers,omitempty"`

	// The response matchers that entries of `cache_control` name, by their name without `@`. Default: none. Refused: a
	// matcher that matches everything; the statuses 1xx and 304.
	ResponseMatchers map[string]caddyhttp.ResponseMatcher `json:"response_matchers,omitempty"`

	// The block that this handler stands in. Of the handlers with the same block name that one request meets, only the
	// outermost acts. Default: none, and every handler acts. The Caddyfile adapter numbers the blocks (`1`, `named 1`), so
	// that of several directives in one block the most specific acts.
	//
	// Any other name also says which handlers share what `remember` and `first_seen` keep: those with the same name, store
	// and settings, on whatever server, route or node. Without such a name, handlers share records if they stand in the
	// same place: listen addresses, matchers on the way to the handler, and named route.
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
	coded   func()            // gives back what encode_once keeps; nil: nothing
	release func()            // takes the store off the admin API's list; nil if it is not there
}

// ETag says how entity tags (RFC 9110 §8.8.3) are made.
type ETag struct {
	// How strong the tags made here are. `auto`: weak if the response may still be compressed on its way out, or is gzip
	// with a time or a file name in its header (these do not count then); else strong. `strong`: always strong. `weak`: always weak.
	// `off`: none is made, and the upstream's tag still counts. Default: `auto`.
	Mode string `json:"mode,omitempty"`

	// The digest that a tag is made with. `xxh3`: fast, 128 bits. `sha256`: cut to 128 bits, where somebody may choose two
	// contents and gain from a collision. Default: `xxh3`. Refused: beside mode `off`.
	Hash string `json:"hash,omitempty"`

	// What happens to a tag that the upstream sent. `keep`: it stays. `repair`: it gets quotes if they are missing.
	// `weaken`: it becomes weak. `replace`: a tag made from the content takes its place. `remove`: nothing does. With
	// `replace` and `remove` the upstream sees no conditions. Default: `keep`. Refused: `replace` beside mode `off`.
	Existing string `json:"existing,omitempty"`

	// A key for HMAC-SHA-256, so that a tag says nothing about the content or the user. May have the placeholders {env.*}
	// and {file.*}. Default: none. Refused: beside `hash` `xxh3` or mode `off`; an unknown or empty placeholder.
	Secret string `json:"secret,omitempty"`

	// What is left out of the digest, so that it does not count as a change. `csrf`: the masks of CSRF tokens, while the
	// secrets under them count. `nonce`: the nonces of scripts, styles and links. It reads text, and text in gzip. Tags
	// made here are weak then. Default: nothing. Refused: beside mode `strong` or `off`, and beside `guard_writes`.
	Ignore []string `json:"ignore,omitempty"`

	// RE2 regular expressions whose matches are left out of the digest, in bodies of at most 1 MiB. If an expression has
	// groups, only these are left out. One budget of work covers all expressions on a body; past it the body gets no tag. An
	// expression that matches any number or any word hides changed prices and texts, and causes a warning. Default: none.
	// Refused: as for `ignore`; an expression that matches the empty string.
	IgnoreExpressions []string `json:"ignore_expressions,omitempty"`

	// A text that is part of every digest: a new one gives everything a new tag. May have the placeholders {env.*} and
	// {file.*}. Default: none. Refused: beside mode `off`; an unknown or empty placeholder.
	Epoch string `json:"epoch,omitempty"`
}

// LastModified says what happens to the Last-Modified field (RFC 9110 §8.8.2).
type LastModified struct {
	// How the upstream's date is treated. `normalize`: it is sent in HTTP's form (IMF-fixdate, GMT) and not later than
	// Date; a date before 1980-01-02, or one that is not understood, is removed. `off`: it stays as it is. `remove`: it is
	// removed. Default: `normalize`.
	Mode string `json:"mode,omitempty"`

	// Where a date comes from if the upstream sent none that can be used. The latest date of all sources counts. If a
	// source exists and cannot be read, no date is sent, because that source might be the newest. With mode `off` the
	// sources count only if the upstream sent no such field. A response that gets its date here and has no lifetime gets
	// `Cache-Control: no-cache`, so that no cache guesses one (RFC 9111 §4.2.2). Default: none. Refused: beside mode
	// `remove`; the same source twice.
	From []LastModifiedSource `json:"from,omitempty"`

	// Whether dates in requests may have other forms than HTTP's. These are quotes, `; length=` at the end, fractions of a
	// second, numeric zones, RFC 3339 and Unix seconds. The upstream gets the date in HTTP's form. Without this option an
	// invalid date is ignored (RFC 9110 §13.1.3). Default: no.
	Lenient bool `json:"lenient,omitempty"`
}

// LastModifiedSource is one place that a date may come from. It has one of header, json, file and first_seen.
type LastModifiedSource struct {
	// The name of a response field with the date. Of several lines the latest date counts.
	Header string `json:"header,omitempty"`

	// The path of the date in a JSON body of at most 1 MiB that is buffered. The syntax is that of gjson: `updated_at`,
	// `item.updated_at`, or `items.#.updated_at` for the latest in a list. Numbers are Unix seconds, or milliseconds from
	// 1e11 on. Refused: beside `etag` in mode `off`, because nothing is buffered then.
	JSON string `json:"json,omitempty"`

	// Files, of which the newest counts. Paths may have placeholders, those of the request as well. Folders, and files
	// that do not exist, do not count.
	File []string `json:"file,omitempty"`

	// Whether the date is when the current entity tag was first seen. The store of `remember`, or else that of the app,
	// keeps it: all nodes that share the store give the same date, and it never moves backwards. Default: no. Refused:
	// beside `etag` in mode `off`, because there are no tags then.
	FirstSeen bool `json:"first_seen,omitempty"`

	// The form of the date of `header` or `json`, as Go's reference time: `02.01.2006 15:04`. A date without a zone is
	// UTC. Default: HTTP dates, RFC 5322, RFC 3339 and Unix seconds.
	Layout string `json:"layout,omitempty"`
}

// CacheControl is one entry of the Cache-Control policy: directives, and a selector that says for which responses. The
// selector is one of path, media_type and response_matcher; an entry without one selects every response.
type CacheControl struct {
	// A path pattern of the request as the client sent it, as in Caddy's path matcher: `/assets/*`. Or a list of them, one of
	// which has to match.
	Path OneOrMore `json:"path,omitempty"`

	// A media type (`text/html`) or range (`image/*`) of the response. Or a list of them, one of which has to match.
	MediaType OneOrMore `json:"media_type,omitempty"`

	// The name of a response matcher, without `@`. Such an entry applies to every status that the matcher has.
	ResponseMatcher string `json:"response_matcher,omitempty"`

	// Whether what the selector matches, of whatever status, is left as it is: no entry below applies to it, nor does expires
	// `modified`. Needs a selector, and goes with nothing else. Default: no.
	Off bool `json:"off,omitempty"`

	// Directives of RFC 9111 §5.2.2, RFC 5861 and RFC 8246. Lifetimes are whole seconds (`max-age=3600`) or durations
	// (`max-age=1h`). Refused: unknown, repeated or contradicting ones.
	Directives []string `json:"directives,omitempty"`

	// Directives that those RFCs do not know, sent as they are. Refused: directives that they know.
	Extension []string `json:"extension,omitempty"`

	// What happens if the upstream has sent Cache-Control or Expires. `keep`: the upstream's stands. `merge`: of each
	// directive the stricter one counts. `replace`: this entry wins, also where it says that a response for one user may be
	// shared. Default: `keep`.
	Existing string `json:"existing,omitempty"`

	// By how many percent max-age and s-maxage are shortened at most, from 1 to 50, with at most two decimals. How much
	// depends on host, path and query, so that URLs stored at one time do not expire at one time. Default: 0, not at all.
	// Refused: without max-age and s-maxage.
	Jitter float64 `json:"jitter,omitempty"`
}

// OneOrMore is one text, or a list of texts.
type OneOrMore = config.OneOrMore

// Delay is a duration, or `off`.
type Delay = config.Delay

// Buffer bounds what is buffered to make a tag.
type Buffer struct {
	// The longest body that is buffered, in bytes. A longer one is streamed without a tag made here. Default: 4194304
	// (4 MiB). Refused: a negative number; over 1 TiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// How long a response is buffered, counted from its header section. What takes longer is streamed. The work of
	// `ignore` counts as well. `off`, or a negative value, means no limit. Default: 200ms.
	MaxDelay Delay `json:"max_delay,omitempty"`
}

// Ranges says which responses this handler cuts ranges out of, and how many.
type Ranges struct {
	// Which responses have ranges. `on`: 200 responses to GET with a strong validator that are buffered, or declare a
	// length of at most `max_body`; not if the upstream says `Accept-Ranges: none`. `stream`: also one range of a longer
	// body, cut out of the passing stream, and ranges of a body without a validator where it cannot be compressed on its
	// way out, whatever Accept-Ranges says. Without a validator nobody can tell whether two parts are of one version.
	// `off`: none. Default: `on`.
	Mode string `json:"mode,omitempty"`

	// How many ranges one response has at most, from 1 to 1000. A request for more gets the whole. Ranges that follow
	// each other in the request and touch or overlap count as one. Default: 16. Refused: over 1000; beside mode `off`.
	Max int `json:"max,omitempty"`
}

// NotModified changes which fields a 304 has (RFC 9110 §15.4.5).
type NotModified struct {
	// Fields of the 200 that the 304 has besides the usual ones. Default: none. Refused: Content-Length, Content-Range,
	// Transfer-Encoding and Trailer.
	Keep []string `json:"keep,omitempty"`
	// Fields of the 200 that the 304 lacks. Default: none. Refused: Cache-Control, Content-Location, Date, ETag, Expires
	// and Vary, which RFC 9110 requires.
	Drop []string `json:"drop,omitempty"`
}

// GuardWrites prevents lost updates. If-Match, If-None-Match and If-Unmodified-Since of a write are compared with the
// current representation before the upstream sees the write, one write to a URI at a time.
type GuardWrites struct {
	// The methods that are checked, in capitals. Default: PUT, PATCH and DELETE. Refused: GET, HEAD, OPTIONS, TRACE and
	// CONNECT; a method in lower case; the same one twice.
	Methods []string `json:"methods,omitempty"`

	// Whether a write of these methods without a condition is answered with 428 (RFC 6585 §3). Default: no.
	Require bool `json:"require,omitempty"`
}

// Remember says how long validators are kept, where, and for whom. A request whose condition matches a kept validator
// gets its 304 without the upstream being asked. Every other request goes to the upstream.
//
// Nothing is kept of a response that is `private`, `no-store` or `no-cache`, or that sets a cookie which
// `ignore_set_cookie` does not name; nor for a request with a client certificate, or with a user whom Caddy has
// authenticated. For a request with Authorization, the response has to have `public`, `s-maxage` or `must-revalidate`;
// for one with a cookie, `public` or `Vary: Cookie`. Whatever else an answer depends on has to be in `key`.
type Remember struct {
	// How long validators are used without asking the upstream, in whole seconds, from 1s to 365d. Default: as long as
	// the response allows shared caches to (s-maxage, max-age, Expires). Refused: fractions of a second.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Where validators are kept. Default: the store of the app `conditional_cache`, or else `memory`. Refused: a store
	// that is not built in.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=http.conditional_cache.stores inline_key=name"`

	// A text that tells records apart, besides the URI and the request fields that Vary names. May have placeholders of the
	// request, such as {http.request.header.X-Api-Key}. It is for whatever an answer depends on and neither Vary, cookies
	// nor Authorization show. Default: none. Refused: a text without a placeholder; braces that are not those of one.
	Key string `json:"key,omitempty"`

	// The names of cookies that no answer depends on. `*` at the end stands for the rest of a name: `ab_*`. Case matters.
	// These cookies do not matter to the date in a tag either. Default: none. Refused: `*` alone or elsewhere than at the
	// end; a name twice.
	IgnoreCookies []string `json:"ignore_cookies,omitempty"`

	// The names of cookies that a response may set although its validators are kept. They have the form of
	// `ignore_cookies`. They are tokens that every guest gets (`XSRF-TOKEN`) and those of load balancers, never a session.
	// Only a request that has all of them, load balancers' aside, is answered from memory. Name them in `ignore_cookies`
	// as well. Default: none. Refused: as for `ignore_cookies`.
	IgnoreSetCookie []string `json:"ignore_set_cookie,omitempty"`

	// How long past their time validators are still used while one request asks the upstream for new ones, in whole
	// seconds, from 1s to 365d. Default: not at all. Refused: fractions of a second.
	Grace caddy.Duration `json:"grace,omitempty"`

	// How long past their time validators are still used while the upstream answers 5xx or cannot be reached, in whole
	// seconds, from 1s to 365d. Default: not at all. Refused: fractions of a second.
	StaleIfError caddy.Duration `json:"stale_if_error,omitempty"`
}

// EncodeOnce keeps the compressed form of buffered responses by their content. A content that comes for the second time is
// compressed and kept, and from then on no response with it costs a compression. What is compressed, and how, is as in
// Caddy's `encode`, which may stand outside of this handler and compresses the rest. Only the compression is kept: the
// upstream is asked as before.
type EncodeOnce struct {
	// The encoders, by their name. Default: those of `encode` without arguments: zstd and gzip, as far as they are built in.
	EncodingsRaw caddy.ModuleMap `json:"encodings,omitempty" caddy:"namespace=http.encoders"`

	// The encodings in the order in which they are chosen, if the client has no preference. Default: zstd, br, gzip, and
	// others by their name. Refused: one that is not among the encodings; one twice.
	Prefer []string `json:"prefer,omitempty"`

	// Only what is longer is compressed, in bytes. Default: 512. Refused: a negative number.
	MinLength int `json:"minimum_length,omitempty"`

	// Which responses are compressed. Default: by the media types of `encode`: text, JSON, XML, scripts, fonts, SVG.
	Matcher *caddyhttp.ResponseMatcher `json:"match,omitempty"`

	// How many bytes of compressed bodies this process keeps. Handlers with the same encodings and max_bytes share this room,
	// and it survives a reload. Each host finds only what it has sent itself. A body longer than a quarter of that is not kept. Default: 67108864 (64 MiB), or a sixteenth of
	// the memory limit of the process if that is less. Refused: under 64 KiB; over 1 TiB.
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.conditional_cache", New: func() caddy.Module { return new(Handler) }}
}

// UnmarshalJSON implements json.Unmarshaler: what is wrong is said in the words of the configuration.
func (h *Handler) UnmarshalJSON(raw []byte) error {
	type plain Handler
	return jsonread.Into(raw, (*plain)(h), config.Examples)
}

// UnmarshalJSON implements json.Unmarshaler: what is wrong is said in the words of the configuration.
func (a *App) UnmarshalJSON(raw []byte) error {
	type plain App
	return jsonread.Into(raw, (*plain)(a), config.Examples)
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
	if err := h.provisionCoder(ctx); err != nil {
		return err
	}
	return h.provisionStore(ctx, app.store)
}

// provisionCoder readies encode_once.
func (h *Handler) provisionCoder(ctx caddy.Context) (err error) {
	if h.EncodeOnce != nil {
		if h.service.Coder, h.coded, err = config.EncodeOnce(*h.EncodeOnce).Coder(ctx); err == nil {
			h.service.Coder.Log = h.logger
		}
	}
	return err
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
	if h.coded != nil {
		h.coded()
	}
	if h.release != nil {
		h.release()
	}
	return nil
}

// provisionStore comes last. Cleanup takes it back.
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
