package exchange

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// selected is the representation that the next handler has selected, as far as it is known. There is one from the head
// on.
type selected struct {
	upstream.Validators           // as they are sent on; set by head, the tag of a held body when all is here
	now                 time.Time // when the head came
	declared            int64     // its Content-Length, or -1
	row                 rowState  // what is said of its freshness
	madeHere            bool      // ETag is one of ours
	untagged            bool      // held, but not for a tag
	spilled             bool      // it was held, and cannot be any longer
}

// readSelected begins with what the head says of the whole.
func (x *Exchange) readSelected(header http.Header) {
	s := &x.room.selected
	x.selected = s
	s.now, s.declared = time.Now(), declaredLength(header)
}

// readValidators puts the upstream's validators in order, and looks elsewhere for a date that it has not sent.
func (x *Exchange) readValidators(status int, header http.Header) {
	shared, s := x.kept.shared, x.selected
	sent := header["Last-Modified"]
	s.Validators = x.svc.treatment.Read(status, header, s.now, shared.is(made304))
	if shared.is(dateFound) {
		s.TagDate = time.Time{} // an inner instance found the date, and the upstream cannot judge by it
		x.narrowDate(header)
	}
	if status == http.StatusOK {
		x.searchDate(header, sent)
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

// contentCoded reports whether a response says of itself that it is content-coded. An empty field says nothing.
func contentCoded(header http.Header) bool {
	return slices.ContainsFunc(header["Content-Encoding"], func(line string) bool { return line != "" })
}

// declaredLength reads Content-Length; -1 when there is none that can be used.
func declaredLength(header http.Header) int64 {
	n, err := strconv.ParseInt(first(header["Content-Length"]), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
