package adminapi

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
)

const (
	defaultLimit = 10
	maxLimit     = 100
)

// Counted is where the handlers of this process count what they do.
type Counted struct {
	Tally *metrics.Tally
	URLs  *top.Table
}

// overview is what is answered to GET of top. All figures are totals since the process has begun, reloads or not, and no purge
// clears them.
type overview struct {
	Since       string `json:"since"`
	Conditional uint64 `json:"conditional"`  // requests with If-None-Match or If-Modified-Since
	NotModified uint64 `json:"not_modified"` // answers that were 304, whoever made them
	FromMemory  uint64 `json:"from_memory"`  // … of these without asking the upstream

	// Each list has at most as many members as the limit says, the most frequent first.
	Reasons       []against     `json:"reasons"`        // why an answer to GET or HEAD was no 304
	Memory        []because     `json:"memory"`         // why it was not from memory
	NotRemembered []because     `json:"not_remembered"` // why nothing was remembered of it
	CacheControl  []ofLine      `json:"cache_control"`  // what became of lines of cache_control
	URLs          []top.URL     `json:"urls"`           // where the tag was another one at least as often as not
	Stores        []storeStatus `json:"stores"`         // as in the status; all of them
}

type against struct {
	Outcome string `json:"outcome"`
	because
}

type because struct {
	Reason   string `json:"reason"`
	Count    uint64 `json:"count"`
	Sentence string `json:"sentence"`
}

type ofLine struct {
	Line uint8 `json:"line,omitempty"` // its number in its block, from 1 on; none: no line was found
	because
}

func (a *API) top(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	tally := a.counted.Tally
	all := overview{
		Since: tally.Begun().UTC().Format(time.RFC3339), Conditional: tally.Conditional(), NotModified: tally.NotModified(),
		FromMemory: tally.FromMemory(), Reasons: []against{}, Memory: becauseOf(tally.MemoryMisses(), limit),
		NotRemembered: becauseOf(tally.NotRemembered(), limit), CacheControl: []ofLine{}, URLs: a.counted.URLs.Restless(limit), Stores: a.storesNow(),
	}
	counts := tally.Against()
	for i, said := range becauseOf(counts, limit) {
		all.Reasons = append(all.Reasons, against{counts[i].Outcome.String(), said})
	}
	lines := tally.Lines()
	for i, said := range becauseOf(lines, limit) {
		all.CacheControl = append(all.CacheControl, ofLine{lines[i].Line, said})
	}
	return answer(w, http.StatusOK, all)
}

func becauseOf(counts []metrics.Count, limit int) []because {
	all := []because{}
	for _, c := range counts[:min(limit, len(counts))] {
		all = append(all, because{c.Reason.String(), c.N, c.Reason.Sentence()})
	}
	return all
}

// limitOf reads the query, in which nothing but a limit may be.
func limitOf(query string) (int, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "the query: %w; write ?limit=%d", err, defaultLimit)
	}
	for name := range values {
		if name != "limit" {
			return 0, refuse(http.StatusBadRequest, "%q is not known; there is limit, 1 to %d", name, maxLimit)
		}
	}
	said, ok := values["limit"]
	if !ok {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(said[0])
	if len(said) > 1 || err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != said[0] {
		return 0, refuse(http.StatusBadRequest, "limit is one whole number, 1 to %d; without it, it is %d", maxLimit, defaultLimit)
	}
	return n, nil
}
