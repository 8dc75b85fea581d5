package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// leaveInHead: a client leaves before its request is one. The upstream hears nothing of it.
func leaveInHead(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, healthy(page))
	switch s.c.protocol {
	case "HTTP/1.1":
		conn, tcp := dialTLS(t, s.c, "http/1.1")
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+s.c.host+"\r\n"); err != nil {
			t.Error(err)
		}
		_ = tcp.Close()
	case "HTTP/2.0":
		h, leave := newRawHTTP2(t, s.c)
		h.unended = true
		if err := h.ask(1, false, h.get(path)...); err != nil {
			t.Error(err)
		}
		leave()
	default:
		conn, leave := dialHTTP3(t, s.c)
		stream, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// HEADERS of 128 octets, of which two come.
		if _, err := stream.Write([]byte{0x01, 0x40, 0x80, 0x00, 0x00}); err != nil {
			t.Error(err)
		}
		leave()
	}
	time.Sleep(stall / 3)
	if got := s.origin.received(key); len(got) > 0 {
		t.Errorf("the upstream got %v", got)
	}
	s.recovers(t, key, path, false)
}

// leaveInBody: a client leaves before its write is whole. The write is not done, and others may write.
func leaveInBody(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, takesWrites())
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	body, sent := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, s.c.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.ContentLength = s.c.host, 100
	maps.Copy(r.Header, s.condition())
	time.AfterFunc(stall/3, leave)
	go func() {
		_, _ = io.WriteString(sent, "three of a hundred")
		<-ctx.Done()
		_ = sent.CloseWithError(ctx.Err())
	}()
	if response, err := s.c.transport.RoundTrip(r); err == nil {
		t.Errorf("who has left got %s", response.Status)
		_ = response.Body.Close()
	}
	s.writes(t, path)
	if puts := s.puts(key); puts != 1 {
		t.Errorf("%d writes were sent, want the whole one", puts)
	}
	s.recovers(t, key, path, false)
}

// leaveWrite: what the upstream has been sent is not over when its client leaves. The next write waits for its end.
func leaveWrite(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	w := newWatched()
	var done atomic.Bool
	storm := strings.Repeat(early, 1000)
	if len(s.condition()) == 0 {
		storm = "" // it passes as without the directive, and Caddy v2.11.9 races with Go's HTTP/2 server there: see capture's sendInterim
	}
	s.origin.answer(key, takesWrites(w.begins(), says(storm), waits(stall), func(scriptedConn) error {
		done.Store(true)
		return nil
	}))
	s.sendAndLeave(t, w, http.MethodPut, path, s.condition())
	s.origin.answer(key, takesWrites(func(scriptedConn) error {
		if !done.Load() && len(s.condition()) > 0 {
			t.Error("a write is done while another is under way")
		}
		return nil
	}))
	s.writes(t, path)
	s.recovers(t, key, path, false)
}

// condition is what a write is guarded by. Tags that leave out parts of the page are weak, and no write can be guarded by them.
func (s *faultSite) condition() http.Header {
	if strings.Contains(s.directives, "ignore") {
		return nil
	}
	return http.Header{"If-Match": {`"` + s.whole + `"`}}
}

// takesWrites is a page that is there. A write is answered after the steps.
func takesWrites(first ...step) originAnswer {
	a := healthy(page)
	a.Script, a.ScriptFor = slices.Concat(first, script{says(head("204 No Content"))}), http.MethodPut
	return a
}

// writes wants a write upon the page to succeed, if it comes again when it is told to.
func (s *faultSite) writes(t *testing.T, path string) {
	t.Helper()
	got := reply{status: http.StatusServiceUnavailable}
	for end := time.Now().Add(2 * patience); got.status == http.StatusServiceUnavailable && time.Now().Before(end); time.Sleep(stall / 3) {
		got = s.c.send(t.Context(), http.MethodPut, path, s.condition())
	}
	if got.status != http.StatusNoContent {
		t.Errorf("a write after that gets %v", got)
	}
}

// puts is how many writes the origin has got.
func (s *faultSite) puts(key string) (n int) {
	for _, r := range s.origin.received(key) {
		if strings.HasPrefix(r.line, http.MethodPut) {
			n++
		}
	}
	return n
}

// cutLine: a connection ends amid several responses.
func cutLine(t *testing.T, s *faultSite) {
	t.Helper()
	const streams = 5
	key, path := s.place()
	w := newWatched()
	s.origin.answer(key, originAnswer{Script: script{says(ok(length(len(page))), half), w.awaitsEnd()}})
	cut := openStreams(t, s.c, path, streams)
	for range streams {
		w.mustBegin(t)
	}
	cut()
	for range streams {
		w.mustEnd(t)
	}
	s.nothingIsRemembered(t, key, path)
	s.recovers(t, key, path, false)
}

// openStreams begins several GETs on one line (HTTP/1.1 has one for each), and returns what cuts it.
func openStreams(t *testing.T, c *client, path string, n int) (cut func()) {
	t.Helper()
	switch c.protocol {
	case "HTTP/1.1":
		var cuts []func()
		for range n {
			conn, tcp := dialTLS(t, c, "http/1.1")
			if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n"); err != nil {
				t.Error(err)
			}
			cuts = append(cuts, func() { _ = tcp.SetLinger(0); _ = tcp.Close() })
		}
		return func() {
			for _, cut := range cuts {
				cut()
			}
		}
	case "HTTP/2.0":
		h, leave := newRawHTTP2(t, c)
		for i := range n {
			if err := h.ask(uint32(2*i+1), true, h.get(path)...); err != nil {
				t.Error(err)
			}
		}
		return leave
	}
	conn, leave := dialHTTP3(t, c)
	h3 := (&http3.Transport{}).NewClientConn(conn)
	for range n {
		stream, err := h3.OpenRequestStream(t.Context())
		if err == nil {
			err = stream.SendRequestHeader(&http.Request{Method: http.MethodGet, Host: c.host, URL: &url.URL{Scheme: "https", Host: c.host, Path: path}})
		}
		if err != nil {
			t.Error(err)
			continue
		}
		_ = stream.Close()
	}
	return leave
}

// askWithContent: what a request with content asks for is asked of the upstream each time, though no length tells of it.
func askWithContent(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, healthy(page))
	for n := range 3 {
		_ = s.origin.received(key)
		s.c.search(t, fmt.Sprint("q=", n), path, `"`+s.whole+`"`)
		if len(s.origin.received(key)) == 0 {
			t.Error("content is answered from memory")
		}
	}
	s.nothingIsRemembered(t, key, path)
	s.recovers(t, key, path, false)
}
