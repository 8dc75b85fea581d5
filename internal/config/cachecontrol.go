package config

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// CacheControl is a row of `cache_control`.
type CacheControl struct {
	Path            string
	MediaType       string
	ResponseMatcher string
	Directives      []string
	Extension       []string
	Existing        string
	Jitter          float64
}

// RowExisting are the words of `cache_control › existing`.
var RowExisting = Choice{Of: "existing", Words: []string{"keep", "merge", "replace"}}

// ReadRow reads the words behind `cache_control`: a selector, maybe, and directives, which are left to Check. It
// refuses what is no directive where the compiler would guess at a misspelt one.
func ReadRow(words []string) (row CacheControl, err error) {
	if len(words) > 0 && takeSelector(&row, words[0]) {
		words = words[1:]
	}
	row.Directives = words
	for _, word := range words {
		switch {
		case strings.TrimSpace(word) == "":
			return row, errors.New("cache_control: an empty word is no directive")
		case word == "@":
			return row, errors.New("cache_control: a response matcher needs a name after @")
		case strings.HasPrefix(word, "*"):
			return row, fmt.Errorf("cache_control: %q is no directive; a path pattern begins with a slash", word)
		case takeSelector(new(CacheControl), word):
			return row, fmt.Errorf("cache_control: unexpected %q; a row begins with its selector, and has one at most", word)
		}
	}
	return row, nil
}

// takeSelector reports whether a row's first word is a selector, and takes it. A media type with
// parameters is taken for the sake of a clear error.
func takeSelector(c *CacheControl, word string) bool {
	name, _, _ := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(word, "/"):
		c.Path = word
	case strings.HasPrefix(word, "@") && len(word) > 1:
		c.ResponseMatcher = word[1:]
	case strings.Contains(name, "/") && !strings.Contains(name, `"`):
		c.MediaType = word
	default:
		return false
	}
	return true
}

// Check refuses what is wrong in a row by itself.
func (c CacheControl) Check() error {
	_, err := c.compile()
	return err
}

// CheckExtension refuses words that are no directives of an extension, before the rest of their row is known.
func CheckExtension(words []string) error { return CacheControl{Extension: words}.Check() }

// CheckJitter refuses a percentage that cannot be meant, before the rest of its row is known.
func CheckJitter(percent float64) error { return freshness.CheckJitter(percent) }

// Selector writes a row's selector as in a Caddyfile; empty: it has none.
func (c CacheControl) Selector() string {
	if c.ResponseMatcher != "" {
		return "@" + c.ResponseMatcher
	}
	return strings.ToLower(cmp.Or(c.Path, c.MediaType)) // neither is compared with regard to case
}

// compile checks a row by itself, and readies what it says.
func (c CacheControl) compile() (*freshness.Row, error) {
	if err := c.checkSelector(); err != nil {
		return nil, err
	}
	if err := RowExisting.Check(c.Existing); err != nil {
		return nil, err
	}
	return freshness.Compile(freshness.Source{
		Directives: c.Directives, Extension: c.Extension, Existing: existingWords[c.Existing], Jitter: c.Jitter,
	}, caddy.ParseDuration)
}

func (c CacheControl) checkSelector() error {
	given := 0
	for _, selector := range []string{c.Path, c.MediaType, c.ResponseMatcher} {
		if selector != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("a row has one selector: a path, a media type or a response matcher")
	case strings.Contains(c.Path, "?"):
		return fmt.Errorf("path %q: a path selector has no query", c.Path)
	case c.Path != "" && !strings.HasPrefix(c.Path, "/"):
		return fmt.Errorf("path %q has to begin with a slash", c.Path)
	case !validPattern(c.Path):
		return fmt.Errorf("path %q is not a pattern: a bracket or backslash stands alone", c.Path)
	case c.MediaType != "" && !validMediaType(c.MediaType):
		return fmt.Errorf("%q is not a media type such as text/html or image/*", c.MediaType)
	}
	return nil
}

// validPattern: Caddy takes a malformed pattern for one that never matches.
func validPattern(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err == nil
}

func validMediaType(s string) bool {
	kind, subtype, found := strings.Cut(s, "/")
	return found && httpcond.IsToken(kind) && httpcond.IsToken(subtype) && kind != "*" &&
		(subtype == "*" || !strings.Contains(subtype, "*")) && httpcond.MediaType(s) != ""
}

func (h *Handler) checkRows() error {
	for i, row := range h.CacheControl {
		if err := row.Check(); err != nil {
			return inRow(i, err)
		}
		if err := h.CheckMatcher(row.ResponseMatcher); err != nil {
			return err
		}
	}
	return h.CheckOrder()
}

