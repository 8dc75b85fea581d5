package integration

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// clientFaults are what clients do wrong: they leave, they hurry, they dawdle.
func clientFaults() map[string]func(t *testing.T, s *faultSite) {
	full := ok(length(len(page)))
	leaves := func(read int, before ...step) func(t *testing.T, s *faultSite) {
		return func(t *testing.T, s *faultSite) {
			t.Helper()
			w := newWatched()
			s.leave(t, w, append(before, w.awaitsEnd()), read, nil)
		}
	}
	return map[string]func(t *testing.T, s *faultSite){
		"leaves before the head":          leaves(-1),
		"leaves in the head":              leaves(-1, says(full[:40])),
		"leaves after hints":              leaves(-1, says(strings.Repeat(early, 30))),
		"leaves a held body":              leaves(-1, says(full, half)),
		"leaves a held body of chunks":    leaves(-1, says(ok(chunked), chunk(half))),
		"leaves a passing body":           leaves(len(half), says(full, half)),
		"leaves a passing body of chunks": leaves(len(half), says(ok(chunked), chunk(half))),
		"leaves before the last chunk":    leaves(len(page), says(ok(chunked), chunk(page))),
		// What comes together with the last chunk, net/http keeps until the trailers are there: nobody can wait for the page.
		"leaves before the trailers": leaves(-1, says(ok(chunked, "Trailer: X-Sum"), chunk(page)), waits(stall), says("0\r\n")),
		"leaves a flood": func(t *testing.T, s *faultSite) {
			t.Helper()
			w := newWatched()
			s.leave(t, w, script{says(ok(length(1 << 40))), w.floods(longPiece)}, len(longPiece), nil)
		},
		"leaves a flood of chunks": func(t *testing.T, s *faultSite) {
			t.Helper()
			w := newWatched()
			s.leave(t, w, script{says(ok(chunked)), w.floods(chunk(longPiece))}, len(longPiece), nil)
		},
		"leaves a part": func(t *testing.T, s *faultSite) {
			t.Helper()
			w := newWatched()
			s.leave(t, w, script{says(full, half), w.awaitsEnd()}, len(half)-2, http.Header{"Range": {"bytes=2-"}})
		},
		"leaves by the dozen":     leaveByTheDozen,
		"leaves in its own head":  leaveInHead,
		"leaves in its own body":  leaveInBody,
		"leaves a write":          leaveWrite,
		"cuts the line":           cutLine,
		"asks with content":       askWithContent,
		"reads slowly":            func(t *testing.T, s *faultSite) { t.Helper(); s.readSlowly(t, true) },
		"reads slowly and leaves": func(t *testing.T, s *faultSite) { t.Helper(); s.readSlowly(t, false) },
		"upgrades":                upgrade,
		"upgrade is refused":      upgradeIsRefused,
		"upgrade is broken off":   upgradeIsBrokenOff,
		"upgrade is left":         upgradeIsLeft,
	}
}

// leave begins a GET, reads so much of its body (-1: not even the head), and leaves. The upstream hears of that, and the next
// one gets the page.
func (s *faultSite) leave(t *testing.T, w watched, says script, read int, fields http.Header) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, originAnswer{Script: says})
	if read < 0 {
		s.sendAndLeave(t, w, http.MethodGet, path, fields)
	} else {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		s.readAndLeave(ctx, t, path, read, fields)
		leave()
	}
	w.mustEnd(t)
	s.nothingIsRemembered(t, key, path)
	s.recovers(t, key, path, false)
}

// sendAndLeave leaves when the upstream has got the request.
func (s *faultSite) sendAndLeave(t *testing.T, w watched, method, path string, fields http.Header) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	gone := make(chan reply, 1)
	go func() { gone <- s.c.send(ctx, method, path, fields) }()
	select {
	case got := <-gone:
		t.Fatalf("before anybody has left: %v", got)
	case <-w.begun:
	}
	leave()
	if got := <-gone; got.err == nil {
		t.Errorf("who has left got %v", got)
	}
}

