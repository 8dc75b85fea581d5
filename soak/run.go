package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	inuse "github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/soak/footing"
	"github.com/conditionalcache/caddy-conditional-cache/soak/truth"
)

// quiet is the log of servers whose handlers panic on purpose.
var quiet = log.New(io.Discard, "", 0)

// enough is how many problems are shown before the run ends.
const enough = 10

// run is one run, from the first configuration to the last look at what is in use.
type run struct {
	options

	set      *settings
	roots    *x509.CertPool
	sites    []*site
	asked    []*site // each as often as its share is
	redis    *redisServer
	admin    *http.Client
	book     *book
	counters *counters
	loads    atomic.Int64
	// replacing are the times in which a store was replaced by another. Handlers of both configurations serve meanwhile.
	replacing spans

	mu       sync.Mutex
	out      io.Writer
	problems int
	stop     context.CancelFunc // ends the session under way; set by session
}

// newRun starts all that is no part of what is under test.
func newRun(o *options, out io.Writer) (r *run, err error) {
	folder, err := os.MkdirTemp("", "conditional-cache-soak-*")
	if err != nil {
		return nil, fmt.Errorf("a folder: %w", err)
	}
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		if err := os.Setenv(name, folder); err != nil {
			return nil, fmt.Errorf("the folder of Caddy: %w", err)
		}
	}
	r = &run{options: *o, out: out, sites: allSites(), admin: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}}
	r.book = &book{wrong: r.reportWrite}
	r.set = &settings{folder: folder, maxTotal: []string{"64MiB", "64MiB", "64MiB", "64MiB", "1MiB"}, stores: strings.Fields("5000 5000 5000 5000 5000 5000 5000 20 5000 5000 6000")}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.roots, err = makeCertificate(r.set); err != nil {
		return r, err
	}
	return r, r.startServers()
}

func (r *run) startServers() error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	r.set.port, r.set.admin, r.set.redis = ports[0], ports[1], fmt.Sprintf("127.0.0.1:%d", ports[2])
	r.redis = &redisServer{port: fmt.Sprint(ports[2]), folder: r.set.folder}
	if err := r.redis.start(); err != nil {
		return err
	}
	for _, s := range r.sites {
		r.asked = append(r.asked, slices.Repeat([]*site{s}, max(s.share, 1))...)
		s.furnish(time.Now())
		if err := r.startSite(s); err != nil {
			return err
		}
	}
	return nil
}

// startSite starts the upstream of a site, or writes its files.
func (r *run) startSite(s *site) (err error) {
	if !strings.Contains(s.variants[0], "file_server") {
		s.origin, err = startOrigin(s.places, r.book)
		return err
	}
	s.root = filepath.Join(r.set.folder, s.Name)
	for _, place := range s.places {
		if err := os.MkdirAll(filepath.Join(s.root, filepath.Dir(place.Path)), 0o700); err != nil {
			return fmt.Errorf("a folder: %w", err)
		}
		if err := s.writeFile(place.Path, 0, place.Of("").Text(0)); err != nil {
			return err
		}
	}
	return nil
}

