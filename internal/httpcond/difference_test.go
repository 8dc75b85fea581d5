package httpcond

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// net/http's ServeContent answers the same requests. Where the two differ, the
// difference has a name and a paragraph below, and a mend: the request rewritten
// so that net/http reads it as the RFC has it. After all mends the answers have
// to be equal, and every difference has to be seen, so the list cannot outlive
// a fix of net/http.

// exchange is a request and what it is about.
type exchange struct {
	method string
	h      http.Header
	rep    Representation
	date   time.Time
	size   int64
}

func (x exchange) String() string {
	return fmt.Sprintf("%s %q on %+v of %d bytes at %v", x.method, x.h, x.rep, x.size, x.date)
}

// reply is what matters of an answer; ranges are the values of Content-Range.
type reply struct {
	status int
	ranges string
}

func ours(x exchange) reply {
	p := ParsePreconditions(x.h, now, false)
	switch p.Evaluate(x.method, x.rep).Verdict {
	case NotModified:
		return reply{status: http.StatusNotModified}
	case PreconditionFailed:
		return reply{status: http.StatusPreconditionFailed}
	case Proceed:
	}
	r := ParseRangeRequest(x.h, now, false)
	switch result := r.Evaluate(x.method, x.rep, x.date, x.size, RangeTerms{Max: 16, ContentType: "text/plain"}); result.Verdict {
	case RangeUnsatisfiable:
		return reply{http.StatusRequestedRangeNotSatisfiable, UnsatisfiedRange(x.size)}
	case RangePartial:
		var ranges []string
		for _, r := range result.Ranges {
			ranges = append(ranges, r.ContentRange(x.size))
		}
		return reply{http.StatusPartialContent, strings.Join(ranges, "; ")}
	case RangeWhole:
	}
	return reply{status: http.StatusOK}
}

// answerWriter is a ResponseWriter that keeps what is written.
type answerWriter struct {
	h      http.Header
	status int
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header         { return w.h }
func (w *answerWriter) WriteHeader(status int)      { w.status = status }
func (w *answerWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

var allBytes = bytes.Repeat([]byte(alphabet), 30)

func theirs(t *testing.T, x exchange) reply {
	t.Helper()
	w := &answerWriter{h: http.Header{"Content-Type": {"text/plain"}}}
	if x.rep.HasETag {
		w.h["Etag"] = []string{x.rep.ETag.String()}
	}
	http.ServeContent(w, &http.Request{Method: x.method, Header: x.h}, "", x.rep.LastModified, bytes.NewReader(allBytes[:x.size]))
	answer := reply{status: w.status}
	switch {
	case w.status == http.StatusRequestedRangeNotSatisfiable:
		answer.ranges = w.h.Get("Content-Range")
	case w.status == http.StatusPartialContent && w.h.Get("Content-Range") != "":
		answer.ranges = w.h.Get("Content-Range")
		if x.method != http.MethodHead {
			checkPart(t, x, answer.ranges, w.body.Bytes())
		}
	case w.status == http.StatusPartialContent && x.method != http.MethodHead:
		answer.ranges = theirParts(t, x, w)
	}
	return answer
}

// theirParts reads a multipart answer, and compares its length with what
// Multipart says about the same ranges.
func theirParts(t *testing.T, x exchange, w *answerWriter) string {
	t.Helper()
	_, params, err := mime.ParseMediaType(w.h.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	m := Multipart{Boundary: params["boundary"], ContentType: "text/plain", Size: x.size}
	var ranges []string
	reader := multipart.NewReader(&w.body, m.Boundary)
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v: %v", x, err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			t.Fatalf("%v: %v", x, err)
		}
		value := part.Header.Get("Content-Range")
		m.Ranges = append(m.Ranges, checkPart(t, x, value, content))
		ranges = append(ranges, value)
	}
	// Theirs has no line to end before the first boundary.
	if length := strconv.FormatInt(m.Length()-int64(len("\r\n")), 10); length != w.h.Get("Content-Length") {
		t.Fatalf("%v: the length of %v is %s, not %s", x, m.Ranges, w.h.Get("Content-Length"), length)
	}
	return strings.Join(ranges, "; ")
}

// checkPart compares a part with its Content-Range.
func checkPart(t *testing.T, x exchange, contentRange string, content []byte) ByteRange {
	t.Helper()
	var start, last, size int64
	if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &start, &last, &size); err != nil || size != x.size {
		t.Fatalf("%v: %q, %v", x, contentRange, err)
	}
	if !bytes.Equal(content, allBytes[start:last+1]) {
		t.Fatalf("%v: %q is %q", x, contentRange, content)
	}
	return ByteRange{start, last - start + 1}
}

