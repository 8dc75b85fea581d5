package audit

import (
	"net/http"
	"net/url"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Probe is one request of the plan.
type Probe uint8

// The probes, in the order in which they are sent.
const (
	Identity      Probe = iota // without any coding
	Gzip                       // with one coding each
	Brotli                     //
	Zstd                       //
	Head                       // HEAD instead of GET
	TagOne                     // If-None-Match with the current tag
	TagList                    // the same among others
	TagWeak                    // the same, weak
	TagCoded                   // with the tag of the gzip response, and with gzip
	TagOther                   // with another tag
	TagOtherDate               // with another tag, and the current date
	Date                       // If-Modified-Since with the current date
	DateEarlier                // with an earlier one
	RangeRight                 // If-Range with the current strong tag
	RangeOther                 // with another tag
	RangeWeak                  // with the current tag, weak
	RangeDate                  // with an earlier date
	TrackUTM                   // with parameters of trackers
	TrackGoogle                //
	TrackFacebook              //
	Origin                     // from another origin
	OriginTag                  // the same, with the current tag
	GzipAgain                  // a second time
	IdentityAgain              // a second time, in another second
	probes                     // how many there are
)

const (
	// maxHops is how many redirects are followed.
	maxHops = 5
	// MaxRequests is how many requests are sent to one URL at most, besides one for each further address. The first one
	// is sent once more behind each redirect.
	MaxRequests = 1 + maxHops + int(probes)
)

// otherTag is one that no server has made.
const otherTag = `"audit-0-never-made"`

// otherOrigin is where a script of another site would ask from.
const otherOrigin = "https://audit.invalid"

// probedRange is the part that is asked for.
const probedRange = "bytes=0-9"

// step is how a probe is asked for.
type step struct {
	name   string // for evidence
	method string // empty: GET
	query  string // is added to that of the URL
	keep   bool   // the body is compared octet by octet
	later  bool   // not in the second of Identity
	// fields are what it asks with beside Accept-Encoding; false: there is nothing to ask.
	fields func(o *Observation) (http.Header, bool)
}

var plan = [probes]step{
	Identity:      {name: "GET", fields: coding("identity"), keep: true},
	Gzip:          {name: "GET with gzip", fields: coding("gzip"), keep: true},
	Brotli:        {name: "GET with br", fields: coding("br")},
	Zstd:          {name: "GET with zstd", fields: coding("zstd")},
	Head:          {name: "HEAD", method: http.MethodHead, fields: coding("identity")},
	TagOne:        {name: "If-None-Match with the tag", fields: withTag(Identity, func(tag string) string { return tag })},
	TagList:       {name: "If-None-Match with a list", fields: withTag(Identity, func(tag string) string { return otherTag + ", " + tag + `, W/"x,y"` })},
	TagWeak:       {name: "If-None-Match with the weak tag", fields: withTag(Identity, weak)},
	TagCoded:      {name: "If-None-Match with gzip", fields: withTag(Gzip, func(tag string) string { return tag })},
	TagOther:      {name: "If-None-Match with another tag", fields: withTag(Identity, func(string) string { return otherTag })},
	TagOtherDate:  {name: "If-None-Match with another tag, and the date", fields: withOtherTagAndDate},
	Date:          {name: "If-Modified-Since with the date", fields: withDate("If-Modified-Since", 0)},
	DateEarlier:   {name: "If-Modified-Since with an earlier date", fields: withDate("If-Modified-Since", -24*time.Hour)},
	RangeRight:    {name: "If-Range with the tag", fields: withIfRange(strong), keep: true},
	RangeOther:    {name: "If-Range with another tag", fields: withIfRange(func(httpcond.EntityTag) string { return otherTag })},
	RangeWeak:     {name: "If-Range with the weak tag", fields: withIfRange(func(tag httpcond.EntityTag) string { return weak(tag.String()) })},
	RangeDate:     {name: "If-Range with an earlier date", fields: withEarlierIfRange},
	TrackUTM:      {name: "GET with utm_source", query: "utm_source=audit&utm_medium=audit&utm_campaign=audit", fields: coding("identity"), keep: true},
	TrackGoogle:   {name: "GET with gclid", query: "gclid=audit", fields: coding("identity"), keep: true},
	TrackFacebook: {name: "GET with fbclid", query: "fbclid=audit", fields: coding("identity"), keep: true},
	Origin:        {name: "GET with Origin", fields: fromOtherOrigin},
	OriginTag:     {name: "If-None-Match with Origin", fields: withTagFromOtherOrigin},
	GzipAgain:     {name: "GET with gzip, again", fields: withCodingAgain, keep: true},
	IdentityAgain: {name: "GET, again", fields: coding("identity"), keep: true, later: true},
}

// String is what the probe asks for.
func (p Probe) String() string { return plan[p].name }

func coding(name string) func(*Observation) (http.Header, bool) {
	return func(*Observation) (http.Header, bool) {
		return http.Header{"Accept-Encoding": {name}}, true
	}
}

// withCodingAgain is of use where gzip was given.
func withCodingAgain(o *Observation) (http.Header, bool) {
	e := o.ok(Gzip)
	return http.Header{"Accept-Encoding": {"gzip"}}, e != nil && e.coded()
}

// withTag asks with the tag of an answer, under the coding that this one was asked with.
func withTag(of Probe, form func(tag string) string) func(*Observation) (http.Header, bool) {
	return func(o *Observation) (http.Header, bool) {
		e := o.ok(of)
		if e == nil {
			return nil, false
		}
		tag, ok := e.tag()
		return http.Header{
			"Accept-Encoding": e.Sent["Accept-Encoding"],
			"If-None-Match":   {form(tag.String())},
		}, ok
	}
}

func weak(tag string) string {
	if len(tag) > 1 && tag[:2] == "W/" {
		return tag
	}
	return "W/" + tag
}

// strong is a strong tag, empty if it is weak.
func strong(tag httpcond.EntityTag) string {
	if tag.Weak {
		return ""
	}
	return tag.String()
}

// withDate asks with the date of the page, moved.
func withDate(field string, by time.Duration) func(*Observation) (http.Header, bool) {
	return func(o *Observation) (http.Header, bool) {
		if o.page() == nil || o.page().modified().IsZero() {
			return nil, false
		}
		t := o.page().modified().Add(by)
		return http.Header{"Accept-Encoding": {"identity"}, field: {httpcond.FormatDate(t)}}, t.Unix() > 0
	}
}

func withOtherTagAndDate(o *Observation) (http.Header, bool) {
	h, ok := withDate("If-Modified-Since", 0)(o)
	if ok {
		h.Set("If-None-Match", otherTag)
		_, ok = o.page().tag()
	}
	return h, ok
}

func withIfRange(form func(httpcond.EntityTag) string) func(*Observation) (http.Header, bool) {
	return func(o *Observation) (http.Header, bool) {
		if o.page() == nil {
			return nil, false
		}
		tag, ok := o.page().tag()
		validator := form(tag)
		return http.Header{
			"Accept-Encoding": {"identity"}, "Range": {probedRange}, "If-Range": {validator},
		}, ok && validator != ""
	}
}

func withEarlierIfRange(o *Observation) (http.Header, bool) {
	h, ok := withDate("If-Range", -24*time.Hour)(o)
	if ok {
		h.Set("Range", probedRange)
	}
	return h, ok
}

func fromOtherOrigin(*Observation) (http.Header, bool) {
	return http.Header{"Accept-Encoding": {"identity"}, "Origin": {otherOrigin}}, true
}

// withTagFromOtherOrigin is of use where another origin is let in.
func withTagFromOtherOrigin(o *Observation) (http.Header, bool) {
	h, ok := withTag(Origin, func(tag string) string { return tag })(o)
	if !ok || o.ok(Origin).Header.Get("Access-Control-Allow-Origin") == "" {
		return nil, false
	}
	h.Set("Origin", otherOrigin)
	return h, true
}

// target is the URL of a step.
func (s *step) target(base *url.URL) *url.URL {
	u := *base
	switch {
	case s.query == "":
	case u.RawQuery == "":
		u.RawQuery = s.query
	default:
		u.RawQuery += "&" + s.query
	}
	return &u
}
