package coding

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	"github.com/maypok86/otter/v2"
)

// Kept has coded bodies, up to a number of bytes. Of those that do not fit, the ones that are asked for seldom give way
// (W-TinyLFU). It may be used concurrently, and nothing runs in the background.
type Kept struct {
	cache    *otter.Cache[key, coded]
	maxBytes int64
	seen     seen
	digest   func(body []byte) digest
	slots    chan struct{} // taken while a body is coded
	purges   atomic.Uint64

	mu      sync.Mutex
	flights map[key]*flight // what is being coded now

	encoders sync.Map // of *sync.Pool, by the name of the format
	speeds   sync.Map // of *atomic.Int64, by the name of the format: nanoseconds for a MiB, of late

	hits, codings, failures, evictions atomic.Uint64
	bytesIn                            atomic.Uint64 // of contents whose coded form was there
	saved                              atomic.Int64  // nanoseconds that these took to code
}

// key is of one content of a site in one format. The encoder's version is that of the process, and its level that of Kept.
// Each site has its own, so that nobody learns from his what others send.
type key struct {
	content digest
	site    uint64
	format  string
}

// sites makes what stands for a site.
var sites = maphash.MakeSeed()

// processors is how many bodies are coded at one time in this process.
var processors = make(chan struct{}, runtime.GOMAXPROCS(0))

// coded is a content in its coded form.
type coded struct {
	body []byte
	took time.Duration // to code it
}

// overhead is what an entry takes beside its body, about: key, node, and its place in the map.
const overhead = 256

// Format is a content coding, and what makes its encoders.
type Format struct {
	Name       string
	NewEncoder func() encode.Encoder
}

// New makes one for maxBytes of coded bodies.
func New(maxBytes int64) *Kept {
	k := &Kept{
		maxBytes: maxBytes, seen: newSeen(maxBytes), digest: newDigester(),
		slots: processors, flights: make(map[key]*flight),
	}
	k.cache = otter.Must(&otter.Options[key, coded]{
		MaximumWeight: uint64(maxBytes), //nolint:gosec // it is checked to be positive
		Weigher:       func(_ key, c coded) uint32 { return uint32(min(int64(cap(c.body))+overhead, math.MaxUint32)) },
		OnAtomicDeletion: func(e otter.DeletionEvent[key, coded]) {
			if e.Cause == otter.CauseOverflow {
				k.evictions.Add(1)
			}
		},
		Executor: func(tidy func()) { tidy() },
	})
	return k
}

// Get returns the coded form of a content, or why there is none: then it goes out as if nothing were kept. What is returned
// must not be changed. The error is that of an encoder. Each site finds what it has sent itself.
func (k *Kept) Get(site string, f *Format, content []byte) ([]byte, Reason, error) {
	purges := k.purges.Load()
	at := key{k.digest(content), maphash.String(sites, site), f.Name}
	if found, ok := k.cache.GetIfPresent(at); ok {
		k.hit(found, len(content))
		return found.body, Coded, nil
	}
	if !k.seen.before(at.site, at.content) {
		return nil, FirstSight, nil
	}
	return k.once(at, f, content, purges)
}

func (k *Kept) hit(found coded, size int) {
	k.hits.Add(1)
	k.bytesIn.Add(uint64(size)) //nolint:gosec // a length
	k.saved.Add(int64(found.took))
}

// encode codes a content and keeps it, unless all is purged meanwhile. A panic of an encoder is an error: the page need not
// suffer for it.
func (k *Kept) encode(at key, f *Format, content []byte, purges uint64) (c coded, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it has panicked: %v", p)
		}
	}()
	pool := k.encodersOf(f.Name)
	encoder, ok := pool.Get().(encode.Encoder)
	if !ok {
		encoder = f.NewEncoder()
	}
	space := spaces.Get().(*bytes.Buffer) // nothing else is put there
	space.Reset()
	began := time.Now()
	encoder.Reset(space)
	if _, err = encoder.Write(content); err == nil {
		err = encoder.Close()
	}
	if err != nil {
		return coded{}, err
	}
	c = coded{append([]byte(nil), space.Bytes()...), time.Since(began)}
	encoder.Reset(nil)
	pool.Put(encoder)
	spaces.Put(space) // an encoder that has failed may still write into it
	k.codings.Add(1)
	k.learn(f.Name, c.took, len(content))
	k.cache.Set(at, c)
	if purges != k.purges.Load() {
		k.cache.Invalidate(at)
	}
	return c, nil
}