// difference is something that net/http does differently. mend changes an
// exchange that it concerns, and tells so.
type difference struct {
	name string
	mend func(x *exchange) bool
}

var differences = []difference{
	{"only the first line is read (§5.3, §13.1.2, §13.1.3)", mendLines},

	// Preconditions.
	{"an empty field is taken for an absent one (§13.1.1, §13.1.2)", mendEmptyTags},
	{"a star in front of anything is a star (§13.1.1, §13.1.2)", mendTags(func(m string) bool { return m[0] == '*' })},
	{"tags without a comma between are two (§5.6.1)", mendTags(tagAndJunk)},
	{"a malformed member ends the list (§5.6.1.2, §13.1.2)", mendTags(func(m string) bool { return !wholeTag.MatchString(latin1(m)) })},
	{"methods that select nothing are judged (§13.2.1)", mendMethod},
	{"RFC 850 years have a fixed pivot (§5.6.7)", mendDates(func(d dateReading) bool { return d.ok && d.theyOK && !d.time.Equal(d.their) })},
	{"leap seconds are not dates (§5.6.7)", mendDates(func(d dateReading) bool { return d.ok && !d.theyOK })},
	{"fractions of seconds are accepted (§5.6.7)", mendDates(func(d dateReading) bool { return d.onlyTheirs() && fraction.MatchString(d.value) })},
	{"RFC 850 with any zone, taken for GMT (§5.6.7)", mendDates(func(d dateReading) bool { return d.onlyTheirs() && otherZone.MatchString(d.value) })},
	{"names in any case, other spacing (§5.6.7)", mendDates(dateReading.onlyTheirs)},

	// If-Range.
	{"an empty If-Range is taken for an absent one (§13.1.5)", mendIfRange(func(_ *exchange, v string) bool { return v == "" })},
	{"anything behind the tag of If-Range is not read (§13.1.5)", mendIfRange(func(_ *exchange, v string) bool { return tagAndJunk(v) })},
	{"If-Range with a date that is not strong is true (§13.1.5, §8.8.2.2)", mendIfRange(weakDate)},

	// Range.
	{"Range on other methods than GET (§14.2)", mendRange(func(x *exchange, _ string) bool { return x.method != "GET" })},
	{"parts of what has no strong validator (§15.3.7.3, a choice)", mendRange(noStrongValidator)},
	{"an unknown unit is 416 (§14.2)", mendRange(func(_ *exchange, v string) bool { return otherUnit.MatchString(v) && !rangeForm.MatchString(v) })},
	{"the unit has to be in lower case (§14.1)", mendUnitCase},
	{"signs are accepted (§14.1.1)", mendRange(malformedMember(signed))},
	{"whitespace inside of a member (§14.1.1)", mendRange(malformedMember(spaced))},
	{"the last position behind the end is not read (§14.1.1)", mendRange(malformedMember(beginsBehindEnd))},
	{"a malformed set is 416 (§14.2, a choice)", mendRange(func(_ *exchange, v string) bool { _, ok := readRange(v); return !ok && len(rangeSet(v)) != 0 })},
	{"an empty representation has a part (§14.2, §14.4)", mendRange(func(x *exchange, _ string) bool { return x.size == 0 })},
	{"positions past 2^63 are malformed (§14.1.2)", mendHugePositions},
	{"a suffix of no bytes is an empty part (§14.1.2, §14.4)", mendEmptySuffix},
	{"neighbours are not joined (§15.3.7.2, a choice)", mendJoined},
	{"more than sixteen ranges are served (§14.2, a choice)", mendRange(func(x *exchange, v string) bool { return len(selectSeveral(x, v)) > 16 })},
	{"what is sent around the parts does not count (§17.15, a choice)", mendRange(func(x *exchange, v string) bool {
		ranges := selectSeveral(x, v)
		heads := int64(len(ranges) * len("\r\nContent-Type: text/plain"))
		return excessive(ranges, x.size-heads)
	})},
}

