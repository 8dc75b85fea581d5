package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// guarding is a directive that guards writes.
const guarding = "conditional_cache {\n etag strong\n guard_writes\n}\n"

// write sends a request with a body and reads the whole answer. It may be called from any goroutine.
func (c *client) write(ctx context.Context, method, path, body string, fields ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Host = c.host
	if c.acceptEncoding != "" {
		r.Header.Set("Accept-Encoding", c.acceptEncoding)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(content)}, err
}

// must is write where nothing should go wrong on the way.
func (c *client) must(t *testing.T, status int, method, path, body string, fields ...string) answer {
	t.Helper()
	got, err := c.write(t.Context(), method, path, body, fields...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if got.status != status {
		t.Errorf("%s %s with %q: got %v, want %d", method, path, fields, got, status)
	}
	return got
}

// davSite runs Caddy before an nginx that can be written to, and returns a client and the folder. In the
// directives, {dav} is the address of nginx.
func davSite(t *testing.T, directives string) (c *client, dir string) {
	t.Helper()
	dir = t.TempDir()
	port := freePort(t)
	addr := runNginx(t, "dav.conf", dir)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n%s\n}", port, strings.ReplaceAll(directives, "{dav}", addr)))
	return plainClient(t, port), dir
}

// race is writers that have all read the same representation, and write at the same time.
type race struct {
	site     *client
	dir      string
	path     string
	sameSize bool // texts differ in nothing but content
}

// text is what one writer writes in one round, longer than what encode leaves uncompressed.
func (r *race) text(round, writer int) string {
	text := fmt.Sprintf("<!doctype html><p>Round %06d, writer %d", round, writer) + strings.Repeat("\n<p>The same text.", 60)
	if !r.sameSize {
		// nginx makes its tag of the size and of the time in whole seconds.
		text += strings.Repeat(".", 2*round+writer)
	}
	return text
}

// run lets two writers race. One of them wins, and what is stored is its text.
func (r *race) run(t *testing.T, rounds int) {
	t.Helper()
	r.site.must(t, http.StatusCreated, "PUT", r.path, r.text(0, 0), "If-None-Match", "*")
	for round := 1; round <= rounds; round++ {
		read := r.site.get(t, r.path, nil)
		tag := read.header.Get("Etag")
		if tag == "" {
			t.Fatalf("round %d: no tag: %v", round, read)
		}
		var all sync.WaitGroup
		var answers [2]answer
		var errs [2]error
		for writer := range answers {
			all.Go(func() {
				answers[writer], errs[writer] = r.site.write(t.Context(), "PUT", r.path, r.text(round, writer), "If-Match", tag)
			})
		}
		all.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		winner := 0
		if answers[1].status == http.StatusNoContent {
			winner = 1
		}
		if answers[winner].status != http.StatusNoContent || answers[1-winner].status != http.StatusPreconditionFailed {
			t.Fatalf("round %d upon %s: got %v and %v, want one 204 and one 412", round, tag, answers[0], answers[1])
		}
		stored, err := os.ReadFile(filepath.Join(r.dir, r.path))
		if err != nil || string(stored) != r.text(round, winner) {
			t.Fatalf("round %d: writer %d won, but stored is %.50q (%v)", round, winner, stored, err)
		}
	}
}

// rounds is how often a race is run: n times, or a few where time is short.
func rounds(n int) int {
	if testing.Short() {
		return min(n, 20)
	}
	return n
}

