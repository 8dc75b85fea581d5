package ignore

import (
	"fmt"
	"slices"
	"strings"
)

// The words of `ignore`.
const (
	wordCSRF  = "csrf"
	wordNonce = "nonce"
)

// IsWord reports whether a text is a word of `ignore`. Anything else is an expression, or wrong.
func IsWord(text string) bool { return text == wordCSRF || text == wordNonce }

func errTwice(text string) error {
	return fmt.Errorf("ignore: %q is there already; write it once", text)
}

// errNoWord refuses what is no word. An expression without quotes falls apart at its spaces, and a part of it may match
// every number of a page: so no bare text is taken for one.
func errNoWord(text string) error {
	const quote = "an expression stands in quotes, as in `built (\\d+)`, and in JSON in ignore_expressions"
	switch near := nearest(text); {
	case text == "none" || text == "off":
		return fmt.Errorf("ignore: unrecognized %q; to leave nothing out, remove the line", text)
	case near != "":
		return fmt.Errorf("ignore: unrecognized %q; say %s (%s)", text, near, quote)
	default:
		return fmt.Errorf("ignore: %#q is neither csrf nor nonce; %s", text, quote)
	}
}

// nearest is the word that is probably meant by another text, empty if none is.
func nearest(text string) string {
	letters := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c
		}
		return -1
	}, strings.ToLower(text))
	for _, word := range [...]string{wordNonce, wordCSRF} {
		if strings.Contains(letters, word) || isNear(letters, word) {
			return word
		}
	}
	if strings.Contains(letters, "xsrf") || strings.Contains(letters, "token") {
		return wordCSRF
	}
	return ""
}

// isNear reports whether the letters of a text are those of a word, in any order, but for one, or but for two more.
func isNear(text, word string) bool {
	rest := []byte(text)
	missing := 0
	for _, c := range []byte(word) {
		if i := slices.Index(rest, c); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			missing++
		}
	}
	return missing <= 1 && len(rest) <= 1 || missing == 0 && len(rest) == 2
}
