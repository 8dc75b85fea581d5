// Package place says where in a configuration a handler stands, so that a process can tell its handlers apart, and know
// each again after a reload or on another node.
//
// A place is a digest of what a request has to meet to come to the handler: the listen addresses of the server, the
// matchers on the way down, the name of the named route that the handler stands in, and the settings of the handlers
// around it. Neither names of servers and groups nor positions in lists are in it, as these shift when something else is
// added. It is found in the running server, by its types and values: they are the same in every process that has loaded
// the same file.
package place

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Digest is that of a place, or of settings.
type Digest = [sha256.Size]byte

// Kind knows the handlers whose places are asked for, and the digest of their settings. Two with the same settings are
// told apart by their places.
type Kind func(caddyhttp.MiddlewareHandler) (settings Digest, ok bool)

// Found is the place of one handler. With an error there is none that would be the same after a reload.
type Found struct {
	Place Digest
	Err   error
}

// Why a handler has no place.
var (
	ErrNoServer = errors.New("no server is known that it stands in")
	ErrHidden   = errors.New("it is not found among the routes of its server: another handler hides it")
	ErrOpaque   = errors.New("a matcher in front of it does not show what it matches")
	ErrTied     = errors.New("another one with the same settings has the same matchers in front of it, and the same handlers behind it")
)

// All finds the handlers of a kind in a server that has been provisioned. Those that are not in the map are hidden. It
// reads configurations only, and may run while requests are served.
func All(server *caddyhttp.Server, kind Kind) (all map[caddyhttp.MiddlewareHandler]Found, err error) {
	defer func() { // matchers and handlers may be anybody's, and are asked for their texts
		if r := recover(); r != nil {
			all, err = nil, fmt.Errorf("panic while its place was looked for: %v", r)
		}
	}()
	w := newWalk(kind)
	w.server(server)
	return w.places(), nil
}

// OfErrors are the handlers of a kind that stand in the routes for errors of a server, or of a subroute.
func OfErrors(server *caddyhttp.Server, kind Kind) (all []caddyhttp.MiddlewareHandler) {
	defer func() { _ = recover() }() // as in All
	w := newWalk(kind)
	w.server(server)
	for h, s := range w.spots {
		if s.ofErrors {
			all = append(all, h)
		}
	}
	return all
}

// spot is a handler, and all that the walk has met of it.
type spot struct {
	settings Digest
	ways     []Digest // more than one if another handler shows it twice
	opaque   bool
	ofErrors bool    // it stands in the routes for errors
	behind   []frame // what comes after it, the nearest last
}

// group is what has to be told apart.
type group struct{ settings, place Digest }

func (w *walk) places() map[caddyhttp.MiddlewareHandler]Found {
	all := make(map[caddyhttp.MiddlewareHandler]Found, len(w.spots))
	groups := make(map[group][]caddyhttp.MiddlewareHandler)
	for h, s := range w.spots {
		g := group{s.settings, digestOf(s.ways)}
		groups[g] = append(groups[g], h)
	}
	for g, members := range groups {
		if len(members) == 1 {
			all[members[0]] = w.found(members[0], g.place)
			continue
		}
		w.untie(g, members, all)
	}
	return all
}

func (w *walk) found(h caddyhttp.MiddlewareHandler, place Digest) Found {
	if w.spots[h].opaque {
		return Found{Err: ErrOpaque}
	}
	return Found{Place: place}
}

// untie tells handlers of one place apart by what stands behind them. Which of them comes first does not count, nor what
// stands behind the next of them: that would be a number that shifts.
func (w *walk) untie(g group, members []caddyhttp.MiddlewareHandler, all map[caddyhttp.MiddlewareHandler]Found) {
	rival := func(h caddyhttp.MiddlewareHandler) bool { return slices.Contains(members, h) }
	tails := make([]tail, len(members))
	for i, h := range members {
		tails[i] = w.behind(w.spots[h].behind, rival)
	}
	for i, h := range members {
		all[h] = w.found(h, digestOf([]Digest{g.place, sha256.Sum256(tails[i].said)}))
		for j := range tails {
			if i != j && tails[i].mayBe(tails[j]) {
				all[h] = Found{Err: ErrTied}
			}
		}
	}
}

// tail is what stands behind a handler, up to what has a rival in it: one that it has to be told from.
type tail struct {
	said []byte
	cut  bool // there is a rival
}

// mayBe reports whether two tails may be of one handler. What is behind a rival is not known; one right behind a handler
// tells it from that.
func (t tail) mayBe(other tail) bool {
	return bytes.Equal(t.said, other.said) || t.begins(other) || other.begins(t)
}

func (t tail) begins(other tail) bool {
	return t.cut && len(t.said) > 0 && bytes.HasPrefix(other.said, t.said)
}

// digestOf is that of several; their order counts.
func digestOf(parts []Digest) Digest {
	var b []byte
	for _, part := range parts {
		b = append(b, part[:]...)
	}
	return sha256.Sum256(b)
}

// sorted puts digests into an order of their own, where theirs says nothing.
func sorted(parts []Digest) []Digest {
	slices.SortFunc(parts, func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
	return parts
}

// sortedKeys are the names in a map, in an order that is always the same.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
