package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// verbatim is an upstream that answers each request with a text, to the letter, and ends the connection.
type verbatim struct {
	net.Listener
	text  atomic.Pointer[string]
	asked atomic.Int64
}

func startVerbatim(t *testing.T) *verbatim {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	v := &verbatim{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go v.answer(conn)
		}
	}()
	return v
}

func (v *verbatim) answer(conn net.Conn) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		v.asked.Add(1)
		_, _ = io.WriteString(conn, *v.text.Load())
	}
}

// ending is how the answers of an upstream end.
type ending struct {
	name, head string
	chunked    bool
	remembered bool
}

// A body that ends with its connection may have been cut off, and nobody can tell. Where reverse_proxy says so, its tag is
// not remembered: the next revalidation finds out. What says its own end is remembered.
func TestBodiesThatEndWithTheConnection(t *testing.T) {
	page := strings.Repeat("a line of the page\n", 50)
	for _, tt := range []ending{
		{"HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n", false, false},
		{"HTTP/1.0 with a length", fmt.Sprintf("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n", len(page)), false, true},
		{"HTTP/1.1 in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n", true, true},
		{"HTTP/1.1 in chunks, over HTTP/1.0 before", "HTTP/1.1 200 OK\r\nVia: 1.0 proxy.test\r\nTransfer-Encoding: chunked\r\n", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, page) })
	}
}

// message is an answer with a body.
func (e *ending) message(body string) *string {
	if e.chunked {
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	text := e.head + "Content-Type: text/plain\r\n\r\n" + body
	return &text
}

// check loads a page, cut off where that does not show, and then asks whether it is still the same.
func (e *ending) check(t *testing.T, page string) {
	t.Helper()
	v, port := startVerbatim(t), freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n remember 60s\n }\n reverse_proxy %s\n}", port, v.Addr()))
	c := plainClient(t, port)
	sent := page
	if !e.remembered {
		sent = page[:300] // it dies
	}
	v.text.Store(e.message(sent))
	first := c.get(t, "/", nil)
	etag := first.header.Get("Etag")
	if first.status != http.StatusOK || first.body != sent || etag == "" {
		t.Fatalf("got %v", first)
	}
	v.text.Store(e.message(page)) // it is well again
	before := v.asked.Load()
	again := c.get(t, "/", http.Header{"If-None-Match": {etag}})
	asked := v.asked.Load() - before
	switch {
	case e.remembered && (again.status != http.StatusNotModified || asked != 0):
		t.Errorf("got %v after %d questions, want what is remembered", again, asked)
	case !e.remembered && (again.status != http.StatusOK || again.body != page || asked != 1):
		t.Errorf("got %v after %d questions, want the whole page from the upstream", again, asked)
	}
}

// A hostile page and thirty expressions cost no more than the time that a page may be held.
func TestHostilePageUnderManyExpressions(t *testing.T) {
	const wait = 100 * time.Millisecond
	page := strings.Repeat("x", 1<<20)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(upstream.Close)
	var expressions strings.Builder
	for i := range 30 {
		fmt.Fprintf(&expressions, "ignore `x(?:[^y]*y%d)?`\n", i)
	}
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n etag auto {\n %s }\n buffer {\n max_delay %s\n }\n remember 60s\n }\n reverse_proxy %s\n}",
		port, expressions.String(), wait, strings.TrimPrefix(upstream.URL, "http://")))
	c := plainClient(t, port)
	for range 3 {
		began := time.Now()
		got := c.get(t, "/", http.Header{"If-None-Match": {`W/"cc1.ffffffffffffffffffffffffffffffff"`}})
		took := time.Since(began)
		if got.status != http.StatusOK || got.header.Get("Etag") != "" || got.body != page || got.header.Get("Content-Length") != fmt.Sprint(len(page)) {
			t.Errorf("got %d with %v and %d octets, want the page without a tag", got.status, got.header, len(got.body))
		}
		t.Logf("after %v", took)
		if took > wait+time.Second {
			t.Errorf("it took %v, want little more than %v", took, wait)
		}
	}
}