// spaces is what bodies are coded into, before it is known how long they get.
var spaces = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (k *Kept) encodersOf(format string) *sync.Pool {
	pool, ok := k.encoders.Load(format)
	if !ok {
		pool, _ = k.encoders.LoadOrStore(format, new(sync.Pool))
	}
	return pool.(*sync.Pool) // nothing else is stored there
}

// Purge drops all that is kept, and what has been seen.
func (k *Kept) Purge() {
	k.purges.Add(1)
	k.cache.InvalidateAll()
	k.seen.forget()
}

// Stats are the counters of one Kept, or of several. The numbers are since the process began to keep.
type Stats struct {
	// Bytes is what is kept, the overhead with it, and MaxBytes what may be.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"`
	// Entries is the number of coded bodies.
	Entries int64 `json:"entries"`
	// Hits are answers whose coded form was there, of BytesIn before they were coded, which would have taken SavedSeconds.
	Hits         uint64  `json:"hits"`
	BytesIn      uint64  `json:"bytes_in"`
	SavedSeconds float64 `json:"saved_seconds"`
	// Misses are contents that were coded and kept, and Failures those that an encoder could not code.
	Misses   uint64 `json:"misses"`
	Failures uint64 `json:"failures"`
	// Evictions are coded bodies dropped for want of room.
	Evictions uint64 `json:"evictions"`
}

// Stats returns the counters.
func (k *Kept) Stats() Stats {
	k.cache.CleanUp()
	return Stats{
		Bytes: int64(k.cache.WeightedSize()), MaxBytes: k.maxBytes, Entries: int64(k.cache.EstimatedSize()), //nolint:gosec // within MaxBytes
		Hits: k.hits.Load(), BytesIn: k.bytesIn.Load(), SavedSeconds: time.Duration(k.saved.Load()).Seconds(),
		Misses: k.codings.Load(), Failures: k.failures.Load(), Evictions: k.evictions.Load(),
	}
}

func (s Stats) plus(o Stats) Stats {
	return Stats{
		Bytes: s.Bytes + o.Bytes, MaxBytes: s.MaxBytes + o.MaxBytes, Entries: s.Entries + o.Entries,
		Hits: s.Hits + o.Hits, BytesIn: s.BytesIn + o.BytesIn, SavedSeconds: s.SavedSeconds + o.SavedSeconds,
		Misses: s.Misses + o.Misses, Failures: s.Failures + o.Failures, Evictions: s.Evictions + o.Evictions,
	}
}

// pool has those in use, by what handlers have to have in common to share one. A configuration is provisioned before the
// one before it is cleaned up, so that what is kept outlives a reload.
var pool = caddy.NewUsagePool()

// Share returns the Kept of handlers with these settings, which say how bodies are coded, and that room. Release has to be
// called once for each.
func Share(settings string, maxBytes int64) (k *Kept, release func()) {
	settings = fmt.Sprint(maxBytes, " ", settings)
	kept, _, err := pool.LoadOrNew(settings, func() (caddy.Destructor, error) { return New(maxBytes), nil })
	if err != nil {
		return New(maxBytes), func() {} // which cannot be: New does not fail
	}
	return kept.(*Kept), func() { _, _ = pool.Delete(settings) } // nothing else is put there
}

// past are the counters of those that are no longer in use: what is counted in a process does not begin anew with a
// configuration.
var past struct {
	mu  sync.Mutex
	sum Stats
}

// Destruct implements caddy.Destructor. Requests may still use what is kept: it goes with the last one.
func (k *Kept) Destruct() error {
	last := k.Stats()
	last.Bytes, last.MaxBytes, last.Entries = 0, 0, 0
	past.mu.Lock()
	defer past.mu.Unlock()
	past.sum = past.sum.plus(last)
	return nil
}

// All is the sum of all that are in use, and of what those counted that were.
func All() Stats {
	var sum Stats
	pool.Range(func(_, kept any) bool {
		sum = sum.plus(kept.(*Kept).Stats())
		return true
	})
	past.mu.Lock()
	defer past.mu.Unlock()
	return sum.plus(past.sum)
}

// PurgeAll drops all that is kept anywhere, and reports whether anything could be kept at all.
func PurgeAll() (some bool) {
	pool.Range(func(_, kept any) bool {
		kept.(*Kept).Purge()
		some = true
		return true
	})
	return some
}
