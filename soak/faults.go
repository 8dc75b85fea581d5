package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/conditionalcache/caddy-conditional-cache/soak/truth"
)

// load loads the next configuration.
func (r *run) load() error {
	n := int(r.loads.Add(1) - 1)
	text := caddyfile(n, r.set, r.sites)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return fmt.Errorf("adapting: %w\n%s", err, text)
	}
	if n > 0 && r.set.store(n) != r.set.store(n-1) {
		defer r.replacing.begin()()
	}
	if err := caddy.Load(adapted, true); err != nil {
		return fmt.Errorf("loading: %w\n%s", err, text)
	}
	r.counters.add("loaded")
	return nil
}

// spans are times in which something was so.
type spans struct {
	mu  sync.Mutex
	all []*span
}

// span lasts still while its end is zero.
type span struct{ start, end time.Time }

// begin begins one, and returns what ends it.
func (s *spans) begin() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begun := &span{start: time.Now()}
	s.all = append(s.all, begun)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		begun.end = time.Now()
	}
}

// during reports whether it was so at any time from one moment to another.
func (s *spans) during(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range slices.Backward(s.all) {
		if !span.end.IsZero() && span.end.Before(from) {
			return false
		}
		if !span.start.After(to) {
			return true
		}
	}
	return false
}

// reload loads one configuration after another.
func (r *run) reload(ctx context.Context) {
	for pause(ctx, time.Second); ctx.Err() == nil; pause(ctx, time.Second) {
		if err := r.load(); err != nil {
			r.fail(err.Error())
			return
		}
	}
}

// change changes pages behind the server's back. Where that is remembered, it says so afterwards.
func (r *run) change(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, 25*time.Millisecond) {
		s := r.sites[rand.IntN(len(r.sites))]
		place := s.places[min(rand.IntN(len(s.places)), rand.IntN(len(s.places)))]
		page := place.Of(truth.Users[rand.IntN(len(truth.Users))])
		switch {
		case place.Style.Edited, !s.wild && rand.IntN(8) > 0:
			continue
		case s.root != "":
			if err := s.putFile(page); err != nil {
				r.fail(err.Error())
				return
			}
		default:
			n := page.Change(time.Now, false)
			if !s.wild {
				r.purge(ctx, s, page, n)
			}
		}
		r.counters.add("changed elsewhere")
	}
}

// purge purges a page, or more than that. From its answer on, nothing older is confirmed.
func (r *run) purge(ctx context.Context, s *site, page *truth.Page, n int) {
	base := fmt.Sprintf("https://%s:%d", s.host(), r.set.port)
	body := fmt.Sprintf(`{"url": %q}`, base+page.Place.Path)
	switch rand.IntN(20) {
	case 0:
		body = `{"all": true}`
	case 1, 2:
		body = fmt.Sprintf(`{"prefix": %q}`, base+filepath.Dir(page.Place.Path))
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/conditional_cache/purge", r.set.admin)
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		r.fail(err.Error())
		return
	}
	response, err := r.admin.Do(request)
	if err != nil {
		r.counters.add("purges without an answer") // the endpoint is replaced with each load
		return
	}
	defer response.Body.Close() //nolint:errcheck // nothing more is wanted of it
	var said struct{ Purged []string }
	_ = json.NewDecoder(response.Body).Decode(&said) // what is not said is not purged
	if !slices.ContainsFunc(said.Purged, func(store string) bool { return strings.HasPrefix(store, s.store) }) {
		r.counters.add(fmt.Sprintf("purges answered with %d", response.StatusCode)) // there is no Redis just now
		return
	}
	page.Settle(n)
	r.counters.add("purged")
}

// putFile makes a new version of a file, in one step and with a date of its own.
func (s *site) putFile(page *truth.Page) error {
	return page.ChangeBy(time.Now, func(n int, text string) error { return s.writeFile(page.Place.Path, n, text) })
}

func (s *site) writeFile(path string, n int, text string) error {
	file := filepath.Join(s.root, filepath.FromSlash(path))
	if err := os.WriteFile(file+".new", []byte(truth.OnDisk(text)), 0o600); err != nil {
		return fmt.Errorf("a file: %w", err)
	}
	if err := os.Chtimes(file+".new", truth.Date(n), truth.Date(n)); err != nil {
		return fmt.Errorf("a file: %w", err)
	}
	return os.Rename(file+".new", file)
}

// redisServer is a redis-server that keeps nothing on disk.
type redisServer struct {
	port   string
	folder string
	cmd    *exec.Cmd
}

func (s *redisServer) start() error {
	s.cmd = exec.Command("redis-server", "--port", s.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", //nolint:gosec // a number and a folder of ours
		"--dir", s.folder, "--logfile", filepath.Join(s.folder, "redis.log"))
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return fmt.Errorf("redis-server, which is part of this: %w", err)
	}
	return nil
}

// kill is kill -9.
func (s *redisServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// killRedis kills the server again and again, and sometimes only makes it stand still.
func (r *run) killRedis(ctx context.Context) {
	for pause(ctx, 3*time.Second); ctx.Err() == nil; pause(ctx, time.Duration(2000+rand.IntN(5000))*time.Millisecond) {
		away := time.Duration(200+rand.IntN(1500)) * time.Millisecond
		if rand.IntN(4) == 0 {
			_ = r.redis.cmd.Process.Signal(standStill)
			pause(ctx, away)
			_ = r.redis.cmd.Process.Signal(goOn)
			r.counters.add("redis stood still")
			continue
		}
		r.redis.kill()
		pause(ctx, away)
		if err := r.redis.start(); err != nil {
			r.fail(err.Error())
			return
		}
		r.counters.add("redis killed")
	}
}

// clients is how many connections the server has besides the one that asks.
func (s *redisServer) clients(ctx context.Context) (int, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+s.port)
	if err != nil {
		return 0, fmt.Errorf("asking redis-server: %w", err)
	}
	defer conn.Close() //nolint:errcheck // nothing more is wanted of it
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "INFO clients\r\n"); err != nil {
		return 0, fmt.Errorf("asking redis-server: %w", err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "connected_clients:%d", &n); err == nil {
			return n - 1, nil
		}
	}
	return 0, fmt.Errorf("redis-server does not say who is connected: %w", lines.Err())
}
