package audit

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// plainPath are the paths that a selector can have as they are.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._~!$&'()+,;=:@-]*$`)

// selector is the path of the page as a line of cache_control has it; empty: it cannot be written as it is.
func (o *Observation) selector() string {
	u, err := url.Parse(o.Final)
	if err != nil || !plainPath.MatchString(u.Path) || strings.Contains(u.Path, "//") {
		return ""
	}
	return u.Path
}

// lineFor is a line of cache_control for the page alone, in place of what its server says.
func lineFor(selector, directives string) string {
	return "cache_control " + selector + " " + directives + " {\n\texisting replace\n}"
}

// password is a field that one is typed into.
var password = regexp.MustCompile(`(?i)<input[^>]*\stype\s*=\s*["']?password`)

// cureNoStore is for that page alone, and not for what is somebody's for sure: there no-store may be right.
func cureNoStore(o *Observation) Cure {
	page := o.page()
	const leave = ", so leave it as it is: it is not to be found on anybody's disk."
	switch selector := o.selector(); {
	case password.Match(page.Body):
		return Cure{Reason: "The page has a field for a password" + leave}
	case len(cookieNames(o.First)) > 0 || len(cookieNames(page)) > 0:
		return Cure{Reason: "The answer sets a cookie" + leave}
	case selector != "":
		return Cure{Lines: lineFor(selector, "private no-cache"), Reason: NoStore.Cure().Reason}
	}
	return Cure{Reason: NoStore.Cure().Reason}
}

// cureWithout is for a 304 that lacks some fields. Where a line of cache_control can give it them, that is enough, and no
// content has to be read for it.
func cureWithout(o *Observation, lacking []string) Cure {
	for _, name := range lacking {
		if name != "Cache-Control" && name != "Expires" {
			return NotModifiedWithout.Cure()
		}
	}
	said, selector := directivesOf(o.page()), o.selector()
	if said == "" || selector == "" {
		return NotModifiedWithout.Cure()
	}
	return Cure{Lines: lineFor(selector, said), Reason: "If a line of cache_control is for that page already, existing replace in its block is enough."}
}

// directivesOf is the Cache-Control of a page as a line has it; empty: a line cannot say that.
func directivesOf(page *Exchange) string {
	if page == nil {
		return ""
	}
	lines := page.Header["Cache-Control"]
	directives := httpcond.ParseCacheControl(lines)
	if len(malformedDirectives(lines, directives)) > 0 || contradiction(directives) != "" {
		return ""
	}
	var words []string
	for _, d := range directives {
		switch kind, known := httpcond.DirectiveArgument(d.Name); {
		case known && kind == httpcond.SecondsArgument:
			words = append(words, d.Name+"="+d.Value)
		case known && !d.HasValue:
			words = append(words, d.Name)
		default:
			return ""
		}
	}
	return strings.Join(words, " ")
}
