package redis

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func TestCaddyfile(t *testing.T) {
	for input, want := range map[string]string{ //nolint:gosec // no credentials
		"redis {\n address cache.example\n}":   `{"address":["cache.example"]}`,
		"redis {\n address a:1\n timeout 2\n}": `{"address":["a:1"],"timeout":2000000000}`,
		"redis {\n address a:1 b:2\n sentinel main\n username u\n password {env.P}\n tls\n db 2\n key_prefix x:\n timeout 20ms\n local_cache 64MiB\n max_first_seen 7\n}": `{"address":["a:1","b:2"],"sentinel":"main","username":"u","password":"{env.P}","tls":{},"db":2,"key_prefix":"x:","timeout":20000000,"local_cache":67108864,"max_first_seen":7}`,
		"redis {\n address {env.A}\n tls {\n ca a.pem b.pem\n client c.pem c.key\n server_name n\n}\n}":                                                                   `{"address":["{env.A}"],"tls":{"ca":["a.pem","b.pem"],"client_certificate":"c.pem","client_key":"c.key","server_name":"n"}}`,
		"redis {\n address unix//run/redis.sock\n db 1\n}":                                                                                                                `{"address":["unix//run/redis.sock"],"db":1}`,
		"redis {\n address [::1]:7000\n}": `{"address":["[::1]:7000"]}`,
	} {
		t.Run(input, func(t *testing.T) {
			var module Redis
			if err := module.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(&module); err != nil || string(got) != want { //nolint:gosec // a placeholder
				t.Errorf("got  %s, %v\nwant %s", got, err, want)
			}
		})
	}
}

func TestCaddyfileErrors(t *testing.T) {
	const address = " address a\n"
	for options, want := range map[string]string{
		"":                                 "needs an address",
		" address\n":                       "address needs at least one host:port",
		" address a:1-2\n":                 "neither host:port nor",
		" address :1\n":                    "neither host:port nor",
		" address udp/a:1\n":               "neither host:port nor",
		" address unix/run\n":              "neither host:port nor",
		" address redis://:secret@a:1/2\n": "neither host:port nor unix//path; write a:1, and password",
		" address a:b\n":                   "parsing address",
		" address a {\n x\n}\n":            "unexpected block",
		address + address:                  `duplicate option "address"`,
		address + " host b\n":              `unrecognized option "host" of redis; use address, sentinel, username, password, tls, db, key_prefix, timeout, local_cache or max_first_seen (for host write address)`,
		address + " db\n":                  "takes one value, and here are",
		address + " db 1 2\n":              "takes one value, and here are",
		address + " db -1\n":               "not the number of a database",
		address + " db one\n":              "not the number of a database",
		address + " username \"\"\n password p\n": "username is empty",
		address + " username u\n":                 "a username needs a password",
		address + " password a b\n":               "takes one value, and here are",
		address + " sentinel\n":                   "takes one value, and here are",
		address + " key_prefix\n":                 "takes one value, and here are",
		address + " timeout soon\n":               "parsing timeout",
		address + " timeout 1us\n":                "from 1ms to 5s",
		address + " timeout 1m\n":                 "from 1ms to 5s",
		address + " timeout 10ms 20ms\n":          "takes one value, and here are",
		address + " max_first_seen some\n":        "\"some\" is not a number of dates",
		address + " max_first_seen 0\n":           "max_first_seen has to be from 1 to 100000000, not 0",
		address + " local_cache some\n":           "parsing local_cache",
		address + " local_cache 1KiB\n":           "from 1MiB to 1TiB",
		address + " local_cache 10EiB\n":          "from 1MiB to 1TiB",
		address + " tls off\n":                    "tls takes no argument",
		address + " tls\n tls\n":                  `duplicate option "tls"`,
		address + " tls {\n insecure\n}\n":        `unrecognized option "insecure" of tls`,
		address + " tls {\n ca\n}\n":              "ca needs at least one file",
		address + " tls {\n ca a\n ca b\n}\n":     `duplicate option "ca"`,
		address + " tls {\n client c\n}\n":        "client needs two files",
		address + " tls {\n server_name\n}\n":     "takes one value, and here are",
		" address a b\n db 1\n":                   "which has no db but 0",
		" address unix//a b\n":                    "neither a cluster nor a sentinel",
		" address unix//a\n sentinel main\n":      "neither a cluster nor a sentinel",
		" address unix//a\n tls\n":                "does not go with a unix socket",
	} {
		t.Run(options, func(t *testing.T) {
			err := new(Redis).UnmarshalCaddyfile(caddyfile.NewTestDispenser("redis {\n" + options + "}"))
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("got %v, want %q with file and line", err, want)
			}
		})
	}
	if err := new(Redis).UnmarshalCaddyfile(caddyfile.NewTestDispenser("redis a:1")); err == nil {
		t.Error("an argument of the store is taken")
	}
}

// provision loads a module as Caddy does, and cleans it up with the test.
func provision(t *testing.T, config string) (*Redis, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID(validators.StoreNamespace+".redis", json.RawMessage(config))
	if err != nil {
		return nil, err
	}
	return module.(*Redis), nil
}

