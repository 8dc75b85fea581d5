package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// tunnel is what becomes of a request for a WebSocket: by Upgrade, or by extended CONNECT (RFC 8441, RFC 9220).
type tunnel struct {
	io.Reader
	io.Writer
	status string
	etag   string
	leave  func()
}

// openTunnel asks for one and waits for the answer.
func openTunnel(t *testing.T, c *client, path string) tunnel {
	t.Helper()
	answer, _ := askTunnel(t, c, path)
	return answer()
}

// askTunnel asks for one.
func askTunnel(t *testing.T, c *client, path string) (answer func() tunnel, leave func()) {
	t.Helper()
	switch c.protocol {
	case "HTTP/1.1":
		return upgradeHTTP1(t, c, path)
	case "HTTP/2.0":
		return connectHTTP2(t, c, path)
	}
	return connectHTTP3(t, c, path)
}

func upgradeHTTP1(t *testing.T, c *client, path string) (answer func() tunnel, leave func()) {
	t.Helper()
	conn, tcp := dialTLS(t, c, "http/1.1")
	r := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+c.host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	leave = func() { _ = tcp.Close() }
	return func() tunnel {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body := io.Reader(response.Body)
		if response.StatusCode == http.StatusSwitchingProtocols {
			body = r
		}
		return tunnel{body, conn, response.Status[:3], response.Header.Get("Etag"), leave}
	}, leave
}

// rawHTTP2 speaks HTTP/2 frame by frame.
type rawHTTP2 struct {
	*http2.Framer
	c      *client
	fields bytes.Buffer
	coder  *hpack.Encoder
	data   bytes.Buffer // of stream 1, not read yet
	// unended: heads are left open, as if a CONTINUATION were to come.
	unended bool
}

// get are the fields of a GET.
func (h *rawHTTP2) get(path string) (pairs []string) {
	return []string{":method", http.MethodGet, ":scheme", "https", ":path", path, ":authority", h.c.host}
}

func newRawHTTP2(t *testing.T, c *client) (h *rawHTTP2, leave func()) {
	t.Helper()
	conn, tcp := dialTLS(t, c, "h2")
	h = &rawHTTP2{Framer: http2.NewFramer(conn, conn), c: c}
	h.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.coder = hpack.NewEncoder(&h.fields)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return h, func() { _ = tcp.Close() }
}

// ask opens a stream.
func (h *rawHTTP2) ask(stream uint32, end bool, pairs ...string) error {
	h.fields.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = h.coder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.fields.Bytes(), EndHeaders: !h.unended, EndStream: end})
}

// Read reads from stream 1.
func (h *rawHTTP2) Read(p []byte) (int, error) {
	for h.data.Len() == 0 {
		frame, err := h.ReadFrame()
		if err != nil {
			return 0, err
		}
		switch f := frame.(type) {
		case *http2.DataFrame:
			h.data.Write(f.Data())
			if f.StreamEnded() && h.data.Len() == 0 {
				return 0, io.EOF
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return 0, io.ErrUnexpectedEOF
		}
	}
	return h.data.Read(p)
}

// Write writes to stream 1.
func (h *rawHTTP2) Write(p []byte) (int, error) { return len(p), h.WriteData(1, false, p) }

// extendedConnect makes Go's HTTP/2 know of :protocol. It is read when a process starts.
const extendedConnect = "http2xconnect=1"

// TestExtendedConnect lets the upgrades of the matrix be tested over HTTP/2 in a process of their own.
func TestExtendedConnect(t *testing.T) {
	test := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaultMatrix$/./HTTP/2.0/cases/client/upgrade", "-test.v") //nolint:gosec // it is this test
	test.Env = append(os.Environ(), "GODEBUG="+extendedConnect, "CONDITIONAL_CACHE_FAULTS=all")
	output, err := test.CombinedOutput()
	passed := strings.Count(string(output), "--- PASS: TestFaultMatrix/") - strings.Count(string(output), "/cases (") - strings.Count(string(output), "/HTTP/2.0 (")
	if want := 4 * len(faultSetups()); err != nil || passed != want {
		t.Errorf("%v; %d cases passed, want %d\n%s", err, passed, want, output)
	}
}

func connectHTTP2(t *testing.T, c *client, path string) (answer func() tunnel, leave func()) {
	t.Helper()
	if !strings.Contains(os.Getenv("GODEBUG"), extendedConnect) {
		t.Skip("this process has no extended CONNECT over HTTP/2; see TestExtendedConnect")
	}
	h, leave := newRawHTTP2(t, c)
	if err := h.ask(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", path, ":authority", c.host, "sec-websocket-version", "13"); err != nil {
		t.Fatal(err)
	}
	return func() tunnel {
		status, etag := h.readHead(t)
		return tunnel{h, h, status, etag, leave}
	}, leave
}

// readHead reads up to the first head.
func (h *rawHTTP2) readHead(t *testing.T) (status, etag string) {
	t.Helper()
	for {
		frame, err := h.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.RegularFields() {
				if field.Name == "etag" {
					etag = field.Value
				}
			}
			return f.PseudoValue("status"), etag
		case *http2.RSTStreamFrame:
			t.Fatalf("the stream was reset: %v", f)
		case *http2.GoAwayFrame:
			t.Fatalf("the connection was ended: %v", f)
		}
	}
}

