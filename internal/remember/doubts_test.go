package remember

import (
	"context"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// forgetful is a store that counts what it is told to forget.
type forgetful struct {
	validators.Store

	mu    sync.Mutex
	times map[validators.URI]int
}

func (f *forgetful) Forget(_ context.Context, uri validators.URI) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times[uri]++
	return nil
}

func doubtfulURI(path string) validators.URI {
	return validators.NewURI("example.com", &url.URL{Path: path})
}

// TestDoubtLastsForItsTime: a URI is in doubt for a minute after the latest write to it, and is forgotten again and again.
func TestDoubtLastsForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d doubts
		store := &forgetful{times: map[validators.URI]int{}}
		a, b := doubtfulURI("/a"), doubtfulURI("/b")
		wait := func(after time.Duration, hasA, hasB bool) {
			t.Helper()
			time.Sleep(after) //nolint:forbidigo // in a bubble of synctest
			synctest.Wait()
			if d.has(a) != hasA || d.has(b) != hasB {
				t.Errorf("in doubt are a: %t, b: %t; want %t, %t", d.has(a), d.has(b), hasA, hasB)
			}
		}
		d.add(store, []validators.URI{a, b})
		wait(30*time.Second, true, true)
		d.add(store, []validators.URI{b})
		wait(30*time.Second-time.Millisecond, true, true)
		wait(time.Millisecond, false, true)
		wait(30*time.Second, false, false)
		wait(time.Second, false, false)
		if store.times[a] < 58 || store.times[a] > 61 || store.times[b] < 88 || store.times[b] > 91 {
			t.Errorf("forgotten %d and %d times", store.times[a], store.times[b])
		}
		if d.n.Load() != 0 || len(d.of) != 0 || len(d.order) != 0 || d.ticking {
			t.Errorf("%d are left", len(d.of))
		}
	})
}

// TestDoubtsAreBounded: those that came first are the first to go.
func TestDoubtsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d doubts
		store := &forgetful{times: map[validators.URI]int{}}
		for i := range maxDoubts + 10 {
			d.add(store, []validators.URI{doubtfulURI("/" + strconv.Itoa(i))})
		}
		if len(d.of) != maxDoubts || len(d.order) != maxDoubts || d.has(doubtfulURI("/9")) || !d.has(doubtfulURI("/10")) {
			t.Errorf("%d are in doubt", len(d.of))
		}
		time.Sleep(DoubtFor + 2*time.Second) //nolint:forbidigo // in a bubble of synctest
	})
}
