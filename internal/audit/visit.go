package audit

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// browserCodings are what browsers accept.
const browserCodings = "gzip, deflate, br, zstd"

// maxFailures is how many requests may go unanswered before no further one is sent.
const maxFailures = 3

// visit looks at a URL.
func (v *visitor) visit(ctx context.Context) *Observation {
	v.arrive(ctx)
	if first := v.seen.First; first.Err != nil || first.Status != http.StatusOK {
		return v.seen
	}
	v.carryOut(ctx)
	v.askReplicas(ctx)
	return v.seen
}

// arrive asks for the URL and follows its redirects, as a browser does that comes for the first time.
func (v *visitor) arrive(ctx context.Context) {
	o := v.seen
	for {
		o.First = v.ask(ctx, &step{keep: true}, v.here, v.addressOf(v.here), http.Header{"Accept-Encoding": {v.codings}})
		o.Final = v.here.String()
		next := v.next(o.First)
		if next == nil {
			return
		}
		if len(o.Hops) == maxHops || !related(v.given.Hostname(), next.Hostname()) {
			o.Refused = next.String()
			return
		}
		if !v.own(next) {
			v.jar = emptyJar()
		}
		o.Hops = append(o.Hops, next.String())
		v.here = next
	}
}

// next is where a response redirects to, nil if it does not.
func (v *visitor) next(e *Exchange) *url.URL {
	if e.Err != nil || e.Header.Get("Location") == "" {
		return nil
	}
	switch e.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	next, err := v.here.Parse(e.Header.Get("Location"))
	if err != nil || next.Scheme != "http" && next.Scheme != "https" {
		return nil
	}
	next.Fragment, next.User = "", nil
	return next
}

// related reports whether a redirect from one host to another stays with one site: example.com and www.example.com. The
// page of somebody else is not what was asked about.
func related(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}

// addressOf is the address that is asked for a URL, the first one given. Those that were given are of the host of the
// given URL.
func (v *visitor) addressOf(u *url.URL) string {
	if len(v.options.Addresses) == 0 || !strings.EqualFold(u.Hostname(), v.given.Hostname()) {
		return ""
	}
	return v.options.Addresses[0]
}

// carryOut sends the probes.
func (v *visitor) carryOut(ctx context.Context) {
	o, failures := v.seen, 0
	for i := range plan {
		s := &plan[i]
		fields, wanted := s.fields(o)
		if !wanted {
			continue
		}
		if s.later && !v.wait(ctx) {
			return
		}
		e := v.ask(ctx, s, s.target(v.here), v.addressOf(v.here), fields)
		if e.Err == nil && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable) {
			o.SlowDown = e.Status // which is no answer to what was asked
			return
		}
		e.Probe = Probe(i)
		o.answers[i] = e
		if e.Err != nil {
			if failures++; failures == maxFailures {
				return
			}
		}
	}
}

// wait waits until the second of the first plain answer is over; false: there was none, or there is no time.
func (v *visitor) wait(ctx context.Context) bool {
	page := v.seen.page()
	if page == nil {
		return false
	}
	timer := time.NewTimer(v.options.Pause - time.Since(page.Now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// askReplicas asks the other addresses for the plain page.
func (v *visitor) askReplicas(ctx context.Context) {
	if v.addressOf(v.here) == "" || v.seen.SlowDown != 0 {
		return
	}
	for _, address := range v.options.Addresses[1:] {
		s := &plan[Identity]
		fields, _ := s.fields(v.seen)
		v.seen.Replicas = append(v.seen.Replicas, v.ask(ctx, s, v.here, address, fields))
	}
}
