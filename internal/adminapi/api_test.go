package adminapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// noting is a store that notes what it is asked to purge, and fails if it is told to. All else is left out.
type noting struct {
	validators.Store `json:"-"`
	Options          string // what tells apart stores of one name

	name  string
	err   error
	stats validators.Stats
	mu    sync.Mutex
	asked []string
}

func (s *noting) Name() string            { return s.name }
func (s *noting) Stats() validators.Stats { return s.stats }

func (s *noting) note(ctx context.Context, format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
	return errors.Join(s.err, ctx.Err())
}

func (s *noting) Forget(ctx context.Context, uri validators.URI) error {
	return s.note(ctx, "forget %s%s %x", uri.Host, uri.Path, uri.Sum)
}

func (s *noting) Purge(ctx context.Context, scope validators.Scope) error {
	return s.note(ctx, "purge %q %q", scope.Host, scope.Path)
}

// apiOf is an API of its own with these stores.
func apiOf(stores ...validators.Store) *API {
	a := &API{func() Held { return Held{Bytes: 7, MaxTotal: 100} }, Counted{metrics.New(), new(top.Table)}, new(registry), zap.NewNop}
	for _, store := range stores {
		a.stores.add(store)
	}
	return a
}

// ask calls the API, and turns an error into an answer as Caddy does.
func ask(t *testing.T, a *API, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	err := a.Routes()[0].Handler.ServeHTTP(w, r)
	var refused caddy.APIError
	switch {
	case errors.As(err, &refused):
		w.Code = refused.HTTPStatus
		w.Body.WriteString(refused.Err.Error())
	case err != nil:
		t.Fatalf("an error that Caddy takes for its own: %v", err)
	}
	return w
}

func purge(t *testing.T, a *API, body string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(t, a, httptest.NewRequest(http.MethodPost, "/conditional_cache/purge", strings.NewReader(body)))
}

