package audit

import (
	"net/http"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// codings are the probes of content codings.
var codings = [...]Probe{Gzip, Brotli, Zstd}

// checkCodings looks at what compression does to the tag (RFC 9110 §8.8.3.3).
func checkCodings(o *Observation) (all []Finding) {
	page := o.page()
	if page == nil || !o.stored() {
		return nil
	}
	if page.coded() {
		all = append(all, found(CodingForced, "Content-Encoding: "+page.Header.Get("Content-Encoding")+" to Accept-Encoding: identity"))
	}
	tag, tagged := page.tag()
	var drops, shares []string
	for _, probe := range codings {
		e := o.ok(probe)
		if e == nil || !e.coded() || !tagged || page.coded() {
			continue
		}
		coded, ok := e.tag()
		switch {
		case !ok:
			drops = append(drops, e.Header.Get("Content-Encoding"))
		case !coded.Weak && httpcond.StrongMatch(tag, coded, nil):
			shares = append(shares, e.Header.Get("Content-Encoding"))
		}
	}
	if len(drops) > 0 {
		all = append(all, found(CodingDropsTag, "no ETag under "+strings.Join(drops, ", ")))
	}
	if len(shares) > 0 {
		all = append(all, found(CodingSharesTag, "ETag: "+tag.String()+" under identity and "+strings.Join(shares, ", ")))
	}
	return append(all, checkCodedTag(o)...)
}

// checkCodedTag looks at the tag that browsers ask with.
func checkCodedTag(o *Observation) []Finding {
	e, again, asked := o.ok(Gzip), o.ok(GzipAgain), o.answer(TagCoded)
	if e == nil || !e.coded() || !o.steady() {
		return nil
	}
	tag, ok := e.tag()
	if again != nil && ok {
		if tagAgain, okAgain := again.tag(); !okAgain || !httpcond.WeakMatch(tag, tagAgain, nil) {
			return []Finding{found(CodingUnstableTag, tag.String()+", then "+again.Header.Get("Etag"))}
		}
	}
	// Where the plain tag is not confirmed either, that is what is to be mended.
	if asked != nil && asked.Status == http.StatusOK && confirmed(o.answer(TagOne)) {
		return []Finding{found(CodingNotConfirmed, "200 to If-None-Match: "+tag.String())}
	}
	return nil
}

// checkVary looks whether caches are told what the response depends on.
func checkVary(o *Observation) (all []Finding) {
	page := o.page()
	if page == nil || !o.stored() {
		return nil
	}
	if slices.ContainsFunc(page.Header["Vary"], func(line string) bool { return strings.TrimSpace(line) == "*" }) {
		all = append(all, found(VaryStar, "Vary: *"))
	}
	for _, probe := range codings {
		e := o.ok(probe)
		if e == nil || !e.coded() || page.coded() {
			continue
		}
		for _, one := range [...]*Exchange{e, page} {
			if !httpcond.VariesOn(one.Header["Vary"], "Accept-Encoding") {
				with := strings.Join(one.Sent["Accept-Encoding"], ", ")
				return append(all, found(VaryMissing, "no Vary: Accept-Encoding on the answer to "+with))
			}
		}
	}
	return all
}