// TestTwoWriters: of two who write upon the same representation one wins and the other is told, a thousand
// times in a row, whatever the write passes through on its way.
func TestTwoWriters(t *testing.T) {
	for _, tt := range []struct {
		name, directives string
		rounds           int
		sameSize, coded  bool
	}{
		{name: "the upstream's tags", directives: guarding + "reverse_proxy {dav}", rounds: 1000},
		{name: "tags of ours", directives: replacing + "reverse_proxy {dav}", rounds: 1000, sameSize: true},
		{name: "inside handle", directives: guarding + "handle /none/* {\n respond none\n}\nhandle {\n reverse_proxy {dav}\n}", rounds: 100},
		{name: "inside handle, all of it", directives: "handle /none/* {\n respond none\n}\nhandle {\n" + replacing + "handle_path /none/* {\n respond none\n}\nhandle {\n reverse_proxy {dav}\n}\n}", rounds: 100, sameSize: true},
		{name: "inside route", directives: "route {\n" + guarding + "reverse_proxy {dav}\n}", rounds: 100},
		{name: "with a rewrite", directives: "rewrite /notes/* {path}?version=1\n" + guarding + "reverse_proxy {dav}", rounds: 20},
		{name: "behind encode, the upstream's tags", directives: "encode gzip\n" + guarding + "reverse_proxy {dav}", rounds: 100, coded: true},
		{name: "behind encode, tags of ours", directives: "encode gzip\n" + replacing + "reverse_proxy {dav}", rounds: 100, sameSize: true, coded: true},
		{name: "nested", directives: replacing + "handle {\n" + guarding + "reverse_proxy {dav}\n}", rounds: 20, sameSize: true},
		{name: "guarded without a word in the configuration", directives: "conditional_cache {\n etag strong {\n existing replace\n }\n}\nreverse_proxy {dav}", rounds: 20, sameSize: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, dir := davSite(t, tt.directives)
			if tt.coded {
				c.acceptEncoding = "gzip"
			}
			r := race{site: c, dir: dir, path: "/notes/page.html", sameSize: tt.sameSize}
			if strings.HasPrefix(tt.name, "guarded without") {
				// Without guard_writes nobody judges the If-None-Match of the first write.
				if err := os.MkdirAll(filepath.Join(dir, "notes"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			r.run(t, rounds(tt.rounds))
			if tag := c.get(t, r.path, nil).header.Get("Etag"); strings.Contains(tag, "-gzip") != tt.coded {
				t.Errorf("the tag is %s", tag)
			}
		})
	}
}

// TestTwoWritersOverEveryProtocol: the same over HTTP/1.1, 2 and 3.
func TestTwoWritersOverEveryProtocol(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n %s reverse_proxy %s\n}", port, guarding, runNginx(t, "dav.conf", dir)))
	for i, c := range protocolClients(t, port) {
		t.Run(c.protocol, func(t *testing.T) {
			r := race{site: c, dir: dir, path: fmt.Sprintf("/%d.html", i)}
			r.run(t, rounds(50))
			got := c.must(t, http.StatusPreconditionFailed, "DELETE", r.path, "", "If-Match", `"another"`)
			if got.header.Get("Etag") != "" || got.header.Get("Last-Modified") != "" {
				t.Errorf("the 412 has %v", got.header)
			}
			c.must(t, http.StatusNoContent, "DELETE", r.path, "", "If-Match", c.get(t, r.path, nil).header.Get("Etag"))
			c.must(t, http.StatusPreconditionFailed, "DELETE", r.path, "", "If-Match", "*")
		})
	}
}

// TestCreatesOnce: of fifty who create the same thing one does; the others find it there, or are turned
// away because too many wait.
func TestCreatesOnce(t *testing.T) {
	c, dir := davSite(t, guarding+"reverse_proxy {dav}")
	for round := range rounds(10) {
		path := fmt.Sprintf("/new/%d.html", round)
		answers := createAtOnce(t, c, path, 50)
		winner, count := "", make(map[int]int)
		for text, got := range answers {
			if count[got.status]++; got.status == http.StatusCreated {
				winner = text
			}
			if got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
				t.Errorf("the 503 has %v", got.header)
			}
		}
		if count[201] != 1 || count[201]+count[412]+count[503] != 50 || count[412] < 32 {
			t.Fatalf("the answers are %v", count)
		}
		if stored, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(stored) != winner {
			t.Errorf("stored is %q (%v), created it was %s", stored, err, winner)
		}
	}
}

// createAtOnce lets n clients create the same thing, and returns the answers by what each wrote.
func createAtOnce(t *testing.T, c *client, path string, n int) map[string]answer {
	t.Helper()
	var mu sync.Mutex
	answers := make(map[string]answer, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			text := fmt.Sprint("by writer ", i)
			got, err := c.write(t.Context(), "PUT", path, text, "If-None-Match", "*")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[text] = got
		})
	}
	all.Wait()
	return answers
}

