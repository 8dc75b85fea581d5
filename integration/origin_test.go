package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin is an upstream that speaks HTTP/1.1 byte by byte. It ignores every precondition and Range, so what a
// client gets of them was made in between. net/http cannot play it: it refuses or repairs half of what is needed
// here (invalid validators, chosen chunks, bodies that end early, a status line without Date).
//
// An answer is found by the second segment of the path, /case/<key>/...; keep-alive is the rule.
type origin struct {
	listener net.Listener

	mu       sync.Mutex
	answers  map[string]originAnswer
	requests map[string][]receivedRequest
	conns    map[net.Conn]struct{}
}

// originAnswer is one answer as the case files describe it. Strings are Unicode here and ISO-8859-1 on the wire.
type originAnswer struct {
	Status   int               `json:"status"`
	Headers  headerLines       `json:"headers"`
	Body     string            `json:"body"`
	Chunked  bool              `json:"chunked"`
	Chunks   []int             `json:"chunks"` // sizes; what is left over makes one more chunk
	Trailers headerLines       `json:"trailers"`
	Interim  []interimResponse `json:"interim"`
	Truncate *int              `json:"truncate"` // the connection ends after so many bytes of the body
	Script   script            `json:"-"`        // instead of all this: what is done with the connection
	// ScriptFor is the one method that gets the script; "" is every method but PUT.
	ScriptFor string `json:"-"`
}

// headerLines maps a field name to its field lines, in order.
type headerLines map[string]lines

// lines are the lines of one field. In JSON a string is one line, an array several; null is none and keeps the
// origin from adding the field by itself (Date).
type lines []string

func (l *lines) UnmarshalJSON(data []byte) error {
	var one *string
	if err := json.Unmarshal(data, &one); err == nil {
		*l = nil
		if one != nil {
			*l = lines{*one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// interimResponse is a 1xx, written as [103, {"Link": "..."}].
type interimResponse struct {
	Status  int
	Headers headerLines
}

func (i *interimResponse) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("interim response %s is not [1xx, {fields}]", data)
	}
	if err := json.Unmarshal(pair[0], &i.Status); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[1], &i.Headers); err != nil {
		return err
	}
	if i.Status < 100 || i.Status > 199 {
		return fmt.Errorf("%d is no interim status", i.Status)
	}
	return nil
}

// receivedRequest is what reached the origin.
type receivedRequest struct {
	line   string // method, target, protocol
	fields fields
}

func (r receivedRequest) String() string { return r.line + "\n" + r.fields.String() }

// startOrigin listens on 127.0.0.1 until the test ends.
func startOrigin(t *testing.T) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{
		listener: l,
		answers:  make(map[string]originAnswer),
		requests: make(map[string][]receivedRequest),
		conns:    make(map[net.Conn]struct{}),
	}
	go o.accept()
	t.Cleanup(o.stop)
	return o
}

// addr is the host and port that a reverse_proxy is given.
func (o *origin) addr() string { return o.listener.Addr().String() }

// answer decides what is said to /case/<key>/... from now on.
func (o *origin) answer(key string, a originAnswer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[key] = a
}

// received returns the requests to /case/<key>/... and forgets them. A request is there before the first byte of its
// answer is sent, so it never has to be waited for.
func (o *origin) received(key string) []receivedRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	got := o.requests[key]
	delete(o.requests, key)
	return got
}

func (o *origin) accept() {
	for {
		c, err := o.listener.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns[c] = struct{}{}
		o.mu.Unlock()
		go o.serve(c)
	}
}

func (o *origin) stop() {
	_ = o.listener.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		_ = c.Close()
	}
}

// serve answers the requests of one connection until it ends or an answer is cut short.
func (o *origin) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.conns, c)
	}()
	r := bufio.NewReader(c)
	for {
		req, err := readRequest(r)
		if err != nil {
			return
		}
		a := o.take(req)
		method, _, _ := strings.Cut(req.line, " ")
		if a.scripted(method) {
			if a.Script.play(scriptedConn{c, r}) != nil {
				return
			}
			continue
		}
		if _, err := c.Write(a.wire(method)); err != nil || a.Truncate != nil {
			return
		}
	}
}

// scripted reports whether the answer to a method is by script.
func (a originAnswer) scripted(method string) bool {
	if a.ScriptFor != "" {
		return method == a.ScriptFor
	}
	return a.Script != nil && method != http.MethodPut
}

// take records a request and finds its answer. A target nobody asked to be answered gets a 500 that says so.
func (o *origin) take(req receivedRequest) originAnswer {
	key := caseKey(req.line)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests[key] = append(o.requests[key], req)
	a, ok := o.answers[key]
	if !ok {
		return originAnswer{Status: http.StatusInternalServerError, Body: "no case answers " + req.line}
	}
	return a
}

// caseKey cuts the key out of a request line like "GET /case/<key>/path HTTP/1.1".
func caseKey(requestLine string) string {
	_, rest, _ := strings.Cut(requestLine, " /case/")
	return rest[:max(0, strings.IndexAny(rest, "/ ?"))]
}

