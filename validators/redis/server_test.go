package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	// patience is how long something may take that is to come.
	patience = 20 * time.Second
	// unhurried is a timeout that nothing comes near which works, on a machine that is busy.
	unhurried = 3 * time.Second
)

// server is a real redis-server on 127.0.0.1 with a directory of its own.
type server struct {
	t       testing.TB
	port    int
	dir     string
	args    []string
	process *exec.Cmd
}

// startServer starts a server, which ends with the test.
func startServer(tb testing.TB, args ...string) *server {
	tb.Helper()
	requireServer(tb)
	s := &server{t: tb, port: freePort(tb), dir: socketDir(tb), args: args}
	s.start()
	tb.Cleanup(s.kill)
	return s
}

// requireServer skips the test where no redis-server is installed, or fails it where everything has to be.
func requireServer(tb testing.TB) {
	tb.Helper()
	_, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv("CONDITIONAL_CACHE_REQUIRE") == "all":
		tb.Fatal("redis-server is not installed")
	default:
		tb.Skip("redis-server is not installed")
	}
}

// socketDir is a directory with a name short enough for a socket.
func socketDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "cc") //nolint:usetesting // the test's own is too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start starts the server, also again after kill, with nothing in it.
func (s *server) start() {
	s.t.Helper()
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--unixsocket", s.socket(), "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--logfile", filepath.Join(s.dir, "log"),
	}, s.args...)
	s.process = exec.Command("redis-server", args...) //nolint:noctx // ends with kill
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server answers", func() bool {
		conn, err := net.Dial("unix", s.socket()) //nolint:noctx // local
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = fmt.Fprint(conn, "PING\r\n")
		answer := make([]byte, 1)
		n, _ := conn.Read(answer)
		return err == nil && n == 1
	})
}

func (s *server) socket() string { return filepath.Join(s.dir, "s") }

func (s *server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// do is a command of an administrator, with a connection of its own.
func (s *server) do(command ...string) rueidis.RedisResult {
	s.t.Helper()
	admin, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.socket()}, ForceSingleClient: true, DisableCache: true, PipelineMultiplex: -1,
		ClientName: "administrator",
		DialCtxFn: func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", address)
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer admin.Close()
	return admin.Do(s.t.Context(), admin.B().Arbitrary(command...).Build())
}

// must is do for what cannot fail.
func (s *server) must(command ...string) rueidis.RedisResult {
	s.t.Helper()
	result := s.do(command...)
	if err := result.Error(); err != nil && !rueidis.IsRedisNil(err) {
		s.t.Fatalf("%q: %v", command, err)
	}
	return result
}

// calls is how often the server has been asked for a command by anybody.
func (s *server) calls(command string) int {
	s.t.Helper()
	stats, err := s.must("INFO", "commandstats").ToString()
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(stats, "cmdstat_"+command+":calls=")
	count, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.Atoi(count)
	return n
}

// node is a store as one process has it, with the log it writes.
type node struct {
	*store
	t    testing.TB
	said *observer.ObservedLogs
}

func optionsFor(addresses ...string) *options {
	return &options{addresses: addresses, prefix: defaultKeyPrefix, timeout: unhurried, localCache: 16 << 20, maxFirstSeen: validators.DefaultMaxFirstSeen}
}

// newNode makes a store that is closed with the test, and checks that nothing of it is left.
func newNode(tb testing.TB, o *options) *node {
	tb.Helper()
	core, said := observer.New(zapcore.DebugLevel)
	n := &node{store: newStore(o), t: tb, said: said}
	n.attach(zap.New(core))
	tb.Cleanup(n.close)
	return n
}

func (n *node) close() {
	_ = n.Destruct()
	select {
	case <-n.done:
	case <-time.After(patience):
		n.t.Error("the store's goroutine does not end")
	}
}

// Name makes a node a Store.
func (n *node) Name() string { return n.options.name() }

// join makes a node and waits until it is connected.
func join(tb testing.TB, o *options) *node {
	tb.Helper()
	n := newNode(tb, o)
	n.awaitUp()
	return n
}

func (n *node) awaitUp() {
	n.t.Helper()
	eventually(n.t, "connected", func() bool {
		_, _, err := n.Load(n.t.Context(), newKey("up.example", "/"))
		return err == nil
	})
}

// generationOf is where the generation of a key's URI is.
func (n *node) generationOf(key validators.Key) string {
	return bucketOf(key.URI, n.log.Load().seed).key(n.keys.generation)
}

// dateOf are the names of what FirstSeen keeps of a key.
func (n *node) dateOf(key validators.Key) dateNames { return n.keys.ofDate(key, n.log.Load().all) }

func newKey(host, path string) validators.Key {
	key := validators.Key{URI: validators.NewURI(host, &url.URL{Path: path})}
	_, _ = rand.Read(key.Sum[:])
	return key
}

func newRecord(stamp validators.Stamp) validators.Record {
	r := validators.Record{
		Stamp: stamp, ETag: `"` + rand.Text() + `"`, Size: 5, Received: time.UnixMilli(1_800_000_000_000).UTC(), Lifetime: time.Minute,
	}
	r.AddField("Cache-Control", "max-age=60")
	return r
}

// remember saves a record as of a request that begins now.
func (n *node) remember(key validators.Key) validators.Record {
	n.t.Helper()
	record := newRecord(n.stamp(key))
	if err := n.Save(n.t.Context(), key, record, time.Hour); err != nil {
		n.t.Fatal(err)
	}
	return record
}

func (n *node) stamp(key validators.Key) validators.Stamp {
	n.t.Helper()
	_, stamp, err := n.Load(n.t.Context(), key)
	if err != nil {
		n.t.Fatal(err)
	}
	return stamp
}

func (n *node) has(key validators.Key) bool {
	n.t.Helper()
	record, _, err := n.Load(n.t.Context(), key)
	if err != nil {
		n.t.Fatal(err)
	}
	return record.Exists()
}

// found is has, for while it may fail.
func (n *node) found(key validators.Key) bool {
	record, _, _ := n.Load(n.t.Context(), key)
	return record.Exists()
}

func (n *node) wantUnavailable(key validators.Key) {
	n.t.Helper()
	if _, _, err := n.Load(n.t.Context(), key); !errors.Is(err, validators.ErrUnavailable) {
		n.t.Errorf("Load: %v, want ErrUnavailable", err)
	}
}

// lines are the messages logged at a level.
func (n *node) lines(level zapcore.Level) (lines []string) {
	for _, entry := range n.said.FilterLevelExact(level).All() {
		lines = append(lines, fmt.Sprint(entry.Message, " ", entry.ContextMap()))
	}
	return lines
}

// eventually looks until something is so.
func eventually(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.After(patience); !so(); {
		select {
		case <-ticker.C:
		case <-limit:
			tb.Fatalf("after %s: not yet: %s", patience, what)
		}
	}
}
