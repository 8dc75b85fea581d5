package announce

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

func note(outcome journal.Outcome, reason journal.Reason, memory ...journal.Reason) journal.Note {
	n := journal.Note{Outcome: outcome, Reason: reason}
	if len(memory) > 0 {
		n.Memory = memory[0]
	}
	if len(memory) > 1 {
		n.NotRemembered = memory[1]
	}
	return n
}

// told are answers and what is told of each.
var told = map[string]struct {
	answer              Answer
	status, timing, key string
	hit                 string
}{
	"from memory": {
		Answer{Note: note(journal.NotModified, journal.Remembered), Remembers: true, TTL: 59900 * time.Millisecond, Key: "0123"},
		`edge;hit;ttl=59;detail="not_modified remembered"`, `cc;desc="not_modified remembered", cc-mem;desc="hit"`, "0123", "true",
	},
	"past its time": {
		Answer{Note: note(journal.NotModified, journal.Remembered), Remembers: true, TTL: -2 * time.Second},
		`edge;hit;ttl=-2;detail="not_modified remembered"`, `cc;desc="not_modified remembered", cc-mem;desc="hit"`, "", "true",
	},
	"no memory": {
		Answer{Note: note(journal.Tagged, journal.NoneMatched), Status: 200},
		`edge;fwd=bypass;fwd-status=200;detail="tagged none_matched"`, `cc;desc="tagged none_matched"`, "", "false",
	},
	"a miss that is remembered": {
		Answer{Note: note(journal.Tagged, journal.NoCondition, journal.Conditions), Status: 200, Remembers: true, Prepared: true, TTL: time.Minute},
		`edge;fwd=miss;fwd-status=200;stored;ttl=60;detail="tagged no_condition"`, `cc;desc="tagged no_condition", cc-mem;desc="miss: conditions"`, "", "false",
	},
	"a miss that is not": {
		Answer{Note: note(journal.Streamed, journal.FirstVisit, journal.Miss, journal.SetCookie), Status: 200, Remembers: true},
		`edge;fwd=miss;fwd-status=200;detail="streamed first_visit"`, `cc;desc="streamed first_visit", cc-mem;desc="miss: miss, not remembered: set_cookie"`, "", "false",
	},
	"not known why": {
		Answer{Note: note(journal.Streamed, journal.Status), Remembers: true},
		`edge;fwd=miss;detail="streamed status"`, `cc;desc="streamed status", cc-mem;desc="miss"`, "", "false",
	},
	"a write that is refused": {
		Answer{Note: note(journal.PreconditionFailed, journal.IfMatch), Unasked: true},
		`edge;detail="precondition_failed if_match"`, `cc;desc="precondition_failed if_match"`, "", "false",
	},
	"a failure, covered": {
		Answer{Note: note(journal.NotModified, journal.StaleIfError, journal.Changed), Status: 503, Remembers: true},
		`edge;fwd=stale;fwd-status=503;detail="not_modified stale_if_error"`, `cc;desc="not_modified stale_if_error", cc-mem;desc="miss: changed"`, "", "false",
	},
}

func TestAdd(t *testing.T) {
	name, err := Name("edge")
	if err != nil {
		t.Fatal(err)
	}
	all := Fields{CacheStatus: name, Timing: true, Debug: true}
	for what, c := range told {
		t.Run(what, func(t *testing.T) {
			origin := pairs("origin;hit", "app;dur=5")
			h := http.Header{"Cache-Status": origin[:1:2], "Server-Timing": origin[1:], "X-Cache-Key": {"somebody's"}}
			all.Add(h, &c.answer)
			if got, want := h["Cache-Status"], pairs("origin;hit", c.status); !slices.Equal(got, want) {
				t.Errorf("Cache-Status: %q, want %q", got, want)
			}
			if _, err := httpsfv.UnmarshalList(h["Cache-Status"]); err != nil {
				t.Errorf("Cache-Status: %q is no list: %v", h["Cache-Status"], err)
			}
			if got, want := h["Server-Timing"], pairs("app;dur=5", c.timing); !slices.Equal(got, want) {
				t.Errorf("Server-Timing: %q, want %q", got, want)
			}
			if got := h.Get("X-Cache-Key"); got != c.key || h.Get("X-Cache-Hit") != c.hit {
				t.Errorf("X-Cache-Key %q, X-Cache-Hit %q; want %q, %q", got, h.Get("X-Cache-Hit"), c.key, c.hit)
			}
			if origin[1] != "app;dur=5" {
				t.Error("it wrote into a list that is somebody else's")
			}
		})
	}
}

func pairs(lines ...string) []string { return lines }

// TestForward: RFC 9211 §2.2 has the words.
func TestForward(t *testing.T) {
	for memory, want := range map[journal.Reason]string{
		journal.Stale: "stale", journal.Request: "request", journal.Personal: "bypass", journal.StoreUnavailable: "bypass",
		journal.Unsettled: "bypass", journal.CookieMissing: "vary-miss", journal.Miss: "miss", journal.Changed: "miss", journal.Conditions: "miss",
	} {
		a := Answer{Note: journal.Note{Memory: memory}, Remembers: true}
		if got := forward(&a); got != want {
			t.Errorf("%s: %q, want %q", memory, got, want)
		}
	}
}

func TestNothingIsAdded(t *testing.T) {
	var none Fields
	h := make(http.Header)
	if none.Add(h, new(Answer)); none.Any() || len(h) > 0 {
		t.Errorf("any: %t, fields %v", none.Any(), h)
	}
}

func TestName(t *testing.T) {
	for name, want := range map[string]string{"conditional_cache": "conditional_cache", "edge-1.example:443": "edge-1.example:443", "my edge": `"my edge"`, "1": `"1"`} {
		item, err := Name(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if text, err := httpsfv.Marshal(item); err != nil || text != want {
			t.Errorf("%q is %q, %v; want %q", name, text, err, want)
		}
	}
	if _, err := Name("Küche"); err == nil {
		t.Error("a name that is not ASCII is taken")
	}
}
