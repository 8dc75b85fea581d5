// Package storetest has the tests that every [validators.Store] has to pass, one for each promise of its comments. The tests
// of a store call Run, RunBounded, and RunShared if many processes can share the store:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) validators.Store { … })
//	}
//
// A store may have records already, of an earlier run for example: each test has hosts and keys of its own. Nothing else
// may use the store meanwhile, because some tests purge everything.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	// long is a ttl that no test lives to see the end of.
	long = time.Hour
	// patience is how long processes that share a store may take to hear of each other, and how long a
	// call may take that has nothing to wait for.
	patience = 5 * time.Second
	// interval is how often it is looked whether they have.
	interval = 2 * time.Millisecond
)

// Run tests one store. open returns a store that is ready for use and has room for at least 20,000 records. If the store
// needs closing, open registers that with t.Cleanup. The store is used after it was closed, too.
func Run(t *testing.T, open func(t *testing.T) validators.Store) {
	t.Helper()
	for _, clause := range clauses {
		t.Run(clause.name, func(t *testing.T) { clause.check(t, open(t)) })
	}
	t.Run("a store that was closed", func(t *testing.T) { closed(t, open) })
}

// RunShared tests a store that many processes share. open returns two stores, as two processes would have them: they share
// nothing but the place where records are kept.
func RunShared(t *testing.T, open func(t *testing.T) (a, b validators.Store)) {
	t.Helper()
	for _, clause := range sharedClauses {
		t.Run(clause.name, func(t *testing.T) {
			a, b := open(t)
			clause.check(t, a, b)
		})
	}
}

// RunBounded tests what a store does when it has the greatest number of FirstSeen dates of a site. open returns a store
// with that number.
func RunBounded(t *testing.T, open func(t *testing.T, maxFirstSeen int) validators.Store) {
	t.Helper()
	for _, clause := range boundedClauses {
		t.Run(clause.name, func(t *testing.T) { clause.check(t, open(t, bound)) })
	}
}

// ahead is a time that the store's clock does not come to.
func ahead() time.Time { return time.Now().Truncate(time.Second).Add(1000 * time.Hour) }

// unique is a name that no other test has.
func unique() string { return strings.ToLower(rand.Text()) }

func newHost() string { return unique() + ".example" }

func newKey(host, target string) validators.Key {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err) // targets are constants of this package
	}
	key := validators.Key{URI: validators.NewURI(host, u), Site: newSite()}
	_, _ = rand.Read(key.Sum[:]) // never fails
	return key
}

func newSite() uint64 {
	var site [8]byte
	_, _ = rand.Read(site[:]) // never fails
	return binary.NativeEndian.Uint64(site[:])
}

// newRecord is one with a value in every place.
func newRecord(stamp validators.Stamp) validators.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := validators.Record{
		Stamp:        stamp,
		ETag:         fmt.Sprintf(`W/"cc1.%s"`, unique()),
		LastModified: at,
		Size:         1 << 40,
		Received:     at.Add(time.Minute + 123*time.Millisecond),
		Date:         at.Add(time.Minute),
		InitialAge:   90 * time.Second,
		Lifetime:     90*time.Second + time.Millisecond,
		Flags:        validators.Cookies | validators.NeverStale,
		SetCookies:   "XSRF-TOKEN",
	}
	r.AddField("Cache-Control", "public, max-age=60")
	r.AddField("X-Own", "")
	r.AddField("X-Own", "ü\x00\r\n")
	return r
}

func load(t *testing.T, s validators.Store, key validators.Key) (validators.Record, validators.Stamp) {
	t.Helper()
	record, stamp, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return record, stamp
}

func stampOf(t *testing.T, s validators.Store, key validators.Key) validators.Stamp {
	t.Helper()
	_, stamp := load(t, s, key)
	return stamp
}

func save(t *testing.T, s validators.Store, key validators.Key, record validators.Record, ttl time.Duration) {
	t.Helper()
	must(t, "Save", s.Save(t.Context(), key, record, ttl))
}

// remember saves a new record of a response to a request that begins now.
func remember(t *testing.T, s validators.Store, key validators.Key) validators.Record {
	t.Helper()
	record := newRecord(stampOf(t, s, key))
	save(t, s, key, record, long)
	return record
}

func forget(t *testing.T, s validators.Store, uri validators.URI) {
	t.Helper()
	must(t, "Forget", s.Forget(t.Context(), uri))
}

func purge(t *testing.T, s validators.Store, scope validators.Scope) {
	t.Helper()
	must(t, "Purge", s.Purge(t.Context(), scope))
}

func firstSeen(t *testing.T, s validators.Store, key validators.Key, tag string, now time.Time) time.Time {
	t.Helper()
	seen, err := s.FirstSeen(t.Context(), key, tag, now, long)
	must(t, "FirstSeen", err)
	return seen
}

func wantSeen(t *testing.T, s validators.Store, key validators.Key, tag string, now, want time.Time) {
	t.Helper()
	if seen := firstSeen(t, s, key, tag, now); !seen.Equal(want) {
		t.Errorf("%.40s at %s: %s, want %s", tag, now, seen, want)
	}
}

func wantNoDate(t *testing.T, s validators.Store, key validators.Key, tag string, now time.Time) {
	t.Helper()
	if seen, err := s.FirstSeen(t.Context(), key, tag, now, long); !errors.Is(err, validators.ErrNoDate) {
		t.Errorf("%.40s at %s: %s, %v, want ErrNoDate", tag, now, seen, err)
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func has(t *testing.T, s validators.Store, key validators.Key) bool {
	t.Helper()
	record, _ := load(t, s, key)
	return record.Exists()
}

func wantRecord(t *testing.T, s validators.Store, key validators.Key, want validators.Record) {
	t.Helper()
	if got, _ := load(t, s, key); !reflect.DeepEqual(got, want) {
		t.Errorf("found %+v, want %+v", got, want)
	}
}

// wantFound allows for a stamp that was renewed.
func wantFound(t *testing.T, s validators.Store, key validators.Key, what string) {
	t.Helper()
	if !has(t, s, key) {
		t.Errorf("%s is not found", what)
	}
}

func wantNothing(t *testing.T, s validators.Store, key validators.Key, what string) {
	t.Helper()
	if got, _ := load(t, s, key); !reflect.DeepEqual(got, validators.Record{}) {
		t.Errorf("%s is found: %+v", what, got)
	}
}

// eventually looks until something is so, or patience is at its end.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !so() {
		if !pause(ctx) {
			t.Fatalf("after %s: not yet: %s", patience, what)
		}
	}
}

// never looks a few times whether something is so.
func never(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 10 {
		if so() {
			t.Fatal(what)
		}
		pause(t.Context())
	}
}

// pause waits for an interval, and reports whether the context goes on.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
