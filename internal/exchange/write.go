package exchange

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// writeVar is the request variable by which the instances that one write meets know of each other.
const writeVar = "conditional_cache.write"

// sharedWrite is what they know. It is not used for another request.
type sharedWrite struct {
	blocks  []string       // names of the blocks that have acted; set by write
	judged  bool           // one has judged: what is right once is not asked again; set by write
	decoded bool           // one has looked whether If-Match names the coded form of a tag; set by decode
	learned guard.Learned  // what came out when one has judged; set by the guard
	said    journal.Record // what became of the write
}

// sharedWriteOf is what the instances further out have left; nil: there is none.
func sharedWriteOf(r *http.Request) *sharedWrite {
	m, _ := caddyhttp.GetVar(r.Context(), writeVar).(*sharedWrite)
	return m
}

// write judges a write if it is guarded, and lets it pass. In one block only the outermost instance acts, as with reads.
// Of nested blocks, the first that has something to judge does.
func (s *Service) write(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	m, block := sharedWriteOf(r), s.Policy.Block
	switch {
	case m == nil:
		m = new(sharedWrite)
		m.said.Decide(journal.Streamed, journal.Method, nil)
		m.said.Offer(r.Context(), replacerOf(r.Context()))
		caddyhttp.SetVar(r.Context(), writeVar, m)
		defer func() { s.countWrite(m) }()
	case s.isSibling(m):
		return s.pass(w, r, next, journal.Sibling)
	}
	if block != "" {
		m.blocks = append(m.blocks, block)
	}
	pre, guarded := s.guards(r)
	must := s.mustCondition(r)
	if m.learned.Protected || !guarded || m.judged && !must {
		return s.passUnjudged(w, r, next, &pre)
	}
	turns := &Writes
	if m.judged {
		turns = nil
	}
	m.judged = true
	g := guard.Write{
		To: w, R: r, Next: next, Said: &m.said, Terms: guard.Terms{URL: asSent(r).URL, Pre: pre, Must: must},
		Read: s.reader(next, m.blocks, &probe{byDate: pre.IfUnmodifiedSince.Valid && !pre.IfMatch.Present}), Learned: &m.learned,
		Site: guard.Site{Queue: turns, Budget: &Budget, Limit: s.roomForWrites(), Log: s.Log, Waited: s.Tally.Waited},
	}
	err := g.Serve()
	s.sayRefused(w, m)
	s.tell(m.said.Last(), r, r.Method, zap.Error(err))
	return err
}

// roomForWrites is how much of the budget may be in use for the body of a write to be held, too. Whoever begins many bodies
// and does not end them must not use up what pages are held in, nor the GETs before other writes.
func (s *Service) roomForWrites() int64 { return max(s.Policy.Bounds.MaxTotal/4, 1) }

// isSibling reports whether an instance of the same block has acted on this write.
func (s *Service) isSibling(m *sharedWrite) bool {
	return m != nil && s.Policy.Block != "" && slices.Contains(m.blocks, s.Policy.Block)
}

// mustCondition reports whether a write has to have a precondition.
func (s *Service) mustCondition(r *http.Request) bool {
	return s.Policy.Guard.Require && s.guardsMethod(r)
}

// guardsMethod reports whether the configuration names the method, or the one that frameworks take in its
// place for a field that says so.
func (s *Service) guardsMethod(r *http.Request) bool {
	return slices.ContainsFunc(s.Policy.Guard.Methods, func(method string) bool {
		if strings.EqualFold(method, r.Method) {
			return true
		}
		return slices.ContainsFunc(guard.MethodOverrides, func(name string) bool {
			return strings.EqualFold(method, first(r.Header[name]))
		})
	})
}

// guards reports whether a write is to be judged: If-Match names a tag of ours, which no upstream knows,
// or the configuration wants writes of this method judged.
func (s *Service) guards(r *http.Request) (pre httpcond.Preconditions, guarded bool) {
	header := r.Header
	if header["If-Match"] == nil && header["If-None-Match"] == nil && header["If-Unmodified-Since"] == nil {
		return pre, s.mustCondition(r)
	}
	pre = httpcond.ParsePreconditions(header, time.Now(), s.Policy.Lenient)
	_, ours := upstream.Ours(pre.IfMatch.Tags)
	// What lies past the bounds of a list might be ours.
	return pre, ours || pre.IfMatch.Truncated || s.guardsMethod(r)
}
