// Command bench compares whole processes: Caddy alone, and the same Caddy with conditional_cache in its configuration,
// before one upstream and under the same load.
//
//	go run ./bench
//	go run ./bench -rows '304|held' -pairs 41 -markdown figures.md
//	go run ./bench -short
//
// It builds Caddy with this module from the checkout, and starts an upstream and the two Caddys as processes of their
// own. wrk sends requests over a fixed number of connections, to one Caddy at a time: a run to the one and a run to
// the other make a pair, and which of them goes first takes turns. The figure of a run is the CPU time that the
// process has taken by the kernel's accounting, divided by the requests that wrk has seen answered: the time of wrk
// and of the upstream is not in it. The figure of a pair is the ratio of the two, and that of a row the median of its
// pairs, with the quartiles. Both processes are started anew every few pairs, as each has its luck with the layout of
// its memory. The row A/A compares two Caddys that have the same configuration: what it is away from 1.00, and its
// quartiles, are the noise of the machine. The rows of p99 compare a latency, as wrk sees it, instead of CPU time.
// Where a second has few requests in it, or few to a connection, runs take longer.
//
// Before each row both sites have to answer as the row says; a run in which wrk sees an error, or answers of another
// size, ends the program. All traffic stays on 127.0.0.1. The processes end with the program, on Ctrl-C as well.
//
// What the handler costs by itself is measured by the benchmarks of this folder (go test -bench), which bench/compare
// runs for two commits.
//
// With -peers it compares this module with what else stands before a site instead, see package peers:
//
//	go run ./bench -peers -rounds 5 -seconds 3 -markdown docs/benchmarks.md
//
// It runs on Linux only, and needs wrk. Machines differ and are shared: compare ratios, and look at A/A first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"github.com/conditionalcache/caddy-conditional-cache/bench/peers"
	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	pairs    int            // of each row
	seconds  int            // of each run
	rows     *regexp.Regexp // names of the rows to run
	markdown string         // a file for the table in Markdown, "-" for the standard output; empty: none
	caddy    string         // a Caddy that is built already; empty: one is built from the checkout
	upstream bool           // this process is the upstream

	peers        bool   // compare with other servers instead
	rounds       int    // of each row, of these
	cacheHandler string // see peers.Options
	short        bool
}

func parse(arguments []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.pairs, "pairs", 21, "pairs of runs of each row")
	flags.IntVar(&o.seconds, "seconds", 1, "seconds of each run")
	pattern := flags.String("rows", "", "a regular `expression`: run the rows whose names match\n"+strings.Join(rowNames(), "\n"))
	flags.StringVar(&o.markdown, "markdown", "", "write the table in Markdown to this `file`; - is the standard output")
	flags.StringVar(&o.caddy, "caddy", "", "a Caddy with this module to run; by default one is built from the checkout")
	flags.BoolVar(&o.short, "short", false, "a quick check: 3 pairs of each row, of 1 s, whatever the other flags say;\nwith -peers: a round of 1 s of some rows, or of those that -rows names")
	flags.BoolVar(&o.peers, "peers", false, "compare with nginx, Varnish and others instead; the rows are then\n"+strings.Join(peers.Names(), "\n"))
	flags.IntVar(&o.rounds, "rounds", 5, "with -peers: rounds of each row")
	flags.StringVar(&o.cacheHandler, "cache-handler", "", "with -peers: a Caddy with cache-handler to run, or `build`: build one")
	flags.BoolVar(&o.upstream, "upstream", false, "be the upstream (the program starts itself with this)")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if o.short {
		o.pairs, o.rounds, o.seconds = 3, 1, 1
	}
	if o.pairs < 1 || o.rounds < 1 || o.seconds < 1 || o.seconds > 60 || flags.NArg() > 0 {
		return o, errors.New("there have to be pairs, rounds, runs of 1 to 60 seconds, and no other arguments")
	}
	var err error
	o.rows, err = regexp.Compile(*pattern)
	return o, err
}

func run(ctx context.Context, arguments []string) error {
	o, err := parse(arguments, os.Stderr)
	if err != nil {
		return err
	}
	if o.upstream {
		return rig.ServeUpstream(ctx, os.Stdin, os.Stdout)
	}
	if err := equipped(); err != nil {
		return err
	}
	if o.peers {
		return peers.Run(ctx, peers.Options{
			Rounds: o.rounds, Seconds: o.seconds, Rows: o.rows, Short: o.short, Caddy: o.caddy, CacheHandler: o.cacheHandler,
			Markdown: o.markdown, Progress: os.Stderr, Output: os.Stdout,
		})
	}
	return duels(ctx, o)
}

// duels compares Caddy alone with the same Caddy with this module.
func duels(ctx context.Context, o options) error {
	chosen := matching(o.rows)
	if len(chosen) == 0 {
		return fmt.Errorf("no row matches %q; there are\n%s", o.rows, strings.Join(rowNames(), "\n"))
	}
	dir, err := os.MkdirTemp("", "conditional-cache-bench-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	results, err := measureAll(ctx, o, dir, chosen)
	if err := publish(o, results); err != nil {
		return err
	}
	return err
}

// equipped says what is missing before minutes have been spent.
func equipped() error {
	if runtime.GOOS != "linux" {
		return errors.New("the CPU times of processes are read from /proc: this runs on Linux only")
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
	}
	return nil
}

// measureAll returns the rows that were finished with the error that ended the others.
func measureAll(ctx context.Context, o options, dir string, chosen []row) (finished []result, err error) {
	lab, err := setUp(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer lab.close()
	for i, r := range chosen {
		_, _ = fmt.Fprintf(os.Stderr, "%d of %d: %s ", i+1, len(chosen), r.name)
		measured, err := lab.measure(ctx, r)
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr)
			if ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			return finished, fmt.Errorf("%s: %w", r.name, err)
		}
		_, _ = fmt.Fprintf(os.Stderr, " %s\n", measured.ratio)
		finished = append(finished, measured)
	}
	return finished, nil
}

// publish prints the table, and writes it in Markdown if that is asked for.
func publish(o options, results []result) error {
	if len(results) == 0 {
		return nil
	}
	conditions := fmt.Sprintf("%d pairs of %d s a row, %d CPUs, %s/%s, %s", o.pairs, o.seconds,
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if err := writeText(os.Stdout, conditions, results); err != nil || o.markdown == "" {
		return err
	}
	if o.markdown == "-" {
		return writeMarkdown(os.Stdout, conditions, results)
	}
	var text strings.Builder
	if err := writeMarkdown(&text, conditions, results); err != nil {
		return err
	}
	return os.WriteFile(o.markdown, []byte(text.String()), 0o600)
}
