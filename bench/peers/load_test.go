package peers

import (
	"strings"
	"testing"
	"time"
)

const wrkPrints = `Running 1s test @ http://127.0.0.1:8080/length/4096
  1000 requests in 1.00s, 4.1MB read
Requests/sec:   1000.00
seen 1000 4300000 2000000 500 1500 9000
errors connect 0, read 0, write 0, status 0, timeout 0
`

func TestWhatWrkPrints(t *testing.T) {
	want := seen{1000, 4300000, true, 500, 500 * time.Microsecond, 1500 * time.Microsecond, 9 * time.Millisecond}
	if got, err := parseWrk(wrkPrints); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for text, says := range map[string]string{
		strings.Replace(wrkPrints, "status 0", "status 7", 1):                       "status 7",
		strings.Replace(wrkPrints, "seen 1000", "seen 0", 1):                        "no answer",
		strings.Replace(wrkPrints, "errors", "", 1):                                 "something else",
		"unable to connect to 127.0.0.1:1 Connection refused\n":                     "Connection refused",
		strings.Replace(wrkPrints, "seen 1000", "seen "+strings.Repeat("9", 30), 1): "out of range",
	} {
		if _, err := parseWrk(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

const h2loadPrints = `finished in 1.03s, 4.00 req/s, 2.13MB/s
requests: 4 total, 6 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 16.2KB (16600) total, 216B (216) headers (space savings 0.00%), 16.00KB (16384) data
`

func TestWhatH2loadPrints(t *testing.T) {
	const log = "1795897647714285\t200\t400\n1\t200\t100\n1\t304\t200\n1\t200\t300\n"
	want := seen{4, 16384, false, 4, 200 * time.Microsecond, 400 * time.Microsecond, 400 * time.Microsecond}
	if got, err := parseH2load(h2loadPrints, log); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct{ text, log, says string }{
		{strings.Replace(h2loadPrints, "0 failed", "1 failed", 1), log, "1 failed"},
		{strings.Replace(h2loadPrints, "4 succeeded", "3 succeeded", 1), log, "3 succeeded"},
		{h2loadPrints, "", "no answer"},
		{h2loadPrints, "1\t404\t100\n", "another status"},
		{h2loadPrints, "1\t-1\t100\n", "another status"},
		{h2loadPrints, "1\t200\n", "something else"},
		{h2loadPrints, "1\t200\tx\n", "invalid syntax"},
		{"", log, "something else"},
	} {
		if _, err := parseH2load(c.text, c.log); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
}

func TestPercentile(t *testing.T) {
	var thousand []time.Duration
	for i := range 1000 {
		thousand = append(thousand, time.Duration(i+1))
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{thousand, 0.5, 500},
		{thousand, 0.99, 990},
		{thousand, 0.999, 999},
		{thousand, 1, 1000},
		{thousand, 0, 1},
		{thousand[:1], 0.5, 1},
		{thousand[:1], 0.999, 1},
		{thousand[:10], 0.99, 10},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("%v of %d: %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

// TestAnswersOfAnotherKind: tools take any 2xx and 3xx; the size tells them apart.
func TestAnswersOfAnotherKind(t *testing.T) {
	for name, c := range map[string]struct {
		each, body int64
		heads      bool
		fits       bool
	}{
		"a 304":                            {220, 0, true, true},
		"a 200 in the place of a 304":      {4096 + 220, 0, true, false},
		"a 304 in the place of a 200":      {220, 4096, true, false},
		"a part":                           {1000 + 250, 1000, true, true},
		"the whole in the place of a part": {65536, 1000, true, false},
		"a 304 of HTTP/2":                  {0, 0, false, true},
		"a 200 of HTTP/2 in its place":     {1024, 0, false, false},
		"a 200 of HTTP/2":                  {4096, 4096, false, true},
	} {
		if err := (seen{requests: 1000, body: 1000 * c.each, heads: c.heads}).fits(c.body); (err == nil) != c.fits {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCommandLines: the tools are told all that a row says.
func TestCommandLines(t *testing.T) {
	do := load{address: "127.0.0.1:1", page: "/x", method: "HEAD", fields: []string{"A: b"}, connections: 7, seconds: 3, dir: "/d"}
	if got := strings.Join(do.forWrk(), " "); got != "--timeout 10s --threads 1 --connections 7 --duration 3s --script /d/figures.lua --header A: b http://127.0.0.1:1/x" {
		t.Error(got)
	}
	do.tool = h2
	if got := strings.Join(do.forH2load("/log"), " "); got != "--threads=1 --clients=7 --duration=3 --log-file=/log --header=:method: HEAD --max-concurrent-streams=4 --header=A: b https://127.0.0.1:1/x" {
		t.Error(got)
	}
	do.tool = h1
	if got := strings.Join(do.forH2load("/log"), " "); !strings.Contains(got, " --h1 ") || strings.Contains(got, "streams") {
		t.Error(got)
	}
}
