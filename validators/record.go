package validators

import (
	"iter"
	"slices"
	"time"
)

// MaxVariants is how many records of one URI and configuration are kept: one for each set of values that the
// request fields nominated by Vary have had.
const MaxVariants = 64

// Record is what is kept of one representation, or, where Nominated is not empty, a signpost to several. The
// zero value is none at all.
type Record struct {
	// Stamp is what Store.Load gave when the request began.
	Stamp Stamp

	// ETag is the field value of the 200, such as W/"cc1.…"; empty if it had none.
	ETag string
	// LastModified is the date of the 200, in whole seconds; zero if it had none.
	LastModified time.Time
	// Size is the length of the 200's content, before content codings of this server; -1 if that is not known.
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

	// SetCookies are the names of the cookies that the response sets, sorted, separated by commas: a request that lacks one
	// is not to be answered from the record, as that would set none. Empty: any may be.
	SetCookies string

	// Nominated are the names of the request fields whose values select one of several records, in lower case,
	// sorted, separated by commas. A record that has it has nothing else but Stamp and Variants.
	Nominated string
	// Variants are the Sums of the keys of these records, one after the other, the oldest first: at most
	// MaxVariants.
	Variants string

	fields string // name, value, name, value …, each after its length
}

// Flags are what a response said about the use of its record.
type Flags uint8

const (
	// Cookies: requests with cookies may be answered, too.
	Cookies Flags = 1 << iota
	// Credentials: requests with Authorization may be answered, too (RFC 9111 §3.5).
	Credentials
	// NeverStale: not to be used past its lifetime (RFC 9111 §4.2.4).
	NeverStale
	// FoundDate: the LastModified is not the upstream's, and matches no date but itself.
	FoundDate
	// NamedTag: whether the ETag is weak may be as a client has named it, and not as the 200 has it.
	NamedTag
)

// Has reports whether all of the flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

// Exists reports whether there is a record, or a signpost.
func (r *Record) Exists() bool { return !r.Received.IsZero() || r.Nominated != "" }

// AddField adds a line of a field that a 304 is to carry, after those already there. ETag, Last-Modified and Date
// are not among them: they have places of their own.
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

// Fields are the lines added by AddField, in their order. The strings share the record's memory.
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
