package integration

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// A page that is revalidated costs the upstream no connection: one of 300 KB, as pages are, no more than a short one.
// (Up to what length that is the cheaper way, package capture's discardLimit says.)
func TestRevalidationsKeepTheConnection(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, framing := range []string{"length", "chunked"} {
			for _, size := range []int{10 << 10, 300_000, 1 << 20} {
				t.Run(fmt.Sprintf("%s/%s/%d", scheme, framing, size), func(t *testing.T) {
					made := connectionsOf(t, scheme, framing, size, 20)
					if made > 4 { // a busy machine may need more than the 50 ms that a rest is read for, now and then
						t.Errorf("%d connections were made for 20 revalidations", made)
					}
				})
			}
		}
	}
}

// What is much longer is not fetched for the sake of a connection.
func TestRevalidationOfALongBodyLeavesIt(t *testing.T) {
	if made := connectionsOf(t, "http", "length", 8<<20, 4); made != 4 {
		t.Errorf("%d connections were made for 4 revalidations", made)
	}
}

// connectionsOf asks n times for a page that has its own tag, and whose upstream does not listen to conditions. It returns
// how many connections that has taken.
func connectionsOf(t *testing.T, scheme, framing string, size, n int) int64 {
	t.Helper()
	var connections atomic.Int64
	body := strings.Repeat("x", size)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Content-Type", "text/html")
		if framing == "length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		_, _ = w.Write([]byte(body))
	}))
	upstream.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	transport := ""
	if scheme == "http" {
		upstream.Start()
	} else {
		upstream.StartTLS()
		transport = " {\n transport http {\n tls_insecure_skip_verify\n versions 1.1\n }\n }"
	}
	t.Cleanup(upstream.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://127.0.0.1:%d {\n conditional_cache\n reverse_proxy %s%s\n}", port, upstream.URL, transport))
	c := &client{transport: http.DefaultTransport, base: fmt.Sprintf("http://127.0.0.1:%d", port), host: "127.0.0.1", protocol: "HTTP/1.1"}
	for range n {
		if got := c.get(t, "/", http.Header{"If-None-Match": {`"v1"`}}); got.status != http.StatusNotModified {
			t.Fatalf("status %d", got.status)
		}
	}
	return connections.Load()
}
