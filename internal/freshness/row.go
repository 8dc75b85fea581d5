// Package freshness compiles rows of Cache-Control directives and applies them to responses: the
// Cache-Control field, the Expires that says the same to HTTP/1.0, and the rule that no row shares what
// belongs to one user (RFC 9111 §5.2.2, §5.3, §3.5).
package freshness

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Row is a compiled list of directives. It is immutable and may be used concurrently.
type Row struct {
	text     string // for the wire
	personal string // the same, for a response that belongs to one user
	replace  bool
	expiry   expiry
	maxAge   int64 // seconds, with expiresLater
}

// expiry is what a row says of the Expires field.
type expiry uint8

const (
	noExpiry     expiry = iota // nothing
	expiresNow                 // equal to Date: stale at once
	expiresLater               // Date + max-age
)

// Replaces reports whether the row wins over what the upstream sent.
func (r *Row) Replaces() bool { return r.replace }

// String returns the field value as it goes on the wire.
func (r *Row) String() string { return r.text }

// Response is what a row has to know of the response it applies to.
type Response struct {
	// Personal: the request had Authorization, or the response sets a cookie. Then nothing that
	// invites a shared cache is sent (RFC 9111 §3.5), unless the row replaces.
	Personal bool
	// Expires: an Expires field is sent along.
	Expires bool
	// Now is used as Date where the response has none, and is then sent as such.
	Now time.Time
}

// Apply sets Cache-Control and Expires, unless the upstream has said something of its own and the row
// does not replace it.
func (r *Row) Apply(h http.Header, resp Response) {
	if !r.replace && Explicit(h) {
		return
	}
	delete(h, "Expires")
	delete(h, "Pragma")
	text := r.text
	if resp.Personal && !r.replace {
		text = r.personal
	}
	h["Cache-Control"] = []string{text}
	if resp.Expires && r.expiry != noExpiry {
		date := Date(h, resp.Now)
		if r.expiry == expiresLater {
			date = date.Add(time.Duration(r.maxAge) * time.Second)
		}
		h["Expires"] = []string{httpcond.FormatDate(date)}
	}
}

// Explicit reports whether a response says of itself how long it is fresh, or that it is not.
func Explicit(h http.Header) bool {
	return hasValue(h["Cache-Control"]) || hasValue(h["Expires"])
}

func hasValue(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.TrimSpace(line) != "" })
}

// Date returns a response's Date. One that is missing or cannot be read is set to now, since a
// recipient counts the lifetimes from it (RFC 9110 §6.6.1).
func Date(h http.Header, now time.Time) time.Time {
	if lines := h["Date"]; len(lines) == 1 {
		if t, ok := httpcond.ParseDate(lines[0], now); ok {
			return t
		}
	}
	h["Date"] = []string{httpcond.FormatDate(now)}
	return now.Truncate(time.Second)
}

// render writes directives as a field value.
func render(directives []directive) string {
	var b strings.Builder
	for i, d := range directives {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d.name)
		switch {
		case d.seconds >= 0:
			b.WriteByte('=')
			b.WriteString(strconv.FormatInt(d.seconds, 10))
		case d.argument != "":
			b.WriteByte('=')
			b.WriteString(d.argument)
		}
	}
	return b.String()
}
