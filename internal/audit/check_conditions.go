package audit

import (
	"net/http"
	"strings"
)

func confirmed(e *Exchange) bool { return e != nil && e.Status == http.StatusNotModified }

// full reports whether a condition was answered as if it were not there.
func full(e *Exchange) bool { return e != nil && e.Status == http.StatusOK }

// checkConditions looks at what If-None-Match and If-Modified-Since get (RFC 9110 §13.1.2, §13.1.3).
func checkConditions(o *Observation) (all []Finding) {
	if !o.stored() {
		return nil
	}
	if other := o.answer(TagOther); confirmed(other) {
		all = append(all, found(AlwaysNotModified, "304 to "+condition(other)))
	} else if other := o.answer(TagOtherDate); confirmed(other) {
		all = append(all, found(DateBeforeTag, "304 to "+condition(other)))
	}
	if earlier := o.answer(DateEarlier); confirmed(earlier) {
		all = append(all, found(DateAlwaysNotModified, "304 to "+condition(earlier)))
	}
	return append(all, checkConfirmed(o)...)
}

// checkConfirmed looks for the 304 that ought to come. Where the page or its tag is another one each time, none can.
func checkConfirmed(o *Observation) (all []Finding) {
	if !o.steady() {
		return nil
	}
	if one := o.answer(TagOne); full(one) {
		all = append(all, found(NotConfirmed, "200 to "+condition(one)))
	} else {
		for _, more := range [...]struct {
			probe Probe
			kind  Kind
		}{{TagList, ListNotConfirmed}, {TagWeak, WeakNotConfirmed}} {
			if e := o.answer(more.probe); full(e) {
				all = append(all, found(more.kind, "200 to "+condition(e)))
			}
		}
	}
	first, again := o.twice()
	if e := o.answer(Date); full(e) && first != nil && first.modified().Equal(again.modified()) && usable(first) {
		all = append(all, found(DateNotConfirmed, "200 to "+condition(e)))
	}
	return all
}

// condition is what was asked with.
func condition(e *Exchange) string {
	var all []string
	for _, name := range [...]string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"} {
		if line := e.Sent.Get(name); line != "" {
			all = append(all, name+": "+line)
		}
	}
	return strings.Join(all, ", ")
}
