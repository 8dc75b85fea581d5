package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func firstSeenKeeps(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	for _, later := range []time.Duration{0, time.Second, time.Hour, 0} {
		wantSeen(t, s, key, `"a"`, now.Add(later), now)
	}
	wantSeen(t, s, newKey(key.URI.Host, "/"), `"a"`, now.Add(time.Hour), now.Add(time.Hour)) // of another key
}

func firstSeenOfAnother(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	firstSeen(t, s, key, `"a"`, now)
	for n, tag := range []string{`W/"a"`, `"b"`, `"a"`, ""} {
		want := now.Add(time.Duration(n+1) * time.Hour)
		if seen := firstSeen(t, s, key, tag, want); !seen.Equal(want) {
			t.Errorf("%s: %s, want %s", tag, seen, want)
		}
	}
}

// firstSeenNeverBack: a clock that is behind changes nothing.
func firstSeenNeverBack(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	wantSeen(t, s, key, `"a"`, now, now)
	for n, earlier := range []time.Duration{0, time.Second, time.Hour, 365 * 24 * time.Hour} {
		wantNoDate(t, s, key, fmt.Sprintf(`"b%d"`, n), now.Add(-earlier))
		wantSeen(t, s, key, `"a"`, now, now)
	}
	wantSeen(t, s, key, `"b0"`, now.Add(time.Second), now.Add(time.Second))
}

// firstSeenOfTurns: two tags that take turns, as those of two versions behind one address do, have a date of their
// own in each second at most, and it is never ahead of the clock.
func firstSeenOfTurns(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	wantSeen(t, s, key, `"a"`, now, now)
	for n := range 5 {
		tag, other := `"b"`, `"a"`
		if n%2 == 1 {
			tag, other = other, tag
		}
		for range 20 {
			wantNoDate(t, s, key, tag, now.Add(999*time.Millisecond))
			wantSeen(t, s, key, other, now, now)
		}
		// Who has had no date has one of its own, once its time has come.
		now = now.Add(time.Second)
		wantSeen(t, s, key, tag, now, now)
	}
}

// firstSeenNeverToCome: what another clock has seen is not told before that time.
func firstSeenNeverToCome(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	wantSeen(t, s, key, `"a"`, now, now)
	for _, earlier := range []time.Duration{time.Millisecond, time.Second, time.Hour} {
		wantNoDate(t, s, key, `"a"`, now.Add(-earlier))
	}
	wantSeen(t, s, key, `"a"`, now, now)
}

func firstSeenLongTags(t *testing.T, s validators.Store) {
	now := ahead()
	for _, length := range []int{100, 127, 128, 129, 1000, 64 << 10} {
		key, long := newKey(newHost(), "/"), strings.Repeat("x", length)
		for n, tag := range []string{long + "a", long + "b", "a" + long, long, validators.ShortTag(long+"a") + "a"} {
			seen := now.Add(time.Duration(n) * time.Minute)
			wantSeen(t, s, key, tag, seen, seen)
			wantSeen(t, s, key, tag, seen.Add(time.Second), seen)
		}
	}
}

func firstSeenWholeSeconds(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead().Add(999_999_999)
	for range 2 {
		wantSeen(t, s, key, `"a"`, now, now.Truncate(time.Second))
	}
	later := now.Add(time.Second)
	wantSeen(t, s, key, `"b"`, later, later.Truncate(time.Second))
}

// firstSeenTTL asks for as long as the ttl goes; what comes after that is the store's choice.
func firstSeenTTL(t *testing.T, s validators.Store) {
	key, now, began := newKey(newHost(), "/"), ahead(), time.Now()
	for n := 0; time.Since(began) < ending; n++ {
		seen, err := s.FirstSeen(t.Context(), key, `"a"`, now.Add(time.Duration(n)*time.Second), ending)
		must(t, "FirstSeen", err)
		if !seen.Equal(now) && time.Since(began) < ending {
			t.Fatalf("%s after the first call: %s, want %s", time.Since(began), seen, now)
		}
		pause(t.Context())
	}
}

func firstSeenOneAnswer(t *testing.T, s validators.Store) {
	oneAnswer(t, s, s)
}

// oneAnswer has a hundred callers, whose clocks differ, ask for one tag at a time, in turns at stores that share. All
// have the same answer, but for those whose clock has not come there.
func oneAnswer(t *testing.T, stores ...validators.Store) {
	t.Helper()
	const callers = 100
	key, start := newKey(newHost(), "/"), ahead()
	for round := range 5 {
		var answers [callers]time.Time
		var errs [callers]error
		var calls sync.WaitGroup
		now := func(n int) time.Time { return start.Add(time.Duration(round*callers+n) * time.Second) }
		for n := range callers {
			calls.Go(func() {
				answers[n], errs[n] = stores[n%len(stores)].FirstSeen(t.Context(), key, fmt.Sprintf(`"%d"`, round), now(n), long)
			})
		}
		calls.Wait()
		latest := callers - 1 // its clock is ahead of all others
		must(t, "FirstSeen", errs[latest])
		want := answers[latest]
		for n := range callers {
			switch {
			case want.Before(now(0)):
				t.Fatalf("round %d: %s, which is before it", round, want)
			case now(n).Before(want) && errors.Is(errs[n], validators.ErrNoDate):
			case errs[n] != nil || !answers[n].Equal(want) || now(n).Before(want):
				t.Fatalf("round %d: %s and %s, %v at %s", round, want, answers[n], errs[n], now(n))
			}
		}
	}
}

func firstSeenNotForgotten(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	firstSeen(t, s, key, `"a"`, now)
	for name, act := range map[string]func(){
		"Forget":            func() { forget(t, s, key.URI) },
		"Purge of the host": func() { purge(t, s, validators.Scope{Host: key.URI.Host}) },
		"Purge of a path":   func() { purge(t, s, validators.Scope{Path: "/"}) },
	} {
		act()
		if seen := firstSeen(t, s, key, `"a"`, now.Add(time.Hour)); !seen.Equal(now) {
			t.Errorf("after %s: %s, want %s", name, seen, now)
		}
	}
}

// firstSeenPurged: what comes after a purge of everything has no date that something before it may have had.
func firstSeenPurged(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	var before time.Time
	eventually(t, "a date", func() (dated bool) { // which a store that has lost everything just now does not give
		var err error
		before, err = s.FirstSeen(t.Context(), key, `"a"`, time.Now(), long)
		return err == nil
	})
	purge(t, s, validators.Scope{})
	for _, tag := range []string{`"b"`, `"a"`, `"b"`} {
		wantNoDate(t, s, key, tag, before)
	}
	later := time.Now().Add(time.Minute)
	at := firstSeen(t, s, key, `"b"`, later)
	if !at.After(before) || at.After(later) {
		t.Errorf("after the purge: %s at %s, was %s before", at, later, before)
	}
	wantSeen(t, s, key, `"b"`, later.Add(time.Hour), at)
}

func firstSeenKeys(t *testing.T, s validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	firstSeen(t, s, key, `"a"`, now)
	wantNothing(t, s, key, "as a record, what was kept for FirstSeen")
	record := remember(t, s, key)
	if seen := firstSeen(t, s, key, `"a"`, now.Add(time.Hour)); !seen.Equal(now) {
		t.Errorf("after a Save under the same key: %s, want %s", seen, now)
	}
	firstSeen(t, s, key, `"b"`, now.Add(time.Hour))
	wantRecord(t, s, key, record)
}
