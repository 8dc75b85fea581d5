package truth

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Request is what a client has asked, and when.
type Request struct {
	Page    *Page // that of the user who asks
	Method  string
	Header  http.Header
	Start   time.Time // before anything was sent
	Settled int       // Page.Settled at that time
	Write   *Write    // nil: it is none
	Faulty  bool      // the upstream has answered it with a fault; set when the answer has come
	// Replacing: while it lasted, a store was being replaced by another, and handlers of both configurations were serving.
	// What is written by way of the one, the other need not have heard of. Set when the answer has come.
	Replacing bool
}

// Answer is what came.
type Answer struct {
	Status int
	Header http.Header
	Body   string // decoded
	End    time.Time
	Broken bool // the content did not come to its end
}

// Remembered reports whether an answer was made from memory.
func (a *Answer) Remembered() bool {
	by := a.Header.Get(ByField)
	return strings.HasSuffix(by, " remembered") || strings.HasSuffix(by, " stale_if_error")
}

// Judge says what is wrong with an answer; empty: nothing.
func Judge(q *Request, a *Answer) string {
	if q.Write != nil {
		return judgeWrite(q, a)
	}
	if a.Broken {
		return judgePiece(q, a)
	}
	if a.Body != "" && (q.Method == http.MethodHead || a.Status == http.StatusNotModified) {
		return "content where there must be none"
	}
	switch a.Status {
	case http.StatusOK:
		return judgeWhole(q, a)
	case http.StatusPartialContent:
		return judgeParts(q, a)
	case http.StatusNotModified:
		return judgeNotModified(q, a)
	case http.StatusPreconditionFailed:
		return judgeFailed(q)
	case http.StatusRequestedRangeNotSatisfiable:
		return judgeUnsatisfiable(q, a)
	case http.StatusNotFound:
		if first, last := q.Page.current(q.Start, a.End); !q.Page.wasGone(first, last) {
			return "404, and it was there all the time"
		}
		return ""
	default:
		return judgeError(q, a)
	}
}

// neighbourLeft is what reverse_proxy answers when the connection to the upstream that it has taken is ended as the client
// before has left: Go's transport gives a connection to the next request before the one that is answered without content has
// looked whether its client is still there. That is rare, and how rare is counted.
const neighbourLeft = 499

// judgeError: what is wrong was told by the upstream, or is its fault.
func judgeError(q *Request, a *Answer) string {
	switch {
	case a.Status == http.StatusNoContent && q.Method == http.MethodOptions, a.Header.Get(FaultField) != "":
		return ""
	case a.Status == neighbourLeft && a.Body == "":
		return ""
	case a.Status < 500:
		return "a status that nobody has sent"
	case !q.Faulty:
		return "an error, and the upstream was well"
	default:
		return ""
	}
}

// judgePiece: what has come of an answer that was broken off belongs to who has asked.
func judgePiece(q *Request, a *Answer) string {
	site, user, n, ok := readStamp(a.Body)
	if a.Status != http.StatusOK || !ok {
		return ""
	}
	if problem := whose(q, site, user); problem != "" {
		return problem
	}
	if !q.Page.Place.Style.Form && !strings.HasPrefix(q.Page.Text(n), a.Body) {
		return "a piece of what never was"
	}
	return ""
}

func whose(q *Request, site, user string) string {
	if site != q.Page.Place.Site.Name+q.Page.Place.Path {
		return "the page of another URL"
	}
	if user != q.Page.user() {
		return "the page of another user"
	}
	return ""
}

// judgeWhole: a 200 is the whole of a version that was current, and its tag is of that and nothing else.
func judgeWhole(q *Request, a *Answer) string {
	n, problem := versionOfWhole(q, a)
	if problem == "" {
		problem = q.wasCurrent(n, a)
	}
	if problem != "" {
		return problem
	}
	etag := a.Header.Get("Etag")
	if lines := q.Header["If-None-Match"]; len(lines) > 0 && etag != "" && q.Header["If-Match"] == nil && isAmong(etag, lines) {
		return "a 200, though If-None-Match names its tag"
	}
	if etag == "" && a.Header.Get("Last-Modified") == "" {
		return ""
	}
	return q.Page.keep(n, etag, a.Header.Get("Last-Modified"))
}

func versionOfWhole(q *Request, a *Answer) (n int, problem string) {
	if q.Method == http.MethodHead {
		return stamped(q, a)
	}
	site, user, n, ok := readStamp(a.Body)
	if !ok {
		return 0, "content that nobody has sent"
	}
	if problem := whose(q, site, user); problem != "" {
		return 0, problem
	}
	text := a.Body
	if q.Page.Place.Style.Form {
		if text, ok = q.Page.withoutToken(a.Body); !ok {
			return 0, "a form with a dead token"
		}
	}
	if want := q.Page.Text(n); text != want {
		return 0, fmt.Sprintf("not the whole of version %d: %d bytes of %d", n, len(text), len(want))
	}
	if a.Header.Get(StampField) == "" {
		return n, ""
	}
	stamp, problem := stamped(q, a)
	if problem == "" && stamp != n {
		problem = fmt.Sprintf("the head of version %d before the content of version %d", stamp, n)
	}
	return n, problem
}

