package httpcond

import "strings"

// trimOWS removes optional whitespace, which is SP and HTAB only (RFC 9110
// §5.6.3). strings.TrimSpace would also swallow NBSP and NEL, which are obs-text.
func trimOWS(s string) string {
	for len(s) > 0 && isOWS(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isOWS(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// skipOWS returns the offset of the first byte of s, from i on, that is not
// optional whitespace.
func skipOWS(s string, i int) int {
	for i < len(s) && isOWS(s[i]) {
		i++
	}
	return i
}

func isOWS(b byte) bool { return b == ' ' || b == '\t' }

// equalFold compares ASCII names case-insensitively without allocating. One of
// the two has to be ASCII: then the equal length keeps out the two non-ASCII
// letters that Unicode folds to k and s, so "no-ſtore" is not no-store.
func equalFold(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(a, b)
}

// IsToken reports whether s is a token, as field names and directives are (RFC 9110 §5.6.2).
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', isDigit(b):
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
