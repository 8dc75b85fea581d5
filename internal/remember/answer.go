package remember

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// Space is room for the field values of one answer, so that they cost one allocation.
type Space [6]string

// dates are the dates written last, by their seconds: a page that is asked for often has one date for all.
var dates [256]atomic.Pointer[writtenDate]

type writtenDate struct {
	seconds int64
	text    string
}

func dateText(t time.Time) string {
	seconds := t.Unix()
	place := &dates[uint8(seconds)] //nolint:gosec // the low bits
	if written := place.Load(); written != nil && written.seconds == seconds {
		return written.text
	}
	text := httpcond.FormatDate(t)
	place.Store(&writtenDate{seconds, text})
	return text
}

// line is a list of one value, kept in the space while there is room.
func (s *Space) line(i int, value string) []string {
	if i >= len(s) {
		return []string{value}
	}
	s[i] = value
	return s[i : i+1 : i+1]
}

// Codable reports whether the remembered 200 goes out content-coded to clients that accept it.
func (v *Visit) Codable() bool { return v.record.Flags.Has(validators.Codable) }

// Fill makes a header map that of the 304 that stands for the remembered 200 (RFC 9110 §15.4.5, RFC 9111
// §4.3.2), with etag in place of its tag if that is not empty. What is in the map already stays, unless the 304 has a
// field of the same name. Of a record only those fields are taken that one may have: who writes to the store must not set
// cookies in a site's name.
func (v *Visit) Fill(h http.Header, etag string, now time.Time, space *Space) {
	r := &v.record
	n, last := 0, ""
	for name, value := range r.Fields() {
		switch {
		case name == last:
			h[name] = append(h[name], value)
		case v.carries(name), httpcond.IsPolicy(name) && value == someNonce[0]:
			h[name] = space.line(n, value)
			last = name
			n++
		}
	}
	if etag == "" && !v.nameless {
		etag = r.ETag
	}
	if etag != "" {
		h["Etag"] = space.line(n, etag)
		n++
	}
	if !r.LastModified.IsZero() && !v.nameless && (etag == "" || v.m.Keep["Last-Modified"]) {
		h["Last-Modified"] = space.line(n, httpcond.FormatDate(r.LastModified))
		n++
	}
	h["Date"] = space.line(n, dateText(r.Date))
	age := r.InitialAge + max(now.Sub(r.Received), 0)
	h["Age"] = space.line(n+1, strconv.FormatInt(int64(age/time.Second), 10))
	httpcond.DropNonces(h)
}
