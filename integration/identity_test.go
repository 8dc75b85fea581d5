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
	"strings"
	"sync"
	"testing"
	"time"
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
