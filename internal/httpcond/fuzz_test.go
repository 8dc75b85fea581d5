package httpcond

import (
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The grammar of a member as regular expressions, to find the commas between
// members without the scanner under test. Bytes are matched as runes of the
// same number.
var (
	memberTag       = regexp.MustCompile(`^[ \t]*(?:W/)?"[\x{21}\x{23}-\x{7e}\x{80}-\x{ff}]*"[ \t]*(?:,|$)`)
	memberMalformed = regexp.MustCompile(`^[^,]*(?:,|$)`)
)

// splitMembers returns the members of a line, and where each begins.
func splitMembers(s string) (members []string, starts []int) {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	for i := 0; i < len(s); {
		rest := string(runes[i:])
		m := memberTag.FindString(rest)
		if m == "" {
			m = memberMalformed.FindString(rest)
		}
		n := len([]rune(m))
		members, starts = append(members, strings.TrimSuffix(s[i:i+n], ",")), append(starts, i)
		i += n
	}
	return members, starts
}

func FuzzParseTagCondition(f *testing.F) {
	for _, s := range []string{
		`"a", W/"b,c",, "d"`, `*`, `*,`, `*junk, "a"`, `"a, "b"`, `"a,"b",c"`, `"\", "x"`, `,,,`, "\"\xff\" ,\t\"a\"",
		`"a"x,"b"`, `W/,"a"`, strings.Repeat(`"x",`, 120), strings.Repeat("y", 9000) + `,"a"`,
	} {
		f.Add(s, uint16(1))
	}
	f.Fuzz(func(t *testing.T, s string, at uint16) {
		whole := ParseTagCondition([]string{s})
		members, starts := splitMembers(s)
		if !whole.Truncated && !whole.Any {
			compareMembers(t, whole, members)
		}
		if len(whole.Tags)+whole.Malformed > maxTagMembers {
			t.Fatalf("%d tags and %d malformed members", len(whole.Tags), whole.Malformed)
		}
		// RFC 9110 §5.3: a list means the same on one line and on several.
		if len(starts) < 2 {
			return
		}
		i := starts[1+int(at)%(len(starts)-1)]
		if lines := []string{s[:i-1], s[i:]}; !reflect.DeepEqual(ParseTagCondition(lines), whole) {
			t.Fatalf("%q: %+v\n%q: %+v", s, whole, lines, ParseTagCondition(lines))
		}
	})
}

func compareMembers(t *testing.T, c TagCondition, members []string) {
	t.Helper()
	tags, malformed := []EntityTag{}, 0
	for _, m := range members {
		if tag, ok := ParseEntityTag(m); ok {
			tags = append(tags, tag)
			if tag.String() != strings.Trim(m, " \t") {
				t.Fatalf("%q comes back as %q", m, tag)
			}
		} else if strings.Trim(m, " \t") != "" {
			malformed++
		}
	}
	if !reflect.DeepEqual(c.Tags, tags) || c.Malformed != malformed {
		t.Fatalf("got %v and %d malformed, want %v and %d", c.Tags, c.Malformed, tags, malformed)
	}
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sat, 31 Dec 2016 23:59:60 GMT", "Thu, 29 Feb 1900 00:00:00 GMT", "Mon, 01 Jan 0000 00:00:00 GMT",
		"6 nov 94 08:49:37 pst", "1994-11-06T08:49:37.5-05:30", `"253402300799"`, "0000-01-01T00:00:00+00:01",
	} {
		f.Add(s, int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, s string, clock int64) {
		now := time.Unix(clock%(1<<37), 0)
		strict, ok := ParseDate(s, now)
		lenient, lenientOK := ParseLenientDate(s, now)
		if ok && (!lenientOK || !lenient.Equal(strict)) {
			t.Fatalf("%q: strictly %v, leniently %v, %v", s, strict, lenient, lenientOK)
		}
		if ok && !ParseDateCondition([]string{s}, now, false).Valid {
			t.Fatalf("%q is a date but not a condition", s)
		}
		if !lenientOK {
			return
		}
		if back, backOK := ParseDate(FormatDate(lenient), now); !backOK || back != lenient {
			t.Fatalf("%q: %v is sent as %q and read as %v, %v", s, lenient, FormatDate(lenient), back, backOK)
		}
		// Where the standard library reads a date too, it is the same one, but
		// for the century of two digits.
		if std, err := http.ParseTime(s); err == nil && ok {
			if !std.AddDate((strict.Year()-std.Year())/100*100, 0, 0).Equal(strict) {
				t.Fatalf("%q: %v, the standard library says %v", s, strict, std)
			}
		}
	})
}

