// Package integration runs Caddy with this module, real upstreams and real clients against each other.
// One Caddy lives in this process at a time, so tests that call runCaddy must not be parallel.
package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/conditionalcache/caddy-conditional-cache"
)

// globalOptions heads every Caddyfile of these tests: no admin endpoint, nothing written outside the
// test's folder, no redirects, and no change of the machine's trust store.
const globalOptions = `
	admin off
	persist_config off
	auto_https disable_redirects
	skip_install_trust
	grace_period 100ms
`

// TestMain gives Caddy a data folder of its own.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "conditional-cache-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = os.Setenv("XDG_DATA_HOME", dir)
	_ = os.Setenv("XDG_CONFIG_HOME", dir)
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// runCaddy loads a Caddyfile (site blocks only, or with further global options as the first argument
// of withGlobals) and stops Caddy when the test ends.
func runCaddy(t *testing.T, sites string) {
	t.Helper()
	runCaddyWith(t, "", sites)
}

// runCaddyWith is runCaddy with further global options.
func runCaddyWith(t *testing.T, globals, sites string) {
	t.Helper()
	// With a certificate from a file nothing is managed in the background: Caddy v2.11.9 races there with its
	// own start (caddytls.TLS.Start writes what its event for a stored certificate copies).
	sites = strings.ReplaceAll(sites, "tls internal", "tls "+certificate())
	config := "{\n" + globalOptions + globals + "\n}\n" + sites
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("adapting: %v\n%s", err, config)
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Logf("adapt warning: %v", w)
		}
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatalf("loading: %v\n%s", err, config)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
}

// certificate is a certificate of localhost and its key, in files that TestMain removes.
var certificate = sync.OnceValue(func() string {
	certFile, keyFile := filepath.Join(os.Getenv("XDG_DATA_HOME"), "cert.pem"), filepath.Join(os.Getenv("XDG_DATA_HOME"), "key.pem")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	for _, file := range []struct {
		path, kind string
		content    []byte
	}{{certFile, "CERTIFICATE", cert}, {keyFile, "PRIVATE KEY", secret}} {
		block := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.content})
		if err := os.WriteFile(file.path, block, 0o600); err != nil {
			panic(err)
		}
	}
	return certFile + " " + keyFile
})

// portsGiven are those that freePort has returned.
var portsGiven sync.Map

// freePort returns a TCP port of 127.0.0.1 that was free a moment ago, and each only once: what the process knows of a site
// outlives it for a while.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if _, given := portsGiven.LoadOrStore(port, true); !given {
			return port
		}
	}
	t.Fatal("no port is free that has not been used")
	return 0
}

// requireProgram skips the test when a program it needs is not installed, or fails it where
// CONDITIONAL_CACHE_REQUIRE=all says that everything has to be there.
func requireProgram(t *testing.T, found bool, what string) {
	t.Helper()
	switch {
	case found:
	case os.Getenv("CONDITIONAL_CACHE_REQUIRE") == "all":
		t.Fatalf("%s is not installed", what)
	default:
		t.Skipf("%s is not installed", what)
	}
}
