package audit

import (
	"fmt"
	"net/http"
	"strings"
)

// checkReach says why nothing, or not all, was seen.
func checkReach(o *Observation) (all []Finding) {
	if o.First.Err != nil {
		return []Finding{found(Unreachable, cause(o.First.Err))}
	}
	if len(o.Hops) > 0 {
		all = append(all, found(Redirected, "to "+strings.Join(o.Hops, ", then to ")))
	}
	if o.First.Status != http.StatusOK {
		return append(all, found(NotOK, statusEvidence(o)))
	}
	if e := o.answer(Identity); e != nil && e.Status != http.StatusOK && o.SlowDown == 0 {
		all = append(all, found(NotOK, fmt.Sprintf("%d to a request without a coding", e.Status)))
	}
	if o.SlowDown != 0 {
		all = append(all, found(SlowDown, fmt.Sprintf("%d after %d requests", o.SlowDown, o.Requests)))
	}
	if p := o.page(); p != nil && p.Cut {
		all = append(all, found(BodyLimit, fmt.Sprintf("over %d octets", p.Size)))
	}
	var failed []string
	for i, e := range o.answers {
		if e != nil && e.Err != nil {
			failed = append(failed, Probe(i).String()+": "+cause(e.Err))
		}
	}
	if len(failed) > 0 {
		all = append(all, found(ProbeFailed, strings.Join(failed, "; ")))
	}
	return all
}

func statusEvidence(o *Observation) string {
	switch {
	case o.Refused != "" && len(o.Hops) == maxHops:
		return fmt.Sprintf("%d redirects, and the last one leads on to %s", maxHops, o.Refused)
	case o.Refused != "":
		return fmt.Sprintf("%d to another host, which is not followed: %s", o.First.Status, o.Refused)
	}
	return fmt.Sprint(o.First.Status)
}

// cause is an error in words without the URL, which stands beside it anyway.
func cause(err error) string {
	if strings.Contains(err.Error(), "context deadline exceeded") {
		return "no answer in time"
	}
	return err.Error()
}
