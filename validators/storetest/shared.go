package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

var sharedClauses = []struct {
	name  string
	check func(t *testing.T, a, b validators.Store)
}{
	{"what one saves, the other finds", sharedSave},
	{"what one replaces, the other finds", sharedReplace},
	{"what one deletes, the other loses", sharedDelete},
	{"Forget", sharedForget},
	{"Forget overtakes a slow response of the other", sharedForgetOvertakes},
	{"Purge", sharedPurge},
	{"Purge overtakes a slow response of the other", sharedPurgeOvertakes},
	{"Purge leaves others alone", sharedPurgeLeavesOthersAlone},
	{"more than MaxPurges purges", sharedManyPurges},
	{"FirstSeen is the same", sharedFirstSeen},
	{"FirstSeen of tags that take turns", sharedFirstSeenOfTurns},
	{"FirstSeen is purged with everything", sharedFirstSeenPurged},
	{"FirstSeen has one answer", func(t *testing.T, a, b validators.Store) { oneAnswer(t, a, b) }},
}

func sharedSave(t *testing.T, a, b validators.Store) {
	key := newKey(newHost(), "/")
	has(t, b, key) // that there was nothing before is not to be remembered for good
	record := remember(t, a, key)
	eventually(t, "the record is found by the other", func() bool { return has(t, b, key) })
	wantRecord(t, b, key, record)
}

func sharedReplace(t *testing.T, a, b validators.Store) {
	key := newKey(newHost(), "/")
	remember(t, a, key)
	eventually(t, "the record is found by the other", func() bool { return has(t, b, key) })
	record := remember(t, b, key)
	for _, s := range []validators.Store{a, b} {
		eventually(t, "the new record is found", func() bool {
			found, _ := load(t, s, key)
			return found.ETag == record.ETag
		})
	}
}

func sharedDelete(t *testing.T, a, b validators.Store) {
	key := newKey(newHost(), "/")
	remember(t, a, key)
	eventually(t, "the record is found by the other", func() bool { return has(t, b, key) })
	must(t, "Delete", b.Delete(t.Context(), key))
	wantNothing(t, b, key, "what was deleted here")
	eventually(t, "the record is gone at the other", func() bool { return !has(t, a, key) })
}

func sharedForget(t *testing.T, a, b validators.Store) {
	key := newKey(newHost(), "/")
	sharedOutOfDate(t, a, b, key, func() { forget(t, b, key.URI) })
}

func sharedPurge(t *testing.T, a, b validators.Store) {
	host := newHost()
	key := newKey(host, "/a/b")
	for _, scope := range []validators.Scope{{Host: host, Path: "/a"}, {Host: host}, {}} {
		sharedOutOfDate(t, a, b, key, func() { purge(t, b, scope) })
	}
}

// sharedOutOfDate has b make out of date what a has saved.
func sharedOutOfDate(t *testing.T, a, b validators.Store, key validators.Key, act func()) {
	t.Helper()
	keepAgain(t, a, b, key)
	act()
	never(t, "found by the process that made it out of date", func() bool { return has(t, b, key) })
	eventually(t, "out of date for the other", func() bool { return !has(t, a, key) })
	never(t, "found again", func() bool { return has(t, a, key) || has(t, b, key) })
	keepAgain(t, b, a, key)
}

// keepAgain saves at one until both find it: its stamps may be older than what the other has done.
func keepAgain(t *testing.T, a, b validators.Store, key validators.Key) {
	t.Helper()
	eventually(t, "both find a record", func() bool {
		remember(t, a, key)
		return has(t, a, key) && has(t, b, key)
	})
}

func sharedForgetOvertakes(t *testing.T, a, b validators.Store) {
	key := newKey(newHost(), "/")
	sharedOvertaken(t, a, b, key, func() { forget(t, b, key.URI) })
}

func sharedPurgeOvertakes(t *testing.T, a, b validators.Store) {
	host := newHost()
	key := newKey(host, "/a/b")
	for _, scope := range []validators.Scope{{Host: host, Path: "/a"}, {Host: host}, {}} {
		sharedOvertaken(t, a, b, key, func() { purge(t, b, scope) })
	}
}

