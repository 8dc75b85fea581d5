// Package tag makes this project's entity tags from content and recognises them when they come back.
//
// The opaque part of a tag is "cc1." and 32 lower-case hex digits, optionally followed by "." and a
// date in Unix seconds, base 36, and that optionally by "." and 12 digits of base 32 for whom the date counts:
//
//	"cc1.0f343b0931126a20f133d67c2b018a3b"
//	W/"cc1.0f343b0931126a20f133d67c2b018a3b.tk2v5s"
//	W/"cc1.0f343b0931126a20f133d67c2b018a3b.tk2v5s.6q1d0vt2m9hk"
//
// The hex digits stand for the content. The date is the upstream's, and it may be the same for what it sends to one user
// and to another: so it is worth something only for who was sent the tag.
//
// The number in the prefix is the version of the format. Changing what goes into the digest, or its
// form, invalidates every client's stored responses and therefore needs a new number.
package tag

import (
	"strconv"
	"strings"
	"time"
)

const (
	prefix    = "cc1."
	digestLen = 32 // hex digits: 128 bits
	opaqueLen = len(prefix) + digestLen
	maxDigits = 8 // base 36: 36^8 seconds are some 89,000 years
	whoLen    = 12
	// lastDate is the last second that an HTTP-date can name. A tag with a later one is nobody's but a client's who has made
	// it up, and counts as one without.
	lastDate = 253402300799 // 9999-12-31T23:59:59Z
)

// Own is an entity tag of ours, taken apart.
type Own struct {
	// Digest is the 32 hex digits that stand for the content. Two tags of ours match when their
	// digests do, whatever their dates.
	Digest string
	// Date is the Last-Modified that the tag carries; zero when it carries none.
	Date time.Time
	// Who is for whom the date counts: 12 digits, empty for nobody in particular. There is none without a date.
	Who string
	// Coded tells that an encoder between us and the client has put its suffix to the tag: the client has
	// the same content in other octets.
	Coded bool
}

// Parse takes an opaque tag (without quotes) apart; ok is false when it is not one of ours. A content
// coding's suffix, as encoders between us and the client add it ("-gzip", "--gzip", ";gzip"), is
// looked through.
func Parse(opaque string) (own Own, ok bool) {
	if len(opaque) < opaqueLen || opaque[:len(prefix)] != prefix {
		return Own{}, false
	}
	digest := opaque[len(prefix):opaqueLen]
	if !isHex(digest) {
		return Own{}, false
	}
	suffixed := opaque[opaqueLen:]
	rest := withoutCoding(suffixed)
	own = Own{Digest: digest, Coded: rest != suffixed}
	if rest == "" {
		return own, true
	}
	if rest[0] != '.' {
		return Own{}, false
	}
	date, who, named := strings.Cut(rest[1:], ".")
	if own.Date, ok = parseDate(date); !ok || named && !isWho(who) {
		return Own{}, false
	}
	if own.Date.Unix() > lastDate {
		own.Date = time.Time{}
		return own, true
	}
	own.Who = who
	return own, true
}

// ForAnybody is an opaque tag as it may be shown to others than those it was made for: a tag of ours that says for whom its
// date counts has neither, as the date would count for nobody in particular then.
func ForAnybody(opaque string) string {
	own, _ := Parse(opaque)
	if own.Who == "" {
		return opaque
	}
	suffixed := opaque[opaqueLen:]
	return opaque[:opaqueLen] + suffixed[len(withoutCoding(suffixed)):]
}

// Same reports whether two opaque tags stand for the same content: they are equal to the letter, or
// both are ours and their digests are equal.
func Same(a, b string) bool {
	if a == b {
		return true
	}
	ownA, ok := Parse(a)
	if !ok {
		return false
	}
	ownB, ok := Parse(b)
	return ok && ownA.Digest == ownB.Digest
}

// SameOctets is Same for the use of If-Range, where parts are put together: a tag with a coding's suffix
// stands for other octets than the one without.
func SameOctets(a, b string) bool {
	if a == b {
		return true
	}
	ownA, ok := Parse(a)
	if !ok || ownA.Coded {
		return false
	}
	ownB, ok := Parse(b)
	return ok && !ownB.Coded && ownA.Digest == ownB.Digest
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// withoutCoding cuts one content coding's suffix off.
func withoutCoding(s string) string {
	if s == "" {
		return s
	}
	for _, coding := range [...]string{"gzip", "zstd", "br", "deflate"} {
		if head, found := strings.CutSuffix(s, coding); found {
			for _, mark := range [...]string{"--", "-", ";"} {
				if head, found := strings.CutSuffix(head, mark); found {
					return head
				}
			}
		}
	}
	return s
}

// WithoutCoding cuts one content coding's suffix off an opaque tag, if there is something else before it.
func WithoutCoding(opaque string) string {
	if rest := withoutCoding(opaque); strings.Trim(rest, "-;") != "" {
		return rest
	}
	return opaque
}

// HasCodingSuffix reports whether there is such a suffix.
func HasCodingSuffix(opaque string) bool { return WithoutCoding(opaque) != opaque }

// IsCodingSuffix reports whether s is such a suffix, and nothing else.
func IsCodingSuffix(s string) bool { return s != "" && withoutCoding(s) == "" }

// parseDate reads base 36, in exactly the form that Field writes.
func parseDate(s string) (time.Time, bool) {
	if s == "" || len(s) > maxDigits || s[0] == '0' || strings.ToLower(s) != s {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseUint(s, 36, 63)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

// isWho reports whether s is 12 digits of base 32.
func isWho(s string) bool {
	if len(s) != whoLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return false
		}
	}
	return true
}
