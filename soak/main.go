// Command soak lets a Caddy with this module run for long under all that happens to one at the same time, and checks every
// answer.
//
//	go run -race ./soak
//	go run -race ./soak -for 2m
//
// Caddy runs in this process, so that the race detector sees it. In front of an upstream of its own it has sites with
// different configurations: sites.go. Clients of HTTP/1.1, 2 and 3 read with all kinds of conditions, ask for parts, write,
// and write upon what they have read; some leave, some read slowly, some never end what they have begun: traffic.go. The
// upstream is late, sends errors, or breaks off: origin.go. Meanwhile another configuration is loaded every second, pages
// change behind Caddy's back and are purged by the admin API, and the redis-server is killed and started again: faults.go.
//
// What was current when is known to package truth, which judges each answer: what a 200, 206, 304, 412, 416 or an error may
// say, whose page it is, what a tag stands for, and that no acknowledged write is lost. One wrong answer ends with the
// request, the answer, what was true around it, and a status that is not zero. So does a data race, a run that has seen too
// little of anything (counters.go has how much it has to be), and what is still in use at the end: goroutines, descriptors,
// heap, held bytes, turns of guarded writes, connections to Redis.
//
// It needs redis-server. All traffic stays on 127.0.0.1. The seed is what clients choose by; what happens at the same time
// is another thing each time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/conditionalcache/caddy-conditional-cache"
	_ "github.com/conditionalcache/caddy-conditional-cache/validators/redis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	lasts   time.Duration
	clients int
	seed    uint64
}

func command(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.DurationVar(&o.lasts, "for", 30*time.Minute, "how long it lasts")
	flags.IntVar(&o.clients, "clients", 24, "how many clients ask at the same time")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "what the clients choose by")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := newRun(&o, os.Stdout)
	if err != nil {
		return err
	}
	defer r.close()
	if !isRaceBuild() {
		r.say("built without -race: data races are not seen")
	}
	return r.soak(ctx)
}

// isRaceBuild reports whether the race detector is built in.
func isRaceBuild() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
