package httpcond

import "strings"

// AcceptsNoRanges reports whether an Accept-Ranges field says that ranges of no
// unit are supported: it names "none", and nothing else (RFC 9110 §14.3).
func AcceptsNoRanges(lines []string) (none bool) {
	for _, line := range lines {
		for line != "" {
			var unit string
			unit, line, _ = strings.Cut(line, ",")
			if unit = trimOWS(unit); unit == "" {
				continue
			}
			if none = equalFold(unit, "none"); !none {
				return false
			}
		}
	}
	return none
}
