package exchange_test

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Marks in the body of a script. What they do is not sent.
const (
	markFlush    = 1
	markPause    = 2    // for longer than any configuration holds that gives up at all
	markAbort    = 3    // as reverse_proxy ends when its upstream breaks off
	markFail     = 4    // an error is returned
	markEnd      = 5    // returns, whatever length was declared
	markTrailers = 6    // the rest are trailer fields
	markDouble   = 7    // what came so far comes once more
	markLiteral  = 0x10 // the next octet is none of these
)

// maxContent is how long a script's content gets by doubling.
const maxContent = 32 << 10

var errScript = errors.New("the script says so")

// ways are how an upstream behaves that has a script.
const (
	wayScript  = iota // says it, whatever is asked
	wayJudge          // answers 304 to a condition that its validators meet
	wayContent        // leaves conditions and ranges to http.ServeContent, as file_server does
	ways
)

// messageHead is a head without framing.
type messageHead struct {
	status int
	header http.Header
}

// script is an upstream's whole behaviour: interim responses, a head, and pieces of content with marks between them.
type script struct {
	interim []messageHead
	messageHead
	way      uint8
	body     []byte
	content  []byte // all that is sent when nothing ends it early
	trailers http.Header
	end      byte // markAbort, markFail, markEnd, or 0
	declared int64
}

// parseScript reads a script as HTTP/1.1 has it on the wire, but for marks in place of chunks; ok is false for what no
// handler would send.
func parseScript(raw []byte, way uint8) (s *script, ok bool) {
	s = &script{way: way, declared: -1}
	r := bufio.NewReader(bytes.NewReader(raw))
	for {
		head, ok := readMessageHead(r)
		if !ok || head.status < 100 || head.status == http.StatusSwitchingProtocols || head.status > 599 {
			return nil, false
		}
		if head.status >= 200 {
			s.messageHead = head
			break
		}
		s.interim = append(s.interim, head)
	}
	s.body = make([]byte, r.Buffered())
	_, _ = r.Read(s.body)
	if lines := s.header["Content-Length"]; len(lines) > 0 {
		n, err := strconv.ParseInt(lines[0], 10, 64)
		if err != nil || n < 0 || len(lines) > 1 || n > maxContent {
			delete(s.header, "Content-Length")
		} else {
			s.declared = n
		}
	}
	s.rehearse()
	return s, true
}

func readMessageHead(r *bufio.Reader) (head messageHead, ok bool) {
	text := textproto.NewReader(r)
	line, err := text.ReadLine()
	code, isHTTP := strings.CutPrefix(line, "HTTP/1.1 ")
	if err != nil || !isHTTP || len(code) < 3 {
		return head, false
	}
	if head.status, err = strconv.Atoi(code[:3]); err != nil {
		return head, false
	}
	fields, err := text.ReadMIMEHeader()
	head.header = http.Header(fields)
	for _, name := range []string{"Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive", "Te"} {
		delete(head.header, name) // as reverse_proxy does
	}
	for name := range head.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return head, false
		}
	}
	return head, err == nil
}

// size is how long the content is, or would be if it came to its end.
func (s *script) size() int { return max(len(s.content), int(s.declared)) }

// rehearse finds out what content there is, and how it ends.
func (s *script) rehearse() {
	w := newWire(http.MethodGet)
	rehearsal := *s
	rehearsal.play(w, func(mark byte) {
		if mark != markPause {
			s.end = mark
		}
	})
	s.content = w.body
	if s.declared >= 0 && s.end == 0 && int64(len(s.content)) < s.declared {
		s.end = markAbort
	}
	if at := bytes.IndexByte(s.body, markTrailers); at >= 0 && s.end == 0 {
		fields, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(slices.Clone(s.body[at+1:]), "\r\n\r\n"...)))).ReadMIMEHeader()
		s.trailers = http.Header(fields)
	}
	if s.end == markEnd && int64(len(s.content)) >= s.declared {
		s.end = 0 // that is all of it
	}
	if s.way == wayContent && s.status == http.StatusOK {
		// A file is whole.
		delete(s.header, "Content-Length")
		s.body, s.declared, s.end, s.trailers = literally(string(s.content)), -1, 0, nil
	}
}

