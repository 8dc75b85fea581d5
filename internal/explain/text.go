package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// order is that of a story, and titles what stands above its parts.
var order = [...]struct{ about, title string }{
	{Asked, "What was asked"},
	{Came, "What came"},
	{AskedAgain, "The reload"},
	{Decided, "What was decided"},
	{Server, "What the server says"},
	{Counters, "What was counted"},
	{Change, "What would change it"},
}

// Insert adds sentences where their part of the story belongs.
func (s *Story) Insert(about string, sentences []string) {
	for _, text := range sentences {
		s.Lines = append(s.Lines, Line{About: about, Says: text})
	}
	slices.SortStableFunc(s.Lines, func(a, b Line) int { return placeOf(a.About) - placeOf(b.About) })
}

func placeOf(about string) int {
	for i, part := range order {
		if part.about == about {
			return i
		}
	}
	return len(order)
}

// about are the lines of one part.
func (s *Story) about(part string) (all []Line) {
	for _, l := range s.Lines {
		if l.About == part {
			all = append(all, l)
		}
	}
	return all
}

// Text writes a story for people.
func Text(w io.Writer, s *Story, colour bool) error {
	paint := func(code, text string) string {
		if !colour {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m" // ECMA-48 §8.3.117
	}
	const bold, faint, green = "1", "2", "32"
	var b strings.Builder
	for _, part := range order {
		lines := s.about(part.about)
		if len(lines) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(paint(bold, part.title) + "\n")
		for _, l := range lines {
			b.WriteString("  " + l.Says)
			if l.Section != "" {
				b.WriteString(" " + paint(faint, "["+l.Section+"]"))
			}
			b.WriteByte('\n')
			for line := range strings.Lines(l.Caddyfile) {
				b.WriteString("    " + paint(green, strings.TrimRight(line, "\n")) + "\n")
			}
		}
	}
	_, err := fmt.Fprint(w, b.String())
	return err
}