func TestStatusNamesEveryStoreOnce(t *testing.T) {
	one := &noting{name: "redis a", stats: validators.Stats{Entries: -1, FirstSeen: -1, Errors: 3}}
	a := apiOf(one, &noting{name: "memory", stats: validators.Stats{Entries: 1}}, one,
		&noting{name: "memory", stats: validators.Stats{Entries: 2, FirstSeen: 6, Hits: 3, Misses: 4, Evictions: 5, Available: true}})
	w := ask(t, a, httptest.NewRequest(http.MethodGet, "/conditional_cache/", http.NoBody))
	const want = `{"held":{"bytes":7,"max_total":100},"stores":[` +
		`{"name":"memory","entries":2,"first_seen":6,"hits":3,"misses":4,"evictions":5,"errors":0,"available":true},` +
		`{"name":"redis a","entries":-1,"first_seen":-1,"hits":0,"misses":0,"evictions":0,"errors":3,"available":false}]}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got %d %v %s, want %s", w.Code, w.Header(), got, want)
	}
}

func TestStatusWithoutStores(t *testing.T) {
	w := ask(t, apiOf(), httptest.NewRequest(http.MethodGet, "/conditional_cache/", http.NoBody))
	if got := strings.TrimSpace(w.Body.String()); got != `{"held":{"bytes":7,"max_total":100},"stores":[]}` {
		t.Errorf("got %s", got)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	for _, c := range []struct {
		method, target string
		code           int
		allow          string
	}{
		{http.MethodGet, "/conditional_cache/", 200, ""},
		{http.MethodHead, "/conditional_cache/", 200, ""},
		{http.MethodGet, "/conditional_cache", 200, ""},
		{http.MethodPost, "/conditional_cache/", 405, "GET, HEAD"},
		{http.MethodOptions, "/conditional_cache/", 405, "GET, HEAD"},
		{http.MethodGet, "/conditional_cache/top", 200, ""},
		{http.MethodHead, "/conditional_cache/top?limit=1", 200, ""},
		{http.MethodPost, "/conditional_cache/top", 405, "GET, HEAD"},
		{http.MethodGet, "/conditional_cache/top/", 404, ""},
		{http.MethodGet, "/conditional_cache/purge", 405, "POST"},
		{http.MethodHead, "/conditional_cache/purge", 405, "POST"},
		{http.MethodDelete, "/conditional_cache/purge", 405, "POST"},
		{"PURGE", "/conditional_cache/purge", 405, "POST"},
		{http.MethodPost, "/conditional_cache/purge/", 404, ""},
		{http.MethodPost, "/conditional_cache/purges", 404, ""},
		{http.MethodGet, "/conditional_cache/stores/memory", 404, ""},
	} {
		store := &noting{name: "memory"}
		w := ask(t, apiOf(store), httptest.NewRequest(c.method, c.target, strings.NewReader(`{"all": true}`)))
		if w.Code != c.code || w.Header().Get("Allow") != c.allow || len(store.asked) != 0 {
			t.Errorf("%s %s: got %d, Allow %q, %q; want %d, %q", c.method, c.target, w.Code, w.Header().Get("Allow"), store.asked, c.code, c.allow)
		}
	}
}

func TestPurgesWhatIsNamed(t *testing.T) {
	// What a request for the URL is forgotten with has to be what the purge of it names.
	request := func(host, target string) string {
		uri := validators.NewURI(host, httptest.NewRequest(http.MethodGet, target, http.NoBody).URL)
		return fmt.Sprintf("forget %s%s %x", uri.Host, uri.Path, uri.Sum)
	}
	for body, want := range map[string]string{
		`{"url": "https://example.com/page?x=1"}`:           request("example.com", "/page?x=1"),
		`{"url": "http://EXAMPLE.com:80/page"}`:             request("example.com", "/page"),
		`{"url": "HTTPS://example.com.:443/%70age"}`:        request("example.com", "/page"),
		`{"url": "https://example.com"}`:                    request("example.com", "/"),
		`{"url": "https://example.com:/"}`:                  request("example.com", "/"),
		`{"url": "https://example.com:8443/a%20b"}`:         request("example.com:8443", "/a%20b"),
		`{"url": "https://example.com/a b"}`:                request("example.com", "/a%20b"),
		`{"url": "https://example.com/caf\u00e9?q=%C3%A9"}`: request("example.com", "/caf%C3%A9?q=%C3%A9"),
		`{"url": "https://xn--bcher-kva.example/%2A"}`:      request("xn--bcher-kva.example", "/*"),
		`{"url": "https://[::1]:443/"}`:                     request("[::1]", "/"),
		`{"url": "https://[0:0:0:0:0:0:0:1]:/"}`:            request("[::1]", "/"),
		`{"prefix": "http://example.com:/blog"}`:            `purge "example.com" "/blog"`,
		`{"prefix": "http://[2001:DB8::0:1]:80/blog"}`:      `purge "[2001:db8::1]" "/blog"`,
		`{"prefix": "https://example.com/blog"}`:            `purge "example.com" "/blog"`,
		`{"prefix": "https://example.com/blog/"}`:           `purge "example.com" "/blog/"`,
		`{"prefix": "http://EXAMPLE.com:443/%62log"}`:       `purge "example.com" "/blog"`,
		`{"prefix": "https://example.com"}`:                 `purge "example.com" "/"`,
		`{"prefix": "https://example.com:8443/"}`:           `purge "example.com:8443" "/"`,
		`{"all": true}`: `purge "" ""`,
		` {"all": true, "store": "memory"} ` + "\n":             `purge "" ""`,
		`{"url": "https://example.com/page", "store":"memory"}`: request("example.com", "/page"),
	} {
		store := &noting{name: "memory"}
		w := purge(t, apiOf(store), body)
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != `{"purged":["memory"]}` {
			t.Errorf("%s: got %d %s", body, w.Code, got)
		}
		if !slices.Equal(store.asked, []string{want}) {
			t.Errorf("%s: the store was asked to %q, want %q", body, store.asked, want)
		}
	}
}

func TestRefusedPurges(t *testing.T) {
	for body, want := range map[string]string{
		``:                                   "the body is empty; say one of",
		" \n":                                "the body is empty",
		`url=https://example.com/`:           "the body: invalid character",
		`https://example.com/`:               "the body: invalid character",
		`[{"all": true}]`:                    "the body: json: cannot unmarshal array",
		`null`:                               "nothing is named to purge; say one of",
		`{}`:                                 "nothing is named to purge",
		`{"store": "memory"}`:                "nothing is named to purge",
		`{"all": true} {"all": true}`:        "more than one JSON value",
		`{"all": true}}`:                     "more than one JSON value",
		`{"all": false}`:                     "all is true or not there",
		`{"all": true, "url": null}`:         "url is null; leave it out, and say one of",
		`{"url": null}`:                      "url is null",
		`{"all": 1}`:                         "cannot unmarshal number",
		`{"urls": ["https://example.com/"]}`: `unknown field "urls"`,
		`{"url": ["https://example.com/"]}`:  "cannot unmarshal array",
		`{"url": "", "all": true}`:           "url, prefix and all are three purges",
		`{"url": "https://a.example/", "prefix": "https://a.example/"}`: "url, prefix and all are three purges",

		`{"url": ""}`:                              `url: "" is not a whole URL; write it with its scheme and host, as in https://example.com/page`,
		`{"url": "/page"}`:                         `url: "/page" is not a whole URL`,
		`{"url": "example.com/page"}`:              `"example.com/page" is not a whole URL`,
		`{"url": "example.com:8080/page"}`:         `is not a whole URL`,
		`{"url": "//example.com/page"}`:            `is not a whole URL`,
		`{"url": "https:///page"}`:                 `is not a whole URL`,
		`{"url": "https://:443/page"}`:             `is not a whole URL`,
		`{"url": "https:example.com"}`:             `is not a whole URL`,
		`{"url": "ftp://example.com/page"}`:        `is not a whole URL`,
		`{"url": "https://example.com/%zz"}`:       `is not a URL: invalid URL escape "%zz"`,
		`{"url": "https://example.com:port/"}`:     `is not a URL: invalid port`,
		`{"url": "https://exa mple.com/"}`:         `is not a URL: invalid character`,
		`{"url": "https://example.com/a\u0000"}`:   `is not a URL`,
		`{"url": "https://me@example.com/"}`:       `has a user`,
		`{"url": "https://example.com/a#b"}`:       `has a fragment`,
		`{"url": "https://example.com/a#"}`:        `has a fragment`,
		`{"url": "https://b\u00fccher.example/"}`:  `in Punycode`,
		`{"url": "https://b%C3%BCcher.example/"}`:  `in Punycode`,
		`{"url": "https://exa\"mple.com/"}`:        `no host is called so`,
		`{"url": "https://*.example.com/"}`:        `a host is not a pattern`,
		`{"url": "https://example.com/blog/*"}`:    `there are no patterns`,
		`{"url": "https://example.com/?q=a b"}`:    `has to be percent-encoded`,
		`{"url": "https://example.com/?q=\u00e9"}`: `has to be percent-encoded`,

		`{"prefix": "/blog"}`:                      `prefix: "/blog" is not a whole URL`,
		`{"prefix": "https://example.com/?a=1"}`:   `prefix: "https://example.com/?a=1" has a query`,
		`{"prefix": "https://example.com/blog?"}`:  `has a query`,
		`{"prefix": "https://example.com/blog#a"}`: `has a fragment`,
		`{"prefix": "https://example.com/blog/*"}`: `there are no patterns; a prefix covers all below its path`,
		`{"prefix": "*"}`:                          `is not a whole URL`,
	} {
		store := &noting{name: "memory"}
		w := purge(t, apiOf(store), body)
		if got := w.Body.String(); w.Code != http.StatusBadRequest || !strings.Contains(got, want) || len(store.asked) != 0 {
			t.Errorf("%s: got %d %s, %q; want %q", body, w.Code, got, store.asked, want)
		}
	}
}

