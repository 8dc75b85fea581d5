package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// tool is what makes the load of a row.
type tool int

const (
	wrk tool = iota // HTTP/1.1
	h1              // h2load, HTTP/1.1 over TLS
	h2              // h2load, HTTP/2 over TLS
)

// streams is how many requests h2load has under way on a connection of HTTP/2.
const streams = 4

// load is what is to be done.
type load struct {
	tool        tool
	address     string
	page        string
	method      string
	fields      []string // of each request, as lines
	connections int
	seconds     int
	dir         string // for a log
}

// seen is what a tool has seen in a run.
type seen struct {
	requests       int64 // that were answered
	body           int64 // bytes in all, without heads where the tool can tell them apart
	heads          bool  // it cannot
	second         float64
	p50, p99, p999 time.Duration
}

// slack is how much longer than it should a run may take.
const slack = 20 * time.Second

func (l load) run(ctx context.Context) (seen, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.seconds)*time.Second+slack)
	defer cancel()
	if l.tool == wrk {
		out, err := said(ctx, "wrk", l.forWrk()...)
		if err != nil {
			return seen{}, err
		}
		return parseWrk(out)
	}
	log := filepath.Join(l.dir, "h2load.log")
	_ = os.Remove(log) // h2load appends
	out, err := said(ctx, "h2load", l.forH2load(log)...)
	if err != nil {
		return seen{}, err
	}
	times, err := os.ReadFile(log) //nolint:gosec // in a folder of ours
	if err != nil {
		return seen{}, err
	}
	return parseH2load(out, string(times))
}

// said runs a program and returns what it prints.
func said(ctx context.Context, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, arguments...) //nolint:gosec // the arguments are ours
	cmd.WaitDelay = rig.EndTime
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return string(out), nil
}

// wrkScript prints what wrk knows and does not print by itself, without rounding.
const wrkScript = `done = function(summary, latency, requests)
	print(string.format("seen %.0f %.0f %.0f %.0f %.0f %.0f", summary.requests, summary.bytes, summary.duration,
		latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
	local e = summary.errors
	print(string.format("errors connect %d, read %d, write %d, status %d, timeout %d", e.connect, e.read, e.write, e.status, e.timeout))
end
`

// scriptName is the script's file in the folder of a load.
const scriptName = "figures.lua"

func (l load) forWrk() []string {
	arguments := []string{
		"--timeout", "10s", "--threads", "1", "--connections", strconv.Itoa(l.connections),
		"--duration", fmt.Sprintf("%ds", l.seconds), "--script", filepath.Join(l.dir, scriptName),
	}
	for _, field := range l.fields {
		arguments = append(arguments, "--header", field)
	}
	return append(arguments, "http://"+l.address+l.page)
}

func (l load) forH2load(log string) []string {
	arguments := []string{
		"--threads=1", "--clients=" + strconv.Itoa(l.connections), "--duration=" + strconv.Itoa(l.seconds), "--log-file=" + log,
		"--header=:method: " + l.method,
	}
	if l.tool == h1 {
		arguments = append(arguments, "--h1")
	} else {
		arguments = append(arguments, "--max-concurrent-streams="+strconv.Itoa(streams))
	}
	for _, field := range l.fields {
		arguments = append(arguments, "--header="+field)
	}
	return append(arguments, "https://"+l.address+l.page)
}

var (
	wrkLine    = regexp.MustCompile(`(?m)^seen (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$`)
	wrkErrors  = regexp.MustCompile(`(?m)^errors connect \d+, read \d+, write \d+, status \d+, timeout \d+$`)
	wrkNone    = "errors connect 0, read 0, write 0, status 0, timeout 0"
	h2Requests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$`)
	h2Second   = regexp.MustCompile(`(?m)^finished in [^,]+, ([\d.]+) req/s,`)
	h2Data     = regexp.MustCompile(`(?m)^traffic: .*\((\d+)\) data$`)
)

// parseWrk reads what the script prints.
func parseWrk(text string) (seen, error) {
	found, bad := wrkLine.FindStringSubmatch(text), wrkErrors.FindString(text)
	if found == nil || bad == "" {
		return seen{}, fmt.Errorf("wrk has printed something else than expected:\n%s", text)
	}
	if bad != wrkNone {
		return seen{}, errors.New("wrk has seen " + bad)
	}
	var n [6]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(found[i+1], 10, 64); err != nil {
			return seen{}, err
		}
	}
	if n[0] == 0 || n[2] == 0 {
		return seen{}, errors.New("wrk has seen no answer")
	}
	in := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return seen{n[0], n[1], true, float64(n[0]) / in(n[2]).Seconds(), in(n[3]), in(n[4]), in(n[5])}, nil
}

// parseH2load reads what h2load prints, and its log with a line for each request: when, status, microseconds.
func parseH2load(text, log string) (seen, error) {
	counts, second, data := h2Requests.FindStringSubmatch(text), h2Second.FindStringSubmatch(text), h2Data.FindStringSubmatch(text)
	if counts == nil || second == nil || data == nil {
		return seen{}, fmt.Errorf("h2load has printed something else than expected:\n%s", text)
	}
	if counts[1] != counts[2] || slices.ContainsFunc(counts[3:], func(n string) bool { return n != "0" }) {
		return seen{}, errors.New("h2load has seen errors: " + counts[0])
	}
	times, err := timesIn(log)
	if err != nil {
		return seen{}, err
	}
	s := seen{p50: percentile(times, 0.50), p99: percentile(times, 0.99), p999: percentile(times, 0.999)}
	var errs [3]error
	s.requests, errs[0] = strconv.ParseInt(counts[1], 10, 64)
	s.second, errs[1] = strconv.ParseFloat(second[1], 64)
	s.body, errs[2] = strconv.ParseInt(data[1], 10, 64)
	return s, errors.Join(errs[:]...)
}

// timesIn reads the log of h2load, and sorts it.
func timesIn(log string) ([]time.Duration, error) {
	var times []time.Duration
	for line := range strings.Lines(log) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("h2load has logged something else than expected: %q", line)
		}
		status, err := strconv.Atoi(fields[1])
		if err != nil || status < 200 || status > 399 {
			return nil, fmt.Errorf("h2load has seen another status: %q", line)
		}
		microseconds, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Duration(microseconds)*time.Microsecond)
	}
	if len(times) == 0 {
		return nil, errors.New("h2load has seen no answer")
	}
	slices.Sort(times)
	return times, nil
}

// percentile is the shortest of the sorted times that the part p of them does not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	i := int(p*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// fits finds answers of another kind, which both tools take for good, by their size. What was under way when wrk's run
// ended counts among the bytes, but not among the requests; and it counts heads, which have less than 2 KiB.
func (s seen) fits(body int64) error {
	low, high := 0.98*float64(body), 1.25*float64(body)
	if s.heads {
		high += 2 << 10
	} else {
		high++
	}
	each := float64(s.body) / float64(s.requests)
	if s.requests >= 100 && (each < low || each > high) {
		return fmt.Errorf("the answers had %.0f bytes each, want %d", each, body)
	}
	return nil
}
