package httpcond

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/big"
	"mime"
	"mime/multipart"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The grammar of RFC 9110 §14.1.1 and §14.1.2 as regular expressions, to read a
// Range field without the code under test.
var (
	rangeForm     = regexp.MustCompile(`(?s)^[ \t]*[bB][yY][tT][eE][sS]=(.*?)[ \t]*$`)
	rangeComma    = regexp.MustCompile(`[ \t]*,[ \t]*`)
	rangeSpecForm = regexp.MustCompile(`^(?:([0-9]+)-([0-9]*)|-([0-9]+))$`)
	canonicalForm = regexp.MustCompile(`^bytes=(?:(?:0|[1-9][0-9]*)-(?:0|[1-9][0-9]*)?|-(?:0|[1-9][0-9]*))(?:,(?:(?:0|[1-9][0-9]*)-(?:0|[1-9][0-9]*)?|-(?:0|[1-9][0-9]*)))*$`)
)

// rangeMembers returns the members of a set that are not empty.
func rangeMembers(set string) []string {
	all := rangeComma.Split(strings.Trim(set, " \t"), -1)
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// bigPosition is a position or a length, as large as it was written; where the
// code saturates it saturates too, since 2^64-3 is then no less than 2^64-5.
func bigPosition(digits string) *big.Int {
	n, _ := new(big.Int).SetString(digits, 10)
	if limit := big.NewInt(math.MaxInt64); n.Cmp(limit) > 0 {
		return limit
	}
	return n
}

// wellFormedSpec is the grammar and the rule on the order of the two positions.
func wellFormedSpec(member string) bool {
	m := rangeSpecForm.FindStringSubmatch(member)
	return m != nil && (m[2] == "" || bigPosition(m[1]).Cmp(bigPosition(m[2])) <= 0)
}

// readRange returns the members of a valid field, and false for others.
func readRange(value string) (members []string, valid bool) {
	m := rangeForm.FindStringSubmatch(value)
	if m == nil || len(value) > 65536 {
		return nil, false
	}
	members = rangeMembers(m[1])
	for _, member := range members {
		if !wellFormedSpec(member) {
			return nil, false
		}
	}
	return members, len(members) > 0
}

// selectByHand applies well-formed members to a size, in big numbers.
func selectByHand(members []string, size int64) (ranges []ByteRange) {
	end := big.NewInt(size)
	for _, member := range members {
		m := rangeSpecForm.FindStringSubmatch(member)
		from, to := new(big.Int), new(big.Int).Set(end) // [from, to)
		if m[3] != "" {
			from.Sub(end, bigPosition(m[3]))
		} else {
			from = bigPosition(m[1])
		}
		if m[2] != "" {
			to.Add(bigPosition(m[2]), big.NewInt(1))
		}
		if from.Sign() < 0 {
			from.SetInt64(0)
		}
		if to.Cmp(end) > 0 {
			to = end
		}
		if from.Cmp(to) < 0 {
			ranges = append(ranges, ByteRange{from.Int64(), new(big.Int).Sub(to, from).Int64()})
		}
	}
	return ranges
}

// joinByHand joins neighbours as long as there are two that touch.
func joinByHand(ranges []ByteRange) []ByteRange {
	for i := 0; i+1 < len(ranges); i++ {
		a, b := ranges[i], ranges[i+1]
		from, to := min(a.Start, b.Start), max(a.Start+a.Length, b.Start+b.Length)
		if to-from-a.Length <= b.Length {
			ranges = slices.Concat(ranges[:i], []ByteRange{{from, to - from}}, ranges[i+2:])
			i = -1
		}
	}
	return ranges
}

// sizeByHand is the length of a multipart answer without Content-Type.
func sizeByHand(ranges []ByteRange, size int64) *big.Int {
	n := big.NewInt(int64(len("\r\n--" + anyBoundary + "--\r\n")))
	for _, r := range ranges {
		head := fmt.Sprintf("\r\n--%s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n", anyBoundary, r.Start, r.Start+r.Length-1, size)
		n.Add(n, big.NewInt(int64(len(head))))
		n.Add(n, big.NewInt(r.Length))
	}
	return n
}

// excessive reports whether several ranges make more than the whole.
func excessive(ranges []ByteRange, size int64) bool {
	return len(ranges) > 1 && sizeByHand(ranges, size).Cmp(big.NewInt(size)) > 0
}

// wantRange is what a GET with the field gets of a strongly tagged
// representation.
func wantRange(value string, size int64) RangeResult {
	members, valid := readRange(value)
	if !valid {
		return RangeResult{Reason: ReasonRangeUnusable}
	}
	if size <= 0 {
		return RangeResult{Reason: ReasonRangeEmpty}
	}
	var ranges []ByteRange
	for _, r := range selectByHand(members, size) {
		if ranges = joinByHand(append(ranges, r)); len(ranges) > 16 {
			return RangeResult{Reason: ReasonRangeMany}
		}
	}
	switch {
	case excessive(ranges, size):
		return RangeResult{Reason: ReasonRangeExcessive}
	case len(ranges) == 0:
		return RangeResult{Verdict: RangeUnsatisfiable, Reason: ReasonRangeUnsatisfiable}
	}
	return RangeResult{Verdict: RangePartial, Reason: ReasonRange, Ranges: ranges}
}

func rangeOf(value string, size int64) RangeResult {
	r := RangeRequest{Range: ParseRange([]string{value})}
	return r.Evaluate("GET", strong, later, size, sixteen)
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{
		"bytes=0-4", "bytes= 0-9, 15-19, -5", "BYTES=,0-1,,5-8,", "bytes=5-2", "bytes=-0", "bytes=-", "bytes=+0-4", "bytes=0 -4",
		"bytes=0-18446744073709551616", "bytes=9223372036854775807-9223372036854775808", "bytes=0-9,5-14", "bytes=1-4,x",
		"byte\u017f=0-4", "lines=0-4", manyRanges(17),
		"bytes=0-4,20-24,5-19", "bytes=0-4,9-9,5-8,900-", "bytes=5-6,0-0,5-6",
	} {
		f.Add(s, int64(36))
	}
	f.Add("bytes=-1,0-0", int64(math.MaxInt64))
	f.Add("bytes=-5", int64(0))
	f.Fuzz(func(t *testing.T, value string, size int64) {
		want := wantRange(value, size)
		if got := rangeOf(value, size); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q of %d: %+v, want %+v", value, size, got, want)
		}
		checkSelection(t, want.Ranges, size)
		s := ParseRange([]string{value})
		if !s.Valid {
			return
		}
		canonical := s.Canonical()
		if !canonicalForm.MatchString(canonical) {
			t.Fatalf("%q is sent on as %q", value, canonical)
		}
		again := ParseRange([]string{canonical})
		if again.Canonical() != canonical {
			t.Fatalf("%q is sent on as %q, and that as %q", value, canonical, again.Canonical())
		}
		unit, set, _ := strings.Cut(canonical, "=")
		for _, same := range []string{
			canonical,
			strings.ToUpper(unit) + "=" + set,
			" \t" + unit + "= ,\t" + strings.ReplaceAll(set, ",", " ,\t,, ") + ", \t",
			unit + "=" + strings.NewReplacer(",-", ",-00", ",", ",00", "-", "-").Replace(set),
		} {
			if len(same) <= maxRangeBytes && !reflect.DeepEqual(rangeOf(same, size), want) {
				t.Fatalf("%q of %d: %+v, but %+v as %q", value, size, want, rangeOf(same, size), same)
			}
		}
		if ParseRange([]string{value, value}).Valid || ParseRange([]string{value, ""}).Valid {
			t.Fatalf("%q is valid on two lines", value)
		}
	})
}

