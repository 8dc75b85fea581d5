package explain

import (
	"fmt"
	"strconv"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// freshness tells how long a browser uses the answer without asking (RFC 9111 §4.2.1).
func (s *Story) freshness(a *audit.Answered) {
	said := ""
	for _, name := range [...]string{"Cache-Control", "Expires", "Pragma"} {
		if value := lines(a.Header, name); value != "" && said == "" {
			said = name + ": " + value
		}
	}
	seconds, lasts := lifetime(a)
	directives := a.Header["Cache-Control"]
	switch {
	case httpcond.HasDirective(directives, "no-store"):
		s.say(Came, "RFC 9111 §5.2.2.5", "%s. Nobody may keep it.", said)
	case !freshness.Explicit(a.Header) && a.Header.Get("Last-Modified") == "":
		s.say(Came, "RFC 9111 §4.2.2", "It does not say how long it is fresh, and has no date to guess by, so browsers mostly ask each time.")
	case !freshness.Explicit(a.Header):
		s.say(Came, "RFC 9111 §4.2.2", "It does not say how long it is fresh, so browsers and caches guess by its date.")
	case httpcond.HasDirective(directives, "no-cache"), said[0] == 'P':
		s.say(Came, "RFC 9111 §5.2.2.4", "%s. A browser asks each time before it uses it.", said)
	case lasts && seconds <= 0:
		s.say(Came, "RFC 9111 §4.2", "%s. It is stale at once, so a browser asks each time.", said)
	case lasts:
		s.say(Came, "RFC 9111 §4.2", "%s. For %s a browser uses it without asking, unless somebody presses reload, as this story does.", said, duration(seconds))
	default:
		s.say(Came, "RFC 9111 §4.2.2", "%s. That does not say how long it is fresh, so browsers and caches guess.", said)
	}
}

// lifetime is how many seconds an answer is fresh, for a browser: max-age, or else Expires, without the Age that it has by now.
func lifetime(a *audit.Answered) (seconds int64, said bool) {
	age, _ := strconv.ParseInt(a.Header.Get("Age"), 10, 32)
	for _, d := range httpcond.ParseCacheControl(a.Header["Cache-Control"]) {
		if n, err := strconv.ParseInt(d.Value, 10, 64); d.Name == "max-age" && err == nil {
			return n - age, true
		}
	}
	expires := a.Header.Get("Expires")
	if expires == "" {
		return 0, false
	}
	now := time.Now()
	date, ok := httpcond.ParseDate(a.Header.Get("Date"), now)
	if !ok {
		date = now
	}
	until, ok := httpcond.ParseDate(expires, now)
	if !ok {
		return 0, true // what is no date stands for the past (RFC 9111 §5.3)
	}
	return int64(until.Sub(date)/time.Second) - age, true
}

// duration is a number of seconds in words.
func duration(seconds int64) string {
	for _, unit := range [...]struct {
		seconds int64
		word    string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}} {
		if seconds >= 2*unit.seconds && seconds%unit.seconds == 0 {
			return fmt.Sprintf("%d %ss", seconds/unit.seconds, unit.word)
		}
	}
	if seconds == 1 {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", seconds)
}
