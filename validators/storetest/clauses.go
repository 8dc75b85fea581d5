package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

var clauses = []struct {
	name  string
	check func(t *testing.T, s validators.Store)
}{
	{"Name has no secrets", nameHasNoSecrets},
	{"Load of nothing", loadOfNothing},
	{"Save, then Load", saveThenLoad},
	{"Save replaces", saveReplaces},
	{"a record of 64 KiB", largeRecord},
	{"ttl", ttlEnds},
	{"ttl of the later Save", laterTTLCounts},
	{"Delete", deleteDropsOne},
	{"Forget", forgetReachesAllOfTheURI},
	{"Forget overtakes a slow response", forgetOvertakes},
	{"Purge of everything", purgeOfEverything},
	{"Purge of a host", purgeOfAHost},
	{"Purge at segment boundaries", purgeAtSegments},
	{"Purge of a path on every host", purgeOfAPath},
	{"Purge overtakes a slow response", purgeOvertakes},
	{"Purge leaves others alone", purgeLeavesOthersAlone},
	{"more than MaxPurges purges", manyPurges},
	{"FirstSeen keeps the time of a tag", firstSeenKeeps},
	{"FirstSeen of another tag", firstSeenOfAnother},
	{"FirstSeen never goes back", firstSeenNeverBack},
	{"FirstSeen of tags that take turns", firstSeenOfTurns},
	{"FirstSeen is never to come", firstSeenNeverToCome},
	{"FirstSeen tells long tags apart", firstSeenLongTags},
	{"FirstSeen has whole seconds", firstSeenWholeSeconds},
	{"FirstSeen keeps what was seen for its ttl", firstSeenTTL},
	{"FirstSeen has one answer", firstSeenOneAnswer},
	{"FirstSeen is not forgotten", firstSeenNotForgotten},
	{"FirstSeen is purged with everything", firstSeenPurged},
	{"FirstSeen has keys of its own", firstSeenKeys},
	{"a context that has ended", endedContext},
	{"Stats", statsCount},
	{"many goroutines", manyGoroutines},
}

func nameHasNoSecrets(t *testing.T, s validators.Store) {
	name := s.Name()
	if name == "" || name != s.Name() || strings.ContainsAny(name, "\r\n") {
		t.Errorf("%q is no name", name)
	}
	for _, sign := range []string{"@", "pass", "secret", "token=", "auth="} {
		if strings.Contains(strings.ToLower(name), sign) {
			t.Errorf("the name %q has %q in it: is there a secret next to it?", name, sign)
		}
	}
}

func loadOfNothing(t *testing.T, s validators.Store) {
	wantNothing(t, s, newKey(newHost(), "/"), "what was never saved")
}

func saveThenLoad(t *testing.T, s validators.Store) {
	signpost := validators.Record{Nominated: "accept-language,cookie", Variants: strings.Repeat("0123456789abcdef", 3)}
	least := validators.Record{Received: time.UnixMilli(1).UTC(), Size: -1}
	for name, record := range map[string]validators.Record{
		"full": newRecord(validators.Stamp{}), "signpost": signpost, "least": least,
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(newHost(), "/a?q")
			record.Stamp = stampOf(t, s, key)
			save(t, s, key, record, long)
			wantRecord(t, s, key, record)
			wantRecord(t, s, key, record) // finding it does not use it up
		})
	}
}

func saveReplaces(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	other := newKey(key.URI.Host, "/") // of the same URI
	kept := remember(t, s, other)
	for range 3 {
		wantRecord(t, s, key, remember(t, s, key))
	}
	wantRecord(t, s, other, kept)
}

func largeRecord(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	record := newRecord(stampOf(t, s, key))
	record.AddField("Content-Security-Policy", strings.Repeat("x", 64<<10))
	save(t, s, key, record, long)
	wantRecord(t, s, key, record)
}

// ending is the ttl of what a test waits for, and tolerance what a store may be late by.
const (
	ending    = 300 * time.Millisecond
	tolerance = 50 * time.Millisecond
)

func ttlEnds(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	record := newRecord(stampOf(t, s, key))
	waitForEnd(t, s, key, record)
}

func laterTTLCounts(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	remember(t, s, key)
	waitForEnd(t, s, key, newRecord(stampOf(t, s, key)))
}

// waitForEnd saves a record, and looks that it is there at first, and not when its ttl is over.
func waitForEnd(t *testing.T, s validators.Store, key validators.Key, record validators.Record) {
	t.Helper()
	began := time.Now()
	save(t, s, key, record, ending)
	saved := time.Now()
	if found := has(t, s, key); !found && time.Since(began) < ending {
		t.Fatal("the record ended before its ttl did")
	}
	for {
		asked := time.Now()
		found := has(t, s, key)
		if asked.Sub(saved) > ending+tolerance {
			if found {
				t.Errorf("the record is found %s after its ttl was over", asked.Sub(saved)-ending)
			}
			return
		}
		pause(t.Context())
	}
}

