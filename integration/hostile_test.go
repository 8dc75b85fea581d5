package integration

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Clients, upstreams and stores that mean harm. docs/security.md says which threat each of these tests is about.

// bombs are requests that are as large as a server takes them, each in one of the fields that are read here.
func bombs() map[string]http.Header {
	const size = 600 << 10
	fill := func(piece string) string { return strings.Repeat(piece, size/len(piece)) }
	var cookies strings.Builder
	for i := range size / 16 {
		fmt.Fprintf(&cookies, "c%d=%d; ", i*7919%(size/16), i)
	}
	all := map[string]http.Header{
		"cookies":               {"Cookie": {cookies.String()}},
		"one cookie":            {"Cookie": {"a=" + fill("x")}},
		"separators of cookies": {"Cookie": {fill("; =")}},
		"ranges":                {"Range": {"bytes=" + fill("0-0,")}},
		"ranges within bounds":  {"Range": {"bytes=" + strings.Repeat("0-,", 20_000)}},
		"digits":                {"Range": {"bytes=0-" + fill("9")}},
		"dates":                 {"If-Modified-Since": {fill("Sun, 06 Nov 1994 08:49:37 GMT ")}},
		"credentials":           {"Authorization": {"Bearer " + fill("x")}},
	}
	for _, field := range []string{"If-None-Match", "If-Match", "If-Range", "Accept-Encoding", "Cache-Control", "Accept-Language"} {
		all["commas in "+field] = http.Header{field: {fill(", ")}}
		all["quotes in "+field] = http.Header{field: {fill(`"`)}}
		all["members in "+field] = http.Header{field: {fill(`W/"x", `)}}
		all["lines of "+field] = http.Header{field: slices.Repeat([]string{`"x"`}, 10_000)}
	}
	return all
}

// TestBombsInRequests: no field makes a request, or a guarded write, cost much more than it costs a Caddy without this module.
func TestBombsInRequests(t *testing.T) {
	bare, site := freePort(t), freePort(t)
	runCaddy(t, fmt.Sprintf(`http://localhost:%d {
		respond page
	}
	http://localhost:%d {
		conditional_cache {
			last_modified normalize {
				lenient
			}
			guard_writes
			etag strong
			remember 1h {
				ignore_cookies c1* c29
			}
		}
		header Vary "Accept-Language, Cookie"
		header Cache-Control "public, max-age=60"
		header Last-Modified "Tue, 14 Nov 2023 22:13:20 GMT"
		respond page
	}`, bare, site))
	without, with := plainClient(t, bare), plainClient(t, site)
	for name, fields := range bombs() {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPut} {
				status := 0
				ask := func(c *client) func() {
					return func() {
						got := c.send(t.Context(), method, "/", fields)
						if got.err != nil {
							t.Fatalf("%s: %v", method, got)
						}
						status = max(status, got.status)
					}
				}
				least := cheapest(t, 3, ask(without))
				took := cheapest(t, 3, ask(with))
				if status >= 500 || took > 4*least+2*time.Second {
					t.Errorf("%s: status %d, %s; bare Caddy takes %s", method, status, took, least)
				}
			}
		})
	}
}

// TestVaryBomb: visitors with ever other values of a field that Vary names make 64 records, and an upstream that names a
// thousand fields none.
func TestVaryBomb(t *testing.T) {
	vary := "Accept-Language"
	for i := range 1000 {
		vary += ", X-Field-" + strconv.Itoa(i)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Vary", "Accept-Language")
		if r.URL.Path == "/many" {
			w.Header().Set("Vary", vary)
		}
		_, _ = io.WriteString(w, "page")
	}))
	t.Cleanup(upstream.Close)
	a := runAdmin(t, "", "http://localhost:%d {\nconditional_cache {\nremember 1h\n}\nreverse_proxy "+upstream.Listener.Addr().String()+"\n}")
	c := plainClient(t, a.port)
	for path, most := range map[string]int{"/one": 65, "/many": 0} { // of one there is the record that says by what they are selected
		a.purge(`{"all": true}`, `{"purged":["memory"]}`)
		before := a.entries()
		for i := range 300 {
			c.must(t, http.StatusOK, "GET", path, "", "Accept-Language", fmt.Sprintf("x-%d", i))
		}
		if made := a.entries() - before; made > most {
			t.Errorf("%s: %d records, want %d at most", path, made, most)
		}
	}
}

