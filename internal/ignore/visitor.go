package ignore

import (
	"maps"
	"slices"
	"strings"
)

// visitorOf is what counts instead of a token of ASP.NET: the antiforgery cookies of the request, and every other field
// that may say who asks. It is empty if these do not tell whether the token is still good, so that the token counts.
//
// Such a token is refused unless the antiforgery cookie and the user are those it was made for, and it is the server
// that says who the user is: what signed one in for the stored page (a ticket, a session) may have run out since,
// with the request the same to the letter. Only of a visitor whom nothing signs in is the user known, as there is none.
// A cookie that the server can no longer read it replaces at once, hence Set-Cookie, whatever that cookie's name.
func visitorOf(resp *Response) string {
	if resp.Identified || resp.Header["Set-Cookie"] != nil {
		return ""
	}
	antiforgery, ok := antiforgeryOf(resp.Request["Cookie"])
	if !ok {
		return ""
	}
	var visitor strings.Builder
	visitor.WriteString(antiforgery)
	for _, name := range slices.Sorted(maps.Keys(resp.Request)) {
		if name == "Cookie" || isIncidental(name) {
			continue
		}
		for _, line := range resp.Request[name] {
			visitor.WriteString("\x00" + name + "\x00" + line)
		}
	}
	return visitor.String()
}

// antiforgeryOf returns the antiforgery cookies. It fails if there is none, or if there is a cookie that may sign
// someone in: any that is not known for something else.
func antiforgeryOf(lines []string) (found string, ok bool) {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			switch {
			case pair == "":
			case strings.Contains(pair, ","): // where ASP.NET may see a cookie more
				return "", false
			case isAntiforgery(name):
				found += pair + ";"
			case !isHarmless(name):
				return "", false
			}
		}
	}
	return found, found != ""
}

// isAntiforgery reports whether a cookie's name is one that ASP.NET Core (AntiforgeryOptionsSetup) or the Framework
// (AntiForgeryConfig) gives by itself. Under another name the cookie is one like any other, and the token counts.
func isAntiforgery(name string) bool {
	return strings.HasPrefix(name, ".AspNetCore.Antiforgery.") || isOrBegins(name, "__RequestVerificationToken", "_")
}

// isHarmless reports whether a cookie's name is of those that sign nobody in: of visitor counts, most of which are
// another one with each page, of consent, language and load balancers.
func isHarmless(name string) bool {
	switch name {
	case "_gid", "_fbp", "_clck", "_clsk", "__utma", "__utmb", "__utmc", "__utmt", "__utmz", // counts
		".AspNet.Consent", ".AspNetCore.Culture", "ARRAffinity", "ARRAffinitySameSite":
		return true
	}
	return isOrBegins(name, "_ga", "_") || isOrBegins(name, "_gat", "_") ||
		isOrBegins(name, "_pk_id", ".") || isOrBegins(name, "_pk_ses", ".") || isOrBegins(name, "_pk_ref", ".")
}

// isOrBegins reports whether a name is the given one, or that one and more behind a separator.
func isOrBegins(name, given, separator string) bool {
	rest, begins := strings.CutPrefix(name, given)
	return begins && (rest == "" || strings.HasPrefix(rest, separator))
}

// isIncidental reports whether a request field, named as in http.Header, is of those that tell nothing of the user and
// are another one when a page is loaded again. Every other field counts, those unknown here among them: proxies that
// sign users in say who they are in fields of any name.
func isIncidental(name string) bool {
	switch name {
	case "Cache-Control", "Pragma", "Range", "Referer", "Connection", "Te", "Upgrade-Insecure-Requests",
		"Priority", "Purpose", "Downlink", "Ect", "Rtt", "Save-Data", //nolint:misspell // Effective Connection Type
		"Traceparent", "Tracestate", "X-Request-Id", "X-Correlation-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Cf-Ray":
		return true
	}
	return name == "Accept" || strings.HasPrefix(name, "Accept-") || strings.HasPrefix(name, "If-") || strings.HasPrefix(name, "Sec-")
}