func TestProvisionErrors(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		`{}`:                                    "needs an address",
		`{"address":["{env.CC_UNSET}"]}`:        "neither host:port nor",
		`{"address":["a"],"db":-1}`:             "not the number of a database",
		`{"address":["a"],"timeout":1}`:         "from 1ms to 5s",
		`{"address":["a"],"max_first_seen":-1}`: "max_first_seen has to be from 1 to 100000000, not -1",
		`{"address":["a"],"local_cache":-1}`:    "from 1MiB to 1TiB",
		`{"address":["a"],"key_prefix":"{x}"}`:  "has a brace",
		`{"address":["a"],"key_prefix":"` + strings.Repeat("x", 129) + `"}`:                           "longer than 128",
		`{"address":["a","b"],"db":1}`:                                                                "which has no db but 0",
		`{"address":["a"],"tls":{"ca":["/nowhere"]}}`:                                                 "reading ca",
		`{"address":["a"],"tls":{"ca":["` + empty + `"]}}`:                                            "no certificate in ca",
		`{"address":["a"],"tls":{"client_key":"k"}}`:                                                  "needs its key",
		`{"address":["a"],"tls":{"client_certificate":"` + empty + `","client_key":"` + empty + `"}}`: "client certificate",
		`{"address":["a"],"host":"b"}`:                                                                "unknown field",
	} {
		t.Run(config, func(t *testing.T) {
			if _, err := provision(t, config); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	assertPoolIsEmpty(t)
}

func assertPoolIsEmpty(t *testing.T) {
	t.Helper()
	pool.Range(func(key, _ any) bool {
		t.Errorf("still in use: %v", key)
		return true
	})
}

// caddy validate loads modules, too.
func TestProvisionOpensNoNetwork(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Run("provision", func(t *testing.T) {
		module, err := provision(t, `{"address":["`+listener.Addr().String()+`"]}`)
		if err != nil {
			t.Fatal(err)
		}
		module.Stats()
		if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if conn, err := listener.Accept(); err == nil {
			conn.Close()
			t.Error("something has connected")
		}
	})
	assertPoolIsEmpty(t)
}

func TestPlaceholdersAndSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("correct-horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CC_REDIS", "127.0.0.1:7777")
	t.Setenv("CC_PREFIX", "site:")
	module, err := provision(t, `{"address":["{env.CC_REDIS}"],"password":"{file.`+file+`}","key_prefix":"{env.CC_PREFIX}","db":2}`)
	if err != nil {
		t.Fatal(err)
	}
	o := module.store.options
	if o.password != "correct-horse" || o.addresses[0] != "127.0.0.1:7777" || o.prefix != "site:" {
		t.Errorf("got %+v", o)
	}
	if name := module.Name(); name != "redis 127.0.0.1:7777/2 site:" {
		t.Errorf("the name is %q", name)
	}
	if strings.Contains(module.key, "correct") {
		t.Error("the password is in the key of the pool")
	}
}

func TestStoresAreSharedByOptions(t *testing.T) {
	t.Run("use", func(t *testing.T) {
		a, errA := provision(t, `{"address":["127.0.0.1:1"],"password":"a"}`)
		same, errSame := provision(t, `{"address":["127.0.0.1"],"password":"a","timeout":50000000,"key_prefix":"conditional_cache:"}`)
		if errA != nil || errSame != nil {
			t.Fatal(errA, errSame)
		}
		if a.store == same.store {
			t.Error("one store has two addresses")
		}
		again, err := provision(t, `{"address":["127.0.0.1:1"],"password":"a","timeout":50000000,"key_prefix":"conditional_cache:"}`)
		if err != nil || again.store != a.store {
			t.Errorf("the same options make another store (%v)", err)
		}
		for _, config := range []string{
			`{"address":["127.0.0.1:1"],"password":"b"}`, `{"address":["127.0.0.1:1"]}`, `{"address":["127.0.0.1:1"],"password":"a","db":1}`,
			`{"address":["127.0.0.1:1"],"password":"a","tls":{}}`, `{"address":["127.0.0.1:1"],"password":"a","key_prefix":"b"}`,
			`{"address":["127.0.0.1:1"],"password":"a","timeout":1000000000}`, `{"address":["127.0.0.1:1"],"password":"a","username":"u"}`,
			`{"address":["127.0.0.1:1"],"password":"a","sentinel":"s"}`, `{"address":["127.0.0.1:1"],"password":"a","local_cache":1048576}`,
			`{"address":["127.0.0.1:1"],"password":"a","max_first_seen":5}`,
		} {
			if other, err := provision(t, config); err != nil || other.store == a.store {
				t.Errorf("%s has the store of other options (%v)", config, err)
			}
		}
	})
	assertPoolIsEmpty(t)
}

// A reload keeps the connection; the last Cleanup ends it under live requests.
func TestCleanup(t *testing.T) {
	s := startServer(t)
	config := `{"address":["` + s.address() + `"],"timeout":3000000000}`
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	loadModule := func() *Redis {
		module, err := ctx.LoadModuleByID(validators.StoreNamespace+".redis", json.RawMessage(config))
		if err != nil {
			t.Fatal(err)
		}
		return module.(*Redis)
	}
	old := loadModule()
	key := newKey("a.example", "/")
	eventually(t, "connected", func() bool { _, _, err := old.Load(t.Context(), key); return err == nil })
	connections := len(s.clientsNamed("conditional_cache"))
	next := loadModule()
	for range 2 {
		if err := old.Cleanup(); err != nil { // the second does nothing
			t.Fatal(err)
		}
	}
	if _, _, err := next.Load(t.Context(), key); err != nil {
		t.Errorf("after a reload: %v", err)
	}
	if _, _, err := old.Load(t.Context(), key); err != nil {
		t.Errorf("a request of the old configuration: %v", err)
	}
	if now := len(s.clientsNamed("conditional_cache")); now != connections {
		t.Errorf("%d connections became %d", connections, now)
	}
	var requests sync.WaitGroup
	for range 4 {
		requests.Go(func() {
			for next.Stats().Available {
				_, _, _ = next.Load(t.Context(), key)
			}
		})
	}
	if err := next.Cleanup(); err != nil {
		t.Fatal(err)
	}
	requests.Wait()
	eventually(t, "the connections are closed", func() bool { return len(s.clientsNamed("conditional_cache")) == 0 })
	assertPoolIsEmpty(t)
}
