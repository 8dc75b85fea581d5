package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/storetest"
)

// Servers, and ways to them, that do not keep copies current are found out; then each Load asks the server.
func TestServersWithoutTracking(t *testing.T) { //nolint:funlen,gocognit // a table of servers, and what each has to do
	s := startServer(t)
	s.must("ACL", "SETUSER", "no-tracking", "on", ">secret-word", "~*", "&*", "+@all", "-client|tracking")
	s.must("ACL", "SETUSER", "no-caching", "on", ">secret-word", "~*", "&*", "+@all", "-client|caching")
	s.must("ACL", "SETUSER", "no-client", "on", ">secret-word", "~*", "&*", "+@all", "-client")
	as := func(user string) *options {
		o := optionsFor(s.address())
		o.username, o.password = user, "secret-word"
		return o
	}
	through := func(rewrite func(command []string) []string) *options {
		p := startProxy(t, s.address())
		p.rewrite = rewrite
		return optionsFor(p.serve().address())
	}
	for name, o := range map[string]*options{
		"CLIENT TRACKING is refused": as("no-tracking"),
		"CLIENT CACHING is refused":  as("no-caching"),
		"CLIENT is refused":          as("no-client"),
		"RESP2 only": through(func(command []string) []string {
			if command[0] == "HELLO" {
				return []string{"HELLOX"}
			}
			return command
		}),
		"CLIENT TRACKING is accepted and not done": through(func(command []string) []string {
			if command[0] == "CLIENT" {
				return []string{"CLIENT", "SETNAME", "x"}
			}
			return command
		}),
	} {
		t.Run(name, func(t *testing.T) {
			n, other := join(t, o), join(t, optionsFor(s.address()))
			key := newKey("a.example", "/")
			want := n.remember(key)
			before := s.calls("get")
			for range 3 {
				if got, _, err := n.Load(t.Context(), key); err != nil || got.ETag != want.ETag {
					t.Errorf("found %+v, %v", got, err)
				}
			}
			if asked := s.calls("get") - before; asked < 9 {
				t.Errorf("the server was asked %d times, want 9: nobody keeps copies current", asked)
			}
			others := newKey("b.example", "/")
			other.remember(others)
			if !n.has(others) {
				t.Error("what another node has saved is not found")
			}
			for _, forgotten := range []validators.Key{key, others} {
				if err := other.Forget(t.Context(), forgotten.URI); err != nil {
					t.Fatal(err)
				}
				if n.has(forgotten) {
					t.Error("what another node forgot is found")
				}
			}
			if lines := n.lines(zapcore.WarnLevel); len(lines) != 1 || !strings.Contains(lines[0], "CLIENT TRACKING") {
				t.Errorf("logged %q, want one line about CLIENT TRACKING", lines)
			}
			if name == "RESP2 only" {
				storetest.Run(t, func(t *testing.T) validators.Store { return join(t, o) })
				storetest.RunBounded(t, func(t *testing.T, maxFirstSeen int) validators.Store {
					bounded := *o
					bounded.maxFirstSeen = maxFirstSeen
					return join(t, &bounded)
				})
			}
		})
	}
}

// leastCommands are those that docs/redis.md names.
var leastCommands = []string{
	"+client|tracking", "+client|caching", "+client|setname", "+hello", "+auth", "+select", "+ping", "+multi", "+exec", "+get", "+set", "+del", "+unlink",
	"+exists", "+getrange", "+pttl", "+pexpire", "+eval", "+time", "+zadd", "+zcount", "+zrange", "+zrangebyscore", "+zrem", "+zscore",
}

func TestPasswords(t *testing.T) {
	const secret = "correct-horse"
	s := startServer(t)
	s.must("ACL", "SETUSER", "caddy", "on", ">"+secret, "~conditional_cache:*", "&*", "+@all", "-@dangerous", "+client")
	least := []string{"ACL", "SETUSER", "least", "on", ">" + secret, "~conditional_cache:*"}
	s.must(append(least, leastCommands...)...)
	s.must("CONFIG", "SET", "requirepass", secret)
	for name, test := range map[string]struct {
		user, password string
		works          bool
	}{
		"default user": {"", secret, true}, "user with keys of the prefix only": {"caddy", secret, true}, "user with the commands in use": {"least", secret, true},
		"wrong": {"", "battery-staple", false}, "none": {"", "", false}, "unknown user": {"nobody", secret, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := optionsFor(s.address())
			o.username, o.password = test.user, test.password
			n, key := newNode(t, o), newKey("a.example", "/")
			if test.works {
				wantWell(t, n, o)
				return
			}
			n.wantUnavailable(key)
			eventually(t, "it is said that the store cannot be reached", func() bool { return len(n.lines(zapcore.WarnLevel)) > 0 })
			n.wantUnavailable(key)
			for _, line := range append(n.lines(zapcore.WarnLevel), n.Name(), o.key()) {
				if strings.Contains(line, secret) || strings.Contains(line, "battery-staple") {
					t.Errorf("a password is told: %s", line)
				}
			}
		})
	}
}

