package httpcond

import "strings"

// SizeOfWhole returns the complete length that a Content-Range names, "bytes 0-4/36" (RFC 9110 §14.4); ok
// is false when it names none, as in "bytes 0-4/*", or is malformed.
func SizeOfWhole(contentRange string) (size int64, ok bool) {
	unit, rest, _ := strings.Cut(trimOWS(contentRange), " ")
	part, whole, _ := strings.Cut(rest, "/")
	size, ok = parsePosition(whole)
	return size, ok && equalFold(unit, "bytes") && part != ""
}
