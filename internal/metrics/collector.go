package metrics

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// prefix begins the name of every metric.
const prefix = "caddy_conditional_cache_"

// Collector has all metrics for a registry. It can be in any number of registries at one time.
type Collector struct {
	Tally *Tally
	// Held says how many bytes of bodies are held now, and how many may be.
	Held func() (bytes, limit int64)
	// Coded is what encode_once keeps.
	Coded func() coding.Stats
	// Stores are those in use.
	Stores func() []validators.Store
}

// Register puts the collector into a registry, unless it is there: every handler of a configuration does so.
func (c *Collector) Register(in prometheus.Registerer) error {
	err := in.Register(c)
	if _, there := errors.AsType[prometheus.AlreadyRegisteredError](err); there {
		return nil
	}
	return err
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// The metrics that are read out of a Tally, and out of what it does not count itself.
var (
	responses = desc("responses_total", "Requests by what became of them, and why: the words of docs/reasons.md. "+
		"Of nested handlers one counts, the outermost.", "outcome", "reason")
	memoryMisses = desc("memory_misses_total", "Requests that remember could not answer, and why.", "reason")
	unremembered = desc("not_remembered_total", "Responses that were not remembered, and why.", "reason")
	cacheControl = desc("cache_control_total", "Responses by what became of the cache_control lines.", "reason")

	encodeOnce   = desc("encode_once_total", "Responses by what became of encode_once.", "reason")
	codedHits    = desc("encode_once_hits_total", "Responses whose compressed form was there.")
	codedMisses  = desc("encode_once_misses_total", "Contents that were compressed and kept.")
	codedIn      = desc("encode_once_bytes_in_total", "Bytes of the contents whose compressed form was there.")
	codedSaved   = desc("encode_once_saved_seconds_total", "Time that compressing these would have taken.")
	codedEvicted = desc("encode_once_evictions_total", "Compressed bodies dropped for want of room.")
	codedFailed  = desc("encode_once_failures_total", "Contents that an encoder could not compress.")
	codedBytes   = desc("encode_once_bytes", "Bytes of compressed bodies that are kept.")
	codedLimit   = desc("encode_once_bytes_limit", "max_bytes: how many may be.")

	conditional  = desc("conditional_requests_total", "Requests with If-None-Match or If-Modified-Since, of GET and HEAD.")
	tagsSent     = desc("tags_sent_total", "Responses that went out with an ETag, 304 not counted.")
	tagsReturned = desc("tags_returned_total", "Requests with a tag in If-None-Match. If tags are sent and none returns, something on the way takes them off.")
	bytesNotSent = desc("bytes_not_sent_total", "Bytes of content that a 304 stood for, where its length was known.")
	callsSaved   = desc("upstream_calls_saved_total", "Requests answered from memory, without the upstream.")
	hashSeconds  = desc("hash_seconds_total", "Time that making digests of bodies took.")
	hashBytes    = desc("hash_bytes_total", "Bytes of bodies that digests were made of.")
	heldBytes    = desc("held_bytes", "Bytes of bodies that are buffered now.")
	heldLimit    = desc("held_bytes_limit", "max_total: how many may be.")

	records   = desc("store_records", "Records in a store, in this process or at its server.", "store")
	firstSeen = desc("store_first_seen", "Dates of first_seen in a store.", "store")
	hits      = desc("store_hits_total", "Loads of this process that found a record.", "store")
	misses    = desc("store_misses_total", "Loads of this process that found none.", "store")
	evictions = desc("store_evictions_total", "Records dropped for want of room, as far as this process knows.", "store")
	errs      = desc("store_errors_total", "Calls of this process that failed.", "store")
	up        = desc("store_up", "1 while the store is asked, 0 while it is left alone because it has failed.", "store")
)

var all = [...]*prometheus.Desc{
	encodeOnce, codedHits, codedMisses, codedIn, codedSaved, codedEvicted, codedFailed, codedBytes, codedLimit,
	responses, memoryMisses, unremembered, cacheControl, conditional, tagsSent, tagsReturned, bytesNotSent, callsSaved, hashSeconds,
	hashBytes, heldBytes, heldLimit, records, firstSeen, hits, misses, evictions, errs, up,
}

// own are the parts of a Tally that are collectors themselves.
func (c *Collector) own() []prometheus.Collector {
	return []prometheus.Collector{c.Tally.held, c.Tally.guardWait, c.Tally.calls}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range all {
		to <- d
	}
	for _, own := range c.own() {
		own.Describe(to)
	}
}

// Collect implements prometheus.Collector. Of what never happened there is no series, but of totals without labels.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	t := c.Tally
	for outcome := range t.responses {
		t.responses[outcome].collect(to, responses, journal.Outcome(outcome).String())
	}
	t.memory.collect(to, memoryMisses)
	t.notRemembered.collect(to, unremembered)
	t.cacheControl.collect(to, cacheControl)
	t.coding.collect(to, encodeOnce)
	for _, total := range [...]struct {
		desc *prometheus.Desc
		of   *atomic.Uint64
	}{
		{conditional, &t.conditional},
		{tagsSent, &t.tagsSent},
		{tagsReturned, &t.tagsReturned},
		{bytesNotSent, &t.bytesNotSent},
		{callsSaved, &t.callsSaved},
		{hashBytes, &t.hashedBytes},
	} {
		to <- counter(total.desc, float64(total.of.Load()))
	}
	to <- counter(hashSeconds, float64(t.hashed.Load())/1e9)
	bytes, limit := c.Held()
	to <- gauge(heldBytes, float64(bytes))
	to <- gauge(heldLimit, float64(limit))
	c.collectCoded(to)
	for name, s := range c.stats() {
		s.collect(to, name)
	}
	for _, own := range c.own() {
		own.Collect(to)
	}
}

