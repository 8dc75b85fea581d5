package lastmodified

import (
	"sync"
	"testing"
	"time"
)

// TestWatch: enough changes under one date are told of once; other dates and other URIs, also in the same place, are none.
func TestWatch(t *testing.T) {
	date := time.Unix(1_600_000_000, 0)
	var w Watch
	for _, s := range []struct {
		uri, digest uint64
		date        time.Time
		want        bool
	}{
		{1, 1, date, false},
		{1, 1, date, false},
		{1, 2, date.Add(time.Second), false},               // with its date
		{1 + watchedURIs, 3, date.Add(time.Second), false}, // another URI
		{1, 4, date.Add(time.Second), false},               // whose place this one has taken
		{2, 1, date, false},
		{2, 2, date, false}, // one
		{1, 5, date.Add(time.Second), true},
		{1, 6, date.Add(time.Second), false},
	} {
		if got := w.See(s.uri, s.date, s.digest); got != s.want || w.Found() != (got || s.digest == 6) {
			t.Errorf("%+v: %v, found: %v", s, got, w.Found())
		}
	}
}

// TestWatchConcurrently: of all who see it at one time, one tells.
func TestWatchConcurrently(t *testing.T) {
	var (
		w    Watch
		wait sync.WaitGroup
		mu   sync.Mutex
		told int
	)
	for i := range uint64(8) {
		wait.Go(func() {
			for n := range uint64(100) {
				if w.See(7, time.Unix(1, 0), i*100+n) {
					mu.Lock()
					told++
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if told != 1 || !w.Found() {
		t.Errorf("told %d times, found: %v", told, w.Found())
	}
	var second Watch
	second.See(7, time.Unix(1, 0), 1)
	if n := testing.AllocsPerRun(100, func() { second.See(7, time.Unix(1, 0), 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
