package place_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/conditionalcache/caddy-conditional-cache/internal/place"
)

func kind(h caddyhttp.MiddlewareHandler) (settings place.Digest, ok bool) {
	m, ok := h.(*mark)
	if ok {
		copy(settings[:], m.Settings)
	}
	return settings, ok
}

// adapted is the JSON of a Caddyfile.
func adapted(t *testing.T, caddyfile string) []byte {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nauto_https off\n}\n"+caddyfile), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, caddyfile)
	}
	return config
}

// placesIn are those of the marks of a configuration, by their names.
func placesIn(t *testing.T, config []byte) map[string]place.Found {
	t.Helper()
	found := make(map[string]place.Found)
	for _, server := range serversOf(t, config) {
		all, err := place.All(server, kind)
		if err != nil {
			t.Fatal(err)
		}
		for h, f := range all {
			found[h.(*mark).Name] = f
		}
	}
	return found
}

func serversOf(t *testing.T, config []byte) map[string]*caddyhttp.Server {
	t.Helper()
	var c caddy.Config
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	// No log, and no admin endpoint that the next test would find in use.
	c.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}}
	c.Admin = &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: new(bool)}}
	ctx, err := caddy.ProvisionContext(&c)
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*caddyhttp.App).Servers
}

// wantPlaces are the names of marks, which are to have places, each another one.
func wantPlaces(t *testing.T, found map[string]place.Found, names ...string) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		t.Fatalf("found %q, want %q", got, names)
	}
	owners := make(map[place.Digest]string)
	for name, f := range found {
		if other, twice := owners[f.Place]; twice || f.Err != nil {
			t.Errorf("%s has the place of %q, error %v", name, other, f.Err)
		}
		owners[f.Place] = name
	}
}

// wantSame are names that have the same place in both.
func wantSame(t *testing.T, before, after map[string]place.Found, names ...string) {
	t.Helper()
	for _, name := range names {
		if b, a := before[name], after[name]; b != a || a.Err != nil || a == (place.Found{}) {
			t.Errorf("%s: place %.4x (%v) has become %.4x (%v)", name, b.Place, b.Err, a.Place, a.Err)
		}
	}
}

// matchers are ways to tell requests apart, of one form with different values.
var matchers = []string{
	"path /a*", "path /b*", "path /a* /b*", "path_regexp ^/a", "path_regexp n ^/b", "method GET", "method GET HEAD",
	"header X-A 1", "header X-A 2", "header X-B 1", "header X-A 1\nheader X-B 1", "header !X-A", "header_regexp X-A ^a", "header_regexp X-A ^b",
	"query a=1", "query a=2", "protocol https", "protocol http", "remote_ip 127.0.0.1", "remote_ip 10.0.0.0/8", "client_ip 10.0.0.0/8",
	"not path /a*", "not path /b*", "not {\nheader X-A 1\n}", "not {\nheader X-A 2\n}", "not header X-A 1\nnot header X-A 2",
	"not {\nnot path /a*\n}", "not {\nnot path /b*\n}", "not {\npath /a*\nheader X-A 1\n}",
	"expression path('/a*')", "expression path('/b*')", "expression {method} == 'GET'", "vars {http.request.host} a", "vars {http.request.host} b",
	"vars_regexp {http.request.host} ^a", "file /a", "file {\nroot /srv\ntry_files {path} /b\n}", "host a.example", "host b.example a.example",
	"path /a*\nheader X-A 1\nmethod GET\nquery a=1\nprotocol http", "not {\npath /a*\nheader X-A 1\nmethod GET\nquery a=1\nprotocol http\n}",
}

// sites are one site with a mark behind each matcher, in the order of a list.
func sites(order []int) string {
	var b strings.Builder
	for _, i := range order {
		fmt.Fprintf(&b, "@%d {\n%s\n}\nroute @%d {\nmark %d\nrespond ok\n}\n", i, matchers[i], i, i)
	}
	return ":8080 {\nroute {\n" + b.String() + "}\n}\n"
}

