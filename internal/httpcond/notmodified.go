package httpcond

import "strings"

// DroppedFromNotModified reports whether a field of the 200, its name in
// canonical form, stays out of the 304 that stands for it (RFC 9110 §15.4.5).
//
// Left out is what describes the content that is not sent: a cache would write
// it over the stored fields (RFC 9111 §3.2), and the Content-Encoding or digest
// of this moment need not be those of the stored bytes. Everything else stays,
// as a client or a middleman acts on it with every response: CORS, cookies,
// policies. Last-Modified depends on the ETag beside it and is the caller's.
func DroppedFromNotModified(name string) bool {
	switch name {
	case "Content-Location", "Content-Security-Policy", "Content-Security-Policy-Report-Only":
		return false
	case "Transfer-Encoding", "Trailer", "Accept-Ranges", "Repr-Digest", "Digest":
		return true
	}
	return strings.HasPrefix(name, "Content-")
}

// CheckedOnNotModified reports whether a field, its name in canonical form, is
// one that a browser looks for in the 304 itself, and not in what it has
// stored: without it a script of another origin is refused the page, though
// the 200 had it (Fetch, CORS protocol; Resource Timing; CORP).
func CheckedOnNotModified(name string) bool {
	return strings.HasPrefix(name, "Access-Control-") || name == "Timing-Allow-Origin" || name == "Cross-Origin-Resource-Policy"
}