// readRequest reads a head and throws the body away, which frees the connection for the next request.
func readRequest(r *bufio.Reader) (receivedRequest, error) {
	line, fs, err := readHead(r)
	if err != nil {
		return receivedRequest{}, err
	}
	if fs.has("Transfer-Encoding") {
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(r)); err != nil {
			return receivedRequest{}, err
		}
		if _, err := readFields(r); err != nil { // trailers
			return receivedRequest{}, err
		}
	}
	if length, ok := fs.joined("Content-Length"); ok {
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil {
			return receivedRequest{}, err
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			return receivedRequest{}, err
		}
	}
	return receivedRequest{line: line, fields: fs}, nil
}

// wire returns the bytes of the answer to a method, interim responses first.
func (a originAnswer) wire(method string) []byte {
	var b bytes.Buffer
	for _, i := range a.Interim {
		writeHead(&b, i.Status, i.Headers)
	}
	writeHead(&b, a.Status, a.completeHeaders())
	if method != http.MethodHead && a.hasBody() {
		a.writeBody(&b)
	}
	return b.Bytes()
}

// hasBody is false for the status codes that never have content (RFC 9112 §6.3).
func (a originAnswer) hasBody() bool {
	return a.Status != http.StatusNoContent && a.Status != http.StatusNotModified
}

// completeHeaders adds what a server adds unless the case gives it: Date, and how the body ends.
func (a originAnswer) completeHeaders() headerLines {
	h := maps.Clone(a.Headers)
	if h == nil {
		h = headerLines{}
	}
	add := func(name, value string) {
		if _, given := h[name]; !given {
			h[name] = lines{value}
		}
	}
	add("Date", time.Now().UTC().Format(http.TimeFormat))
	switch {
	case !a.hasBody():
	case a.Chunked || a.Chunks != nil || a.Trailers != nil:
		add("Transfer-Encoding", "chunked")
		if a.Trailers != nil {
			add("Trailer", strings.Join(slices.Sorted(maps.Keys(a.Trailers)), ", "))
		}
	default:
		add("Content-Length", strconv.Itoa(len(toWire(a.Body))))
	}
	return h
}

// writeBody writes the content in its framing, or as much of it as truncate leaves.
func (a originAnswer) writeBody(b *bytes.Buffer) {
	body := toWire(a.Body)
	if a.Truncate != nil {
		body = body[:*a.Truncate]
	}
	if !a.Chunked && a.Chunks == nil && a.Trailers == nil {
		b.WriteString(body)
		return
	}
	for _, size := range append(slices.Clone(a.Chunks), len(body)) {
		size = min(size, len(body))
		if size == 0 {
			break
		}
		fmt.Fprintf(b, "%x\r\n%s\r\n", size, body[:size])
		body = body[size:]
	}
	if a.Truncate == nil {
		b.WriteString("0\r\n")
		writeFields(b, a.Trailers)
		b.WriteString("\r\n")
	}
}

func writeHead(b *bytes.Buffer, status int, h headerLines) {
	fmt.Fprintf(b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	writeFields(b, h)
	b.WriteString("\r\n")
}

// writeFields writes field lines sorted by name, so that a case sends the same bytes every time.
func writeFields(b *bytes.Buffer, h headerLines) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			fmt.Fprintf(b, "%s: %s\r\n", name, toWire(value))
		}
	}
}

// TestOriginAnswersByteByByte pins what the other tests take for granted about the origin.
func TestOriginAnswersByteByByte(t *testing.T) {
	date := headerLines{"Date": nil}
	five := 5
	for name, tc := range map[string]struct {
		method string
		answer originAnswer
		want   string
	}{
		"length":    {"GET", originAnswer{Status: 200, Headers: date, Body: "hello"}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		"latin-1":   {"GET", originAnswer{Status: 200, Headers: date, Body: "\u00ff"}, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff"},
		"head":      {"HEAD", originAnswer{Status: 200, Headers: date, Body: "hello"}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		"304":       {"GET", originAnswer{Status: 304, Headers: date}, "HTTP/1.1 304 Not Modified\r\n\r\n"},
		"truncated": {"GET", originAnswer{Status: 200, Headers: date, Body: "hello, world", Truncate: &five}, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello"},
		"chunked": {
			"GET",
			originAnswer{Status: 200, Headers: date, Body: "hello", Chunked: true},
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		},
		"chunks and trailers": {
			"GET",
			originAnswer{Status: 200, Headers: date, Body: "hello", Chunks: []int{1, 3}, Trailers: headerLines{"X-Sum": lines{"9"}}},
			"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\nX-Sum: 9\r\n\r\n",
		},
		"interim and two lines": {
			"GET",
			originAnswer{Status: 204, Headers: headerLines{"Date": nil, "Vary": lines{"A", "B"}}, Interim: []interimResponse{{103, headerLines{"Link": lines{"</s>"}}}}},
			"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 204 No Content\r\nVary: A\r\nVary: B\r\n\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(tc.answer.wire(tc.method)); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}
