package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"testing"
	"time"
)

// BenchmarkUnread measures what a body costs that nobody needs: read to its end, so that its connection serves the
// next request, or left, so that the next one may have to make a connection. It is what package capture's DiscardLimit
// rests on. The CPU time is that of both sides, of which a user mostly pays for both, too.
//
//	go test -run '^$' -bench Unread -benchtime 300x ./bench
//
// There is no network between the two: what a connection costs in round trips, and how much of a body is under way
// already when it is left, comes on top.
func BenchmarkUnread(b *testing.B) {
	for _, proto := range []string{"plain", "tls", "h2"} {
		for _, size := range []int{10 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, 10 << 20} {
			for _, how := range []string{"read", "left"} {
				b.Run(fmt.Sprintf("%s/%dKiB/%s", proto, size>>10, how), func(b *testing.B) { unread(b, proto, size, how == "left") })
			}
		}
	}
}

func unread(b *testing.B, proto string, size int, leave bool) {
	b.Helper()
	server, client := unreadSides(b, proto, size)
	made := 0
	ctx := httptrace.WithClientTrace(b.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			made++
		}
	}})
	space := make([]byte, 32<<10) // as reverse_proxy copies
	before := cpuOfProcess(b)
	for b.Loop() {
		fetchHead(ctx, b, client, server.URL, space, leave)
	}
	b.ReportMetric(float64((cpuOfProcess(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(made)/float64(b.N), "conns/op")
}

// fetchHead asks for the page, of which only the head is wanted.
func fetchHead(ctx context.Context, b *testing.B, client *http.Client, url string, space []byte, leave bool) {
	b.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if leave {
		return
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, space); err != nil {
		b.Fatal(err)
	}
}

func unreadSides(b *testing.B, proto string, size int) (*httptest.Server, *http.Client) {
	b.Helper()
	body := make([]byte, size)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"text/html"}
		w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
		_, _ = w.Write(body)
	}))
	server.EnableHTTP2 = proto == "h2"
	if proto == "plain" {
		server.Start()
	} else {
		server.StartTLS()
	}
	b.Cleanup(server.Close)
	transport := &http.Transport{
		DialContext:       (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		ForceAttemptHTTP2: proto == "h2", DisableCompression: true, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
	}
	if proto != "plain" {
		roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:forcetypeassert // what httptest makes
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	b.Cleanup(transport.CloseIdleConnections)
	return server, &http.Client{Transport: transport}
}
