package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// slack is how much longer than it should a run of wrk may take.
const slack = 20 * time.Second

// load is what wrk is to do.
type load struct {
	url         string
	fields      []string // of each request, as lines
	connections int
	seconds     int
}

// run lets wrk do it.
func (l load) run(ctx context.Context) (seen, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.seconds)*time.Second+slack)
	defer cancel()
	arguments := []string{
		"--latency", "--timeout", "10s", "--threads", "1",
		"--connections", strconv.Itoa(l.connections), "--duration", fmt.Sprintf("%ds", l.seconds),
	}
	for _, field := range l.fields {
		arguments = append(arguments, "--header", field)
	}
	wrk := exec.CommandContext(ctx, "wrk", append(arguments, l.url)...) //nolint:gosec // the arguments are ours
	wrk.WaitDelay = rig.EndTime
	out, err := wrk.CombinedOutput()
	if ctx.Err() != nil {
		return seen{}, ctx.Err()
	}
	if err != nil {
		return seen{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseSeen(string(out))
}

// seen is what wrk has seen in a run.
type seen struct {
	requests int64         // that were answered
	octets   float64       // read in all, rounded as wrk prints them
	p99      time.Duration // of the answers' latency
}

var (
	totalLine = regexp.MustCompile(`(\d+) requests in [\d.]+\w+, ([\d.]+)([KMGT]?)B read`)
	p99Line   = regexp.MustCompile(`\n\s+99%\s+([\d.]+(?:us|ms|s|m|h))\n`)
	badLine   = regexp.MustCompile(`(?m)^\s*(?:Socket errors|Non-2xx or 3xx responses):.*$`)
)

// parseSeen reads what wrk prints. Errors that it has seen are an error.
func parseSeen(text string) (seen, error) {
	if bad := badLine.FindAllString(text, -1); bad != nil {
		return seen{}, fmt.Errorf("wrk has seen errors: %s", strings.Join(strings.Fields(strings.Join(bad, ";")), " "))
	}
	total, latency := totalLine.FindStringSubmatch(text), p99Line.FindStringSubmatch(text)
	if total == nil || latency == nil {
		return seen{}, fmt.Errorf("wrk has printed something else than expected:\n%s", text)
	}
	var s seen
	var errs [3]error
	s.requests, errs[0] = strconv.ParseInt(total[1], 10, 64)
	s.octets, errs[1] = strconv.ParseFloat(total[2], 64)
	s.p99, errs[2] = time.ParseDuration(latency[1])
	if err := errors.Join(errs[:]...); err != nil {
		return seen{}, err
	}
	if s.requests == 0 {
		return seen{}, errors.New("wrk has seen no answer")
	}
	s.octets *= map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[total[3]]
	return s, nil
}