// TestPurgeIsLogged: who looks for why nothing is remembered finds who has purged it, and what.
func TestPurgeIsLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	a := apiOf(&noting{name: "memory"}, &noting{name: "redis", err: errors.New("down")})
	a.log = func() *zap.Logger { return zap.New(core) }
	purge(t, a, `{"prefix": "https://example.com/blog"}`)
	purge(t, a, `{"all": true, "store": "memory"}`)
	purge(t, a, `{"all": false}`)
	var got []map[string]any
	for _, entry := range logs.All() {
		got = append(got, entry.ContextMap())
	}
	want := []map[string]any{
		{"what": map[string]any{"prefix": "https://example.com/blog"}, "stores": []any{"memory"}, "failed": map[string]string{"redis": "down"}, "remote_addr": "192.0.2.1:1234"},
		{"what": map[string]any{"store": "memory", "all": true}, "stores": []any{"memory"}, "failed": map[string]string{}, "remote_addr": "192.0.2.1:1234"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("logged %v, want %v", got, want)
	}
}

func TestPasswordIsNotRepeated(t *testing.T) {
	w := purge(t, apiOf(), fmt.Sprintf(`{"url": "https://%s:%s@example.com/"}`, "me", "mine"))
	if got := w.Body.String(); w.Code != http.StatusBadRequest || strings.Contains(got, "mine") {
		t.Errorf("got %d %s", w.Code, got)
	}
}

func TestPurgeIsSaidInTheBody(t *testing.T) {
	store := &noting{name: "memory"}
	r := httptest.NewRequest(http.MethodPost, "/conditional_cache/purge?url=https://example.com/", strings.NewReader(`{"all": true}`))
	if w := ask(t, apiOf(store), r); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "not in the query") || len(store.asked) != 0 {
		t.Errorf("got %d %s, %q", w.Code, w.Body, store.asked)
	}
}