// neverTag stands for a tag that is nobody's.
const neverTag = `"none-of-these"`

var tagFields = []string{"If-Match", "If-None-Match"}

// mendLines joins the lines of a list, and takes away what is no list but has
// several lines all the same: If-Range is then false and the others are ignored.
func mendLines(x *exchange) (mended bool) {
	for name, lines := range x.h {
		if len(lines) < 2 {
			continue
		}
		mended = true
		switch {
		case slices.Contains(tagFields, name):
			x.h[name] = []string{strings.Join(lines, ", ")}
		case name == "If-Range":
			x.h[name] = []string{neverTag}
		default:
			delete(x.h, name)
		}
	}
	return mended
}

func mendEmptyTags(x *exchange) (mended bool) {
	for _, name := range tagFields {
		if lines := x.h[name]; len(lines) == 1 && lines[0] == "" {
			x.h[name] = []string{neverTag}
			mended = true
		}
	}
	return mended
}

// mendTags takes the members of one kind out of the two lists.
func mendTags(unwanted func(member string) bool) func(x *exchange) bool {
	return func(x *exchange) (mended bool) {
		for _, name := range tagFields {
			lines := x.h[name]
			if len(lines) == 0 || lines[0] == "*" || strings.Trim(lines[0], ", \t") == "" {
				continue
			}
			var kept, all []string
			members, _ := splitMembers(lines[0])
			for _, m := range members {
				if m = strings.Trim(m, " \t"); m != "" {
					all = append(all, m)
				}
			}
			kept = slices.DeleteFunc(slices.Clone(all), unwanted)
			if len(kept) == len(all) {
				continue
			}
			if len(kept) == 0 {
				kept = []string{neverTag}
			}
			x.h[name] = []string{strings.Join(kept, ", ")}
			mended = true
		}
		return mended
	}
}

var beginsWithTag = regexp.MustCompile(`^[ \t]*(W/)?"[\x{21}\x{23}-\x{7e}\x{80}-\x{ff}]*"`)

func tagAndJunk(s string) bool {
	return beginsWithTag.MatchString(latin1(s)) && !wholeTag.MatchString(latin1(s))
}

func mendMethod(x *exchange) bool {
	switch x.method {
	case "OPTIONS", "TRACE", "CONNECT":
		mended := false
		for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
			mended = mended || x.h[name] != nil
			delete(x.h, name)
		}
		return mended
	}
	return false
}

const dateTime = `([0-9]{2}):([0-9]{2}):([0-9]{2})`

var (
	monthNames  = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
	anyMonth    = `(` + strings.Join(monthNames, "|") + `)`
	imfForm     = regexp.MustCompile(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ` + anyMonth + ` ([0-9]{4}) ` + dateTime + ` GMT$`)
	rfc850      = regexp.MustCompile(`^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, ([0-9]{2})-` + anyMonth + `-([0-9]{2}) ` + dateTime + ` GMT$`)
	asctime     = regexp.MustCompile(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ` + anyMonth + ` ([ 0-9][0-9]) ` + dateTime + ` ([0-9]{4})$`)
	fraction    = regexp.MustCompile(`:[0-9]{2}[.,][0-9]+`)
	otherZone   = regexp.MustCompile(`-[A-Za-z]{3}-[0-9]{2} .*[0-9] +(?:[^G]|G[^M]|GM[^T]|GMT[^ ])`)
	otherUnit   = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+=")
	hugeNumbers = regexp.MustCompile(`[0-9]{19,}`)
	noSuffix    = regexp.MustCompile(`^-0+$`)
	signedForm  = regexp.MustCompile(`^[ \t]*[-+]?[0-9]*[ \t]*-[ \t]*[-+]?[0-9]*[ \t]*$`)
	spacedForm  = regexp.MustCompile(`^[0-9]*[ \t]*-[ \t]*[0-9]*$`)
	firstForm   = regexp.MustCompile(`^([0-9]+)[ \t]*-`)
)

