package exchange

import (
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/announce"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

// sayIn adds the fields that say what was decided to those that go out.
func (x *Exchange) sayIn(header http.Header) {
	a := announce.Answer{Note: x.kept.said.Last(), Status: x.resp.Status()}
	x.svc.announce(header, &a, x.visit, time.Now())
}

func (s *Service) announce(header http.Header, a *announce.Answer, visit *remember.Visit, now time.Time) {
	if visit != nil {
		a.Remembers, a.Prepared, a.TTL = true, visit.Prepared(), visit.Lasts(now)
		if s.Policy.Announce.Debug {
			a.Key = visit.Label()
		}
		a.Memory = journal.Because(visit.Why)
		if !a.Prepared {
			a.NotRemembered = journal.Because(visit.Unkept())
		}
	}
	s.Policy.Announce.Add(header, a)
}

// sayRefused adds them to the answer to a write that was refused here: the upstream has not seen it.
func (s *Service) sayRefused(w http.ResponseWriter, m *sharedWrite) {
	note := m.said.Last()
	if s.Policy.Announce.Any() && (note.Outcome == journal.PreconditionFailed || note.Outcome == journal.PreconditionRequired) {
		s.announce(w.Header(), &announce.Answer{Note: note, Unasked: true}, nil, time.Time{})
	}
}
