package httpcond

import "strings"

// What is read of one If-Match or If-None-Match field. Browsers send one member;
// the limits keep a hostile list from costing more than a few microseconds.
const (
	maxTagBytes   = 8 << 10
	maxTagMembers = 100
)

// EntityTag is the value of an ETag field, or one member of If-Match or
// If-None-Match (RFC 9110 §8.8.3). The zero value is the tag `""`, which is
// valid: whether there is a tag at all has to be known from elsewhere.
type EntityTag struct {
	// Weak tells that the tag had the prefix W/.
	Weak bool
	// Opaque is the opaque tag without its quotes. It is never unescaped: a
	// backslash stands for itself.
	Opaque string
}

// ParseEntityTag reads a whole field value, optional whitespace around it
// allowed, as one entity tag. An unquoted or otherwise malformed value, or one
// with anything behind the tag, is not a tag. Opaque shares the memory of s.
func ParseEntityTag(s string) (EntityTag, bool) {
	s = trimOWS(s)
	t, n := scanTag(s)
	return t, n > 0 && n == len(s)
}

// String returns the form on the wire, `"x"` or `W/"x"`.
func (t EntityTag) String() string {
	if t.Weak {
		return `W/"` + t.Opaque + `"`
	}
	return `"` + t.Opaque + `"`
}

// SameFunc compares two opaque tags. nil compares byte for byte; another one
// may take tags for the same that differ in parts without meaning.
type SameFunc func(a, b string) bool

// StrongMatch is the strong comparison of RFC 9110 §8.8.3.2: neither tag is
// weak and the opaque tags are the same.
func StrongMatch(a, b EntityTag, same SameFunc) bool {
	return !a.Weak && !b.Weak && same.compare(a.Opaque, b.Opaque)
}

// WeakMatch is the weak comparison of RFC 9110 §8.8.3.2: the opaque tags are
// the same, whatever stands in front of them.
func WeakMatch(a, b EntityTag, same SameFunc) bool {
	return same.compare(a.Opaque, b.Opaque)
}

func (f SameFunc) compare(a, b string) bool {
	if f == nil {
		return a == b
	}
	return f(a, b)
}

// TagCondition is an If-Match or If-None-Match field (RFC 9110 §13.1.1,
// §13.1.2):
//
//	If-Match = "*" / #entity-tag
//
// The zero value is an absent field. Present without Any and without Tags is a
// field that nothing can match: If-Match is then false, If-None-Match true and
// still in force against If-Modified-Since.
type TagCondition struct {
	// Present tells that the request had the field, even empty.
	Present bool
	// Any tells that the whole field value was `*`.
	Any bool
	// Tags are the well-formed members in the client's order; their Opaque
	// shares memory with the header.
	Tags []EntityTag
	// Malformed counts the members that were no entity tags. They match nothing.
	Malformed int
	// Truncated tells that members past 8 KiB or past the hundredth one were
	// not looked at. They match nothing.
	Truncated bool
}

// ParseTagCondition reads all lines of one field as a single list (RFC 9110
// §5.3). Commas inside a tag do not split it, empty members are ignored
// (§5.6.1.2), and a malformed member, `*` inside a list included, never matches
// and does not stop the scan: it ends at the next comma. `*` is itself only
// when it is the whole value of all lines together.
func ParseTagCondition(lines []string) TagCondition {
	if len(lines) == 0 {
		return TagCondition{}
	}
	if len(lines) == 1 && trimOWS(lines[0]) == "*" {
		return TagCondition{Present: true, Any: true}
	}
	c := TagCondition{Present: true, Tags: make([]EntityTag, 0, memberEstimate(lines))}
	room := maxTagBytes
	for _, line := range lines {
		c.scanLine(line, room)
		if c.Truncated {
			break
		}
		// One byte for the comma that joins the lines, so that the limit falls
		// on the same member however the sender laid out the list.
		room -= len(line) + 1
	}
	return c
}

// memberEstimate is an upper bound of the members that scanLine will append.
func memberEstimate(lines []string) int {
	n := 0
	for _, line := range lines {
		n += 1 + strings.Count(line[:min(len(line), maxTagBytes)], ",")
		if n >= maxTagMembers {
			return maxTagMembers
		}
	}
	return n
}

// scanLine appends the members of one line. A tag never spans lines: joined as
// RFC 9110 §5.3 says there would be a comma and a space in it, and a space is
// no etagc. room is how many bytes of the line may be looked at.
func (c *TagCondition) scanLine(line string, room int) {
	cut := len(line) > room
	if cut {
		// The byte past the limit shows whether a member ended right before it.
		line = line[:max(room+1, 0)]
		c.Truncated = true
	}
	for i := skipOWS(line, 0); i < len(line); i = skipOWS(line, i+1) {
		if line[i] == ',' {
			continue
		}
		tag, n, ok := scanMember(line[i:])
		if cut && i+n > room {
			return
		}
		if len(c.Tags)+c.Malformed == maxTagMembers {
			c.Truncated = true
			return
		}
		if ok {
			c.Tags = append(c.Tags, tag)
		} else {
			c.Malformed++
		}
		i += n
	}
}

// scanMember reads the list member that s begins with; n is where it ends, at
// a comma or at the end of s. A malformed member ends at its first comma, even
// one behind an opening quote, so that a lost closing quote costs one member
// and not the rest of the list.
func scanMember(s string) (tag EntityTag, n int, ok bool) {
	if tag, n = scanTag(s); n > 0 {
		n = skipOWS(s, n)
		if n == len(s) || s[n] == ',' {
			return tag, n, true
		}
	}
	if n = strings.IndexByte(s, ','); n < 0 {
		n = len(s)
	}
	return EntityTag{}, n, false
}

// scanTag reads the entity tag that s begins with and returns its length, 0
// when there is none. W/ is case-sensitive (RFC 9110 §8.8.3).
func scanTag(s string) (EntityTag, int) {
	start := 1
	weak := strings.HasPrefix(s, "W/")
	if weak {
		start = 3
	}
	if len(s) <= start || s[start-1] != '"' {
		return EntityTag{}, 0
	}
	i := start
	for i < len(s) && isETagByte(s[i]) {
		i++
	}
	if i == len(s) || s[i] != '"' {
		return EntityTag{}, 0
	}
	return EntityTag{Weak: weak, Opaque: s[start:i]}, i + 1
}

// isETagByte is etagc of RFC 9110 §8.8.3: everything visible but the double
// quote, comma and backslash included, and obs-text. No space, no DEL.
func isETagByte(b byte) bool {
	return b == 0x21 || 0x23 <= b && b <= 0x7E || b >= 0x80
}
