package httpcond

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRangeBytes is how much is read of a Range field. There is room in it for as
// many ranges as anybody may allow (RangeTerms), each of two numbers of 19 digits.
const maxRangeBytes = 64 << 10

// ByteRange is Length bytes of a representation from offset Start on; Length is
// positive.
type ByteRange struct{ Start, Length int64 }

// ContentRange returns the Content-Range of a 206 with this part of size bytes,
// "bytes 0-4/36" (RFC 9110 §14.4).
func (r ByteRange) ContentRange(size int64) string {
	return string(r.appendContentRange(make([]byte, 0, 64), size))
}

func (r ByteRange) appendContentRange(dst []byte, size int64) []byte {
	dst = append(dst, "bytes "...)
	dst = strconv.AppendInt(dst, r.Start, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, r.Start+r.Length-1, 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, size, 10)
}

// UnsatisfiedRange returns the Content-Range of a 416, "bytes */36" (RFC 9110
// §14.4, §15.5.17).
func UnsatisfiedRange(size int64) string { return "bytes */" + strconv.FormatInt(size, 10) }

// RangeSet is a Range field (RFC 9110 §14.2), its members checked but not yet
// applied to a size:
//
//	Range     = "bytes=" 1#( first-pos "-" [ last-pos ] / "-" suffix-length )
//	first-pos = last-pos = suffix-length = 1*DIGIT
//
// The zero value is an absent field; present but not valid is one to ignore.
type RangeSet struct {
	Present bool
	// Valid tells that the field is one line, in bytes, and well-formed to its
	// last member. Whether any member can be satisfied depends on the size.
	Valid bool

	// set is the list behind "=" as the client sent it. It is short and read at
	// most twice, so keeping the text is cheaper than keeping what it means.
	set string
}

// ParseRange reads the lines of a Range field. It is a singleton, so several
// lines are invalid (RFC 9110 §5.3): joined, the second unit would be a
// malformed member. An unknown unit has to be ignored (§14.2), units are
// case-insensitive (§14.1), and so is a set with a malformed member, as serving
// the rest of it would answer a question that nobody asked (§14.1.1).
//
// Empty members and whitespace around members and behind "=" are accepted, as
// RFC 9110 §5.6.1.2 and the examples of §14.1.2 have them; elsewhere there is
// no whitespace. More than 64 KiB are no request for bytes and are not read.
func ParseRange(lines []string) RangeSet {
	if len(lines) == 0 {
		return RangeSet{}
	}
	s := RangeSet{Present: true}
	if len(lines) > 1 || len(lines[0]) > maxRangeBytes {
		return s
	}
	unit, set, _ := strings.Cut(trimOWS(lines[0]), "=")
	if !equalFold(unit, "bytes") {
		return s
	}
	valid := false
	for member, rest := cutRangeMember(set); member != ""; member, rest = cutRangeMember(rest) {
		if _, valid = parseRangeSpec(member); !valid {
			return s
		}
	}
	if valid {
		s.set, s.Valid = set, true
	}
	return s
}

// cutRangeMember returns the first member of a list that is not empty, and what
// follows its comma. An empty member is the end of the list.
func cutRangeMember(list string) (member, rest string) {
	for list != "" && member == "" {
		member, list, _ = strings.Cut(list, ",")
		member = trimOWS(member)
	}
	return member, list
}

// Canonical returns the field value in the plainest form that means the same,
// such as "bytes=0-4,10-,-5", for an upstream that reads the grammar less well.
// Numbers past 2^63-1 are written as that, or left out where the end is meant. A
// suffix of no bytes, which never is satisfiable (RFC 9110 §14.1.2), is left out
// where others may be: net/http sends an empty part for it, with a Content-Range
// that ends before it begins. It is empty when the set is not Valid.
func (s *RangeSet) Canonical() string {
	if !s.Valid {
		return ""
	}
	all := s.NeverSatisfiable()
	dst := append(make([]byte, 0, len("bytes=")+len(s.set)), "bytes="...)
	for member, rest := cutRangeMember(s.set); member != ""; member, rest = cutRangeMember(rest) {
		spec, _ := parseRangeSpec(member)
		if spec.suffix && spec.last == 0 && !all {
			continue
		}
		if dst[len(dst)-1] != '=' {
			dst = append(dst, ',')
		}
		dst = spec.append(dst)
	}
	return string(dst)
}

// rangeSpec is an int-range or, with suffix, a suffix-range of last bytes. A
// last position that was left out is the largest one.
type rangeSpec struct {
	first, last int64
	suffix      bool
}