// readAndLeave gets the beginning of a body without waiting for its end.
func (s *faultSite) readAndLeave(ctx context.Context, t *testing.T, path string, read int, fields http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.c.base+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = s.c.host
	maps.Copy(r.Header, fields)
	response, err := s.c.transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if tag := response.Header.Get("Etag"); tag != "" {
		t.Errorf("what is not over has the tag %s", tag)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, read)); err != nil {
		t.Errorf("of %d bytes that were there: %v", read, err)
	}
	// Not closed: a client of HTTP/1 would read on, for the sake of its connection.
	t.Cleanup(func() { response.Body.Close() })
}

// leaveByTheDozen: a hundred requests are each given up as soon as they are sent. Over HTTP/2 and 3 that is rapid reset.
func leaveByTheDozen(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, originAnswer{Script: script{waits(20 * time.Millisecond), says(ok(length(len(page))), page)}})
	switch s.c.protocol {
	case "HTTP/1.1":
		for range 30 {
			resetByRST(t, s.c, path)
		}
	case "HTTP/2.0":
		rapidReset(t, s.c, path, 200)
	default:
		for range 100 {
			resetStream(t, s.c, path)
		}
	}
	s.recovers(t, key, path, false)
}

// dialTLS connects for one of the protocols on TCP.
func dialTLS(t *testing.T, c *client, protocol string) (*tls.Conn, *net.TCPConn) {
	t.Helper()
	tcp, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.base, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	conn := tls.Client(tcp, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{protocol}})
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn, tcp.(*net.TCPConn)
}

// resetByRST asks and cuts the line.
func resetByRST(t *testing.T, c *client, path string) {
	t.Helper()
	conn, tcp := dialTLS(t, c, "http/1.1")
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n"); err != nil {
		t.Error(err)
	}
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}

// resetStream asks on a stream and gives it up.
func resetStream(t *testing.T, c *client, path string) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	time.AfterFunc(time.Millisecond, leave)
	if got := c.send(ctx, http.MethodGet, path, nil); got.err == nil && got.body != page {
		t.Errorf("got %v", got)
	}
}

// slowClient is a client that takes little at a time.
func slowClient(t *testing.T, c *client) *client {
	t.Helper()
	const window = 64 << 10
	slow := *c
	config := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}
	switch c.protocol {
	case "HTTP/3.0":
		h3 := &http3.Transport{TLSClientConfig: config, DisableCompression: true, QUICConfig: &quic.Config{
			InitialStreamReceiveWindow: window, MaxStreamReceiveWindow: window,
			InitialConnectionReceiveWindow: window, MaxConnectionReceiveWindow: window,
		}}
		t.Cleanup(func() { _ = h3.Close() })
		slow.transport = h3
	default:
		tcp := &http.Transport{TLSClientConfig: config, DisableCompression: true, ForceAttemptHTTP2: c.protocol == "HTTP/2.0"}
		tcp.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window, MaxReceiveBufferPerConnection: 4 * window}
		tcp.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				_ = conn.(*net.TCPConn).SetReadBuffer(window)
			}
			return conn, err
		}
		t.Cleanup(tcp.CloseIdleConnections)
		slow.transport = tcp
	}
	return &slow
}

// readSlowly gets a long body a little at a time, to its end or until it has enough.
func (s *faultSite) readSlowly(t *testing.T, all bool) {
	t.Helper()
	key, path := s.place()
	body := strings.Repeat(longPiece, 24) // 768 KiB
	s.origin.answer(key, healthy(body))
	response := slowClient(t, s.c).open(t, path, nil)
	defer response.Body.Close()
	var got strings.Builder
	piece := make([]byte, 64<<10)
	for all || got.Len() <= len(body)/4 {
		n, err := io.ReadFull(response.Body, piece)
		got.Write(piece[:n])
		if err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !strings.HasPrefix(body, got.String()) || all && got.Len() != len(body) {
		t.Errorf("got %d bytes of %d, or others", got.Len(), len(body))
	}
	_ = response.Body.Close()
	s.recovers(t, key, path, false)
}