func FuzzParseCacheControl(f *testing.F) {
	for _, s := range []string{
		`max-age=60, private="a, no-store", no-cache`, `a="\`, `"no-store", x`, `private="A, no-store`, "no-\u017ftore",
		`a="x"y, no-store`, `=,=`, `a = "b" , NO-STORE`,
	} {
		f.Add(s, "no-store")
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		if len(s)+len(name) > 1<<10 {
			t.Skip("the checks are quadratic")
		}
		lines := []string{s, name}
		list := ParseCacheControl(lines)
		want := false
		for _, d := range list {
			if !IsToken(d.Name) || d.Name != strings.ToLower(d.Name) || !d.HasValue && d.Value != "" {
				t.Fatalf("%q has %+v", lines, d)
			}
			if !HasDirective(lines, d.Name) {
				t.Fatalf("%q: %q is parsed but not found", lines, d.Name)
			}
			want = want || d.Name == strings.ToLower(name)
		}
		if IsToken(name) && HasDirective(lines, name) != want {
			t.Fatalf("%q: HasDirective(%q) is %v", lines, name, !want)
		}
		// Parsing what was parsed changes nothing.
		if again := ParseCacheControl(formatDirectives(list)); !reflect.DeepEqual(again, list) {
			t.Fatalf("%q: %+v, then %+v", lines, list, again)
		}
	})
}

func formatDirectives(list []Directive) []string {
	var lines []string
	for _, d := range list {
		line := d.Name
		if d.HasValue {
			line += `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(d.Value) + `"`
		}
		lines = append(lines, line)
	}
	return lines
}

func FuzzEvaluate(f *testing.F) {
	f.Add("GET", `"foo"`, `"bar", W/"foo"`, lmEqual, lmOlder, `"foo"`, int64(784111777), byte(0b1111))
	f.Add("HEAD", ``, `*`, lmEqual, lmEqual, ``, int64(784111777), byte(0b1110))
	f.Add("PUT", `*`, `x`, lmOlder, lmOlder, `W/"foo"`, int64(0), byte(0b0101))
	f.Add("OPTIONS", `"x"`, `"foo"`, ``, ``, `"foo"`, int64(784111776), byte(0b1010))
	f.Add("GET", ``, ``, lmNewer, lmNewer, ``, int64(784111777), byte(0b01_0100))
	f.Add("GET", ``, ``, lmEqual, lmEqual, ``, int64(784111777), byte(0b10_0100))
	f.Fuzz(func(t *testing.T, method, im, inm, ims, ius, tag string, lm int64, present byte) {
		h := http.Header{}
		for i, field := range [...][2]string{
			{"If-Match", im}, {"If-None-Match", inm}, {"If-Modified-Since", ims}, {"If-Unmodified-Since", ius},
		} {
			if present>>i&1 == 1 {
				h[field[0]] = []string{field[1]}
			}
		}
		rep := Representation{Exists: lm >= 0}
		if lm > 0 {
			rep.LastModified = time.Unix(lm%(1<<37), 0)
		}
		if rep.Exists {
			rep.ETag, rep.HasETag = ParseEntityTag(tag)
		}
		rep.Trust = DateTrust(present >> 4 % 3)
		checkEvaluation(t, method, h, rep)
		checkTrust(t, method, h, rep)
	})
}