// TestLongWriteArrives: the body of a guarded write passes as it is.
func TestLongWriteArrives(t *testing.T) {
	c, dir := davSite(t, guarding+"reverse_proxy {dav}")
	body := make([]byte, 10<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(body)
	c.must(t, http.StatusCreated, "PUT", "/long", string(body), "If-None-Match", "*")
	stored, err := os.ReadFile(filepath.Join(dir, "long"))
	if err != nil || sha256.Sum256(stored) != sha256.Sum256(body) {
		t.Errorf("stored are %d bytes (%v), which are not those that were sent", len(stored), err)
	}
}

// TestDjangoNotes: an application that compares nothing and wants to know who asks.
func TestDjangoNotes(t *testing.T) {
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n etag strong\n guard_writes PUT DELETE POST {\n require\n }\n }\n reverse_proxy %s\n}",
		port, startDjango(t, newPageFolder(t))))
	c := plainClient(t, port)
	auth := []string{"Authorization", "Basic YWRhOnNlY3JldA=="}
	with := func(fields ...string) []string { return append(fields, auth...) }

	c.must(t, http.StatusPreconditionRequired, "PUT", "/note/mine", "1", auth...)
	c.must(t, http.StatusCreated, "PUT", "/note/mine", "1", with("If-None-Match", "*")...)
	c.must(t, http.StatusPreconditionFailed, "PUT", "/note/mine", "2", with("If-None-Match", "*")...)
	tag := c.get(t, "/note/mine", http.Header{"Authorization": auth[1:]}).header.Get("Etag")
	c.must(t, http.StatusNoContent, "PUT", "/note/mine", "2", with("If-Match", tag)...)
	c.must(t, http.StatusPreconditionFailed, "PUT", "/note/mine", "3", with("If-Match", tag)...)
	if got := c.get(t, "/note/mine", http.Header{"Authorization": auth[1:]}); got.body != "2" {
		t.Errorf("the note is %v", got)
	}

	unknown := c.must(t, http.StatusUnauthorized, "PUT", "/note/mine", "4", "If-Match", tag)
	if unknown.body != "who are you?" || unknown.header.Get("Www-Authenticate") != `Basic realm="notes"` || unknown.header.Get("Etag") != "" {
		t.Errorf("the 401 is %v", unknown)
	}
	if got := c.must(t, http.StatusForbidden, "PUT", "/note/others", "5", with("If-Match", tag)...); got.body != "not yours" {
		t.Errorf("the 403 is %v", got)
	}
	// An endpoint that answers POST only has no representation to compare with.
	if got := c.must(t, http.StatusServiceUnavailable, "POST", "/command", "6", "If-Match", tag); got.header.Get("Retry-After") == "" || got.header.Get("Allow") != "" {
		t.Errorf("the 503 is %v", got)
	}
	c.must(t, http.StatusNoContent, "DELETE", "/note/mine", "", with("If-Match", "*")...)
	c.must(t, http.StatusPreconditionFailed, "DELETE", "/note/mine", "", with("If-Match", "*")...)
}

// notes is an upstream in this process that keeps one text, and what it was asked.
type notes struct {
	mu     sync.Mutex
	text   string
	asked  []string
	get    http.HandlerFunc // before the text is sent
	put    http.HandlerFunc // before the text is stored
	silent bool             // answers nothing after get
}

func (n *notes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.asked = append(n.asked, r.Method)
	n.mu.Unlock()
	if r.Method == http.MethodGet {
		if n.get != nil {
			n.get(w, r)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.silent {
			_, _ = io.WriteString(w, n.text)
		}
		return
	}
	if n.put != nil {
		n.put(w, r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text = string(body)
	w.WriteHeader(http.StatusNoContent)
}

// methods is what the upstream was asked.
func (n *notes) methods() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.asked, " ")
}

// noteSite runs Caddy before an upstream and returns a client.
func noteSite(t *testing.T, directives string, upstream http.Handler) *client {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n%s\n}", port, strings.ReplaceAll(directives, "{upstream}", server.Listener.Addr().String())))
	return plainClient(t, port)
}

