package audit

import (
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Exchange is one request of the plan and what came back.
type Exchange struct {
	Probe Probe
	// Address is the replica that was asked; empty: where the URL leads.
	Address string
	// Sent are the fields that the probe asks with. What the user has given is not among them.
	Sent   http.Header
	Status int
	Header http.Header
	// Body is there for probes whose bodies are compared, and has no more than the limit.
	Body []byte
	// Digest is that of what was read, and Size its length.
	Digest [32]byte
	Size   int64
	// Cut: the body is longer than the limit.
	Cut bool
	// Surplus: something follows where no body may be.
	Surplus bool
	// Now is when the head came.
	Now time.Time
	// Err is why there was no answer.
	Err error
}

// tag is the entity tag of the response, if it has one.
func (e *Exchange) tag() (tag httpcond.EntityTag, ok bool) {
	lines := e.Header["Etag"]
	if len(lines) != 1 {
		return tag, false
	}
	return httpcond.ParseEntityTag(lines[0])
}

// date is when the response says that it was made; zero: it does not.
func (e *Exchange) date() time.Time {
	date, _ := httpcond.ParseDate(e.Header.Get("Date"), e.Now)
	return date
}

// modified is the Last-Modified of the response; zero: there is none in the form of HTTP.
func (e *Exchange) modified() time.Time {
	lines := e.Header["Last-Modified"]
	if len(lines) != 1 {
		return time.Time{}
	}
	t, _ := httpcond.ParseDate(lines[0], e.Now)
	return t
}

// coded reports whether the body is content-coded.
func (e *Exchange) coded() bool {
	coding := e.Header.Get("Content-Encoding")
	return coding != "" && coding != "identity"
}

// says reports whether Cache-Control has a directive.
func (e *Exchange) says(directive string) bool {
	return httpcond.HasDirective(e.Header["Cache-Control"], directive)
}

// Observation is all that was seen of one URL. Checks read nothing else, and change nothing.
type Observation struct {
	// URL is as it was given, and Final where it led.
	URL, Final string
	// Hops are the redirects that were followed, and Refused where the last one leads that was not.
	Hops    []string
	Refused string
	// First is the first answer at Final, which may set cookies. The others have them.
	First *Exchange
	// Replicas are the answers of further addresses to the probe Identity.
	Replicas []*Exchange
	// Requests is how many were sent.
	Requests int
	// SlowDown is the status with which the server asked for fewer requests; 0: it did not.
	SlowDown int

	// Echoes: a body has in it what the user has given, so that nothing of it is shown.
	Echoes bool

	answers [probes]*Exchange
}

// answer is what came back for a probe. It is nil if it was not sent or not answered.
func (o *Observation) answer(p Probe) *Exchange {
	if e := o.answers[p]; e != nil && e.Err == nil {
		return e
	}
	return nil
}

// ok is answer for a 200, nil for any other.
func (o *Observation) ok(p Probe) *Exchange {
	if e := o.answer(p); e != nil && e.Status == http.StatusOK {
		return e
	}
	return nil
}

// page is the plain page with its cookies set, which the others are compared with. It is nil if it was not seen.
func (o *Observation) page() *Exchange { return o.ok(Identity) }

// twice is the plain page, seen at two times. It is nil if there is nothing to compare.
func (o *Observation) twice() (first, again *Exchange) {
	first, again = o.page(), o.ok(IdentityAgain)
	if first == nil || again == nil || first.Cut || again.Cut {
		return nil, nil
	}
	return first, again
}

// steady reports whether content and tag of the page stay as they are. What is judged by them depends on it.
func (o *Observation) steady() bool {
	first, again := o.twice()
	if first == nil {
		return o.page() != nil && o.page().Cut
	}
	tag, ok := first.tag()
	tagAgain, okAgain := again.tag()
	return first.Digest == again.Digest && ok == okAgain && httpcond.WeakMatch(tag, tagAgain, nil)
}

// stored reports whether a client keeps the page, without which it never revalidates.
func (o *Observation) stored() bool { return o.page() != nil && !o.page().says("no-store") }
