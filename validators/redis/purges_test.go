package redis

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// Whatever a scope is made of, the log says it again.
func TestScopesInTheLog(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	scopes := []validators.Scope{
		{Host: "a.example"}, {Path: "/a b"}, {Host: "ü.example", Path: "/%0A\n+&\x00\xff"}, {Host: "[::1]:8080", Path: "/"}, {Host: " ", Path: "/1 2\n3"},
	}
	for _, scope := range scopes {
		if err := n.Purge(t.Context(), scope); err != nil {
			t.Fatal(err)
		}
	}
	text, err := s.must("GET", n.keys.purges).ToString()
	if err != nil {
		t.Fatal(err)
	}
	log := parseLog(text)
	if log == nil {
		t.Fatalf("%q is not a log", text)
	}
	purges := log.purges
	var got []validators.Scope
	for _, purge := range purges.List {
		got = append(got, purge.Scope)
	}
	if !reflect.DeepEqual(got, scopes) {
		t.Errorf("got %q, want %q", got, scopes)
	}
	if now := time.Now().UnixMicro(); purges.Last() > uint64(now) || purges.Base < uint64(now-time.Hour.Microseconds()) {
		t.Errorf("the numbers from %d to %d are not of the server's clock at %d", purges.Base, purges.Last(), now)
	}
}

// A server whose clock was set back goes on counting.
func TestClockOfTheServerThatGoesBack(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	ahead := time.Now().Add(time.Hour).UnixMicro()
	for _, before := range []string{fmt.Sprintf("%d 0123456789abcdef 1\n", ahead), fmt.Sprintf("5 0123456789abcdef 1\n%d a.example \n", ahead)} {
		s.must("SET", n.keys.purges, before)
		for range 2 {
			if err := n.Purge(t.Context(), validators.Scope{Host: "b.example"}); err != nil {
				t.Fatal(err)
			}
		}
		text, _ := s.must("GET", n.keys.purges).ToString()
		if log := parseLog(text); log == nil || log.purges.Last() != uint64(ahead)+2 || log.seed != 0x0123456789abcdef || log.all != 1 {
			t.Errorf("%q became %q, want a last number of %s", before, text, strconv.FormatInt(ahead+2, 10))
		}
	}
	if err := n.Purge(t.Context(), validators.Scope{}); err != nil {
		t.Fatal(err)
	}
	text, _ := s.must("GET", n.keys.purges).ToString()
	if log := parseLog(text); log == nil || log.purges.Base != uint64(ahead)+3 || len(log.purges.List) != 0 || log.all != uint64(ahead)+3 {
		t.Errorf("after a purge of everything the log is %q", text)
	}
}

// However long the paths are that are purged, the log can be read, and nothing that was purged is found.
func TestPurgesOfLongPaths(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	log := "1 0123456789abcdef 1\n"
	for i := range validators.MaxPurges {
		log += strconv.Itoa(i+2) + " a.example " + strings.Repeat("%25", (maxPurge-len("a.example"))/3) + "\n"
	}
	s.must("SET", n.keys.purges, log)
	key, other := newKey("a.example", "/"+strings.Repeat("%", 9000)), newKey("b.example", "/")
	eventually(t, "the longest log is read", func() bool { return n.trySave(key) == nil && n.trySave(other) == nil && n.found(key) && n.found(other) })
	if purged := n.stamp(key).Purged; purged != validators.MaxPurges+1 {
		t.Errorf("the latest purge is %d", purged)
	}
	// A busy machine may need longer for a log of 6 MB than a server may keep silent.
	eventually(t, "the purge", func() bool {
		return n.Purge(t.Context(), validators.Scope{Host: key.URI.Host, Path: key.URI.Path}) == nil
	})
	if n.has(key) || n.has(other) {
		t.Error("what was purged is found")
	}
	if length, _ := s.must("STRLEN", n.keys.purges).AsInt64(); length > 100 {
		t.Errorf("a log of %d octets after everything was purged", length)
	}
}