// readDate reads an HTTP-date with regular expressions (RFC 9110 §5.6.7).
func readDate(s string) (time.Time, bool) {
	if m := imfForm.FindStringSubmatch(s); m != nil {
		return civilTime(m[3], m[2], m[1], m[4:])
	}
	if m := asctime.FindStringSubmatch(s); m != nil {
		return civilTime(m[6], m[1], strings.TrimPrefix(m[2], " "), m[3:6])
	}
	m := rfc850.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, false
	}
	// The latest year with these digits that is not more than 50 years ahead.
	for year := now.Year() + 200; ; year-- {
		digits := strconv.Itoa(year)
		if digits[2:] != m[3] {
			continue
		}
		t, ok := civilTime(digits, m[2], m[1], m[4:])
		day, _ := strconv.Atoi(m[1])
		month := slices.Index(monthNames, m[2]) + 1
		if !ok && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Before(now.AddDate(50, 0, 0)) {
			return t, false
		}
		if ok && !t.After(now.AddDate(50, 0, 0)) {
			return t, true
		}
	}
}

// civilTime puts the parts together, if there is such a day and such a second.
func civilTime(year, month, day string, clock []string) (time.Time, bool) {
	var n [5]int
	for i, s := range []string{year, day, clock[0], clock[1], clock[2]} {
		n[i], _ = strconv.Atoi(s)
	}
	m := time.Month(slices.Index(monthNames, month) + 1)
	t := time.Date(n[0], m, n[1], n[2], n[3], n[4], 0, time.UTC)
	leap := strings.Join(clock, ":") == "23:59:60"
	date := t
	if leap {
		date = t.Add(-time.Second)
	}
	ok := date.Year() == n[0] && date.Month() == m && date.Day() == n[1] && date.Hour() == n[2] && date.Minute() == n[3] &&
		(leap || date.Second() == n[4]) && t.Year() <= 9999
	return t, ok
}

// dateReading is a date as RFC 9110 and as net/http read it.
type dateReading struct {
	value       string
	time, their time.Time
	ok, theyOK  bool
}

func (d dateReading) onlyTheirs() bool { return d.theyOK && !d.ok }

// mendDates writes dates of one kind as IMF-fixdate, or takes away what is none.
func mendDates(unwanted func(d dateReading) bool) func(x *exchange) bool {
	return func(x *exchange) (mended bool) {
		for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
			lines := x.h[name]
			if len(lines) == 0 || beginsWithTag.MatchString(latin1(lines[0])) {
				continue
			}
			d := dateReading{value: lines[0]}
			d.time, d.ok = readDate(d.value)
			their, err := http.ParseTime(d.value)
			d.their, d.theyOK = their, err == nil
			if !unwanted(d) {
				continue
			}
			mended = true
			switch {
			case d.ok:
				x.h[name] = []string{d.time.Format(http.TimeFormat)}
			case name == "If-Range":
				x.h[name] = []string{neverTag}
			default:
				delete(x.h, name)
			}
		}
		return mended
	}
}

// mendIfRange makes an If-Range of one kind false.
func mendIfRange(unwanted func(x *exchange, value string) bool) func(x *exchange) bool {
	return func(x *exchange) bool {
		lines := x.h["If-Range"]
		if len(lines) == 0 || !unwanted(x, lines[0]) {
			return false
		}
		x.h["If-Range"] = []string{neverTag}
		return true
	}
}

func (x exchange) strongDate() bool {
	lm := x.rep.LastModified
	return lm != (time.Time{}) && x.date.Unix() > lm.Unix()
}

func weakDate(x *exchange, value string) bool {
	t, ok := readDate(value)
	return ok && t.Equal(x.rep.LastModified) && !x.strongDate()
}

func noStrongValidator(x *exchange, _ string) bool {
	if x.rep.HasETag {
		return x.rep.ETag.String()[0] == 'W'
	}
	return !x.strongDate()
}

// rangeSet returns the members behind "bytes=", well-formed or not. What has no
// "=" at all has one, malformed, member.
func rangeSet(value string) []string {
	if value == "" {
		return nil
	}
	m := rangeForm.FindStringSubmatch(value)
	if m == nil {
		return []string{value}
	}
	return rangeMembers(m[1])
}

