package memory

import (
	"fmt"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func pageKey(host, path string) validators.Key {
	uri := validators.NewURI(host, &url.URL{Path: path})
	return validators.Key{Sum: uri.Sum, URI: uri}
}

func (r *records) keep(t *testing.T, key validators.Key, ttl time.Duration) {
	t.Helper()
	_, stamp, _ := r.Load(t.Context(), key)
	if err := r.Save(t.Context(), key, validators.Record{Stamp: stamp, ETag: `"a"`, Received: time.Now()}, ttl); err != nil {
		t.Fatal(err)
	}
}

func wantEntries(t *testing.T, r *records, when string, want int64) {
	t.Helper()
	if got := r.Stats().Entries; got != want {
		t.Errorf("%s: %d entries, want %d", when, got, want)
	}
}

// TestEntriesTellTheTruth: what is forgotten, purged or over is not counted, and all else is.
func TestEntriesTellTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords(Options{MaxEntries: 1000, MaxFirstSeen: 10})
		paths := []string{"/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/a/b/c/d/e/f/g/h/i/j"}
		for _, host := range []string{"one.example", "two.example"} {
			for _, path := range paths {
				r.keep(t, pageKey(host, path), time.Hour)
			}
		}
		wantEntries(t, r, "to begin with", 14)
		for _, step := range []struct {
			when  string
			scope validators.Scope
			want  int64
		}{
			{"after a purge of what is not there", validators.Scope{Host: "one.example", Path: "/x"}, 14},
			{"… of another host", validators.Scope{Host: "three.example"}, 14},
			{"… of a page below", validators.Scope{Host: "one.example", Path: "/a/b/c"}, 12},
			{"… of a folder", validators.Scope{Host: "one.example", Path: "/a/"}, 9},
			{"… of a host", validators.Scope{Host: "one.example"}, 7},
		} {
			if err := r.Purge(t.Context(), step.scope); err != nil {
				t.Fatal(err)
			}
			wantEntries(t, r, step.when, step.want)
		}
		_ = r.Forget(t.Context(), pageKey("two.example", "/a").URI)
		wantEntries(t, r, "after a page was forgotten", 6)
		r.keep(t, pageKey("two.example", "/a"), time.Minute)
		wantEntries(t, r, "when it is kept again", 7)
		<-time.After(2 * time.Minute)
		wantEntries(t, r, "when its time is over", 6)
		_ = r.Purge(t.Context(), validators.Scope{})
		wantEntries(t, r, "after a purge of everything", 0)
		r.keep(t, pageKey("two.example", "/a"), time.Hour)
		wantEntries(t, r, "when one is kept after that", 1)
	})
}

// TestSweepLeavesWhatIsThere: what is counted is found, through many purges of others, and what is found is counted.
func TestSweepLeavesWhatIsThere(t *testing.T) {
	r := newRecords(Options{MaxEntries: 10_000, MaxFirstSeen: 10})
	for i := range 1000 {
		r.keep(t, pageKey("a.example", fmt.Sprintf("/%d/%d", i%100, i)), time.Hour)
	}
	for i := range 60 {
		_ = r.Purge(t.Context(), validators.Scope{Host: "a.example", Path: fmt.Sprintf("/%d", i)})
	}
	r.sweep()
	counted, found := r.Stats().Entries, int64(0)
	for i := range 1000 {
		if record, _, _ := r.Load(t.Context(), pageKey("a.example", fmt.Sprintf("/%d/%d", i%100, i))); record.Exists() {
			found++
		}
	}
	if counted != 400 || found != 400 {
		t.Errorf("%d are counted, %d found, want 400", counted, found)
	}
}

func BenchmarkSweep(b *testing.B) {
	r := newRecords(Options{MaxEntries: 200_000, MaxFirstSeen: 10})
	for i := range 100_000 {
		key := pageKey("a.example", fmt.Sprintf("/articles/%d", i))
		_, stamp, _ := r.Load(b.Context(), key)
		_ = r.Save(b.Context(), key, validators.Record{Stamp: stamp, ETag: `W/"cc1.00000000000000000000000000000000"`, Received: time.Now()}, time.Hour)
	}
	for b.Loop() {
		r.sweep()
	}
}
