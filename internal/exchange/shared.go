package exchange

import (
	"sync/atomic"

	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// sharedVar is the request variable by which nested instances find what they share.
const sharedVar = "conditional_cache.exchange"

// Shared is what the nested instances that serve one request tell each other. The outermost makes it, says in it that it
// has left, and never uses it again: an inner instance may live longer. It stays among the request's variables, which
// have no lock, and which a dialer that has kept the request's context may be reading still.
type Shared struct {
	flags atomic.Uint32 // any goroutine may read and set them: see flag
	// further is the journal.Outcome of the latest instance that has decided; set by decide.
	further atomic.Uint32
	// refused is the current tag, empty if there is none, that goes with a 412 or 416; nil: no inner instance has answered so.
	// Set by refused, as placeholders are the outermost one's.
	refused atomic.Pointer[string]
	// blocks are the names of those that have acted. show adds to it, askAgain cuts it back: the goroutine of the handlers.
	blocks []string
	// handedOn are the conditions; nil while no instance has seen any. It is made by readConditions, in the same goroutine,
	// and for as long as a handler is asked again, by askAgain.
	handedOn *handedOn
}

// handedOn are conditional fields and Range, as instances hand them on. They are lists of a request's header map, which
// are never changed.
type handedOn struct {
	original upstream.Fields // what the client sent; set by readConditions
	left     upstream.Fields // what the innermost instance left on the request; set by present and Leave
}

// flag is something that an instance lets the others know.
type flag uint32

const (
	made304    flag = 1 << iota // a 304 was made, or taken for right: it stands; set by whoever makes or relays one
	dateFound                   // a Last-Modified was found that the upstream has not sent; set by foundDate
	dateAlone                   // … and is worth something without a tag; set by foundDate, cleared by narrowDate and takeFirstSeen
	ignoring                    // an instance leaves parts of the body out of its tag; set by show
	gaveUp                      // an instance has waited for its max_delay: from now on this may be its deadline's goroutine; set by spill
	overworked                  // what is to be left out of the body is too much work for an instance: none makes a tag; set by leaveUntagged
	nested                      // there is more than one instance; set by show
	left                        // the outermost is done; set by Leave: who comes now is another one
	forbidden                   // what goes out is, or may be, private or no-store by a row of the outermost instance; set by forbidFurtherIn
	probing                     // this is the GET before a guarded write; set by reader
)

// sharedBy is what the instances further out share; nil: there are none.
func sharedBy(vars map[string]any) *Shared {
	if s, _ := vars[sharedVar].(*Shared); s != nil && !s.is(left) {
		return s
	}
	return nil
}

func (s *Shared) is(f flag) bool { return s.flags.Load()&uint32(f) != 0 }

func (s *Shared) set(f flag) { s.flags.Or(uint32(f)) }

func (s *Shared) put(f flag, on bool) {
	if on {
		s.flags.Or(uint32(f))
	} else {
		s.flags.And(^uint32(f))
	}
}