// parseRangeSpec reads one member. A last position before the first makes it
// invalid (RFC 9110 §14.1.1); a suffix of no bytes is well-formed.
func parseRangeSpec(s string) (rangeSpec, bool) {
	first, last, ok := strings.Cut(s, "-")
	if !ok || first == "" && last == "" {
		return rangeSpec{}, false
	}
	r := rangeSpec{last: math.MaxInt64, suffix: first == ""}
	firstOK, lastOK := true, true
	if first != "" {
		r.first, firstOK = parsePosition(first)
	}
	if last != "" {
		r.last, lastOK = parsePosition(last)
	}
	return r, firstOK && lastOK && r.first <= r.last
}

// parsePosition reads 1*DIGIT: no sign, no space. Numbers saturate, as RFC 9110
// §14.1.2 warns of overflow: no representation is that long, so one past 2^63-1
// lies behind the end like the largest one that fits.
func parsePosition(s string) (n int64, ok bool) {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		d := int64(s[i] - '0')
		if n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + d
	}
	return n, s != ""
}

// on returns the bytes that the spec selects of a representation, which is not
// empty. Length 0 is an unsatisfiable one: it begins behind the end, or is a
// suffix of no bytes (RFC 9110 §14.1.2).
func (r rangeSpec) on(size int64) ByteRange {
	if r.suffix {
		n := min(r.last, size)
		return ByteRange{Start: size - n, Length: n}
	}
	if r.first >= size {
		return ByteRange{}
	}
	return ByteRange{Start: r.first, Length: min(r.last, size-1) - r.first + 1}
}

func (r rangeSpec) append(dst []byte) []byte {
	if !r.suffix {
		dst = strconv.AppendInt(dst, r.first, 10)
	}
	dst = append(dst, '-')
	if r.suffix || r.last != math.MaxInt64 {
		dst = strconv.AppendInt(dst, r.last, 10)
	}
	return dst
}

// RangeRequest is what a request says about parts, parsed once. Without Range
// an If-Range means nothing (RFC 9110 §13.1.5). The zero value asks for the
// whole.
type RangeRequest struct {
	Range   RangeSet
	IfRange RangeCondition
}

// ParseRangeRequest reads Range and If-Range of a request; h has to have
// canonical keys. The result shares strings with h but keeps its meaning when h
// is edited later. lenient accepts more dates than RFC 9110 (ParseLenientDate).
func ParseRangeRequest(h http.Header, now time.Time, lenient bool) RangeRequest {
	return RangeRequest{
		Range:   ParseRange(h["Range"]),
		IfRange: ParseIfRange(h["If-Range"], now, lenient),
	}
}

// RangeVerdict is how a 200 is to be sent.
type RangeVerdict uint8

const (
	// RangeWhole: send the 200 as it is.
	RangeWhole RangeVerdict = iota
	// RangePartial: send a 206, multipart for more than one range.
	RangePartial
	// RangeUnsatisfiable: send a 416.
	RangeUnsatisfiable
)

// String returns the verdict in lower_snake, for logs and metric labels.
func (v RangeVerdict) String() string {
	switch v {
	case RangeWhole:
		return "whole"
	case RangePartial:
		return "partial"
	case RangeUnsatisfiable:
		return "unsatisfiable"
	}
	return "unknown"
}

// Reasons of range verdicts. One that has none had no range to decide on.
const (
	// ReasonRange: the range was served.
	ReasonRange Reason = "range"
	// ReasonRangeUnsatisfiable: no member of Range overlaps the representation.
	ReasonRangeUnsatisfiable Reason = "range_unsatisfiable"
	// ReasonRangeUnusable: Range was malformed, repeated or not in bytes.
	ReasonRangeUnusable Reason = "range_unusable"
	// ReasonRangeEmpty: there is no byte to select.
	ReasonRangeEmpty Reason = "range_empty"
	// ReasonRangeMany: more ranges than are answered in one response.
	ReasonRangeMany Reason = "range_many"
	// ReasonRangeExcessive: the parts, with all that is sent around them, would be
	// longer than the whole.
	ReasonRangeExcessive Reason = "range_excessive"
	// ReasonNoValidator: there is neither a tag nor a date.
	ReasonNoValidator Reason = "no_validator"
	// ReasonWeakValidator: what there is does not tell this representation from the
	// next one for sure.
	ReasonWeakValidator Reason = "weak_validator"
	// ReasonIfRange: If-Range was false.
	ReasonIfRange Reason = "if_range"
)

// RangeResult is a verdict and its reason. Ranges, for RangePartial only, are in
// the client's order (RFC 9110 §15.3.7.2) and within the size. No two neighbours
// in the list touch or overlap.
type RangeResult struct {
	Verdict RangeVerdict
	Reason  Reason
	Ranges  []ByteRange
}

// RangeTerms is what a server makes a condition of answering Range. RFC 9110
// §14.2 and §17.15 leave it to the server how much it is willing to do for one
// small request.
type RangeTerms struct {
	// Max is how many ranges are answered in one response, counted after those
	// have been joined that touch or overlap.
	Max int
	// Unvalidated: parts are sent also of what has no validator, or but a date that
	// is not strong. A weak tag is another thing: it says that the bytes differ.
	Unvalidated bool
	// ContentType is that of the whole, which the head of each part repeats.
	ContentType string
}

