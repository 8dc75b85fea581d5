package config

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// ReadRow reads the words behind `cache_control`: selectors, maybe, and directives, which are left to Check; or off. It
// refuses what is no directive where the compiler would guess at a misspelt one.
func ReadRow(words []string) (row CacheControl, err error) {
	for len(words) > 0 && isSelector(words[0]) {
		if err := addSelector(&row, words[0]); err != nil {
			return row, err
		}
		words = words[1:]
	}
	if row.Off = slices.Equal(words, []string{"off"}); row.Off {
		return row, nil
	}
	row.Directives = words
	for i, word := range words {
		if err := row.checkWord(word, i); err != nil {
			return row, fmt.Errorf("cache_control: %w", err)
		}
	}
	return row, nil
}

// checkWord refuses what is no directive. i counts the words behind the selectors.
func (c CacheControl) checkWord(word string, i int) error {
	subject := strings.TrimSuffix("cache_control "+c.Selector(), " ")
	switch {
	case strings.TrimSpace(word) == "":
		return errors.New("an empty word is no directive; remove it")
	case word == "off":
		return fmt.Errorf("off stands alone behind the selectors; write %s off, or remove off", subject)
	case word == "@":
		return errors.New("a response matcher needs a name after @; write @missing, and define it with @missing status 404")
	case word == "*":
		return errors.New("* is no directive; leave it out: a line without a selector is for every other response")
	case strings.HasPrefix(word, "*"):
		return fmt.Errorf("%q is no directive; a path pattern begins with a slash. For one kind of file write its media type, such as %s", word, typeOfEnding(word))
	case isSelector(word):
		return fmt.Errorf("unexpected %q; selectors come first: write it in front of %s", word, c.Directives[0])
	case i+1 < len(c.Directives) && needsSeconds(word) && startsWithDigit(c.Directives[i+1]):
		return fmt.Errorf("%s needs its lifetime without a space; write %[1]s=%s", word, strings.TrimRight(c.Directives[i+1], ","))
	case i == 0 && (strings.HasPrefix(word, ".") || typesOfEndings[strings.ToLower(word)] != ""):
		return fmt.Errorf("%q is no directive; for one kind of file write its media type, such as %s", word, typeOfEnding(word))
	case i == 0 && slices.Contains(topLevelTypes, strings.ToLower(word)):
		return fmt.Errorf("%q is no directive; write %[1]s/* for all media types of that kind", strings.ToLower(word))
	}
	return nil
}

// needsSeconds reports whether a word is a directive that lacks its lifetime.
func needsSeconds(word string) bool {
	kind, known := httpcond.DirectiveArgument(strings.ToLower(word))
	return known && kind == httpcond.SecondsArgument
}

func startsWithDigit(word string) bool { return word != "" && word[0] >= '0' && word[0] <= '9' }

// topLevelTypes are the registered ones that name a kind of content.
var topLevelTypes = []string{"application", "audio", "font", "image", "model", "text", "video"}

// typesOfEndings are the media types of the usual files.
var typesOfEndings = map[string]string{
	"css": "text/css", "js": "text/javascript", "mjs": "text/javascript", "html": "text/html", "htm": "text/html", "json": "application/json",
	"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "avif": "image/avif", "svg": "image/svg+xml",
	"woff": "font/woff", "woff2": "font/woff2", "pdf": "application/pdf", "xml": "application/xml", "txt": "text/plain", "mp4": "video/mp4",
}

// typeOfEnding is the media type of files such as *.css; of endings that are not among the usual ones it is an example.
func typeOfEnding(pattern string) string {
	ending := strings.ToLower(pattern[strings.LastIndexAny(pattern, "*.")+1:])
	return cmp.Or(typesOfEndings[ending], "text/css or image/*")
}

// isSelector reports whether a word is a selector. A media type with parameters is taken for one for the sake of a clear
// error.
func isSelector(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	return strings.HasPrefix(word, "/") || strings.HasPrefix(word, "@") && len(word) > 1 || strings.Contains(name, "/") && !strings.Contains(name, `"`)
}

// addSelector adds a selector to a row. It has to be of the kind of those before it.
func addSelector(c *CacheControl, word string) error {
	kind := func(word string) string {
		switch {
		case strings.HasPrefix(word, "/"):
			return "a path"
		case strings.HasPrefix(word, "@"):
			return "a response matcher"
		}
		return "a media type"
	}
	if before := c.selectors(); len(before) > 0 && (kind(before[0]) != kind(word) || word[0] == '@') {
		first := cmp.Or(strings.Join(append(c.Path, c.MediaType...), " "), "@"+c.ResponseMatcher)
		which := fmt.Sprintf("%s is %s and %s %s", before[0], kind(before[0]), word, kind(word))
		if kind(before[0]) == kind(word) {
			which = fmt.Sprintf("%s and %s are response matchers", before[0], word)
		}
		return fmt.Errorf("cache_control: %s, and one line has paths, or media types, or one response matcher; "+
			"write two lines, such as cache_control %s max-age=1h and cache_control %s max-age=1h", which, first, word)
	}
	switch word[0] {
	case '/':
		c.Path = append(c.Path, word)
	case '@':
		c.ResponseMatcher = word[1:]
	default:
		c.MediaType = append(c.MediaType, word)
	}
	return nil
}

// selectors are those of a row as in a Caddyfile; none: it has none.
func (c CacheControl) selectors() (all []string) {
	if c.ResponseMatcher != "" {
		return []string{"@" + c.ResponseMatcher}
	}
	for _, selector := range slices.Concat(c.Path, c.MediaType) {
		all = append(all, strings.ToLower(selector)) // neither is compared with regard to case
	}
	return all
}

