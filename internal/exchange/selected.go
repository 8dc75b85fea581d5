package exchange

import (
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// selected is the representation that the next handler has selected, as far as it is known. There is one from the head
// on.
type selected struct {
	facts                              // what the head says; set by head
	upstream.Validators                // as they are sent on; set by head, the tag of a held body when all is here
	now                 time.Time      // when the head came; set by readSelected, where needsTime says so
	row                 rowState       // what is said of its freshness; set by chooseRow, again by sniff
	madeHere            bool           // this instance has set the ETag: setTag when the body is here, compareHead at the head
	stamp               uint64         // of the tag that was made when the body was here, to tell it from another one; 0: none was; set by setTag
	recoded             bool           // its gzip header is another one each time, and left out of the tag; set by digest
	tokenCounts         bool           // a token that is masked anew each time is part of what the tag is made from; set by digest
	untagged            bool           // held, but not for a tag; set by holdPassing, or with unstored or forgone
	unstored            bool           // held, and then a row was found that says no-store; set by complete
	labelling           bool           // a date has decided for a 304, which waits for its tag or row; set by holdForLabel
	codable             bool           // encode_once codes it for who accepts that; set by judgeCoding
	uncoded             journal.Reason // … or why it does not, for anybody; set by judgeCoding
	since               time.Time      // when it was begun to be held, if that is counted; set by hold
	until               time.Time      // when a held body has to be done with; zero: at any time; set by limitWork
	forgone             journal.Reason // why a held body has no tag though one was to be made; set by leaveUntagged
	spilled             bool           // it was held, and cannot be any longer; set by spill
}

// Field implements capture.Exchange: it notes a field of the head.
func (x *Exchange) Field(name string, lines []string) { x.room.selected.note(name, lines) }

// readSelected begins with what the fields say.
func (x *Exchange) readSelected() {
	x.selected = &x.room.selected
	x.selected.conclude()
	if x.needsTime() {
		x.selected.now = time.Now()
	}
}

// needsTime reports whether anything will be compared with the time of the head.
func (x *Exchange) needsTime() bool {
	p := x.svc.Policy
	return x.selected.lastModified != nil || x.asksParts() || x.visit != nil || p.Freshness.Any() || p.Dates.Any()
}

// readValidators puts the upstream's validators in order, and looks elsewhere for a date that it has not sent.
func (x *Exchange) readValidators(status int, header http.Header) {
	shared, s, p := x.kept.shared, x.selected, x.svc.Policy
	s.Validators = p.Treatment.Read(&upstream.Head{
		Status: status, ETag: s.etag, LastModified: s.lastModified, Date: s.date, Vary: s.vary, Now: s.now,
		Made: shared.is(made304), Repaired: x.svc.rules.Repaired, Dated: p.Dates.Any() || p.Freshness.AfterModified != 0 || x.asksParts(),
	}, header)
	if shared.is(dateFound) {
		s.TagDate = time.Time{} // an inner instance found the date, and the upstream cannot judge by it
		x.narrowDate(header)
	}
	if status == http.StatusOK {
		x.searchDate(header)
	}
}

// representation is what conditions are judged against.
func (x *Exchange) representation() httpcond.Representation {
	s := x.selected
	return httpcond.Representation{
		Exists: true, HasETag: s.ETag.Usable, ETag: s.ETag.Tag, LastModified: s.LastModified, Trust: x.trust(), Same: tag.Same,
	}
}

// opaque is the tag that the response has by now; empty if it has none that can be used.
func (s *selected) opaque() string {
	if !s.ETag.Usable {
		return ""
	}
	return s.ETag.Tag.Opaque
}
