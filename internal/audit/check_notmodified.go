package audit

import (
	"net/http"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// checkNotModified looks at the fields of the 304, beside those of the 200 that it stands for.
func checkNotModified(o *Observation) []Finding {
	var without, changes, describes, nonces []string
	for _, pair := range [...]struct{ asked, of Probe }{{TagOne, Identity}, {TagCoded, Gzip}, {Date, Identity}} {
		answer, page := o.answer(pair.asked), o.ok(pair.of)
		if !confirmed(answer) || page == nil {
			continue
		}
		without = append(without, lacking(answer, page)...)
		if o.steady() && !confirmed(o.answer(TagOther)) {
			changes = append(changes, changed(o, answer, page)...)
		}
		describes = append(describes, described(answer, page)...)
		for name, lines := range answer.Header {
			if httpcond.IsPolicy(name) && httpcond.HasNonce(lines) {
				nonces = append(nonces, name)
			}
		}
	}
	var all []Finding
	for _, one := range [...]struct {
		kind  Kind
		names []string
	}{
		{NotModifiedWithout, without},
		{NotModifiedChanges, changes},
		{NotModifiedDescribes, describes},
		{NotModifiedNonce, nonces},
	} {
		if len(one.names) == 0 {
			continue
		}
		slices.Sort(one.names)
		names := slices.Compact(one.names)
		f := found(one.kind, strings.Join(names, ", "))
		if one.kind == NotModifiedWithout {
			f.Cure = cureWithout(o, names)
		}
		all = append(all, f)
	}
	return all
}

func lacking(answer, page *Exchange) (names []string) {
	for _, name := range httpcond.RequiredOnNotModified {
		if len(page.Header[name]) > 0 && len(answer.Header[name]) == 0 {
			names = append(names, fieldName(name))
		}
	}
	return names
}

// changed are the fields with another value. What moves from answer to answer, as a max-age that counts down, is none.
func changed(o *Observation, answer, page *Exchange) (names []string) {
	for _, name := range [...]string{"Cache-Control", "Content-Location", "Vary"} {
		there, here := members(page.Header[name]), members(answer.Header[name])
		again := o.ok(IdentityAgain)
		moves := again == nil || members(again.Header[name]) != members(o.page().Header[name])
		if there != "" && here != "" && there != here && !moves {
			names = append(names, name+": "+here)
		}
	}
	tag, ok := page.tag()
	tagHere, okHere := answer.tag()
	if ok && len(answer.Header["Etag"]) > 0 && (!okHere || !httpcond.WeakMatch(tag, tagHere, nil)) {
		names = append(names, "ETag: "+answer.Header.Get("Etag"))
	}
	return names
}

// members are those of a list, whatever their order and case.
func members(lines []string) string {
	all := strings.Split(strings.ToLower(strings.Join(lines, ",")), ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	slices.Sort(all)
	return strings.Trim(strings.Join(slices.Compact(all), ","), ",")
}

// described are the fields about a content, unless they say of the stored one what it is.
func described(answer, page *Exchange) (names []string) {
	for name, lines := range answer.Header {
		if !httpcond.DroppedFromNotModified(name) || name == "Accept-Ranges" || name == "Transfer-Encoding" {
			continue
		}
		if value := strings.Join(lines, ", "); value != strings.Join(page.Header[name], ", ") {
			names = append(names, name+": "+value)
		}
	}
	return names
}

// checkCORS looks for what a browser looks for in the 304 itself.
func checkCORS(o *Observation) []Finding {
	page, answer := o.ok(Origin), o.answer(OriginTag)
	if page == nil || !confirmed(answer) {
		return nil
	}
	var names []string
	for name := range page.Header {
		if httpcond.CheckedOnNotModified(name) && len(answer.Header[name]) == 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []Finding{found(NotModifiedCORS, strings.Join(names, ", "))}
}

// fieldName is a name as RFC 9110 writes it.
func fieldName(canonical string) string {
	if canonical == "Etag" {
		return "ETag"
	}
	return http.CanonicalHeaderKey(canonical)
}
