package integration

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stubborn is an upstream that does what it has been sent, however long that takes, and whoever has left meanwhile.
type stubborn struct {
	mu      sync.Mutex
	first   string            // the text of every path
	texts   map[string]string // by path, once they are written
	applied []string
	sent    chan string // each text that has come whole, before it is applied
}

func newStubborn(text string) *stubborn {
	return &stubborn{first: text, texts: map[string]string{}, sent: make(chan string, 1000)}
}

// ServeHTTP takes ?takes=<duration> to apply a write, of which it says nothing before ?answers=<duration>.
func (s *stubborn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = io.WriteString(w, cmp.Or(s.texts[r.URL.Path], s.first))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.sent <- string(body)
	time.Sleep(patienceOf(r, "X-Takes"))
	s.mu.Lock()
	s.texts[r.URL.Path] = string(body)
	s.applied = append(s.applied, string(body))
	s.mu.Unlock()
	time.Sleep(patienceOf(r, "X-Answers"))
	w.WriteHeader(http.StatusNoContent)
}

func patienceOf(r *http.Request, name string) time.Duration {
	d, _ := time.ParseDuration(r.Header.Get(name))
	return d
}

func (s *stubborn) history() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.applied, ", ")
}

// stubbornSite is Caddy before it, and a client for every version of HTTP.
func stubbornSite(t *testing.T, s http.Handler, directives string) []*client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("https://localhost:%d {\n tls internal\n %s\n}", port, strings.ReplaceAll(directives, "{upstream}", server.Listener.Addr().String())))
	return protocolClients(t, port)
}

// TestAbandonedWriteIsAwaited: what an upstream has been sent is done though its client has left. Another write waits for
// that, and finds what has become of it.
func TestAbandonedWriteIsAwaited(t *testing.T) {
	for _, directives := range []string{guarding, "conditional_cache\n"} { // and one whose If-Match names a tag of ours is guarded in any case
		s := newStubborn("the first")
		for _, c := range stubbornSite(t, s, directives+"reverse_proxy {upstream}") {
			t.Run(c.protocol, func(t *testing.T) {
				tag := strings.TrimPrefix(c.get(t, "/", nil).header.Get("Etag"), "W/")
				ctx, leave := context.WithCancel(t.Context())
				gone := make(chan error)
				go func() {
					_, err := c.write(ctx, "PUT", "/", "from A by "+c.protocol, "If-Match", tag, "X-Takes", "500ms")
					gone <- err
				}()
				<-s.sent
				leave()
				if err := <-gone; !errors.Is(err, context.Canceled) {
					t.Fatalf("the first client got %v", err)
				}
				c.must(t, http.StatusPreconditionFailed, "PUT", "/", "from B", "If-Match", tag)
				if got := s.history(); !strings.HasSuffix(got, "from A by "+c.protocol) || strings.Contains(got, "B") {
					t.Errorf("applied are %s", got)
				}
				s.mu.Lock()
				s.applied = nil
				s.mu.Unlock()
			})
		}
	}
}

// TestUnansweredWriteKeepsItsTurn: after a time limit of the proxy nobody knows whether the write will be done. Others hear
// of that at once, and may try again when it is unlikely.
func TestUnansweredWriteKeepsItsTurn(t *testing.T) {
	s := newStubborn("the first")
	c := stubbornSite(t, s, guarding+"reverse_proxy {upstream} {\n transport http {\n response_header_timeout 200ms\n }\n}")[0]
	tag := c.get(t, "/", nil).header.Get("Etag")
	start := time.Now()
	c.must(t, http.StatusGatewayTimeout, "PUT", "/", "from A", "If-Match", tag, "X-Takes", "700ms")
	got := c.must(t, http.StatusServiceUnavailable, "PUT", "/", "from B", "If-Match", tag)
	if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 8 || seconds > 10 {
		t.Errorf("B is told to come again in %q seconds", got.header.Get("Retry-After"))
	}
	c.must(t, http.StatusNoContent, "PUT", "/another", "elsewhere", "If-Match", "*")
	for got.status == http.StatusServiceUnavailable && time.Since(start) < patience {
		time.Sleep(100 * time.Millisecond)
		var err error
		if got, err = c.write(t.Context(), "PUT", "/", "from B", "If-Match", tag); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); got.status != http.StatusPreconditionFailed || took < 10*time.Second || took > 20*time.Second {
		t.Errorf("B got %d after %s", got.status, took)
	}
}

