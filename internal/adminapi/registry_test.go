package adminapi

import (
	"slices"
	"sync"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func stores(r *registry) (all []validators.Store) {
	for _, u := range r.list() {
		all = append(all, u.store)
	}
	return all
}

func TestStoreIsListedUntilItsLastRelease(t *testing.T) {
	var r registry
	store := &noting{name: "memory"}
	first, second := r.add(store), r.add(store)
	first()
	first() // again, as Caddy may clean up twice
	if got := stores(&r); !slices.Equal(got, []validators.Store{store}) {
		t.Errorf("after one of two releases: %v", got)
	}
	second()
	if got := stores(&r); len(got) != 0 || len(r.uses) != 0 {
		t.Errorf("after the last release: %v", got)
	}
}

// Through a reload, the new configuration's value is the one to ask: the old one may be cleaned up at any moment.
func TestReloadLeavesTheNewStore(t *testing.T) {
	var r registry
	before, after := &noting{name: "memory"}, &noting{name: "memory"}
	releaseOld := r.add(before)
	releaseNew := r.add(after)
	if got := stores(&r); !slices.Equal(got, []validators.Store{after}) {
		t.Errorf("while both are there: %v", got)
	}
	releaseOld()
	if got := stores(&r); !slices.Equal(got, []validators.Store{after}) {
		t.Errorf("after the old one: %v", got)
	}
	r.add(before)
	releaseNew()
	if got := stores(&r); !slices.Equal(got, []validators.Store{before}) {
		t.Errorf("after a configuration that failed: %v", got)
	}
}

func TestStoresWithOtherOptionsAreBothPurged(t *testing.T) {
	small, large := &noting{name: "memory", Options: "10"}, &noting{name: "memory", Options: "20"}
	w := purge(t, apiOf(large, small, large), `{"all": true, "store": "memory"}`)
	if got := w.Body.String(); got != "{\"purged\":[\"memory\"]}\n" || len(small.asked) != 1 || len(large.asked) != 1 {
		t.Errorf("got %s, small %q, large %q", got, small.asked, large.asked)
	}
	small.err = validators.ErrUnavailable
	w = purge(t, apiOf(small, large), `{"all": true}`)
	if got := w.Body.String(); w.Code != 503 || got != `{"error":"not purged, or not everywhere: memory: the store cannot be reached; send the same again",`+
		`"purged":[],"failed":{"memory":"the store cannot be reached"}}`+"\n" {
		t.Errorf("one failed: %s", got)
	}
}

func TestRegistryFromManyGoroutines(t *testing.T) {
	var r registry
	store := &noting{name: "memory"}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				release := r.add(store)
				if len(r.list()) != 1 {
					t.Error("not listed")
				}
				release()
			}
		})
	}
	group.Wait()
	if len(r.uses) != 0 {
		t.Errorf("%v is left", r.uses)
	}
}
