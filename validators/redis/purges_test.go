package redis

import (
	"fmt"
	"reflect"
	"strconv"
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
	purges := parsePurges(text)
	if purges == nil {
		t.Fatalf("%q is not a log", text)
	}
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
	for _, log := range []string{fmt.Sprintf("%d\n", ahead), fmt.Sprintf("5\n%d a.example \n", ahead)} {
		s.must("SET", n.keys.purges, log)
		for range 2 {
			if err := n.Purge(t.Context(), validators.Scope{Host: "b.example"}); err != nil {
				t.Fatal(err)
			}
		}
		text, _ := s.must("GET", n.keys.purges).ToString()
		if purges := parsePurges(text); purges == nil || purges.Last() != uint64(ahead)+2 {
			t.Errorf("%q became %q, want a last number of %s", log, text, strconv.FormatInt(ahead+2, 10))
		}
	}
	if err := n.Purge(t.Context(), validators.Scope{}); err != nil {
		t.Fatal(err)
	}
	text, _ := s.must("GET", n.keys.purges).ToString()
	if purges := parsePurges(text); purges == nil || purges.Base != uint64(ahead)+3 || len(purges.List) != 0 {
		t.Errorf("after a purge of everything the log is %q", text)
	}
}
