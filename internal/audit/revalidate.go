package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Answered is a request and what came back, without what the user has given as a secret.
type Answered struct {
	// Sent are the fields that it was asked with, beside what every request has.
	Sent   http.Header
	Status int // 0: there was no answer
	// Header are the fields of the answer. Of cookies there are the names only.
	Header http.Header
	// Size is the length of the body as it was sent.
	Size int64
	// Cause is why there was no answer.
	Cause string

	exchange *Exchange
}

// Tag is the entity tag of the answer, if it has one that is one.
func (a *Answered) Tag() (httpcond.EntityTag, bool) { return a.exchange.tag() }

// Revalidation is a page as a browser meets it that comes for the first time, and reloads it.
type Revalidation struct {
	// URL is as it was given, and Final where it led.
	URL, Final string
	// Hops are the redirects that were followed, and Refused where the last one leads that was not.
	Hops    []string
	Refused string
	// First is the first answer, and Again that to the reload; nil: there is nothing to reload.
	First, Again *Answered
	// Condition is the field that the reload asks with; empty: there is no validator to ask with.
	Condition string
	// Same: the reload has brought the same content as before, and Compared that this is known.
	Same, Compared bool
	// Tokens: the page has tokens of forms in it, as `ignore csrf` finds them.
	Tokens bool
	// Findings are what the checks of an audit say of the two.
	Findings []Finding
}

// revalidationChecks are those that two answers are enough for.
var revalidationChecks = []func(*Observation) []Finding{
	checkReach, checkTag, checkStable, checkConditions, checkNotModified, checkDates, checkFreshness, checkSharing,
}

// onlyGzip is what a revalidation accepts: a coding as browsers know it, and one that can be looked into.
const onlyGzip = "gzip"

// Revalidate asks for a URL, and asks again with the validator that came. Options have to be checked.
func Revalidate(ctx context.Context, options *Options, u *url.URL) *Revalidation {
	secrets, connections := newSecrets(options), new(wires)
	defer connections.close()
	v := newVisitor(options, connections, u)
	v.codings = onlyGzip
	v.arrive(ctx)
	r, o := new(Revalidation), v.seen
	var again *Exchange
	if first := o.First; first.Err == nil && first.Status == http.StatusOK {
		o.answers[Identity] = decoded(first)
		if o.stored() && v.wait(ctx) {
			r.Condition, again = v.reload(ctx)
			r.compare(o, again)
		}
	}
	r.Tokens = hasTokens(o.page())
	page := judgeBy(o, secrets, revalidationChecks)
	r.URL, r.Final, r.Findings, r.Refused = page.URL, page.Final, page.Findings, secrets.line(o.Refused)
	for _, hop := range o.Hops {
		r.Hops = append(r.Hops, secrets.line(hop))
	}
	r.First = tellable(o.First, secrets)
	if again != nil {
		r.Again = tellable(again, secrets)
	}
	return r
}

// reload asks for the page again, with its tag, or else with its date.
func (v *visitor) reload(ctx context.Context) (condition string, again *Exchange) {
	s, first := &step{keep: true}, v.seen.First
	fields := http.Header{"Accept-Encoding": {onlyGzip}}
	for _, pair := range [...]struct{ validator, condition string }{{"Etag", "If-None-Match"}, {"Last-Modified", "If-Modified-Since"}} {
		if value := first.Header.Get(pair.validator); value != "" && condition == "" {
			condition = pair.condition
			fields.Set(condition, value)
		}
	}
	return condition, v.ask(ctx, s, v.here, v.addressOf(v.here), fields)
}

// compare makes of the reload what checks look at.
func (r *Revalidation) compare(o *Observation, again *Exchange) {
	switch r.Condition {
	case "If-None-Match":
		o.answers[TagOne] = again
	case "If-Modified-Since":
		o.answers[Date] = again
	}
	if again.Err != nil || again.Status != http.StatusOK {
		return
	}
	o.answers[IdentityAgain] = decoded(again)
	if first, second := o.twice(); first != nil {
		r.Compared, r.Same = true, first.Digest == second.Digest
	}
}

// decoded is an answer as it would have been without gzip, of which two may differ where the content does not.
func decoded(e *Exchange) *Exchange {
	if e.Cut || !strings.EqualFold(e.Header.Get("Content-Encoding"), onlyGzip) {
		return e
	}
	reader, err := gzip.NewReader(bytes.NewReader(e.Body))
	if err != nil {
		return e
	}
	body, err := io.ReadAll(io.LimitReader(reader, maxDecoded+1))
	if err != nil || len(body) > maxDecoded {
		return e
	}
	plain := *e
	plain.Header = e.Header.Clone()
	plain.Header.Del("Content-Encoding")
	plain.Header.Del("Content-Length")
	plain.Body, plain.Size, plain.Digest = body, int64(len(body)), sha256.Sum256(body)
	return &plain
}

func tellable(e *Exchange, s *secrets) *Answered {
	a := &Answered{Sent: shown(e.Sent, s), Status: e.Status, Header: shown(e.Header, s), Size: e.Size, exchange: e}
	if e.Err != nil {
		a.Status, a.Cause = 0, s.line(cause(e.Err))
	}
	if names := cookieNames(e); len(names) > 0 {
		for i := range names {
			names[i] = s.line(names[i])
		}
		a.Header["Set-Cookie"] = names
	}
	return a
}

func shown(h http.Header, s *secrets) http.Header {
	all := make(http.Header, len(h))
	for name, lines := range h {
		for _, line := range lines {
			all.Add(s.line(name), s.line(line))
		}
	}
	return all
}