// entries is how many records there are.
func (a *admin) entries() int {
	a.t.Helper()
	_, said, _ := a.ask(http.MethodGet, "/conditional_cache/", "")
	var status struct{ Stores []struct{ Entries int } }
	if err := json.Unmarshal([]byte(said), &status); err != nil || len(status.Stores) != 1 {
		a.t.Fatalf("%v: %s", err, said)
	}
	return status.Stores[0].Entries
}

// spellings are requests that a careless key would take for one another. Of each pair, one must not be answered by what is
// remembered of the other, unless the upstream cannot tell them apart.
var spellings = []string{
	"GET / HTTP/1.1\r\nHost: localhost", "GET /? HTTP/1.1\r\nHost: localhost", "GET // HTTP/1.1\r\nHost: localhost", "GET /. HTTP/1.1\r\nHost: localhost",
	"GET /%2e HTTP/1.1\r\nHost: localhost", "GET /a HTTP/1.1\r\nHost: localhost", "GET /A HTTP/1.1\r\nHost: localhost", "GET /a/ HTTP/1.1\r\nHost: localhost",
	"GET /a%2Fb HTTP/1.1\r\nHost: localhost", "GET /a/b HTTP/1.1\r\nHost: localhost", "GET /a;b HTTP/1.1\r\nHost: localhost", "GET /a%3Bb HTTP/1.1\r\nHost: localhost",
	"GET /a?b HTTP/1.1\r\nHost: localhost", "GET /a%3Fb HTTP/1.1\r\nHost: localhost", "GET /a?b=1&c=2 HTTP/1.1\r\nHost: localhost", "GET /a?c=2&b=1 HTTP/1.1\r\nHost: localhost",
	"GET /a?b=%31&c=2 HTTP/1.1\r\nHost: localhost", "GET /a?b=1;c=2 HTTP/1.1\r\nHost: localhost", "GET /a?b+c HTTP/1.1\r\nHost: localhost", "GET /a?b%20c HTTP/1.1\r\nHost: localhost",
	"GET /a HTTP/1.1\r\nHost: other.example", "GET /a HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example", "GET /a HTTP/1.1\r\nHost: localhost\r\nOrigin: null",
	"GET http://other.example/a HTTP/1.1\r\nHost: localhost", "GET http://localhost/a HTTP/1.1\r\nHost: other.example", "GET http:a HTTP/1.1\r\nHost: localhost",
	"GET x:a HTTP/1.1\r\nHost: localhost", "GET x:b HTTP/1.1\r\nHost: localhost", "GET /a HTTP/1.1\r\nHost: localhost:80", "GET /a HTTP/1.1\r\nHost: localhost.",
	"GET /a%00 HTTP/1.1\r\nHost: localhost", "GET /%61 HTTP/1.1\r\nHost: localhost", "GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: localhost", "GET /a# HTTP/1.1\r\nHost: localhost",
	"GET /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", "GET /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\ny",
}

// TestKeyConfusion: what is remembered of one spelling of a request answers another only if the upstream gets the same.
func TestKeyConfusion(t *testing.T) {
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		content, _ := io.ReadAll(r.Body)
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = fmt.Fprintf(w, "%s %s %s %q %s", r.Method, r.RequestURI, r.Host, r.Header["Origin"], content)
	}))
	t.Cleanup(upstream.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(":%d {\nbind 127.0.0.1\nconditional_cache {\nremember 1h\n}\nreverse_proxy %s\n}", port, upstream.Listener.Addr()))
	raw := func(spelling, etag string) (status int, tag string) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		line, rest, _ := strings.Cut(spelling, "\r\n")
		fields, content, _ := strings.Cut(rest, "\r\n\r\n")
		if etag != "" {
			fields += "\r\nIf-None-Match: " + etag
		}
		_, _ = io.WriteString(conn, line+"\r\n"+fields+"\r\nConnection: close\r\n\r\n"+content)
		got, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, ""
		}
		defer got.Body.Close()
		return got.StatusCode, got.Header.Get("Etag")
	}
	tags, served := make(map[string]string), 0
	for _, one := range spellings {
		if status, tag := raw(one, ""); status == http.StatusOK {
			tags[one] = tag
			served++
		}
	}
	if served < len(spellings)/2 {
		t.Fatalf("%d of %d requests are served", served, len(spellings))
	}
	for one := range tags {
		for other, tag := range tags {
			if tags[one] == tag {
				continue
			}
			raw(other, "") // so that it is what is remembered, if they share a record
			if status, _ := raw(one, tag); status == http.StatusNotModified {
				t.Errorf("%q is not modified by the tag of %q", one, other)
			}
		}
	}
}

