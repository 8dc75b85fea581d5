package contained

import (
	"encoding/json"
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	// quiet is how long nothing is logged after a panic was.
	quiet = 10 * time.Second
	// maxDebts is how many URIs are kept that could not be forgotten. With more, everything is
	// purged before anything is found.
	maxDebts = 4096
)

// states has a state for each store, whatever handlers and configurations it serves.
var states sync.Map // of *state, by identity

// identity is what tells stores apart. Those that have the same may share a state without harm.
type identity struct{ name, options string }

func stateOf(name string, inner validators.Store) *state {
	found, _ := states.LoadOrStore(identity{name, optionsOf(inner)}, new(state))
	return found.(*state) // nothing else is put there
}

// optionsOf are a module's options as Caddy writes them, if that can be done.
func optionsOf(inner validators.Store) (options string) {
	defer func() { _ = recover() }()
	text, _ := json.Marshal(inner)
	return string(text)
}

// state is what is known of a store's panics.
type state struct {
	panics  atomic.Uint64
	owesAny atomic.Bool

	mu      sync.Mutex
	logged  time.Time
	last    uint64            // the number of the latest debt
	debts   map[uint64]uint64 // by digests of what is to be forgotten: the numbers
	tooMany uint64            // the number of the latest one that was one too many, and is of every URI
}

// payments are what one module has paid of a state's debts. Modules of one state may have records of their own, so that
// each pays by itself.
type payments struct {
	until uint64            // everything was purged when this was the latest debt
	each  map[uint64]uint64 // by digests, as in debts
}

// seed makes digests that nobody else knows, so that none can be chosen.
var seed = maphash.MakeSeed()

func digest(uri validators.URI) uint64 { return maphash.Comparable(seed, uri) }

// count counts a panic, and reports whether it is to be logged.
func (s *state) count(now time.Time) bool {
	s.panics.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.logged.IsZero() && now.Sub(s.logged) < quiet {
		return false
	}
	s.logged = now
	return true
}

// owe notes that a URI was perhaps not forgotten.
func (s *state) owe(uri validators.URI) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	if s.debts == nil {
		s.debts = make(map[uint64]uint64)
	}
	if _, known := s.debts[digest(uri)]; known || len(s.debts) < maxDebts {
		s.debts[digest(uri)] = s.last
	} else {
		s.debts, s.tooMany = nil, s.last
	}
	s.owesAny.Store(true)
}

// owes reports whether anything was ever owed; else there is no need to look further.
func (s *state) owes() bool { return s.owesAny.Load() }

// debtOf is the number of what a module owes of a URI; all reports that it owes every URI.
func (s *state) debtOf(uri validators.URI, paid *payments) (debt uint64, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := digest(uri)
	if debt = s.debts[d]; debt <= max(paid.until, paid.each[d]) {
		debt = 0
	}
	return debt, s.tooMany > paid.until
}

// paid ends a debt of a module, unless there is a later one.
func (s *state) paid(uri validators.URI, debt uint64, paid *payments) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if paid.each == nil {
		paid.each = make(map[uint64]uint64)
	}
	paid.each[digest(uri)] = debt
}

// allDebts is the number of the latest one.
func (s *state) allDebts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// paidAll ends the debts of a module up to a number.
func (s *state) paidAll(until uint64, paid *payments) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paid.until = max(paid.until, until)
	maps.DeleteFunc(paid.each, func(_, debt uint64) bool { return debt <= until })
}
