// Package lastmodified finds out when a response was last modified where its upstream does not say so: from
// another field, from a JSON body, or from the files it is made of.
//
// A date that is found here is good for If-Modified-Since and no more. It speaks of what the operator has
// named, which need not be all that the response is made from, and the upstream has never heard of it: it is
// no strong validator, and no condition with it can be left to the upstream.
package lastmodified

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Source is one place that a date may come from: of Header, JSON and Files one is set.
type Source struct {
	// Header is the name of a response field.
	Header string
	// JSON is a path into a JSON body, in the syntax of gjson.
	JSON string
	// Files are paths of files, with placeholders; the newest counts.
	Files []string
	// Layout is a form of dates in the words of Go's package time. Empty: every form that
	// httpcond.ParseLenientDate reads.
	Layout string
}

// String writes a source as in a Caddyfile.
func (s Source) String() string {
	switch {
	case s.Header != "":
		return "header " + http.CanonicalHeaderKey(s.Header)
	case s.JSON != "":
		return "json " + s.JSON
	}
	return "file " + strings.Join(s.Files, " ")
}

// Same reports whether two sources always give the same dates.
func (s Source) Same(other Source) bool {
	return s.String() == other.String() && s.Layout == other.Layout
}

// Check refuses a source that can never give a date.
func (s Source) Check() error {
	kinds := 0
	for _, set := range []bool{s.Header != "", s.JSON != "", len(s.Files) > 0} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("a source is one of header, json and file; write a source for each")
	}
	check := s.checkHeader
	switch {
	case s.JSON != "":
		check = func() error { return checkPath(s.JSON) }
	case len(s.Files) > 0:
		check = s.checkFiles
	}
	if err := check(); err != nil {
		return err
	}
	return checkLayout(s.Layout)
}

// meaningless are fields with a date that is not one of a change.
var meaningless = map[string]string{
	"Date":    "it says when the message was sent",
	"Expires": "it says when the response becomes stale",
}

func (s Source) checkHeader() error {
	name := http.CanonicalHeaderKey(s.Header)
	switch why := meaningless[name]; {
	case !httpcond.IsToken(s.Header):
		return fmt.Errorf("%q is not a field name such as X-Updated-At", s.Header)
	case why != "":
		return fmt.Errorf("%s is no date of a change: %s; name a field that says when the content changed, such as X-Updated-At", name, why)
	case name == "Last-Modified" && s.Layout == "":
		return errors.New("Last-Modified is read anyway; name another field, or a layout for one that is not understood")
	}
	return nil
}

