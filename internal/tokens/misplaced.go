package tokens

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

const directive = "conditional_cache"

// Misplaced warns of a directive that does nothing where it stands, or not what it says; none: nothing of that is known. A
// line that an import has brought in several times stands in several places, and is misplaced if it is in all of them.
func Misplaced(helper httpcaddyfile.Helper, file string, line int) []string {
	said := ""
	for _, spot := range siteAround(helper).spots(file, line) {
		if said = spot.unreached(); said == "" {
			said = spot.offAlone()
		}
		if said == "" {
			return nil
		}
	}
	if said == "" {
		return nil
	}
	return []string{said}
}

// spot is where a line of a site stands.
type spot struct {
	line *statement
	in   *scope
}

// spots are those of a directive of this module.
func (s *scope) spots(file string, line int) (all []spot) {
	if s == nil {
		return nil
	}
	for _, l := range s.lines {
		if l.is(directive) && l.file == file && l.line == line {
			all = append(all, spot{l, s})
		}
		all = append(all, l.inner.spots(file, line)...)
	}
	return all
}

// unreached is what is to be said of a directive in a route that stands behind what answers all requests: there the order of
// the lines counts.
func (p spot) unreached() string {
	if p.in.opener == nil || !p.in.opener.is("route") || p.in.within("handle_errors") {
		return ""
	}
	for _, before := range p.in.lines[:slices.Index(p.in.lines, p.line)] {
		if before.answersAll() {
			return fmt.Sprintf("%s: never acts, as %s of line %d answers all requests before it: in route the order of the lines counts; write it above that line",
				directive, before.words[0], before.line)
		}
	}
	return ""
}

// answersAll reports whether a directive answers whatever comes to it, for sure: it has no matcher, and hands nothing on.
func (s *statement) answersAll() bool {
	switch {
	case s.limited():
		return false
	case s.is("respond"):
		return !s.has("103") // which only goes before an answer
	case s.is("file_server"):
		return !s.has("pass_thru")
	case s.is("reverse_proxy"):
		return !s.has("handle_response")
	}
	return s.is("redir", "error", "abort")
}

// offAlone is what is to be said of an off in a block of its own, where the directive outside goes on to act.
func (p spot) offAlone() string {
	if !slices.Contains(p.line.words, "off") || len(p.in.directives(directive)) > 1 || p.in.within("handle_errors", "handle_response") {
		return ""
	}
	inner := p.in
	for inner.outer != nil && len(inner.outer.directives(directive)) == 0 {
		inner = inner.outer
	}
	if inner.outer == nil {
		return ""
	}
	outside := inner.outer.actingOn(inner.opener)
	if outside == nil {
		return ""
	}
	return fmt.Sprintf("%s off: switches off itself alone, and the one of line %d outside of this block still acts; write it beside that one, as in %s /path/* off",
		directive, outside.line, directive)
}

// actingOn is a directive of a scope that acts on all requests to a block in it; nil: none does for sure. One that is off may
// have them left alone.
func (s *scope) actingOn(block *statement) (acts *statement) {
	lines := s.lines
	if s.opener != nil && s.opener.is("route") { // what stands below is not met before
		lines = lines[:slices.Index(lines, block)]
	}
	for _, l := range lines {
		switch {
		case !l.is(directive):
		case slices.Contains(l.words, "off"):
			return nil
		case acts == nil && !l.limited():
			acts = l
		}
	}
	return acts
}
