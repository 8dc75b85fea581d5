package remember

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// judgement is what an upstream's fields allow.
type judgement struct {
	made     bool
	refused  Reason // nobody may keep it for others
	cookie   bool   // it sets one that may be somebody's
	personal Reason // it is of who asks, in some other way; set by Forbid
	withheld Reason // it may not be what it looks like; set by Withhold
	public   bool
	explicit bool   // it says something of its freshness
	itself   bool   // … by fields that no handler outside has set
	needed   string // the cookies that a request has to have to be answered with it, as Record.SetCookies
	flags    validators.Flags
	date     time.Time
	age      time.Duration // when it came
	received time.Time
}

// idle reports whether nothing can come of the visit any more.
func (v *Visit) idle() bool { return v == nil || v.change == nil }

// Judge reads what the upstream sent, before anything is done to it. All that is done later rests on it.
func (v *Visit) Judge(h http.Header, now time.Time) {
	if v.idle() || !v.known {
		return
	}
	date, dated := now.Truncate(time.Second), false
	if lines := h["Date"]; len(lines) == 1 {
		if t, ok := httpcond.ParseDate(lines[0], now); ok {
			date, dated = t, true
		}
	}
	own := v.own(h)
	kept := freshness.ReadKept(own, date, now)
	needed, ok := v.m.readSetCookies(h["Set-Cookie"], v.request.Header["Cookie"], now)
	v.judged = judgement{
		made: true, refused: refuses(own, &kept), cookie: !ok, needed: needed, explicit: freshness.Explicit(own), itself: v.says(h, "Cache-Control") || v.says(h, "Expires"), public: kept.Public, flags: flagsOf(own, &kept),
		date: date, received: now, age: initialAge(h, date, dated, v.began, now),
	}
}

// initialAge is RFC 9111 §4.2.3.
func initialAge(h http.Header, date time.Time, dated bool, asked, now time.Time) time.Duration {
	var age time.Duration
	if lines := h["Age"]; len(lines) > 0 {
		first, _, _ := strings.Cut(lines[0], ",") // of a list the first counts (§5.1)
		seconds, err := strconv.ParseUint(strings.Trim(first, " \t"), 10, 31)
		if err == nil || errors.Is(err, strconv.ErrRange) { // what is too large is the largest there is (§1.2.2)
			age = time.Duration(seconds) * time.Second
		}
	}
	age += now.Sub(asked)
	if dated {
		age = max(age, now.Sub(date).Truncate(time.Second))
	}
	return max(age.Truncate(time.Second), 0)
}

// refuses reports whether a response is nothing to remember for anybody (RFC 9111 §3).
func refuses(h http.Header, kept *freshness.Kept) Reason {
	switch {
	case kept.Unstored:
		return UnkeptNoStore
	case kept.Personal:
		return UnkeptPrivate
	case kept.Refused:
		return UnkeptNoCache
	case freshness.RefusesSharing(h["Cdn-Cache-Control"]) || freshness.RefusesSharing(h["Surrogate-Control"]):
		return UnkeptSurrogate
	}
	return ""
}

// flagsOf are the uses that a response allows.
func flagsOf(h http.Header, kept *freshness.Kept) (flags validators.Flags) {
	if kept.Public || httpcond.VariesOn(h["Vary"], "Cookie") {
		flags |= validators.Cookies
	}
	if kept.Credentials {
		flags |= validators.Credentials
	}
	if kept.NeverStale {
		flags |= validators.NeverStale
	}
	return flags
}

// bars is why a response with these flags may not be remembered from this request: nobody else is to be answered with what
// was made for who asks. It is empty if it may.
func (v *Visit) bars(flags validators.Flags) Reason {
	request, judged := v.request.Header, &v.judged
	switch {
	case v.request.Unshared:
		return WhyPersonal
	case v.doubted:
		return WhyUnsettled
	case !judged.made:
		return WhyUnavailable
	case judged.refused != "":
		return judged.refused
	case v.terms.NoStore:
		return UnkeptNoStore
	case judged.cookie:
		return UnkeptSetCookie
	case judged.personal != "":
		return judged.personal
	case request["Authorization"] != nil && !flags.Has(validators.Credentials):
		return UnkeptAuthorization
	case !flags.Has(validators.Cookies) && v.m.hasCookies(request):
		return UnkeptCookie
	}
	return ""
}

// Forbid takes back what Judge allowed: the response is for who asks, in a way that the record could not say.
func (v *Visit) Forbid(why Reason) {
	if !v.idle() {
		v.judged.personal = why
	}
}

// Withhold keeps a response from being remembered, whoever it is for: what is known of it may not be true. Unless it has
// the same tag, what was remembered is not any longer, either.
func (v *Visit) Withhold(why Reason) {
	if !v.idle() {
		v.judged.withheld = why
	}
}