// mendRange takes a Range of one kind away.
func mendRange(unwanted func(x *exchange, value string) bool) func(x *exchange) bool {
	return func(x *exchange) bool {
		lines := x.h["Range"]
		if len(lines) == 0 || !unwanted(x, lines[0]) {
			return false
		}
		delete(x.h, "Range")
		return true
	}
}

func malformedMember(kind func(x *exchange, member string) bool) func(x *exchange, value string) bool {
	return func(x *exchange, value string) bool {
		return slices.ContainsFunc(rangeSet(value), func(m string) bool { return !wellFormedSpec(m) && kind(x, m) })
	}
}

func signed(_ *exchange, member string) bool {
	return signedForm.MatchString(member) && (strings.Contains(member, "+") || strings.Count(member, "-") > 1)
}

func spaced(_ *exchange, member string) bool {
	return spacedForm.MatchString(member) && strings.ContainsAny(member, " \t")
}

func beginsBehindEnd(x *exchange, member string) bool {
	m := firstForm.FindStringSubmatch(member)
	return m != nil && bigPosition(m[1]).Cmp(big.NewInt(x.size)) >= 0
}

func mendUnitCase(x *exchange) bool {
	lines := x.h["Range"]
	if len(lines) == 0 || strings.HasPrefix(lines[0], "bytes=") || !rangeForm.MatchString(lines[0]) {
		return false
	}
	x.h["Range"] = []string{"bytes=" + lines[0][len("bytes="):]}
	return true
}

// mendHugePositions writes the largest number that net/http reads.
func mendHugePositions(x *exchange) (mended bool) {
	lines := x.h["Range"]
	if len(lines) == 0 {
		return false
	}
	value := hugeNumbers.ReplaceAllStringFunc(lines[0], func(digits string) string {
		n, _ := new(big.Int).SetString(digits, 10)
		if n.IsInt64() {
			return digits
		}
		mended = true
		return strconv.FormatInt(maxInt64, 10)
	})
	if mended {
		x.h["Range"] = []string{value}
	}
	return mended
}

// mendEmptySuffix takes "-0" out of the set, or asks for what is behind the end.
func mendEmptySuffix(x *exchange) bool {
	lines := x.h["Range"]
	if len(lines) == 0 {
		return false
	}
	all := rangeSet(lines[0])
	kept := slices.DeleteFunc(slices.Clone(all), noSuffix.MatchString)
	if len(kept) == len(all) {
		return false
	}
	if len(kept) == 0 {
		kept = []string{strconv.FormatInt(x.size, 10) + "-"}
	}
	x.h["Range"] = []string{"bytes=" + strings.Join(kept, ",")}
	return true
}

// selectSeveral are the ranges of a set of several members.
func selectSeveral(x *exchange, value string) []ByteRange {
	if !strings.Contains(value, ",") {
		return nil
	}
	return selectByHand(rangeSet(value), x.size)
}

// mendJoined asks for neighbours as one.
func mendJoined(x *exchange) bool {
	lines := x.h["Range"]
	if len(lines) == 0 {
		return false
	}
	asked := selectSeveral(x, lines[0])
	joined := joinByHand(slices.Clone(asked))
	if len(joined) == len(asked) {
		return false
	}
	var members []string
	for _, r := range joined {
		members = append(members, fmt.Sprintf("%d-%d", r.Start, r.Start+r.Length-1))
	}
	x.h["Range"] = []string{"bytes=" + strings.Join(members, ",")}
	return true
}

// compare checks one exchange and returns the index of the difference that
// alone made net/http answer otherwise, -1 when there was none or several.
func compare(t *testing.T, x exchange) int {
	t.Helper()
	mended := x
	mended.h = x.h.Clone()
	only, count := -1, 0
	for i, d := range differences {
		if d.mend(&mended) {
			only, count = i, count+1
		}
	}
	want, got := theirs(t, mended), ours(x)
	if got != want {
		t.Fatalf("%v\nours: %v\nnet/http: %v, %v with %q", x, got, theirs(t, x), want, mended.h)
	}
	if count != 1 || theirs(t, x) == want {
		return -1
	}
	return only
}

