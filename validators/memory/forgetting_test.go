package memory

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// pages are keys of n URIs.
func pages(n int) []validators.Key {
	keys := make([]validators.Key, n)
	for i := range keys {
		keys[i].URI = validators.NewURI("shop.test", &url.URL{Path: "/search", RawQuery: fmt.Sprintf("q=%d", i)})
		keys[i].Sum = keys[i].URI.Sum
	}
	return keys
}

// URIs that share a place are forgotten together, and no others are.
func TestForgettingHitsOnePlace(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys := pages(20_000)
	for _, key := range keys {
		_, stamp, _ := s.Load(t.Context(), key)
		if err := s.Save(t.Context(), key, validators.Record{Stamp: stamp, ETag: `"a"`, Received: time.Now()}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Forget(t.Context(), keys[0].URI); err != nil {
		t.Fatal(err)
	}
	for n, key := range keys {
		found, _, _ := s.Load(t.Context(), key)
		if same := s.place(key.URI) == s.place(keys[0].URI); found.Exists() == same {
			t.Fatalf("record %d is found: %v; its place is the one that was forgotten: %v", n, !same, same)
		}
	}
}

// Which URIs share a place nobody can work out: it is another one in each store.
func TestPlacesAreNotKnownOutside(t *testing.T) {
	a, b := newForgetting(), newForgetting()
	const tried = 10_000
	var same int
	for _, key := range pages(tried) {
		if a.place(key.URI) == b.place(key.URI) {
			same++
		}
	}
	if same > 10 { // of one in 65,536
		t.Errorf("%d of %d URIs have the same place in both", same, tried)
	}
}
