package exchange

import (
	"sync/atomic"

	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// sharedVar is the request variable by which nested instances find what they share.
const sharedVar = "conditional_cache.exchange"

// Shared is what the instances know of each other that one request meets. The outermost makes it, and takes it off the
// request when it leaves. It is never used for another request: an inner instance may outlive the outermost one.
type Shared struct {
	flags  atomic.Uint32 // any goroutine may read and set them
	blocks []string      // names of the blocks that have acted; each instance adds its own on its way in
	passed *passed       // the conditions; nil while no instance has seen any
}

// passed are conditional fields and Range, as instances hand them on. They are lists of a request's header map, which
// are never changed.
type passed struct {
	original upstream.Fields // what the client sent
	left     upstream.Fields // what the innermost instance left on the request
}

// flag is something that an instance lets the others know.
type flag uint32

const (
	made304   flag = 1 << iota // a 304 was made, or taken for right: it stands
	dateFound                  // a Last-Modified was found that the upstream has not sent
	dateAlone                  // … and is worth something without a tag
	ignoring                   // an instance leaves parts of the body out of its tag
	gaveUp                     // an instance has held the response for its max_delay
	probing                    // this is the GET before a guarded write
)

func (s *Shared) is(f flag) bool { return s.flags.Load()&uint32(f) != 0 }

func (s *Shared) set(f flag) { s.flags.Or(uint32(f)) }

func (s *Shared) put(f flag, on bool) {
	if on {
		s.flags.Or(uint32(f))
	} else {
		s.flags.And(^uint32(f))
	}
}
