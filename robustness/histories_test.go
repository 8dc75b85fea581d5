//go:build unix

package robustness

import (
	"context"
	"flag"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
)

var (
	runFor = flag.Duration("histories", 0, "take histories for so long; 0: none")
	seed   = flag.Uint64("seed", 0, "of what is done by chance; 0: another one each time")
	clocks = flag.Bool("clocks", false, "set clocks as well, for which Caddy and what it is made of are compiled anew: some minutes")
	only   = flag.String("faults", "", "take faults only whose names match this regular expression")
)

// TestHistories takes one history after the other, each with another fault, until the time is over or one is not as it was
// promised.
func TestHistories(t *testing.T) {
	if *runFor == 0 {
		t.Skip("it takes a minute: go test ./robustness -run TestHistories -histories 1m")
	}
	requireRedis(t)
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	r := &run{chance: rand.New(rand.NewPCG(*seed, 0)), caddy: buildCaddy(t, *clocks), clusters: make(map[bool]*cluster), oldest: make(map[string]*ages), t: t}
	for end := time.Now().Add(*runFor); time.Now().Before(end) && !t.Failed(); {
		f := r.next()
		t.Run(f.name, func(t *testing.T) { r.takeHistory(t, f) })
	}
	for name, a := range r.oldest {
		t.Logf("%s: %v", name, a)
	}
}

// run is all histories of one test.
type run struct {
	t        *testing.T
	chance   *rand.Rand
	caddy    string
	clusters map[bool]*cluster // with sentinels, and without
	number   int
	left     []failpoint // of this turn
	oldest   map[string]*ages
}

// next is a fault by chance; all have their turn before one comes again.
func (r *run) next() failpoint {
	if len(r.left) == 0 {
		match := regexp.MustCompile(*only)
		for _, f := range failpoints {
			if match.MatchString(f.name) && (f.shifted == 0 || *clocks) {
				r.left = append(r.left, f)
			}
		}
		if len(r.left) == 0 {
			r.t.Fatalf("no fault matches %q", *only)
		}
		r.chance.Shuffle(len(r.left), func(i, j int) { r.left[i], r.left[j] = r.left[j], r.left[i] })
	}
	f := r.left[0]
	r.left = r.left[1:]
	return f
}

// cluster is started when it is needed first, and outlives the histories.
func (r *run) cluster(sentinel bool) *cluster {
	c := r.clusters[sentinel]
	if c == nil {
		c = startCluster(r.t, r.caddy, sentinel)
		r.clusters[sentinel] = c
	}
	for i := range c.nodes {
		c.awaitWell(i)
	}
	if sentinel {
		c.awaitReplica()
	}
	return c
}

// before is how long the traffic runs until something is done.
const before = 1500 * time.Millisecond

func (r *run) takeHistory(t *testing.T, f failpoint) {
	t.Helper()
	c := r.cluster(f.sentinel)
	r.number++
	tr := &traffic{cluster: c, targets: targets(r.number), begun: time.Now()}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	i := &injection{cluster: c, traffic: tr, chance: r.chance, name: f.name}
	go func() {
		defer stop()
		pause(before)
		f.inject(i)
		pause(f.after)
	}()
	h := &history{Operations: tr.run(ctx, *seed+uint64(r.number)), Shifted: f.shifted}
	h.Faults = i.faults // nothing adds to them any more, as the traffic has been stopped
	took := tr.since()
	judged := time.Now()
	violations := append(h.validate(), c.crashed(t)...)
	a := h.measure()
	t.Logf("%d operations in %.1f s, judged in %.2f s: %v", len(h.Operations), took.Seconds(), time.Since(judged).Seconds(), &a)
	if r.oldest[f.name] == nil {
		r.oldest[f.name] = new(ages)
	}
	r.oldest[f.name].add(a)
	if len(violations) == 0 {
		return
	}
	t.Errorf("%d violations, see %s (-seed %d)", len(violations), c.report(t, h, violations), *seed)
	for _, v := range violations[:min(len(violations), 10)] {
		t.Error(v)
	}
}