// TestGuardErrorPages: the errors of a guard go through the site's error routes, whose pages are not empty
// though the request was conditional.
func TestGuardErrorPages(t *testing.T) {
	n := &notes{text: "text", get: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Path == "/broken" {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}}
	pages := filepath.Join(t.TempDir(), "pages")
	for _, status := range []string{"412", "428", "503"} {
		if err := errors.Join(os.MkdirAll(pages, 0o755), os.WriteFile(filepath.Join(pages, status+".html"), []byte("sorry: "+status), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	c := noteSite(t, "conditional_cache {\n etag strong\n guard_writes {\n require\n }\n}\nreverse_proxy {upstream}\n"+
		"handle_errors {\n root "+pages+"\n rewrite /{err.status_code}.html\n method GET\n file_server\n}", n)
	for path, want := range map[string]struct {
		status int
		fields []string
	}{
		"/a":      {412, []string{"If-Match", `"cc1.ffffffffffffffffffffffffffffffff"`, "If-Unmodified-Since", "Thu, 01 Jan 2015 00:00:00 GMT"}},
		"/b":      {428, nil},
		"/broken": {503, []string{"If-Match", "*", "If-None-Match", `"x"`}},
	} {
		got := c.must(t, want.status, "PUT", path, "new", want.fields...)
		if got.body != fmt.Sprint("sorry: ", want.status) || got.header.Get("Cache-Control") != "" {
			t.Errorf("%s: got %v, want the page", path, got)
		}
		if cors := got.header.Get("Access-Control-Allow-Origin") == "*"; !cors {
			t.Errorf("%s: got %v", path, got.header)
		}
	}
	if strings.Contains(n.methods(), "PUT") || n.text != "text" {
		t.Errorf("the upstream was asked %s and has %q", n.methods(), n.text)
	}
}

// dialSite opens a connection to a site, for what no client library does.
func dialSite(t *testing.T, c *client) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn, bufio.NewReader(conn)
}

// expect sends the head of a PUT that waits for 100 (Continue), and returns the first answer.
func expect(t *testing.T, c *client, path string, length int, fields ...string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, r := dialSite(t, c)
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n", path, c.host, length)
	for i := 0; i < len(fields); i += 2 {
		head += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(r, &http.Request{Method: http.MethodPut})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return conn, r, response
}

// TestExpectContinue: who asks before it sends its body is answered before (RFC 9110 §10.1.1): a write that
// is refused costs no transfer.
func TestExpectContinue(t *testing.T) {
	c, n := expectingSite(t)
	for _, tt := range []struct {
		path   string
		status int
		fields []string
	}{
		{"/", 412, []string{"If-Match", `"another"`}},
		{"/", 428, nil},
		{"/broken", 503, []string{"If-Match", "*"}},
		{"/forbidden", 403, []string{"If-Match", "*"}},
	} {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			if _, _, got := expect(t, c, tt.path, 10<<20, tt.fields...); got.StatusCode != tt.status {
				t.Errorf("got %s before the body, want %d", got.Status, tt.status)
			}
		})
	}
	t.Run("allowed", func(t *testing.T) {
		conn, r, got := expect(t, c, "/", 3, "If-Match", "*")
		if got.StatusCode != http.StatusContinue {
			t.Fatalf("got %s, want 100", got.Status)
		}
		_, _ = io.WriteString(conn, "new")
		final, err := http.ReadResponse(r, &http.Request{Method: http.MethodPut})
		if err == nil && final.StatusCode == http.StatusContinue { // the upstream's own, if it was quick
			final, err = http.ReadResponse(r, &http.Request{Method: http.MethodPut})
		}
		if err != nil || final.StatusCode != http.StatusNoContent || n.text != "new" {
			t.Errorf("got %v (%v), and the text is %q", final, err, n.text)
		}
	})
}

// expectingSite demands conditions of writes.
func expectingSite(t *testing.T) (*client, *notes) {
	t.Helper()
	n := &notes{text: "text", get: func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/forbidden":
			w.WriteHeader(http.StatusForbidden)
		}
	}}
	return noteSite(t, "conditional_cache {\n etag strong\n guard_writes {\n require\n }\n}\nreverse_proxy {upstream}", n), n
}

// TestExpectContinueByCurl: the same by a client of which everybody knows when it sends what.
func TestExpectContinueByCurl(t *testing.T) {
	c, _ := expectingSite(t)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(path string, fields ...string) string {
		args := []string{"-o", os.DevNull, "-T", file, "--expect100-timeout", "20", "-H", "Expect: 100-continue", "-w", "%{http_code} %{size_upload}"}
		for _, field := range fields {
			args = append(args, "-H", field)
		}
		return runCurl(t, append(args, strings.Replace(c.base, "127.0.0.1", "localhost", 1)+path)...)
	}
	for want, got := range map[string]string{
		"412 0":       put("/", `If-Match: "another"`),
		"428 0":       put("/"),
		"503 0":       put("/broken", "If-Match: *"),
		"204 5242880": put("/", "If-Match: *"),
	} {
		if got != want {
			t.Errorf("curl says %q, want %q", got, want)
		}
	}
}

