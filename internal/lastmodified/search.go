package lastmodified

import (
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Search is what the sources have told of one response so far.
type Search struct {
	// Missed are the sources that gave no date, with the reason. They are noted if Begin was told so.
	Missed []string

	sources *Sources
	notes   bool
	now     time.Time
	latest  time.Time
	unread  bool // the body may name a later date, and is not read yet
}

// Begin asks the sources that are known at the head of a 200. lastModified are the lines of its own
// Last-Modified, which may be off header already. notes tells whether Missed is wanted.
func (s *Sources) Begin(header http.Header, lastModified []string, repl *caddy.Replacer, now time.Time, notes bool) *Search {
	q := &Search{sources: s, notes: notes, now: now}
	for i := range s.headers {
		q.field(&s.headers[i], header, lastModified)
	}
	for i := range s.files {
		t, err := s.files[i].mtime(repl)
		q.take(s.files[i].label, t, err)
	}
	q.unread = len(s.json) > 0 && isJSON(header)
	return q
}

// Date is the latest date the sources gave, not later than the response's own. It is not known as long as
// the body may name a later one: an earlier date would confirm what a client has of an older body.
func (q *Search) Date(date time.Time) (time.Time, bool) {
	if q.unread || q.latest.IsZero() {
		return time.Time{}, false
	}
	if q.latest.After(date) {
		return date.UTC().Truncate(time.Second), true
	}
	return q.latest, true
}

// field asks the lines of a response field, all of which may be dates.
func (q *Search) field(d *dated, header http.Header, lastModified []string) {
	lines := header[d.name]
	if d.name == "Last-Modified" {
		lines = lastModified
	}
	if len(lines) == 0 {
		q.take(d.label, time.Time{}, errAbsent)
	}
	for _, line := range lines {
		t, err := d.read(line, q.now)
		q.take(d.label, t, err)
	}
}

// take takes the date that a source gave, or notes why it gave none.
func (q *Search) take(source string, t time.Time, err error) {
	switch {
	case err != nil:
		q.miss(source, err)
	case httpcond.BuildEpoch(t):
		q.miss(source, errBuild)
	case t.After(q.latest):
		q.latest = t.UTC().Truncate(time.Second)
	}
}

// maxMissed is how many notes are taken of one response: a list may have thousands of members.
const maxMissed = 8

func (q *Search) miss(source string, why error) {
	if q.notes && len(q.Missed) < maxMissed {
		q.Missed = append(q.Missed, source+": "+why.Error())
	}
}

// isJSON reports whether a response's media type is JSON's or one that is built on it (RFC 6839 §3.1).
func isJSON(header http.Header) bool {
	lines := header["Content-Type"]
	if len(lines) == 0 {
		return false
	}
	mediaType := httpcond.MediaType(lines[0])
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}
