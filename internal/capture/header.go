package capture

import (
	"net/http"
	"slices"
)

// saved remembers the fields of a header map. The few that a server sets before any handler runs need
// no memory of their own.
type saved struct {
	few  [4]field
	n    int // of few
	more []field
}

type field struct {
	name  string
	lines []string
}

// usual are the fields that Caddy's server has set before any handler runs.
var usual = [...]string{"Server", "Alt-Svc"}

// keep remembers header's fields and copies them into clone, with lists of its own: where there is one line, out of
// lines.
func (s *saved) keep(header, clone http.Header, lines *Lines) {
	for _, name := range usual { // mostly there is nothing else, and a look is cheaper than a walk
		if list, there := header[name]; there {
			s.keepOne(name, list, clone, lines)
		}
	}
	if s.n == len(header) {
		return
	}
	for name, list := range header {
		if !slices.Contains(usual[:], name) {
			s.keepOne(name, list, clone, lines)
		}
	}
}

func (s *saved) keepOne(name string, list []string, clone http.Header, lines *Lines) {
	clone[name] = lines.copyOf(list)
	if s.n < len(s.few) {
		s.few[s.n] = field{name, list}
		s.n++
	} else {
		s.more = append(s.more, field{name, list})
	}
}

// forget makes it the zero value.
func (s *saved) forget() {
	clear(s.few[:s.n])
	s.n, s.more = 0, nil
}

// dropFrom takes those fields off outer that inner does not have any longer. Outer has none but the remembered ones.
func (s *saved) dropFrom(outer, inner http.Header) {
	for i := range s.few[:s.n] {
		drop(outer, inner, s.few[i].name)
	}
	for i := range s.more {
		drop(outer, inner, s.more[i].name)
	}
}

func drop(outer, inner http.Header, name string) {
	if _, there := inner[name]; !there {
		delete(outer, name)
	}
}

// lines are those of a remembered field; nil: it is none.
func (s *saved) lines(name string) []string {
	for i := range s.few[:s.n] {
		if s.few[i].name == name {
			return s.few[i].lines
		}
	}
	for i := range s.more {
		if s.more[i].name == name {
			return s.more[i].lines
		}
	}
	return nil
}

// restore makes header hold exactly the remembered fields.
func (s *saved) restore(header http.Header) {
	clear(header)
	for _, f := range s.few[:s.n] {
		header[f.name] = f.lines
	}
	for _, f := range s.more {
		header[f.name] = f.lines
	}
}
