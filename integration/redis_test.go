package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/conditionalcache/caddy-conditional-cache/validators/redis"
)

// redisServer is a redis-server of the test's own, that keeps nothing on disk.
type redisServer struct {
	t    *testing.T
	addr string
	dir  string
	cmd  *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	_, err := exec.LookPath("redis-server")
	requireProgram(t, err == nil, "redis-server")
	s := &redisServer{t: t, addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), dir: t.TempDir()}
	s.start()
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"))
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.kill)
	for range 500 {
		if conn, err := net.Dial("tcp", s.addr); err == nil {
			conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("redis-server does not answer")
}

// kill is kill -9.
func (s *redisServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// caddyBinary builds Caddy with this module and both stores, once.
var caddyBinary = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(os.Getenv("XDG_DATA_HOME"), "caddy-under-test") // caddy is the name of its data folder
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/caddy").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

// redisNode is a Caddy in a process of its own, with a site before an upstream.
type redisNode struct {
	*client
	admin string
	log   string
	cmd   *exec.Cmd
}

// startNode runs one.
func startNode(t *testing.T, redis, upstream string) *redisNode {
	t.Helper()
	return startNodeWith(t, redis, "http:// {\nbind fd/3\nconditional_cache {\nremember 1h\n}\nreverse_proxy "+upstream+"\n}")
}

// startNodeWith runs one with other sites. All nodes listen at fd/3: it is the same address on all of them, as that of
// machines with one configuration is, and another port each.
func startNodeWith(t *testing.T, redis, sites string) *redisNode {
	t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	socket, port := listening(t)
	defer socket.Close()
	dir := t.TempDir()
	admin := fmt.Sprintf("localhost:%d", freePort(t))
	config := nodeConfig(admin, redis, sites)
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &redisNode{client: plainClient(t, port), admin: "http://" + admin, log: filepath.Join(dir, "log")}
	n.host = "site.example"
	log, err := os.Create(n.log)
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(binary, "run", "--config", path)
	n.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	n.cmd.Stderr = log
	n.cmd.ExtraFiles = []*os.File{socket}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		log.Close()
	})
	eventually(t, "a node that answers", func() bool {
		_, err := n.write(t.Context(), http.MethodGet, "/starting", "")
		return err == nil
	})
	return n
}

// listening is a socket that listens at a port.
func listening(t *testing.T) (*os.File, int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return socket, listener.Addr().(*net.TCPAddr).Port
}