// curl -d sends the media type of a form.
func TestPurgeTakesAnyMediaType(t *testing.T) {
	for _, mediaType := range []string{"", "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"} {
		r := httptest.NewRequest(http.MethodPost, "/conditional_cache/purge", strings.NewReader(`{"all": true}`))
		r.Header.Set("Content-Type", mediaType)
		if w := ask(t, apiOf(), r); w.Code != http.StatusOK {
			t.Errorf("%q: got %d %s", mediaType, w.Code, w.Body)
		}
	}
}

func TestBodyIsBounded(t *testing.T) {
	fits := `{"all": true}` + strings.Repeat(" ", maxBody-len(`{"all": true}`))
	if w := purge(t, apiOf(), fits); w.Code != http.StatusOK {
		t.Errorf("%d bytes: got %d %s", len(fits), w.Code, w.Body)
	}
	store := &noting{name: "memory"}
	if w := purge(t, apiOf(store), fits+" "); w.Code != http.StatusRequestEntityTooLarge || len(store.asked) != 0 {
		t.Errorf("one more: got %d %s", w.Code, w.Body)
	}
}

func TestOneStoreByName(t *testing.T) {
	memory, redis := &noting{name: "memory"}, &noting{name: "redis a:6379/0"}
	a := apiOf(memory, redis)
	w := purge(t, a, `{"all": true, "store": "redis a:6379/0"}`)
	if got := strings.TrimSpace(w.Body.String()); got != `{"purged":["redis a:6379/0"]}` || len(memory.asked) != 0 || len(redis.asked) != 1 {
		t.Errorf("got %s, memory %q, redis %q", got, memory.asked, redis.asked)
	}
	w = purge(t, a, `{"all": true, "store": "redis"}`)
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"redis" is not in use; there is memory, redis a:6379/0`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w = purge(t, apiOf(), `{"all": true, "store": "memory"}`); w.Code != http.StatusNotFound {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestPurgeWithoutStores(t *testing.T) {
	if w := purge(t, apiOf(), `{"all": true}`); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"purged":[]}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestFailedStoreIsNamedAndTheOthersArePurged(t *testing.T) {
	down := &noting{name: "a", err: fmt.Errorf("asking: %w", validators.ErrUnavailable)}
	fine := &noting{name: "b"}
	w := purge(t, apiOf(fine, down), `{"prefix": "https://example.com/blog"}`)
	var got outcome
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	cause := "asking: " + validators.ErrUnavailable.Error()
	want := outcome{"not purged, or not everywhere: a: " + cause + "; send the same again", []string{"b"}, map[string]string{"a": cause}}
	if w.Code != http.StatusServiceUnavailable || !reflect.DeepEqual(got, want) || len(fine.asked) != 1 {
		t.Errorf("got %d %+v, want %+v", w.Code, got, want)
	}
}

func TestPurgeOutlivesItsRequest(t *testing.T) {
	store := &noting{name: "memory"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodPost, "/conditional_cache/purge", strings.NewReader(`{"all": true}`)).WithContext(ctx)
	if w := ask(t, apiOf(store), r); w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// FuzzURL: a URL that is taken is forgotten as a request for it is, so that no purge misses without a word.
func FuzzURL(f *testing.F) {
	for _, target := range []string{"/", "/a b", "/a?b=c d", "/%2f/../x", "//a/b", "/%", "/*", "/?%zz", "/a;b?c;d", "/caf\u00e9", "/?\u00e9", "/#a", "/a?#", "/\\", "?a"} {
		f.Add("example.com", target)
		f.Add("EXAMPLE.com.:443", target)
	}
	f.Add("me@example.com", "/")
	f.Add("[::1]:80", "/")
	f.Add("a:", "/")
	f.Add("[2001:db8:0:0::1]:", "/")
	f.Fuzz(func(t *testing.T, host, target string) {
		named, err := parseURL("https://" + host + target)
		if err != nil {
			return
		}
		asked, err := http.NewRequestWithContext(t.Context(), http.MethodGet, named.String(), http.NoBody)
		if err != nil {
			t.Fatalf("%q cannot be asked for: %v", named, err)
		}
		var wire bytes.Buffer
		if err := asked.Write(&wire); err != nil {
			t.Skip("not a URL that Go's client would send")
		}
		received, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Skip("not a request that Go's server would take")
		}
		want := validators.NewURI(received.Host, received.URL)
		if got := validators.NewURI(named.Host, named); got != want {
			t.Errorf("%q on %q: %+v is forgotten, and %+v was asked for", target, host, got, want)
		}
	})
}