// The choices of the sweep. "-" is an absent field.
var (
	sweepTags = []string{
		"-", `*`, `"foo"`, `W/"foo"`, `"bar"`, `"bar" ,, W/"foo,", "foo"`, ``, `,`, `*junk`, `"bar", *`, `x, "foo"`, `"bar""foo"`, `"fo o", "foo"`, `"foo`,
		"\"bar\"\nx, \"foo\"",
	}
	sweepDatePairs = [][2]string{{"-", "-"}, {lmOlder, lmEqual}, {lmEqual, "-"}, {"-", "Sunday, 06-Nov-94 08:49:38 GMT"}, {"-", lmOlder}}
	sweepDates     = []string{"-", lmOlder, lmEqual, "Sunday, 06-Nov-94 08:49:38 GMT"}
	sweepOddDates  = []string{
		"Sun Nov  6 08:49:37 1994", "Thursday, 06-Nov-70 08:49:37 GMT", "Wednesday, 30-Jun-93 23:59:60 GMT", "Sat, 31 Dec 2016 23:59:60 GMT",
		"Sun, 06 Nov 1994 08:49:37.500 GMT", "Sunday, 06-Nov-94 08:49:37 EST", "Sunday, 06-Nov-94 08:49:37 UTC", "sun, 06 NOV 1994 08:49:37 GMT",
		"Sun,  06 Nov 1994 8:49:37 GMT", "Sun Nov 6 08:49:37 1994", "784111777", "", "foo", lmEqual + ", " + lmEqual,
		lmEqual + "\n" + lmOlder,
	}
	sweepIfRange = []string{
		"-", `"foo"`, `"bar"`, `W/"foo"`, ``, `*`, `foo`, `"foo`, `"foo"junk`, `"foo", "bar"`, lmEqual, lmOlder, lmNewer,
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sunday, 06-Nov-94 08:49:37 EST", "784111777",
		"\"foo\"\n\"foo\"",
	}
	sweepRanges = []string{
		"-", "bytes=0-4", "bytes=0-", "bytes=-5", "bytes=5-100", "bytes=36-", "bytes=100-200,300-", "bytes=-100", "bytes=0-4,-5", "bytes= 0-9 , 15-19,,-5",
		"bytes=5-9,0-1,99-", "bytes=-0", "bytes=-0,3-4", "bytes=-0,99-", "BYTES=0-4", "lines=0-4", "0-4", "", "bytes=", "bytes=,", "bytes=5-2", "bytes=-",
		"bytes=x", "bytes=0-4,x", "bytes=+0-4", "bytes=0--0", "bytes=-+5", "bytes=0 - 4", "bytes=99-x,0-4", "bytes=99-98,0-4", "bytes =0-4",
		"bytes=0-18446744073709551616", "bytes=18446744073709551616-", "bytes=-18446744073709551616", "bytes=0-9223372036854775807", "bytes=000-0004",
		"bytes=0-9,5-14", "bytes=0-,0-", "bytes=0-0,0-0,0-0", "bytes=3-5,1-2,9-9", "bytes=0-0,9-9", "bytes=0-0" + strings.Repeat(",99-", 16), manyRanges(16), manyRanges(17),
		"bytes=0-4\nbytes=10-14",
	}
)

// header makes a header of name, value, name, value …; line breaks in a value
// are several lines.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "-" {
			h[pairs[i]] = strings.Split(pairs[i+1], "\n")
		}
	}
	return h
}

func TestDifferencesFromNetHTTP(t *testing.T) {
	seen := make([]int, len(differences))
	total := 0
	each := func(x exchange) {
		total++
		if i := compare(t, x); i >= 0 {
			seen[i]++
		}
	}
	sweepPreconditions(each)
	sweepRangeRequests(each)
	for i, d := range differences {
		if seen[i] == 0 {
			t.Errorf("not seen: %s", d.name)
		}
		t.Logf("%6d × %s", seen[i], d.name)
	}
	t.Logf("%d exchanges", total)
}