// inRow names the row, which counts from 0, that an error is of.
func inRow(i int, err error) error { return fmt.Errorf("cache_control row %d: %w", i+1, err) }

// CheckMatcher refuses the name of a response matcher that is not defined; the empty name is none.
func (h *Handler) CheckMatcher(name string) error {
	if _, defined := h.ResponseMatchers[name]; !defined && name != "" {
		return fmt.Errorf("cache_control @%s: no response matcher of that name; define it with @%s status <code...>", name, name)
	}
	return nil
}

// CheckOrder refuses rows that could never apply.
func (h *Handler) CheckOrder() error {
	for i, row := range h.CacheControl {
		for _, above := range h.CacheControl[:i] {
			switch selector := row.Selector(); {
			case above.Selector() == selector:
				return fmt.Errorf("cache_control %s: a second row for the same responses would never apply; keep one", cmp.Or(selector, "without a selector"))
			case above.Selector() == "" && row.ResponseMatcher == "":
				return fmt.Errorf("cache_control %s: never applies, as a row without a selector stands above it; move that one to the end", selector)
			case above.covers(row):
				return fmt.Errorf("cache_control %s: never applies, as the row %s above it takes all of it; move that one below", selector, above.Selector())
			}
		}
	}
	return nil
}

// covers reports whether a row plainly selects every response that another one does: /a/* and /a/b*,
// image/* and image/png.
func (c CacheControl) covers(other CacheControl) bool {
	if kind, isRange := strings.CutSuffix(strings.ToLower(c.MediaType), "/*"); isRange {
		return strings.HasPrefix(strings.ToLower(other.MediaType), kind+"/")
	}
	prefix, isPrefix := strings.CutSuffix(strings.ToLower(c.Path), "*")
	// Nothing is said of patterns that Caddy compares escaped, unmerged or by placeholders.
	plain := func(s string) bool { return !strings.ContainsAny(s, `?[\%{`) && !strings.Contains(s, "//") }
	return isPrefix && !strings.Contains(prefix, "*") && plain(prefix) && plain(other.Path) &&
		strings.HasPrefix(strings.ToLower(other.Path), prefix)
}

// OnePathOnly warns of a path that looks like that of a folder, and matches itself alone.
func OnePathOnly(path string) string {
	name := path[strings.LastIndex(path, "/")+1:]
	if path == "" || path == "/" || strings.ContainsAny(path, "*?[{") || strings.Contains(name, ".") {
		return ""
	}
	return fmt.Sprintf("matches that path alone, and nothing below it; for a folder write %s/*", strings.TrimSuffix(path, "/"))
}

// onlyWithoutCharset warns of a response matcher for a media type that matches no field with a parameter.
func (h *Handler) onlyWithoutCharset(c CacheControl) string {
	for name, values := range h.ResponseMatchers[c.ResponseMatcher].Headers {
		for _, value := range values {
			if strings.EqualFold(name, "Content-Type") && value != "" && !strings.ContainsAny(value, "*;") {
				return fmt.Sprintf("Content-Type %s does not match %[1]s; charset=utf-8; write %[1]s*, or the media type in place of @%s", value, c.ResponseMatcher)
			}
		}
	}
	return ""
}

// Warning is about a row, or another part, that is valid, and probably not what was meant.
type Warning struct {
	// Row is the row's place among CacheControl, from 0 on; NoRow where it is about another part.
	Row int
	// Of is that other part, as OfExpression and OfSetCookie name it; empty for a row.
	Of   string
	Text string
}

// NoRow is the Row of a warning that is about no row.
const NoRow = -1

// Warnings are those of the rows, in their order, and then those of `etag` and `remember`. Of what Check refuses there are none.
func (h *Handler) Warnings() (all []Warning) {
	for i, row := range h.CacheControl {
		compiled, err := row.compile()
		if err != nil {
			continue
		}
		subject := strings.TrimSuffix("cache_control "+row.Selector(), " ")
		for _, text := range compiled.Warnings(freshness.About{
			Pages: slices.Contains([]string{"text/html", "text/*", "application/xhtml+xml"}, strings.ToLower(row.MediaType)),
			Dated: h.Expires == "modified",
		}) {
			all = append(all, Warning{Row: i, Text: subject + ": " + text})
		}
		for _, text := range []string{OnePathOnly(row.Path), h.onlyWithoutCharset(row)} {
			if text != "" {
				all = append(all, Warning{Row: i, Text: subject + ": " + text})
			}
		}
	}
	return append(append(all, valueOr(h.ETag).warnings()...), valueOr(h.Remember).warnings()...)
}
