package integration

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// manyRanges asks for n ranges of one byte, none beside another.
func manyRanges(n int) http.Header {
	var set []string
	for i := range n {
		set = append(set, fmt.Sprintf("%d-%d", 3*i, 3*i))
	}
	return http.Header{"Range": {"bytes=" + strings.Join(set, ",")}}
}

// cheapest is the least time that one of many requests takes.
func cheapest(t *testing.T, rounds int, ask func()) time.Duration {
	t.Helper()
	least := time.Duration(math.MaxInt64)
	for range rounds {
		began := time.Now()
		ask()
		least = min(least, time.Since(began))
	}
	return least
}

// mustPart asks for parts that are an answer of so many bytes.
func (c *client) mustPart(t *testing.T, fields http.Header, length int) {
	t.Helper()
	if got := c.get(t, "/", fields); got.status != http.StatusPartialContent || len(got.body) != length {
		t.Fatalf("got %v, want a 206 of %d bytes", got, length)
	}
}

// dearer reports whether one way to ask takes more than so many times as long as another. Both are tried in turn until it does
// not: the least that each has taken falls with every try, whatever else the machine does.
func dearer(t *testing.T, times int, several, one func()) (of, part time.Duration, is bool) {
	t.Helper()
	const tries, rounds = 60, 30
	of, part = math.MaxInt64, math.MaxInt64
	for range tries {
		of, part = min(of, cheapest(t, rounds, several)), min(part, cheapest(t, rounds, one))
		if of <= time.Duration(times)*part {
			return of, part, false
		}
	}
	return of, part, true
}

// TestPartsCostNoMoreThanOne: as many ranges as are answered in one response cost no more than one of as many bytes, in what
// is sent and in what the upstream is asked, and at most twice the time. More than that are the whole, as is what would be
// longer than it.
func TestPartsCostNoMoreThanOne(t *testing.T) {
	const size, times = 256 << 10, 2
	for name, tt := range map[string]struct {
		directive string
		most      int
	}{
		"by default":      {"conditional_cache", 16},
		"as many as ever": {"conditional_cache {\n ranges on {\n max 1000\n }\n}", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := newCounted(strings.Repeat("0123456789abcdef", size/16))
			c := noteSite(t, tt.directive+"\nreverse_proxy {upstream}", upstream)
			c.acceptEncoding = "identity"
			several := manyRanges(tt.most)
			length := len(c.get(t, "/", several).body)
			one := http.Header{"Range": {fmt.Sprintf("bytes=0-%d", length-1)}}
			ask := func(fields http.Header) func() { return func() { c.mustPart(t, fields, length) } }
			upstream.asks(t, 1, ask(several))
			if length > size {
				t.Errorf("%d ranges make %d bytes of %d", tt.most, length, size)
			}
			if of, part, is := dearer(t, times, ask(several), ask(one)); is {
				t.Errorf("%d ranges take %s, one %s", tt.most, of, part)
			} else {
				t.Logf("%d ranges take %s, one %s, for %d bytes", tt.most, of, part, length)
			}
			if got := c.get(t, "/", manyRanges(tt.most+1)); got.status != http.StatusOK {
				t.Errorf("one range more: got %v, want the whole", got)
			}
			overlapping := strings.Repeat("0-200000,1000-,", tt.most)
			if got := c.get(t, "/", http.Header{"Range": {"bytes=" + overlapping + "0-0"}}); len(got.body) > size {
				t.Errorf("ranges that overlap: got %v, of %d bytes", got, size)
			}
		})
	}
}
