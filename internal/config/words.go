package config

import (
	"fmt"
	"slices"
	"strings"
)

// Choice is one word out of a few.
type Choice struct {
	// Of is what takes the word, as an error names it.
	Of string
	// Words are the ones there are.
	Words []string
}

// Check refuses a word that is not among them. The empty word is the default.
func (c Choice) Check(word string) error {
	switch {
	case word == "" || slices.Contains(c.Words, word):
		return nil
	case IsLater(c.Of + " " + word):
		return fmt.Errorf("%s %s is not available in this version; use %s", c.Of, word, c)
	}
	return fmt.Errorf("%s: unrecognized %q; use %s", c.Of, word, c)
}

// String lists the words.
func (c Choice) String() string { return List(c.Words) }

// later are words of the grammar that this version does not have: they are refused, never ignored. A word inside a
// block stands behind the name of that.
var later = []string{
	"encode_once",
}

// IsLater reports whether the grammar has a word that this version has not.
func IsLater(word string) bool { return slices.Contains(later, word) }

// List writes two words or more as in a sentence: a, b or c.
func List(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