// TestBombsInResponses: neither does an upstream's field or body, which may be made by others.
func TestBombsInResponses(t *testing.T) {
	const size = 300 << 10
	fill := func(piece string) string { return strings.Repeat(piece, size/len(piece)) }
	var bomb bytes.Buffer
	coder := gzip.NewWriter(&bomb)
	_, _ = coder.Write(make([]byte, 32<<20))
	_ = coder.Close()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		field, piece := r.URL.Query().Get("field"), r.URL.Query().Get("piece")
		w.Header().Set("Content-Type", "text/html")
		if field == "Content-Encoding" {
			w.Header().Set(field, "gzip")
			_, _ = w.Write(bomb.Bytes())
			return
		}
		w.Header().Set(field, fill(piece))
		_, _ = io.WriteString(w, "page")
	}))
	t.Cleanup(upstream.Close)
	bare, site := freePort(t), freePort(t)
	const directives = "conditional_cache {\n etag auto {\n ignore csrf nonce\n }\n cache_control private max-age=60 {\n existing merge\n }\n remember 1h {\n ignore_set_cookie a\n }\n}\n"
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n reverse_proxy %[3]s\n}\nhttp://localhost:%[2]d {\n%[4]sreverse_proxy %[3]s\n}", bare, site, upstream.Listener.Addr(), directives))
	without, with := plainClient(t, bare), plainClient(t, site)
	without.acceptEncoding, with.acceptEncoding = "br", "br" // what is coded is not decoded here
	for _, field := range []string{"Cache-Control", "Vary", "Etag", "Last-Modified", "Expires", "Set-Cookie", "Content-Security-Policy", "Content-Encoding"} {
		for _, piece := range []string{",", "a=1, ", `private="`} {
			path := "/?field=" + field + "&piece=" + url.QueryEscape(piece)
			get := func(c *client) (status int) {
				response := c.open(t, path, http.Header{"If-None-Match": {`"x"`}})
				defer response.Body.Close()
				_, _ = io.Copy(io.Discard, response.Body)
				return response.StatusCode
			}
			status := 0
			least := cheapest(t, 2, func() { get(without) })
			took := cheapest(t, 2, func() { status = get(with) })
			if status != http.StatusOK || took > 4*least+2*time.Second {
				t.Errorf("%s of %q: status %d, %s; bare Caddy takes %s", field, piece, status, took, least)
			}
		}
	}
}

