package audit

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// trackers are the probes with parameters that say where a visitor comes from.
var trackers = [...]Probe{TrackUTM, TrackGoogle, TrackFacebook}

// checkTracking looks whether parameters that mean nothing to the page split what is stored of it.
func checkTracking(o *Observation) []Finding {
	page, again := o.twice()
	if page == nil || !o.steady() || !o.stored() {
		return nil
	}
	var tags, bodies, misses []string
	tag, tagged := page.tag()
	for _, probe := range trackers {
		e := o.ok(probe)
		if e == nil || e.Cut {
			continue
		}
		name, _, _ := strings.Cut(plan[probe].query, "=")
		there, ok := e.tag()
		switch {
		case e.Digest == page.Digest && tagged && ok && !httpcond.WeakMatch(tag, there, nil):
			tags = append(tags, name)
		case e.Digest != page.Digest && bytes.Contains(e.Body, []byte(name)):
			bodies = append(bodies, name)
		case e.Digest == page.Digest && hit(again) && missed(e):
			misses = append(misses, name)
		}
	}
	var all []Finding
	for _, one := range [...]struct {
		kind  Kind
		names []string
	}{{TrackingTag, tags}, {TrackingBody, bodies}, {TrackingMiss, misses}} {
		if len(one.names) > 0 {
			all = append(all, found(one.kind, strings.Join(one.names, ", ")))
		}
	}
	return all
}

// cacheFields are those in which caches say whether they had a response.
var cacheFields = [...]string{"Cache-Status", "X-Cache", "X-Cache-Status", "Cf-Cache-Status", "X-Varnish-Cache", "X-Proxy-Cache"}

func cacheWords(e *Exchange) string {
	var all strings.Builder
	for _, name := range cacheFields {
		all.WriteString(strings.ToLower(strings.Join(e.Header[name], " ")) + " ")
	}
	return all.String()
}

// hit reports whether a cache has said that it had a response.
func hit(e *Exchange) bool {
	age, _ := strconv.Atoi(e.Header.Get("Age"))
	return strings.Contains(cacheWords(e), "hit") || age > 0
}

func missed(e *Exchange) bool {
	words := cacheWords(e)
	return !hit(e) && (strings.Contains(words, "miss") || strings.Contains(words, "fwd=") || e.Header.Get("Age") == "0")
}
