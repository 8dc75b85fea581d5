package exchange_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// caseMessage is what the conformance cases have for a request, and for a response.
type caseMessage struct {
	Method   string                     `json:"method"`
	Target   string                     `json:"target"`
	Status   int                        `json:"status"`
	Headers  map[string]json.RawMessage `json:"headers"`
	Body     string                     `json:"body"`
	Chunks   []int                      `json:"chunks"`
	Trailers map[string]json.RawMessage `json:"trailers"`
	Interim  [][]json.RawMessage        `json:"interim"`
	Truncate *int                       `json:"truncate"`
}

type caseStep struct{ Origin, Request caseMessage }

// addSeeds adds the conformance cases, each under the next one of the configurations, and what those have not got.
func addSeeds(f *testing.F, configs int) {
	f.Helper()
	paths, err := filepath.Glob("../../integration/testdata/cases/*.jsonl")
	if err != nil || len(paths) == 0 {
		f.Fatal("the conformance cases are gone", err)
	}
	n := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			for _, step := range caseSteps(f, line) {
				f.Add(uint8(n%configs), uint8(n%(3*ways)), step.Request.request(), step.Origin.response(f))
				n++
			}
		}
	}
	for i, request := range seedRequests {
		for j, response := range seedResponses {
			if (i+j)%4 == 0 { // all of them meet in TestHandlerConfigs
				f.Add(uint8(n%configs), uint8(n%(3*ways)), []byte(request), []byte(response))
				n++
			}
		}
	}
}

var nowIn = regexp.MustCompile(`\{\{now([+-][0-9]+)\}\}`)

func caseSteps(f *testing.F, line []byte) []caseStep {
	f.Helper()
	line = nowIn.ReplaceAllFunc(line, func(match []byte) []byte {
		seconds, _ := strconv.Atoi(string(match[len("{{now") : len(match)-2]))
		return []byte(time.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat))
	})
	line = regexp.MustCompile(`\{\{step[0-9]\.`).ReplaceAll(line, []byte("{{"))
	line = bytes.ReplaceAll(line, []byte("{{etag_of_empty}}"), []byte(strings.ReplaceAll(staleTag, `"`, `\"`)))
	var c struct {
		caseStep
		Steps []caseStep
	}
	if err := json.Unmarshal(line, &c); err != nil {
		f.Fatalf("%v in %s", err, line)
	}
	if c.Steps != nil {
		return c.Steps
	}
	return []caseStep{c.caseStep}
}

func (m *caseMessage) request() []byte {
	var b bytes.Buffer
	target := m.Target
	if target == "" {
		target = "/"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", m.Method, target)
	writeLines(&b, m.Headers)
	b.WriteString("Host: a\r\n\r\n")
	return b.Bytes()
}

func (m *caseMessage) response(f *testing.F) []byte {
	f.Helper()
	var b bytes.Buffer
	for _, interim := range m.Interim {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(interim[1], &fields); err != nil {
			f.Fatal(err)
		}
		fmt.Fprintf(&b, "HTTP/1.1 %s x\r\n", interim[0])
		writeLines(&b, fields)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "HTTP/1.1 %d x\r\n", m.Status)
	writeLines(&b, m.Headers)
	_, hasLength := m.Headers["Content-Length"]
	switch {
	case m.Trailers != nil:
		fmt.Fprintf(&b, "Trailer: %s\r\n", strings.Join(slices.Sorted(maps.Keys(m.Trailers)), ","))
	case m.Chunks == nil && !hasLength:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(m.Body))
	}
	b.WriteString("\r\n")
	body := m.Body
	if m.Truncate != nil {
		body = body[:min(*m.Truncate, len(body))]
	}
	for i, size := range m.Chunks {
		if size = min(size, len(body)); i > 0 {
			b.WriteByte(markFlush)
		}
		b.Write(literally(body[:size]))
		body = body[size:]
	}
	b.Write(literally(body))
	if m.Trailers != nil {
		b.WriteByte(markTrailers)
		writeLines(&b, m.Trailers)
	}
	return b.Bytes()
}

func writeLines(b *bytes.Buffer, fields map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var one string
		var lines []string
		if json.Unmarshal(fields[name], &one) == nil && string(fields[name]) != "null" {
			lines = []string{one}
		} else {
			_ = json.Unmarshal(fields[name], &lines)
		}
		for _, line := range lines {
			fmt.Fprintf(b, "%s: %s\r\n", name, line)
		}
	}
}

// literally is content without marks.
func literally(content string) []byte {
	var b []byte
	for i := range len(content) {
		if c := content[i]; c > 0 && c <= markDouble || c == markLiteral {
			b = append(b, markLiteral)
		}
		b = append(b, content[i])
	}
	return b
}

