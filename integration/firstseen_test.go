package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestFirstSeenOfTwoVersions: while two versions of a page take turns, as in a rolling deployment, no date is sent that
// has not come or that belongs to the other; and once it is over there is one again at once.
func TestFirstSeenOfTwoVersions(t *testing.T) {
	var page atomic.Pointer[string]
	upstream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, *page.Load()) })
	c := noteSite(t, "conditional_cache {\n last_modified normalize {\n  from first_seen\n }\n}\nreverse_proxy {upstream}", upstream)
	owners := make(map[string]string) // of each date
	latest := time.Time{}
	ask := func(version string) (dated bool) {
		page.Store(&version)
		h := c.must(t, http.StatusOK, http.MethodGet, "/", "").header
		date, err := http.ParseTime(h.Get("Last-Modified"))
		if err != nil {
			return false
		}
		sent, err := http.ParseTime(h.Get("Date"))
		if err != nil || date.After(sent) || date.Before(latest) {
			t.Fatalf("%s: Last-Modified %s, after %s, at %s", version, date, latest, sent)
		}
		if owner, known := owners[date.String()]; known && owner != h.Get("Etag") {
			t.Fatalf("%s is the date of %s and of %s", date, owner, h.Get("Etag"))
		}
		owners[date.String()], latest = h.Get("Etag"), date
		return true
	}
	for range 300 {
		ask("one")
		ask("two")
	}
	eventually(t, "a date of what is left", func() bool { return ask("two") })
	if behind := time.Since(latest); behind > time.Minute {
		t.Errorf("the date is %s old", behind)
	}
}

// redisNumber is what a command says whose answer is a number.
func redisNumber(t *testing.T, s *redisServer, command string) int {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "%s\r\n", command)
	var n int
	if _, err := fmt.Fscanf(conn, ":%d\r\n", &n); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return n
}

// TestAFloodOfQueriesTakesNoMoreDates: who asks for ever more URIs fills what there may be of dates, and nothing else;
// these are kept for two days, unless they are asked for again, and go with a purge of everything.
func TestAFloodOfQueriesTakesNoMoreDates(t *testing.T) {
	const most, asked = 30, 100
	redis := startRedis(t)
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.RawQuery) })
	c := noteSite(t, fmt.Sprintf(`conditional_cache {
		last_modified normalize {
			from first_seen
		}
		remember 1h {
			store redis {
				address %s
				timeout 3s
				max_first_seen %d
			}
		}
	}
	reverse_proxy {upstream}`, redis.addr, most), pages)
	date := func(query string) string {
		return c.must(t, http.StatusOK, http.MethodGet, "/?"+query, "").header.Get("Last-Modified")
	}
	eventually(t, "a date", func() bool { return date("first") != "" })
	// count is how many dates are kept for longer than so many days.
	count := func(days int) int {
		const script = `EVAL "local n = 0 for _, key in ipairs(redis.call('KEYS', '*:f:*')) do if redis.call('PTTL', key) > %d then n = n + 1 end end return n" 0`
		return redisNumber(t, redis, fmt.Sprintf(script, (time.Duration(days)*24*time.Hour).Milliseconds()))
	}
	before := count(2)
	for n := range asked {
		if dated, want := date(fmt.Sprintf("flood=%d", n)) != "", n < most-1; dated != want {
			t.Errorf("the %dth has a date: %t", n, dated)
		}
	}
	if all, day, two := count(0), count(1), count(2); all != most || day != most || two != before {
		t.Errorf("%d dates are kept, %d for more than a day, %d for more than two, want %d, %d and %d", all, day, two, most, most, before)
	}
	date("flood=1")
	if year := count(365); year != before+1 {
		t.Errorf("%d dates are kept for a year when one more was asked for twice, before %d", year, before)
	}
}