// freePorts are ports that were free a moment ago.
func freePorts(n int) (ports []int, err error) {
	var config net.ListenConfig
	for range n {
		listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("a port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // it is only to keep others from the port
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// close ends what newRun has started. After a problem the folder stays, for its log.
func (r *run) close() {
	for _, s := range r.sites {
		if s.origin != nil {
			s.origin.stop()
		}
	}
	if r.redis != nil {
		r.redis.kill()
	}
	if r.problems == 0 {
		_ = os.RemoveAll(r.set.folder)
	}
}

// soak is the run: a short session, of which the process is to have nothing left but what it always has then, and the long one.
func (r *run) soak(ctx context.Context) error {
	r.say("seed %d, %d clients, %s, log in %s", r.seed, r.clients, r.lasts, r.set.folder)
	if err := r.session(ctx, 3*time.Second); err != nil {
		return err
	}
	before := footing.Settled(10*time.Second, time.Minute)
	r.say("before: %v", before)
	start := time.Now()
	if err := r.session(ctx, r.lasts); err != nil {
		return err
	}
	minutes := time.Since(start).Minutes()
	r.checkRedis()
	r.forget()
	if problem := before.Regained(2 * time.Minute); problem != "" {
		r.fail("not everything is back: " + problem)
	}
	r.say("after: %v\n%s", footing.Take(), r.counters.table())
	for _, problem := range append(r.counters.tooLittle(minutes), r.counters.tooMany()...) {
		r.fail(problem)
	}
	if r.problems > 0 {
		return fmt.Errorf("%d problems, with seed %d", r.problems, r.seed)
	}
	r.say("no wrong answer in %.1f minutes, and everything is back", minutes)
	return nil
}

// forget drops what the model knows: it would count as heap.
func (r *run) forget() {
	r.book.writes.Clear()
	r.book.faulty.Clear()
	for _, s := range r.sites {
		s.places = nil
		if s.origin != nil {
			s.origin.stop()
			s.origin.places = nil
		}
	}
}

// session is Caddy and all who are about it, for some time.
func (r *run) session(ctx context.Context, lasts time.Duration) error {
	r.counters = &counters{of: make(map[string]int)}
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	r.stop = cancel
	if err := r.load(); err != nil {
		return err
	}
	everybody := &crowd{run: r, transports: newTransports(r.set, r.roots)}
	var all sync.WaitGroup
	for n := range r.clients {
		c := everybody.newClient(n)
		all.Go(func() { c.work(ctx) })
	}
	for _, do := range []func(context.Context){r.reload, r.change, r.killRedis, r.progress} {
		all.Go(func() { do(ctx) })
	}
	all.Wait()
	for _, t := range everybody.transports {
		t.close()
	}
	if err := caddy.Stop(); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}

// progress says how it goes, every few seconds.
func (r *run) progress(ctx context.Context) {
	start, n := time.Now(), r.counters
	for pause(ctx, 5*time.Second); ctx.Err() == nil; pause(ctx, 5*time.Second) {
		r.say("%6s: %d asked, %d x 200, %d x 206, %d x 304 (%d remembered), %d edits, %d x 412, %d left, %d broken off, %d errors told, %d loads, %d kills, %d purges; "+
			"%d goroutines, %d KiB held, %d in line",
			time.Since(start).Round(time.Second), n.sum("asked: "), n.get("status: 200"), n.get("status: 206"), n.get("status: 304"),
			n.get("304 by remembered"), n.get("edits acknowledged"), n.get("status: 412"), n.get("left"), n.get("broken off"), n.get("errors told"),
			n.get("loaded"), n.get("redis killed"), n.get("purged"), runtime.NumGoroutine(), inuse.Budget.Held()>>10, inuse.Writes.Len())
	}
}

// checkRedis wants no connection to be left.
func (r *run) checkRedis() {
	var problem error
	for range 100 {
		n, err := r.redis.clients(context.Background())
		if problem = err; err == nil && n > 0 {
			problem = fmt.Errorf("redis-server has %d connections left", n)
		}
		if problem == nil {
			return
		}
		pause(context.Background(), 100*time.Millisecond)
	}
	r.fail(problem.Error())
}

func (r *run) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}

// fail tells a problem. After enough of them the session ends.
func (r *run) fail(problem string) {
	r.say("PROBLEM: %s", problem)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.problems++; r.problems >= enough {
		r.stop()
	}
}

// report tells of a wrong answer all that there is to know.
func (r *run) report(q *truth.Request, a *truth.Answer, protocol, problem string) {
	loads := r.loads.Load() - 1
	r.fail(fmt.Sprintf("%s\n> %s %s of %s%s as %q, by %s: %v\n< %d %v\n< %d bytes: %.100q\n%s"+
		"  seed %d, the configuration is number %d:\n%s", problem,
		q.Start.Format("15:04:05.000"), q.Method, q.Page.Place.Site.Name, q.Page.Place.Path, q.Page.User, protocol, q.Header,
		a.Status, a.Header, len(a.Body), a.Body, q.Page.Timeline(q.Start, a.End), r.seed, loads, r.variant(q.Page.Place.Site.Name, int(loads))))
}

// reportWrite tells of a write that the upstream should not have been sent.
func (r *run) reportWrite(request *http.Request, page *truth.Page, problem string) {
	loads := r.loads.Load() - 1
	r.fail(fmt.Sprintf("%s\n> %s %s of %s%s: %v\n%s  seed %d, the configuration is number %d:\n%s", problem, time.Now().Format("15:04:05.000"), request.Method,
		page.Place.Site.Name, page.Place.Path, request.Header, page.Timeline(time.Now(), time.Now()), r.seed, loads, r.variant(page.Place.Site.Name, int(loads))))
}

// variant is what stands in the n-th configuration for a site.
func (r *run) variant(name string, n int) string {
	for _, s := range r.sites {
		if s.Name == name {
			return s.block(n, r.set)
		}
	}
	return ""
}
