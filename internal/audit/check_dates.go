package audit

import (
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// checkDates looks whether Last-Modified says when the page was changed (RFC 9110 §8.8.2).
func checkDates(o *Observation) (all []Finding) {
	page := o.page()
	if page == nil {
		return nil
	}
	if len(page.Header["Date"]) == 0 {
		all = append(all, found(NoDate, "no Date"))
	}
	lines := page.Header["Last-Modified"]
	if len(lines) == 0 || !o.stored() {
		return all
	}
	evidence := "Last-Modified: " + lines[0]
	switch modified, date := page.modified(), page.date(); {
	case modified.IsZero():
		return append(all, found(DateMalformed, evidence))
	case !date.IsZero() && modified.After(date):
		return append(all, found(DateFuture, evidence+", Date: "+page.Header.Get("Date")))
	case httpcond.BuildEpoch(modified):
		return append(all, found(DateEpoch, evidence))
	}
	return append(all, checkDateMoves(o)...)
}

// usable reports whether a Last-Modified may be asked with: it is neither in the future nor a build tool's.
func usable(e *Exchange) bool {
	t, date := e.modified(), e.date()
	return !t.IsZero() && !httpcond.BuildEpoch(t) && (date.IsZero() || !t.After(date))
}

// checkDateMoves compares the dates of two fetches, which are of different seconds.
func checkDateMoves(o *Observation) []Finding {
	first, again := o.twice()
	if first == nil {
		return nil
	}
	modified, modifiedAgain := first.modified(), again.modified()
	evidence := "Last-Modified: " + httpcond.FormatDate(modified) + ", then " + again.Header.Get("Last-Modified")
	if modified.Equal(modifiedAgain) {
		return checkDateStays(first, again, evidence)
	}
	if now(first) && now(again) {
		return []Finding{found(DateNow, evidence)}
	}
	if first.Digest == again.Digest {
		return []Finding{found(DateUnstable, evidence)}
	}
	return nil
}

// checkDateStays: a strong tag that changes tells of a change which the date does not.
func checkDateStays(first, again *Exchange, evidence string) []Finding {
	tag, ok := first.tag()
	tagAgain, okAgain := again.tag()
	changed := first.Digest != again.Digest && ok && okAgain && !tag.Weak && !tagAgain.Weak && tag != tagAgain
	if !changed {
		return nil
	}
	return []Finding{found(DateConstant, evidence)}
}

// now reports whether a Last-Modified is the time of the answer.
func now(e *Exchange) bool {
	apart := e.date().Sub(e.modified())
	return apart >= 0 && apart <= time.Second
}
