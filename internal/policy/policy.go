// Package policy is a configuration in the form that requests use: read, checked and compiled, with words made
// into flags and rows into rules. It knows nothing of Caddyfiles and JSON, and is not changed once it is in use.
package policy

import (
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/announce"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/ignore"
	"github.com/conditionalcache/caddy-conditional-cache/internal/lastmodified"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Policy is what one handler is configured to do; config.Handler.Compile makes it. It may be used concurrently. What a handler learns while it runs
// is no part of it.
type Policy struct {
	// Tags says how entity tags are made: `etag`.
	Tags Tags
	// Treatment says what becomes of the upstream's validators: `etag › existing` and `last_modified`.
	Treatment upstream.Treatment
	// Shown says what the upstream sees of a client's conditions.
	Shown upstream.Rules
	// Lenient: date conditions of requests may be quoted, or in another form than HTTP's.
	Lenient bool
	// Dates says where a Last-Modified comes from that the upstream does not send.
	Dates Dates
	// Freshness says how long responses last: `cache_control` and `expires`.
	Freshness Freshness
	// Bounds are those of what is held: `buffer`, and max_total of the app.
	Bounds Bounds
	// HeadAsGet: the next handler is asked with GET for a client's HEAD.
	HeadAsGet bool
	// Ranges says which responses Range is answered out of: `ranges`.
	Ranges Ranges
	// NotModified says which fields a 304 has: `not_modified`.
	NotModified NotModified
	// Guard says which writes are judged: `guard_writes`.
	Guard Guard
	// ContentLocation: a 200 gets one.
	ContentLocation bool
	// Announce says in which fields it is told what was decided: `cache_status`, `server_timing`, `debug_headers`.
	Announce announce.Fields
	// Block is the name of the block that the directive stands in. Of the handlers of one block that a request meets,
	// only the outermost acts. Empty: every one acts.
	Block string
	// Identity says by what a request tells who asks.
	Identity Identity
}

// Identity says by what a request tells who asks, and what that is digested with.
type Identity struct {
	// Cookies say which of its cookies count.
	Cookies identity.Rules
	// Text is what `remember › key` adds, with placeholders of the request.
	Text string
	// Key is the one that the secret of entity tags gives; nil: there is none, and the one in Caddy's storage is used.
	Key *identity.Key
}

// Tags says how entity tags are made.
type Tags struct {
	// Mode says how strong they are: Weak wherever Ignore is set.
	Mode Mode
	// Maker makes their digests.
	Maker tag.Maker
	// Ignore is what is left out of these; nil: nothing.
	Ignore *ignore.Rules
}

// Mode says how strong entity tags are.
type Mode uint8

const (
	// Auto: weak where the response may still be content-coded on its way out, else strong.
	Auto Mode = iota
	// Strong: every tag is.
	Strong
	// Weak: every tag is.
	Weak
	// Off: none is made.
	Off
)

// Dates says where a Last-Modified comes from that the upstream does not send.
type Dates struct {
	// From are the sources that are asked for each response; nil: none.
	From *lastmodified.Sources
	// FirstSeen: the time when an entity tag was first seen is one, too. A store knows it.
	FirstSeen bool
}

// Any reports whether there is a source at all.
func (d *Dates) Any() bool { return d.From != nil || d.FirstSeen }

// Bounds are those of what is held.
type Bounds struct {
	// MaxBody is the longest body that is held, in bytes.
	MaxBody int64
	// MaxDelay is how long a response is held, counted from its head; 0 or less: without end.
	MaxDelay time.Duration
	// MaxTotal is how many bytes this process holds at one time, over all handlers.
	MaxTotal int64
}

// Ranges says which responses Range is answered out of (RFC 9110 §14).
type Ranges struct {
	Mode RangesMode
	// Max is how many ranges are answered in one response.
	Max int
}

// RangesMode is the word of `ranges`.
type RangesMode uint8

const (
	// RangesOn: those with a strong validator that are held, or declare a length within the bounds, unless the upstream
	// says that it has no parts to give.
	RangesOn RangesMode = iota
	// RangesOff: none.
	RangesOff
	// RangesStream: whatever the upstream says. Of one range, also those that declare a greater length; and those without
	// a validator, where no coding can follow.
	RangesStream
)

// NotModified changes the set of fields of a 304. The names are in their canonical form.
type NotModified struct {
	Keep, Drop map[string]bool
}

// Guard says which writes are judged before the upstream sees them.
type Guard struct {
	// Methods are judged; of the others, those writes whose If-Match names a tag made here.
	Methods []string
	// Require: a write with one of these methods has to have a precondition.
	Require bool
}

// IsWrite reports whether a method may change what its URI stands for.
func IsWrite(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return false
	}
	return true
}
