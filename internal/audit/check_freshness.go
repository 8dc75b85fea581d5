package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// checkFreshness looks at what the page says of its freshness (RFC 9111 §4.2, §5.2, §5.3).
func checkFreshness(o *Observation) (all []Finding) {
	page := o.page()
	if page == nil {
		return nil
	}
	directives := httpcond.ParseCacheControl(page.Header["Cache-Control"])
	if !freshness.Explicit(page.Header) && usable(page) {
		all = append(all, found(Heuristic, "Last-Modified: "+page.Header.Get("Last-Modified")+", and neither Cache-Control nor Expires"))
	}
	if malformed := malformedDirectives(page.Header["Cache-Control"], directives); len(malformed) > 0 {
		all = append(all, found(MalformedCacheControl, strings.Join(malformed, ", ")))
		return all
	}
	if pair := contradiction(directives); pair != "" {
		all = append(all, found(Contradiction, "Cache-Control: "+pair))
	}
	if evidence := expiresContradicts(page, directives); evidence != "" {
		all = append(all, found(ExpiresContradicts, evidence))
	}
	return all
}

// malformedDirectives are those that recipients do not understand as they are meant.
func malformedDirectives(lines []string, directives []httpcond.Directive) (all []string) {
	for _, d := range directives {
		kind, known := httpcond.DirectiveArgument(d.Name)
		switch {
		case strings.Contains(d.Value, ";"): // max-age=60; public
			all = append(all, d.Name+"="+d.Value)
		case known && kind == httpcond.SecondsArgument && !isSeconds(d.Value):
			all = append(all, d.Name+"="+d.Value)
		case !known && misspelt(d.Name):
			all = append(all, d.Name+" (meant "+httpcond.NearestDirective(d.Name)+"?)")
		}
	}
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(member), "=")
			if !strings.Contains(line, `"`) && name != "" && !httpcond.IsToken(name) {
				all = append(all, strings.TrimSpace(member))
			}
		}
	}
	return all
}

func isSeconds(s string) bool {
	_, err := strconv.ParseUint(s, 10, 63)
	return err == nil
}

// misspelt reports whether a name is that of a directive but for a hyphen or an underscore. Other names are extensions.
func misspelt(name string) bool {
	plain := func(s string) string { return strings.NewReplacer("-", "", "_", "").Replace(s) }
	return plain(name) == plain(httpcond.NearestDirective(name))
}

// contradictions are pairs of which only one can be meant. The argument of the second one counts if it is there.
var contradictions = [...][2]string{
	{"public", "private"},
	{"no-store", "max-age"},
	{"no-store", "public"},
	{"no-store", "immutable"},
	{"no-cache", "immutable"},
	{"private", "s-maxage"},
}

// means reports whether a directive says anything: `private="Set-Cookie"` speaks of a field only, and max-age=0 agrees with
// all that has clients ask each time.
func means(d httpcond.Directive) bool {
	if d.Name == "max-age" || d.Name == "s-maxage" {
		return strings.Trim(d.Value, "0") != ""
	}
	return !d.HasValue
}

// contradiction is the first pair that is there, or a directive that is there with two values.
func contradiction(directives []httpcond.Directive) string {
	has := func(name string) bool {
		return slices.ContainsFunc(directives, func(d httpcond.Directive) bool { return d.Name == name && means(d) })
	}
	for _, pair := range contradictions {
		if has(pair[0]) && has(pair[1]) {
			return pair[0] + ", " + pair[1]
		}
	}
	for i, d := range directives {
		for _, other := range directives[:i] {
			if d.Name == other.Name && d.Value != other.Value {
				return fmt.Sprintf("%s=%s, %s=%s", other.Name, other.Value, d.Name, d.Value)
			}
		}
	}
	return ""
}

// expiresContradicts compares Expires with max-age, and with what has clients ask each time. What is no date stands for
// the past (RFC 9111 §5.3).
func expiresContradicts(e *Exchange, directives []httpcond.Directive) string {
	const slack = 10 * time.Second
	lines := e.Header["Expires"]
	if len(lines) == 0 || len(directives) == 0 || e.date().IsZero() {
		return ""
	}
	expires, _ := httpcond.ParseDate(lines[0], e.Now)
	lasts := max(0, expires.Sub(e.date()))
	if expires.IsZero() {
		lasts = 0
	}
	evidence := "Expires: " + lines[0] + ", Cache-Control: " + strings.Join(e.Header["Cache-Control"], ", ")
	for _, d := range directives {
		seconds, err := strconv.ParseInt(d.Value, 10, 32)
		switch {
		case d.Name == "max-age" && err == nil:
			if apart := (time.Duration(seconds)*time.Second - lasts).Abs(); apart > slack {
				return evidence
			}
		case (d.Name == "no-cache" || d.Name == "no-store") && !d.HasValue && lasts > slack:
			return evidence
		}
	}
	return ""
}