// TestProbeFails: what breaks off, or takes for ever, leaves the write unsent.
func TestProbeFails(t *testing.T) {
	n := &notes{silent: true, get: func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/aborted":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/short":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		case "/closed":
			panic(http.ErrAbortHandler)
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/stalled":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}}
	c := noteSite(t, guarding+"reverse_proxy {upstream}", n)
	var all sync.WaitGroup
	for _, path := range []string{"/aborted", "/short", "/closed", "/moved", "/stalled"} {
		all.Go(func() {
			start := time.Now()
			got, err := c.write(t.Context(), "PUT", path, "new", "If-Match", "*", "If-None-Match", `"x"`)
			if err != nil || got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("Location") != "" {
				t.Errorf("%s: got %v (%v), want 503", path, got, err)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("%s: after %s", path, took)
			}
		})
	}
	all.Wait()
	if strings.Contains(n.methods(), "PUT") {
		t.Errorf("the upstream was asked %s", n.methods())
	}
}

// TestClientLeavesTheQueue: a write whose client has left before its turn does not reach the upstream.
func TestClientLeavesTheQueue(t *testing.T) {
	first, release := make(chan struct{}), make(chan struct{})
	n := &notes{text: "text", put: func(http.ResponseWriter, *http.Request) {
		close(first)
		<-release
	}}
	c := noteSite(t, guarding+"reverse_proxy {upstream}", n)
	var all sync.WaitGroup
	all.Go(func() {
		if got, err := c.write(t.Context(), "PUT", "/", "first", "If-Match", "*"); err != nil || got.status != http.StatusNoContent {
			t.Errorf("the first write: %v (%v)", got, err)
		}
	})
	<-first
	ctx, leave := context.WithCancel(t.Context())
	all.Go(func() {
		if got, err := c.write(ctx, "DELETE", "/", "", "If-Match", "*"); err == nil {
			t.Errorf("who has left got %v", got)
		}
	})
	time.Sleep(100 * time.Millisecond) // it waits by now
	leave()
	time.Sleep(100 * time.Millisecond) // and by now it does not
	close(release)
	all.Wait()
	c.must(t, http.StatusPreconditionFailed, "PUT", "/", "last", "If-Match", `"another"`)
	if got := n.methods(); got != "GET PUT GET" {
		t.Errorf("the upstream was asked %s", got)
	}
}

// TestTooManyWait: a queue has an end, and its writes hear of it at once.
func TestTooManyWait(t *testing.T) {
	release := make(chan struct{})
	n := &notes{text: "text", put: func(http.ResponseWriter, *http.Request) { <-release }}
	c := noteSite(t, guarding+"reverse_proxy {upstream}", n)
	var refused, written atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			got, err := c.write(t.Context(), "PUT", "/", fmt.Sprint(i), "If-Match", "*")
			switch {
			case err == nil && got.status == http.StatusNoContent:
				written.Add(1)
			case err == nil && got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "1":
				if refused.Add(1) == 7 { // one at work, 32 in line
					close(release)
				}
			default:
				t.Errorf("got %v (%v)", got, err)
			}
		})
	}
	all.Wait()
	if refused.Load() != 7 || written.Load() != 33 {
		t.Errorf("%d were refused, %d were written", refused.Load(), written.Load())
	}
}

