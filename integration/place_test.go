package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// placed is a Caddy before an upstream whose page is what the route says that led there.
type placed struct {
	t        *testing.T
	upstream string
	ports    [2]int
	asked    atomic.Int64
	log      string
}

func startPlaced(t *testing.T) *placed {
	t.Helper()
	p := &placed{t: t, ports: [2]int{freePort(t), freePort(t)}, log: filepath.Join(t.TempDir(), "log")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		_, _ = io.WriteString(w, "page of "+r.Header.Get("X-Page"))
	}))
	t.Cleanup(server.Close)
	p.upstream = server.Listener.Addr().String()
	t.Cleanup(func() { _ = caddy.Stop() })
	return p
}

// pages is a directive and the proxy behind it, of a page.
func pages(name string) string {
	return "conditional_cache {\nremember 1h\nlast_modified normalize {\nfrom first_seen\n}\n}\n" + proxyTo(name)
}

func proxyTo(name string) string {
	return "reverse_proxy {upstream} {\nheader_up X-Page " + name + "\n}\n"
}

// load loads a Caddyfile, whose JSON edit may change. {port} and {other} are ports.
func (p *placed) load(sites string, edit ...string) {
	p.t.Helper()
	text := strings.NewReplacer("{upstream}", p.upstream, "{port}", fmt.Sprint(p.ports[0]), "{other}", fmt.Sprint(p.ports[1])).Replace(sites)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+globalOptions+"auto_https off\nlog {\noutput file "+p.log+"\nlevel WARN\n}\n}\n"+text), nil)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, text)
	}
	edited := strings.NewReplacer(edit...).Replace(string(config))
	if len(edit) > 0 && edited == string(config) {
		p.t.Fatalf("%q changes nothing of %s", edit, config)
	}
	if err := caddy.Load([]byte(edited), true); err != nil {
		p.t.Fatalf("%v\n%s", err, text)
	}
}

// asking is how a page is asked for: its route by a field, a path, a port or a host.
type asking struct {
	page  string // what the upstream is to say
	field string // of the request, Name: value
	path  string
	port  int // index
	host  string
}

func (p *placed) ask(a asking, etag string) answer {
	p.t.Helper()
	c := plainClient(p.t, p.ports[a.port])
	c.host = "localhost"
	if a.host != "" {
		c.host = a.host
	}
	var fields []string
	if name, value, ok := strings.Cut(a.field, ": "); ok {
		fields = append(fields, name, value)
	}
	if etag != "" {
		fields = append(fields, "If-None-Match", etag)
	}
	var got answer
	eventually(p.t, "a listener that is not being closed by a reload", func() (ok bool) {
		var err error
		got, err = c.write(p.t.Context(), http.MethodGet, "/"+a.path, "", fields...)
		return err == nil
	})
	return got
}

// get has the pages remembered.
func (p *placed) get(all ...asking) (first []answer) {
	p.t.Helper()
	for _, a := range all {
		got := p.ask(a, "")
		if got.status != http.StatusOK || got.body != "page of "+a.page {
			p.t.Fatalf("%+v: got %v", a, got)
		}
		first = append(first, got)
		p.remembers(a, got)
	}
	return first
}

// remembers wants a page that the upstream is not asked for, with the date that it had.
func (p *placed) remembers(a asking, first answer) {
	p.t.Helper()
	before := p.asked.Load()
	got := p.ask(a, first.header.Get("Etag"))
	if got.status != http.StatusNotModified || p.asked.Load() != before {
		p.t.Errorf("%+v is not remembered: %v, asked %d times", a, got, p.asked.Load()-before)
	}
	if got := p.ask(a, "").header.Get("Last-Modified"); got != first.header.Get("Last-Modified") || got == "" {
		p.t.Errorf("%+v: first seen %q, before %q", a, got, first.header.Get("Last-Modified"))
	}
}

// tellsApart wants nobody to be answered with another's record.
func (p *placed) tellsApart(all []asking, first []answer) {
	p.t.Helper()
	for i, a := range all {
		for j := range all {
			if i == j {
				continue
			}
			if got := p.ask(a, first[j].header.Get("Etag")); got.status != http.StatusOK || got.body != "page of "+a.page {
				p.t.Errorf("%+v, who has the page of %s, got %v", a, all[j].page, got)
			}
		}
	}
}

