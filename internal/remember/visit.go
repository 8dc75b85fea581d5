package remember

import (
	"context"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// Visit is one request's dealings with the memory. A nil Visit has none to deal with, and nor has the zero value: their
// methods do nothing then. It is used by one goroutine at a time.
type Visit struct {
	// Why is why the request was not answered from memory; its caller notes it here.
	Why Reason
	// Outside knows the lines of a field that handlers outside have set before; nil: nobody does. Its caller sets it when
	// there is a response.
	Outside interface{ Outside(name string) []string }
	// ForCookie: what goes out is private only because it sets a cookie, as a row has put that in; its caller notes it here.
	ForCookie bool

	waited time.Duration // for the store; all calls of one request together take no longer than one may; see Wait

	m       *Memory                // set by Begin, as are these:
	ctx     context.Context        // the request's; Detach frees it from the client's leaving
	request Request                // Detach copies its fields
	terms   freshness.RequestTerms // what the request says of caches
	began   time.Time              // when it did

	lookup
	claimed bool              // this one asks, though others are answered; set by MayAnswer
	claim   validators.Digest // under which it does

	nameless bool // the 304 does not say of which version it is; set by Confirms

	*change // what becomes of the memory; nil before Detach
}

// lookup is what was found. It is set by Begin, and follows what the visit changes.
type lookup struct {
	base      validators.Key // without Vary
	key       validators.Key // of record
	record    validators.Record
	nominated string // as the signpost has it
	variants  string // too
	stamp     validators.Stamp
	known     bool // the store has answered; set by Begin
	doubted   bool // nobody knows when what is asked for changes, so nothing is looked for; set by Begin
	usable    bool // nothing speaks against the record, whatever its age; set by Unusable, cleared by Drop
}

// change is what becomes of the memory. Who is answered from it has none.
type change struct {
	judged judgement         // what the upstream allows; set by Judge, narrowed by Forbid
	next   validators.Record // what Save saves; none: nothing; set by Prepare or Confirm
	unkept Reason            // why nothing is remembered; set by Unfit, Prepare, Confirm and Save
	byWho  bool              // it is selected by who asks; set by lifts
	// selecting are the names that next is selected by; set by complete.
	selecting string
	ends      bool // set by Prepare: what is remembered is not true any longer, though there is nothing in its place
}

// Begin looks up what is remembered of what a request asks for. The visit has to be the zero value.
func (v *Visit) Begin(ctx context.Context, m *Memory, request Request, now time.Time) {
	v.m, v.ctx, v.request, v.began = m, ctx, request, now
	v.terms = freshness.ReadRequestTerms(request.Header)
	if request.Unshared || m.over.Load() {
		return // neither answered nor remembered, so nobody need be asked
	}
	v.base = m.keyOf(&request)
	v.key = v.base
	if v.doubted = inDoubt.has(v.base.URI); v.doubted {
		return
	}
	record, stamp, err := m.Store.Load(ctx, v.base)
	if err != nil {
		return
	}
	v.stamp, v.known = stamp, true
	if record.Nominated == "" {
		v.record = record
		return
	}
	v.nominated, v.variants = record.Nominated, record.Variants
	v.key = m.variantOf(v.base, record.Nominated, request.Header)
	if v.record, _, err = m.Store.Load(validators.WithWaited(ctx, time.Since(now)), v.key); err != nil {
		v.known = false
	}
}

// Detach makes the visit's fields of the request its own, as handlers further in may change them, and frees it
// from the client's leaving. It is for a visit that goes on behind Begin.
func (v *Visit) Detach() {
	if v.m != nil {
		v.request.Header = v.request.Header.Clone() // and the lists: request_header replaces in place
		v.ctx = context.WithoutCancel(v.ctx)
		v.change = new(change)
		v.waited = time.Since(v.began) // there was nothing else to wait for
	}
}

// ask makes one call more to the store.
func (v *Visit) ask(call func(ctx context.Context)) {
	began := time.Now()
	call(validators.WithWaited(v.ctx, v.waited))
	v.waited += time.Since(began)
}

// Waited is how long the request has waited for the store so far.
func (v *Visit) Waited() time.Duration {
	if v == nil {
		return 0
	}
	return v.waited
}

// Wait adds a call to the store that was made elsewhere.
func (v *Visit) Wait(d time.Duration) {
	if v != nil {
		v.waited += d
	}
}

// none is what a visit remembers that has no memory. It is never written to.
var none validators.Record

// Record is what is remembered, if it is for who asks.
func (v *Visit) Record() (record *validators.Record, ok bool) {
	if v == nil {
		return &none, false
	}
	return &v.record, v.known && !v.record.Received.IsZero() && v.mayAnswer()
}

// mayAnswer reports whether what is remembered is for who asks (RFC 9111 §3.5).
func (v *Visit) mayAnswer() bool {
	h := v.request.Header
	switch {
	case h["Authorization"] != nil && !v.record.Flags.Has(validators.Credentials):
		return false
	case v.record.Flags.Has(validators.Cookies):
		return true
	}
	return !v.m.hasCookies(h)
}

// Unusable says why there is no record for this request at any time; it is empty if there is one.
func (v *Visit) Unusable() (why Reason) {
	switch {
	case v.usable:
		return ""
	case v.request.Unshared:
		return WhyPersonal
	case v.doubted:
		return WhyUnsettled
	case !v.known:
		return WhyUnavailable
	case v.record.Received.IsZero():
		return WhyMiss
	case !v.mayAnswer():
		return WhyPersonal
	case v.lacksCookies():
		return WhyCookies
	case v.terms.NoStore || v.terms.NoCache:
		return WhyRequest
	}
	v.usable = true
	return ""
}

// MayAnswer reports whether the record may answer now, and why not. Where others are answered while one asks,
// it says no to that one.
func (v *Visit) MayAnswer(now time.Time) (ok bool, why Reason) {
	if why := v.Unusable(); why != "" {
		return false, why
	}
	record := &v.record
	age := now.Sub(record.Received)
	if age < 0 {
		return false, WhyStale // a clock has been set
	}
	if v.m.TTL == 0 && !v.fitsTerms(age) {
		return false, WhyRequest
	}
	if age < record.Lifetime { // RFC 9111 §4.2: not where they are equal
		return true, ""
	}
	return v.inGrace(age), WhyStale
}

// fitsTerms reports whether a request's max-age and min-fresh allow an answer (RFC 9111 §5.2.1.1, §5.2.1.3). An
// operator's ttl overrules them.
func (v *Visit) fitsTerms(age time.Duration) bool {
	if v.terms.MaxAge >= 0 && age+v.record.InitialAge > v.terms.MaxAge {
		return false
	}
	return v.terms.MinFresh < 0 || v.record.Lifetime-age >= v.terms.MinFresh
}

// inGrace reports whether somebody else is asking, and this one may be answered meanwhile.
func (v *Visit) inGrace(age time.Duration) bool {
	if v.record.Flags.Has(validators.NeverStale) || age > v.record.Lifetime+v.m.Grace {
		return false
	}
	_, taken := v.m.refreshing.LoadOrStore(v.key.Sum, struct{}{})
	v.claimed, v.claim = !taken, v.key.Sum
	return taken
}

// Fresh reports whether the record says what the next handler would say now.
func (v *Visit) Fresh(now time.Time) bool {
	record, ok := v.Record()
	age := now.Sub(record.Received)
	return ok && age >= 0 && age < record.Lifetime && !v.terms.NoStore && !v.terms.NoCache
}

// MayCover reports whether the record may answer for a next handler that fails.
func (v *Visit) MayCover(now time.Time) bool {
	if v == nil || v.m == nil || v.m.StaleIfError <= 0 {
		return false
	}
	record, ok := v.Record()
	if !ok || v.lacksCookies() || v.terms.NoStore || v.terms.NoCache {
		return false
	}
	age := now.Sub(record.Received)
	if age <= record.Lifetime {
		return age >= 0
	}
	return !record.Flags.Has(validators.NeverStale) && age <= record.Lifetime+v.m.StaleIfError
}

// Leave ends the visit.
func (v *Visit) Leave() {
	if v != nil && v.claimed {
		v.claimed = false
		v.m.refreshing.Delete(v.claim) // not of v.key, which a Vary that has grown makes another one
	}
}

// Representation is what the record says a request's conditions are to be judged against. What it says of a tag
// that cannot be read is no tag.
func (v *Visit) Representation() httpcond.Representation {
	rep := httpcond.Representation{Exists: true, LastModified: v.record.LastModified, Same: tag.Same}
	if v.record.Flags.Has(validators.FoundDate) {
		rep.Trust = httpcond.TrustEqual
		if h := v.request.Header; h["Cookie"] != nil || h["Authorization"] != nil {
			rep.Trust = httpcond.TrustDifference // it does not know for whom a page is made
		}
	}
	if v.record.ETag != "" {
		rep.ETag, rep.HasETag = httpcond.ParseEntityTag(v.record.ETag)
	}
	return rep
}

// Confirms reports whether the record may confirm a date that is not before its own. Who has a date of the record's time or
// later may have what has come after it. One of between is mostly a client's own idea of when it has asked; but where
// dates are older than what they are of, it may be that of a later version. So its 304 names none, by tag or date, for the
// client to keep the name that it has.
func (v *Visit) Confirms(since time.Time) bool {
	if since.Equal(v.record.LastModified) {
		return true
	}
	v.nameless = true
	return since.Before(v.record.Date)
}

// Is reports whether a tag, written as in a field, is the remembered one to the letter.
func (v *Visit) Is(tag string) bool { return v.record.ETag == tag }
