package audit

import (
	"strings"
)

// Severity is how much a finding matters.
type Severity uint8

// Note: nothing is wrong, but whoever reads the report should know. Warning: clients or servers do more work than they
// need to, or a recommendation of an RFC is not followed. Error: a client may show what is not current, or a mechanism
// does not work at all.
const (
	Note Severity = iota
	Warning
	Error
)

var severities = [...]string{Note: "note", Warning: "warning", Error: "error"}

// String is the word that reports have.
func (s Severity) String() string { return severities[s] }

// Cure is what to do about a finding: lines of a conditional_cache block, or else the reason why no line helps, and what
// does.
type Cure struct {
	// Lines are what stands in the block, with tabs for indentation.
	Lines string
	// Bare: the directive by itself is enough.
	Bare bool
	// Reason is a sentence. Beside lines it says what has to be minded.
	Reason string
}

// Caddyfile is the directive to copy, empty if no line helps.
func (c Cure) Caddyfile() string {
	switch {
	case c.Lines != "":
		return "conditional_cache {\n\t" + strings.ReplaceAll(c.Lines, "\n", "\n\t") + "\n}"
	case c.Bare:
		return "conditional_cache"
	}
	return ""
}

// Inline is the directive in one line, for tables; what is nested stands behind ›.
func (c Cure) Inline() string {
	if c.Lines == "" {
		return c.Caddyfile()
	}
	var parts []string
	depth := 0
	for line := range strings.Lines(c.Lines) {
		line = strings.TrimSpace(line)
		switch head, opens := strings.CutSuffix(line, " {"); {
		case line == "}":
			depth--
		case depth > 0:
			parts[len(parts)-1] += " › " + line
		default:
			parts = append(parts, head)
			if opens {
				depth++
			}
		}
	}
	return strings.Join(parts, "; ")
}

// Kind is what a finding says. The set is closed; names are a promise to those who read the JSON.
type Kind uint8

// about is what there is to know of a kind.
type about struct {
	name     string
	severity Severity
	sentence string
	section  string // where it is written
	cure     Cure
}

// Kinds are all of them, in the order of reports.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for i := range kinds {
		all = append(all, Kind(i))
	}
	return all
}

// String is the name of a kind, in lower_snake.
func (k Kind) String() string { return kinds[k].name }

// Severity is how much a finding of this kind matters.
func (k Kind) Severity() Severity { return kinds[k].severity }

// Sentence says what is wrong.
func (k Kind) Sentence() string { return kinds[k].sentence }

// Section is where it is written what would be right.
func (k Kind) Section() string { return kinds[k].section }

// Cure is what helps in general. A finding may have a better one.
func (k Kind) Cure() Cure { return kinds[k].cure }

// Finding is one thing found at a URL.
type Finding struct {
	Kind Kind
	// Evidence is what was seen, in one line.
	Evidence string
	// Cure is that of the kind, unless more is known.
	Cure Cure
	// Parts are what differs between two fetches, where that is what was found.
	Parts []Part
}

// found makes a finding with the cure of its kind.
func found(kind Kind, evidence string) Finding {
	return Finding{Kind: kind, Evidence: evidence, Cure: kind.Cure()}
}
