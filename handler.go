package conditionalcache

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/place"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tokens"
)

// ServeHTTP gives the next handler's response its validators, and answers the conditions and the Range of the request. Caddy
// calls it after Provision, by many goroutines at once.
//
// The first request of a handler that remembers something finds out where in the server the handler stands (settle). A
// request goes through these steps. Each has its files in internal/exchange, whose documentation says more:
//
//	Arrive   reads the facts, or says why it does not act             arrive.go, sent.go
//	Pass     judges a guarded write; lets all else through            pass.go, write.go, reading.go
//	Recall   a 304 from memory                                        recall.go
//	Show     what the upstream is to see of the request               show.go, transfer.go
//	Answer   the next handler is called; its head is judged           end.go, head.go, selected.go, dates.go, memory.go, judge.go
//	         … and answered, sliced, streamed, or held                notmodified.go, slice.go, stream.go, hold.go, freshness.go
//	         … until all of it is here; or it is asked for again      whole.go, again.go
//	Leave    the request is as it was                                 end.go
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.spot != nil {
		h.spot.once.Do(func() { h.settle(r) })
	}
	if h.Off {
		return h.service.LeaveAlone(w, r, next)
	}
	x, reason := h.service.Arrive(r)
	if reason != journal.NoReason {
		return h.service.Pass(w, r, next, reason)
	}
	defer x.Leave()
	if x.Recall(w) {
		return nil
	}
	x.Show(w)
	return x.Answer(next)
}

// configDigest stands for the part of the configuration that answers depend on: two handlers with the same one, in the
// same place, give the same answers, on whatever node they are, and may share records. Only the store, the limits,
// placeholders of the request, the numbers of blocks and what is said of an answer in its fields are left out. It has the
// secret in it, and is safe as a key of digests.
//
// It follows the policy, which has the values of the placeholders in secret and epoch: these count, in hexadecimal, as
// JSON would not tell all octets apart.
func (h *Handler) configDigest() (place.Digest, error) {
	digested := *h
	digested.CacheStatus, digested.ServerTiming, digested.DebugHeaders = "", false, false
	if tokens.IsNumbered(h.Block) {
		digested.Block = ""
	}
	if h.ETag != nil {
		etag := *h.ETag
		etag.Secret, etag.Epoch = hex.EncodeToString(h.service.Policy.Tags.Maker.Secret), hex.EncodeToString([]byte(h.service.Policy.Tags.Maker.Epoch))
		digested.ETag = &etag
	}
	if h.Remember != nil {
		remembering := *h.Remember
		remembering.StoreRaw = nil
		digested.Remember = &remembering
	}
	if h.EncodeOnce != nil {
		once := *h.EncodeOnce
		once.MaxBytes = 0
		digested.EncodeOnce = &once
	}
	text, err := json.Marshal(&digested)
	return sha256.Sum256(text), err
}

// spot is where a handler stands. It is known when all routes of the server have been provisioned, which is sure when
// the first request comes.
type spot struct {
	once  sync.Once
	found atomic.Pointer[place.Found] // set by who has walked the routes for all handlers; nil: nobody yet, or it is hidden
}

// walking is held by who does that.
var walking sync.Mutex

// settle makes the place of a handler a part of what its records are kept under. It runs once, before anything is looked
// for or kept. Where the place cannot be told, nothing is shared, neither with the configuration before nor with the one
// after this.
func (h *Handler) settle(r *http.Request) {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	found := h.findPlace(server)
	if found.Err != nil {
		h.logger.Warn("each reload loses what this handler remembers and its dates of first_seen, and other nodes do not share them: its place "+
			"cannot be told; a name of its own in the JSON field `block` mends that", zap.NamedError("reason", found.Err),
			zap.String("host", r.Host), zap.String("uri", r.RequestURI))
		return
	}
	secret := sha256.Sum256(slices.Concat(h.digest[:], found.Place[:]))
	h.service.Dates.Secret = secret
	if h.service.Memory != nil {
		h.service.Memory.Secret = secret
	}
}

// findPlace walks the routes of the server, unless another handler has done it.
func (h *Handler) findPlace(server *caddyhttp.Server) place.Found {
	if server == nil {
		return place.Found{Err: place.ErrNoServer}
	}
	walking.Lock()
	defer walking.Unlock()
	if found := h.spot.found.Load(); found != nil {
		return *found
	}
	all, err := place.All(server, settingsOf)
	for other, found := range all {
		if spot := other.(*Handler).spot; spot != nil { // settingsOf knows no others
			spot.found.CompareAndSwap(nil, &found)
		}
	}
	if found, ok := all[h]; ok {
		return found
	}
	return place.Found{Err: cmp.Or(err, place.ErrHidden)}
}

func settingsOf(other caddyhttp.MiddlewareHandler) (settings place.Digest, ours bool) {
	h, ours := other.(*Handler)
	if ours {
		settings = h.digest
	}
	return settings, ours
}

// config is the configuration as package config has it.
func (h *Handler) config() *config.Handler {
	c := &config.Handler{
		Off:              h.Off,
		ETag:             (*config.ETag)(h.ETag),
		Expires:          h.Expires,
		ExpiresModified:  h.ExpiresModified,
		Buffer:           (*config.Buffer)(h.Buffer),
		Head:             h.Head,
		Ranges:           (*config.Ranges)(h.Ranges),
		GuardWrites:      (*config.GuardWrites)(h.GuardWrites),
		Remember:         (*config.Remember)(h.Remember),
		NotModified:      (*config.NotModified)(h.NotModified),
		EncodeOnce:       (*config.EncodeOnce)(h.EncodeOnce),
		ContentLocation:  h.ContentLocation,
		CacheStatus:      h.CacheStatus,
		ServerTiming:     h.ServerTiming,
		DebugHeaders:     h.DebugHeaders,
		ResponseMatchers: h.ResponseMatchers,
		Block:            h.Block,
	}
	if h.LastModified != nil {
		c.LastModified = h.LastModified.config()
	}
	for _, row := range h.CacheControl {
		c.CacheControl = append(c.CacheControl, config.CacheControl(row))
	}
	return c
}

func (l *LastModified) config() *config.LastModified {
	c := &config.LastModified{Mode: l.Mode, Lenient: l.Lenient}
	for _, source := range l.From {
		c.From = append(c.From, config.LastModifiedSource(source))
	}
	return c
}