// seedRequests meet each of seedResponses.
var seedRequests = []string{
	"GET /r?q=1 HTTP/1.1\r\nHost: a\r\nIf-None-Match: {{etag}}\r\nAccept-Encoding: gzip, br\r\n\r\n",
	"HEAD / HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: {{modified}}\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: {{modified}}\r\nCookie: s=1\r\nOrigin: https://b.example\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Tue, 19 Jan 2038 03:14:07 GMT\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1, -2, 4-\r\nIf-Range: {{etag}}\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=9999-\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=12-\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=5-6, -3, 0-0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\nIf-Match: {{coded}}\r\nIf-Unmodified-Since: " + modified + "\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nIf-Match: \"other\"\r\nIf-None-Match: {{etag}}\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nIf-Unmodified-Since: " + dayBefore + "\r\nIf-Modified-Since: {{modified}}\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=1-3\r\nIf-Range: " + dayAfter + "\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=1-3\r\nIf-None-Match: *\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
	"PATCH / HTTP/1.1\r\nHost: a\r\nIf-Match: " + staleTag + "\r\nContent-Length: 9\r\n\r\nabc",
	"PUT / HTTP/1.1\r\nHost: a\r\nIf-Match: {{etag}}\r\nContent-Length: 3\r\n\r\nabc",
	"DELETE / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nIf-Match: " + staleTag + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"long-tag-1\", " + staleDated + "\r\nAuthorization: Basic YTpi\r\nCache-Control: no-cache\r\n\r\n",
}

var seedResponses = []string{
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello, world",
	"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nhello,\x01 world",
	"HTTP/1.1 200 OK\r\nLast-Modified: " + modified + "\r\nCache-Control: public, max-age=60\r\nVary: Accept-Language\r\nVary: X\r\n\r\nhello, world\x07\x07",
	"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nLast-Modified: " + modified + "\r\nContent-Security-Policy: script-src 'nonce-abc'\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nLast-Modified: " + modified + "\r\nCache-Control: no-transform\r\nContent-Length: 12\r\n\r\nhello, world",
	"HTTP/1.1 200 OK\r\n\r\nhello, world" + strings.Repeat("\x07", 7),
	"HTTP/1.1 200 OK\r\nETag: \"long-tag-2\"\r\nContent-Length: 1536\r\n\r\nhello, world" + strings.Repeat("\x07", 7),
	"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello\x03",
	"HTTP/1.1 200 OK\r\n\r\nhello\x04",
	"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nCache-Control: max-age=60\r\nContent-Length: 20\r\n\r\nhello\x05",
	"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello\x05",
	"HTTP/1.1 200 OK\r\n\r\nhello, world\x06X-Late: 1\r\n",
	"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n\r\nhello\x02, world\x06X-Sum: 9\r\nX-Late: 1\r\n",
	"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<form><input type=hidden name=csrfmiddlewaretoken value=" +
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl><script nonce=abc>1</script></form>",
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n" + string(literally(gzipped("hello, world"))),
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n" + string(literally(gzipped("hello, world"))) + "\x04",
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: abc\r\nContent-Type: text/html\r\n\r\n" + string(literally(gzipped("hello, world"))) + "\x03",
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: abc\r\nContent-Type: text/html\r\n\r\n" + string(literally(gzipped("hello, world"))) + "\x04",
	"HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\nCache-Control: max-age=60\r\nContent-Security-Policy: script-src 'nonce-abc'\r\n\r\n",
	"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Security-Policy: script-src 'nonce-abc'\r\nX-Frame-Options: DENY\r\n" +
		"Access-Control-Allow-Origin: *\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nCache-Control: private, max-age=60\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nETag: W/\"abc\"\r\nLast-Modified: " + modified + "\r\nCache-Control: max-age=60\r\nSet-Cookie: a=b\r\n\r\nhello",
	"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/12\r\nContent-Length: 2\r\n\r\nhe",
	"HTTP/1.1 503 Unavailable\r\nRetry-After: 1\r\n\r\nno",
	"HTTP/1.1 404 Not Found\r\nETag: \"abc\"\r\nVary: *\r\n\r\nno",
	"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Date: " + dayBefore + "\r\n\r\n{\"at\": \"2024-01-01T00:00:00Z\"}",
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n\x01\x02data: 2\n\n",
	"HTTP/1.1 200 OK\r\nETag: W/abc\r\nLast-Modified: " + epochDate + "\r\nAccept-Ranges: none\r\n\r\nhello, world",
}