// TestProbeGoesInTheClientsName: authentication inside of the directive, or by the upstream, sees the
// credentials; who is refused there gets that answer, by way of the error routes where it is an error.
func TestProbeGoesInTheClientsName(t *testing.T) {
	n := &notes{text: "text", get: func(_ http.ResponseWriter, r *http.Request) {
		if user := r.Header.Get("X-User"); user != "ada" || r.Header.Get("X-Method") != "GET" {
			t.Errorf("asked with the user %q and the method %q", user, r.Header.Get("X-Method"))
		}
	}, put: func(_ http.ResponseWriter, r *http.Request) {
		if user := r.Header.Get("X-User"); user != "ada" || r.Header.Get("X-Method") != "PUT" {
			t.Errorf("written with the user %q and the method %q", user, r.Header.Get("X-Method"))
		}
	}}
	// The password is "secret".
	const auth = "basic_auth {\n ada $2a$04$F/XQ2KGLq4KqX33fQ.vyCe5sRDayc0WzNI77aAZX14.pkc/wiIzpm\n}\n"
	const proxy = "reverse_proxy {upstream} {\n header_up X-User {http.auth.user.id}\n header_up X-Method {method}\n}\n"
	for name, directives := range map[string]string{
		"outside": "route {\n" + auth + guarding + proxy + "}",
		"inside":  "route {\n" + guarding + auth + proxy + "}",
	} {
		t.Run(name, func(t *testing.T) {
			c := noteSite(t, directives+"\nhandle_errors {\n respond \"sorry: {err.status_code}\"\n}", n)
			c.must(t, http.StatusNoContent, "PUT", "/", "new", "If-Match", "*", "Authorization", "Basic YWRhOnNlY3JldA==")
			c.must(t, http.StatusPreconditionFailed, "PUT", "/", "new", "If-Match", `"x"`, "Authorization", "Basic YWRhOnNlY3JldA==")
			got := c.must(t, http.StatusUnauthorized, "PUT", "/", "new", "If-Match", "*")
			if got.body != "sorry: 401" || !strings.HasPrefix(got.header.Get("Www-Authenticate"), "Basic") {
				t.Errorf("the 401 is %v", got)
			}
		})
	}
}

// TestNoUpdateIsLostInReloads: clients append to one list, each time upon what they have read, while the
// configuration is loaded again and again. In the end everything that anybody appended is there, once.
func TestNoUpdateIsLostInReloads(t *testing.T) {
	const writers, appends = 4, 25
	n := &notes{text: "\n", put: func(http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) }}
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	port := freePort(t)
	site := func(i int) string {
		return fmt.Sprintf("http://localhost:%d {\n header X-Load %d\n%s reverse_proxy %s\n}", port, i, guarding, server.Listener.Addr())
	}
	runCaddy(t, site(0))
	c := plainClient(t, port)
	var busy sync.WaitGroup
	for writer := range writers {
		busy.Go(func() {
			for i := range appends {
				if err := c.appendLine(t, fmt.Sprintf("%d/%d", writer, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		busy.Wait()
		close(done)
	}()
	loads := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(50 * time.Millisecond):
			loads++
			runCaddy(t, site(loads))
		}
	}
	for writer := range writers {
		for i := range appends {
			if line := fmt.Sprintf("\n%d/%d\n", writer, i); strings.Count(n.text, line) != 1 {
				t.Errorf("%q is there %d times", line, strings.Count(n.text, line))
			}
		}
	}
	t.Logf("%d lines, %d loads, %d requests", writers*appends, loads, len(n.asked))
}

// appendLine reads the list and writes it with a further line, until that is in it.
func (c *client) appendLine(t *testing.T, line string) error {
	t.Helper()
	for range 2000 {
		read, err := c.write(t.Context(), "GET", "/", "")
		if err != nil || read.status != http.StatusOK {
			continue // a connection that ended with its configuration
		}
		if strings.Contains(read.body, "\n"+line+"\n") {
			return nil // of an answer that was lost
		}
		_, _ = c.write(t.Context(), "PUT", "/", read.body+line+"\n", "If-Match", read.header.Get("Etag"))
	}
	return fmt.Errorf("%s was never written", line)
}

// TestMethodsBesideTheGuard: what is not configured passes at once.
func TestMethodsBesideTheGuard(t *testing.T) {
	n := &notes{text: "text"}
	c := noteSite(t, "conditional_cache /free/* {\n etag off\n}\nconditional_cache {\n etag strong\n guard_writes DELETE {\n require\n }\n}\nreverse_proxy {upstream}", n)
	c.must(t, http.StatusNoContent, "PUT", "/", "a")
	c.must(t, http.StatusNoContent, "POST", "/", "b", "If-Match", `"another"`)
	c.must(t, http.StatusPreconditionRequired, "DELETE", "/", "")
	c.must(t, http.StatusNoContent, "DELETE", "/free/of/it", "") // a sibling acts there
	if got := n.methods(); got != "PUT POST GET DELETE" {
		t.Errorf("the upstream was asked %s", got)
	}
}
