package lastmodified

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// watchedURIs is how many URIs are watched at one time; later ones take the places of earlier ones.
	watchedURIs = 256
	// enoughChanges is how many have to be seen, of one URI or of several. A single one may be a page that was written
	// twice in one second, and of which a cache in between had the first version.
	enoughChanges = 2
)

// Watch notices dates that stay the same while the content changes, such as the one date that a reproducible build gives
// all its files. It is for dates that are over when the content is seen: of one that may still be going on, two versions can
// be right. The zero value is ready for use, by several goroutines.
type Watch struct {
	found   atomic.Bool
	mu      sync.Mutex
	changes int
	sights  *[watchedURIs]sight
}

// sight is what was seen of a URI.
type sight struct {
	uri, digest uint64
	date        int64 // in Unix seconds
}

// Found reports whether there is such a date. It stays so.
func (w *Watch) Found() bool { return w.found.Load() }

// See notes the date and the digest of what a URI, given as a hash, stands for. It reports true once: when enough
// changes have been seen. It waits for nobody, and what comes at the same time may go unnoticed.
func (w *Watch) See(uri uint64, date time.Time, digest uint64) bool {
	if w.Found() || !w.mu.TryLock() {
		return false
	}
	defer w.mu.Unlock()
	if w.sights == nil {
		w.sights = new([watchedURIs]sight)
	}
	now, last := sight{uri: uri, digest: digest, date: date.Unix()}, &w.sights[uri%watchedURIs]
	if last.uri == now.uri && last.date == now.date && last.digest != now.digest {
		w.changes++
	}
	*last = now
	return w.changes >= enoughChanges && w.found.CompareAndSwap(false, true)
}
