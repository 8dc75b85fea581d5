package exchange

import (
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/announce"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Recall answers from memory, if that is allowed and a condition of the request matches: then it reports true, and all
// is done. If not, the visit to the memory goes on with the exchange.
func (x *Exchange) Recall(w http.ResponseWriter) bool {
	if x.svc.Memory == nil {
		return false
	}
	x.enter(recalled)
	x.visit = &x.room.visit
	now := time.Now()
	x.visit.Begin(x.asked.client, x.svc.Memory, x.asRemembered(), now)
	etag, why := x.matchesRecord()
	if why == "" {
		var may bool
		if may, why = x.visit.MayAnswer(now); may {
			x.answerFromMemory(w, etag, now)
			return true
		}
	}
	x.visit.Detach()
	x.visit.Why = why
	return false
}

// asRemembered is the request as far as remembering is concerned.
func (x *Exchange) asRemembered() remember.Request {
	r := x.asked.r
	request := remember.Request{
		Scheme: "http", Host: r.Host, URL: sentURL(r), Header: r.Header, Origin: r.Header["Origin"],
		Unshared: x.asked.authenticated() || hasContent(r), // what content asks for is in no key
	}
	if r.TLS != nil {
		request.Scheme = "https"
	}
	x.readText()
	request.Extra = x.asked.claims.text
	request.Unshared = request.Unshared || x.asked.claims.unclear // so that nobody is to share
	return request
}

// matchesRecord compares the conditions with the record. why is empty if the client only asks whether something has
// changed, and it has not; etag is then the client's form of the tag, empty if that is the record's own.
func (x *Exchange) matchesRecord() (etag string, why remember.Reason) {
	fields := x.original()
	lines := fields[upstream.IfNoneMatch]
	if lines == nil && fields[upstream.IfModifiedSince] == nil || fields[upstream.IfMatch] != nil || fields[upstream.IfUnmodifiedSince] != nil {
		return "", remember.WhyCondition
	}
	if why := x.visit.Unusable(); why != "" {
		return "", why
	}
	if len(lines) == 1 {
		if _, ok := httpcond.ParseEntityTag(lines[0]); ok && x.visit.Is(lines[0]) {
			return "", "" // as most are
		}
	}
	pre := fields.Preconditions(time.Now(), x.svc.Policy.Lenient)
	if result := pre.Evaluate(x.asked.method, x.visit.Representation()); confirmed(&pre, &result, x.visit) {
		return x.svc.formOf(result.Matched, x.visit), ""
	}
	return "", remember.WhyChanged
}

// confirmed reports whether what is remembered is what the client has.
func confirmed(pre *httpcond.Preconditions, result *httpcond.Result, visit *remember.Visit) bool {
	return result.Verdict == httpcond.NotModified &&
		(result.Reason != httpcond.ReasonIfModifiedSince || visit.Confirms(pre.IfModifiedSince.Time))
}

// recalledAnswer is an answer from memory: one allocation for the lists of its fields and what there is to say.
type recalledAnswer struct {
	space remember.Space
	said  journal.Record
}

// remembered is what becomes of who is answered so.
var remembered = journal.Note{Outcome: journal.NotModified, Reason: journal.Remembered}

func (x *Exchange) answerFromMemory(w http.ResponseWriter, etag string, now time.Time) {
	answer := new(recalledAnswer)
	header := w.Header()
	x.visit.Fill(header, etag, now, &answer.space)
	x.labelRecalled(w, header)
	if x.inner() {
		x.asked.shared.set(made304) // what there is to say, the outermost says when it passes this on
	} else {
		answer.said.Decide(journal.NotModified, journal.Remembered, header)
		answer.said.Offer(x.asked.client, x.asked.replacer)
	}
	if x.svc.Policy.Announce.Any() {
		x.svc.announce(header, &announce.Answer{Note: remembered}, x.visit, now)
	}
	w.WriteHeader(http.StatusNotModified)
	flushHTTP3(w, x.asked.r)
	x.count(&remembered)
	x.svc.tell(remembered, x.asked.r, x.asked.method)
	x.enter(ended)
}
