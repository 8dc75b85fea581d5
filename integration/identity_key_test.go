package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

var (
	datedForSomebody = regexp.MustCompile(`^(W/)?"cc1\.[0-9a-f]{32}\.[0-9a-z]+\.[0-9a-v]{12}"$`)
	datedForNobody   = regexp.MustCompile(`^(W/)?"cc1\.[0-9a-f]{32}\.[0-9a-z]+"$`)
	withoutDate      = regexp.MustCompile(`^(W/)?"cc1\.[0-9a-f]{32}"$`)
)

// wantTags checks the tags that somebody and nobody gets.
func wantTags(t *testing.T, c *client, somebody, nobody *regexp.Regexp) (tag string) {
	t.Helper()
	tag = c.get(t, "/", who("Cookie", "sid=1")).header.Get("Etag")
	if !somebody.MatchString(tag) {
		t.Errorf("somebody's tag is %s, want one like %s", tag, somebody)
	}
	if tag := c.get(t, "/", nil).header.Get("Etag"); !nobody.MatchString(tag) {
		t.Errorf("nobody's tag is %s, want one like %s", tag, nobody)
	}
	return tag
}

const keyPath = "conditional_cache/identity.key"

// TestIdentityKey: the key is in Caddy's storage from the start on, outlives restarts, and stands in no log.
func TestIdentityKey(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(t.TempDir(), "log")
	globals := fmt.Sprintf("storage file_system %s\nlog {\n output file %s\n level DEBUG\n}", dir, logs)
	var tags [2]string
	for i := range tags {
		t.Run("", func(t *testing.T) {
			tags[i] = wantTags(t, identitySite(t, new(oneDate), globals, "conditional_cache"), datedForSomebody, datedForNobody)
		})
	}
	if tags[0] != tags[1] {
		t.Errorf("after a restart %s, before %s", tags[1], tags[0])
	}
	key, err := os.ReadFile(filepath.Join(dir, keyPath))
	if err != nil || len(key) != 64 {
		t.Fatalf("the key has %d octets: %v", len(key), err)
	}
	if info, err := os.Stat(filepath.Join(dir, keyPath)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key may be read by others: %v, %v", info.Mode(), err)
	}
	if log, err := os.ReadFile(logs); err != nil || strings.Contains(string(log), string(key)) {
		t.Errorf("the log has the key: %v", err)
	}
	t.Run("another storage has another", func(t *testing.T) {
		c := identitySite(t, new(oneDate), "storage file_system "+t.TempDir(), "conditional_cache")
		if tag := wantTags(t, c, datedForSomebody, datedForNobody); tag == tags[0] {
			t.Error("two storages have one key")
		}
	})
}

// TestIdentityKeyOfASecret: a secret needs no storage, and makes tags alike on all nodes.
func TestIdentityKeyOfASecret(t *testing.T) {
	var tags []string
	for _, dir := range []string{t.TempDir(), t.TempDir()} {
		t.Run("", func(t *testing.T) {
			c := identitySite(t, new(oneDate), "storage file_system "+dir, "conditional_cache {\n etag auto {\n  secret s3cret\n }\n}")
			tags = append(tags, wantTags(t, c, datedForSomebody, datedForNobody))
		})
		if _, err := os.Stat(filepath.Join(dir, keyPath)); !os.IsNotExist(err) {
			t.Errorf("a key was stored that nobody needs: %v", err)
		}
	}
	if len(tags) != 2 || tags[0] != tags[1] {
		t.Errorf("%s", tags)
	}
}