// TestMatchers: each way to tell requests apart is another place, wherever it stands, and in every process: maps are
// loaded in another order each time.
func TestMatchers(t *testing.T) {
	order := make([]int, len(matchers))
	names := make([]string, len(matchers))
	for i := range matchers {
		order[i], names[i] = i, fmt.Sprint(i)
	}
	before := placesIn(t, adapted(t, strings.ReplaceAll(sites(order), "path_regexp ^", "path_regexp x ^")))
	wantPlaces(t, before, names...)
	slices.Reverse(order)
	for range 5 {
		after := placesIn(t, adapted(t, strings.ReplaceAll(sites(order), "path_regexp ^", "path_regexp x ^")))
		wantSame(t, before, after, names...)
	}
}

// TestPlacesStay: what else is in a configuration changes no place.
func TestPlacesStay(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"a block above": {
			":8080 {\nroute /a* {\nmark a\n}\n}", ":8080 {\nroute /b* {\nmark b\n}\nroute /a* {\nmark a\n}\n}",
		},
		"blocks in another order": {
			":8080 {\nhandle /a* {\nmark a\n}\nhandle /b* {\nmark b\n}\n}", ":8080 {\nhandle /b* {\nmark b\n}\nhandle /a* {\nmark a\n}\n}",
		},
		"a site above, on another port": {
			":8080 {\nmark a\n}", ":8070 {\nmark b\n}\n:8080 {\nmark a\n}",
		},
		"a site above, on this one": {
			"http://a.example:8080 {\nmark a\n}", "http://b.example:8080 {\nmark b\n}\nhttp://a.example:8080 {\nmark a\n}",
		},
		"what stands before and behind": {
			":8080 {\nmark a\nrespond 1\n}", ":8080 {\nheader X 1\nmark a\nrespond 2\n}",
		},
		"a route around it, without a matcher": {
			":8080 {\nroute /a* {\nmark a\n}\n}", ":8080 {\nroute {\nroute /a* {\nroute {\nmark a\n}\n}\n}\n}",
		},
		"another one with other settings": {
			":8080 {\nroute {\nmark a\n}\n}", ":8080 {\nroute {\nmark b other\n}\nroute {\nmark a\n}\n}",
		},
		"another one among the error routes": {
			":8080 {\nmark a\n}", ":8080 {\nmark a\nhandle_errors {\nmark b\n}\n}",
		},
		"another named route": {
			"&(x) {\nmark a\n}\n:8080 {\ninvoke x\n}", "&(y) {\nmark b\n}\n&(x) {\nmark a\n}\n:8080 {\ninvoke /y* y\nroute /x* {\ninvoke x\n}\n}",
		},
		"one of a file that is imported": {
			"(s) {\nmark {args[0]}\n}\n:8080 {\nhandle /a* {\nimport s a\n}\n}",
			"(s) {\nmark {args[0]}\n}\n:8080 {\nhandle /b* {\nimport s b\n}\nhandle /a* {\nimport s a\n}\n}",
		},
		"what answers with an error": {
			":8080 {\nhandle_path /a* {\nmark a\n}\n}", ":8080 {\nhandle_path /b* {\nmark b\nerror 404\n}\nhandle_path /a* {\nmark a\n}\n}",
		},
		"what a proxy asks": {
			":8080 {\nreverse_proxy a:1 {\n@x status 404\nhandle_response @x {\nmark a\n}\n}\n}",
			":8080 {\nreverse_proxy a:1 {\n@y status 500\n@x status 404\nhandle_response @y {\nmark b\n}\nhandle_response @x {\nmark a\n}\n}\n}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantSame(t, placesIn(t, adapted(t, c.before)), placesIn(t, adapted(t, c.after)), "a")
		})
	}
}