// wantWell is for a user that may do all that is needed.
func wantWell(t *testing.T, n *node, o *options) {
	t.Helper()
	n.awaitUp()
	key := newKey("a.example", "/")
	if n.remember(key); !n.has(key) {
		t.Error("no record is found")
	}
	if lines := n.lines(zapcore.WarnLevel); len(lines) > 0 {
		t.Errorf("logged %q", lines)
	}
	if o.username != "" {
		storetest.Run(t, func(t *testing.T) validators.Store { return join(t, o) })
	}
}

// A server that does not know HELLO or AUTH repeats what it was given, the password included.
func TestPasswordInAnErrorOfTheServer(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	p.rewrite = func(command []string) []string {
		return append([]string{"NO-" + command[0]}, command[1:]...)
	}
	o := optionsFor(p.serve().address())
	o.password = "correct-horse"
	n := newNode(t, o)
	n.wantUnavailable(newKey("a.example", "/"))
	eventually(t, "it is logged", func() bool { return len(n.lines(zapcore.WarnLevel)) > 0 })
	if lines := n.lines(zapcore.WarnLevel); strings.Contains(strings.Join(lines, " "), "correct-horse") || !strings.Contains(lines[0], "***") {
		t.Errorf("logged %q", lines)
	}
}

func TestDatabases(t *testing.T) {
	s := startServer(t)
	o := optionsFor(s.address())
	o.db = 3
	n, other, key := join(t, o), join(t, optionsFor(s.address())), newKey("a.example", "/")
	n.remember(key)
	if !n.has(key) || other.has(key) {
		t.Error("a record is not in its database, or in another one")
	}
}

func TestTLS(t *testing.T) {
	requireServer(t)
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	stranger := newAuthority(t, dir, "stranger")
	ca.issue(t, dir, "server")
	ca.issue(t, dir, "client")
	port := freePort(t)
	startServer(t, "--tls-port", strconv.Itoa(port), "--tls-ca-cert-file", ca.file,
		"--tls-cert-file", filepath.Join(dir, "server.pem"), "--tls-key-file", filepath.Join(dir, "server.key"))
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	own := TLS{CA: []string{ca.file}, ClientCertificate: filepath.Join(dir, "client.pem"), ClientKey: filepath.Join(dir, "client.key")}
	for name, test := range map[string]struct {
		change func(*TLS)
		works  bool
	}{
		"client certificate":    {func(*TLS) {}, true},
		"server name":           {func(c *TLS) { c.ServerName = "redis.example" }, true},
		"no client certificate": {func(c *TLS) { c.ClientCertificate, c.ClientKey = "", "" }, false},
		"another authority":     {func(c *TLS) { c.CA = []string{stranger.file} }, false},
		"authorities of system": {func(c *TLS) { c.CA = nil }, false},
		"another server name":   {func(c *TLS) { c.ServerName = "other.example" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := own
			test.change(&config)
			module := &Redis{Address: []string{address}, TLS: &config, Timeout: caddy.Duration(unhurried)}
			o, err := module.resolve(caddy.NewReplacer())
			if err != nil {
				t.Fatal(err)
			}
			n, key := newNode(t, o), newKey("a.example", "/")
			if !test.works {
				n.wantUnavailable(key)
				eventually(t, "it is said that the store cannot be reached", func() bool { return len(n.lines(zapcore.WarnLevel)) > 0 })
				return
			}
			n.awaitUp()
			if n.remember(key); !n.has(key) {
				t.Error("no record is found")
			}
		})
	}
}

