package httpcond

import (
	"iter"
	"strings"
)

// Directive is one member of Cache-Control (RFC 9111 §5.2):
//
//	cache-directive = token [ "=" ( token / quoted-string ) ]
type Directive struct {
	// Name is lower-case.
	Name string
	// Value is the argument, unquoted and unescaped, since both forms mean the
	// same (RFC 9111 §5.2). One that is neither token nor quoted string is kept
	// as it was written.
	Value string
	// HasValue tells an empty argument from none.
	HasValue bool
}

// ParseCacheControl reads all lines of a Cache-Control field as one list
// (RFC 9110 §5.3), in order, repeated names included. Commas in a quoted
// argument do not split. Members without a token for a name are left out; a
// malformed argument does not cost the name, since a broken `private=` must not
// turn a response shareable.
func ParseCacheControl(lines []string) []Directive {
	var list []Directive
	for d := range RawDirectives(lines) {
		d.Name, d.Value = strings.ToLower(d.Name), Unquote(d.Value)
		list = append(list, d)
	}
	return list
}

// RawDirectives goes through the directives that ParseCacheControl finds, their
// names and arguments as written: quotes stay, to pass a directive on verbatim.
func RawDirectives(lines []string) iter.Seq[Directive] {
	return func(yield func(Directive) bool) {
		for _, line := range lines {
			for line != "" {
				var m rawDirective
				m, line = cutDirective(line)
				if IsToken(m.name) && !yield(Directive{Name: m.name, Value: m.value, HasValue: m.hasValue}) {
					return
				}
			}
		}
	}
}

// HasDirective reports whether the field has the directive, with or without an
// argument; name is a token, in any case. It agrees with ParseCacheControl and
// does not allocate.
func HasDirective(lines []string, name string) bool {
	for _, line := range lines {
		for line != "" {
			var m rawDirective
			m, line = cutDirective(line)
			if equalFold(m.name, name) && IsToken(m.name) {
				return true
			}
		}
	}
	return false
}

// rawDirective is a member as written, whitespace around the parts removed.
type rawDirective struct {
	name, value string
	hasValue    bool
}

// cutDirective returns the first member of s, empty if there is nothing before
// the first comma, and what follows its comma. A quoted string is seen where
// one may stand, at the start of the argument, and at the start of a member,
// which is malformed but should not reveal its inside as directives.
func cutDirective(s string) (m rawDirective, rest string) {
	i := skipOWS(s, 0)
	start := i
	if end := quotedEnd(s, i); end > 0 {
		i = end
	}
	for i < len(s) && s[i] != ',' && s[i] != '=' {
		i++
	}
	m.name = trimOWS(s[start:i])
	if i < len(s) && s[i] == '=' {
		m.hasValue = true
		start = skipOWS(s, i+1)
		i = max(start, quotedEnd(s, start))
		for i < len(s) && s[i] != ',' {
			i++
		}
		m.value = trimOWS(s[start:i])
	}
	return m, s[min(i+1, len(s)):]
}

// quotedEnd returns the offset behind the quoted-string that begins at s[i],
// 0 when none does. One that is never closed is none, so that it hides no
// no-store behind it: it ends at the next comma like any malformed argument.
func quotedEnd(s string, i int) int {
	if i >= len(s) || s[i] != '"' {
		return 0
	}
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// Unquote returns the content of a quoted-string (RFC 9110 §5.6.4); what is not
// one, as a whole, stays as it is.
func Unquote(s string) string {
	if s == "" || quotedEnd(s, 0) != len(s) {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// ArgumentKind is what a response directive takes behind "=".
type ArgumentKind uint8

const (
	// NoArgument: the directive stands alone.
	NoArgument ArgumentKind = iota
	// SecondsArgument: a number of seconds is required (RFC 9111 §1.2.2).
	SecondsArgument
	// FieldsArgument: a quoted list of field names may follow.
	FieldsArgument
)

// directives are those of responses: RFC 9111 §5.2.2, RFC 5861 §3 and §4,
// RFC 8246 §2. Of names equally near, NearestDirective takes the first.
var directives = [...]struct {
	name string
	kind ArgumentKind
}{
	{"max-age", SecondsArgument},
	{"s-maxage", SecondsArgument},
	{"no-cache", FieldsArgument},
	{"no-store", NoArgument},
	{"private", FieldsArgument},
	{"public", NoArgument},
	{"immutable", NoArgument},
	{"must-revalidate", NoArgument},
	{"must-understand", NoArgument},
	{"proxy-revalidate", NoArgument},
	{"no-transform", NoArgument},
	{"stale-while-revalidate", SecondsArgument},
	{"stale-if-error", SecondsArgument},
}

// DirectiveArgument returns what the named response directive takes, and false
// for a name that no RFC here knows. Case does not count.
func DirectiveArgument(name string) (ArgumentKind, bool) {
	for _, d := range directives {
		if equalFold(name, d.name) {
			return d.kind, true
		}
	}
	return NoArgument, false
}

// NearestDirective returns the known response directive that takes the fewest
// edits to get to from name, to suggest for a name that is not known.
func NearestDirective(name string) string {
	name = strings.ToLower(name)
	best, least := "", 0
	for _, d := range directives {
		if n := EditDistance(name, d.name); best == "" || n < least {
			best, least = d.name, n
		}
	}
	return best
}

// MeantDirective is the known response directive that a name is a typing error of; empty: it is of none.
func MeantDirective(name string) string {
	best := NearestDirective(name)
	most := 1
	if len(best) > 7 {
		most = 2
	}
	if EditDistance(strings.ToLower(name), best) > most {
		return ""
	}
	return best
}

// EditDistance is how far two words are from each other, for suggestions. It is Levenshtein's: insertions, deletions and replacements of bytes.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