// reloads are configurations, and what they become by a reload that has nothing to do with what was there.
var reloads = map[string]struct {
	before, after string
	edit          []string // of the JSON after
	all           []asking
}{
	"two routes that a field tells apart": {
		before: "http://localhost:{port} {\n@m header X-Variant m\nhandle @m {\n" + pages("m") + "}\nhandle {\n" + pages("d") + "}\n}",
		after:  "http://localhost:{port} {\nhandle /other/* {\n" + pages("o") + "}\n@m header X-Variant m\nhandle @m {\n" + pages("m") + "}\nhandle {\n" + pages("d") + "}\n}",
		all:    []asking{{page: "m", field: "X-Variant: m"}, {page: "d"}},
	},
	"routes": {
		before: "http://localhost:{port} {\n@m header X-Variant m\nroute @m {\n" + pages("m") + "}\nroute {\n" + pages("d") + "}\n}",
		after:  "http://localhost:{port} {\nroute /other/* {\n" + pages("o") + "}\n@m header X-Variant m\nroute @m {\n" + pages("m") + "}\nroute {\n" + pages("d") + "}\n}",
		all:    []asking{{page: "m", field: "X-Variant: m"}, {page: "d"}},
	},
	"not": {
		before: "http://localhost:{port} {\n@a not header X-Variant a\n@b not header X-Variant b\nroute {\nroute @a {\n" + pages("a") + "}\nroute @b {\n" + pages("b") + "}\n}\n}",
		after:  "http://localhost:{port} {\nroute /x {\n" + pages("x") + "}\n@a not header X-Variant a\n@b not header X-Variant b\nroute {\nroute @a {\n" + pages("a") + "}\nroute @b {\n" + pages("b") + "}\n}\n}",
		all:    []asking{{page: "a", field: "X-Variant: b"}, {page: "b", field: "X-Variant: a"}},
	},
	"expressions": {
		before: "http://localhost:{port} {\n@a `{header.X-Variant} == 'a'`\n@b `{header.X-Variant} == 'b'`\nhandle @a {\n" + pages("a") + "}\nhandle @b {\n" + pages("b") + "}\n}",
		after:  "http://localhost:{port} {\n@z `{header.X-Variant} == 'z'`\nhandle @z {\n" + pages("z") + "}\n@a `{header.X-Variant} == 'a'`\n@b `{header.X-Variant} == 'b'`\nhandle @a {\n" + pages("a") + "}\nhandle @b {\n" + pages("b") + "}\n}",
		all:    []asking{{page: "a", field: "X-Variant: a"}, {page: "b", field: "X-Variant: b"}},
	},
	"nested": {
		before: "http://localhost:{port} {\n@m header X-Variant m\nhandle_path /app/* {\nhandle @m {\nroute {\n" + pages("m") + "}\n}\nhandle {\n" + pages("d") + "}\n}\nhandle_errors {\n" + pages("e") + "}\n}",
		after: "http://localhost:{port} {\n@m header X-Variant m\nhandle_path /new/* {\nhandle @m {\n" + pages("o") + "}\n}\n" +
			"handle_path /app/* {\nhandle /x {\n" + pages("x") + "}\nhandle @m {\nroute {\n" + pages("m") + "}\n}\nhandle {\n" + pages("d") + "}\n}\nhandle_errors {\n" + pages("e") + "}\n}",
		all: []asking{{page: "m", path: "app/x/y", field: "X-Variant: m"}, {page: "d", path: "app/x/y"}},
	},
	"named routes": {
		before: "&(m) {\nroute {\n" + pages("m") + "}\n}\n&(d) {\nroute {\n" + pages("d") + "}\n}\nhttp://localhost:{port} {\n@m header X-Variant m\nhandle @m {\ninvoke m\n}\nhandle {\ninvoke d\n}\n}",
		after: "&(a) {\nroute {\n" + pages("a") + "}\n}\n&(m) {\nroute {\n" + pages("m") + "}\n}\n&(d) {\nroute {\n" + pages("d") + "}\n}\nhttp://localhost:{port} {\n@m header X-Variant m\nhandle /a {\ninvoke a\n}\n" +
			"handle @m {\ninvoke m\n}\nhandle {\ninvoke d\n}\n}",
		all: []asking{{page: "m", field: "X-Variant: m"}, {page: "d"}},
	},
	"a snippet imported twice": {
		before: "(s) {\n" + pages("{args[0]}") + "}\nhttp://localhost:{port} {\n@m header X-Variant m\nhandle @m {\nimport s m\n}\nhandle {\nimport s d\n}\n}",
		after:  "(s) {\n" + pages("{args[0]}") + "}\nhttp://localhost:{port} {\n@m header X-Variant m\nhandle /a {\nimport s a\n}\nhandle @m {\nimport s m\n}\nhandle {\nimport s d\n}\n}",
		all:    []asking{{page: "m", field: "X-Variant: m"}, {page: "d"}},
	},
	"two sites on one listener": {
		before: "http://a.example:{port} {\n" + pages("a") + "}\nhttp://b.example:{port} {\n" + pages("b") + "}",
		after:  "http://0.example:{port} {\n" + pages("0") + "}\nhttp://b.example:{port} {\n" + pages("b") + "}\nhttp://a.example:{port} {\n" + pages("a") + "}",
		all:    []asking{{page: "a", host: "a.example"}, {page: "b", host: "b.example"}},
	},
	"one host on two ports": {
		before: "http://:{port} {\n" + pages("a") + "}",
		after:  "http://:{other} {\n" + pages("b") + "}\nhttp://:{port} {\n" + pages("a") + "}",
		all:    []asking{{page: "a"}},
	},
	"a server by another name": {
		before: "http://:{port} {\n" + pages("a") + "}\nhttp://:{other} {\n" + pages("b") + "}",
		after:  "http://:{port} {\n" + pages("a") + "}\nhttp://:{other} {\n" + pages("b") + "}",
		edit:   []string{`"srv0"`, `"srv1"`, `"srv1"`, `"srv0"`},
		all:    []asking{{page: "a"}, {page: "b", port: 1}},
	},
}

