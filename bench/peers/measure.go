package peers

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// figures are those of a run, or the medians of several.
type figures struct {
	cpu            float64 // microseconds a request
	second         float64 // requests
	p50, p99, p999 float64 // milliseconds
	asked          float64 // the part of the requests for which the upstream was asked
}

// line is what a server has come to in a row.
type line struct {
	kind   kind
	answer answer
	figures
	memory int64 // peak, in bytes
}

// result is a row with the servers that took part.
type result struct {
	row   row
	lines []line
}

// contestant is a server in a row.
type contestant struct {
	*server

	fields []string // of the requests
	runs   []figures
}

// measure starts the servers of a row, looks at how they answer, and measures them in rounds.
func (l *lab) measure(ctx context.Context, r row) (result, error) {
	contestants, err := l.gather(ctx, r)
	defer func() {
		for _, c := range contestants {
			c.End()
		}
	}()
	for round := 0; err == nil && round <= l.Rounds; round++ {
		warming := round == 0 // what it says does not count
		if warming && l.Short {
			continue
		}
		err = l.round(ctx, r, contestants, warming)
	}
	if err != nil {
		return result{}, err
	}
	measured := result{row: r}
	for _, c := range contestants {
		memory, err := rig.PeakMemory(c.PID())
		if err != nil {
			return result{}, c.Failed(err)
		}
		measured.lines = append(measured.lines, line{c.kind, r.answers[c.kind], medians(c.runs), memory})
	}
	return measured, nil
}

// gather starts and checks those who take part. What was started is returned with an error as well.
func (l *lab) gather(ctx context.Context, r row) (contestants []*contestant, err error) {
	for _, k := range r.kindsOf() {
		if !l.present[k] {
			continue
		}
		started, err := l.start(ctx, k, r.processors())
		if err != nil {
			return contestants, err
		}
		c := &contestant{server: started}
		contestants = append(contestants, c)
		if c.fields, err = l.prepare(ctx, r, started); err != nil {
			return contestants, fmt.Errorf("%s: %w", k, c.Failed(err))
		}
	}
	return contestants, nil
}

// round is one run of each.
func (l *lab) round(ctx context.Context, r row, contestants []*contestant, warming bool) error {
	for _, c := range contestants {
		got, err := l.once(ctx, r, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.kind, err)
		}
		if !warming {
			c.runs = append(c.runs, got)
		}
	}
	return nil
}

// once is one run.
func (l *lab) once(ctx context.Context, r row, c *contestant) (figures, error) {
	do := load{
		tool: r.tool, address: c.Address, page: r.page, method: r.verb(), fields: c.fields, connections: r.clients(),
		seconds: l.Seconds * max(1, r.longer), dir: l.dir,
	}
	if r.byTLS() {
		do.address = c.tls
	}
	asked, before, err := l.state(ctx, c)
	if err != nil {
		return figures{}, err
	}
	got, err := do.run(ctx)
	if err != nil {
		return figures{}, c.Failed(err)
	}
	askedAfter, after, err := l.state(ctx, c)
	if err != nil {
		return figures{}, err
	}
	run := figures{
		cpu: float64(after-before) / float64(time.Microsecond) / float64(got.requests), second: got.second,
		p50: milliseconds(got.p50), p99: milliseconds(got.p99), p999: milliseconds(got.p999),
		asked: float64(askedAfter-asked) / float64(got.requests),
	}
	a := r.answers[c.kind]
	if !a.coded { // how long it is then depends on who compresses
		if err := got.fits(r.bodyOf(a)); err != nil {
			return figures{}, err
		}
	}
	return run, a.asks(run.asked)
}

// state is how often the upstream was asked, and how long the server has been on a CPU.
func (l *lab) state(ctx context.Context, c *contestant) (asked int64, cpu time.Duration, err error) {
	if cpu, err = rig.CPUTimeOfTree(ctx, c.PID()); err != nil {
		return 0, 0, c.Failed(err)
	}
	text, _, err := l.ask(ctx, "http://"+l.upstream.Address+"/asked", "GET", nil)
	if err != nil {
		return 0, 0, l.upstream.Failed(err)
	}
	asked, err = strconv.ParseInt(string(text), 10, 64)
	return asked, cpu, err
}

// asks compares how often the upstream was asked with what the row says.
func (a answer) asks(part float64) error {
	never := a.stored || a.files
	if never && part > 0.05 || !never && part < 0.9 {
		return fmt.Errorf("the upstream was asked for %.0f %% of the requests; of an answer %s, the row says otherwise", 100*part, a)
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// medians are taken of each figure by itself.
func medians(runs []figures) figures {
	of := func(figure func(figures) float64) float64 {
		values := make([]float64, 0, len(runs))
		for _, run := range runs {
			values = append(values, figure(run))
		}
		return rig.Median(values)
	}
	return figures{
		cpu:    of(func(f figures) float64 { return f.cpu }),
		second: of(func(f figures) float64 { return f.second }),
		p50:    of(func(f figures) float64 { return f.p50 }),
		p99:    of(func(f figures) float64 { return f.p99 }),
		p999:   of(func(f figures) float64 { return f.p999 }),
		asked:  of(func(f figures) float64 { return f.asked }),
	}
}
