package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// oneDate is an upstream that has one Last-Modified for all users, and judges by it alone: its page says who asks, and its
// 304 to a date does not ask.
type oneDate struct {
	fields []string // of its answers

	mu       sync.Mutex
	rendered int
	since    string // If-Modified-Since of the last request
}

func (u *oneDate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.since = r.Header.Get("If-Modified-Since")
	u.mu.Unlock()
	for i := 0; i < len(u.fields); i += 2 {
		w.Header().Add(u.fields[i], u.fields[i+1])
	}
	w.Header().Set("Last-Modified", modified)
	if since, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil && !since.Before(modifiedTime()) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	u.mu.Lock()
	u.rendered++
	u.mu.Unlock()
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, pageFor(r.Header))
}

// pageFor is the page for who sends these fields. Counters make no difference.
func pageFor(h http.Header) string {
	session := ""
	for pair := range strings.SplitSeq(strings.Join(h["Cookie"], ";"), ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.HasSuffix(name, "sid") || strings.HasSuffix(name, "_session") {
			session += value + " "
		}
	}
	page := "<html>" + session
	for _, name := range []string{"Authorization", "X-Certificate", "X-User", "X-Api-Key"} {
		if page += "|"; !strings.HasPrefix(h.Get(name), "{") { // a placeholder without a value
			page += h.Get(name)
		}
	}
	return page + strings.Repeat(" ", 600)
}

func modifiedTime() time.Time {
	t, err := http.ParseTime(modified)
	if err != nil {
		panic(err)
	}
	return t
}

// asked reports whether the last request was a revalidation by a date, and how many pages were made so far.
func (u *oneDate) asked() (byDate bool, rendered int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.since != "", u.rendered
}

// identitySite runs Caddy with directives in front of it, and returns a client.
func identitySite(t *testing.T, u *oneDate, globals, directives string) *client {
	t.Helper()
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	port := freePort(t)
	proxy := fmt.Sprintf("reverse_proxy %s {\n header_up X-User {http.auth.user.id}\n}", server.Listener.Addr())
	if !strings.Contains(directives, "{proxy}") {
		directives += "\n{proxy}"
	}
	runCaddyWith(t, globals, fmt.Sprintf("http://localhost:%d {\n%s\n}", port, strings.ReplaceAll(directives, "{proxy}", proxy)))
	return plainClient(t, port)
}

