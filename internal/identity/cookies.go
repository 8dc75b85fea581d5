package identity

import (
	"iter"
	"slices"
	"strings"
)

// Rules say which cookies count. The zero value has those that sign nobody in at any site left out, and no others. It is
// not changed once it is in use, and can be used concurrently.
//
// There are two questions. Counts asks whether a cookie may say who somebody is. Ignores asks whether the operator has said
// that no answer depends on it: only that lets one person be answered with what was made for another. A load balancer's
// cookie signs nobody in, but it may lead to another version of a page.
type Rules struct {
	// Ignored are the names that `remember › ignore_cookies` gives; one with a * at its end stands for all that begin so.
	Ignored []string
}

// Counts reports whether a cookie may say who somebody is: any may, but those that are known not to, and those ignored.
//
// An upstream that takes a comma for the end of a cookie, as RFC 2109 once had it, sees another one behind it. So a
// cookie with a comma in it counts, whatever its name.
func (r *Rules) Counts(pair string) bool {
	return strings.Contains(pair, ",") || !r.Ignores(pair) && !signsNobodyIn(pair)
}

// Ignores reports whether the operator has said that no answer depends on a cookie.
func (r *Rules) Ignores(pair string) bool {
	if len(r.Ignored) == 0 {
		return false
	}
	name := NameOf(pair)
	return slices.ContainsFunc(r.Ignored, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	})
}

// Cookies are the cookies of the lines of a Cookie field, name and value, as they stand there. HTTP/2 may send each on a
// line of its own (RFC 9113 §8.2.3).
func Cookies(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for pair := range strings.SplitSeq(line, ";") {
				if pair = strings.Trim(pair, " \t"); pair != "" && !yield(pair) {
					return
				}
			}
		}
	}
}

// counted are the cookies that count, in a list of its own.
func (r *Rules) counted(lines []string) (counted []string) {
	for pair := range Cookies(lines) {
		if r.Counts(pair) {
			counted = append(counted, pair)
		}
	}
	return counted
}

// Changes reports whether a response makes its client somebody else, by the lines of its Set-Cookie and of the request's
// Cookie: whether it sets a cookie that counts to what the request did not have.
func (r *Rules) Changes(set, had []string) bool {
	for _, line := range set {
		pair, _, _ := strings.Cut(line, ";")
		if pair = strings.Trim(pair, " \t"); r.Counts(pair) && !has(had, pair) {
			return true
		}
	}
	return false
}

func has(lines []string, pair string) bool {
	for cookie := range Cookies(lines) {
		if cookie == pair {
			return true
		}
	}
	return false
}

// NameOf is the name of a cookie as Cookies gives it.
func NameOf(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.Trim(name, " \t")
}

// signsNobodyIn reports whether a cookie is one of which it is certain that no site knows its users by it: the counters of
// Google Analytics, and what load balancers find their way back by under a name that is theirs alone.
//
// Names are compared whole. What only begins so is somebody else's: _gallery_session is a session of Rails, and
// AWSELBAuthSessionCookie-0 signs users in at the load balancer itself. SERVERID (HAProxy), BIGipServer… (F5) and the like
// are names that operators give, so they count. So does __cf_bm, as it is no load balancer's: it is Cloudflare's judgement
// of the client. Where these change often, ignore_cookies leaves them out.
func signsNobodyIn(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	if name == "_ga" || name == "_gid" || Balances(pair) {
		return true
	}
	property, ok := strings.CutPrefix(name, "_ga_")
	return ok && property != "" && consistsOf(property, isUpperOrDigit)
}

// Balances reports whether a cookie is one that load balancers find their way back by, under a name that is theirs alone.
func Balances(pair string) bool {
	name, value, _ := strings.Cut(pair, "=")
	switch name {
	case "AWSALB", "AWSALBCORS", "AWSALBTG", "AWSALBTGCORS", "AWSELB", "AWSELBCORS", // Amazon's balancers
		"AWSALBAPP-0", "AWSALBAPP-1", "AWSALBAPP-2", "AWSALBAPP-3",
		"ARRAffinity", "ARRAffinitySameSite", "ApplicationGatewayAffinity", "ApplicationGatewayAffinityCORS", "ASLBSA", "ASLBSACORS", // Azure's
		"GCLB", "GCILB", // Google's
		"__cflb", "DO-LB", "heroku-session-affinity", "INGRESSCOOKIE": // Cloudflare's, DigitalOcean's, Heroku's, that of ingress-nginx
		return true
	case "lb": // Caddy's, which is a digest; a name so short may be anybody's, too
		return len(value) == 64 && consistsOf(value, isHex)
	}
	return false
}

func consistsOf(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

func isUpperOrDigit(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' }
