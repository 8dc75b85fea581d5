package tokens

import (
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// scope is a block of a site: its lines, and what it stands in.
type scope struct {
	opener *statement // whose block it is; nil: it is the site itself
	outer  *scope     // nil: the same
	lines  []*statement
}

// statement is a line of a block.
type statement struct {
	words  []string
	file   string
	line   int
	inner  *scope // its own block; nil: it has none
	hidden bool   // it has a matcher, which is not among its words
}

// limited reports whether a directive is not for all requests, or may not be.
func (s *statement) limited() bool {
	return s.hidden || len(s.words) > 1 && (strings.HasPrefix(s.words[1], "/") || strings.HasPrefix(s.words[1], "@"))
}

// is reports whether it is a directive of one of these names.
func (s *statement) is(names ...string) bool { return slices.Contains(names, s.words[0]) }

// has reports whether a word stands in the line, or begins one of its block.
func (s *statement) has(word string) bool {
	return slices.Contains(s.words, word) ||
		s.inner != nil && slices.ContainsFunc(s.inner.lines, func(l *statement) bool { return l.is(word) })
}

// siteAround reads the site that a directive stands in, all of it: what stands below, too. Caddy v2.11.9 shows nobody the
// lines beside a directive, so they are looked at where they are kept; nil: they are not there.
func siteAround(helper httpcaddyfile.Helper) *scope {
	segments := ofParentBlock(helper, "Segments")
	if segments.Kind() != reflect.Slice {
		return nil
	}
	site := new(scope)
	for i := range segments.Len() {
		if segments.Index(i).Kind() != reflect.Slice || !site.read(segments.Index(i)) {
			return nil
		}
	}
	return site
}

// token is a word of a Caddyfile, with its place.
type token struct {
	text, file string
	line       int
	quoted     bool
}

func tokenOf(v reflect.Value) (t token, ok bool) {
	if v.Kind() != reflect.Struct {
		return t, false
	}
	text, file, line, quoted := v.FieldByName("Text"), v.FieldByName("File"), v.FieldByName("Line"), v.FieldByName("wasQuoted")
	if text.Kind() != reflect.String || file.Kind() != reflect.String || !line.IsValid() || !line.CanInt() {
		return t, false
	}
	return token{text.String(), file.String(), int(line.Int()), quoted.IsValid() && !quoted.IsZero()}, true
}

// tokensOf are those of a directive with all that is in its block. When Caddy has read the matcher of a directive, it takes
// that word out and leaves the last one twice.
func tokensOf(segment reflect.Value) (all []token, hidden, ok bool) {
	for i := range segment.Len() {
		t, ok := tokenOf(segment.Index(i))
		if !ok {
			return nil, false, false
		}
		all = append(all, t)
	}
	if last := len(all) - 1; last > 0 && all[last] == all[last-1] {
		return all[:last], true, true
	}
	return all, false, true
}

// read adds the lines of a directive, and of all blocks in it.
func (s *scope) read(segment reflect.Value) bool {
	all, hidden, ok := tokensOf(segment)
	if !ok {
		return false
	}
	now, begins, first := s, true, len(s.lines)
	var before token
	for _, t := range all {
		begins = begins || t.file != before.file || t.line != before.line+strings.Count(before.text, "\n")
		before = t
		switch {
		case t.text == "}" && !t.quoted && begins:
			if now.outer == nil {
				return false
			}
			now = now.outer
		case t.text == "{" && !t.quoted && !begins:
			opener := now.lines[len(now.lines)-1]
			opener.inner = &scope{opener: opener, outer: now}
			now, begins = opener.inner, true
		case begins:
			now.lines = append(now.lines, &statement{words: []string{t.text}, file: t.file, line: t.line})
			begins = false
		default:
			last := now.lines[len(now.lines)-1]
			last.words = append(last.words, t.text)
		}
	}
	if first < len(s.lines) {
		s.lines[first].hidden = hidden
	}
	return now == s
}

// directives are the lines of a name in a scope.
func (s *scope) directives(name string) (all []*statement) {
	for _, line := range s.lines {
		if line.is(name) {
			all = append(all, line)
		}
	}
	return all
}

// within reports whether a scope is, or stands in, the block of one of these directives.
func (s *scope) within(names ...string) bool {
	for ; s != nil && s.opener != nil; s = s.outer {
		if s.opener.is(names...) {
			return true
		}
	}
	return false
}
