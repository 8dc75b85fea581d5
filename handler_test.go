package conditionalcache

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip" // the encoders of encode_once
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A handler without options tags a page, and answers 304 as long as the page has not changed. Caddy does what this example
// does with a context and a request.
func ExampleHandler() {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	h := new(Handler)
	if err := h.Provision(ctx); err != nil {
		fmt.Println(err)
		return
	}
	upstream := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "hello, world")
		return err
	})
	ask := func(ifNoneMatch string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
		if ifNoneMatch != "" {
			r.Header.Set("If-None-Match", ifNoneMatch)
		}
		if err := h.ServeHTTP(answer, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), answer, nil), upstream); err != nil {
			fmt.Println(err)
		}
		return answer
	}

	first := ask("")
	fmt.Println(first.Code, first.Header().Get("ETag"), first.Body)
	again := ask(first.Header().Get("ETag"))
	fmt.Println(again.Code, again.Body.Len(), "bytes")

	// Output:
	// 200 "cc1.bffa2b97e30be2fabeaf927d2e7eb021" hello, world
	// 304 0 bytes
}

// The JSON of a directive.
func ExampleHandler_UnmarshalCaddyfile() {
	h := new(Handler)
	err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(`
		conditional_cache {
			etag strong
			cache_control /assets/* public max-age=30d immutable
			remember 10m
		}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := json.MarshalIndent(h, "", "  ")
	fmt.Println(string(text), err)

	// Output:
	// {
	//   "etag": {
	//     "mode": "strong"
	//   },
	//   "cache_control": [
	//     {
	//       "path": "/assets/*",
	//       "directives": [
	//         "public",
	//         "max-age=30d",
	//         "immutable"
	//       ]
	//     }
	//   ],
	//   "remember": {
	//     "ttl": 600000000000
	//   }
	// } <nil>
}

// What contradicts is refused, with the line to change.
func ExampleHandler_UnmarshalCaddyfile_refused() {
	err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(`conditional_cache {
		guard_writes PUT
	}`))
	fmt.Println(err)

	// Output:
	// guard_writes needs etag strong: etag auto makes weak tags, and If-Match matches none of these (RFC 9110 §13.1.1); write etag strong beside it, at Testfile:2
}

// pairs are names and values, or any other list of texts.
func pairs(s ...string) []string { return s }

// provisioned readies a handler as Caddy does.
func provisioned(t *testing.T, h *Handler) *Handler {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

// page is an upstream with something to read and to write, which notes how it is asked.
type page struct{ asked []string }

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	p.asked = append(p.asked, r.Method)
	if r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	_, err := io.WriteString(w, "hello, world")
	return err
}

// serve is what becomes of one request, made as Caddy's server hands it to handlers.
func serve(t *testing.T, h *Handler, next caddyhttp.Handler, method string, header http.Header) (status int, answer *httptest.ResponseRecorder) {
	t.Helper()
	answer = httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody)
	r.Header = header
	err := h.ServeHTTP(answer, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), answer, nil), next)
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		return failed.StatusCode, answer
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer.Code, answer
}

// The kinds of answers there are. What each of them rests on is tested beside the code, in internal/exchange.
func TestHandler(t *testing.T) {
	guarding := Handler{ETag: &ETag{Mode: "strong"}, GuardWrites: new(GuardWrites)}
	remembering := Handler{Remember: &Remember{TTL: caddy.Duration(time.Hour)}, Block: t.Name()}
	for _, tt := range []struct {
		name, method string
		handler      Handler
		field, value string // empty: the tag of what can be read
		status       int
		body         string
		asked        []string
	}{
		{name: "what is read gets a tag", method: "GET", field: "Accept", value: "*/*", status: 200, body: "hello, world", asked: pairs("GET")},
		{name: "what the client has", method: "GET", field: "If-None-Match", status: 304, asked: pairs("GET")},
		{name: "what the client has, from memory", handler: remembering, method: "GET", field: "If-None-Match", status: 304},
		{name: "a part", method: "GET", field: "Range", value: "bytes=7-", status: 206, body: "world", asked: pairs("GET")},
		{name: "a precondition that fails", method: "GET", field: "If-Match", value: `"another"`, status: 412, asked: pairs("GET")},
		{name: "a write upon what is there", handler: guarding, method: "PUT", field: "If-Match", status: 204, asked: pairs("GET", "PUT")},
		{name: "a write upon what was there", handler: guarding, method: "PUT", field: "If-Match", value: `"another"`, status: 412, asked: pairs("GET")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, upstream := provisioned(t, &tt.handler), new(page)
			_, first := serve(t, h, upstream, http.MethodGet, make(http.Header))
			etag := first.Header().Get("Etag")
			upstream.asked = nil
			status, answer := serve(t, h, upstream, tt.method, http.Header{tt.field: {cmp.Or(tt.value, etag)}})
			if status != tt.status || answer.Body.String() != tt.body || etag == "" {
				t.Errorf("status %d, want %d; %q, want %q; tag %q", status, tt.status, answer.Body, tt.body, etag)
			}
			if !slices.Equal(upstream.asked, tt.asked) {
				t.Errorf("the upstream was asked %q, want %q", upstream.asked, tt.asked)
			}
		})
	}
}

// warned are the rows that a handler's configuration is warned of when it is provisioned.
func warned(t *testing.T, h *Handler) (lines []string) {
	t.Helper()
	provisioned(t, h)
	core, logs := observer.New(zap.WarnLevel)
	h.logger = zap.New(core)
	h.warn()
	for _, entry := range logs.All() {
		row, about := entry.ContextMap()["row"]
		if !about {
			row = "none"
		}
		lines = append(lines, fmt.Sprintf("row %v: %s", row, entry.Message))
	}
	return lines
}

// What is valid, and probably not meant, is logged once for each row.
func TestWarnings(t *testing.T) {
	h := &Handler{
		CacheControl: []CacheControl{
			{Path: OneOrMore{"/a/*"}, Directives: pairs("max-age=1h")},
			{MediaType: OneOrMore{"Text/HTML"}, Directives: pairs("max-age=1h immutable")},
			{MediaType: OneOrMore{"text/css"}, Directives: pairs("max-age=1h immutable")},
			{MediaType: OneOrMore{"text/*"}, Directives: pairs("max-age=800d immutable")},
			{Directives: pairs("public")},
		},
		ETag: &ETag{IgnoreExpressions: []string{`\d+`, `in (\d+) ms`}},
	}
	want := []string{
		"row 2: cache_control text/html: immutable on pages",
		"row 4: cache_control text/*: max-age is over a year", "row 4: cache_control text/*: immutable on pages",
		"row 5: cache_control: public says", "row none: etag ignore: `\\d+` matches numbers by themselves",
	}
	got := warned(t, h)
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got %q, want %q", got, want)
	}
	h = &Handler{Expires: "modified", ExpiresModified: caddy.Duration(time.Hour), CacheControl: []CacheControl{{Directives: pairs("public")}}}
	if got := warned(t, h); got != nil {
		t.Errorf("expires modified gives it a lifetime: %q", got)
	}
}

// TestSetCookieWarnings: what is about no row is logged as well, by the adapter with its line.
func TestSetCookieWarnings(t *testing.T) {
	h := &Handler{Remember: &Remember{IgnoreSetCookie: pairs("XSRF-TOKEN")}}
	if got := warned(t, h); len(got) != 1 || !strings.Contains(got[0], ": remember ignore_set_cookie: clients that have got XSRF-TOKEN") {
		t.Errorf("got %q", got)
	}
	got := adapterWarnings(t, caddyfile.NewTestDispenser("conditional_cache {\n remember {\n  grace 1m\n  ignore_set_cookie a b\n  ignore_cookies b\n }\n}"))
	if len(got) != 1 || got[0].ContextMap()["line"] != int64(4) {
		t.Errorf("got %+v", got)
	}
}

// The adapter warns with file and line, as Caddy's own directives do.
func TestAdapterWarnings(t *testing.T) {
	for text, want := range map[string][]int{
		"conditional_cache 400d {\n cache_control text/html max-age=1h immutable\n\n cache_control image/* public\n}":                  {2, 4, 1, 1},
		"conditional_cache {\n cache_control public\n}":                                                                                {2},
		"conditional_cache {\n etag auto {\n ignore csrf `a (b+)`\n ignore `\\w+` `\\d+`\n ignore `\\S`\n }\n cache_control public\n}": {7, 4, 4, 5},
		"conditional_cache {\n cache_control public\n expires modified 1h\n}":                                                          nil,
		"conditional_cache {\n cache_control public {\n  existing merge\n }\n}":                                                        nil,
		"conditional_cache {\n cache_control text/html public immutable {\n  existing merge\n }\n}":                                    {2},
	} {
		var got []int
		for _, entry := range adapterWarnings(t, caddyfile.NewTestDispenser(text)) {
			line, _ := entry.ContextMap()["line"].(int64)
			got = append(got, int(line))
			if entry.ContextMap()["file"] != "Testfile" {
				t.Errorf("file %v", entry.ContextMap()["file"])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: lines %v, want %v", text, got, want)
		}
	}
}

// adapterWarnings are those of a directive, whose name comes next.
func adapterWarnings(t *testing.T, d *caddyfile.Dispenser) []observer.LoggedEntry {
	t.Helper()
	d.Next()
	if d.NextArg() && strings.ContainsAny(d.Val()[:1], "/@*") {
		d.Delete() // the matcher, which Caddy takes off
	}
	d.Reset()
	var p parser
	if err := new(Handler).unmarshal(d, &p); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	p.warn(zap.New(core))
	return logs.All()
}

// What users copy is free of it.
func TestExamplesAreNotWarnedOf(t *testing.T) {
	files, err := filepath.Glob("examples/*/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	directives := 0
	for _, name := range append(files, "Caddyfile.example") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sites := string(text)
		if strings.Contains(sites, "\n{\n") {
			_, sites, _ = strings.Cut(sites, "\n}\n") // behind the global options
		}
		sites = strings.ReplaceAll(sites, "{header.", "{http.request.header.") // as the adapter would have
		for d := caddyfile.NewTestDispenser(sites); d.Next(); {
			if d.Val() != "conditional_cache" {
				continue
			}
			directives++
			for _, entry := range adapterWarnings(t, d.NewFromNextSegment()) {
				t.Errorf("%s: %s", name, entry.Message)
			}
		}
	}
	if directives < 10 {
		t.Errorf("only %d directives in %q", directives, files)
	}
}

// digestOf is that of a configuration with a change.
func digestOf(t *testing.T, change func(*Handler)) [32]byte {
	t.Helper()
	h := &Handler{ETag: &ETag{Secret: "one"}, Remember: &Remember{TTL: caddy.Duration(time.Minute)}, Block: "1"}
	change(h)
	return provisioned(t, h).digest
}

// secretFromFile has the secret in a file.
func secretFromFile(t *testing.T, secret string) func(*Handler) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(h *Handler) { h.ETag.Secret = "{file." + path + "}" }
}

// Nodes with one configuration share records.
func TestConfigDigestIsTheSameOnEveryNode(t *testing.T) {
	t.Setenv("CONDITIONAL_CACHE_SECRET", "one")
	want := digestOf(t, func(*Handler) {})
	if want == [32]byte{} {
		t.Error("there is no digest")
	}
	for name, change := range map[string]func(*Handler){
		"another store":        func(h *Handler) { h.Remember.StoreRaw = []byte(`{"name": "memory", "max_entries": 10}`) },
		"the secret elsewhere": func(h *Handler) { h.ETag.Secret = "{env.CONDITIONAL_CACHE_SECRET}" },
		"the secret in a file": secretFromFile(t, "one"),
		"a block above":        func(h *Handler) { h.Block = "12" },
		"in a named route":     func(h *Handler) { h.Block = "named 1" },
		"no block":             func(h *Handler) { h.Block = "" },
	} {
		if digestOf(t, change) != want {
			t.Errorf("%s: the digest is another one", name)
		}
	}
}

// What may change an answer makes the records of before worthless.
func TestConfigDigestTellsConfigurationsApart(t *testing.T) {
	matcher := func(m caddyhttp.ResponseMatcher) func(*Handler) {
		return func(h *Handler) { h.ResponseMatchers = map[string]caddyhttp.ResponseMatcher{"a": m} }
	}
	seen := map[[32]byte]string{digestOf(t, func(*Handler) {}): "no change"}
	for name, change := range map[string]func(*Handler){
		"secret":            func(h *Handler) { h.ETag.Secret = "two" },
		"no secret":         func(h *Handler) { h.ETag.Secret = "" },
		"octet FF":          secretFromFile(t, "\xff"),
		"octet FE":          secretFromFile(t, "\xfe"),
		"epoch":             func(h *Handler) { h.ETag.Epoch = "2" },
		"epoch for secret":  func(h *Handler) { h.ETag.Secret, h.ETag.Epoch = "", "one" },
		"mode":              func(h *Handler) { h.ETag.Mode = "weak" },
		"ignore":            func(h *Handler) { h.ETag.Ignore = []string{"nonce"} },
		"block":             func(h *Handler) { h.Block = "named" },
		"block with number": func(h *Handler) { h.Block = "block 2" },
		"ttl":               func(h *Handler) { h.Remember.TTL *= 2 },
		"grace":             func(h *Handler) { h.Remember.Grace = caddy.Duration(time.Minute) },
		"stale_if_error":    func(h *Handler) { h.Remember.StaleIfError = caddy.Duration(time.Minute) },
		"key":               func(h *Handler) { h.Remember.Key = "{http.request.host}" },
		"ignore_cookies":    func(h *Handler) { h.Remember.IgnoreCookies = []string{"_ga*"} },
		"ignore_set_cookie": func(h *Handler) { h.Remember.IgnoreSetCookie = []string{"_ga*"} },
		"no remember":       func(h *Handler) { h.Remember = nil },
		"row":               func(h *Handler) { h.CacheControl = []CacheControl{{Directives: []string{"max-age=1"}}} },
		"row with a path": func(h *Handler) {
			h.CacheControl = []CacheControl{{Path: OneOrMore{"/a"}, Directives: []string{"max-age=1"}}}
		},
		"not_modified keep": func(h *Handler) { h.NotModified = &NotModified{Keep: []string{"Link"}} },
		"not_modified drop": func(h *Handler) { h.NotModified = &NotModified{Drop: []string{"Link"}} },
		"first_seen":        func(h *Handler) { h.LastModified = &LastModified{From: []LastModifiedSource{{FirstSeen: true}}} },
		"response matcher":  matcher(caddyhttp.ResponseMatcher{StatusCode: []int{404}}),
		"absent field":      matcher(caddyhttp.ResponseMatcher{Headers: http.Header{"Link": nil}}),
	} {
		got := digestOf(t, change)
		if other, twice := seen[got]; twice {
			t.Errorf("%s: the digest is that of %s", name, other)
		}
		seen[got] = name
	}
}

// site is where a handler stands, or may stand: nil is no server.
type site func(*Handler) *caddyhttp.Server

// behind is a site with the handler behind a matcher.
func behind(path string) site {
	return func(h *Handler) *caddyhttp.Server {
		sets := caddyhttp.MatcherSets{{caddyhttp.MatchPath{path}}}
		return &caddyhttp.Server{Listen: []string{":80"}, Routes: caddyhttp.RouteList{{MatcherSets: sets, Handlers: []caddyhttp.MiddlewareHandler{h}}}}
	}
}

// load readies a remembering handler of a site, as each reload does, and returns what a GET comes to there.
func (s site) load(t *testing.T, block string, log *zap.Logger, upstream caddyhttp.Handler) (get func(etag string) http.Header) {
	t.Helper()
	h := provisioned(t, &Handler{Remember: &Remember{TTL: caddy.Duration(time.Hour), Key: t.Name() + "{http.request.host}"}, Block: block})
	h.logger = log
	server := s(h)
	return func(etag string) http.Header {
		answer := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		if etag != "" {
			r.Header.Set("If-None-Match", etag)
		}
		if err := h.ServeHTTP(answer, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), answer, server), upstream); err != nil {
			t.Error(err)
		}
		return answer.Header()
	}
}

// Handlers with one configuration share what they remember if they stand in one place of two configurations. Where the
// place is not known they do not, and it is said once for each.
func TestPlace(t *testing.T) {
	var hidden site = func(*Handler) *caddyhttp.Server { return new(caddyhttp.Server) }
	var nowhere site = func(*Handler) *caddyhttp.Server { return nil }
	for name, tt := range map[string]struct {
		before, after site
		block         string
		shared        bool
		reason        string // what is said; empty: nothing
	}{
		"one place":              {before: behind("/a"), after: behind("/a"), block: "1", shared: true},
		"another place":          {before: behind("/a"), after: behind("/b"), block: "1"},
		"a place behind another": {before: hidden, after: hidden, reason: "hides it"},
		"no server":              {before: nowhere, after: nowhere, reason: "no server"},
		"a name for a place":     {before: behind("/a"), after: nowhere, block: "name", shared: true},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			upstream := new(page)
			get := tt.before.load(t, tt.block, zap.New(core), upstream)
			etag := get("").Get("Etag")
			if get(etag); len(upstream.asked) != 1 {
				t.Error("not remembered before the reload")
			}
			get = tt.after.load(t, tt.block, zap.New(core), upstream)
			if get(etag); (len(upstream.asked) == 1) != tt.shared {
				t.Errorf("the upstream was asked %q; shared is to be %v", upstream.asked, tt.shared)
			}
			var said []string
			for _, entry := range logs.All() {
				said = append(said, fmt.Sprint(entry.Message, entry.ContextMap()["reason"]))
			}
			if ok := slices.EqualFunc(said, []string{tt.reason, tt.reason}, strings.Contains); ok != (tt.reason != "") || !ok && said != nil {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestStoreIsThereWhereItIsNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		h    *Handler
		want string
	}{
		"bare":       {new(Handler), ""},
		"remember":   {&Handler{Remember: new(Remember)}, "memory"},
		"first_seen": {&Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}}, "memory"},
		"its own":    {&Handler{Remember: &Remember{StoreRaw: []byte(`{"name": "memory", "max_entries": 7}`)}}, "memory"},
	} {
		h := provisioned(t, c.h)
		if (h.store != nil) != (c.want != "") || h.store != nil && h.store.Name() != c.want {
			t.Errorf("%s: store %v, want %q", name, h.store, c.want)
		}
		if h.service.Policy.Dates.From != nil {
			t.Errorf("%s: first_seen is asked for as if it were a date of the response", name)
		}
		for range 2 { // Caddy may clean up what was cleaned up
			if err := h.Cleanup(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := new(Handler).Cleanup(); err != nil {
		t.Errorf("without Provision: %v", err)
	}
}

// Over connections that a reload has not ended, requests still come to handlers of the configuration before. They answer
// nothing from memory, as they do not hear of all writes; of a write that they hear of, all stores do.
func TestWhatIsReplacedRemembersNothing(t *testing.T) {
	remembering := func(maxEntries string) *Handler {
		return provisioned(t, &Handler{Remember: &Remember{
			TTL: caddy.Duration(time.Hour), StoreRaw: []byte(`{"name": "memory", "max_entries": ` + maxEntries + `}`),
		}, Block: t.Name()})
	}
	upstream := new(page)
	revalidate := func(h *Handler) (asked bool) {
		before := len(upstream.asked)
		_, first := serve(t, h, upstream, http.MethodGet, http.Header{"If-None-Match": {`"none"`}})
		middle := len(upstream.asked)
		serve(t, h, upstream, http.MethodGet, http.Header{"If-None-Match": {first.Header().Get("Etag")}})
		if middle == before {
			t.Error("what no condition matches was not asked for")
		}
		return len(upstream.asked) > middle
	}
	old, now := remembering("71"), remembering("72")
	if revalidate(old) || revalidate(now) {
		t.Fatal("nothing is remembered")
	}
	if err := old.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if !revalidate(old) {
		t.Error("what is replaced answers from memory")
	}
	serve(t, old, upstream, http.MethodPut, http.Header{})
	before := len(upstream.asked)
	_, page := serve(t, now, upstream, http.MethodGet, http.Header{"If-None-Match": {"*"}})
	if len(upstream.asked) == before {
		t.Errorf("what was written by way of what is replaced is confirmed: %v", page)
	}
}

// TestConfigHasEveryField: what is published is what package config checks and compiles, field by field.
func TestConfigHasEveryField(t *testing.T) {
	h := new(Handler)
	setAll(reflect.ValueOf(h).Elem())
	read := reflect.ValueOf(h.config()).Elem()
	published := reflect.VisibleFields(reflect.TypeFor[Handler]())
	published = slices.DeleteFunc(published, func(field reflect.StructField) bool { return !field.IsExported() })
	if len(published) != read.NumField() {
		t.Errorf("%d fields are published, and package config has %d", len(published), read.NumField())
	}
	for i, field := range published[:min(len(published), read.NumField())] {
		if name := read.Type().Field(i).Name; name != field.Name {
			t.Errorf("field %d is %s, and in package config %s", i, field.Name, name)
		}
	}
	if !allSet(read) {
		t.Errorf("something is lost on the way to package config: %+v", read)
	}
}

// setAll gives every field a value other than its default.
func setAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setAll(v.Elem())
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				setAll(field)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setAll(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.New(v.Type().Elem()).Elem())
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.Set(reflect.ValueOf(1).Convert(v.Type()))
	}
}

// allSet reports whether setAll has been at work everywhere.
func allSet(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && allSet(v.Elem())
	case reflect.Struct:
		for _, field := range v.Fields() {
			if !allSet(field) {
				return false
			}
		}
		return true
	case reflect.Slice:
		return v.Len() > 0 && allSet(v.Index(0))
	default:
		return !v.IsZero()
	}
}
