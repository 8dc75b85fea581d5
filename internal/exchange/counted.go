package exchange

import (
	"net/http"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// count counts a request with an exchange, at its end. What became of it is counted once, by the outermost instance that it
// meets; what an instance has done by itself, by that one.
func (x *Exchange) count(note *journal.Note) {
	x.countURL(note)
	tally := x.svc.Tally
	if tally == nil {
		return
	}
	var unsent int64
	if note.Outcome == journal.NotModified && x.asked.method == http.MethodGet {
		unsent = x.unsent()
	}
	tally.Handled(note, unsent)
	if x.inner() {
		return
	}
	fields := &x.asked.fields
	lines := fields[upstream.IfNoneMatch]
	tally.Count(note, metrics.Facts{
		Asks: true, Asked: lines != nil || fields[upstream.IfModifiedSince] != nil,
		Returned: len(lines) > 0 && strings.Contains(lines[0], `"`),
	})
}

// countURL counts by URL whether the tag that this instance has made is the one before.
func (x *Exchange) countURL(note *journal.Note) {
	if x.svc.URLs == nil || x.selected == nil || x.selected.stamp == 0 {
		return
	}
	again := note.Outcome == journal.NotModified
	if !again && note.Outcome != journal.Tagged {
		return
	}
	x.svc.URLs.Note(x.asked.r.Host, sentURL(x.asked.r).Path, top.Answer{
		Tag: x.selected.stamp, NotModified: again, Unmatched: note.Reason == journal.NoneMatched || note.Reason == journal.TokenCounts,
	})
}

// unsent is how long the content is that a 304 stands for; 0 if that is not known.
func (x *Exchange) unsent() int64 {
	switch s := x.selected; {
	case s == nil:
	case len(x.resp.Body()) > 0:
		return int64(len(x.resp.Body()))
	case s.declared > 0 && x.resp.Status() == http.StatusOK:
		return s.declared
	}
	if x.visit == nil {
		return 0
	}
	record, _ := x.visit.Record()
	return record.Size
}

// countWrite counts a write at its end, whichever of the instances that it has met judged it.
func (s *Service) countWrite(m *sharedWrite) {
	note := m.said.Last()
	s.Tally.Count(&note, metrics.Facts{})
}

// countedVar is the request variable by which nested instances know that a request that passes all of them is counted.
const countedVar = "conditional_cache.counted"

// countPassed counts a request that has no exchange, and is no write.
func (s *Service) countPassed(r *http.Request, note *journal.Note) {
	if s.Tally == nil {
		return
	}
	if vars := varsOf(r.Context()); vars != nil {
		if vars[countedVar] != nil {
			return
		}
		vars[countedVar] = true
	}
	s.Tally.Count(note, metrics.Facts{})
}

// countDigest makes a digest, and counts what that took, and for how long the response has been held by then.
func (x *Exchange) countDigest(header http.Header, body []byte) (digest tag.Digest, ok bool) {
	tally, s := x.svc.Tally, x.selected
	if tally == nil {
		return x.digest(header, body)
	}
	begun := time.Now()
	digest, ok = x.digest(header, body)
	done := time.Now()
	tally.Hashed(done.Sub(begun), len(body))
	if !s.since.IsZero() {
		tally.Held(done.Sub(s.since))
	}
	return digest, ok
}

// countSpill counts for how long a response was held in vain: its client has waited as long.
func (x *Exchange) countSpill() {
	if since := x.selected.since; !since.IsZero() {
		x.svc.Tally.Held(time.Since(since))
	}
}
