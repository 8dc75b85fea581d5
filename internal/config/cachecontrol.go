package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
)

// CacheControl is a row of `cache_control`.
type CacheControl struct {
	Path            OneOrMore
	MediaType       OneOrMore
	ResponseMatcher string
	Off             bool
	Directives      []string
	Extension       []string
	Existing        string
	Jitter          float64
}

// RowExisting are the words of `cache_control › existing`.
var RowExisting = Choice{Of: "existing", Words: []string{"keep", "merge", "replace"}}

// Check refuses what is wrong in a row by itself.
func (c CacheControl) Check() error {
	_, err := c.compile()
	return err
}

// CheckExtension refuses words that are no directives of an extension, before the rest of their row is known.
func CheckExtension(words []string) error { return CacheControl{Extension: words}.Check() }

// CheckJitter refuses a percentage that cannot be meant, before the rest of its row is known.
func CheckJitter(percent float64) error { return freshness.CheckJitter(percent) }

// compile checks a row by itself, and readies what it says.
func (c CacheControl) compile() (*freshness.Row, error) {
	if err := c.checkSelector(); err != nil {
		return nil, err
	}
	if c.Off {
		return freshness.Silence, c.checkOff()
	}
	if err := RowExisting.Check(c.Existing); err != nil {
		return nil, err
	}
	return freshness.Compile(freshness.Source{
		Directives: c.Directives, Extension: c.Extension, Existing: existingWords[c.Existing], Jitter: c.Jitter,
	}, caddy.ParseDuration)
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

// inRow names the row that an error is of, as JSON counts it.
func inRow(i int, err error) error { return fmt.Errorf("cache_control[%d]: %w", i, err) }

// CheckMatcher refuses the name of a response matcher that is not defined; the empty name is none.
func (h *Handler) CheckMatcher(name string) error {
	if _, defined := h.ResponseMatchers[name]; !defined && name != "" {
		return fmt.Errorf("cache_control @%s: no response matcher of that name in this block; define it there, as in @%s status 404, "+
			"or @%s header <field> <pattern>. A request matcher does not work here: write its path, as in cache_control /assets/* max-age=1h, "+
			"or give it to the directive, as in conditional_cache @%s 1h", name, name, name, name)
	}
	return nil
}

// OnePathOnly warns of a path that looks like that of a folder, and matches itself alone.
func OnePathOnly(path string) string {
	name := path[strings.LastIndex(path, "/")+1:]
	if path == "" || path == "/" || strings.ContainsAny(path, "*?[{") || strings.Contains(name, ".") {
		return ""
	}
	return fmt.Sprintf("matches that path alone, and nothing below it; for a folder write %s/*", strings.TrimSuffix(path, "/"))
}

// onePathsOnly is OnePathOnly of each path. Which of several it is, each text says.
func (c CacheControl) onePathsOnly() (all []string) {
	for _, path := range c.Path {
		text := OnePathOnly(path)
		if text != "" && len(c.Path) > 1 {
			text = path + " " + text
		}
		all = append(all, text)
	}
	return all
}

// isOfPages reports whether a media type, or a range of them, has pages among what it stands for.
func isOfPages(mediaType string) bool {
	return slices.Contains([]string{"text/html", "text/*", "application/xhtml+xml"}, strings.ToLower(mediaType))
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
	remember := valueOr(h.Remember)
	for i, row := range h.CacheControl {
		compiled, err := row.compile()
		if err != nil {
			continue
		}
		subject := strings.TrimSuffix("cache_control "+row.Selector(), " ")
		for _, text := range compiled.Warnings(freshness.About{
			Pages: slices.ContainsFunc(row.MediaType, isOfPages),
			Dated: h.Expires == "modified",
			Late:  remember.Grace > 0 || remember.StaleIfError > 0,
		}) {
			all = append(all, Warning{Row: i, Text: subject + ": " + text})
		}
		for _, text := range append(row.onePathsOnly(), h.onlyWithoutCharset(row)) {
			if text != "" {
				all = append(all, Warning{Row: i, Text: subject + ": " + text})
			}
		}
	}
	return append(append(all, valueOr(h.ETag).warnings()...), remember.warnings()...)
}
