package validators

import (
	"iter"
	"slices"
	"time"
)

// MaxVariants is the greatest number of records of one URI and configuration: one for each set of values of the request
// fields that Vary names.
const MaxVariants = 64

// Record is what is kept of one representation. Where Nominated is not empty, it is a signpost instead: it says which
// request fields select one of several records. The zero value means that there is none.
type Record struct {
	// Stamp is what Store.Load gave when the request began.
	Stamp Stamp

	// ETag is the field value of the 200, such as W/"cc1.…". Empty: it had none.
	ETag string
	// LastModified is the date of the 200, in whole seconds. Zero: it had none.
	LastModified time.Time
	// Size is the length of the 200's content in bytes, before this server compresses it. -1: not known.
	Size int64

	// Received is when the response came, to the millisecond.
	Received time.Time
	// Date is the response's Date (RFC 9110 §6.6.1), in whole seconds.
	Date time.Time
	// InitialAge is how old the response was when it came (RFC 9111 §4.2.3), in whole seconds.
	InitialAge time.Duration
	// Lifetime is how long after Received the record may be used without asking anybody, in milliseconds.
	Lifetime time.Duration

	Flags Flags

	// SetCookies are the names of the cookies that the response sets, sorted, separated by commas. A request that lacks one
	// of them must not be answered from the record, because a 304 from memory sets no cookie. Empty: none is needed.
	SetCookies string

	// Nominated are the names of the request fields that select one of several records, in lower case, sorted, separated by
	// commas. A record that has them is a signpost, and has only Stamp and Variants besides.
	Nominated string
	// Variants are the sums of the keys of these records, 16 octets each, one after the other, the oldest first. There are at
	// most MaxVariants.
	Variants string

	fields string // name, value, name, value …, each after its length
}

// Flags say how a record may be used.
type Flags uint8

const (
	// Cookies: requests with cookies may be answered from the record.
	Cookies Flags = 1 << iota
	// Credentials: requests with Authorization may be answered from the record (RFC 9111 §3.5).
	Credentials
	// NeverStale: the record must not be used past its lifetime (RFC 9111 §4.2.4).
	NeverStale
	// FoundDate: LastModified was found here and does not come from the upstream. It matches no date but itself.
	FoundDate
	// NamedTag: the ETag was learned from a client's condition. Whether it is weak may differ from the 200.
	NamedTag
	// Codable: the 200 goes out content-coded to clients that accept it, which its ETag and Vary do not show yet.
	Codable
)

// Has reports whether all of the flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

// Exists reports whether there is a record, or a signpost.
func (r *Record) Exists() bool { return !r.Received.IsZero() || r.Nominated != "" }

// AddField adds a field line that a 304 is to have, after those already there. ETag, Last-Modified and Date do not belong
// here: they have fields of their own in Record.
func (r *Record) AddField(name, value string) {
	b := make([]byte, 0, len(r.fields)+len(name)+len(value)+4)
	b = append(b, r.fields...)
	if i := slices.Index(wellKnown, name); i >= 0 {
		b = append(b, byte(i), 0) //nolint:gosec // the list is short
	} else {
		b = appendText(b, name)
	}
	r.fields = string(appendText(b, value))
}

// wellKnown are names that are kept as their place in this list, and a length of 0. The list is part of the
// encoding: it may only grow at its end, to 255 names, under the same version. Who does not know a place yet has no record.
var wellKnown = []string{
	"", "Cache-Control", "Content-Location", "Expires", "Vary", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
	"Access-Control-Expose-Headers", "Timing-Allow-Origin", "Cross-Origin-Resource-Policy",
}

// Fields returns the lines added by AddField, in their order. The strings share the memory of the record.
func (r *Record) Fields() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for rest := r.fields; rest != ""; {
			var name, value string
			name, value, rest = cutField(rest)
			if name == "" || !yield(name, value) {
				return
			}
		}
	}
}

// cutField takes one line off; name is empty when what is there is not one.
func cutField(s string) (name, value, rest string) {
	if len(s) > 2 && s[1] == 0 {
		if int(s[0]) >= len(wellKnown) {
			return "", "", "" // of a longer list
		}
		name, rest = wellKnown[s[0]], s[2:]
	} else {
		name, rest, _ = cutText(s)
	}
	value, rest, whole := cutText(rest)
	if !whole {
		return "", "", ""
	}
	return name, value, rest
}
