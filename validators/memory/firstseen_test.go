package memory

import (
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func TestLongTagsAreKeptShort(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := validators.Key{Sum: validators.Digest{1}}
	if _, err := s.FirstSeen(t.Context(), key, strings.Repeat("x", 1<<20), time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if kept, found := s.cache.GetIfPresent(firstSeenKey(key.Sum)); !found || len(kept) > 200 {
		t.Errorf("%d octets are kept", len(kept))
	}
}
