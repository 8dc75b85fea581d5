package config

import (
	"encoding/json"
	"testing"
)

// TestOneOrMore: one text goes without brackets, in both directions, and an empty one is none.
func TestOneOrMore(t *testing.T) {
	for raw, want := range map[string]string{`"a"`: `"a"`, `["a"]`: `"a"`, `["a","b"]`: `["a","b"]`, `""`: `null`, `[]`: `[]`} {
		var o OneOrMore
		err := json.Unmarshal([]byte(raw), &o)
		written, err2 := json.Marshal(o)
		if err != nil || err2 != nil || string(written) != want {
			t.Errorf("%s: %s, %v, %v, want %s", raw, written, err, err2, want)
		}
	}
	for _, raw := range []string{`1`, `[1]`, `{}`} {
		if err := json.Unmarshal([]byte(raw), new(OneOrMore)); err == nil {
			t.Errorf("%s is taken", raw)
		}
	}
}