func (c *Collector) collectCoded(to chan<- prometheus.Metric) {
	now := c.Coded()
	to <- counter(codedHits, float64(now.Hits))
	to <- counter(codedMisses, float64(now.Misses))
	to <- counter(codedIn, float64(now.BytesIn))
	to <- counter(codedSaved, now.SavedSeconds)
	to <- counter(codedEvicted, float64(now.Evictions))
	to <- counter(codedFailed, float64(now.Failures))
	to <- gauge(codedBytes, float64(now.Bytes))
	to <- gauge(codedLimit, float64(now.MaxBytes))
}

func (b *byReason) collect(to chan<- prometheus.Metric, d *prometheus.Desc, labels ...string) {
	for reason := range b {
		if n := b[reason].Load(); n > 0 {
			to <- counter(d, float64(n), append(labels, journal.Reason(reason).String())...)
		}
	}
}

func counter(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// stats are those of all stores with the same name together: a metric has one series for each name. What one of them does
// not know, is not known.
type stats struct{ validators.Stats }

func (c *Collector) stats() map[string]stats {
	byName := make(map[string]stats)
	for _, store := range c.Stores() {
		name, now := store.Name(), store.Stats()
		sum, more := byName[name]
		if more {
			now = sum.plus(now)
		}
		byName[name] = stats{now}
	}
	return byName
}

func (s stats) plus(other validators.Stats) validators.Stats {
	return validators.Stats{
		Entries: plusKnown(s.Entries, other.Entries), FirstSeen: plusKnown(s.FirstSeen, other.FirstSeen),
		Hits: s.Hits + other.Hits, Misses: s.Misses + other.Misses, Evictions: s.Evictions + other.Evictions, Errors: s.Errors + other.Errors,
		Available: s.Available && other.Available,
	}
}

func plusKnown(a, b int64) int64 {
	if a < 0 || b < 0 {
		return -1
	}
	return a + b
}

func (s stats) collect(to chan<- prometheus.Metric, name string) {
	if s.Entries >= 0 {
		to <- gauge(records, float64(s.Entries), name)
	}
	if s.FirstSeen >= 0 {
		to <- gauge(firstSeen, float64(s.FirstSeen), name)
	}
	to <- counter(hits, float64(s.Hits), name)
	to <- counter(misses, float64(s.Misses), name)
	to <- counter(evictions, float64(s.Evictions), name)
	to <- counter(errs, float64(s.Errors), name)
	available := 0.0
	if s.Available {
		available = 1
	}
	to <- gauge(up, available, name)
}
