package peers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// siteName is the name of the row with Django.
const siteName = "a site"

//go:embed site.py
var sitePy []byte

// arrangement is a way to run the same Django site.
type arrangement struct {
	name       string
	middleware string // of Django
	handlers   []rig.Module
	answers304 bool // to who comes back
	ours       bool
}

// arrangements are compared; the first is what the others are a share of.
var arrangements = []arrangement{
	{name: "Django alone"},
	{name: "Django's ConditionalGetMiddleware", middleware: "django.middleware.http.ConditionalGetMiddleware", answers304: true},
	{name: "conditional_cache", handlers: []rig.Module{{"handler": "conditional_cache"}}, answers304: true, ours: true},
	{
		name: "conditional_cache, remember 60s", handlers: []rig.Module{{"handler": "conditional_cache", "remember": rig.Module{"ttl": "60s"}}},
		answers304: true, ours: true,
	},
}

// shares of conditional requests.
var shares = []float64{0.8, 1}

// siteLine is what an arrangement has come to.
type siteLine struct {
	name  string
	ours  bool
	share float64 // of the requests that are conditional
	cpu   float64 // milliseconds of gunicorn a request
	of    float64 // that as a part of what Django alone takes
	not   float64 // part of the requests that were answered with 304
}

// siteUp is an arrangement that runs.
type siteUp struct {
	arrangement

	django, caddy *rig.Process
	visitors      *visitors
}

func (s *siteUp) end() {
	s.caddy.End()
	s.django.End()
}

// measureSite measures all arrangements in rounds. Without Django it says so, and has nothing to tell.
func (l *lab) measureSite(ctx context.Context) ([]siteLine, error) {
	l.say("%s", siteName)
	if err := siteEquipped(ctx); err != nil {
		l.say("the row is left out: %v", err)
		return nil, nil
	}
	var up []*siteUp
	defer func() {
		for _, s := range up {
			s.end()
		}
	}()
	for _, a := range arrangements {
		s, err := l.startSite(ctx, a)
		up = append(up, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	lines := make([][]siteRun, len(arrangements)*len(shares))
	for round := range l.Rounds {
		for i, share := range shares {
			for k, s := range up {
				run, err := s.run(ctx, l.siteRequests(), share, uint64(round))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.name, err)
				}
				lines[i*len(up)+k] = append(lines[i*len(up)+k], run)
			}
		}
	}
	return siteLines(lines), nil
}

// siteRequests is how many requests a run has.
func (l *lab) siteRequests() int {
	if l.Short {
		return 500
	}
	return 5000
}

// siteLines are the medians, share by share.
func siteLines(runs [][]siteRun) (lines []siteLine) {
	for i, share := range shares {
		var alone float64
		for k, a := range arrangements {
			of := runs[i*len(arrangements)+k]
			var cpu, not []float64
			for _, run := range of {
				cpu, not = append(cpu, run.cpu), append(not, run.not)
			}
			line := siteLine{name: a.name, ours: a.ours, share: share, cpu: rig.Median(cpu), not: rig.Median(not)}
			if k == 0 {
				alone = line.cpu
			}
			line.of = line.cpu / alone
			lines = append(lines, line)
		}
	}
	return lines
}

func siteEquipped(ctx context.Context) error {
	if _, err := exec.LookPath("gunicorn"); err != nil {
		return errors.New("gunicorn is not installed; on Debian and Ubuntu: apt-get install gunicorn python3-django")
	}
	// gunicorn of Debian runs with Debian's Python, which need not be the first in the path.
	if err := exec.CommandContext(ctx, "gunicorn", "--check-config", "django:get_version").Run(); err != nil {
		return errors.New("gunicorn finds no Django; on Debian and Ubuntu: apt-get install python3-django")
	}
	return nil
}

// startSite starts a Django and a Caddy before it. What was started is returned with an error as well.
func (l *lab) startSite(ctx context.Context, a arrangement) (s *siteUp, err error) {
	s = &siteUp{arrangement: a}
	dir, err := os.MkdirTemp(l.dir, "site-*")
	if err != nil {
		return s, err
	}
	if s.django, err = startDjango(ctx, dir, a.middleware); err != nil {
		return s, err
	}
	address, err := rig.FreeAddress()
	if err != nil {
		return s, err
	}
	handlers := slices.Concat(a.handlers, []rig.Module{rig.ProxyTo(s.django.Address)})
	apps := rig.Module{"http": rig.Module{"servers": rig.Module{"site": rig.Site(address, []rig.Module{{"handle": handlers}})}}}
	if s.caddy, err = (rig.Caddy{Binary: l.caddy, Dir: dir}).Start(ctx, address, rig.Quiet(apps)); err != nil {
		return s, err
	}
	s.visitors = newVisitors("http://" + address)
	return s, nil
}

func startDjango(ctx context.Context, dir, middleware string) (*rig.Process, error) {
	if err := os.WriteFile(filepath.Join(dir, "site_of_pages.py"), sitePy, 0o600); err != nil {
		return nil, err
	}
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	p, err := rig.Start(ctx, func(cmd *exec.Cmd) error {
		rig.Gently(cmd)
		cmd.Env = append(os.Environ(), "MIDDLEWARE="+middleware)
		return nil
	}, "gunicorn", "--chdir", dir, "--bind", address, "--workers", strconv.Itoa(2), "--worker-class", "gthread", "--threads", "2",
		"--graceful-timeout", "1", "--log-level", "error", "--worker-tmp-dir", dir, "site_of_pages")
	if err != nil {
		return nil, err
	}
	p.Address = address
	return p, p.AwaitListening(ctx)
}

// siteRun is a run of an arrangement.
type siteRun struct{ cpu, not float64 }

// run lets visitors come. Before that, unmeasured, each page is asked for once as it will be: a memory has then what
// all of the last minute have asked for.
func (s *siteUp) run(ctx context.Context, requests int, share float64, seed uint64) (siteRun, error) {
	if err := s.visitors.walk(ctx); err != nil {
		return siteRun{}, s.caddy.Failed(err)
	}
	before, err := rig.CPUTimeOfTree(ctx, s.django.PID())
	if err != nil {
		return siteRun{}, s.django.Failed(err)
	}
	notModified, err := s.visitors.come(ctx, requests, share, seed)
	if err != nil {
		return siteRun{}, s.caddy.Failed(err)
	}
	after, err := rig.CPUTimeOfTree(ctx, s.django.PID())
	if err != nil {
		return siteRun{}, s.django.Failed(err)
	}
	run := siteRun{float64(after-before) / float64(time.Millisecond) / float64(requests), float64(notModified) / float64(requests)}
	return run, s.fits(run.not, share)
}

// fits compares the part of 304s with what an arrangement is to answer.
func (s *siteUp) fits(not, share float64) error {
	want := 0.0
	if s.answers304 {
		want = share
	}
	if not < want-0.05 || not > want+0.05 {
		return fmt.Errorf("%.0f %% of the answers were 304, want %.0f %%", 100*not, 100*want)
	}
	return nil
}
