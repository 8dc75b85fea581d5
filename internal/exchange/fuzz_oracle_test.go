package exchange_test

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// This is RFC 9110 §8.8, §13 and §14 once more, by other means than package httpcond, and only as far as it is certain: what
// has to be the case where an answer came, not which answer comes.

// entityTag is a well-formed entity tag, in front of the comma or the end that makes it a member of a list.
var entityTag = regexp.MustCompile(`(W/)?"([\x21\x23-\x7e\x80-\xff]*)"`)

// nonceSource is a nonce in a policy (CSP3 §2.3.1), which is not empty.
var nonceSource = regexp.MustCompile(`(?i)'nonce-.`)

// quoted is an entity tag.
type quoted struct {
	weak   bool
	opaque string
}

// tagsIn are all tags that can be made out in the lines of a field, be it well-formed or not.
func tagsIn(lines []string) (tags []quoted) {
	for _, line := range lines {
		for _, m := range entityTag.FindAllStringSubmatch(line, -1) {
			tags = append(tags, quoted{m[1] != "", m[2]})
		}
	}
	return tags
}

// tagList is a field line of nothing but entity tags.
var tagList = regexp.MustCompile(`^[ \t]*(W/)?"[\x21\x23-\x7e\x80-\xff]*"([ \t]*,[ \t]*(W/)?"[\x21\x23-\x7e\x80-\xff]*")*[ \t]*$`)

// certainTagsIn are the tags of a field that is well-formed. What stands within a member that is malformed names nothing.
func certainTagsIn(lines []string) []quoted {
	if slices.ContainsFunc(lines, func(line string) bool { return !tagList.MatchString(line) }) {
		return nil
	}
	return tagsIn(lines)
}

// isAny reports whether a field is an asterisk.
func isAny(lines []string) bool {
	return len(lines) == 1 && strings.Trim(lines[0], " \t") == "*"
}

// names reports whether a field may be taken to name a tag. Within a malformed one every reading counts.
func names(lines []string, want quoted) bool {
	return isAny(lines) || slices.ContainsFunc(tagsIn(lines), func(t quoted) bool { return sameContent(t.opaque, want.opaque) }) ||
		slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, `"`+want.opaque+`"`) })
}

// sameContent reports whether two opaque tags are the same, or ours with the same digest.
func sameContent(a, b string) bool {
	const digest = len("cc1.") + 32
	return a == b || len(a) >= digest && len(b) >= digest && strings.HasPrefix(a, "cc1.") && a[:digest] == b[:digest]
}

// dateIn is the date of a field that has one line with one HTTP-date (RFC 9110 §5.6.7).
func dateIn(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	text, leap := strings.Trim(lines[0], " \t"), time.Duration(0)
	if at := strings.Index(text, ":60 "); at > 0 {
		text, leap = text[:at]+":59 "+text[at+len(":60 "):], time.Second
	}
	if t, err := time.Parse(time.RFC850, text); err == nil {
		year := 2000 + t.Year()%100
		if year > time.Now().Year()+50 {
			year -= 100
		}
		return t.AddDate(year-t.Year(), 0, 0).UTC().Add(leap), true
	}
	t, err := http.ParseTime(text)
	return t.UTC().Add(leap), err == nil
}

// listOf are the members of a list, in lower case.
func listOf(lines []string) map[string]bool {
	members := make(map[string]bool)
	for member := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if member = strings.ToLower(strings.Trim(member, " \t")); member != "" {
			members[member] = true
		}
	}
	return members
}

// span is a range of octets, the last one not included.
type span struct{ from, to int }

var rangeSpec = regexp.MustCompile(`^[ \t]*([0-9]*)-([0-9]*)[ \t]*$`)