// sharedOvertaken has b make out of date what a is about to save: once before a can have been told of it, and once
// after.
func sharedOvertaken(t *testing.T, a, b validators.Store, key validators.Key, act func()) {
	t.Helper()
	told := key // another record of the same URI
	told.Sum[0]++
	keepAgain(t, a, b, told)
	stamp := stampOf(t, a, key)
	act()
	save(t, a, key, newRecord(stamp), long)
	never(t, "an overtaken response is found by who overtook it", func() bool { return has(t, b, key) })
	eventually(t, "the other is told", func() bool { return !has(t, a, told) })
	never(t, "an overtaken response is found", func() bool { return has(t, a, key) || has(t, b, key) })
	save(t, a, key, newRecord(stamp), long)
	never(t, "an overtaken response is found", func() bool { return has(t, a, key) || has(t, b, key) })
	keepAgain(t, a, b, key)
}

func sharedPurgeLeavesOthersAlone(t *testing.T, a, b validators.Store) {
	host := newHost()
	key, other := newKey(host, "/a/b"), newKey(host, "/a/bc")
	keepAgain(t, a, b, key)
	keepAgain(t, a, b, other)
	purge(t, b, validators.Scope{Host: host, Path: "/a/b"})
	eventually(t, "purged at the other", func() bool { return !has(t, a, key) })
	wantFound(t, a, other, "what is outside of the scope")
	wantFound(t, b, other, "what is outside of the scope")
}

func sharedManyPurges(t *testing.T, a, b validators.Store) {
	key, slow := newKey(newHost(), "/a"), newKey(newHost(), "/a")
	keepAgain(t, a, b, key)
	stamp := stampOf(t, a, slow)
	purge(t, b, validators.Scope{Path: "/a"})
	for n := range validators.MaxPurges + 10 {
		purge(t, b, validators.Scope{Host: key.URI.Host, Path: fmt.Sprintf("/b/%d", n)})
	}
	wantNothing(t, b, key, "what was purged long ago")
	eventually(t, "purged at the other", func() bool { return !has(t, a, key) })
	save(t, a, slow, newRecord(stamp), long)
	never(t, "a response that was overtaken long ago is found", func() bool { return has(t, a, slow) || has(t, b, slow) })
	keepAgain(t, a, b, key)
}

func sharedFirstSeen(t *testing.T, a, b validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	for n, s := range []validators.Store{a, b, a} {
		wantSeen(t, s, key, `"a"`, now.Add(time.Duration(n)*time.Hour), now)
	}
	wantNoDate(t, b, key, `"b"`, now.Add(-time.Hour))
	later := now.Add(time.Minute)
	wantSeen(t, b, key, `"b"`, later, later)
	wantSeen(t, a, key, `"b"`, later.Add(time.Hour), later)
}

func sharedFirstSeenPurged(t *testing.T, a, b validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	wantSeen(t, a, key, `"a"`, now, now)
	wantSeen(t, b, key, `"a"`, now.Add(time.Minute), now)
	purge(t, b, validators.Scope{})
	later := now.Add(time.Hour)
	wantSeen(t, b, key, `"a"`, later, later)
	eventually(t, "the other has the new date", func() bool {
		return firstSeen(t, a, key, `"a"`, later.Add(time.Hour)).Equal(later)
	})
}

// sharedFirstSeenOfTurns: what one has dated, the other has to outdo, and cannot within the same second.
func sharedFirstSeenOfTurns(t *testing.T, a, b validators.Store) {
	key, now := newKey(newHost(), "/"), ahead()
	for n := range 5 {
		one, other := fmt.Sprintf(`"a%d"`, n), fmt.Sprintf(`"b%d"`, n)
		wantSeen(t, a, key, one, now, now)
		for range 5 {
			wantNoDate(t, b, key, other, now)
			wantSeen(t, b, key, one, now, now)
		}
		now = now.Add(time.Second)
		wantSeen(t, b, key, other, now, now)
		wantSeen(t, a, key, other, now, now)
		now = now.Add(time.Second)
	}
}