type authority struct {
	file        string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(dir, name+".pem")}
	a.key, a.certificate = a.sign(t, dir, name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) issue(t *testing.T, dir, name string) {
	t.Helper()
	a.sign(t, dir, name, &x509.Certificate{
		DNSNames: []string{"redis.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) sign(t *testing.T, dir, name string, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, name+".pem"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, name+".key"), "PRIVATE KEY", secret)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

func writePEM(t *testing.T, file, kind string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startCluster starts three nodes on loopback that share the slots.
func startCluster(t *testing.T) []*server {
	t.Helper()
	requireServer(t)
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skip("redis-cli is not installed")
	}
	var servers []*server
	create := []string{"--cluster", "create"}
	for range 3 {
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", strconv.Itoa(freePort(t)))
		servers = append(servers, s)
		create = append(create, s.address())
	}
	if out, err := exec.CommandContext(t.Context(), "redis-cli", append(create, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range servers {
		eventually(t, "the cluster is whole", func() bool {
			info, err := s.do("CLUSTER", "INFO").ToString()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return servers
}

func TestCluster(t *testing.T) {
	servers := startCluster(t)
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.address())
	}
	t.Run("one node", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) validators.Store { return join(t, optionsFor(addresses...)) })
	})
	t.Run("two nodes", func(t *testing.T) {
		storetest.RunShared(t, func(t *testing.T) (a, b validators.Store) {
			return join(t, optionsFor(addresses...)), join(t, optionsFor(addresses[1])) // what one address is, is found out
		})
	})
	t.Run("as many dates as there may be", func(t *testing.T) {
		storetest.RunBounded(t, func(t *testing.T, maxFirstSeen int) validators.Store {
			o := optionsFor(addresses...)
			o.maxFirstSeen = maxFirstSeen
			return join(t, o)
		})
	})
	t.Run("keys are on all", func(t *testing.T) {
		n := join(t, optionsFor(addresses...))
		for range 100 {
			n.remember(newKey("a.example", "/"))
		}
		for _, s := range servers {
			if size, err := s.must("DBSIZE").AsInt64(); err != nil || size < 10 {
				t.Errorf("%s has %d keys (%v)", s.address(), size, err)
			}
		}
	})
	t.Run("each is asked for a sign of life", func(t *testing.T) { pulseOfCluster(t, servers, addresses) })
	t.Run("no goroutine is left", func(t *testing.T) {
		join(t, optionsFor(addresses...)).close()
		eventually(t, "no goroutine is left", nothingOfTheClientRuns)
	})
	t.Run("one is lost", func(t *testing.T) {
		o := optionsFor(addresses...)
		o.timeout = 200 * time.Millisecond
		n := join(t, o)
		servers[2].kill()
		eventually(t, "the store is left alone", func() bool {
			n.found(newKey("a.example", "/"))
			return !n.Stats().Available
		})
		n.wantUnavailable(newKey("a.example", "/"))
	})
}

// pulseOfCluster: while copies of what is at several nodes are used, each of these is asked now and then.
func pulseOfCluster(t *testing.T, servers []*server, addresses []string) {
	t.Helper()
	n, key, clock := newNode(t, optionsFor(addresses...)), newKey("a.example", "/"), new(fakeClock)
	clock.pass(time.Duration(time.Now().UnixNano()), time.Hour)
	n.clock = clock.now
	n.awaitUp()
	n.remember(key)
	n.has(key)
	reads := func() (sum int) {
		for _, s := range servers {
			sum += s.calls("exec")
		}
		return sum
	}
	before := reads()
	clock.pass(pulseAfter, pulseAfter)
	n.has(key)
	eventually(t, "a pulse", func() bool { return reads() > before })
	if after := reads(); after-before > len(servers) {
		t.Errorf("%d reads, and one of each node would do", after-before)
	}
}

func TestSentinel(t *testing.T) {
	primary := startServer(t)
	replica := startServer(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	port := strconv.Itoa(primary.port)
	for _, line := range []string{
		"sentinel monitor cc-primary 127.0.0.1 " + port + " 1",
		"sentinel down-after-milliseconds cc-primary 1000",
		"sentinel failover-timeout cc-primary 5000",
	} {
		appendLine(t, conf, line)
	}
	sentinel := &server{t: t, port: freePort(t), dir: socketDir(t)}
	sentinel.startSentinel(conf)
	t.Cleanup(sentinel.kill)
	eventually(t, "the sentinel knows the replica", func() bool {
		info, err := sentinel.do("INFO", "sentinel").ToString()
		return err == nil && strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=1")
	})
	eventually(t, "the replica is in step", func() bool {
		info, err := replica.do("INFO", "replication").ToString()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	o := optionsFor(sentinel.address())
	o.sentinel = "cc-primary"
	o.timeout = 500 * time.Millisecond
	n, key := join(t, o), newKey("a.example", "/")
	if n.remember(key); !n.has(key) {
		t.Error("no record is found")
	}
	primary.kill()
	eventually(t, "the replica takes over", func() bool { return n.trySave(key) == nil && n.found(key) })
	if role, err := replica.must("ROLE").ToArray(); err != nil || len(role) == 0 {
		t.Error(err)
	} else if text, _ := role[0].ToString(); text != "master" {
		t.Errorf("what was the replica is a %s", text)
	}
}

func (n *node) trySave(key validators.Key) error {
	_, stamp, err := n.Load(n.t.Context(), key)
	if err != nil {
		return err
	}
	return n.Save(n.t.Context(), key, newRecord(stamp), time.Hour)
}

func (s *server) startSentinel(conf string) {
	s.t.Helper()
	s.process = exec.Command("redis-server", conf, "--sentinel", //nolint:noctx // ends with kill
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--unixsocket", s.socket(), "--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"))
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the sentinel listens", func() bool {
		conn, err := net.Dial("unix", s.socket()) //nolint:noctx // local
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func appendLine(t *testing.T, file, line string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
}
