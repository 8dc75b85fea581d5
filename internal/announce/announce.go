// Package announce says in fields of a response what was decided about it, for whoever reads them: Cache-Status (RFC 9211),
// Server-Timing, which developer tools show beside the request, and X-Cache-Hit with X-Cache-Key.
package announce

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// Fields says which fields are sent. The zero value: none.
type Fields struct {
	CacheStatus httpsfv.Item // its value is the name of this cache: a token or a string; nil: the field is not sent
	Timing      bool         // Server-Timing
	Debug       bool         // X-Cache-Hit and X-Cache-Key
}

// Any reports whether anything is sent at all.
func (f *Fields) Any() bool { return f.CacheStatus.Value != nil || f.Timing || f.Debug }

// Name is the name of a cache as Cache-Status has it (RFC 9211 §2): a token where it can be one, else a string.
func Name(name string) (item httpsfv.Item, err error) {
	item = httpsfv.NewItem(httpsfv.Token(name))
	if _, err = httpsfv.Marshal(item); err != nil {
		item = httpsfv.NewItem(name)
		_, err = httpsfv.Marshal(item)
	}
	return item, err
}

// Answer is what there is to say.
type Answer struct {
	journal.Note
	Status    int           // the upstream's; 0: it was not asked, or has not answered
	Unasked   bool          // it was refused without it: there is neither a hit nor a forward
	Remembers bool          // there is a memory that could have answered
	Prepared  bool          // the response will be remembered when it has come to its end
	TTL       time.Duration // how long what is remembered, or will be, is fresh from now on; of a hit or of Prepared
	Key       string        // a digest of what it is, or would be, remembered under; empty: none
}

// hit reports whether the upstream was not asked.
func (a *Answer) hit() bool { return a.Reason == journal.Remembered }

// Add adds the fields. Members and lines that are there stay: they come from caches nearer to the origin.
func (f *Fields) Add(h http.Header, a *Answer) {
	if f.CacheStatus.Value != nil {
		if line, err := httpsfv.Marshal(httpsfv.List{f.member(a)}); err == nil {
			add(h, "Cache-Status", line)
		}
	}
	if f.Timing {
		add(h, "Server-Timing", timing(a))
	}
	if f.Debug && (a.Remembers || h["X-Cache-Hit"] == nil) { // a cache further in may have said it
		h["X-Cache-Hit"] = []string{strconv.FormatBool(a.hit())}
		if delete(h, "X-Cache-Key"); a.Key != "" {
			h["X-Cache-Key"] = []string{a.Key}
		}
	}
}

// add appends a line, and never to a list that somebody else may have.
func add(h http.Header, name, line string) { h[name] = append(slices.Clip(h[name]), line) }

// member is what this cache has done (RFC 9211 §2).
func (f *Fields) member(a *Answer) httpsfv.Item {
	params := httpsfv.NewParams()
	switch {
	case a.hit():
		params.Add("hit", true)
	case !a.Unasked:
		params.Add("fwd", httpsfv.Token(forward(a)))
		if a.Status != 0 {
			params.Add("fwd-status", int64(a.Status))
		}
		if a.Prepared {
			params.Add("stored", true)
		}
	}
	if a.hit() || a.Prepared {
		params.Add("ttl", int64(a.TTL/time.Second))
	}
	detail := a.Outcome.String() + " " + a.Reason.String()
	if a.Coding != journal.NoReason {
		detail += ", encode_once " + a.Coding.String()
	}
	params.Add("detail", detail)
	return httpsfv.Item{Value: f.CacheStatus.Value, Params: params}
}

// forward is why the request went on (RFC 9211 §2.2).
func forward(a *Answer) string {
	switch {
	case !a.Remembers:
		return "bypass"
	case a.Reason == journal.StaleIfError:
		return "stale"
	}
	switch a.Memory { //nolint:exhaustive // the others say that nothing was found that could have answered
	case journal.Stale:
		return "stale"
	case journal.Request:
		return "request"
	case journal.Personal, journal.StoreUnavailable, journal.Unsettled:
		return "bypass"
	case journal.CookieMissing:
		return "vary-miss"
	}
	return "miss"
}

// timing is what developer tools show: the decision, and why the memory had no part in it.
func timing(a *Answer) string {
	line := `cc;desc="` + a.Outcome.String() + " " + a.Reason.String() + `"`
	if a.Coding != journal.NoReason {
		line += `, cc-enc;desc="` + a.Coding.String() + `"`
	}
	switch {
	case a.hit():
		return line + `, cc-mem;desc="hit"`
	case !a.Remembers:
		return line
	}
	said := []string{"miss"}
	if a.Memory != journal.NoReason {
		said[0] += ": " + a.Memory.String()
	}
	if a.NotRemembered != journal.NoReason {
		said = append(said, "not remembered: "+a.NotRemembered.String())
	}
	return line + `, cc-mem;desc="` + strings.Join(said, ", ") + `"`
}