func deleteDropsOne(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	other := newKey(key.URI.Host, "/")
	now := ahead()
	must(t, "Delete of nothing", s.Delete(t.Context(), key))
	remember(t, s, key)
	kept := remember(t, s, other)
	seen := firstSeen(t, s, key, `"a"`, now)
	must(t, "Delete", s.Delete(t.Context(), key))
	wantNothing(t, s, key, "what was deleted")
	wantRecord(t, s, other, kept)
	if again := firstSeen(t, s, key, `"a"`, now.Add(time.Hour)); !again.Equal(seen) {
		t.Errorf("with a record went the time its tag was first seen: %s became %s", seen, again)
	}
	wantRecord(t, s, key, remember(t, s, key))
}

func forgetReachesAllOfTheURI(t *testing.T, s validators.Store) {
	host := newHost()
	keys := []validators.Key{newKey(host, "/a?q=1"), newKey(host, "/a?q=1"), newKey(host, "/%61?q=1")}
	for _, key := range keys {
		remember(t, s, key)
	}
	forget(t, s, keys[0].URI)
	for _, key := range keys {
		wantNothing(t, s, key, "what was forgotten")
		wantRecord(t, s, key, remember(t, s, key))
	}
	forget(t, s, keys[0].URI) // a second time
	wantNothing(t, s, keys[1], "what was forgotten")
}

func forgetOvertakes(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	overtaken(t, s, key, func() { forget(t, s, key.URI) })
}

func purgeOvertakes(t *testing.T, s validators.Store) {
	host := newHost()
	key := newKey(host, "/a/b")
	for _, scope := range []validators.Scope{{Host: host, Path: "/a"}, {Host: host}, {}} {
		overtaken(t, s, key, func() { purge(t, s, scope) })
	}
}

// overtaken has a request that begins before a write, and one that begins after it.
func overtaken(t *testing.T, s validators.Store, key validators.Key, write func()) {
	t.Helper()
	slow := newRecord(stampOf(t, s, key))
	write()
	quick := newRecord(stampOf(t, s, key))
	save(t, s, key, slow, long)
	wantNothing(t, s, key, "a response that was overtaken")
	save(t, s, key, quick, long)
	wantRecord(t, s, key, quick)
}

// purged saves records of targets, written as host and path, and checks which of them a purge leaves.
func purged(t *testing.T, s validators.Store, scope validators.Scope, gone, left []string) {
	t.Helper()
	keys := make(map[string]validators.Key)
	for _, target := range append(gone, left...) {
		host, path, _ := strings.Cut(target, "/")
		keys[target] = newKey(host, "/"+path)
		remember(t, s, keys[target])
	}
	purge(t, s, scope)
	for _, target := range gone {
		wantNothing(t, s, keys[target], target+" in the scope")
	}
	for _, target := range left {
		wantFound(t, s, keys[target], target+" outside of the scope")
	}
	for target, key := range keys {
		remember(t, s, key)
		wantFound(t, s, key, target+" saved after the purge")
	}
}

func purgeOfEverything(t *testing.T, s validators.Store) {
	purged(t, s, validators.Scope{}, []string{newHost() + "/", newHost() + "/a/b?c"}, nil)
}

func purgeOfAHost(t *testing.T, s validators.Store) {
	host := newHost()
	purged(t, s, validators.Scope{Host: host}, []string{host + "/", host + "/a/b?c"},
		[]string{newHost() + "/", "www." + host + "/", host + ".example/", host + ":8080/"})
}

func purgeAtSegments(t *testing.T, s validators.Store) {
	host := newHost()
	purged(t, s, validators.Scope{Host: host, Path: "/a/b"},
		[]string{host + "/a/b", host + "/a/b?q", host + "/a/b/", host + "/a/b/c/d", host + "/a/%62/c"},
		[]string{host + "/", host + "/a", host + "/a/", host + "/a/bc", host + "/a/bc/d", host + "/A/b", host + "/x/a/b", newHost() + "/a/b"})
}

func purgeOfAPath(t *testing.T, s validators.Store) {
	path := "/" + unique()
	purged(t, s, validators.Scope{Path: path}, []string{newHost() + path, newHost() + path + "/a"}, []string{newHost() + path + "a"})
}