// TestPlacesDiffer: handlers of one configuration.
func TestPlacesDiffer(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		names []string
	}{
		"ports":                    {":8080 {\nmark a\n}\n:8081 {\nmark b\n}", []string{"a", "b"}},
		"hosts":                    {"http://a.example {\nmark a\n}\nhttp://b.example {\nmark b\n}", []string{"a", "b"}},
		"addresses":                {":8080 {\nbind 127.0.0.1\nmark a\n}\nhttp://x.example:8080 {\nbind 127.0.0.2\nmark b\n}", []string{"a", "b"}},
		"a matcher further up":     {":8080 {\nhandle /a* {\nhandle /x* {\nmark a\n}\n}\nhandle {\nhandle /x* {\nmark b\n}\n}\n}", []string{"a", "b"}},
		"one further in":           {":8080 {\nmark a\nhandle /x* {\nmark b\n}\nhandle {\nmark c\n}\n}", []string{"a", "b", "c"}},
		"siblings":                 {":8080 {\nmark /a* a\nmark b\n}", []string{"a", "b"}},
		"siblings without":         {":8080 {\nroute {\nmark a\nmark b\nrespond ok\n}\n}", []string{"a", "b"}},
		"nested without a matcher": {":8080 {\nmark a\nroute {\nmark b\nrespond ok\n}\n}", []string{"a", "b"}},
		"error routes":             {":8080 {\nmark a\nhandle_errors {\nmark b\n}\nhandle_errors 404 {\nmark c\n}\n}", []string{"a", "b", "c"}},
		"named routes":             {"&(x) {\nmark a\n}\n&(y) {\nmark b\n}\n:8080 {\nhandle /x* {\ninvoke x\n}\nhandle {\ninvoke y\n}\nmark c\n}", []string{"a", "b", "c"}},
		"answers of a proxy": {
			":8080 {\nreverse_proxy a:1 {\n@x status 404\n@y header A b\nhandle_response @x {\nmark a\n}\nhandle_response @y {\nmark b\n}\nhandle_response {\nmark c\n}\n}\n}",
			[]string{"a", "b", "c"},
		},
		"what a proxy asks": {
			":8080 {\nroute {\nreverse_proxy a:1 {\nhandle_response {\nmark a\n}\n}\nreverse_proxy b:1 {\nhandle_response {\nmark b\n}\n}\n}\n}",
			[]string{"a", "b"},
		},
		"intercepted": {
			":8080 {\nintercept {\n@x status 404\nhandle_response @x {\nmark a\n}\nhandle_response {\nmark b\n}\n}\nmark c\n}", []string{"a", "b", "c"},
		},
		"forward_auth": {":8080 {\nforward_auth a:1 {\nuri /a\n}\nmark a\nphp_fastcgi b:1\n}", []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := adapted(t, c.text)
			found := placesIn(t, config)
			wantPlaces(t, found, c.names...)
			wantSame(t, found, placesIn(t, config), c.names...)
		})
	}
}

// TestServerNamesDoNotCount: the adapter numbers servers, too.
func TestServerNamesDoNotCount(t *testing.T) {
	config := string(adapted(t, ":8080 {\nmark a\n}"))
	renamed := strings.Replace(config, `"srv0"`, `"web"`, 1)
	if renamed == config {
		t.Fatal("nothing was renamed")
	}
	wantSame(t, placesIn(t, []byte(config)), placesIn(t, []byte(renamed)), "a")
	listening := func(list string) map[string]place.Found {
		return placesIn(t, []byte(strings.Replace(config, `":8080"`, list, 1)))
	}
	wantSame(t, listening(`":8080",":8081"`), listening(`":8081",":8080"`), "a")
	if listening(`":8080",":8081"`)["a"] == listening(`":8080"`)["a"] {
		t.Error("the addresses do not count")
	}
}