// Selector writes a row's selectors as in a Caddyfile; empty: it has none.
func (c CacheControl) Selector() string { return strings.Join(c.selectors(), " ") }

// checkOff refuses a row that is off without anything that it is off for, or with anything else.
func (c CacheControl) checkOff() error {
	switch {
	case len(c.selectors()) == 0:
		return errors.New("off needs a selector, such as /api/*; to set no Cache-Control at all, remove all of cache_control")
	case len(c.Directives)+len(c.Extension) > 0 || c.Existing != "" || c.Jitter != 0:
		return errors.New("off goes with selectors and nothing else; remove the rest, or remove off")
	}
	return nil
}

func (c CacheControl) checkSelector() error {
	if (len(c.Path) > 0 && len(c.MediaType) > 0) || c.ResponseMatcher != "" && len(c.Path)+len(c.MediaType) > 0 {
		return errors.New("one line has one kind of selector: paths, media types or a response matcher; write a line for each kind")
	}
	if c.Path != nil && len(c.Path) == 0 || c.MediaType != nil && len(c.MediaType) == 0 {
		return errors.New("an empty list selects nothing; remove it for every response, or name one, such as /assets/* or image/*")
	}
	for _, path := range c.Path {
		if err := checkPath(path); err != nil {
			return err
		}
	}
	for _, mediaType := range c.MediaType {
		if err := checkMediaType(mediaType); err != nil {
			return err
		}
	}
	return checkRepeated(c.selectors())
}

func checkPath(pattern string) error {
	switch {
	case strings.Contains(pattern, "?"):
		return fmt.Errorf("path %q: a path selector has no query; end it before the question mark", pattern)
	case !strings.HasPrefix(pattern, "/"):
		return fmt.Errorf("path %q has to begin with a slash; for one kind of file say its media type, such as %s", pattern, typeOfEnding(pattern))
	case !validPattern(pattern):
		return fmt.Errorf("path %q is not a pattern: a bracket or backslash stands alone; write a backslash in front of it", pattern)
	}
	return nil
}

// validPattern: Caddy takes a malformed pattern for one that never matches.
func validPattern(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err == nil
}

func checkMediaType(s string) error {
	kind, subtype, found := strings.Cut(s, "/")
	plain, _, parameters := strings.Cut(s, ";")
	switch {
	case found && httpcond.IsToken(kind) && httpcond.IsToken(subtype) && kind != "*" &&
		(subtype == "*" || !strings.Contains(subtype, "*")) && httpcond.MediaType(s) != "":
		return nil
	case parameters:
		return fmt.Errorf("%q is not a media type such as text/html or image/*; write %s, which stands for it with every parameter", s, strings.TrimSpace(plain))
	case strings.Contains(s, ","):
		return fmt.Errorf("%q is not a media type such as text/html or image/*; several are separated by spaces", s)
	case s == "*/*":
		return fmt.Errorf("%q is not a media type such as text/html or image/*; leave it out: a line without a selector is for every other response", s)
	}
	return fmt.Errorf("%q is not a media type such as text/html or image/*", s)
}

// checkRepeated refuses selectors that another one of the same row takes all of.
func checkRepeated(selectors []string) error {
	for i, selector := range selectors {
		for j, other := range selectors {
			if i < j && selector == other {
				return fmt.Errorf("%s is named twice; name it once", selector)
			}
			if i != j && covers(other, selector) && selector != other {
				return fmt.Errorf("%s is part of %s; remove it", selector, other)
			}
		}
	}
	return nil
}

// CheckOrder refuses rows that could never apply, and selectors in them that could not.
func (h *Handler) CheckOrder() error {
	for i, row := range h.CacheControl {
		for _, above := range h.CacheControl[:i] {
			if err := row.checkBelow(above); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c CacheControl) checkBelow(above CacheControl) error {
	selector := c.Selector()
	switch {
	case above.Selector() == selector:
		return fmt.Errorf("cache_control %s: a second line for the same responses never applies; keep one", cmp.Or(selector, "without a selector"))
	case above.Selector() == "" && c.ResponseMatcher == "":
		return fmt.Errorf("cache_control %s: never applies, as a cache_control line without a selector stands above it; move that one to the end", selector)
	}
	own := c.selectors()
	for _, one := range own {
		for _, other := range above.selectors() {
			switch {
			case other == one:
				return fmt.Errorf("cache_control %s: cache_control %s above it is for %s, too, and the first line counts; remove it from one of them", selector, above.Selector(), one)
			case covers(other, one) && len(own) == 1:
				return fmt.Errorf("cache_control %s: never applies, as cache_control %s above it matches all of this; move that one below", selector, above.Selector())
			case covers(other, one):
				return fmt.Errorf("cache_control %s: %s never applies, as cache_control %s above it matches all of this; move that one below", selector, one, above.Selector())
			}
		}
	}
	return nil
}

// covers reports whether a selector in lower case plainly selects every response that another one does: /a/* and /a/b*,
// image/* and image/png.
func covers(wide, narrow string) bool {
	if wide == "" || narrow == "" || wide[0] == '@' {
		return false
	}
	if kind, isRange := strings.CutSuffix(wide, "/*"); isRange && wide[0] != '/' {
		return strings.HasPrefix(narrow, kind+"/")
	}
	prefix, isPrefix := strings.CutSuffix(wide, "*")
	// Nothing is said of patterns that Caddy compares escaped, unmerged or by placeholders.
	plain := func(s string) bool { return !strings.ContainsAny(s, `?[\%{`) && !strings.Contains(s, "//") }
	return isPrefix && wide[0] == '/' && !strings.Contains(prefix, "*") && plain(prefix) && plain(narrow) && strings.HasPrefix(narrow, prefix)
}
