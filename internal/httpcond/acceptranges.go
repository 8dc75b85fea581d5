package httpcond

// AcceptsNoRanges reports whether an Accept-Ranges field says that ranges of no
// unit are supported: it names "none", and nothing else (RFC 9110 §14.3).
func AcceptsNoRanges(lines []string) (none bool) {
	for unit := range members(lines) {
		if none = equalFold(unit, "none"); !none {
			return false
		}
	}
	return none
}
