package main

import (
	"strings"
	"testing"
	"time"
)

// printed is what wrk prints, with what a case has to say in three places.
func printed(p99, bad, total string) string {
	return `Running 1s test @ http://127.0.0.1:8080/length/4096
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.62ms    1.05ms  18.52ms   86.60%
    Req/Sec    10.13k     1.02k   11.98k    70.00%
  Latency Distribution
     50%    1.37ms
     75%    1.97ms
     90%    2.74ms
     99%` + p99 + "\n  " + total + "\n" + bad + `Requests/sec:  10071.73
Transfer/sec:     41.55MB
`
}

func TestWhatWrkPrints(t *testing.T) {
	const total = "10112 requests in 1.00s, 41.72MB read"
	for name, c := range map[string]struct {
		text string
		want seen
		err  string
	}{
		"milliseconds":       {printed("    5.49ms", "", total), seen{10112, 41.72 * (1 << 20), 5490 * time.Microsecond}, ""},
		"microseconds":       {printed("  812.00us", "", total), seen{10112, 41.72 * (1 << 20), 812 * time.Microsecond}, ""},
		"seconds":            {printed("    1.20s", "", total), seen{10112, 41.72 * (1 << 20), 1200 * time.Millisecond}, ""},
		"few octets":         {printed("    5.49ms", "", "3 requests in 1.00s, 512.00B read"), seen{3, 512, 5490 * time.Microsecond}, ""},
		"many octets":        {printed("    5.49ms", "", "300 requests in 1.01m, 4.50GB read"), seen{300, 4.5 * (1 << 30), 5490 * time.Microsecond}, ""},
		"socket errors":      {printed("    5.49ms", "  Socket errors: connect 1, read 2, write 0, timeout 3\n", total), seen{}, "read 2, write 0"},
		"other statuses":     {printed("    5.49ms", "  Non-2xx or 3xx responses: 17\n", total), seen{}, "responses: 17"},
		"no answer":          {printed("    0.00us", "", "0 requests in 1.00s, 0.00B read"), seen{}, "no answer"},
		"unable to connect":  {"unable to connect to 127.0.0.1:1 Connection refused\n", seen{}, "Connection refused"},
		"without --latency":  {strings.Replace(printed("    5.49ms", "", total), "99%", "98%", 1), seen{}, "something else"},
		"the error in words": {"", seen{}, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseSeen(c.text)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got the error %v, want %q", err, c.err)
			}
		})
	}
}

// TestAnswersOfAnotherKind: wrk counts every 2xx and 3xx, so that a 200 in the place of a 304 shows by its length only.
func TestAnswersOfAnotherKind(t *testing.T) {
	for name, c := range map[string]struct {
		octets float64
		body   int64
		fits   bool
	}{
		"a 304":                       {220, 0, true},
		"a 200 in the place of a 304": {4096 + 220, 0, false},
		"a 200":                       {4096 + 220, 4096, true},
		"a 304 in the place of a 200": {220, 4096, false},
		"transfers under way":         {1.04 * (16 << 20), 16 << 20, true},
		"bodies that were cut short":  {0.5 * (16 << 20), 16 << 20, false},
	} {
		if err := (seen{requests: 1000, octets: 1000 * c.octets}).fits(c.body); (err == nil) != c.fits {
			t.Errorf("%s: got %v, want no error: %t", name, err, c.fits)
		}
	}
}
