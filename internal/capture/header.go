package capture

import (
	"net/http"
	"slices"
)

// copyOut makes dst hold exactly the fields of src. The lists of lines are shared, but an append on one
// side does not show on the other. What an edit in place does is up to detach.
func copyOut(dst, src http.Header) {
	for name := range dst {
		if _, ok := src[name]; !ok {
			delete(dst, name)
		}
	}
	for name, lines := range src {
		dst[name] = slices.Clip(lines)
	}
}

// detach gives header lists of its own, in one array, because handlers edit lines in place (Caddy's header directive
// does): what waits here must not show that, and may be read in another goroutine.
func detach(header http.Header) {
	n := 0
	for _, lines := range header {
		n += len(lines)
	}
	all := make([]string, 0, n)
	for name, lines := range header {
		if lines == nil { // not an empty list: nil keeps net/http from adding a field of its own
			continue
		}
		start := len(all)
		all = append(all, lines...)
		header[name] = all[start:len(all):len(all)]
	}
}

// saved remembers the fields of a header map. The few that a server sets before any handler runs need
// no memory of their own.
type saved struct {
	few  [6]field
	n    int
	more []field
}

type field struct {
	name  string
	lines []string
}

// keep remembers header's fields and copies them into clone, with lists of its own: where there is one line, out of
// lines.
func (s *saved) keep(header, clone http.Header, lines *Lines) {
	for name, list := range header {
		switch len(list) {
		case 0:
			clone[name] = list // nil stays nil
		case 1:
			clone[name] = lines.One(list[0])
		default:
			clone[name] = slices.Clone(list)
		}
		if s.n < len(s.few) {
			s.few[s.n] = field{name, list}
			s.n++
		} else {
			s.more = append(s.more, field{name, list})
		}
	}
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
