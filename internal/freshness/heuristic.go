package freshness

import (
	"net/http"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// NoHeuristic keeps caches from guessing how long a response is fresh. They may where it does not say so and
// has a Last-Modified (RFC 9111 §4.2.2); this is for one that has got its Last-Modified here, and that nobody
// had guessed at before. What it says of itself stands, and what it says to shared caches only goes for them.
func NoHeuristic(h http.Header) {
	lines := h["Cache-Control"]
	switch {
	case hasValue(h["Expires"]):
		return
	case !hasValue(lines):
		h["Cache-Control"] = []string{"no-cache"}
		return
	}
	for _, name := range [...]string{"max-age", "no-cache", "no-store"} {
		if httpcond.HasDirective(lines, name) {
			return
		}
	}
	added := ", no-cache"
	if httpcond.HasDirective(lines, "s-maxage") {
		added = ", max-age=0"
	}
	h["Cache-Control"] = []string{strings.Join(lines, ", ") + added}
}