// dialHTTP3 connects for HTTP/3.
func dialHTTP3(t *testing.T, c *client) (conn *quic.Conn, leave func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, strings.TrimPrefix(c.base, "https://"), &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	leave = func() { _ = conn.CloseWithError(0x100, "") }
	t.Cleanup(leave)
	return conn, leave
}

func connectHTTP3(t *testing.T, c *client, path string) (answer func() tunnel, leave func()) {
	t.Helper()
	conn, leave := dialHTTP3(t, c)
	stream, err := (&http3.Transport{}).NewClientConn(conn).OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.SetDeadline(time.Now().Add(patience))
	if err := stream.SendRequestHeader(&http.Request{
		Method: http.MethodConnect, Proto: "websocket", Host: c.host, URL: &url.URL{Scheme: "https", Host: c.host, Path: path},
		Header: http.Header{"Sec-Websocket-Version": {"13"}},
	}); err != nil {
		t.Fatal(err)
	}
	return func() tunnel {
		response, err := stream.ReadResponse()
		if err != nil {
			t.Fatal(err)
		}
		return tunnel{stream, stream, response.Status[:3], response.Header.Get("Etag"), leave}
	}, leave
}

// upgrade: bytes go both ways, and when the client leaves the upstream hears of it.
func upgrade(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	w := newWatched()
	s.origin.answer(key, originAnswer{Script: script{says(switching), w.echoes()}})
	got := openTunnel(t, s.c, path)
	if want := map[bool]string{true: "101", false: "200"}[s.c.protocol == "HTTP/1.1"]; got.status != want || got.etag != "" {
		t.Errorf("got %s with the tag %q, want %s without", got.status, got.etag, want)
	}
	for _, text := range []string{"hello", half, strings.Repeat("x", 10_000)} {
		if _, err := io.WriteString(got, text); err != nil {
			t.Fatal(err)
		}
		echo := make([]byte, len(text))
		if n, err := io.ReadFull(got, echo); err != nil || string(echo) != text {
			t.Fatalf("the echo of %d bytes is %.60q, %v", len(text), echo[:n], err)
		}
		time.Sleep(stall / 3) // more than max_delay in all
	}
	got.leave()
	w.mustEnd(t)
	s.recovers(t, key, path, false)
}

// upgradeIsRefused: a refusal passes as it does without the directive.
func upgradeIsRefused(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	refuse := originAnswer{Script: script{says(head("403 Forbidden", length(len(half)), once), half), closes()}}
	s.origin.answer(key, refuse)
	var texts [2]string
	for i, c := range []*client{s.c, s.stock} {
		got := openTunnel(t, c, path)
		body := make([]byte, len(half))
		n, err := io.ReadFull(got, body)
		if got.etag != "" {
			t.Errorf("the refusal has the tag %s", got.etag)
		}
		texts[i] = got.status + " " + string(body[:n])
		if err != nil {
			texts[i] += " and an error"
		}
		got.leave()
	}
	if texts[0] != texts[1] || !strings.HasPrefix(texts[0], "403 ") {
		t.Errorf("got %q, without the directive %q", texts[0], texts[1])
	}
	s.recovers(t, key, path, false)
}

// upgradeIsBrokenOff: the client has what was sent, and then the end.
func upgradeIsBrokenOff(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, originAnswer{Script: script{says(switching, "hello"), waits(stall), resets()}})
	got := openTunnel(t, s.c, path)
	if text, _ := io.ReadAll(got); string(text) != "hello" {
		t.Errorf("got %q before the end", text)
	}
	got.leave()
	s.recovers(t, key, path, false)
}

// upgradeIsLeft: a client leaves before it has an answer. The upstream hears of that.
func upgradeIsLeft(t *testing.T, s *faultSite) {
	t.Helper()
	key, path := s.place()
	w := newWatched()
	s.origin.answer(key, originAnswer{Script: script{w.awaitsEnd()}})
	_, leave := askTunnel(t, s.c, path)
	w.mustBegin(t)
	leave()
	w.mustEnd(t)
	s.recovers(t, key, path, false)
}

// rapidReset opens streams and resets each at once (CVE-2023-44487).
func rapidReset(t *testing.T, c *client, path string, streams int) {
	t.Helper()
	h, leave := newRawHTTP2(t, c)
	defer leave()
	for i := range streams {
		stream := uint32(2*i + 1)
		err := h.ask(stream, true, h.get(path)...)
		if err == nil {
			err = h.WriteRSTStream(stream, http2.ErrCodeCancel)
		}
		if err != nil {
			t.Logf("after %d streams: %v", i, err) // the server may have enough of it
			return
		}
	}
}
