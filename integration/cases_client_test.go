package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// exchangeTimeout bounds one request and its answer: a hanging answer is a failure, not a hanging test run.
const exchangeTimeout = 10 * time.Second

// field is one field line.
type field struct{ name, value string }

// fields are the field lines of a message in the order of the wire, names as they were spelt.
type fields []field

// lines returns the values of a field's lines; the name is matched case-insensitively (RFC 9110 §5.1).
func (fs fields) lines(name string) []string {
	var values []string
	for _, f := range fs {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// joined returns a field's lines as one list (RFC 9110 §5.3) and whether there is any.
func (fs fields) joined(name string) (string, bool) {
	values := fs.lines(name)
	return strings.Join(values, ", "), values != nil
}

func (fs fields) has(name string) bool { return fs.lines(name) != nil }

func (fs fields) String() string {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%s: %s\n", f.name, f.value)
	}
	return b.String()
}

// caseRequest is the request of a case.
type caseRequest struct {
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Headers headerLines `json:"headers"`
}

// wire returns the bytes of the request. The target of the case comes after the path that names it to the origin.
func (r caseRequest) wire(authority, key string) []byte {
	var b bytes.Buffer
	target := r.Target
	if target == "" {
		target = "/"
	}
	fmt.Fprintf(&b, "%s /case/%s%s HTTP/1.1\r\n", r.Method, key, target)
	if _, given := r.Headers["Host"]; !given {
		fmt.Fprintf(&b, "Host: %s\r\n", authority)
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		b.WriteString("Content-Length: 0\r\n") // RFC 9110 §8.6: these methods say so when there is no content
	}
	writeFields(&b, r.Headers)
	b.WriteString("\r\n")
	return b.Bytes()
}

// withoutConditions is the request with which a client would have filled its cache: a GET without preconditions and
// Range.
func (r caseRequest) withoutConditions() caseRequest {
	plain := caseRequest{Method: http.MethodGet, Target: r.Target, Headers: headerLines{}}
	for name, values := range r.Headers {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "if-") && lower != "range" {
			plain.Headers[name] = values
		}
	}
	return plain
}

// caseResponse is a response as it came over the wire.
type caseResponse struct {
	status     int
	line       string
	fields     fields
	body       []byte
	incomplete bool // the connection ended before the framing did
	interim    []caseResponse
	trailers   fields
}

func (r caseResponse) String() string {
	var b strings.Builder
	for _, i := range r.interim {
		fmt.Fprintf(&b, "%s\n%s\n", i.line, i.fields)
	}
	fmt.Fprintf(&b, "%s\n%s\n%q", r.line, r.fields, r.body)
	if r.incomplete {
		b.WriteString(" ... and then the connection ended")
	}
	if len(r.trailers) > 0 {
		fmt.Fprintf(&b, "\n%s", r.trailers)
	}
	return b.String()
}

// caseClient is one connection. net/http's client would hide what is asked here: field lines and their order, the
// framing, bytes after a message that has no content.
type caseClient struct {
	conn      net.Conn
	r         *bufio.Reader
	authority string
}

func dialCase(port int) (*caseClient, error) {
	conn, err := net.DialTimeout("tcp", authority(port), exchangeTimeout)
	if err != nil {
		return nil, err
	}
	return &caseClient{conn: conn, r: bufio.NewReader(conn), authority: authority(port)}, nil
}

// authority is the Host of a request that a case gives none.
func authority(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (c *caseClient) close() { _ = c.conn.Close() }

// send writes a request and reads its whole answer.
func (c *caseClient) send(r caseRequest, key string) (caseResponse, error) {
	if err := c.conn.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return caseResponse{}, err
	}
	if _, err := c.conn.Write(r.wire(c.authority, key)); err != nil {
		return caseResponse{}, err
	}
	return readResponse(c.r, r.Method)
}

// readResponse reads the interim responses and the final one.
func readResponse(r *bufio.Reader, method string) (caseResponse, error) {
	var interim []caseResponse
	for {
		line, fs, err := readHead(r)
		if err != nil {
			return caseResponse{}, fmt.Errorf("reading the response head: %w", err)
		}
		code, ok := strings.CutPrefix(line, "HTTP/1.1 ")
		if !ok || len(code) < 3 {
			return caseResponse{}, fmt.Errorf("%q is not a status line", line)
		}
		status, err := strconv.Atoi(code[:3])
		if err != nil {
			return caseResponse{}, fmt.Errorf("%q is not a status line", line)
		}
		resp := caseResponse{status: status, line: line, fields: fs}
		if status < 200 {
			interim = append(interim, resp)
			continue
		}
		resp.interim = interim
		return resp.withBody(r, method)
	}
}

// withBody adds the content that the framing announces (RFC 9112 §6.3). An early end is no error but a fact.
func (r caseResponse) withBody(br *bufio.Reader, method string) (caseResponse, error) {
	var err error
	length, hasLength := r.fields.joined("Content-Length")
	switch {
	case method == http.MethodHead || r.status == http.StatusNoContent || r.status == http.StatusNotModified:
	case r.fields.has("Transfer-Encoding"):
		if r.body, err = io.ReadAll(httputil.NewChunkedReader(br)); err == nil {
			r.trailers, err = readFields(br)
		}
	case hasLength:
		n, parseErr := strconv.Atoi(length)
		if parseErr != nil {
			return r, parseErr
		}
		r.body = make([]byte, n)
		n, err = io.ReadFull(br, r.body)
		r.body = r.body[:n]
	default:
		r.body, err = io.ReadAll(br)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		r.incomplete, err = true, nil
	}
	return r, err
}

// readHead reads a start line and the field lines up to the empty line.
func readHead(r *bufio.Reader) (string, fields, error) {
	line, err := readLine(r)
	if err != nil {
		return "", nil, err
	}
	fs, err := readFields(r)
	return line, fs, err
}

func readFields(r *bufio.Reader) (fields, error) {
	var fs fields
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return fs, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%q is not a field line", line)
		}
		fs = append(fs, field{name, strings.Trim(value, " \t")})
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	return fromWire(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")), nil
}

// toWire turns the characters U+0000 to U+00FF into the bytes of ISO-8859-1, in which the case files are written.
func toWire(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range s {
		if c > 0xff {
			panic(fmt.Sprintf("%q cannot be written in ISO-8859-1", s))
		}
		b = append(b, byte(c&0xff))
	}
	return string(b)
}

// fromWire is the inverse of toWire.
func fromWire(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