// nodeConfig is the Caddyfile of a node.
func nodeConfig(admin, redis, sites string) string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	grace_period 100ms
	conditional_cache {
		store redis {
			address %s
		}
	}
}
%s
`, admin, redis, sites)
}

// load loads other sites, by the admin API.
func (n *redisNode) load(t *testing.T, redis, sites string) {
	t.Helper()
	config := nodeConfig(strings.TrimPrefix(n.admin, "http://"), redis, sites)
	resp, err := http.Post(n.admin+"/load", "text/caddyfile", strings.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("loading: %d %s\n%s", resp.StatusCode, said, config)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waited 20 s in vain for %s", what)
}

// revalidates reports what a node says to who has a page.
func (n *redisNode) revalidates(t *testing.T, path, etag string) int {
	t.Helper()
	got, err := n.write(t.Context(), http.MethodGet, path, "", "If-None-Match", etag)
	if err != nil {
		t.Fatal(err)
	}
	return got.status
}

func (n *redisNode) purge(t *testing.T, body string) {
	t.Helper()
	resp, err := http.Post(n.admin+"/conditional_cache/purge", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("purging %s: %d", body, resp.StatusCode)
	}
}

// connected waits until a node uses the server.
func (n *redisNode) connected(t *testing.T, upstream *counted) *redisNode {
	t.Helper()
	eventually(t, "a node that remembers", func() bool {
		etag := n.must(t, http.StatusOK, http.MethodGet, "/connected", "").header.Get("Etag")
		before := upstream.asked.Load()
		return n.revalidates(t, "/connected", etag) == http.StatusNotModified && upstream.asked.Load() == before
	})
	return n
}

// TestNodesShareARedis: two Caddys, and a third that joins, answer from each other's records; writes and purges on one
// reach all.
func TestNodesShareARedis(t *testing.T) {
	redis := startRedis(t)
	upstream := newCounted("page")
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	start := func() *redisNode {
		return startNode(t, redis.addr, server.Listener.Addr().String()).connected(t, upstream)
	}
	a, b := start(), start()
	etag := a.must(t, http.StatusOK, http.MethodGet, "/blog/page", "").header.Get("Etag")
	remembered := func(n *redisNode) bool {
		before := upstream.asked.Load()
		return n.revalidates(t, "/blog/page", etag) == http.StatusNotModified && upstream.asked.Load() == before
	}
	if !remembered(b) {
		t.Error("the second node does not know what the first one does")
	}
	c := start()
	if !remembered(c) {
		t.Error("the third node does not know what the others do")
	}
	for name, change := range map[string]func(){
		"a write":                 func() { a.must(t, http.StatusNoContent, http.MethodPut, "/blog/page", "x") },
		"a purge of the URL":      func() { a.purge(t, `{"url": "https://site.example/blog/page"}`) },
		"a purge by prefix":       func() { b.purge(t, `{"prefix": "https://site.example/blog"}`) },
		"a purge of everything":   func() { c.purge(t, `{"all": true}`) },
		"a purge of another site": nil,
	} {
		for _, n := range []*redisNode{a, b, c} {
			n.must(t, http.StatusOK, http.MethodGet, "/blog/page", "")
			eventually(t, "a record", func() bool { return remembered(n) })
		}
		if change == nil {
			a.purge(t, `{"prefix": "https://other.example/"}`)
			for _, n := range []*redisNode{a, b, c} {
				if !remembered(n) {
					t.Errorf("%s has purged this one", name)
				}
			}
			continue
		}
		change()
		for i, n := range []*redisNode{a, b, c} {
			// The first question to the upstream makes a new record, which the others may have by then.
			text := fmt.Sprintf("page after %s, seen by %d", name, i)
			upstream.page.Store(&text)
			if i > 0 {
				n.must(t, http.StatusNoContent, http.MethodDelete, "/blog/page", "")
			}
			eventually(t, name+" to reach a node", func() bool { return n.revalidates(t, "/blog/page", etag) == http.StatusOK })
		}
		page := "page"
		upstream.page.Store(&page)
		a.must(t, http.StatusNoContent, http.MethodDelete, "/blog/page", "")
	}
}

// TestRedisKilledUnderLoad: no request fails when the server is killed, and none when it comes back; then it is used
// again. The log has a line about it, and not one for each request.
func TestRedisKilledUnderLoad(t *testing.T) {
	redis := startRedis(t)
	upstream := newCounted("page")
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	n := startNode(t, redis.addr, server.Listener.Addr().String()).connected(t, upstream)
	etag := n.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	var done atomic.Bool
	var requests atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; !done.Load(); i++ {
				path := fmt.Sprintf("/%d", (worker*7+i)%50)
				var got answer
				var err error
				if i%10 == 0 {
					got, err = n.write(t.Context(), http.MethodPost, path, "x")
				} else {
					got, err = n.write(t.Context(), http.MethodGet, path, "", "If-None-Match", etag)
				}
				if err != nil || got.status != http.StatusNotModified && got.status != http.StatusNoContent {
					t.Errorf("%s: %v, %v", path, got, err)
					return
				}
				requests.Add(1)
			}
		})
	}
	load := func(n int64) {
		until := requests.Load() + n
		eventually(t, "requests", func() bool { return requests.Load() >= until || t.Failed() })
	}
	load(500)
	redis.kill()
	load(1000)
	redis.start()
	load(500)
	done.Store(true)
	wg.Wait()
	n.connected(t, upstream)
	log, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(log), `"level":"warn"`); lines == 0 || lines > 5 {
		t.Errorf("%d warnings: %s", lines, log)
	}
}

// TestModelOfTwoNodes is TestModelOfOneNode with two nodes that share a Redis. What one does, the other may hear of
// a moment later.
func TestModelOfTwoNodes(t *testing.T) {
	redis := startRedis(t)
	store := func(timeout string) map[string]any { // stores with other options share nothing in this process
		return map[string]any{"name": "redis", "address": []string{redis.addr}, "timeout": timeout}
	}
	m := startModel(t, 10_000, store("4s"), store("5s"))
	m.late = time.Second
	eventually(t, "both nodes", func() bool {
		etag := m.request(0, http.MethodGet, "/0/0/0").Header().Get("Etag")
		before := m.asked.Load()
		return m.request(0, http.MethodGet, "/0/0/0", "If-None-Match", etag).Code == 304 && m.request(1, http.MethodGet, "/0/0/0", "If-None-Match", etag).Code == 304 &&
			m.asked.Load() == before
	})
	m.run(20_000)
}
