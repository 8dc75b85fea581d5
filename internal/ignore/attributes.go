package ignore

import (
	"bytes"
	"strings"
)

// named is a token in a masked form that stands right behind a name of tokens, as in `data-csrf-token="…"`,
// `{"X-CSRFToken": "…"}` or `var csrf_token = '…'`.
type named struct {
	at     span
	format format
	taken  bool // it is in an attribute that is looked at
}

// masks are the formats that can be unmasked. Their tokens are told apart by their lengths.
var masks = [...]format{django, rails, spring, phoenix, symfony}

const (
	// shortestMasked is the length of Phoenix's tokens, which no other ones are shorter than.
	shortestMasked = 56
	// longestMasked is a length that no token has; the longest are Symfony's. A text without an end may have any number of
	// names in it.
	longestMasked = 256
	// maxBetween is how many quotes, spaces and the like may be between a name and its token.
	maxBetween = 16
	// maxUnclosed is how many tags may never be closed before no further one is read to its end.
	maxUnclosed = 16
)

// nameTokens finds the tokens that have a name, wherever they are. Names are found by what they have in them: csrf, xsrf
// or token, on pages where mayHaveToken has found one that is longer.
func (s *scan) nameTokens() {
	b := s.body
	srf, token := 0, 0 // from where on these are next, or where they are
	for i := 0; len(s.named) < maxGaps && s.resp.work.spend(1); {
		srf, token = from(b, srf, i, "srf"), from(b, token, i, "token")
		if i = min(srf, token); i == len(b) {
			return
		}
		for i < len(b) && (isAlphanumeric(b[i]) || b[i] == '_' || b[i] == '-') {
			i++
		}
		at := tokenBehind(b, i)
		if at.end-at.start < shortestMasked {
			continue
		}
		if format, ok := s.maskedAs(s.text(at)); ok {
			s.named = append(s.named, named{at: at, format: format})
			i = at.end
		}
	}
}

// from is the first place of a word from i on, and the end of b if there is none; known is one that was found before.
func from(b []byte, known, i int, word string) int {
	if known > i || known == len(b) {
		return known
	}
	if next := indexFold(b[i:], word); next >= 0 {
		return i + next
	}
	return len(b)
}

// tokenBehind is what may be the token behind a name that ends at i; empty if there is none. Between them are quotes, in
// JSON inside of an attribute those of HTML as well, and what JSON, scripts and attributes put beside them.
func tokenBehind(b []byte, i int) span {
	for range maxBetween {
		switch {
		case i == len(b):
			return span{}
		case isSpace(b[i]) || strings.IndexByte(`"'=:,()[]{}\`, b[i]) >= 0:
			i++
		case b[i] == '&':
			length := referenceLength(b[i:])
			if length == 0 {
				return span{}
			}
			i += length
		default:
			start := i
			for i < len(b) && (isBase64(b[i]) || b[i] == '.' || b[i] == '=') {
				if i++; i-start == longestMasked {
					return span{}
				}
			}
			return span{start, i}
		}
	}
	return span{}
}

// referenceLength is the length of a character reference such as &quot; or &#x27;, 0 if b does not begin with one.
func referenceLength(b []byte) int {
	const longest = len("&#x0027;")
	end := bytes.IndexByte(b[:min(longest, len(b))], ';')
	for i := 1; i < end; i++ {
		if !isAlphanumeric(b[i]) && b[i] != '#' {
			return 0
		}
	}
	return max(end+1, 0)
}

// maskedAs finds the format of a token. A secret of one and the same octet is none: what has two equal halves would
// count as any other text that has.
func (s *scan) maskedAs(token []byte) (format, bool) {
	for _, format := range masks {
		counts, ok := s.unmask(format, token)
		if !ok {
			continue
		}
		secret := counts[len(s.found.instead)+1:]
		return format, bytes.Count(secret, secret[:1]) < len(secret)
	}
	return 0, false
}

// isLookedAt reports whether an attribute is one that tokens are looked for in: what htmx sends with its requests, and
// data of the page's own.
func isLookedAt(name []byte) bool {
	for _, begin := range [...]string{"data-", "hx-headers", "hx-vals"} {
		if len(name) >= len(begin) && equalFold(name[:len(begin)], begin) {
			return true
		}
	}
	return false
}

// takeNamed leaves out the tokens in an attribute's value, if it is one that is looked at.
func (s *scan) takeNamed(name []byte, value span) {
	if len(s.named) == 0 || !isLookedAt(name) {
		return
	}
	for i := s.firstNamed(value.start); i < len(s.named) && s.named[i].at.end <= value.end; i++ {
		one := &s.named[i]
		if one.taken {
			continue
		}
		one.taken = true
		before := len(s.found.instead)
		s.found.instead, _ = s.unmask(one.format, s.text(one.at))
		s.found.gaps = append(s.found.gaps, gap{start: one.at.start, end: one.at.end, instead: len(s.found.instead) - before})
	}
}

// firstNamed is the index of the first token that begins at a place or behind it.
func (s *scan) firstNamed(place int) int {
	low, high := 0, len(s.named)
	for low < high {
		if middle := (low + high) / 2; s.named[middle].at.start < place {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// countsNamed reports whether there is a token of those with a name that was not left out.
func (s *scan) countsNamed() bool {
	for i := range s.named {
		if !s.named[i].taken {
			return true
		}
	}
	return false
}

// other reads the attributes of a tag of another element, whose name begins at i, if a token may be in one of them. What
// is in a script is none, and a "<" there might hide what comes after it.
func (s *scan) other(i int) {
	if i < s.otherFrom || s.firstNamed(i) == len(s.named) {
		return
	}
	start := i
	for i < len(s.body) && (isAlphanumeric(s.body[i]) || s.body[i] == '-' || s.body[i] == ':') {
		i++
	}
	if i == start || i == len(s.body) || !isSpace(s.body[i]) && s.body[i] != '/' {
		return
	}
	if s.otherFrom = s.attributes(i, new(attributes)); s.otherFrom >= 0 {
		return
	}
	s.otherFrom = i
	if s.unclosed++; s.unclosed > maxUnclosed {
		s.otherFrom = len(s.body)
	}
}

// raw passes over the text of a script or style, whose name begins at i.
func (s *scan) raw(i int) {
	if i < s.otherFrom || len(s.named) == 0 {
		return
	}
	for _, name := range [...]string{"script", "style"} {
		b := s.body[i:]
		if len(b) <= len(name) || !equalFold(b[:len(name)], name) || !isSpace(b[len(name)]) && b[len(name)] != '>' && b[len(name)] != '/' {
			continue
		}
		s.otherFrom = len(s.body)
		if end := indexFold(b, "</"+name); end >= 0 {
			s.otherFrom = i + end
		}
		return
	}
}
