package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// bound is how many dates of a site the store keeps.
const bound = 20

var boundedClauses = []struct {
	name  string
	check func(t *testing.T, s validators.Store)
}{
	{"what is new has no date", boundedNew},
	{"what is kept stays", boundedStays},
	{"a site of its own", boundedSites},
	{"a flood gives no two tags one date", boundedFlood},
	{"many at a time", boundedConcurrent},
	{"a purge makes room", boundedPurge},
	{"Stats", boundedStats},
}

// fill gives so many dates as a site may have, to the keys that it returns.
func fill(t *testing.T, s validators.Store, now time.Time) []validators.Key {
	t.Helper()
	site, keys := newSite(), make([]validators.Key, bound)
	for n := range keys {
		keys[n] = newKey(newHost(), "/")
		keys[n].Site = site
		wantSeen(t, s, keys[n], `"a"`, now, now)
	}
	return keys
}

// another is a key of the same site.
func another(of validators.Key) validators.Key {
	key := newKey(newHost(), "/")
	key.Site = of.Site
	return key
}

func boundedNew(t *testing.T, s validators.Store) {
	now := ahead()
	keys := fill(t, s, now)
	key := another(keys[0])
	for n := range 3 * bound {
		wantNoDate(t, s, another(keys[0]), `"a"`, now.Add(time.Duration(n)*time.Hour))
		wantNoDate(t, s, key, `"a"`, now.Add(time.Duration(n)*time.Hour))
	}
}

// boundedStays: nothing gives way, whether it was asked for again or not, and its tags may change.
func boundedStays(t *testing.T, s validators.Store) {
	now := ahead()
	keys := fill(t, s, now)
	for range 5 * bound {
		wantNoDate(t, s, another(keys[0]), `"a"`, now.Add(time.Hour))
	}
	later := now.Add(2 * time.Hour)
	for n, key := range keys {
		wantSeen(t, s, key, `"a"`, now.Add(time.Hour), now)
		if n%2 == 0 {
			wantSeen(t, s, key, `"b"`, later, later)
		}
	}
	for n, key := range keys {
		if n%2 == 0 {
			wantSeen(t, s, key, `"b"`, later.Add(time.Hour), later)
		} else {
			wantSeen(t, s, key, `"a"`, later.Add(time.Hour), now)
		}
	}
	wantNoDate(t, s, another(keys[0]), `"a"`, later)
}

func boundedSites(t *testing.T, s validators.Store) {
	now := ahead()
	fill(t, s, now)
	fill(t, s, now)
}

// boundedFlood: what was dated in a second keeps its date through a flood in the same second, so that another tag
// cannot have it.
func boundedFlood(t *testing.T, s validators.Store) {
	now := ahead()
	key := newKey(newHost(), "/")
	wantSeen(t, s, key, `"a"`, now, now)
	for range 10 * bound {
		_, _ = s.FirstSeen(t.Context(), another(key), `"a"`, now, long)
	}
	wantNoDate(t, s, key, `"b"`, now)
	wantSeen(t, s, key, `"a"`, now, now)
}

func boundedConcurrent(t *testing.T, s validators.Store) {
	now, first := ahead(), newKey(newHost(), "/")
	var calls sync.WaitGroup
	var mu sync.Mutex
	dated := 0
	for range 10 {
		calls.Go(func() {
			for n := range bound {
				if _, err := s.FirstSeen(t.Context(), another(first), fmt.Sprintf(`"%d"`, n), now, long); err == nil {
					mu.Lock()
					dated++
					mu.Unlock()
				}
			}
		})
	}
	calls.Wait()
	if dated != bound {
		t.Errorf("%d have a date, want %d", dated, bound)
	}
}

func boundedPurge(t *testing.T, s validators.Store) {
	now := ahead()
	keys := fill(t, s, now)
	later := now.Add(time.Hour)
	purge(t, s, validators.Scope{Host: keys[0].URI.Host})
	wantNoDate(t, s, another(keys[0]), `"a"`, later)
	purge(t, s, validators.Scope{})
	for range bound {
		wantSeen(t, s, another(keys[0]), `"a"`, later, later)
	}
	wantNoDate(t, s, another(keys[0]), `"a"`, later)
}

func boundedStats(t *testing.T, s validators.Store) {
	now := ahead()
	keys := fill(t, s, now)
	wantNoDate(t, s, another(keys[0]), `"a"`, now)
	firstSeen(t, s, newKey(newHost(), "/"), `"a"`, now)
	eventually(t, "all are counted", func() bool { return s.Stats().FirstSeen == bound+1 })
	purge(t, s, validators.Scope{})
	eventually(t, "none is counted after a purge", func() bool { return s.Stats().FirstSeen == 0 })
}