// checkTrust: a date that is trusted less never makes a 304 out of another answer, nor lets pass what was 412.
func checkTrust(t *testing.T, method string, h http.Header, rep Representation) {
	t.Helper()
	p := ParsePreconditions(h, now, true)
	rep.Trust = TrustOrder
	more := p.Evaluate(method, rep).Verdict
	for _, rep.Trust = range []DateTrust{TrustEqual, TrustDifference} {
		less := p.Evaluate(method, rep).Verdict
		if less == NotModified && more != NotModified || more == PreconditionFailed && less != PreconditionFailed {
			t.Fatalf("%s %q on %+v: %v, trusted more %v", method, h, rep, less, more)
		}
		more = less
	}
}

func checkEvaluation(t *testing.T, method string, h http.Header, rep Representation) {
	t.Helper()
	p := ParsePreconditions(h, now, true)
	got := p.Evaluate(method, rep)
	if want := oracle(parsedFacts(method, p, rep)); statusOf[got.Verdict] != want {
		t.Fatalf("%s %q on %+v: %+v, want %d", method, h, rep, got, want)
	}
	if got.Reason == "" || (got.Reason == ReasonNoCondition) == p.Any() && got.Reason != ReasonMethod {
		t.Fatalf("%s %q on %+v: the reason is %q", method, h, rep, got.Reason)
	}
	// RFC 9110 §13.1.3 and §13.1.4: the tag field switches its date field off.
	for tagField, dateField := range map[string]string{
		"If-None-Match": "If-Modified-Since", "If-Match": "If-Unmodified-Since",
	} {
		if h[tagField] == nil {
			continue
		}
		for _, date := range []string{lmOlder, lmEqual, "Fri, 31 Dec 9999 23:59:59 GMT", "foo"} {
			other := h.Clone()
			other[dateField] = []string{date}
			q := ParsePreconditions(other, now, true)
			if r := q.Evaluate(method, rep); r.Verdict != got.Verdict {
				t.Fatalf("%s %q: %v, but %v with %s: %s", method, h, got.Verdict, r.Verdict, dateField, date)
			}
		}
	}
}

// FuzzNegotiation: a list means the same on one line and on two, and what is read out of a value stays.
func FuzzNegotiation(f *testing.F) {
	for _, s := range [][2]string{
		{"gzip;q=0.5", "identity"},
		{"*;q=0", "br ; q=0.000"},
		{"Accept-Encoding, Cookie", "*"},
		{"Text/HTML; charset=utf-8", "image/*"},
		{"bytes 0-4/36", "BYTES */9223372036854775808"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		checkLists(t, a, b)
		checkValues(t, a)
	})
}

func checkLists(t *testing.T, a, b string) {
	t.Helper()
	two, one, with := []string{a, b}, []string{a + ", " + b}, []string{a, b, "Cookie"}
	if AcceptsCoding(two) != AcceptsCoding(one) {
		t.Errorf("AcceptsCoding(%q) is %t on two lines only", two, AcceptsCoding(two))
	}
	if VariesOn(two, "Cookie") != VariesOn(one, "Cookie") || OnlyVariesOn(two, "Cookie") != OnlyVariesOn(one, "Cookie") {
		t.Errorf("Vary %q means something else on one line", two)
	}
	if !VariesOn(with, "Cookie") || OnlyVariesOn(with, "Cookie") != OnlyVariesOn(two, "Cookie") {
		t.Errorf("Vary %q does not get along with Cookie", two)
	}
}

func checkValues(t *testing.T, s string) {
	t.Helper()
	mediaType := MediaType(s)
	if MediaType(mediaType) != mediaType || mediaType != "" && !MatchMediaType(mediaType, s) {
		t.Errorf("MediaType(%q) is %q", s, mediaType)
	}
	if want, _, err := mime.ParseMediaType(s); err == nil && mediaType != "" && mediaType != want {
		t.Errorf("MediaType(%q) is %q, mime has %q", s, mediaType, want)
	}
	if AcceptsNoRanges([]string{s}) && (!AcceptsNoRanges([]string{s, s}) || AcceptsNoRanges([]string{s, "bytes"})) {
		t.Errorf("Accept-Ranges: %q does not get along with itself and bytes", s)
	}
}