// TestIdentityWithoutAKey: where the storage has none, nothing is dated for anybody, all else is as ever, and it is told once.
func TestIdentityWithoutAKey(t *testing.T) {
	rubbish := t.TempDir()
	if err := os.MkdirAll(filepath.Join(rubbish, "conditional_cache"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(rubbish, keyPath), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	occupied := t.TempDir()
	if err := os.WriteFile(filepath.Join(occupied, "conditional_cache"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"rubbish": rubbish, "a file in place of the folder": occupied} {
		t.Run(name, func(t *testing.T) {
			logs := filepath.Join(t.TempDir(), "log")
			u := new(oneDate)
			c := identitySite(t, u, fmt.Sprintf("storage file_system %s\nlog {\n output file %s\n}", dir, logs), "conditional_cache")
			for range 3 {
				wantTags(t, c, withoutDate, datedForNobody)
			}
			checkChange(t, c, u, nil, nil, true, "")
			checkChange(t, c, u, who("Cookie", "sid=1"), nil, false, "")
			checkChange(t, c, u, nil, who("Cookie", "sid=1"), false, "")
			stored := c.get(t, "/", who("Cookie", "sid=1"))
			checkNotModified(t, revalidates(t, c, stored, who("Cookie", "sid=1")), stored.header.Get("Etag"))
			log, err := os.ReadFile(logs)
			if n := strings.Count(string(log), "no key in the storage"); err != nil || n != 1 {
				t.Errorf("told %d times, %v:\n%s", n, err, log)
			}
		})
	}
	if left, err := os.ReadFile(filepath.Join(rubbish, keyPath)); err != nil || string(left) != "rubbish" {
		t.Errorf("what was there is now %q, %v", left, err)
	}
}

// TestValidateStoresNothing: a configuration that is only looked at leaves no trace.
func TestValidateStoresNothing(t *testing.T) {
	dir := t.TempDir()
	config := fmt.Sprintf("{\n%s\nstorage file_system %s\n}\nhttp://localhost:%d {\n conditional_cache {\n  remember 1m\n }\n respond text\n}", globalOptions, dir, freePort(t))
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(adapted); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "conditional_cache")); !os.IsNotExist(err) {
		t.Errorf("something was stored: %v", err)
	}
}

// TestReloadsKeepTheKey: configurations come and go under requests, and one person has one tag.
func TestReloadsKeepTheKey(t *testing.T) {
	server := httptest.NewServer(new(oneDate))
	t.Cleanup(server.Close)
	port := freePort(t)
	sites := func(i int) string {
		return fmt.Sprintf("http://localhost:%d {\n header X-Load %d\n conditional_cache\n reverse_proxy %s\n}", port, i, server.Listener.Addr())
	}
	globals := "storage file_system " + t.TempDir()
	runCaddyWith(t, globals, sites(0))
	c := plainClient(t, port)
	want := wantTags(t, c, datedForSomebody, datedForNobody)
	for i := range 5 {
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+globalOptions+globals+"\n}\n"+sites(i+1)), nil)
		if err != nil {
			t.Fatal(err)
		}
		var loading sync.WaitGroup
		loading.Go(func() {
			if err := caddy.Load(adapted, true); err != nil {
				t.Errorf("reload: %v", err)
			}
		})
		for range 20 {
			if tag := c.get(t, "/", who("Cookie", "sid=1")).header.Get("Etag"); tag != want && !withoutDate.MatchString(tag) {
				t.Errorf("got %s, want %s", tag, want)
			}
		}
		loading.Wait()
		if tag := wantTags(t, c, datedForSomebody, datedForNobody); tag != want {
			t.Errorf("after reload %d: got %s, want %s", i+1, tag, want)
		}
	}
}

// TestNodesAgreeOnTheKey: two processes that start at one time with one empty storage have one key, and a date that one has
// given counts at the other.
func TestNodesAgreeOnTheKey(t *testing.T) {
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	u := new(oneDate)
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	var nodes [2]*client
	for i := range nodes {
		port := freePort(t)
		nodes[i] = plainClient(t, port)
		nodes[i].host = "site.example"
		config := filepath.Join(t.TempDir(), "Caddyfile")
		text := fmt.Sprintf("{\n admin off\n persist_config off\n auto_https off\n storage file_system %s\n}\nhttp://:%d {\n bind 127.0.0.1\n conditional_cache\n reverse_proxy %s\n}\n", dir, port, server.Listener.Addr())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "run", "--config", config)
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	for _, c := range nodes {
		eventually(t, "a node that answers, and has the key", func() bool {
			got, err := c.write(t.Context(), http.MethodGet, "/", "", "Cookie", "sid=1")
			return err == nil && datedForSomebody.MatchString(got.header.Get("Etag"))
		})
	}
	checkChange(t, nodes[0], u, who("Cookie", "sid=1"), who("Cookie", "sid=1"), true, "")
	stored := nodes[0].get(t, "/", who("Cookie", "sid=1"))
	checkNotModified(t, revalidates(t, nodes[1], stored, who("Cookie", "sid=1")), stored.header.Get("Etag"))
	if byDate, _ := u.asked(); !byDate {
		t.Error("at the other node the date does not count")
	}
	if got := revalidates(t, nodes[1], stored, who("Cookie", "sid=2")); got.status != http.StatusOK || got.body != pageFor(who("Cookie", "sid=2")) {
		t.Errorf("another user at the other node: %v", got)
	}
}
