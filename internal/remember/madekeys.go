package remember

import (
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// madeKeys are keys made lately, each at the place that its path and query have.
type madeKeys [256]atomic.Pointer[madeKey]

// madeKey is a key, and all it was made of but the secret.
type madeKey struct {
	scheme, host, path, rawPath, query, extra string
	origin                                    string
	shape                                     byte
	key                                       validators.Key
}

// madeSize bounds the texts that one key is kept with.
const madeSize = 256

var placeSeed = maphash.MakeSeed()

func (k *madeKeys) of(r *Request) *atomic.Pointer[madeKey] {
	place := maphash.String(placeSeed, r.URL.Path)
	if query := r.URL.RawQuery; query != "" {
		place = place*3 + maphash.String(placeSeed, query)
	}
	return &k[place%uint64(len(k))]
}

func (k *madeKey) isFor(r *Request) bool {
	u := r.URL
	return k.path == u.Path && k.query == u.RawQuery && k.host == r.Host && k.scheme == r.Scheme &&
		k.rawPath == u.RawPath && k.shape == shapeOf(r) && k.extra == r.Extra && len(r.Origin) <= 1 && k.origin == first(r.Origin)
}

// mayKeep says yes to one in sixteen, so that keys of pages that are asked for seldom do not take turns at one place.
func mayKeep(r *Request) bool {
	u := r.URL
	return rand.Uint32()%16 == 0 && len(r.Origin) <= 1 && u.Opaque == "" && //nolint:gosec // no secret
		len(r.Scheme)+len(r.Host)+len(u.Path)+len(u.RawPath)+len(u.RawQuery)+len(r.Extra)+len(first(r.Origin)) <= madeSize
}

// keep makes copies, as a request's texts are parts of its whole head.
func keep(r *Request, key validators.Key) *madeKey {
	u := r.URL
	made := &madeKey{
		scheme: r.Scheme, host: strings.Clone(r.Host), path: strings.Clone(u.Path), rawPath: strings.Clone(u.RawPath),
		query: strings.Clone(u.RawQuery), extra: strings.Clone(r.Extra), origin: strings.Clone(first(r.Origin)),
		shape: shapeOf(r), key: key,
	}
	made.key.URI.Host, made.key.URI.Path = strings.Clone(key.URI.Host), strings.Clone(key.URI.Path)
	return made
}
