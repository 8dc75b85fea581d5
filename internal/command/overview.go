package command

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// view is how an overview is shown.
type view struct {
	address string
	before  *topSaid // the last look, which rates are counted from; nil: there are no rates
	colour  bool
}

// since is the time between two looks; 0: there is nothing to compare with, as it is the first one, or as the process has begun
// anew.
func (v *view) since(now *topSaid) time.Duration {
	if v.before == nil || !v.before.Since.Equal(now.Since) {
		return 0
	}
	return now.taken.Sub(v.before.taken)
}

// rate is how many more there are in a second; empty where that is not known.
func rate(now, before uint64, in time.Duration) string {
	if in <= 0 || now < before {
		return ""
	}
	return fmt.Sprintf("%.1f/s", float64(now-before)/in.Seconds())
}

// write writes an overview, a list below the other.
func (s *topSaid) write(w io.Writer, v *view) error {
	var text strings.Builder
	s.writeHead(&text, v)
	before := v.before
	if before == nil {
		before = new(topSaid)
	}
	for _, list := range [...]struct {
		title       string
		now, before []reasonSaid
	}{
		{"WHY NO 304", s.Reasons, before.Reasons},
		{"WHY NOT FROM MEMORY", s.Memory, before.Memory},
		{"WHY NOT REMEMBERED", s.NotRemembered, before.NotRemembered},
	} {
		if err := s.writeReasons(&text, v, list.title, list.now, list.before); err != nil {
			return err
		}
	}
	if err := s.writeURLs(&text, v); err != nil {
		return err
	}
	if len(s.Stores) > 0 {
		text.WriteByte('\n')
		if err := writeStores(&text, s.Stores); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, v.paint(text.String()))
	return err
}

func (s *topSaid) writeHead(w io.Writer, v *view) {
	in := v.since(s)
	_, _ = fmt.Fprintf(w, "%s since %s\n", v.address, s.Since.Local().Format("2 January 2006, 15:04:05"))
	var parts []string
	for _, total := range [...]struct {
		what string
		of   func(*topSaid) uint64
	}{
		{"conditional requests", func(s *topSaid) uint64 { return s.Conditional }},
		{"answers 304", func(s *topSaid) uint64 { return s.NotModified }},
		{"of these from memory", func(s *topSaid) uint64 { return s.FromMemory }},
	} {
		part := fmt.Sprintf("%s: %d", total.what, total.of(s))
		if in > 0 {
			part += " (" + rate(total.of(s), total.of(v.before), in) + ")"
		}
		parts = append(parts, part)
	}
	_, _ = fmt.Fprintln(w, strings.Join(parts, ", "))
}

// writeReasons writes a list of reasons; none where nothing was counted.
func (s *topSaid) writeReasons(w io.Writer, v *view, title string, list, before []reasonSaid) error {
	if len(list) == 0 {
		return nil
	}
	in := v.since(s)
	rows := [][]string{{title, "TOTAL", "", ""}}
	for i := range list {
		said := &list[i]
		name := said.Reason
		if said.Outcome != "" {
			name = said.Outcome + " " + said.Reason
		}
		each := ""
		if n, known := countOf(before, said); known {
			each = rate(said.Count, n, in)
		}
		rows = append(rows, []string{plain(name), number(said.Count), each, plain(said.Sentence)})
	}
	_, _ = fmt.Fprintln(w)
	return writeTable(w, rows)
}

func (s *topSaid) writeURLs(w io.Writer, v *view) error {
	if len(s.URLs) == 0 {
		return nil
	}
	before := make(map[string]uint64)
	if v.before != nil {
		for _, u := range v.before.URLs {
			before[u.URL] = u.Changed
		}
	}
	rows := [][]string{{"WHERE THE TAG DOES NOT REPEAT", "200", "CHANGED", "", "UNMATCHED", "304", ""}}
	for _, u := range s.URLs {
		each := ""
		if n, known := before[u.URL]; known {
			each = rate(u.Changed, n, v.since(s))
		}
		rows = append(rows, []string{plain(u.URL), number(u.Tagged), number(u.Changed), each, number(u.Unmatched), number(u.NotModified), ""})
	}
	_, _ = fmt.Fprintln(w)
	return writeTable(w, rows)
}

// paint makes titles bold.
func (v *view) paint(text string) string {
	if !v.colour {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if title, _, _ := strings.Cut(line, " "); title != "" && strings.ToUpper(title) == title && strings.ToLower(title) != title {
			lines[i] = "\x1b[1m" + line + "\x1b[0m"
		}
	}
	return strings.Join(lines, "\n")
}