// TestGuardedWritesAskOnce: a write costs its upstream one GET at most, however many come at one time and whatever they name;
// those that find no room to wait cost it nothing.
func TestGuardedWritesAskOnce(t *testing.T) {
	const writes = 60
	n := &notes{text: "text"}
	c := noteSite(t, guarding+"reverse_proxy {upstream}", n)
	var refused atomic.Int64
	var all sync.WaitGroup
	for i := range writes {
		all.Go(func() {
			got, err := c.write(t.Context(), "PUT", "/", "new", "If-Match", fmt.Sprintf(`"cc1.%032x", "a-gzip"`, i))
			if err != nil || got.status != http.StatusPreconditionFailed && got.status != http.StatusServiceUnavailable {
				t.Errorf("got %v, %v", got, err)
			}
			if got.status == http.StatusServiceUnavailable {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	asked := strings.Fields(n.methods())
	if len(asked)+int(refused.Load()) > writes || slices.Contains(asked, "PUT") {
		t.Errorf("%d writes, %d of them refused for want of room, are %d requests: %s", writes, refused.Load(), len(asked), asked)
	}
}

// TestTagsTellNothingToWhoMayNotRead: who is not shown a page cannot try tags on it. Right or wrong, the answer is the same to
// reads and to writes, though he may write; and nothing comes of it from memory.
func TestTagsTellNothingToWhoMayNotRead(t *testing.T) {
	for name, directives := range map[string]string{"bare": "conditional_cache\n", "guarding": guarding, "requiring": "conditional_cache {\n etag strong\n guard_writes {\n require\n }\n remember 1h\n}\n"} {
		t.Run(name, func(t *testing.T) {
			n := &notes{text: "the secret is 4711"}
			c := noteSite(t, directives+"reverse_proxy {upstream}\nhandle_errors {\n respond \"{err.status_code} {http.conditional_cache.current_etag}\"\n}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && r.Header.Get("X-Api-Key") != "right" {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				w.Header().Set("Vary", "X-Api-Key")
				n.ServeHTTP(w, r)
			}))
			right := c.must(t, http.StatusOK, "GET", "/", "", "X-Api-Key", "right").header.Get("Etag")
			for _, field := range []string{"If-None-Match", "If-Match", "If-Range"} {
				for _, method := range []string{"GET", "PUT"} {
					checkTold(t, c, n, method, field, right)
				}
			}
		})
	}
}

// checkTold tries the right tag and a wrong one.
func checkTold(t *testing.T, c *client, n *notes, method, field, right string) {
	t.Helper()
	var answers []string
	for _, tag := range []string{right, `"cc1.ffffffffffffffffffffffffffffffff"`} {
		got, err := c.write(t.Context(), method, "/", "new", field, tag, "Range", "bytes=0-1")
		if err != nil {
			t.Fatal(err)
		}
		got.header.Del("Date")
		answers = append(answers, got.String())
		if strings.Contains(got.String(), strings.Trim(right, `"`)) {
			t.Errorf("%s with %s: %s tells the tag", method, field, got)
		}
		n.mu.Lock()
		n.text = "the secret is 4711" // if he has written
		n.mu.Unlock()
	}
	if answers[0] != answers[1] {
		t.Errorf("%s with %s: the right one is answered %s, a wrong one %s", method, field, answers[0], answers[1])
	}
}

// TestForgedHostsPoisonNobody: an upstream that says back what it takes for its host has it said to those only who have sent it.
func TestForgedHostsPoisonNobody(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Access-Control-Allow-Origin", cmp.Or(r.Header.Get("Origin"), "https://"+cmp.Or(r.Header.Get("X-Forwarded-Host"), r.Host)))
		w.Header().Set("Content-Location", r.Header.Get("X-Forwarded-Proto")+"://"+r.Header.Get("X-Forwarded-Host")+"/page")
		_, _ = io.WriteString(w, "page")
	}))
	t.Cleanup(upstream.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(":%d {\nbind 127.0.0.1\nconditional_cache {\nremember 1h\n}\nreverse_proxy %s\n}", port, upstream.Listener.Addr()))
	victim := plainClient(t, port)
	for _, forged := range [][]string{{"Host", "evil.example"}, {"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Proto", "evil"}, {"Origin", "https://evil.example"}} {
		attacker := *victim
		fields := forged
		if forged[0] == "Host" {
			attacker.host, fields = forged[1], nil
		}
		path := "/" + forged[0]
		etag := attacker.must(t, http.StatusOK, "GET", path, "", fields...).header.Get("Etag")
		attacker.must(t, http.StatusNotModified, "GET", path, "", append(fields, "If-None-Match", etag)...)
		for _, own := range [][]string{nil, {"Origin", "https://own.example"}} {
			got := victim.must(t, http.StatusNotModified, "GET", path, "", append(own, "If-None-Match", etag)...)
			if strings.Contains(fmt.Sprint(got.header), "evil") {
				t.Errorf("%s: the victim, with %s, is told %v", forged, own, got.header)
			}
		}
	}
}
