package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// rememberingSites have three handlers that remember, in two stores. (The port is not listened on by anybody else:
// nothing is asked here but the admin endpoint.)
const rememberingSites = `
http://one.example:%d {
	bind 127.0.0.1
	conditional_cache {
		remember 10m
	}
}
http://two.example:%[1]d {
	bind 127.0.0.1
	conditional_cache /a* {
		remember 10m {
			store memory {
				max_entries 1000
			}
		}
	}
	conditional_cache /b* {
		last_modified normalize {
			from first_seen
		}
	}
}
`

// admin is Caddy with an admin endpoint.
type admin struct {
	t       *testing.T
	address string
	port    int
}

// runAdmin loads sites, with further global options, and stops Caddy and its endpoint when the test ends.
func runAdmin(t *testing.T, globals, sites string) *admin {
	t.Helper()
	a := &admin{t, fmt.Sprintf("127.0.0.1:%d", freePort(t)), freePort(t)}
	t.Cleanup(func() {
		// Caddy keeps its endpoint when it stops.
		if err := caddy.Load([]byte(`{"admin": {"disabled": true}}`), true); err != nil {
			t.Errorf("closing the admin endpoint: %v", err)
		}
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	if err := a.load(globals, sites); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *admin) load(globals, sites string) error {
	a.t.Helper()
	options := strings.Replace(globalOptions, "admin off", "admin "+a.address, 1)
	config, _, err := adapt("{\n" + options + globals + "\n}\n" + strings.ReplaceAll(strings.ReplaceAll(sites, "%[1]d", "%d"), "%d", fmt.Sprint(a.port)))
	if err != nil {
		a.t.Fatal(err)
	}
	return caddy.Load(config, true)
}

// ask sends a request to the admin endpoint; fields are names and values.
func (a *admin) ask(method, path, body string, fields ...string) (code int, answer string, header http.Header) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.address+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text)), response.Header
}

// purge has to succeed, in the default media type of curl.
func (a *admin) purge(body, want string) {
	a.t.Helper()
	code, answer, _ := a.ask(http.MethodPost, "/conditional_cache/purge", body, "Content-Type", "application/x-www-form-urlencoded")
	if code != http.StatusOK || answer != want {
		a.t.Errorf("purging %s: got %d %s, want %s", body, code, answer, want)
	}
}

// wantStatus compares the status, of which counters are left out.
func (a *admin) wantStatus(when string, parts ...string) {
	a.t.Helper()
	code, answer, header := a.ask(http.MethodGet, "/conditional_cache", "") // with or without a slash: it is no redirect
	if code != http.StatusOK || header.Get("Content-Type") != "application/json" {
		a.t.Errorf("%s: got %d %v", when, code, header)
	}
	for _, part := range parts {
		if !strings.Contains(answer, part) {
			a.t.Errorf("%s: got %s; want %s in it", when, answer, part)
		}
	}
	if got, want := strings.Count(answer, `"name":`), strings.Count(strings.Join(parts, ""), `"name":`); got != want {
		a.t.Errorf("%s: %d stores, want %d: %s", when, got, want, answer)
	}
}

// memoryStore is the memory store with these options, as a handler has it.
func memoryStore(t *testing.T, options string) validators.Store {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID(validators.StoreNamespace+".memory", []byte(options))
	if err != nil {
		t.Fatal(err)
	}
	return module.(validators.Store)
}

// remembered are records in a store.
type remembered struct {
	t     *testing.T
	store validators.Store
}

func keyOf(t *testing.T, text string) validators.Key {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	key := validators.Key{URI: validators.NewURI(u.Host, u)}
	copy(key.Sum[:], fmt.Sprintf("%016x", key.URI.Sum))
	return key
}

func (r remembered) save(urls ...string) {
	r.t.Helper()
	for _, text := range urls {
		key := keyOf(r.t, text)
		_, stamp, err := r.store.Load(r.t.Context(), key)
		if err != nil {
			r.t.Fatal(err)
		}
		record := validators.Record{Stamp: stamp, ETag: `"a"`, Received: time.Now(), Lifetime: time.Hour}
		if err := r.store.Save(r.t.Context(), key, record, time.Hour); err != nil {
			r.t.Fatal(err)
		}
	}
}

// want compares which of the URLs there are records of.
func (r remembered) want(when string, urls map[string]bool) {
	r.t.Helper()
	for text, want := range urls {
		record, _, err := r.store.Load(r.t.Context(), keyOf(r.t, text))
		if err != nil || record.Exists() != want {
			r.t.Errorf("%s: record of %s: %v, %v; want %v", when, text, record.Exists(), err, want)
		}
	}
}