func (s Source) checkFiles() error {
	if s.Layout != "" {
		return errors.New("a file's time has no layout; remove the layout")
	}
	for i, path := range s.Files {
		switch {
		case path == "":
			return errors.New("an empty path names no file; remove it")
		case strings.ContainsRune(path, 0):
			return fmt.Errorf("%q has a NUL in it, which no path has", path)
		case strings.ContainsRune(path, '*'):
			return fmt.Errorf("%s: patterns are not understood; name the files", path)
		case strings.HasSuffix(path, "/") || strings.HasSuffix(path, `\`):
			return fmt.Errorf("%s is a folder, whose time says nothing of the files in it; name the files", path)
		case slices.Contains(s.Files[:i], path):
			return fmt.Errorf("%s is named twice; name it once", path)
		}
	}
	return nil
}

// checkPath refuses what is no path of gjson, or one that yields no date: paths in other syntaxes would be
// taken for names of keys.
func checkPath(path string) error {
	switch {
	case strings.HasPrefix(path, "$"):
		return fmt.Errorf("%s looks like JSONPath; write %s", path, inDots(path))
	case strings.HasPrefix(path, "/"):
		return fmt.Errorf("%s looks like a JSON pointer; write %s", path, inDots(path))
	}
	parts, closed := components(path)
	if !closed {
		return fmt.Errorf("%s has a bracket without its other one; close it, as in items.#(kind==page).updated_at", path)
	}
	for _, part := range parts {
		switch {
		case part == "":
			return fmt.Errorf("%s has an empty part; write %s", path, inDots(path))
		case strings.ContainsAny(part[:1], "{!") || part[0] != '#' && strings.Contains(strings.ReplaceAll(part, `\[`, ""), "["):
			return fmt.Errorf("%s: a part is the name of a key, the number of a member, # or #(...); write a path such as %s", path, inDots(path))
		case part[0] == '@' && gjson.ModifierExists(strings.SplitN(part[1:], ":", 2)[0], nil):
			return fmt.Errorf("%s: modifiers such as %s are not available; write the path without it", path, part)
		}
	}
	if parts[len(parts)-1] == "#" {
		return fmt.Errorf("%s is the number of members; write %s.updated_at for the latest of their dates", path, path)
	}
	return nil
}

// inDots is a path in the syntax of JSONPath, of JSON pointers or of jq as one of gjson.
func inDots(path string) string {
	path = strings.TrimPrefix(path, "$")
	if strings.HasPrefix(path, "/") {
		path = strings.ReplaceAll(path, "/", ".")
	}
	path = strings.NewReplacer("[*]", ".#", "[", ".", "]", "", "'", "", `"`, "", "{", "", "}", "", "!", "").Replace(path)
	parts := strings.FieldsFunc(path, func(c rune) bool { return c == '.' })
	return cmp.Or(strings.Join(parts, "."), "updated_at")
}

// components are the parts of a path: what dots and pipes separate that are neither escaped nor in a query.
// closed tells that every bracket of a query has its other one.
func components(path string) (parts []string, closed bool) {
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\':
			i++
		case c == '"' && depth > 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return nil, false
			}
		case (c == '.' || c == '|') && depth == 0:
			parts = append(parts, path[start:i])
			start = i + 1
		}
	}
	return append(parts, path[start:]), depth == 0
}

// sample has parts that differ from each other and from every default.
var sample = time.Date(2013, time.October, 24, 21, 17, 38, 0, time.UTC)

// checkLayout refuses a layout out of which no day, or the wrong hour, would be read.
func checkLayout(layout string) error {
	if layout == "" {
		return nil
	}
	read, err := time.ParseInLocation(layout, sample.Format(layout), time.UTC)
	day := sample.Truncate(24 * time.Hour)
	switch {
	case strings.Contains(layout, "MST"):
		return fmt.Errorf("layout %q: a zone by name says nothing certain; use -0700 or Z07:00", layout)
	case err != nil || !read.Truncate(24*time.Hour).Equal(day):
		return fmt.Errorf(`layout %q names no year, month and day; write Go's reference date in the form of the field, such as "02.01.2006 15:04"`, layout)
	case !slices.ContainsFunc([]time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second}, func(unit time.Duration) bool {
		return read.Equal(sample.Truncate(unit))
	}):
		return fmt.Errorf("layout %q does not tell morning from evening, or leaves out the hour; write 15 for the hour, or PM behind 03", layout)
	}
	return nil
}

// Sources are compiled ones. They are immutable and may be used concurrently.
type Sources struct {
	headers []dated
	json    []dated
	files   []file
}

// dated is a text with dates in it.
type dated struct {
	name   string // of a field, or the path
	label  string // for notes
	layout string
}

// Compile readies sources that Check has passed; nil when there are none.
func Compile(sources []Source) *Sources {
	if len(sources) == 0 {
		return nil
	}
	s := new(Sources)
	for _, source := range sources {
		switch {
		case source.Header != "":
			s.headers = append(s.headers, dated{http.CanonicalHeaderKey(source.Header), source.String(), source.Layout})
		case source.JSON != "":
			s.json = append(s.json, dated{source.JSON, source.String(), source.Layout})
		}
		for _, path := range source.Files {
			s.files = append(s.files, newFile(filepath.FromSlash(path)))
		}
	}
	nest(s.files)
	return s
}

// read reads one date: in the layout, if there is one. An empty text is none.
func (d *dated) read(text string, now time.Time) (time.Time, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return time.Time{}, errAbsent
	case d.layout == "":
		if t, ok := httpcond.ParseLenientDate(text, now); ok {
			return t, nil
		}
		return time.Time{}, errNoDate
	}
	t, err := time.ParseInLocation(d.layout, strings.TrimSpace(text), time.UTC)
	if err != nil {
		return time.Time{}, errNoDate
	}
	return t, nil
}

var (
	errAbsent    = errors.New("not there")
	errNoDate    = errors.New("no date that is understood")
	errBuild     = errors.New("the time of a build tool")
	errUnread    = errors.New("not read: too long, too deep, no memory for it, or in another content coding than gzip")
	errFailed    = errors.New("the date of the last change could not be told")
	errRecent    = errors.New("of this second, or later: another change might not show")
	errElsewhere = errors.New("not asked, as an instance further in has stopped waiting")
	errLate      = errors.New("not read to the end in time")
	errNoJSON    = errors.New("not JSON")
	errNoFile    = errors.New("not a regular file")
	errFolder    = errors.New("a folder; a file in it counts")
	errOutside   = errors.New(`".." in a placeholder`)
)
