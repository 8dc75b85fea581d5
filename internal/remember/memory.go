// Package remember is what a handler knows of its responses without asking who makes them: which responses it
// may remember, which requests it may answer from that, and for how long (RFC 9111 §3, §4; RFC 9110 §15.4.5).
//
// A Visit is one request's dealings with it:
//
//	Begin ──▶ MayAnswer ──▶ Fill                        answered from memory
//	      └─▶ Detach ──▶ Judge ──▶ Prepare ──▶ Save     the next handler has answered with a 200
//	                └─▶ MayLearn, Prepare …  a 304 says of itself what its 200 would
//	                └─▶ Confirm              it, or its head, says that what is remembered is still true
//	                └─▶ Drop                 it says something else
//	Leave, in any case
package remember

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// Memory is the memory of one handler. It is not changed once it is in use, and can be used concurrently.
type Memory struct {
	Store validators.Store
	// Secret is what digests are made with: another configuration, and a handler in another place, has other keys,
	// and what Vary selects by cannot be guessed from them without it.
	Secret [32]byte
	// TTL is how long a record is used without asking; 0: as long as the response says.
	TTL time.Duration
	// Grace is for how long after that others are answered while one asks.
	Grace time.Duration
	// StaleIfError is for how long after that a failure of the next handler is answered from the record.
	StaleIfError time.Duration
	// Cookies say which cookies make no difference.
	Cookies identity.Rules
	// SetCookies say which cookies a response may set and be remembered.
	SetCookies identity.Rules
	// Keep are the names of fields, besides the usual ones, that a 304 has; Drop are those that it has not.
	Keep, Drop map[string]bool
	// InUse lists the stores of all configurations in use; nil: nobody knows. It is asked when this one's is over.
	InUse func() []validators.Store

	over       atomic.Bool // set by End
	keys       madeKeys
	refreshing sync.Map // of validators.Digest: who asks the next handler though others are answered
}

// End says that no configuration has the handler any more. Requests may come to it for long all the same, over connections
// that have not ended: Caddy ends none by force. Of writes it would not hear, as the handlers in its place may have another
// store, or remember nothing. So nothing is answered from it any longer, and what it hears of is forgotten in all stores.
func (m *Memory) End() { m.over.Store(true) }

// last is how long a record has to be kept.
func (m *Memory) last(lifetime time.Duration) time.Duration {
	return lifetime + max(m.Grace, m.StaleIfError)
}
