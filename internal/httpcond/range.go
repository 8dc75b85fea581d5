package httpcond

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What is read of a Range field. RFC 9110 §14.2 and §17.15 leave it to the
// server how many parts it is willing to cut for one small request.
const (
	maxRangeBytes = 8 << 10
	maxRangeSpecs = 16
)

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
	set     string
	members int
}

// ParseRange reads the lines of a Range field. It is a singleton, so several
// lines are invalid (RFC 9110 §5.3): joined, the second unit would be a
// malformed member. An unknown unit has to be ignored (§14.2), units are
// case-insensitive (§14.1), and so is a set with a malformed member, as serving
// the rest of it would answer a question that nobody asked (§14.1.1).
//
// Empty members and whitespace around members and behind "=" are accepted, as
// RFC 9110 §5.6.1.2 and the examples of §14.1.2 have them; elsewhere there is
// no whitespace. More than 8 KiB are no request for bytes and are not read.
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
	for member, rest := cutRangeMember(set); member != ""; member, rest = cutRangeMember(rest) {
		if _, ok := parseRangeSpec(member); !ok {
			return s
		}
		s.members++
	}
	s.set, s.Valid = set, s.members > 0
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
// Numbers past 2^63-1 are written as that, or left out where the end is meant.
// It is empty when the set is not Valid.
func (s *RangeSet) Canonical() string {
	if !s.Valid {
		return ""
	}
	dst := append(make([]byte, 0, len("bytes=")+len(s.set)), "bytes="...)
	for member, rest := cutRangeMember(s.set); member != ""; member, rest = cutRangeMember(rest) {
		spec, _ := parseRangeSpec(member)
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
	// ReasonRangeExcessive: too many ranges, or ones that overlap.
	ReasonRangeExcessive Reason = "range_excessive"
	// ReasonWeakValidator: nothing tells this representation from the next one.
	ReasonWeakValidator Reason = "weak_validator"
	// ReasonIfRange: If-Range was false.
	ReasonIfRange Reason = "if_range"
)

// RangeResult is a verdict and its reason. Ranges, for RangePartial only, are in
// the client's order (RFC 9110 §15.3.7.2), disjoint and within the size;
// adjacent ones are not joined.
type RangeResult struct {
	Verdict RangeVerdict
	Reason  Reason
	Ranges  []ByteRange
}

// Evaluate is step 5 of RFC 9110 §13.2.2: how to answer a request for which
// Preconditions.Evaluate said Proceed and whose answer is a 200. size is the
// length of rep in bytes, date is the response's Date; rep exists, as it is
// what the 200 carries.
//
// Range is defined for GET only (§14.2): to HEAD and all others the answer is
// as if there were none. The whole is always a right answer (§14.2), so every
// doubt ends there.
func (r *RangeRequest) Evaluate(method string, rep Representation, date time.Time, size int64) RangeResult {
	switch {
	case !r.Range.Present || method != http.MethodGet:
		return RangeResult{}
	case !r.Range.Valid:
		return RangeResult{Reason: ReasonRangeUnusable}
	case !hasStrongValidator(&rep, date):
		return RangeResult{Reason: ReasonWeakValidator}
	case !r.IfRange.Holds(rep, date):
		return RangeResult{Reason: ReasonIfRange}
	case size <= 0:
		return RangeResult{Reason: ReasonRangeEmpty}
	}
	return r.Range.selectFrom(size)
}

// hasStrongValidator reports whether parts of the representation that are
// fetched one by one can be told to be of the same bytes (RFC 9110 §15.3.7.3,
// §8.8.1). Who sends a weak tag says that its date is no better.
func hasStrongValidator(rep *Representation, date time.Time) bool {
	if rep.HasETag {
		return !rep.ETag.Weak
	}
	return StrongDate(rep.LastModified, date)
}

// selectFrom applies a valid set to a size. Members that begin behind the end
// are left out (RFC 9110 §14.1.2). Too many, or some that overlap, are answered
// with the whole (§14.2, §17.15): overlaps are how a short request makes a long
// answer, since disjoint ranges are never longer than the whole.
func (s *RangeSet) selectFrom(size int64) RangeResult {
	if s.members > maxRangeSpecs {
		return RangeResult{Reason: ReasonRangeExcessive}
	}
	ranges := make([]ByteRange, 0, s.members)
	for member, rest := cutRangeMember(s.set); member != ""; member, rest = cutRangeMember(rest) {
		spec, _ := parseRangeSpec(member)
		selected := spec.on(size)
		if selected.Length == 0 {
			continue
		}
		if overlapsAny(selected, ranges) {
			return RangeResult{Reason: ReasonRangeExcessive}
		}
		ranges = append(ranges, selected)
	}
	if len(ranges) == 0 {
		return RangeResult{Verdict: RangeUnsatisfiable, Reason: ReasonRangeUnsatisfiable}
	}
	return RangeResult{Verdict: RangePartial, Reason: ReasonRange, Ranges: ranges}
}

func overlapsAny(r ByteRange, ranges []ByteRange) bool {
	for _, other := range ranges {
		if r.Start < other.Start+other.Length && other.Start < r.Start+r.Length {
			return true
		}
	}
	return false
}
