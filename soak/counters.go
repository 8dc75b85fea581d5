package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// counters count by name.
type counters struct {
	mu sync.Mutex
	of map[string]int
}

func (c *counters) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[name]++
}

func (c *counters) get(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[name]
}

// sum adds up all whose names begin so.
func (c *counters) sum(prefix string) (sum int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.of {
		if strings.HasPrefix(name, prefix) {
			sum += n
		}
	}
	return sum
}

// table is all of them, one a line.
func (c *counters) table() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.of)) {
		fmt.Fprintf(&text, "%9d  %s\n", c.of[name], name)
	}
	return text.String()
}

// least is what a minute has to have seen, on a machine that is ten times slower than two idle cores as well: else nothing is shown by it.
var least = map[string]int{
	"asked: ":              400,
	"by: HTTP/1.1":         50,
	"by: HTTP/2":           50,
	"by: HTTP/3":           50,
	"status: 200":          80,
	"status: 204":          15,
	"status: 206":          8,
	"status: 304":          60,
	"status: 412":          5,
	"304 by remembered":    8,
	"304 by if_none_match": 20,
	"304 by upstream":      8,
	"304 by inner":         2,
	"edits acknowledged":   5,
	"errors told":          2,
	"left":                 8,
	"half-open writes":     1,
	"read slowly":          3,
	"loaded":               4,
	"purged":               3,
	"changed elsewhere":    50,
	"redis killed":         2,
	"remembered at redis":  1,
}

// tooLittle says what a run of some minutes has not seen enough of.
func (c *counters) tooLittle(minutes float64) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(least)) {
		if want, got := int(float64(least[name])*minutes), c.sum(name); got < want {
			problems = append(problems, fmt.Sprintf("it saw too little: %q was counted %d times, and should have been %d times in %.1f minutes", name, got, want, minutes))
		}
	}
	return problems
}

// tooMany says what was seen too often to be what it is taken for.
func (c *counters) tooMany() (problems []string) {
	if n, most := c.get("status: 499"), 2+c.sum("asked: ")/20_000; n > most {
		problems = append(problems, fmt.Sprintf("499 was answered %d times to clients that had not left; by what is known of Go's transport it should be %d at most", n, most))
	}
	return problems
}
