package lastmodified

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
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
	unread  bool        // the body may name a later date, and is not read yet
	late    func() bool // of Reading; set by Body
	failed  bool        // a source could not be asked, and might have named a later date
}

// Request is what of the request the sources go by. Files may only be asked by the goroutine that serves it:
// what placeholders stand for has no lock.
type Request struct {
	Replacer *caddy.Replacer
	// Elsewhere tells that this is another goroutine, so that no file can be asked.
	Elsewhere bool
}

// Begin asks the sources that are known at the head of a 200. lastModified are the lines of its own
// Last-Modified, which may be off header already. notes tells whether Missed is wanted.
func (s *Sources) Begin(header http.Header, lastModified []string, r Request, now time.Time, notes bool) *Search {
	q := &Search{sources: s, notes: notes, now: now}
	for i := range s.headers {
		q.field(&s.headers[i], header, lastModified)
	}
	for i := range s.files {
		q.file(&s.files[i], r)
	}
	q.unread = len(s.json) > 0 && isJSON(header)
	return q
}

// Unread reports whether the body may name a later date, and is not read yet.
func (q *Search) Unread() bool { return q.unread }

// Date is the latest date the sources gave. It is not known as long as the body may name a later one, nor if a
// source has failed that might have: an earlier date would confirm what a client has of an older body.
func (q *Search) Date() (time.Time, bool) {
	if q.unread || q.failed || q.latest.IsZero() {
		return time.Time{}, false
	}
	return q.latest, true
}

// Err tells that there may be a date, though none is known. It is no error if no source has one.
func (q *Search) Err() error {
	if q.unread || q.failed {
		return errFailed
	}
	return nil
}

// Settled reports whether the date stays what it is: the second that it names was over when the request came (asked),
// and when the response was dated. Within it another change would not show (RFC 9110 §8.8.2.2), nor would one that
// came while the response was made, of which it may know nothing. So no date is later than Date (§8.8.2.1).
func (q *Search) Settled(asked, date time.Time) bool {
	settled := httpcond.StrongDate(q.latest, asked) && httpcond.StrongDate(q.latest, date)
	if !settled {
		q.miss("the latest", errRecent)
	}
	return settled
}

// file asks a file. One that has the time of a build tool says nothing of its changes, unlike a field or a key, which
// say so that there was none.
func (q *Search) file(f *file, r Request) {
	t, err := time.Time{}, errElsewhere
	if !r.Elsewhere {
		t, err = f.mtime(r.Replacer)
	}
	q.failed = q.failed || err == nil && httpcond.BuildEpoch(t)
	q.take(f.label, t, err)
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

// take takes the date that a source gave, or notes why it gave none. One that is not there has none; any other might
// have had the latest.
func (q *Search) take(source string, t time.Time, err error) {
	switch {
	case err != nil:
		q.failed = q.failed || !absent(err)
		q.miss(source, err)
	case httpcond.BuildEpoch(t):
		q.miss(source, errBuild)
	case t.After(q.latest):
		q.latest = t.UTC().Truncate(time.Second)
	}
}

// absent reports whether a source is not there: it is known then to have no date.
func absent(err error) bool {
	return errors.Is(err, errAbsent) || errors.Is(err, errFolder) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
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