// stamped is the version that the head speaks of; -1 where it does not say.
func stamped(q *Request, a *Answer) (n int, problem string) {
	stamp := a.Header.Get(StampField)
	if stamp == "" {
		return -1, ""
	}
	var user string
	if _, err := fmt.Sscanf(stamp, "%s %d", &user, &n); err != nil {
		return 0, "a stamp that nobody has made"
	}
	if user != q.Page.user() {
		return 0, "the head of another user's page"
	}
	return n, ""
}

// wasCurrent wants a version to have been current while the request lasted.
func (q *Request) wasCurrent(n int, a *Answer) string {
	first, last := q.Page.current(q.Start, a.End)
	if n >= 0 && (n < first || n > last) {
		return fmt.Sprintf("version %d; current were %d to %d", n, first, last)
	}
	return ""
}

// keep notes what an answer says of a version, so that clients can ask about it; one tag is of one version.
func (p *Page) keep(n int, etag, date string) string {
	if n < 0 {
		return ""
	}
	s := Stored{Page: p, Version: n, Tag: etag, Date: date}
	if problem := p.Place.name(s); problem != "" {
		return problem
	}
	if date != "" && p.Place.Style.Dated {
		if dated, ok := versionOf(date); !ok || dated != n {
			return fmt.Sprintf("version %d with the date %s, which is not its own", n, date)
		}
	}
	p.Place.Keep(s)
	return ""
}

// judgeNotModified: somebody asked for it, and what it stands for was current, or may be confirmed from memory.
func judgeNotModified(q *Request, a *Answer) string {
	n, problem := confirmed(q, a)
	if problem != "" {
		return problem
	}
	if strings.Contains(strings.Join(a.Header["Content-Security-Policy"], ","), "'nonce-") {
		return "a 304 with the nonce of another answer"
	}
	stamp, problem := stamped(q, a)
	switch {
	case problem != "":
		return problem
	case stamp >= 0 && stamp != n:
		return fmt.Sprintf("a 304 that confirms version %d upon the head of version %d", n, stamp)
	case q.wasCurrent(n, a) == "":
		return ""
	case !a.Remembered() || q.Page.Place.Site.Window == 0:
		return "a 304 for " + q.wasCurrent(n, a)
	case n < q.Settled && !q.Replacing:
		return fmt.Sprintf("a 304 from memory for version %d, though version %d was acknowledged before", n, q.Settled)
	case q.Page.overwrittenFor(n, q.Start) > q.Page.Place.Site.Window:
		return fmt.Sprintf("a 304 from memory for version %d, which was overwritten %s before", n, q.Page.overwrittenFor(n, q.Start))
	}
	return ""
}

// overwrittenFor is how long a version had not been current at a moment.
func (p *Page) overwrittenFor(n int, at time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n+1 >= len(p.versions) {
		return 0
	}
	return at.Sub(p.versions[n+1].sure)
}

// confirmed is the version that a 304 stands for.
func confirmed(q *Request, a *Answer) (n int, problem string) {
	lines, since, etag := q.Header["If-None-Match"], q.Header.Get("If-Modified-Since"), a.Header.Get("Etag")
	if len(lines) > 0 {
		if etag == "" {
			return 0, "a 304 to If-None-Match that does not say to which tag"
		}
		if !isNamed(etag, lines) {
			return 0, "a 304 with a tag that nobody has asked about"
		}
		s, ok := q.Page.Place.named(etag)
		switch {
		case !ok:
			return 0, "a 304 with a tag that nobody has seen"
		case s.Page != q.Page:
			return 0, fmt.Sprintf("a 304 that confirms the page of user %q", s.Page.User)
		}
		return s.Version, ""
	}
	n, ok := versionOf(since)
	if !ok {
		return 0, "a 304 that nobody has asked for"
	}
	if etag != "" {
		return n, q.Page.Place.name(Stored{Page: q.Page, Version: n, Tag: etag})
	}
	return n, ""
}

// judgeFailed: a 412 to a read has to have been asked for. Whether a write is refused rightly, wronglyRefused says.
func judgeFailed(q *Request) string {
	lines := q.Header["If-Match"]
	if len(lines) == 0 && q.Header["If-Unmodified-Since"] == nil {
		return "a 412 that nobody has asked for"
	}
	return ""
}

// judgeWrite: an acknowledged write was done, upon what it rests on, and nobody is refused who rests on what is current.
func judgeWrite(q *Request, a *Answer) string {
	n, made := q.Write.Made()
	switch {
	case a.Status < 300 && !made:
		return "an acknowledged write that was not done"
	case a.Status == http.StatusPreconditionFailed && made:
		return fmt.Sprintf("a refused write that was done all the same, as version %d", n)
	case a.Status == http.StatusPreconditionFailed && q.Page.Place.Site.Strong && !q.Faulty:
		return wronglyRefused(q, a)
	case a.Status == http.StatusPreconditionRequired && q.Write.Base != nil:
		return "a 428 to a write with a condition"
	case a.Status < 300 && q.Write.Base == nil && q.Page.Place.Style.Edited:
		return "a write without a condition, where one is required"
	}
	return ""
}

func wronglyRefused(q *Request, a *Answer) string {
	base := q.Write.Base
	first, last := q.Page.current(q.Start, a.End)
	if base == nil || first != last || base.Gone != q.Page.wasGone(first, last) || !base.Gone && base.Version != first {
		return ""
	}
	return "a 412 to who has what is current"
}