// checkSelection holds whatever the field said: what is sent is there, once.
func checkSelection(t *testing.T, ranges []ByteRange, size int64) {
	t.Helper()
	left := size
	for _, r := range ranges {
		if r.Start < 0 || r.Length <= 0 || r.Start > size-r.Length {
			t.Fatalf("%v is not within %d bytes", r, size)
		}
		if left -= r.Length; left < 0 {
			t.Fatalf("%v are more than %d bytes", ranges, size)
		}
	}
	for i := 1; i < len(ranges); i++ {
		if a, b := ranges[i-1], ranges[i]; a.Start <= b.Start+b.Length && b.Start <= a.Start+a.Length {
			t.Fatalf("%v and %v could be one", a, b)
		}
	}
}

var wholeTag = regexp.MustCompile(`^[ \t]*(W/)?"([\x{21}\x{23}-\x{7e}\x{80}-\x{ff}]*)"[ \t]*$`)

// latin1 makes runes of bytes, for the regular expressions.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func FuzzParseIfRange(f *testing.F) {
	for _, s := range []string{
		`"foo"`, `W/"foo"`, `""`, ``, `*`, `"foo`, `"foo"x`, `"foo", "foo"`, lmEqual, "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994", "784111777", `"784111777"`, "Mon, 01 Jan 0001 00:00:00 GMT", "Sat, 31 Dec 2016 23:59:60 GMT",
	} {
		f.Add(s, `"foo"`, int64(0))
	}
	f.Fuzz(func(t *testing.T, value, tag string, offset int64) {
		c := ParseIfRange([]string{value}, now, false)
		checkIfRangeForm(t, c, value)
		if lenient := ParseIfRange([]string{value}, now, true); (c.HasTag || c.HasDate) && lenient != c {
			t.Fatalf("%q: strictly %+v, leniently %+v", value, c, lenient)
		}
		twice := ParseIfRange([]string{value, value}, now, true)
		if !twice.NeverHolds() {
			t.Fatalf("%q is usable on two lines", value)
		}
		rep := Representation{Exists: true, LastModified: c.Date.Add(time.Duration(offset%3) * time.Second)}
		rep.ETag, rep.HasETag = ParseEntityTag(tag)
		if twice.Holds(rep, rep.LastModified.Add(time.Second)) {
			t.Fatalf("%q on two lines holds on %+v", value, rep)
		}
		same := wholeTag.FindStringSubmatch(latin1(tag))
		checkIfRangeHolds(t, c, rep, c.HasDate && offset%3 == 0 && !c.Date.IsZero() ||
			c.HasTag && same != nil && same[1] == "" && !c.Tag.Weak && latin1(c.Tag.Opaque) == same[2])
	})
}