// play writes the content, and says how it ends: with one of the marks that end it, or 0.
func (s *script) play(w http.ResponseWriter, end func(mark byte)) {
	out := &output{w: w, left: s.declared}
	for i, from := 0, 0; ; i++ {
		if i < len(s.body) && (s.body[i] == 0 || s.body[i] > markDouble && s.body[i] != markLiteral) {
			continue
		}
		out.send(s.body[from:min(i, len(s.body))])
		if from = i + 1; i >= len(s.body) || out.failed {
			break
		}
		switch mark := s.body[i]; mark {
		case markFlush:
			_ = http.NewResponseController(w).Flush()
		case markPause:
			end(mark)
		case markDouble:
			if len(out.sent) <= maxContent/2 {
				out.send(slices.Clone(out.sent))
			}
		case markLiteral:
			from, i = i+1, i+1
		case markTrailers:
			return
		default:
			end(mark)
			return
		}
	}
	if out.failed {
		end(markAbort)
	}
}

// output is content on its way, no more of it than was declared.
type output struct {
	w      http.ResponseWriter
	left   int64 // negative: any
	sent   []byte
	failed bool
}

func (o *output) send(piece []byte) {
	if o.left >= 0 {
		piece = piece[:min(int64(len(piece)), o.left)]
		o.left -= int64(len(piece))
	}
	if len(piece) == 0 || o.failed {
		return
	}
	o.sent = append(o.sent, piece...)
	_, err := o.w.Write(piece)
	o.failed = err != nil
}

// edited is the script of the same resource after a change: other content, and other validators. It has grown at its
// beginning, or is another one late in it.
func (s *script) edited(late bool) *script {
	later := *s
	later.header = s.header.Clone()
	at := s.lastOctet()
	if late = late && at >= 0; late {
		later.body = slices.Clone(s.body)
		later.body[at] ^= 1
	} else {
		later.body = append([]byte("!"), s.body...)
	}
	if s.declared >= 0 && !late {
		later.declared++
		later.header.Set("Content-Length", strconv.FormatInt(later.declared, 10))
	}
	if s.header["Etag"] != nil {
		later.header["Etag"] = []string{`"edited"`}
	}
	if modified, ok := dateIn(s.header["Last-Modified"]); ok {
		later.header["Last-Modified"] = []string{modified.Add(time.Hour).Format(http.TimeFormat)}
	}
	later.end, later.trailers = 0, nil
	later.rehearse()
	return &later
}

// lastOctet is where the last octet is that is sent for certain, and is no mark with its lowest bit the other way; -1: nowhere.
func (s *script) lastOctet() int {
	end := len(s.body)
	if at := bytes.IndexAny(s.body, string([]byte{markAbort, markFail, markEnd, markTrailers})); at >= 0 {
		end = at
	}
	if s.declared >= 0 {
		end = min(end, int(s.declared))
	}
	return bytes.LastIndexFunc(s.body[:end], func(r rune) bool { return r > markLiteral+1 && r < utf8.RuneSelf })
}

// call is one call of the script, as it saw it.
type call struct {
	method string
	header http.Header
	status int // what it answered
}

// upstreamOf is the script as a handler, which notes how it was called.
type upstreamOf struct {
	*script
	pause time.Duration
	calls []call
}

func (u *upstreamOf) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	status := u.status
	u.calls = append(u.calls, call{r.Method, r.Header.Clone(), status})
	last := &u.calls[len(u.calls)-1]
	for _, interim := range u.interim {
		maps.Copy(w.Header(), interim.header.Clone())
		w.WriteHeader(interim.status)
		clear(w.Header())
	}
	maps.Copy(w.Header(), u.header.Clone())
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case u.way == wayContent && status == http.StatusOK && reads:
		last.status = u.serveContent(w, r)
		return nil
	case u.way == wayJudge && status == http.StatusOK && reads && u.unchanged(r.Header):
		last.status = http.StatusNotModified
		delete(w.Header(), "Content-Length")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead || !bodyAllowed(status) {
		return u.ended(w, r, 0)
	}
	end := byte(0)
	u.play(w, func(mark byte) {
		if mark == markPause {
			time.Sleep(u.pause) //nolint:forbidigo // a millisecond or two, where something is to be late
		} else {
			end = mark
		}
	})
	if end == 0 {
		end = u.end // a body that is too short
	}
	return u.ended(w, r, end)
}

