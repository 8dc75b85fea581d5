package memory

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const year = 365 * 24 * time.Hour

func keeping(t *testing.T, maxFirstSeen int) *Store {
	t.Helper()
	s, err := New(Options{MaxFirstSeen: maxFirstSeen})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyOf(n int, site uint64) (key validators.Key) {
	binary.LittleEndian.PutUint64(key.Sum[:], uint64(n))
	key.Sum[8], key.Site = byte(site), site
	return key
}

// seen is when a tag was first seen, now; zero: it has no date.
func seen(t *testing.T, s *Store, key validators.Key, tag string) time.Time {
	t.Helper()
	at, err := s.FirstSeen(t.Context(), key, tag, time.Now(), year)
	if err != nil && !errors.Is(err, validators.ErrNoDate) {
		t.Fatal(err)
	}
	return at
}

func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // of a bubble's time

func TestLongTagsAreKeptShort(t *testing.T) {
	s, key := keeping(t, 0), keyOf(1, 0)
	if at := seen(t, s, key, strings.Repeat("x", 1<<20)); at.IsZero() {
		t.Fatal("no date")
	}
	if kept := s.dates.kept[key.Sum]; kept == nil || len(kept.tag) > 200 {
		t.Errorf("%+v is kept", kept)
	}
}

// What is asked for once is kept for two days, and for a year after each time that it is asked for once more.
func TestDatesAreKeptForAYearFromTheSecondCallOn(t *testing.T) {
	for name, c := range map[string]struct {
		pauses []time.Duration
		kept   bool
	}{
		"daily":                    {[]time.Duration{24 * time.Hour}, true},
		"just within two days":     {[]time.Duration{48*time.Hour - 1}, true},
		"after two days":           {[]time.Duration{48 * time.Hour}, false},
		"a year after the second":  {[]time.Duration{0, year - 1}, true},
		"later":                    {[]time.Duration{time.Hour, year * 9 / 8}, false},
		"a year after each":        {[]time.Duration{time.Hour, year / 2, year - 1, year - 1}, true},
		"far more after the third": {[]time.Duration{time.Hour, year / 2, 2 * year}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, key, start := keeping(t, 0), keyOf(1, 0), time.Now()
				last := seen(t, s, key, `"a"`)
				for _, pause := range c.pauses {
					pass(pause)
					last = seen(t, s, key, `"a"`)
				}
				if kept := last.Equal(start); kept != c.kept {
					t.Errorf("kept: %t, want %t", kept, c.kept)
				}
			})
		})
	}
}

// Another tag is new, whatever the one before has been.
func TestANewTagIsKeptForTwoDaysAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, key := keeping(t, 0), keyOf(1, 0)
		seen(t, s, key, `"a"`)
		seen(t, s, key, `"a"`)
		pass(time.Second)
		seen(t, s, key, `"b"`)
		pass(48 * time.Hour)
		if at := seen(t, s, key, `"b"`); !at.Equal(time.Now()) {
			t.Errorf("is kept since %s", at)
		}
	})
}

// What is over makes room, a few at a time.
func TestDatesThatAreOverMakeRoom(t *testing.T) {
	const room = 3 * cleared
	synctest.Test(t, func(t *testing.T) {
		s := keeping(t, room)
		for n := range room {
			seen(t, s, keyOf(n, 1), `"a"`)
		}
		again := keyOf(0, 1)
		seen(t, s, again, `"a"`)
		if at := seen(t, s, keyOf(room, 1), `"a"`); !at.IsZero() || s.Stats().FirstSeen != room {
			t.Errorf("one more has the date %s, of %d", at, s.Stats().FirstSeen)
		}
		pass(48 * time.Hour)
		for n := range room - 1 {
			if at := seen(t, s, keyOf(room+n, 1), `"a"`); at.IsZero() {
				t.Fatalf("%d has no date", n)
			}
		}
		if at := seen(t, s, keyOf(3*room, 1), `"a"`); !at.IsZero() || s.Stats().FirstSeen != room || len(s.dates.order) != room {
			t.Errorf("one more has the date %s, of %d", at, s.Stats().FirstSeen)
		}
		if at := seen(t, s, again, `"a"`); at.Equal(time.Now()) {
			t.Error("what was asked for twice has given way")
		}
		pass(2 * year)
		for n := range 10 {
			seen(t, s, keyOf(n, 2), `"a"`)
		}
		if sites := len(s.dates.sites); sites != 1 || s.Stats().FirstSeen != 10 {
			t.Errorf("%d dates of %d sites are kept, want 10 of 1", s.Stats().FirstSeen, sites)
		}
	})
}

// Dates are not among the records, neither counted with them nor evicted for them.
func TestDatesAreNoRecords(t *testing.T) {
	s, err := New(Options{MaxEntries: 10})
	if err != nil {
		t.Fatal(err)
	}
	first := seen(t, s, keyOf(0, 1), `"a"`)
	for n := range 1000 {
		seen(t, s, keyOf(n, 1), `"a"`)
	}
	if stats := s.Stats(); stats.Entries != 0 || stats.Evictions != 0 || stats.FirstSeen != 1000 {
		t.Errorf("%+v", stats)
	}
	if at := seen(t, s, keyOf(0, 1), `"a"`); !at.Equal(first) {
		t.Errorf("the first date is %s, was %s", at, first)
	}
}

func TestDatesAreSmall(t *testing.T) {
	const dates, most = 100_000, 300
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := keeping(t, dates)
	for n := range dates {
		seen(t, s, keyOf(n, 1), strings.Repeat("x", 32)+"."+time.Unix(int64(n), 0).String()[:8])
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if bytes := int64(after.HeapAlloc-before.HeapAlloc) / dates; bytes > most {
		t.Errorf("%d bytes a date, which should be at most %d", bytes, most)
	} else {
		t.Logf("%d bytes a date", bytes)
	}
	runtime.KeepAlive(s)
}