func checkIfRangeHolds(t *testing.T, c RangeCondition, rep Representation, want bool) {
	t.Helper()
	if got := c.Holds(rep, rep.LastModified.Add(time.Second)); got != want {
		t.Fatalf("%+v on %+v: %v", c, rep, got)
	}
	if c.HasDate && c.Holds(rep, rep.LastModified.Add(time.Second-1)) {
		t.Fatalf("%+v holds within the second of the Last-Modified", c)
	}
	// NeverHolds promises no more than it says: the validator itself makes the
	// field true, but for a date that is Go's word for none.
	own := Representation{Exists: true, HasETag: c.HasTag, ETag: c.Tag, LastModified: c.Date}
	if got := c.Holds(own, c.Date.Add(time.Second)); got == c.NeverHolds() && !c.Date.IsZero() {
		t.Fatalf("%+v: NeverHolds is %v, and on its own validator it is %v", c, c.NeverHolds(), got)
	}
}

// checkIfRangeForm reads the field with regular expressions.
func checkIfRangeForm(t *testing.T, c RangeCondition, value string) {
	t.Helper()
	want := RangeCondition{Present: true}
	if m := wholeTag.FindStringSubmatch(latin1(value)); m != nil {
		opaque := strings.Trim(value, " \t")
		opaque = opaque[len(m[1])+1 : len(opaque)-1]
		want.HasTag, want.Tag = true, EntityTag{Weak: m[1] != "", Opaque: opaque}
	} else if date, ok := readDate(strings.Trim(value, " \t")); ok {
		want.HasDate, want.Date = true, date
	}
	if c != want {
		t.Fatalf("%q: %+v, want %+v", value, c, want)
	}
}

func FuzzMultipart(f *testing.F) {
	f.Add("THIS_STRING_SEPARATES", "text/plain", []byte(alphabet), []byte{0, 5, 31, 5})
	f.Add("b", "", []byte("\r\n--\r\n"), []byte{0, 1, 1, 5})
	f.Add("b", "a/b\r\nX: y", []byte("\r\n\r\n"), []byte{3, 1, 0, 1, 1, 2})
	f.Add("'+_-.", "text/html; charset=\"a b\"", []byte{0, 255, 13, 10}, []byte{0, 4})
	f.Fuzz(func(t *testing.T, boundary, contentType string, content, cuts []byte) {
		if !IsToken(boundary) || len(boundary) > 70 || bytes.Contains(content, []byte("--"+boundary)) {
			t.Skip("not a boundary for this content")
		}
		m := Multipart{Boundary: boundary, ContentType: contentType, Size: int64(len(content))}
		for ; len(cuts) >= 2; cuts = cuts[2:] {
			start, length := int64(cuts[0]), int64(cuts[1])
			if length > 0 && start+length <= m.Size {
				m.Ranges = append(m.Ranges, ByteRange{start, length})
			}
		}
		if len(m.Ranges) == 0 {
			t.Skip("no ranges")
		}
		body := render(&m, string(content))
		if m.Length() != int64(len(body)) {
			t.Fatalf("the length is %d, want %d", m.Length(), len(body))
		}
		readBack(t, &m, body, content)
	})
}

// readBack parses the body as a client does.
func readBack(t *testing.T, m *Multipart, body string, content []byte) {
	t.Helper()
	mediaType, params, err := mime.ParseMediaType(m.MediaType())
	if err != nil || mediaType != "multipart/byteranges" || params["boundary"] != m.Boundary {
		t.Fatalf("%q: %q %q, %v", m.MediaType(), mediaType, params, err)
	}
	reader := multipart.NewReader(strings.NewReader(body), m.Boundary)
	contentType := strings.Trim(control.ReplaceAllString(latin1(m.ContentType), " "), " \t")
	for i, r := range m.Ranges {
		part, err := reader.NextRawPart()
		if err != nil {
			t.Fatalf("part %d of %q: %v", i, body, err)
		}
		got, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(got, content[r.Start:r.Start+r.Length]) {
			t.Fatalf("part %d of %q: %q, %v", i, body, got, err)
		}
		fields := map[string][]string{"Content-Range": {r.ContentRange(m.Size)}}
		if m.ContentType != "" {
			fields["Content-Type"] = []string{contentType}
			part.Header["Content-Type"] = []string{latin1(part.Header.Get("Content-Type"))}
		}
		if !reflect.DeepEqual(map[string][]string(part.Header), fields) {
			t.Fatalf("part %d of %q has %q, want %q", i, body, part.Header, fields)
		}
	}
	if _, err := reader.NextRawPart(); err != io.EOF {
		t.Fatalf("%q does not end: %v", body, err)
	}
}