// ended is how a script returns.
func (u *upstreamOf) ended(w http.ResponseWriter, r *http.Request, mark byte) error {
	switch {
	case mark == markAbort:
		panic(http.ErrAbortHandler)
	case mark == markFail:
		return caddyhttp.Error(http.StatusBadGateway, errScript)
	case mark == 0 && r.Method != http.MethodHead && bodyAllowed(u.status) && len(u.trailers) > 0:
		_ = http.NewResponseController(w).Flush()
		announced := listOf(u.header["Trailer"])
		for name, lines := range u.trailers {
			if !announced[strings.ToLower(name)] {
				name = http.TrailerPrefix + name
			}
			w.Header()[name] = lines
		}
	}
	return nil
}

// serveContent leaves the answer to net/http, and returns its status.
func (u *upstreamOf) serveContent(w http.ResponseWriter, r *http.Request) int {
	modified, _ := http.ParseTime(u.header.Get("Last-Modified"))
	delete(w.Header(), "Content-Length")
	watch := &statusOf{ResponseWriter: w}
	http.ServeContent(watch, r, "", modified, bytes.NewReader(u.content))
	return watch.status
}

// statusOf notes the status.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusOf) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// unchanged reports whether the upstream's validators meet the condition that it sees.
func (u *upstreamOf) unchanged(h http.Header) bool {
	if lines := h["If-None-Match"]; lines != nil {
		own := tagsIn(u.header["Etag"])
		return len(own) == 1 && names(lines, own[0])
	}
	since, ok := dateIn(h["If-Modified-Since"])
	modified, dated := dateIn(u.header["Last-Modified"])
	return ok && dated && !modified.After(since)
}

// wire is what a client gets, by the rules that net/http's server has for handlers.
type wire struct {
	header http.Header
	method string

	interim  []messageHead
	status   int
	sent     http.Header // the fields at the head
	length   int64       // the declared one, or -1
	body     []byte
	trailers http.Header
	flushed  bool
	writes   int

	heads   int // calls of WriteHeader that came too late
	refused int // octets of content where there is none
	excess  int // octets past the declared length
}

func newWire(method string) *wire { return &wire{header: http.Header{}, method: method, length: -1} }

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(status int) {
	switch {
	case w.status != 0:
		w.heads++
		return
	case status < 200:
		w.interim = append(w.interim, messageHead{status, w.header.Clone()})
		return
	}
	w.status, w.sent = status, w.header.Clone()
	if line := w.sent.Get("Content-Length"); line != "" {
		if n, err := strconv.ParseInt(line, 10, 64); err == nil && n >= 0 {
			w.length = n
		} else {
			delete(w.sent, "Content-Length")
		}
	}
}

func (w *wire) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case !bodyAllowed(w.status):
		w.refused += len(p)
		return 0, http.ErrBodyNotAllowed
	case w.length >= 0 && int64(len(w.body)+len(p)) > w.length && w.method != http.MethodHead:
		w.excess += len(p)
		return 0, http.ErrContentLength
	}
	w.body = append(w.body, p...)
	w.writes++
	return len(p), nil
}

// FlushError is how http.ResponseController flushes.
func (w *wire) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.flushed = true
	return nil
}

// finish is the end of the message. Trailers that nobody has announced go out in chunks only, which is how net/http sends
// what has no length and is flushed, or long.
func (w *wire) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.trailers = http.Header{}
	if w.length >= 0 {
		return
	}
	announced := listOf(w.sent["Trailer"])
	for name := range announced {
		if lines := w.header[textproto.CanonicalMIMEHeaderKey(name)]; len(lines) > 0 {
			w.trailers[name] = lines
		}
	}
	if !w.flushed && len(w.body) <= 2048 && len(announced) == 0 {
		return
	}
	for name, lines := range w.header {
		if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			w.trailers[strings.ToLower(trailer)] = lines
		}
	}
}

func bodyAllowed(status int) bool { return status >= 200 && status != 204 && status != 304 }