const (
	pageURL = "https://one.example/blog/page?x=1"
	blogURL = "https://one.example/blog"
	nearURL = "https://one.example/blogs"
	hostURL = "https://two.example/blog"
)

// TestAdminPurges: what is purged over the endpoint is gone from the store that handlers use, and nothing else.
func TestAdminPurges(t *testing.T) {
	a := runAdmin(t, "", rememberingSites)
	kept := remembered{t, memoryStore(t, `{}`)}
	kept.save(pageURL, blogURL, nearURL, hostURL)
	entries := func(n int) { // asked before the store is, which clears away what it finds to be purged
		t.Helper()
		if _, answer, _ := a.ask(http.MethodGet, "/conditional_cache/", ""); !strings.Contains(answer, fmt.Sprintf(`"entries":%d,`, n)) {
			t.Errorf("got %s, want %d entries", answer, n)
		}
	}
	entries(4)

	a.purge(`{"url": "http://ONE.example:443/%62log/page?x=1"}`, `{"purged":["memory"]}`)
	entries(3)
	kept.want("a URL purged", map[string]bool{pageURL: false, blogURL: true, nearURL: true, hostURL: true})

	kept.save(pageURL)
	a.purge(`{"prefix": "https://one.example/blog"}`, `{"purged":["memory"]}`)
	entries(2)
	kept.want("a prefix purged", map[string]bool{pageURL: false, blogURL: false, nearURL: true, hostURL: true})

	a.purge(`{"all": true, "store": "memory"}`, `{"purged":["memory"]}`)
	entries(0)
	kept.want("all purged", map[string]bool{pageURL: false, blogURL: false, nearURL: false, hostURL: false})
}

// TestAdminPurgesWhateverTheSpelling: what a request stores under its spelling of the host, a purge names by another one.
func TestAdminPurgesWhateverTheSpelling(t *testing.T) {
	upstream := newCounted("page")
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	a := runAdmin(t, "", "http://:%d {\n bind 127.0.0.1\n conditional_cache {\n  remember 1h\n }\n reverse_proxy "+server.Listener.Addr().String()+"\n}\n")
	for _, hosts := range [][]string{
		{"h.example", "h.example:", "H.Example", "h.example.", "h.example.:", "h.example:80", "h.example:443"},
		{"h.example:8080", "H.EXAMPLE:8080", "h.example.:8080"},
		{"[2001:db8::1]", "[2001:DB8::1]:", "[2001:db8:0:0::1]", "[2001:db8::1]:443"},
	} {
		for _, asked := range hosts {
			c := plainClient(t, a.port)
			c.host = asked
			var sent string
			before := func(r *http.Request) { sent = r.Host }
			upstream.before.Store(&before)
			for _, named := range hosts {
				for _, order := range []string{`{"url": "http://%s/p"}`, `{"url": "https://%s/p"}`, `{"prefix": "http://%s/p"}`} {
					etag := c.must(t, http.StatusOK, http.MethodGet, "/p", "").header.Get("Etag")
					remembered := func() { c.must(t, http.StatusNotModified, http.MethodGet, "/p", "", "If-None-Match", etag) }
					upstream.asks(t, 0, remembered)
					a.purge(fmt.Sprintf(order, named), `{"purged":["memory"]}`)
					upstream.asks(t, 1, remembered)
					if t.Failed() {
						t.Fatalf("asked for as %s, and purged by %s of %s", asked, order, named)
					}
				}
			}
			if sent != asked {
				t.Errorf("the client has sent %s, not %s", sent, asked)
			}
		}
	}
}

// TestAdminReachesEveryStore: two memory stores of different sizes have one name, and both are purged.
func TestAdminReachesEveryStore(t *testing.T) {
	a := runAdmin(t, "", rememberingSites)
	large, small := remembered{t, memoryStore(t, `{}`)}, remembered{t, memoryStore(t, `{"max_entries": 1000}`)}
	large.save(pageURL)
	small.save(pageURL)
	a.purge(`{"url": "`+pageURL+`"}`, `{"purged":["memory"]}`)
	large.want("large", map[string]bool{pageURL: false})
	small.want("small", map[string]bool{pageURL: false})
}

