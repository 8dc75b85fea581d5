package exchange

import (
	"net/http"
	"sync"

	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/lastmodified"
	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Service serves the requests of one handler. It may be used concurrently, and is not changed once it is in use, but
// for what it learns.
type Service struct {
	// Policy is what the handler is configured to do; config.Handler.Compile makes it.
	Policy *policy.Policy
	// Memory has what is remembered of responses; nil: nothing is.
	Memory *remember.Memory
	// Dates knows when tags were first seen. It is needed where the policy asks for that.
	Dates *remember.Memory
	// Keys has the key that who asks is digested with, where the policy has none.
	Keys Keys
	// Log gets a line at DEBUG for each decision.
	Log *zap.Logger
	// Coder codes what is held; nil: nothing is coded here.
	Coder *coding.Coder
	// Tally counts what becomes of requests; nil: nobody does.
	Tally *metrics.Tally
	// URLs counts by URL whether tags repeat; nil: nobody does.
	URLs *top.Table

	rules   upstream.Rules     // the policy's Shown, with the tags that got their quotes here; set by New
	unmoved lastmodified.Watch // for upstreams' dates that say nothing of changes
	weak    sync.Once          // it was said that guard_writes has to do with weak tags
	pool    sync.Pool          // of *Exchange
}

// Keys has a key that is kept outside of the configuration.
type Keys interface {
	// Get returns it; nil: it is not at hand. It does not wait, and may be called concurrently.
	Get() *identity.Key
}

// New returns the service of a policy. Memory, Dates, Keys and Log are the caller's to set before the first request.
func New(p *policy.Policy) *Service {
	s := &Service{Policy: p, Log: zap.NewNop(), rules: p.Shown}
	if p.Treatment.Existing == upstream.RepairTag {
		s.rules.Repaired = new(upstream.Repaired)
	}
	return s
}

// tell writes the debug line of a request's decision. It is the one place where it is said what became of a request, at
// its end: a request is decided more than once (journal.Record.Decide), and the last one counts. Nested instances tell
// one line each.
func (s *Service) tell(note journal.Note, r *http.Request, method string, more ...zap.Field) {
	if c := s.Log.Check(zap.DebugLevel, note.Outcome.String()); c != nil {
		c.Write(append([]zap.Field{zap.Inline(note), zap.String("method", method), zap.String("uri", sentURI(r))}, more...)...)
	}
}

// exchange takes one out of the pool.
func (s *Service) exchange() *Exchange {
	if x, ok := s.pool.Get().(*Exchange); ok {
		return x
	}
	return &Exchange{svc: s}
}