// purgeLeavesOthersAlone has fewer purges than have to be told apart.
func purgeLeavesOthersAlone(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/a")
	purge(t, s, validators.Scope{}) // earlier ones shall not count
	remember(t, s, key)
	slow := stampOf(t, s, key)
	for n := range validators.MaxPurges * 3 / 4 {
		purge(t, s, validators.Scope{Host: key.URI.Host, Path: fmt.Sprintf("/b/%d", n)})
		if n%50 == 0 {
			wantFound(t, s, key, "what no purge has named")
		}
	}
	wantFound(t, s, key, "what no purge has named")
	save(t, s, key, newRecord(slow), long)
	wantFound(t, s, key, "a slow response that no purge has named")
	purge(t, s, validators.Scope{Host: key.URI.Host, Path: "/a"})
	wantNothing(t, s, key, "what the last purge has named")
}

func manyPurges(t *testing.T, s validators.Store) {
	key, slow := newKey(newHost(), "/a"), newKey(newHost(), "/a")
	remember(t, s, key)
	stamp := stampOf(t, s, slow)
	purge(t, s, validators.Scope{Path: "/a"})
	for n := range validators.MaxPurges + 10 {
		purge(t, s, validators.Scope{Host: key.URI.Host, Path: fmt.Sprintf("/b/%d", n)})
	}
	wantNothing(t, s, key, "what was purged long ago")
	save(t, s, slow, newRecord(stamp), long)
	wantNothing(t, s, slow, "a response that was overtaken long ago")
	wantRecord(t, s, key, remember(t, s, key))
}

func endedContext(t *testing.T, s validators.Store) {
	key := newKey(newHost(), "/")
	record := remember(t, s, key)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	inTime(t, func() {
		if got, _, err := s.Load(ended, key); err == nil && got.ETag != record.ETag {
			t.Errorf("Load found %+v, and no error", got)
		}
		_, _ = s.FirstSeen(ended, key, `"a"`, ahead(), long)
		// Whether it succeeds or fails, it has to be as if it had been done, for this process.
		_ = s.Forget(ended, key.URI)
	})
	wantNothing(t, s, key, "what was to be forgotten when the context had ended")
	inTime(t, func() {
		_ = s.Save(ended, key, newRecord(record.Stamp), long)
		_ = s.Purge(ended, validators.Scope{Host: key.URI.Host})
		_ = s.Delete(ended, key)
	})
	wantNothing(t, s, key, "a response that was overtaken")
	eventually(t, "a record is kept again", func() bool {
		remember(t, s, key)
		return has(t, s, key)
	})
}

// inTime runs something that has nothing to wait for, and does not panic.
func inTime(t *testing.T, do func()) {
	t.Helper()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		do()
	}()
	select {
	case panicked := <-done:
		if panicked != nil {
			t.Fatalf("panicked: %v", panicked)
		}
	case <-time.After(patience):
		t.Fatalf("not done after %s", patience)
	}
}

func statsCount(t *testing.T, s validators.Store) {
	key, before := newKey(newHost(), "/"), s.Stats()
	remember(t, s, key) // the first miss
	has(t, s, key)
	has(t, s, newKey(newHost(), "/"))
	forget(t, s, key.URI)
	has(t, s, key)
	after := s.Stats()
	if hits, misses := after.Hits-before.Hits, after.Misses-before.Misses; hits != 1 || misses != 3 {
		t.Errorf("%d hits and %d misses were counted, want 1 and 3", hits, misses)
	}
	if !after.Available || after.Errors != before.Errors || after.Entries < -1 {
		t.Errorf("nothing has failed, yet %+v became %+v", before, after)
	}
}

// closed uses a store after the end of the test that it was opened for.
func closed(t *testing.T, open func(t *testing.T) validators.Store) {
	t.Helper()
	var s validators.Store
	key := newKey(newHost(), "/")
	if !t.Run("open", func(t *testing.T) {
		s = open(t)
		remember(t, s, key)
	}) {
		return
	}
	inTime(t, func() {
		_, stamp, err := s.Load(t.Context(), key)
		wantOver(t, "Load", err)
		wantOver(t, "Save", s.Save(t.Context(), key, newRecord(stamp), long))
		wantOver(t, "Delete", s.Delete(t.Context(), key))
		wantOver(t, "Forget", s.Forget(t.Context(), key.URI))
		wantOver(t, "Purge", s.Purge(t.Context(), validators.Scope{Host: key.URI.Host}))
		_, err = s.FirstSeen(t.Context(), key, `"a"`, ahead(), long)
		wantOver(t, "FirstSeen", err)
		s.Stats()
		_ = s.Name()
	})
}

func wantOver(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("%s: %v, want ErrUnavailable or nil", what, err)
	}
}