// TestAdminThroughReloads: records and the list of stores survive a reload, one that fails too; what no handler
// has any more is not on it.
func TestAdminThroughReloads(t *testing.T) {
	const globals = "conditional_cache {\n max_total 1MiB\n store memory {\n max_entries 500\n }\n}\n"
	const sites = "http://one.example:%d {\n bind 127.0.0.1\n conditional_cache /a* {\n remember\n }\n conditional_cache /b* {\n remember 1m\n }\n}\n"
	a := runAdmin(t, globals, sites)
	status := []string{`"held":{"bytes":0,"max_total":1048576}`, `"name":"memory"`, `"available":true`}
	a.wantStatus("at first", status...)
	kept := remembered{t, memoryStore(t, `{"max_entries": 500}`)}
	kept.save(pageURL, blogURL)

	if err := a.load(globals, sites+"http://two.example:%d {\n conditional_cache {\n remember\n }\n}\n"); err != nil {
		t.Fatal(err)
	}
	a.wantStatus("reloaded", status...)
	kept.want("reloaded", map[string]bool{pageURL: true, blogURL: true})
	a.purge(`{"url": "`+pageURL+`"}`, `{"purged":["memory"]}`)
	kept.want("purged after a reload", map[string]bool{pageURL: false, blogURL: true})

	if err := a.load("", sites+"http://two.example:%d {\n conditional_cache {\n etag auto {\n secret {env.CONDITIONAL_CACHE_UNSET}\n }\n remember\n }\n}\n"); err == nil {
		t.Fatal("a secret without a value was accepted")
	}
	a.wantStatus("after a configuration that failed", status...)
	a.purge(`{"prefix": "https://one.example"}`, `{"purged":["memory"]}`)
	kept.want("purged after that", map[string]bool{blogURL: false})

	if err := a.load("", "http://one.example:%d {\n conditional_cache\n}\n"); err != nil {
		t.Fatal(err)
	}
	a.wantStatus("without remember", `"max_total":268435456`, `"stores":[]`)
	a.purge(`{"all": true}`, `{"purged":[]}`)
}

// TestAdminRefusals: Caddy's own checks stand before ours, and errors have Caddy's form.
func TestAdminRefusals(t *testing.T) {
	a := runAdmin(t, "", rememberingSites)
	kept := remembered{t, memoryStore(t, `{}`)}
	kept.save(pageURL)
	const all = `{"all": true}`
	for name, c := range map[string]struct {
		method, path, body string
		fields             []string
		code               int
		want               string
	}{
		"foreign origin":    {"POST", "purge", all, []string{"Origin", "https://evil.example"}, 403, `{"error":`},
		"null origin":       {"POST", "purge", all, []string{"Origin", "null"}, 400, `{"error":`},
		"no-cors":           {"POST", "purge", all, []string{"Sec-Fetch-Mode", "no-cors"}, 400, `{"error":`},
		"foreign host":      {"POST", "purge", all, []string{"Host", "evil.example"}, 403, `{"error":`},
		"foreign preflight": {"OPTIONS", "purge", "", []string{"Origin", "https://evil.example"}, 403, `{"error":`},
		"method":            {"GET", "purge", all, nil, 405, `{"error":"GET is not a method of /conditional_cache/purge; use POST"}`},
		"path":              {"POST", "purge/all", all, nil, 404, `{"error":"there is nothing here; GET /conditional_cache/ is the status, GET /conditional_cache/top why there was no 304, POST /conditional_cache/purge purges"}`},
		"form":              {"POST", "purge", "url=" + pageURL, nil, 400, `{"error":"the body: invalid character`},
		"no body":           {"POST", "purge", "", nil, 400, `{"error":"the body is empty; say one of`},
		"relative":          {"POST", "purge", `{"url": "/blog"}`, nil, 400, `{"error":"url: \"/blog\" is not a whole URL; write it with its scheme and host`},
		"store":             {"POST", "purge", `{"all": true, "store": "redis"}`, nil, 404, `{"error":"store: \"redis\" is not in use; there is memory"}`},
		"too long":          {"POST", "purge", all + strings.Repeat(" ", 64<<10), nil, 413, `{"error":"the body is longer than 65536 bytes`},
	} {
		code, answer, header := a.ask(c.method, "/conditional_cache/"+c.path, c.body, c.fields...)
		if code != c.code || !strings.HasPrefix(answer, c.want) || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s, want %d %s", name, code, answer, c.code, c.want)
		}
	}
	kept.want("nothing purged", map[string]bool{pageURL: true})
	if code, answer, _ := a.ask("POST", "/conditional_cache/purge", all, "Origin", "http://"+a.address); code != http.StatusOK {
		t.Errorf("its own origin: got %d %s", code, answer)
	}
}