// Evaluate is step 5 of RFC 9110 §13.2.2: how to answer a request for which
// Preconditions.Evaluate said Proceed and whose answer is a 200. size is the
// length of rep in bytes, date is the response's Date; rep exists, as it is
// what the 200 carries.
//
// Range is defined for GET only (§14.2): to HEAD and all others the answer is
// as if there were none. The whole is always a right answer (§14.2), so every
// doubt ends there.
func (r *RangeRequest) Evaluate(method string, rep Representation, date time.Time, size int64, terms RangeTerms) RangeResult {
	if !r.Range.Present || method != http.MethodGet {
		return RangeResult{}
	}
	if !r.Range.Valid {
		return RangeResult{Reason: ReasonRangeUnusable}
	}
	if reason := indistinct(&rep, date, terms.Unvalidated); reason != "" {
		return RangeResult{Reason: reason}
	}
	switch {
	case !r.IfRange.Holds(rep, date):
		return RangeResult{Reason: ReasonIfRange}
	case size <= 0:
		return RangeResult{Reason: ReasonRangeEmpty}
	}
	return r.Range.selectFrom(size, &terms)
}

// indistinct says why parts of the representation that are fetched one by one
// cannot be told to be of the same bytes (RFC 9110 §15.3.7.3, §8.8.1); empty: they
// can, or need not. Who sends a weak tag says that its date is no better.
func indistinct(rep *Representation, date time.Time, unvalidated bool) Reason {
	switch {
	case rep.HasETag && rep.ETag.Weak:
		return ReasonWeakValidator
	case rep.HasETag || unvalidated || StrongDate(rep.LastModified, date):
		return ""
	case rep.LastModified.IsZero():
		return ReasonNoValidator
	}
	return ReasonWeakValidator
}

// selectFrom applies a valid set to a size. Members that begin behind the end
// are left out (RFC 9110 §14.1.2). Too many, or more bytes than there are, are
// answered with the whole (§14.2, §17.15): that is how a short request makes a
// long answer.
func (s *RangeSet) selectFrom(size int64, terms *RangeTerms) RangeResult {
	var ranges []ByteRange
	for member, rest := cutRangeMember(s.set); member != ""; member, rest = cutRangeMember(rest) {
		spec, _ := parseRangeSpec(member)
		selected := spec.on(size)
		if selected.Length == 0 {
			continue
		}
		if ranges = appendJoined(ranges, selected); len(ranges) > terms.Max {
			return RangeResult{Reason: ReasonRangeMany}
		}
	}
	switch {
	case len(ranges) == 0:
		return RangeResult{Verdict: RangeUnsatisfiable, Reason: ReasonRangeUnsatisfiable}
	case len(ranges) > 1 && longerThan(size, ranges, terms.ContentType):
		return RangeResult{Reason: ReasonRangeExcessive}
	}
	return RangeResult{Verdict: RangePartial, Reason: ReasonRange, Ranges: ranges}
}

// appendJoined appends a range, or joins it with the last one. That may close the
// gap to the one before.
func appendJoined(ranges []ByteRange, r ByteRange) []ByteRange {
	for last := len(ranges) - 1; last >= 0 && r.touches(ranges[last]); last-- {
		r, ranges = r.with(ranges[last]), ranges[:last]
	}
	return append(ranges, r)
}

// touches reports whether two ranges overlap, or one begins where the other ends.
// Then there is no gap that would be sent though nobody has asked for it (RFC 9110
// §15.3.7.2).
func (r ByteRange) touches(other ByteRange) bool {
	return other.Start <= r.Start+r.Length && r.Start <= other.Start+other.Length
}

// with joins two ranges that touch.
func (r ByteRange) with(other ByteRange) ByteRange {
	start, end := min(r.Start, other.Start), max(r.Start+r.Length, other.Start+other.Length)
	return ByteRange{Start: start, Length: end - start}
}

// longerThan reports whether several ranges make a longer answer than the whole,
// delimiters and the heads of the parts included.
func longerThan(size int64, ranges []ByteRange, contentType string) bool {
	left := size
	for _, r := range ranges {
		if left -= r.Length; left < 0 {
			return true
		}
	}
	m := Multipart{Boundary: anyBoundary, ContentType: contentType, Size: size, Ranges: ranges}
	return m.around() > left
}

// NeverSatisfiable reports whether there is no length of which a valid set selects
// a byte: all its members are suffixes of none, or begin at 2^63-1.
func (s *RangeSet) NeverSatisfiable() bool {
	for member, rest := cutRangeMember(s.set); member != ""; member, rest = cutRangeMember(rest) {
		if spec, _ := parseRangeSpec(member); spec.on(math.MaxInt64).Length > 0 {
			return false
		}
	}
	return s.Valid
}
