package audit

import (
	"slices"
	"strings"
)

// checkSharing looks at who may store the page.
func checkSharing(o *Observation) (all []Finding) {
	if page := o.page(); page != nil && page.says("no-store") {
		f := found(NoStore, "Cache-Control: "+strings.Join(page.Header["Cache-Control"], ", "))
		f.Cure = cureNoStore(o)
		all = append(all, f)
	}
	for _, e := range append([]*Exchange{o.First}, o.answers[:]...) {
		if e == nil || e.Err != nil || e.Header == nil || e.Status != 200 && e.Status != 304 || e.says("no-store") || e.says("private") {
			continue
		}
		if names := cookieNames(e); len(names) > 0 && (e.says("public") || e.says("s-maxage")) {
			line := strings.Join(e.Header["Cache-Control"], ", ")
			return append(all, found(PublicSetCookie, "Cache-Control: "+line+", Set-Cookie: "+strings.Join(names, ", ")))
		}
	}
	return all
}

// cookieNames are the names only: values say who somebody is.
func cookieNames(e *Exchange) (names []string) {
	for _, line := range e.Header["Set-Cookie"] {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, strings.TrimSpace(name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
