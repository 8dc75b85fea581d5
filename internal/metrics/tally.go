// Package metrics counts what the handlers of a process do, and has Caddy's metrics show it.
//
// A Tally is what requests count in; a Collector is what a registry asks. There is one of each in a process: registries
// come and go with configurations, and a counter that began anew with each of them would say nothing of a night with a
// hundred reloads.
package metrics

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// Tally counts. The zero value is not ready; New makes one. All methods may be called concurrently, and those of a nil
// Tally count nothing. None allocates.
type Tally struct {
	begun time.Time

	responses     [journal.OutcomeCount]byReason
	memory        byReason // why the answer was not from memory
	notRemembered byReason
	cacheControl  byReason
	coding        byReason
	lines         [math.MaxUint8 + 1]byLineReason // by the number of the line; 0: none was found, or one past the 255th

	conditional  atomic.Uint64
	tagsSent     atomic.Uint64
	tagsReturned atomic.Uint64
	bytesNotSent atomic.Uint64
	callsSaved   atomic.Uint64
	hashed       atomic.Int64 // nanoseconds
	hashedBytes  atomic.Uint64

	held      prometheus.Histogram
	guardWait prometheus.Histogram
	calls     *prometheus.HistogramVec
}

// byReason are counters, one for each reason.
type byReason [journal.ReasonCount]atomic.Uint64

// byLineReason are those of what becomes of a line of cache_control.
type byLineReason [journal.NoMatch - journal.RowAdded + 1]atomic.Uint64

// Facts are what there is to count of a request besides what was decided.
type Facts struct {
	Asks     bool // it is a GET or HEAD
	Asked    bool // … with If-None-Match or If-Modified-Since
	Returned bool // … with a tag in If-None-Match
}

// New makes a Tally.
func New() *Tally {
	return &Tally{
		begun: time.Now(),
		held: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    prefix + "held_seconds",
			Help:    "How long a buffered response waited from its header section until it was sent or streamed: its first byte is later by so much.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .2, .5, 1},
		}),
		guardWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    prefix + "guard_wait_seconds",
			Help:    "How long guarded writes waited for those before them to the same URI.",
			Buckets: []float64{.001, .01, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    prefix + "store_call_seconds",
			Help:    "How long the calls to a store took that is not in this process. What is found in the memory of this process is among them.",
			Buckets: []float64{.00001, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1},
		}, []string{"store", "call"}),
	}
}

// Count counts a request at its end, by what became of it in the outermost handler that it has met.
func (t *Tally) Count(note *journal.Note, f Facts) {
	if t == nil {
		return
	}
	t.responses[note.Outcome][note.Reason].Add(1)
	if !f.Asks {
		return
	}
	if f.Asked {
		t.conditional.Add(1)
	}
	if f.Returned {
		t.tagsReturned.Add(1)
	}
	if note.ETag != "" && note.Outcome.Answers() && note.Outcome != journal.NotModified {
		t.tagsSent.Add(1)
	}
}

// Handled counts what one handler has done with a request, of which it may meet several. Unsent are the bytes of content that
// a 304 of its own stands for; 0 if that is not known.
func (t *Tally) Handled(note *journal.Note, unsent int64) {
	if t == nil {
		return
	}
	t.memory.count(note.Memory)
	t.notRemembered.count(note.NotRemembered)
	t.cacheControl.count(note.CacheControl)
	t.coding.count(note.Coding)
	if note.CacheControl >= journal.RowAdded && note.CacheControl <= journal.NoMatch {
		t.lines[note.Row][note.CacheControl-journal.RowAdded].Add(1)
	}
	if note.Outcome != journal.NotModified || note.Reason == journal.Inner {
		return
	}
	if note.Reason == journal.Remembered {
		t.callsSaved.Add(1)
	}
	if unsent > 0 {
		t.bytesNotSent.Add(uint64(unsent))
	}
}

func (b *byReason) count(reason journal.Reason) {
	if reason != journal.NoReason {
		b[reason].Add(1)
	}
}

// Held counts for how long a response was held.
func (t *Tally) Held(d time.Duration) {
	if t != nil {
		t.held.Observe(d.Seconds())
	}
}

// Hashed counts the digest of a body.
func (t *Tally) Hashed(d time.Duration, bytes int) {
	if t != nil {
		t.hashed.Add(int64(d))
		t.hashedBytes.Add(uint64(bytes)) //nolint:gosec // a length
	}
}

// Waited counts the wait of a guarded write.
func (t *Tally) Waited(d time.Duration) {
	if t != nil {
		t.guardWait.Observe(d.Seconds())
	}
}

// StoreCalled counts a call to a store, by the name of the store and of the call.
func (t *Tally) StoreCalled(store, call string, took time.Duration) {
	if t != nil {
		t.calls.WithLabelValues(store, call).Observe(took.Seconds())
	}
}
