package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// newSite is one that no other test has.
func newSite() uint64 { return rand.Uint64() }

func siteKey(site uint64, n int) validators.Key {
	key := newKey("a.example", fmt.Sprint("/", n))
	key.Site = site
	return key
}

// dates is how many keys of dates the server has.
func (s *server) dates() (n int) {
	s.t.Helper()
	keys, err := s.must("KEYS", "*2:f:*").AsStrSlice()
	if err != nil {
		s.t.Fatal(err)
	}
	return len(keys)
}

// A flood of anonymous queries takes so much of the server's memory and no more.
func TestAFloodOfDatesIsBounded(t *testing.T) {
	const most = 2000
	s := startServer(t)
	o := optionsFor(s.address())
	o.maxFirstSeen = most
	n, site, now := join(t, o), newSite(), time.Unix(1_800_000_000, 0)
	before := n.Stats()
	used := func() int64 {
		var sum int64
		for _, name := range []string{n.dateOf(siteKey(site, 0)).site} {
			bytes, _ := s.must("MEMORY", "USAGE", name, "SAMPLES", "0").AsInt64()
			sum += bytes
		}
		return sum
	}
	tag := "0123456789abcdef0123456789abcdef.0123456789"
	first := siteKey(site, -1)
	for i := range most {
		key := first
		if i > 0 {
			key = siteKey(site, i)
		}
		if _, err := n.FirstSeen(t.Context(), key, tag, now, 365*24*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if _, err := n.FirstSeen(t.Context(), siteKey(site, i), tag, now, 365*24*time.Hour); !errors.Is(err, validators.ErrNoDate) {
			t.Fatalf("one more than there may be: %v", err)
		}
	}
	bytes, _ := s.must("MEMORY", "USAGE", n.dateOf(first).date).AsInt64()
	t.Logf("a date takes %d octets, and %d of the count", bytes, used()/most)
	if kept := s.dates(); kept != most || n.Stats().FirstSeen != most {
		t.Errorf("%d dates are kept, %d are counted, want %d", kept, n.Stats().FirstSeen, most)
	}
	if stats := n.Stats(); stats.Errors != before.Errors || !stats.Available {
		t.Errorf("that there is no room counts as an error: %+v", stats)
	}
}

// What has ended makes room, a few at a time, and is not counted before it was cleared away.
func TestDatesThatHaveEndedMakeRoom(t *testing.T) {
	const most = 300
	s := startServer(t)
	o := optionsFor(s.address())
	o.maxFirstSeen = most
	n, site, now := join(t, o), newSite(), time.Unix(1_800_000_000, 0)
	for i := range most {
		if _, err := n.FirstSeen(t.Context(), siteKey(site, i), `"a"`, now, 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	s.must("PERSIST", n.dateOf(siteKey(site, 0)).site) // or nothing would be left to clear away
	eventually(t, "all have ended", func() bool { return s.dates() == 0 })
	eventually(t, "none is counted", func() bool { return n.Stats().FirstSeen == 0 })
	for i := range most {
		if _, err := n.FirstSeen(t.Context(), siteKey(site, i), `"a"`, now, time.Hour); err != nil {
			t.Fatalf("the %dth: %v", i, err)
		}
	}
	if members, _ := s.must("ZCARD", n.dateOf(siteKey(site, 0)).site).AsInt64(); members != most {
		t.Errorf("%d are in the set, want %d", members, most)
	}
	if _, err := n.FirstSeen(t.Context(), siteKey(site, 0), `"a"`, now, time.Hour); !errors.Is(err, validators.ErrNoDate) {
		t.Errorf("one more: %v", err)
	}
}

// A purge of everything takes the dates away, of whatever site and whichever node made them.
func TestPurgedDatesAreSwept(t *testing.T) {
	s := startServer(t)
	n, other, now := join(t, optionsFor(s.address())), join(t, optionsFor(s.address())), time.Unix(1_800_000_000, 0)
	sites := []uint64{newSite(), newSite(), newSite()}
	for i := range 1200 {
		node := n
		if i%2 == 0 {
			node = other
		}
		if _, err := node.FirstSeen(t.Context(), siteKey(sites[i%3], i), `"a"`, now, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if kept := s.dates(); kept != 1200 {
		t.Fatalf("%d dates are kept", kept)
	}
	if err := n.Purge(t.Context(), validators.Scope{Host: "a.example"}); err != nil || s.dates() != 1200 {
		t.Errorf("after a purge of a host %d dates are kept (%v)", s.dates(), err)
	}
	if err := n.Purge(t.Context(), validators.Scope{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no date is left", func() bool { return s.dates() == 0 })
	if sets, _ := s.must("KEYS", "*2:n:*").AsStrSlice(); len(sets) != 0 {
		t.Errorf("%q are left", sets)
	}
}

// A date that the server has evicted within its second is not given to another tag.
func TestEvictedDatesDoNotComeAgain(t *testing.T) {
	s := startServer(t)
	n, key, now := join(t, optionsFor(s.address())), newKey("a.example", "/"), time.Unix(1_800_000_000, 0)
	ask := func(tag string, now time.Time) (time.Time, error) {
		return n.FirstSeen(t.Context(), key, tag, now, time.Hour)
	}
	if _, err := ask(`"a"`, now); err != nil {
		t.Fatal(err)
	}
	s.must("DEL", n.dateOf(key).date)
	eventually(t, "the copy is gone", func() bool { _, ok := n.peekDate(key, `"a"`, now, time.Hour); return !ok })
	for range 3 {
		for _, tag := range []string{`"b"`, `"a"`} {
			if at, err := ask(tag, now); !errors.Is(err, validators.ErrNoDate) {
				t.Errorf("%s in the same second: %s, %v", tag, at, err)
			}
		}
	}
	if at, err := ask(`"b"`, now.Add(time.Second)); err != nil || !at.Equal(now.Add(time.Second)) {
		t.Errorf("in the next one: %s, %v", at, err)
	}
	if count := n.Stats().FirstSeen; count != 1 {
		t.Errorf("%d dates are counted", count)
	}
}

// Nor is one that went with everything else.
func TestDatesAfterALoss(t *testing.T) {
	s := startServer(t)
	n, key := join(t, optionsFor(s.address())), newKey("a.example", "/")
	var before time.Time
	ask := func(tag string) (err error) {
		before, err = n.FirstSeen(t.Context(), key, tag, time.Now(), time.Hour)
		return err
	}
	eventually(t, "a date", func() bool { return ask(`"a"`) == nil })
	lost := before
	s.must("FLUSHALL")
	eventually(t, "another date", func() bool { err := ask(`"b"`); return err == nil || !errors.Is(err, validators.ErrNoDate) })
	if before.Sub(lost) <= settled-time.Second {
		t.Errorf("the date is %s after the one that was lost", before.Sub(lost))
	}
}

// What a node that has not heard of a purge says of a later one's dates does not count.
func TestSitesOfAnEarlierPurge(t *testing.T) {
	var s sites
	if sum, old := s.sum(); sum != -1 || old {
		t.Errorf("of no site: %d, %t", sum, old)
	}
	s.counted(1, 5, 10)
	s.counted(2, 5, 20)
	if tags := s.purged(6); len(tags) != 2 || tags[0] != siteTag(1, 5) && tags[0] != siteTag(2, 5) {
		t.Errorf("%d sites are to be swept", len(tags))
	}
	if tags := s.purged(5); len(tags) != 0 {
		t.Error("an earlier purge sweeps what is of a later one")
	}
	s.counted(1, 5, 10)
	s.counted(2, 6, 1)
	if sum, old := s.sum(); sum != 1 || !old {
		t.Errorf("%d dates are counted, to be counted again: %t", sum, old)
	}
	if _, old := s.sum(); old {
		t.Error("is counted twice at a time")
	}
	s.done()
	if _, old := s.sum(); old {
		t.Error("is counted again at once")
	}
}
