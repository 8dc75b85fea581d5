package ignore

import (
	"net/http"
	"strings"
)

// policies are the fields of a Content-Security-Policy.
var policies = [...]string{"Content-Security-Policy", "Content-Security-Policy-Report-Only"}

// nonceSource begins a nonce in a policy (CSP3 §2.3.1).
const nonceSource = "'nonce-"

func hasNonce(header http.Header) bool {
	for _, name := range policies {
		for _, line := range header[name] {
			if strings.Contains(strings.ToLower(line), nonceSource) {
				return true
			}
		}
	}
	return false
}

// policyWithoutNonces is the mark for a policy with a nonce, empty if there is none. As no 304 brings its changes, a
// change of it, nonces aside, has to be one of the page.
func policyWithoutNonces(header http.Header) string {
	if !hasNonce(header) {
		return ""
	}
	var mark strings.Builder
	for _, name := range policies {
		mark.WriteString(markPolicy)
		for _, line := range header[name] {
			mark.WriteByte(0)
			writeWithoutNonces(&mark, line)
		}
	}
	return mark.String()
}

func writeWithoutNonces(to *strings.Builder, line string) {
	lower := strings.ToLower(line)
	if len(lower) != len(line) { // letters that no policy has
		to.WriteString(line)
		return
	}
	for {
		i := strings.Index(lower, nonceSource)
		if i < 0 {
			to.WriteString(line)
			return
		}
		i += len(nonceSource)
		to.WriteString(line[:i])
		if closed := strings.IndexByte(line[i:], '\''); closed > 0 {
			i += closed
		}
		line, lower = line[i:], lower[i:]
	}
}