// who is who asks, by the fields of a request.
func who(fields ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

// revalidates sends what a browser does: the tag and the date of what it has stored, whoever was signed in then.
func revalidates(t *testing.T, c *client, stored answer, as http.Header) answer {
	t.Helper()
	as = as.Clone()
	if as == nil {
		as = make(http.Header)
	}
	as.Set("If-None-Match", stored.header.Get("Etag"))
	if date := stored.header.Get("Last-Modified"); date != "" {
		as.Set("If-Modified-Since", date)
	}
	return c.get(t, "/", as)
}

// changesOfIdentity are two requests at one browser, and whether they are one person's.
var changesOfIdentity = []struct {
	name        string
	first, then http.Header
	same        bool
}{
	{"nobody stays nobody", nil, nil, true},
	{"login", nil, who("Cookie", "sid=1"), false},
	{"logout", who("Cookie", "sid=1"), nil, false},
	{"another user", who("Cookie", "sid=1"), who("Cookie", "sid=2"), false},
	{"the same user", who("Cookie", "sid=1; a=b"), who("Cookie", "a=b; sid=1"), true},
	{"counters and balancers that change", who("Cookie", "_ga=1; sid=1; AWSALB=x"), who("Cookie", "_ga=1; _gid=2; _ga_X1=3; sid=1; AWSALB=y; AWSALBCORS=y"), true},
	{"another user beside a counter", who("Cookie", "_ga=1; sid=1"), who("Cookie", "_ga=1; sid=2"), false},
	{"a logout that leaves the counter", who("Cookie", "_ga=1; sid=1"), who("Cookie", "_ga=1"), false},
	{"a session that begins like a counter", who("Cookie", "_gallery_session=1"), who("Cookie", "_gallery_session=2"), false},
	{"… and its logout", who("Cookie", "_gallery_session=1"), nil, false},
	{"… with capitals", who("Cookie", "_ga_GALLERY_session=1"), nil, false},
	{"the same credentials", who("Authorization", "Basic YTpi"), who("Authorization", "Basic YTpi"), true},
	{"other credentials", who("Authorization", "Basic YTpi"), who("Authorization", "Basic Yjpi"), false},
	{"credentials are gone", who("Authorization", "Bearer x"), nil, false},
	{"a cookie in place of credentials", who("Authorization", "sid=1"), who("Cookie", "sid=1"), false},
}

// TestAnothersDate: of an upstream with one date for all users, nobody gets another's page, and who stays the same has its
// cheap 304.
func TestAnothersDate(t *testing.T) {
	for _, site := range []struct {
		name, directives string
		fields           []string
	}{
		{"bare, private", "conditional_cache", []string{"Cache-Control", "max-age=0, private, must-revalidate"}},
		{"bare, nothing said", "conditional_cache", nil},
		{"bare, Vary on both", "conditional_cache", []string{"Vary", "Cookie, Authorization", "Cache-Control", "no-cache"}},
		{"behind encode", "encode\nconditional_cache", nil},
		{"strong", "conditional_cache {\n etag strong\n}", nil},
		{"a secret", "conditional_cache {\n etag auto {\n secret s3cret\n }\n}", nil},
		{"remember", "conditional_cache {\n remember 1m\n}", []string{"Cache-Control", "private"}},
		{"remember, shared", "conditional_cache {\n remember 1m\n}", []string{"Vary", "Cookie, Authorization", "Cache-Control", "max-age=0"}},
		{"nested", "conditional_cache\nhandle {\n conditional_cache {\n  cache_control private\n }\n {proxy}\n}", nil},
	} {
		t.Run(site.name, func(t *testing.T) {
			u := &oneDate{fields: site.fields}
			c := identitySite(t, u, "", site.directives)
			c.acceptEncoding = "gzip"
			for _, change := range changesOfIdentity {
				t.Run(change.name, func(t *testing.T) { checkChange(t, c, u, change.first, change.then, change.same, site.name) })
			}
		})
	}
}

func checkChange(t *testing.T, c *client, u *oneDate, first, then http.Header, same bool, site string) {
	t.Helper()
	stored := c.get(t, "/", first)
	if stored.status != http.StatusOK || stored.body != pageFor(first) {
		t.Fatalf("first: got %v", stored)
	}
	_, before := u.asked()
	got := revalidates(t, c, stored, then)
	byDate, after := u.asked()
	switch {
	case same && (got.status != http.StatusNotModified || after != before):
		t.Errorf("got %v after %d pages more; want a 304, and no page made", got, after-before)
	case same && !byDate && !strings.HasPrefix(site, "remember"):
		t.Error("the upstream was not asked by the date")
	case !same && (got.status != http.StatusOK || got.body != pageFor(then)):
		t.Errorf("got %v, want the page of who asks now", got)
	}
	if same {
		checkNotModified(t, got, stored.header.Get("Etag"))
	}
	// By the tag alone, which names the content that it was made of.
	if back := revalidates(t, c, got, then); !same && back.status != http.StatusNotModified {
		t.Errorf("the second time: %v, want a 304", back)
	}
}

// TestAnothersDateIgnoringCookies: a cookie that the operator names does not tell users apart; one that only begins so does.
func TestAnothersDateIgnoringCookies(t *testing.T) {
	u := new(oneDate)
	c := identitySite(t, u, "", "conditional_cache {\n remember 1m {\n  ignore_cookies theme ab_*\n  key {header.X-Api-Key}\n }\n}")
	for _, change := range []struct {
		name        string
		first, then http.Header
		same        bool
	}{
		{"ignored ones come", nil, who("Cookie", "theme=dark; ab_test=1"), true},
		{"ignored ones change", who("Cookie", "theme=dark; sid=1"), who("Cookie", "sid=1; ab_test=2"), true},
		{"a session beside them", who("Cookie", "theme=dark; sid=1"), who("Cookie", "theme=dark; sid=2"), false},
		{"a session that begins so", who("Cookie", "theme_session=1"), who("Cookie", "theme_session=2"), false},
		{"the same key", who("X-Api-Key", "a"), who("X-Api-Key", "a"), true},
		{"another key", who("X-Api-Key", "a"), who("X-Api-Key", "b"), false},
		{"no key any more", who("X-Api-Key", "a"), nil, false},
	} {
		t.Run(change.name, func(t *testing.T) { checkChange(t, c, u, change.first, change.then, change.same, "remember") })
	}
}

// TestAnothersDateOfCaddysUsers: a user whom Caddy has authenticated. One who is found out further in is not known when the
// tag comes back, so that the content decides.
func TestAnothersDateOfCaddysUsers(t *testing.T) {
	const hash = "$2a$04$DcE7hVG5AtZsHm1eKpuXSufyNcJibWKkMZ8YWvLgE6uFXnsdAru.a" // of "password", at the least cost
	users := fmt.Sprintf("basic_auth {\n alice %s\n bob %[1]s\n}", hash)
	as := func(user string) http.Header {
		r := &http.Request{Header: make(http.Header)}
		r.SetBasicAuth(user, "password")
		return r.Header
	}
	for name, site := range map[string]struct {
		directives string
		byDate     bool
	}{
		"further out": {users + "\nconditional_cache", true},
		"further in":  {"conditional_cache\nhandle {\n " + users + "\n {proxy}\n}", false},
	} {
		t.Run(name, func(t *testing.T) {
			u := new(oneDate)
			c := identitySite(t, u, "", site.directives)
			stored := c.get(t, "/", as("alice"))
			if !strings.Contains(stored.body, "|alice|") {
				t.Fatalf("got %v", stored)
			}
			checkNotModified(t, revalidates(t, c, stored, as("alice")), stored.header.Get("Etag"))
			if byDate, _ := u.asked(); byDate != site.byDate {
				t.Errorf("asked by the date: %v, want %v", byDate, site.byDate)
			}
			if got := revalidates(t, c, stored, as("bob")); got.status != http.StatusOK || !strings.Contains(got.body, "|bob|") {
				t.Errorf("bob got %v", got)
			}
			if got := revalidates(t, c, stored, nil); got.status != http.StatusUnauthorized {
				t.Errorf("nobody got %v", got)
			}
		})
	}
}

// TestAnothersDateOfCertificates: the certificate of a client.
func TestAnothersDateOfCertificates(t *testing.T) {
	u := new(oneDate)
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`https://localhost:%d {
	tls internal {
		client_auth {
			mode request
		}
	}
	conditional_cache
	reverse_proxy %s {
		header_up X-Certificate {http.request.tls.client.subject}
	}
}`, port, server.Listener.Addr()))
	awaitCertificate(t, port)
	as := func(name string) *client {
		config := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
		if name != "" {
			config.Certificates = []tls.Certificate{clientCertificate(t, name)}
		}
		transport := &http.Transport{TLSClientConfig: config, DisableCompression: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &client{transport: transport, base: fmt.Sprintf("https://127.0.0.1:%d", port), host: fmt.Sprintf("localhost:%d", port), protocol: "HTTP/1.1"}
	}
	alice, bob, nobody := as("alice"), as("bob"), as("")
	stored := alice.get(t, "/", nil)
	if !strings.Contains(stored.body, "CN=alice") {
		t.Fatalf("got %v", stored)
	}
	checkNotModified(t, revalidates(t, alice, stored, nil), stored.header.Get("Etag"))
	if byDate, _ := u.asked(); !byDate {
		t.Error("the upstream was not asked by the date")
	}
	for name, c := range map[string]*client{"CN=bob": bob, "||||": nobody} {
		if got := revalidates(t, c, stored, nil); got.status != http.StatusOK || !strings.Contains(got.body, name) {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// clientCertificate is one that nobody has signed but itself.
func clientCertificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

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