// TestUnsentWriteKeepsNobodyWaiting: what was never sent will not be done.
func TestUnsentWriteKeepsNobodyWaiting(t *testing.T) {
	nobody := freePort(t)
	c := stubbornSite(t, newStubborn("the first"), guarding+fmt.Sprintf(`@refuses method PUT
		handle @refuses {
			@http header X-Down http
			reverse_proxy @http 127.0.0.1:%[1]d
			@fastcgi header X-Down fastcgi
			reverse_proxy @fastcgi 127.0.0.1:%[1]d {
				transport fastcgi
			}
			@unhealthy header X-Down unhealthy
			reverse_proxy @unhealthy 127.0.0.1:%[1]d {
				fail_duration 1m
			}
			reverse_proxy {upstream}
		}
		reverse_proxy {upstream}`, nobody))[0]
	for _, tt := range []struct {
		down   string
		status int
	}{{"http", 502}, {"fastcgi", 502}, {"unhealthy", 502}, {"unhealthy", 503}} {
		tag := c.get(t, "/", nil).header.Get("Etag")
		c.must(t, tt.status, "PUT", "/", "from A", "If-Match", tag, "X-Down", tt.down)
		c.must(t, http.StatusNoContent, "PUT", "/", "from B past "+tt.down, "If-Match", tag)
	}
}

// TestAnsweredWriteEndsWithItsClient: from the head of the answer on, a client that leaves ends the transfer, as ever: a
// stream over POST has no other end.
func TestAnsweredWriteEndsWithItsClient(t *testing.T) {
	ended := make(chan struct{}, 10)
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "text")
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		ended <- struct{}{}
	})
	for _, c := range stubbornSite(t, upstream, "conditional_cache {\n etag strong\n guard_writes POST\n}\nreverse_proxy {upstream} {\n flush_interval -1\n}") {
		t.Run(c.protocol, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/", strings.NewReader("go on"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			r.Header.Set("If-Match", "*")
			response, err := c.transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			leave()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the upstream still sends, to nobody")
			}
		})
	}
}

// halfOpen begins a PUT and never ends it.
type halfOpen struct {
	name  string
	begin func(t *testing.T, c *client, path string) // does not wait for an answer
	crowd bool                                       // as many as can be in line are tried as well
}

func halfOpens() []halfOpen {
	head := func(rest string) string {
		return "PUT {path} HTTP/1.1\r\nHost: {host}\r\nIf-Match: *\r\n" + rest + "\r\n"
	}
	raw := func(text string, trickle string) func(*testing.T, *client, string) {
		return func(t *testing.T, c *client, path string) {
			t.Helper()
			conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.base, "https://"))
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { conn.Close() })
			_, _ = io.WriteString(conn, strings.NewReplacer("{host}", c.host, "{path}", path).Replace(text))
			if trickle != "" {
				go dripInto(conn, trickle)
			}
		}
	}
	long := strings.Repeat("x", 70_000)
	return []halfOpen{
		{"three of a hundred", raw(head("Content-Length: 100\r\n")+"abc", ""), false},
		{"three of many", raw(head("Content-Length: 1000000\r\n")+"abc", ""), false},
		{"none of many", raw(head("Content-Length: 1000000\r\n"), ""), true},
		{"chunked", raw(head("Transfer-Encoding: chunked\r\n")+"3\r\nabc\r\n", ""), false},
		{"chunked and long", raw(head("Transfer-Encoding: chunked\r\n")+"11170\r\n"+long+"\r\n", ""), false},
		{"trickling", raw(head("Content-Length: 1000000\r\n"), "x"), false},
		{"trickling in chunks", raw(head("Transfer-Encoding: chunked\r\n")+"11170\r\n"+long+"\r\n", "1\r\nx\r\n"), true},
		{"expecting a 100", raw(head("Content-Length: 1000000\r\nExpect: 100-continue\r\n"), ""), false},
		{"expecting a 100 for little", raw(head("Content-Length: 100\r\nExpect: 100-continue\r\n"), ""), false},
	}
}

func dripInto(conn net.Conn, drop string) {
	for range 600 {
		time.Sleep(100 * time.Millisecond)
		if _, err := io.WriteString(conn, drop); err != nil {
			return
		}
	}
}

// streamBody is a body that begins and does not end, for HTTP/2 and 3.
func streamBody(t *testing.T, c *client, path string, length int64) {
	t.Helper()
	r, w := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.base+path, r)
	if err != nil {
		t.Error(err)
		return
	}
	request.Host, request.ContentLength = c.host, length
	request.Header.Set("If-Match", "*")
	go func() {
		_, _ = io.WriteString(w, strings.Repeat("x", 70_000))
	}()
	go func() {
		response, err := c.transport.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
	}()
	t.Cleanup(func() { _ = w.CloseWithError(errors.New("the test is over")) })
}

