package freshness

import (
	"reflect"
	"testing"
)

// RFC 9111 §4.2.2: a cache may guess where nothing is said, so that something is said. What is said stands.
func TestNoHeuristic(t *testing.T) {
	for _, tt := range []struct{ name, sent, want string }{
		{"nothing said", "", "no-cache"},
		{"only blanks", " ", "no-cache"},
		{"a lifetime", "max-age=60", "max-age=60"},
		{"a lifetime that is none", "Max-Age=x", "Max-Age=x"},
		{"no-cache", "private, no-cache", "private, no-cache"},
		{"no-cache of a field", `no-cache="Set-Cookie"`, `no-cache="Set-Cookie"`},
		{"no-store", "no-store", "no-store"},
		{"private says nothing of time", "private", "private, no-cache"},
		{"must-revalidate speaks of what is stale", "must-revalidate", "must-revalidate, no-cache"},
		{"in a quoted string", `x="max-age=60, no-store"`, `x="max-age=60, no-store", no-cache`},
		{"a lifetime for shared caches: the others ask", "s-maxage=60", "s-maxage=60, max-age=0"},
		{"both", "s-maxage=60, max-age=5", "s-maxage=60, max-age=5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := response("Cache-Control", tt.sent)
			if tt.sent == "" {
				h = response()
			}
			for range 2 { // what it says itself stands as well
				NoHeuristic(h)
				if want := response("Cache-Control", tt.want); !reflect.DeepEqual(h, want) {
					t.Errorf("%v, want %v", h, want)
				}
			}
		})
	}
	lines := response("Cache-Control", "private", "Cache-Control", "no-transform")
	if NoHeuristic(lines); !reflect.DeepEqual(lines["Cache-Control"], []string{"private, no-transform, no-cache"}) {
		t.Errorf("two lines: %v", lines)
	}
	for _, expires := range []string{nowDate, "0"} {
		h := response("Expires", expires)
		if NoHeuristic(h); h["Cache-Control"] != nil {
			t.Errorf("beside Expires: %v", h)
		}
	}
}