// spansIn are the satisfiable ones of a Range (RFC 9110 §14.1.2); ok is false if it is no set of byte ranges.
func spansIn(lines []string, size int) (spans []span, ok bool) {
	if len(lines) != 1 {
		return nil, false
	}
	unit, set, found := strings.Cut(lines[0], "=")
	if !found || !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") {
		return nil, false
	}
	for spec := range strings.SplitSeq(set, ",") {
		if strings.Trim(spec, " \t") == "" {
			continue
		}
		m := rangeSpec.FindStringSubmatch(spec)
		if m == nil || m[1] == "" && m[2] == "" {
			return nil, false
		}
		first, last := atMost(m[1], size), size-1
		switch {
		case m[1] == "":
			first = size - min(atMost(m[2], size), size)
		case m[2] != "":
			last = min(atMost(m[2], size), size-1)
			if cmp.Or(cmp.Compare(len(digits(m[1])), len(digits(m[2]))), cmp.Compare(digits(m[1]), digits(m[2]))) > 0 {
				return nil, false
			}
		}
		if first <= last && first < size {
			spans = append(spans, span{first, last + 1})
		}
	}
	return spans, true
}

func digits(s string) string { return strings.TrimLeft(s, "0") }

// atMost is a number, or size+1 if it is greater.
func atMost(text string, size int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n > size {
		return size + 1
	}
	return n
}

// covers reports whether there is no octet of spans that is not in one of the others.
func covers(others, spans []span) bool {
	return !slices.ContainsFunc(spans, func(s span) bool {
		for at := s.from; at < s.to; {
			i := slices.IndexFunc(others, func(o span) bool { return o.from <= at && at < o.to })
			if i < 0 {
				return true
			}
			at = others[i].to
		}
		return false
	})
}

// TestFuzzOracle pins what the fuzzing is judged by.
func TestFuzzOracle(t *testing.T) {
	for set, want := range map[string][]span{
		"bytes=0-4":       {{0, 5}},
		"bytes=-3, 9-,2-": {{7, 10}, {9, 10}, {2, 10}},
		"Bytes=10-,-0":    {},
		"bytes=4-99":      {{4, 10}},
		"bytes=4-3":       nil,
		"bytes=1-2,x":     nil,
		"lines=1-2":       nil,
	} {
		got, ok := spansIn([]string{set}, 10)
		if ok != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%s is %v, %t, want %v", set, got, ok, want)
		}
	}
	if !covers([]span{{0, 5}, {4, 8}}, []span{{1, 7}}) || covers([]span{{0, 3}, {4, 8}}, []span{{1, 7}}) {
		t.Error("a gap is not told from an overlap")
	}
	for date, want := range map[string]string{
		"Sunday, 06-Nov-94 08:49:37 GMT": "1994", "Sun Nov  6 08:49:37 1994": "1994", "Sat, 31 Dec 2016 23:59:60 GMT": "2017",
		"Friday, 01-Jan-70 00:00:00 GMT": "2070", "1994-11-06": "",
	} {
		if got, ok := dateIn([]string{date}); ok != (want != "") || ok && got.Format("2006") != want {
			t.Errorf("%s is %v, %t, want %s", date, got, ok, want)
		}
	}
	for line, want := range map[string]bool{`"a", W/"b"`: true, `*`: true, `"c"`: false, `b`: false, `x"b"`: true, ``: false} {
		if got := names([]string{line}, quoted{opaque: "b"}); got != want {
			t.Errorf("%s names b: %t, want %t", line, got, want)
		}
	}
}

// isOurs reports whether a tag is one of this module's.
func isOurs(tag quoted) bool { return strings.HasPrefix(tag.opaque, "cc1.") }

// describesContent reports whether a field speaks of content that a 304 has not got.
func describesContent(name string) bool {
	switch name {
	case "Content-Location", "Content-Security-Policy", "Content-Security-Policy-Report-Only":
		return false
	case "Transfer-Encoding", "Trailer", "Accept-Ranges", "Repr-Digest", "Digest":
		return true
	}
	return strings.HasPrefix(name, "Content-")
}

func within5s(a, b []string) bool {
	ta, okA := dateIn(a)
	tb, okB := dateIn(b)
	return okA && okB && ta.Sub(tb).Abs() <= 5*time.Second
}
