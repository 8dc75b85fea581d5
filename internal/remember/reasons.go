package remember

// Reason is a word that says why the memory did not answer, or why it has nothing of a response. Package journal has the
// sentences.
type Reason string

// Why a request was not answered from memory.
const (
	WhyMiss        Reason = "miss"              // nothing is remembered
	WhyStale       Reason = "stale"             // it was, but for too long
	WhyPersonal    Reason = "personal"          // not for who asks
	WhyCookies     Reason = "cookie_missing"    // who asks lacks a cookie that the next handler would set
	WhyRequest     Reason = "request"           // the request wants another answer
	WhyChanged     Reason = "changed"           // no condition matches what is remembered
	WhyUnavailable Reason = "store_unavailable" // the store does not answer
	WhyUnsettled   Reason = "unsettled"         // a write to it was not answered a moment ago, and may still be done
	WhyCondition   Reason = "conditions"        // the conditions are not those of a revalidation
)

// Why a response was not remembered; WhyPersonal, WhyUnavailable and WhyUnsettled are among these, too.
const (
	UnkeptNoStore       Reason = "no_store"      // by request or response
	UnkeptPrivate       Reason = "private"       // by the upstream's word
	UnkeptNoCache       Reason = "no_cache"      // by the upstream's word
	UnkeptSurrogate     Reason = "surrogate"     // by the upstream's word to caches near it
	UnkeptOutside       Reason = "withdrawn"     // what goes out is private or no-store, by a row or a handler further out
	UnkeptRow           Reason = "row_unknown"   // it is not known which row applies
	UnkeptNoLifetime    Reason = "no_lifetime"   // there is no ttl, and it does not say how long it lasts, or it is over
	UnkeptSetCookie     Reason = "set_cookie"    // it sets one that may be somebody's
	UnkeptCookie        Reason = "cookie"        // the request has one, and the response may be made for that
	UnkeptAuthorization Reason = "authorization" // the same
	UnkeptTokens        Reason = "tokens"        // it has tokens of a session, which ignore leaves out
	UnkeptVaryStar      Reason = "vary_star"     // Vary: *, or a name that is none
	UnkeptVaryMany      Reason = "vary_many"     // more names in Vary than are looked at
	UnkeptTooLarge      Reason = "too_large"     // its fields are
	UnkeptNoValidator   Reason = "no_validator"  // neither tag nor date that can be used
	UnkeptIncomplete    Reason = "incomplete"    // its end has not come
	UnkeptEndUntold     Reason = "end_untold"    // nobody could tell if it had not
	UnkeptMaxDelay      Reason = "max_delay"     // its tag was not made: it took too long
	UnkeptIgnoreWork    Reason = "ignore_work"   // its tag was not made: it was too much work
	UnkeptNotModified   Reason = "not_modified"  // a 304 was the answer, and too little is known of its 200
	UnkeptHead          Reason = "head"          // the answer to a HEAD is none to remember
	UnkeptStatus        Reason = "status"        // not a 200
)

// Unkept is why nothing was remembered of the response; empty: it was, or there was none to remember.
func (v *Visit) Unkept() Reason {
	if v.idle() {
		return ""
	}
	return v.unkept
}

// Unfit notes why there will be nothing to remember, where nothing is prepared. The first reason stands.
func (v *Visit) Unfit(why Reason) {
	if !v.idle() && v.unkept == "" && !v.Prepared() {
		v.unkept = why
	}
}

// Withdraw drops what was remembered of the response: what goes out is not for others.
func (v *Visit) Withdraw() {
	if !v.idle() && v.unkept == "" {
		v.unkept = UnkeptOutside
	}
	v.Drop()
}