func sweepPreconditions(each func(x exchange)) {
	for _, rep := range representations[1:] {
		for _, method := range []string{"GET", "HEAD", "PUT", "OPTIONS"} {
			on := func(h http.Header) { each(exchange{method, h, rep, later, 36}) }
			for _, im := range sweepTags {
				for _, inm := range sweepTags {
					for _, dates := range sweepDatePairs {
						on(header("If-Match", im, "If-None-Match", inm, "If-Unmodified-Since", dates[0], "If-Modified-Since", dates[1]))
					}
				}
			}
			sweepDateSpellings(on)
		}
	}
}

func sweepDateSpellings(on func(h http.Header)) {
	for _, odd := range sweepOddDates {
		for _, date := range append(sweepDates, odd) {
			on(header("If-Modified-Since", odd, "If-Unmodified-Since", date))
			on(header("If-Unmodified-Since", odd, "If-Modified-Since", date))
		}
		on(header("If-Modified-Since", odd, "If-None-Match", `"bar"`))
		on(header("If-Unmodified-Since", odd, "If-Match", `"foo"`))
	}
}

func sweepRangeRequests(each func(x exchange)) {
	for _, rng := range sweepRanges {
		for _, ifRange := range sweepIfRange {
			for _, rep := range representations[1:] {
				for _, size := range []int64{0, 1, 36, 1000} {
					each(exchange{"GET", header("Range", rng, "If-Range", ifRange), rep, later, size})
				}
				each(exchange{"HEAD", header("Range", rng, "If-Range", ifRange), rep, later, 36})
				each(exchange{"POST", header("Range", rng, "If-Range", ifRange), rep, later, 36})
				each(exchange{"GET", header("Range", rng, "If-Range", ifRange), rep, nov94, 36})
			}
			for _, tag := range []string{`"foo"`, `"bar"`} {
				each(exchange{"GET", header("Range", rng, "If-Range", ifRange, "If-None-Match", tag), strong, later, 36})
				each(exchange{"GET", header("Range", rng, "If-Range", ifRange, "If-Match", tag), strong, later, 36})
			}
		}
	}
}

func FuzzDifferencesFromNetHTTP(f *testing.F) {
	f.Add("GET", `"foo"`, `"bar", x`, lmEqual, lmOlder, `"foo"`, "bytes=0-4,-5", byte(0b111111), `"foo"`, uint16(36), true)
	f.Add("HEAD", "-", `*junk`, "-", "-", "-", "bytes=-0", byte(0b110010), `W/"foo"`, uint16(36), false)
	f.Add("GET", "", "", "Sunday, 06-Nov-94 08:49:37 EST", "Sun, 06 Nov 1994 08:49:37.5 GMT", "", "", byte(0b001100), "", uint16(1), true)
	f.Add("GET", "", "", "", "", lmEqual, "bytes=99-x,0 - 4", byte(0b110000), "", uint16(36), false)
	f.Add("PUT", "*", `"bar"`, "", "", "", "BYTES=18446744073709551616-", byte(0b100011), `"foo"`, uint16(0), true)
	f.Fuzz(func(t *testing.T, method, im, inm, ims, ius, ifRange, rng string, present byte, tag string, size uint16, strongDate bool) {
		x := exchange{method: method, h: http.Header{}, date: nov94, size: int64(size) % int64(len(allBytes)+1)}
		for i, field := range [...][2]string{
			{"If-Match", im}, {"If-None-Match", inm}, {"If-Modified-Since", ims}, {"If-Unmodified-Since", ius}, {"If-Range", ifRange}, {"Range", rng},
		} {
			// What a server hands on: no control characters, trimmed.
			if control.MatchString(field[1]) || strings.Count(field[1], ",") > 90 || len(field[1]) > 4096 {
				t.Skip("not a field value, or past the limits")
			}
			if present>>i&1 == 1 {
				x.h[field[0]] = []string{textproto.TrimString(field[1])}
			}
		}
		if present&0b1000000 == 0 {
			x.rep.LastModified = nov94
		}
		if strongDate {
			x.date = later
		}
		x.rep.Exists = true
		x.rep.ETag, x.rep.HasETag = ParseEntityTag(tag)
		if x.rep.ETag.Opaque == strings.Trim(neverTag, `"`) {
			t.Skip("there has to be a tag that is nobody's")
		}
		compare(t, x)
	})
}

var control = regexp.MustCompile(`[\x00-\x08\x0a-\x1f\x7f]`)
