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
	emptyQuery                                bool
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
		k.rawPath == u.RawPath && k.emptyQuery == u.ForceQuery && k.extra == r.Extra
}

// mayKeep says yes to one in sixteen, so that keys of pages that are asked for seldom do not take turns at one place.
func mayKeep(r *Request) bool {
	u := r.URL
	return rand.Uint32()%16 == 0 && //nolint:gosec // no secret
		len(r.Scheme)+len(r.Host)+len(u.Path)+len(u.RawPath)+len(u.RawQuery)+len(r.Extra) <= madeSize
}

// keep makes copies, as a request's texts are parts of its whole head.
func keep(r *Request, key validators.Key) *madeKey {
	u := r.URL
	made := &madeKey{
		scheme: r.Scheme, host: strings.Clone(r.Host), path: strings.Clone(u.Path), rawPath: strings.Clone(u.RawPath),
		query: strings.Clone(u.RawQuery), extra: strings.Clone(r.Extra), emptyQuery: u.ForceQuery, key: key,
	}
	made.key.URI.Host, made.key.URI.Path = strings.Clone(key.URI.Host), strings.Clone(key.URI.Path)
	return made
}