// TestTies: what has the same matchers is told apart by what stands behind it, or not at all; never by which comes first.
func TestTies(t *testing.T) {
	site := func(routes ...string) string {
		return ":8080 {\nroute {\nroute {\n" + strings.Join(routes, "\n}\nroute {\n") + "\n}\n}\n}"
	}
	const a, b = "mark a\nreverse_proxy a:1", "mark b\nreverse_proxy b:1"
	for name, c := range map[string]struct{ before, after string }{
		"a block above them": {site(a, b), site("respond /x* x", a, b)},
		"sites that are terminal": {
			"http://a.example:8080 {\nroute {\nroute {\n" + a + "\n}\nroute {\n" + b + "\n}\n}\n}",
			"http://a.example:8080 {\nroute {\nroute {\n" + a + "\n}\nroute {\n" + b + "\n}\n}\n}\nhttp://b.example:8080 {\nrespond b\n}",
		},
	} {
		before, after := placesIn(t, adapted(t, c.before)), placesIn(t, adapted(t, c.after))
		wantPlaces(t, before, "a", "b")
		t.Run(name, func(t *testing.T) { wantSame(t, before, after, "a", "b") })
	}
	for name, text := range map[string]string{
		"nothing behind":        ":8080 {\n@x header X 1\n@y header X 1\nhandle @x {\nmark a\n}\nhandle @y {\nmark b\n}\n}",
		"the same behind":       ":8080 {\n@x header X 1\n@y header X 1\nhandle @x {\nmark a\nreverse_proxy u:1\n}\nhandle @y {\nmark b\nreverse_proxy u:1\n}\n}",
		"something behind both": ":8080 {\nroute {\nroute {\nmark a\nheader A b\n}\nroute {\nmark b\nheader A b\n}\nrespond ok\n}\n}",
		"what is not visible":   ":8080 {\n@x header X 1\n@y header X 1\nhandle @x {\nmark a\nencode gzip\n}\nhandle @y {\nmark b\nencode zstd\n}\n}",
	} {
		found := placesIn(t, adapted(t, text))
		if len(found) != 2 || !errors.Is(found["a"].Err, place.ErrTied) || !errors.Is(found["b"].Err, place.ErrTied) {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestGroups: of a group the first route that matches is all that a request meets, and its name is a number that shifts.
func TestGroups(t *testing.T) {
	route := func(group, name string) string {
		return fmt.Sprintf(`{"group": "%s", "handle": [{"handler": "mark", "name": "%s"}, {"handler": "static_response", "body": "%s"}]}`, group, name, name)
	}
	routes := func(list ...string) map[string]place.Found { return placesIn(t, inServer(strings.Join(list, ", "))) }
	before := routes(route("g1", "a"), route("g1", "b"))
	wantPlaces(t, before, "a", "b")
	wantSame(t, before, routes(route("g2", "b"), route("g2", "a")), "a", "b")
	more := func(group string) string {
		return fmt.Sprintf(`{"group": "%s", "handle": [{"handler": "static_response"}]}`, group)
	}
	wantSame(t, before, routes(route("g1", "a"), route("g1", "b"), more("g1")), "a", "b")
	after := routes(route("g1", "a"), route("g1", "b"), more("g2"))
	if wantPlaces(t, after, "a", "b"); after["b"] == before["b"] {
		t.Error("what a request comes to next does not count")
	}
	inside := func(name, group string) string {
		sub := fmt.Sprintf(`{"handler": "subroute", "routes": [%s]}, {"handler": "static_response"`, more(group))
		return strings.Replace(route("", name), `{"handler": "static_response"`, sub, 1)
	}
	wantSame(t, routes(inside("a", "g1"), inside("b", "")), routes(inside("a", "g2"), inside("b", "")), "a", "b")
}

// TestBehind: what tells ties apart is seen through modules that handlers have loaded, and through maps.
func TestBehind(t *testing.T) {
	for _, c := range [][2]string{
		{"reverse_proxy a:1", "reverse_proxy b:1"},
		{"php_fastcgi a:1 {\nroot /a\n}", "php_fastcgi a:1 {\nroot /b\n}"},
		{"reverse_proxy a:1 {\ntransport http {\nread_buffer 1\n}\n}", "reverse_proxy a:1 {\ntransport http {\nread_buffer 2\n}\n}"},
		{"reverse_proxy {\ndynamic a a.example 1\n}", "reverse_proxy {\ndynamic a b.example 1\n}"},
		{"header A a\nrespond x", "header A b\nrespond x"},
		{"route /a* {\nrespond a\n}", "route /b* {\nrespond a\n}"},
		{"route {\nmark x 1\nrespond a\n}", "route {\nmark y 2\nrespond a\n}"},
		{"file_server {\nroot /a\n}", "file_server {\nroot /b\n}"},
	} {
		found := placesIn(t, adapted(t, ":8080 {\nroute {\nroute {\nroute {\nmark a\n"+c[0]+"\n}\nroute {\nmark b\n"+c[1]+"\n}\n}\n}\n}"))
		delete(found, "x")
		delete(found, "y")
		wantPlaces(t, found, "a", "b")
	}
}

// inServer is a server with routes in JSON.
func inServer(routes string) []byte {
	return fmt.Appendf(nil, `{"apps": {"http": {"servers": {"s": {"listen": [":8080"], "automatic_https": {"disable": true}, "routes": [%s]}}}}}`, routes)
}

// TestOthersHandlers: what has handlers in its exported fields is gone into, whoever made it, and once only.
func TestOthersHandlers(t *testing.T) {
	const mark = `{"handler": "mark", "name": "%s"}`
	routes := func(name string) string { return fmt.Sprintf(`[{"handle": [`+mark+`]}]`, name) }
	wrapped := fmt.Sprintf(`{"handler": "wrapper", "routes": %s, "cases": {"x": {"handle": [`+mark+`]}, "y": {"handle": [`+mark+`]}},
		"sub": {"routes": %s, "errors": {"routes": %s}}, "one": `+mark+`, "secret": %s, "own": {"name": "own"}}`,
		routes("routes"), "x", "y", routes("sub"), routes("error"), "one", routes("secret"))
	before := placesIn(t, inServer(`{"handle": [`+wrapped+`]}`))
	wantPlaces(t, before, "routes", "x", "y", "sub", "error", "one", "own")
	after := placesIn(t, inServer(`{"handle": [{"handler": "headers"}]}, {"handle": [`+wrapped+`]}`))
	wantSame(t, before, after, "routes", "x", "y", "sub", "error", "one", "own")
	limited := placesIn(t, inServer(`{"handle": [`+strings.Replace(wrapped, `"routes"`, `"limit": 1, "routes"`, 1)+`]}`))
	if limited["x"] == before["x"] {
		t.Error("the settings of a handler around it do not count")
	}
}

// TestOthersMatchers: of what they match, something has to be seen.
func TestOthersMatchers(t *testing.T) {
	route := func(name, match string) string {
		return fmt.Sprintf(`{"match": [%s], "handle": [{"handler": "mark", "name": "%s"}]}`, match, name)
	}
	of := func(routes ...string) map[string]place.Found {
		return placesIn(t, inServer(strings.Join(routes, ", ")))
	}
	const ranges = `"from": [{"source": "static", "ranges": ["10.0.0.%d"]}]`
	wantPlaces(t, of(
		route("a", `{"said": "a"}`), route("b", `{"said": "b"}`),
		route("c", fmt.Sprintf(`{"shown": {`+ranges+`}}`, 1)), route("d", fmt.Sprintf(`{"shown": {`+ranges+`}}`, 2)),
		route("e", `{"not": [{"said": "a"}]}`), route("f", `{"tls": {}}`), route("g", `{"tls": {"handshake_complete": true}}`), route("h", `{}`),
		route("i", `{"tls": {}}, {"said": "a"}`), route("j", `{"tls": {}, "said": "a"}`),
	), "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
	for _, opaque := range []string{
		`{"closed": "a"}`, `{"not": [{"closed": "a"}]}`, `{"path": ["/a"], "closed": "a"}`, `{"sources": {"from": {"source": "static", "ranges": ["10.0.0.1"]}}}`,
	} {
		if found := of(route("a", opaque)); !errors.Is(found["a"].Err, place.ErrOpaque) {
			t.Errorf("%s: %v", opaque, found)
		}
	}
	sets := of(route("a", `{"tls": {}}, {"said": "a"}`))
	wantSame(t, sets, of(route("a", `{"said": "a"}, {"tls": {}}`)), "a")
}

// TestPanic: a module that cannot be asked makes an error.
func TestPanic(t *testing.T) {
	for _, server := range serversOf(t, inServer(`{"match": [{"failing": "a"}], "handle": [{"handler": "mark", "name": "a"}]}`)) {
		all, err := place.All(server, kind)
		if all != nil || err == nil || !strings.Contains(err.Error(), "failing") {
			t.Errorf("%v, %v", all, err)
		}
	}
}
