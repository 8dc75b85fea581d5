package httpcond

import (
	"net/http"
	"strings"
)

// RequiredOnNotModified are the fields, their names in canonical form, that a 304 must have if the 200
// would have them (RFC 9110 §15.4.5). It is not to be changed.
var RequiredOnNotModified = [...]string{"Cache-Control", "Content-Location", "Date", "Etag", "Expires", "Vary"}

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

// policies are the fields of a Content-Security-Policy.
var policies = [...]string{"Content-Security-Policy", "Content-Security-Policy-Report-Only"}

// nonceSource begins a nonce in a policy (CSP3 §2.3.1). Its case does not matter.
const nonceSource = "'nonce-"

// DropNonces takes each policy that has a nonce off a 304, whoever has made it. The stored page was built
// with another nonce: a cache would write this policy over the stored one (RFC 9111 §3.2), and no script of
// the page would run. The whole field goes, with all its lines, as one line that remained would take the place
// of all that are stored. The field for reports is one of its own.
func DropNonces(header http.Header) {
	for _, name := range policies {
		if HasNonce(header[name]) {
			delete(header, name)
		}
	}
}

// HasNonce reports whether the lines of a policy have a nonce.
func HasNonce(lines []string) bool {
	for _, line := range lines {
		for i := range len(line) - len(nonceSource) {
			if line[i] == nonceSource[0] && strings.EqualFold(line[i:i+len(nonceSource)], nonceSource) {
				return true
			}
		}
	}
	return false
}

// IsPolicy reports whether a field, its name in canonical form, is a Content-Security-Policy.
func IsPolicy(name string) bool { return name == policies[0] || name == policies[1] }

// CheckedOnNotModified reports whether a field, its name in canonical form, is
// one that a browser looks for in the 304 itself, and not in what it has
// stored: without it a script of another origin is refused the page, though
// the 200 had it (Fetch, CORS protocol; Resource Timing; CORP).
func CheckedOnNotModified(name string) bool {
	return strings.HasPrefix(name, "Access-Control-") || name == "Timing-Allow-Origin" || name == "Cross-Origin-Resource-Policy"
}
