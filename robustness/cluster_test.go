//go:build unix

package robustness

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long something may take that is to come.
	patience = 60 * time.Second
	site     = "site.example"
)

// process is a program that a test has started.
type process struct {
	t       *testing.T
	name    string
	args    []string
	log     string
	env     []string
	socket  *os.File // passed on as descriptor 3; nil: none is
	command *exec.Cmd
}

func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.command = exec.CommandContext(context.Background(), p.name, p.args...)
	p.command.Stdout, p.command.Stderr = log, log
	p.command.Env = append(os.Environ(), p.env...)
	if p.socket != nil {
		p.command.ExtraFiles = []*os.File{p.socket}
	}
	if err := p.command.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill is kill -9.
func (p *process) kill() {
	if p.command != nil {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
		p.command = nil
	}
}

func (p *process) signal(signal syscall.Signal) {
	if err := p.command.Process.Signal(signal); err != nil {
		p.t.Error(err)
	}
}

// node is a Caddy.
type node struct {
	process
	address, admin string
	redis          *proxy // nil: the node knows the servers by sentinels
	clock          string // a file that says by how much its clock is set
}

// cluster is three Caddys before one upstream, and what they have in common.
type cluster struct {
	t        *testing.T
	dir      string
	upstream *upstream
	nodes    [nodes]*node
	servers  []*server // the primary first; behind it a replica and a sentinel, if there are any
}

// server is a redis-server, or a sentinel.
type server struct {
	process
	address string
}

// startCluster starts everything.
func startCluster(t *testing.T, caddy string, sentinel bool) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), upstream: startUpstream(t)}
	c.servers = append(c.servers, c.startServer("redis"))
	if sentinel {
		c.startSentinel()
	}
	for i := range c.nodes {
		c.nodes[i] = c.newNode(i, caddy, sentinel)
		c.nodes[i].start()
	}
	for i := range c.nodes {
		c.awaitWell(i)
	}
	return c
}

func (c *cluster) startServer(name string, args ...string) *server {
	c.t.Helper()
	port, dir := freePort(c.t), filepath.Join(c.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	args = append(args, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir)
	if name != "sentinel" {
		args = append(args, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0")
	}
	s := &server{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	s.process = process{t: c.t, name: "redis-server", args: args, log: filepath.Join(c.dir, name+".log")}
	s.start()
	c.t.Cleanup(s.kill)
	s.await()
	return s
}

func (s *server) await() {
	s.t.Helper()
	await(s.t, "a server that answers", func() bool { return strings.Contains(s.ask("PING"), "PONG") })
}

// ask sends one command, on a connection of its own.
func (s *server) ask(command string) string {
	conn, err := net.DialTimeout("tcp", s.address, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\nQUIT\r\n", command); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// primaryName is by which the sentinel knows the primary.
const primaryName = "cc-primary"

func (c *cluster) startSentinel() {
	c.t.Helper()
	host, port, _ := net.SplitHostPort(c.servers[0].address)
	replica := c.startServer("replica", "--replicaof", host+" "+port)
	conf := filepath.Join(c.dir, "sentinel.conf")
	lines := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\nsentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 5000\n",
		primaryName, host, port)
	if err := os.WriteFile(conf, []byte(lines), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.servers = append(c.servers, replica, c.startServer("sentinel", conf, "--sentinel"))
	c.awaitReplica()
}

// awaitReplica waits until the sentinel could fail over.
func (c *cluster) awaitReplica() {
	c.t.Helper()
	await(c.t, "a replica in step", func() bool {
		return strings.Contains(c.servers[1].ask("INFO replication"), "master_link_status:up") &&
			strings.Contains(c.servers[2].ask("INFO sentinel"), "status=ok") && strings.Contains(c.servers[2].ask("INFO sentinel"), "slaves=1")
	})
}

// caddyfile is that of a node. All of them listen at descriptor 3: one address, as machines with one configuration have it.
const caddyfile = `{
	admin %s
	persist_config off
	auto_https off
	grace_period 100ms
	conditional_cache {
		store redis {
			address %s
			%s
			timeout 1s
		}
	}
}
http:// {
	bind fd/3
	conditional_cache {
		etag strong
		guard_writes
		remember %s
	}
	reverse_proxy %s
}
`

func (c *cluster) newNode(number int, caddy string, sentinel bool) *node {
	c.t.Helper()
	n := &node{}
	dir := filepath.Join(c.dir, fmt.Sprintf("node%d", number))
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	socket, address := listening(c.t)
	n.address, n.admin = address, fmt.Sprintf("localhost:%d", freePort(c.t))
	redis, option := "", ""
	if sentinel {
		redis, option = c.servers[2].address, "sentinel "+primaryName
	} else {
		n.redis = startProxy(c.t, c.servers[0].address)
		redis = n.redis.address()
	}
	config := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf(caddyfile, n.admin, redis, option, ttl, c.upstream.server.Listener.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	n.clock = filepath.Join(dir, "clock")
	n.process = process{
		t: c.t, name: caddy, args: []string{"run", "--config", config}, log: filepath.Join(c.dir, fmt.Sprintf("node%d.log", number)), socket: socket,
		env: []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, shiftVariable + "=" + n.clock},
	}
	c.t.Cleanup(n.kill)
	return n
}

// listening is a socket that stays open while the node behind it is down: who connects then waits.
func listening(t *testing.T) (socket *os.File, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err = listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket, listener.Addr().String()
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// awaitWell waits until a node answers from memory.
func (c *cluster) awaitWell(number int) {
	c.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	asked := 0
	get := func(etag string) (*http.Response, bool) {
		asked++
		id := fmt.Sprintf("well-%d-%d-%d", number, asked, time.Now().UnixNano())
		response, err := client.Do(request(c.t.Context(), http.MethodGet, c.nodes[number].address, "/well", id, "If-None-Match", etag))
		if err != nil {
			return nil, false
		}
		response.Body.Close()
		o := &operation{Kind: reading, ID: id}
		c.upstream.complete(o, time.Time{})
		return response, o.Asked
	}
	await(c.t, fmt.Sprintf("node %d, which is to answer from memory", number), func() bool {
		response, _ := get(`"none"`)
		if response == nil || response.StatusCode != http.StatusOK {
			return false
		}
		response, asked := get(response.Header.Get("Etag"))
		return response != nil && response.StatusCode == http.StatusNotModified && !asked
	})
}

// request is one through a node. Fields are names and values.
func request(ctx context.Context, method, address, path, id string, fields ...string) *http.Request {
	var body io.Reader
	if method == http.MethodPut {
		body = strings.NewReader("text")
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, body)
	if err != nil {
		panic(err)
	}
	r.Host = site
	r.Header.Set(idField, id)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if is() {
			return
		}
		pause(20 * time.Millisecond)
	}
	t.Fatalf("waited %s in vain for %s", patience, what)
}

// buildCaddy builds cmd/caddy; for faults of clocks with one that can be set, for which all of it is compiled once more.
func buildCaddy(t *testing.T, clocks bool) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "caddy")
	args := []string{"build", "-o", binary}
	if clocks {
		args = append(args, "-overlay", overlay(t, dir))
	}
	command := exec.CommandContext(t.Context(), "go", append(args, "../cmd/caddy")...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// requireRedis skips the test where no redis-server is installed, or fails it where everything has to be.
func requireRedis(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv("CONDITIONAL_CACHE_REQUIRE") == "all":
		t.Fatal("redis-server is not installed")
	default:
		t.Skip("redis-server is not installed")
	}
}
