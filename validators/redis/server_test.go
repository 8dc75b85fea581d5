package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// server is a redis-server of the test's own.
type server struct {
	t    testing.TB
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
}

// startServer runs a redis-server that keeps nothing on disk, until the test ends.
func startServer(tb testing.TB, args ...string) *server {
	tb.Helper()
	s := prepareServer(tb, args...)
	s.start()
	return s
}

// prepareServer finds a place for one that does not run yet.
func prepareServer(tb testing.TB, args ...string) *server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CONDITIONAL_CACHE_REQUIRE") == "all" {
			tb.Fatal("redis-server is not installed")
		}
		tb.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return &server{t: tb, dir: tb.TempDir(), port: l.Addr().(*net.TCPAddr).Port, args: args}
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *server) start() {
	s.t.Helper()
	args := append([]string{
		"--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir,
		"--logfile", filepath.Join(s.dir, "log"), "--unixsocket", filepath.Join(s.dir, "socket"),
	}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.kill)
	s.await()
}

// await returns when the server answers.
func (s *server) await() {
	s.t.Helper()
	for range 500 {
		if conn, err := net.Dial("unix", filepath.Join(s.dir, "socket")); err == nil {
			conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // another process
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	s.t.Fatalf("redis-server does not answer: %s", log)
}

// kill ends the server as a crash would.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
		_ = os.Remove(filepath.Join(s.dir, "socket"))
	}
}

func (s *server) pause()  { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *server) resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// do sends a command of the test's own, on a connection of its own.
func (s *server) do(words ...string) {
	s.t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{filepath.Join(s.dir, "socket")}, DialCtxFn: dial, DisableCache: true, ForceSingleClient: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	if err := client.Do(s.t.Context(), client.B().Arbitrary(words...).Build()).Error(); err != nil && !rueidis.IsRedisNil(err) {
		s.t.Fatalf("%s: %v", words, err)
	}
}

// node is a process's own store: nothing is shared with another but the server.
func node(tb testing.TB, s *server, change ...func(*Redis)) *Redis {
	tb.Helper()
	r := &Redis{Address: []string{s.addr()}, Timeout: caddy.Duration(2 * time.Second)}
	for _, change := range change {
		change(r)
	}
	options, err := r.resolve(caddy.NewReplacer())
	if err != nil {
		tb.Fatal(err)
	}
	r.store, r.name = newStore(options), options.name()
	tb.Cleanup(func() { _ = r.store.Destruct() })
	return r
}

// ready waits until a node is connected.
func ready(tb testing.TB, r *Redis) *Redis {
	tb.Helper()
	await(tb, "a connection", func() bool {
		_, _, err := r.Load(tb.Context(), keyOf("/ready"))
		return err == nil
	})
	return r
}

// await waits until something is so.
func await(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // another process
	}
	tb.Fatalf("waited 20 s in vain for %s", what)
}

// keyOf is the key of a page.
func keyOf(target string) (key validators.Key) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err)
	}
	key.URI = validators.NewURI("a.example", u)
	copy(key.Sum[:], strings.Repeat(target, 16))
	return key
}

// saved saves a record of a request that begins now, and reports its tag.
func saved(t *testing.T, r *Redis, target, tag string) {
	t.Helper()
	key := keyOf(target)
	_, stamp, err := r.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	record := validators.Record{Stamp: stamp, ETag: tag, Received: time.Now(), Lifetime: time.Hour}
	if err := r.Save(t.Context(), key, record, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// tagOf is the tag that a node remembers of a page: "" for none, "?" if the store is not available.
func tagOf(t *testing.T, r *Redis, target string) string {
	t.Helper()
	record, _, err := r.Load(t.Context(), keyOf(target))
	if err != nil {
		if !errors.Is(err, validators.ErrUnavailable) {
			t.Errorf("an error of another kind: %v", err)
		}
		return "?"
	}
	return record.ETag
}
