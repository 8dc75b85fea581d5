// Package report prints what an audit has found: for people in a terminal, for programs, and as a page.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

// maxPartsShown is how many parts that differ are listed for people. Programs get all.
const maxPartsShown = 5

// printer writes lines. It keeps the first error, so that the callers need not look at each.
type printer struct {
	w      io.Writer
	colour bool
	err    error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// paint colours a text, by the number of a colour in a terminal (ECMA-48 §8.3.117).
func (p *printer) paint(code, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

var severityColours = [...]string{audit.Note: "36", audit.Warning: "33", audit.Error: "31"}

const (
	bold  = "1"
	faint = "2"
	green = "32"
)

// Text writes a report for people. leftOut is how many URLs were not looked at, as there were too many.
func Text(w io.Writer, r *audit.Report, leftOut int, colour bool) error {
	p := &printer{w: w, colour: colour}
	for _, page := range r.Pages {
		p.page(page)
	}
	if len(r.Site) > 0 {
		p.linef("%s", p.paint(bold, "All pages"))
		p.findings(r.Site)
		p.linef("")
	}
	t := r.Totals()
	p.linef("%s: %s, %s, %s; %s sent", count(t.Pages, "page"), count(t.Errors, "error"), count(t.Warnings, "warning"), count(t.Notes, "note"),
		count(t.Requests, "request"))
	p.linef("A reload of all pages saves %s, and sends %s in full.", Size(t.Saved), Size(t.Lost))
	if leftOut > 0 {
		p.linef("%s not looked at; --limit lets more be looked at.", count(leftOut, "further URL"))
	}
	return p.err
}

func (p *printer) page(page *audit.Page) {
	p.linef("%s", p.paint(bold, page.URL))
	switch {
	case page.Status != 200:
	case page.Confirmed:
		p.linef("  a reload is a 304, which saves %s", Size(page.Saved()))
	default:
		p.linef("  a reload is sent in full: %s", Size(page.Lost()))
	}
	if len(page.Findings) == 0 {
		p.linef("  %s", p.paint(green, "nothing to mend"))
	}
	p.findings(page.Findings)
	p.linef("")
}

func (p *printer) findings(all []audit.Finding) {
	for i := range all {
		f := &all[i]
		severity := f.Kind.Severity()
		p.linef("  %s %s (%s)", p.paint(severityColours[severity], severity.String()), p.paint(bold, f.Kind.String()), f.Kind.Section())
		p.linef("    %s", f.Kind.Sentence())
		if f.Evidence != "" {
			p.linef("    %s", p.paint(faint, f.Evidence))
		}
		p.parts(f.Parts)
		p.cure(f.Cure)
	}
}

func (p *printer) parts(parts []audit.Part) {
	for i := range parts {
		if i == maxPartsShown {
			p.linef("    … and %d more", len(parts)-i)
			return
		}
		one := &parts[i]
		before := ""
		if one.Before != "" {
			before = ", behind " + one.Before
		}
		p.linef("    octets %d to %d: %s%s", one.From, one.To, one.Looks, before)
	}
}

func (p *printer) cure(c audit.Cure) {
	if c.Reason != "" {
		p.linef("    %s", c.Reason)
	}
	for line := range strings.Lines(c.Caddyfile()) {
		p.linef("      %s", p.paint(green, strings.TrimRight(line, "\n")))
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Size is a number of octets as people read it.
func Size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f KB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
