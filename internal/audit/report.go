package audit

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Report is what was found at all URLs.
type Report struct {
	Pages []*Page
	// Site are findings that are of no single page.
	Site []Finding
}

// Page is what was found at one URL.
type Page struct {
	// URL is as it was given, and Final where it led.
	URL, Final string
	// Status is that of the first answer; 0: there was none.
	Status    int
	MediaType string
	Requests  int
	// Plain and Coded are the octets of the body without a coding and with gzip.
	Plain, Coded int64
	// Confirmed: a reload with gzip is a 304, which saves Coded.
	Confirmed bool
	Findings  []Finding

	tag      string // of the plain page, for what is judged of all pages
	modified int64
}

// Saved is how many octets a reload saves.
func (p *Page) Saved() int64 {
	if p.Confirmed {
		return p.Coded
	}
	return 0
}

// Lost is how many octets a reload sends in full.
func (p *Page) Lost() int64 { return p.Coded - p.Saved() }

// Totals are the sums of a report.
type Totals struct {
	Pages, Requests         int
	Errors, Warnings, Notes int
	Saved, Lost             int64
}

// Totals adds up.
func (r *Report) Totals() (t Totals) {
	count := func(findings []Finding) {
		for i := range findings {
			switch findings[i].Kind.Severity() {
			case Error:
				t.Errors++
			case Warning:
				t.Warnings++
			case Note:
				t.Notes++
			}
		}
	}
	for _, p := range r.Pages {
		t.Pages++
		t.Requests += p.Requests
		t.Saved += p.Saved()
		t.Lost += p.Lost()
		count(p.Findings)
	}
	count(r.Site)
	return t
}

// Good reports whether nothing was found that ought to be mended.
func (r *Report) Good() bool {
	t := r.Totals()
	return t.Errors == 0 && t.Warnings == 0
}

// checks are all kinds of checks of one page, in the order of reports.
var checks = [...]func(*Observation) []Finding{
	checkReach, checkTag, checkStable, checkReplicas, checkCodings, checkVary, checkConditions, checkNotModified, checkCORS,
	checkHead, checkRanges, checkDates, checkFreshness, checkSharing, checkTracking,
}

// judge runs all checks, and lets the bodies go.
func judge(o *Observation, s *secrets) *Page { return judgeBy(o, s, checks[:]) }

func judgeBy(o *Observation, s *secrets, checks []func(*Observation) []Finding) *Page {
	o.Echoes = o.echo(s)
	page := &Page{URL: s.hide(o.URL), Final: s.hide(o.Final), Requests: o.Requests}
	if o.First.Err == nil {
		page.Status, page.MediaType = o.First.Status, s.line(httpcond.MediaType(o.First.Header.Get("Content-Type")))
	}
	for _, check := range checks {
		page.Findings = append(page.Findings, check(o)...)
	}
	slices.SortStableFunc(page.Findings, func(a, b Finding) int { return int(a.Kind) - int(b.Kind) })
	for i := range page.Findings {
		clean(&page.Findings[i], s)
	}
	page.measure(o)
	return page
}

// clean takes out of a finding what the user has given as a secret.
func clean(f *Finding, s *secrets) {
	f.Evidence = s.line(f.Evidence)
	f.Cure.Lines, f.Cure.Reason = s.hide(f.Cure.Lines), s.hide(f.Cure.Reason)
	for i := range f.Parts {
		f.Parts[i].Before = s.line(f.Parts[i].Before)
	}
}

// echo reports whether a body that is compared has a secret in it.
func (o *Observation) echo(s *secrets) bool {
	for _, e := range o.answers {
		if e != nil && s.in(e.Body) {
			return true
		}
	}
	return false
}

// measure notes the figures.
func (p *Page) measure(o *Observation) {
	page := o.page()
	if page == nil {
		return
	}
	p.Plain, p.Coded = page.Size, page.Size
	if e := o.ok(Gzip); e != nil {
		p.Coded = e.Size
	}
	asked := o.answer(TagCoded)
	if asked == nil {
		asked = o.answer(Date)
	}
	p.Confirmed = asked != nil && asked.Status == http.StatusNotModified && o.stored()
	if tag, ok := page.tag(); ok {
		p.tag = tag.Opaque
	}
	if t := page.modified(); !t.IsZero() {
		p.modified = t.Unix()
	}
}

// fewPages is how many pages may have one date by chance.
const fewPages = 2

func reportOf(pages []*Page, s *secrets) *Report {
	r := &Report{Pages: slices.DeleteFunc(pages, func(p *Page) bool { return p == nil })}
	dates, tags, last := make(map[int64]int), make(map[string]bool), int64(0)
	for _, p := range r.Pages {
		if p.modified != 0 && p.tag != "" {
			dates[p.modified]++
			tags[p.tag] = true
			last = p.modified
		}
	}
	if len(dates) == 1 && dates[last] > fewPages && len(tags) > fewPages {
		r.Site = append(r.Site, found(DateEverywhere, fmt.Sprintf("%d pages with %d tags have one Last-Modified", dates[last], len(tags))))
	}
	for i := range r.Site {
		clean(&r.Site[i], s)
	}
	return r
}
