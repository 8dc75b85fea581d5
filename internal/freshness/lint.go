package freshness

import "fmt"

// About is what a row by itself does not know.
type About struct {
	// Pages: the row is for text/html, or for a range that has it.
	Pages bool
	// Dated: a response without max-age may get one that counts from its Last-Modified.
	Dated bool
	// Late: remember is to answer past the lifetime, by grace or stale_if_error.
	Late bool
}

const year = 365 * 24 * 60 * 60

// Warnings are one line for each thing that is valid, and probably not what was meant. Of what the upstream
// may add to a row that merges nothing is said.
func (r *Row) Warnings(about About) (all []string) {
	p := &r.shared.policy
	warn := func(when bool, format string, args ...any) {
		if when {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	alone := r.existing != Merge && (!about.Dated || !r.Dated())
	for i, seconds := range p.seconds[:sMaxAge+1] {
		name := lifetimeNames[i]
		warn(seconds > year, "%s is over a year: what was wrong once stays that long; a year is %s=365d", name, name)
		warn(p.words&noCache != 0 && seconds > 0,
			"no-cache has recipients ask each time, so %[1]s never counts; without no-cache, %[1]s and must-revalidate ask once that has passed", name)
	}
	warn(alone && p.seconds[maxAge] == unsaid && p.seconds[sMaxAge] == unsaid && p.words&(public|noCache) == public,
		"public says who may store a response, not for how long, so recipients guess; add max-age")
	warn(p.words&immutable != 0 && about.Pages,
		"immutable on pages: a reload will not show the new version of one whose URL stays the same; it is for URLs that change with their content")
	warn(alone && p.words&immutable != 0 && p.seconds[maxAge] <= 0,
		"immutable counts as long as a response is fresh (RFC 8246 §2), and nothing says how long that is; add max-age")
	for _, i := range [...]int{staleWhileRevalidate, staleIfError} {
		for _, word := range [...]wordSet{noCache, mustRevalidate} {
			warn(p.seconds[i] > 0 && p.words&word != 0,
				"%s forbids to use what is stale (RFC 9111 §4.2.4), so %s never counts; keep one", wordNames[word.index()], lifetimeNames[i])
		}
	}
	ends := p.endsSharing()
	warn(about.Late && ends != "",
		"%s forbids shared caches to answer past the lifetime (RFC 9111 §4.2.4), so that grace and stale_if_error of remember do nothing for these; say max-age without it", ends)
	warn(p.words&(mustUnderstand|noStore) == mustUnderstand,
		"must-understand is meant to stand beside no-store, for caches that do not know it (RFC 9111 §5.2.2.3); add no-store")
	return all
}