// TestPlaces: a reload that adds a block above, equal to those below, moves no record and no date to another handler, and
// loses none.
func TestPlaces(t *testing.T) {
	for name, r := range reloads {
		t.Run(name, func(t *testing.T) {
			p := startPlaced(t)
			p.load(r.before)
			first := p.get(r.all...)
			p.load(r.after, r.edit...)
			p.tellsApart(r.all, first)

			p.load(strings.ReplaceAll(r.before, "1h", "2h")) // remembers nothing of that
			first = p.get(r.all...)
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // another date, were it lost
			p.load(strings.ReplaceAll(r.after, "1h", "2h"), r.edit...)
			for i, a := range r.all {
				p.remembers(a, first[i])
			}
		})
	}
}

// TestTies: what nothing tells apart shares nothing with what was before, the log says so once for each, and a name in
// `block` is the cure.
func TestTies(t *testing.T) {
	const tie = "http://localhost:{port} {\nroute {\nroute /x {\nconditional_cache {\nremember 1h\n}\nheader A b\n}\nroute /x {\nconditional_cache {\nremember 1h\n}\nheader A b\n}\n}\n" +
		"reverse_proxy {upstream}\n}"
	p := startPlaced(t)
	a := asking{path: "x"}
	remembered := func(etag string) bool {
		t.Helper()
		before := p.asked.Load()
		if got := p.ask(a, etag); got.status != http.StatusNotModified {
			t.Errorf("got %v", got)
		}
		return p.asked.Load() == before
	}
	p.load(tie)
	etag := p.ask(a, "").header.Get("Etag")
	if !remembered(etag) {
		t.Error("not remembered until the reload")
	}
	p.load(tie)
	if remembered(etag) {
		t.Error("remembered beyond the reload")
	}
	p.load(tie, `"block":"2"`, `"block":"outer"`, `"block":"3"`, `"block":"inner"`)
	etag = p.ask(a, "").header.Get("Etag")
	p.load("http://localhost:1 {\nrespond x\n}\n"+tie, `"block":"2"`, `"block":"outer"`, `"block":"3"`, `"block":"inner"`)
	if !remembered(etag) {
		t.Error("with names of their own, not remembered beyond the reload")
	}
	log, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(log), "in the JSON field `block`"); lines != 4 {
		t.Errorf("%d lines, want one for each of two handlers and two loads:\n%s", lines, log)
	}
}

// TestPlacesOfNodes: two processes that have loaded one file share what they remember, route by route, also after one of
// them has a block more.
func TestPlacesOfNodes(t *testing.T) {
	redis := startRedis(t)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "page of "+r.Header.Get("X-Page"))
	}))
	t.Cleanup(server.Close)
	// A set of several matchers is loaded in another order by each process.
	sites := strings.ReplaceAll("http:// {\nbind fd/3\n@m {\nheader X-Variant m\nmethod GET\nprotocol http\nnot {\npath /x*\nmethod PUT\n}\n}\n"+
		"handle @m {\n"+pages("m")+"}\nhandle {\n"+pages("d")+"}\n}", "{upstream}", server.Listener.Addr().String())
	a, b := startNodeWith(t, redis.addr, sites), startNodeWith(t, redis.addr, sites)
	remembered := func(n *redisNode, etag string, fields ...string) bool {
		before := asked.Load()
		got, err := n.write(t.Context(), http.MethodGet, "/", "", append(fields, "If-None-Match", etag)...)
		return err == nil && got.status == http.StatusNotModified && asked.Load() == before
	}
	etags := make(map[string]string)
	for _, variant := range []string{"m", "d"} {
		eventually(t, "a record that both have", func() bool {
			etags[variant] = a.must(t, http.StatusOK, http.MethodGet, "/", "", "X-Variant", variant).header.Get("Etag")
			return remembered(a, etags[variant], "X-Variant", variant) && remembered(b, etags[variant], "X-Variant", variant)
		})
	}
	more := strings.Replace(sites, "@m {", "handle /x {\n"+pages("x")+"}\n@m {", 1)
	b.load(t, redis.addr, strings.ReplaceAll(more, "{upstream}", server.Listener.Addr().String()))
	for _, c := range []struct {
		variant, has string
		want         bool
	}{{"m", "m", true}, {"d", "d", true}, {"m", "d", false}, {"d", "m", false}} {
		if got := remembered(b, etags[c.has], "X-Variant", c.variant); got != c.want {
			t.Errorf("page %s for who asks for %s: remembered %v, want %v", c.has, c.variant, got, c.want)
		}
	}
}
