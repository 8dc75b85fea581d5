package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
)

// Choice is one word out of a few.
type Choice struct {
	// Of is what takes the word, as an error names it.
	Of string
	// Words are the ones there are.
	Words []string
	// On is the one that somebody means who says on, or true; empty: on is among Words, or nothing is meant.
	On string
	// Cure is what to write in place of a word that is known from elsewhere; nil, or an empty text: nothing is known of it.
	Cure func(word string) string
}

// Check refuses a word that is not among them. The empty word is the default.
func (c Choice) Check(word string) error {
	if word == "" || slices.Contains(c.Words, word) {
		return nil
	}
	if c.Cure != nil {
		if cure := c.Cure(word); cure != "" {
			return fmt.Errorf("%s: unrecognized %q; write %s", c.Of, word, cure)
		}
	}
	switch meant, elsewhere := c.meant(word), CureOfArgument(word, c.Of); {
	case IsLater(c.Of + " " + word):
		return fmt.Errorf("%s %s is not available in this version; use %s", c.Of, word, c)
	case elsewhere != "":
		return fmt.Errorf("%s: unrecognized %q; use %s (%s)", c.Of, word, c, elsewhere)
	case meant != "":
		return fmt.Errorf("%s: unrecognized %q; write %s (the words are %s)", c.Of, word, meant, c)
	}
	return fmt.Errorf("%s: unrecognized %q; use %s", c.Of, word, c)
}

// meant is the word of the choice that another one is written for; empty: nobody knows.
func (c Choice) meant(word string) string {
	lower := strings.ToLower(word)
	switch {
	case slices.Contains(c.Words, lower):
		return lower
	case slices.Contains([]string{"on", "true", "yes", "enabled", "default"}, lower):
		return c.On
	case slices.Contains([]string{"off", "false", "no", "none", "disabled", "never"}, lower) && slices.Contains(c.Words, "off"):
		return "off"
	}
	return nearest(lower, c.Words)
}

// String lists the words.
func (c Choice) String() string { return List(c.Words) }

// later are words of the grammar that this version does not have: they are refused, never ignored. A word inside a
// block stands behind the name of that.
var later = []string{
	"digest", "cache_control target", "cache_control no_vary_search", "remember ignore_query", "remember groups", "remember early_hints",
}

// IsLater reports whether the grammar has a word that this version has not.
func IsLater(word string) bool { return slices.Contains(later, word) }

// InUnits is a number of weeks, months or years, or of other times in words, as a duration; empty: it is none.
func InUnits(word string) string { return freshness.InUnits(word) }

// List writes two words or more as in a sentence: a, b or c.
func List(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