// TestHalfOpenWritesKeepNobodyOut: a client that never ends its body does not keep others from writing for long, nor do as
// many as can be in line. (Ten seconds is how long a write waits. A busy machine needs a little more.)
func TestHalfOpenWritesKeepNobodyOut(t *testing.T) {
	kinds := halfOpens()
	for _, protocol := range []string{"HTTP/2.0", "HTTP/3.0"} {
		for _, length := range []int64{-1, 1_000_000} {
			kinds = append(kinds, halfOpen{fmt.Sprint(protocol, " ", length), func(t *testing.T, c *client, path string) {
				t.Helper()
				streamBody(t, c, path, length)
			}, length < 0})
		}
	}
	all := stubbornSite(t, newStubborn("the first"), guarding+"reverse_proxy {upstream}")
	var owners sync.WaitGroup
	for i, kind := range kinds {
		attacker := all[0]
		for _, c := range all {
			if strings.HasPrefix(kind.name, c.protocol) {
				attacker = c
			}
		}
		for _, clients := range []int{1, 33} {
			if clients > 1 && !kind.crowd {
				continue
			}
			path := fmt.Sprintf("/%d/%d", i, clients)
			for range clients {
				kind.begin(t, attacker, path)
			}
			owners.Go(func() {
				time.Sleep(200 * time.Millisecond) // they are in line
				ownerWrites(t, all[0], path, fmt.Sprintf("%s, %d", kind.name, clients))
			})
		}
	}
	owners.Wait()
}

// ownerWrites is through, if it comes again when it is told to.
func ownerWrites(t *testing.T, owner *client, path, against string) {
	t.Helper()
	start := time.Now()
	for {
		got, err := owner.write(t.Context(), "PUT", path, "the owner's", "If-Match", "*")
		took := time.Since(start)
		switch {
		case err == nil && got.status == http.StatusNoContent && took < 25*time.Second:
			t.Logf("%s: after %s", against, took)
			return
		case err != nil, got.status != http.StatusServiceUnavailable, took > 25*time.Second:
			t.Errorf("%s: the owner got %v (%v) after %s", against, got, err, took)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestNoUpdateIsLostToThoseWhoLeave: clients append to one list, and some leave at any time. What was acknowledged is there.
func TestNoUpdateIsLostToThoseWhoLeave(t *testing.T) {
	s := newStubborn("\n")
	go func() {
		for range s.sent {
			continue // nobody waits for it here
		}
	}()
	c := stubbornSite(t, s, guarding+"reverse_proxy {upstream}")[0]
	const writers, pages = 24, 12
	appends := rounds(1500)
	var acknowledged sync.Map // of "/page line"
	var next atomic.Int64
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			path := fmt.Sprintf("/%d", writer%pages)
			for n := next.Add(1); n <= int64(appends); n = next.Add(1) {
				if line := strconv.FormatInt(n, 10); appendOrLeave(t.Context(), c, path, line) {
					acknowledged.Store(path+" "+line, true)
				}
			}
		})
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	lost, kept := 0, 0
	acknowledged.Range(func(update, _ any) bool {
		path, line, _ := strings.Cut(update.(string), " ")
		if kept++; !strings.Contains(s.texts[path], "\n"+line+"\n") {
			lost++
		}
		return true
	})
	if t.Logf("%d acknowledged of %d", kept, appends); lost > 0 || kept < appends/2 {
		t.Errorf("%d of %d acknowledged updates are lost", lost, kept)
	}
}

// appendOrLeave appends a line, and reports whether that was acknowledged. One in eight writes is left meanwhile; one that was
// refused is tried again.
func appendOrLeave(ctx context.Context, c *client, path, line string) bool {
	for range 100 {
		read, err := c.write(ctx, "GET", path, "")
		if err != nil {
			return false
		}
		got, err := writeOrLeave(ctx, c, path, read.body+line+"\n", read.header.Get("Etag"))
		if err != nil || got.status == http.StatusNoContent {
			return err == nil
		}
	}
	return false
}

func writeOrLeave(ctx context.Context, c *client, path, text, tag string) (answer, error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	if rand.IntN(8) == 0 {
		time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, leave)
	}
	return c.write(ctx, "PUT", path, text, "If-Match", tag, "X-Takes", fmt.Sprintf("%dus", rand.IntN(4000)))
}
