package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/conditionalcache/caddy-conditional-cache/soak/footing"
)

// faultSetup is one way to have the directive, and the questions that tell it apart from others.
type faultSetup struct {
	name, directives string
	asks             []question
}

// question is a request that meets a fault. Its fields may name {whole} and {half}, our tags of the page and of its half.
type question struct {
	name, method string
	fields       []string
	known        bool // the page has been loaded before
}

var (
	askPlain     = question{name: "GET", method: http.MethodGet}
	askKnown     = question{name: "GET of what is known", method: http.MethodGet, known: true}
	askAgain     = question{name: "If-None-Match", method: http.MethodGet, fields: []string{"If-None-Match", "{whole}, {half}"}}
	askWrite     = question{name: "PUT", method: http.MethodPut, fields: []string{"If-Match", "{whole}, {half}"}}
	askBeginning = question{name: "Range", method: http.MethodGet, fields: []string{"Range", "bytes=2-5"}}
	askEnd       = question{name: "Range of the end", method: http.MethodGet, fields: []string{"Range", "bytes=-6"}}
	askHead      = question{name: "HEAD", method: http.MethodHead}
)

func faultSetups() []faultSetup {
	const bounded = "buffer {\n max_body 256KiB\n }\n"
	return []faultSetup{
		{"bare", "conditional_cache\n reverse_proxy {origin}", []question{askPlain, askAgain}},
		{"remember", "conditional_cache {\n remember 60s\n " + bounded + "}\n reverse_proxy {origin}", []question{askPlain, askAgain, askKnown}},
		{"guarded", "conditional_cache {\n etag strong\n guard_writes\n " + bounded + "}\n reverse_proxy {origin}", []question{askPlain, askAgain, askWrite}},
		{"ranges", "conditional_cache {\n ranges stream\n head get\n " + bounded + "}\n reverse_proxy {origin}", []question{askPlain, askBeginning, askEnd, askHead}},
		{
			"nested with ignore",
			"conditional_cache\n handle {\n conditional_cache {\n etag auto {\n ignore csrf nonce\n }\n " + bounded + "}\n reverse_proxy {origin}\n }",
			[]question{askPlain, askAgain},
		},
	}
}

// reply is what a client gets. An err with a status came in the body.
type reply struct {
	status  int
	header  http.Header
	body    string
	trailer http.Header
	interim []int
	err     error
}

func (r reply) String() string {
	return fmt.Sprintf("%d %.300q with %d bytes %.60q, trailers %v, after %d interim, error %v",
		r.status, fmt.Sprint(r.header), len(r.body), r.body, r.trailer, len(r.interim), r.err)
}

// told reports whether the client knows that it has not got what there is.
func (r reply) told() bool { return r.err != nil || r.status >= 500 }

var ownHex = regexp.MustCompile(ownTag)

// tag is our tag that it carries.
func (r reply) tag() string { return ownHex.FindString(r.header.Get("Etag")) }

// send asks and reads all of the answer, whatever becomes of it.
func (c *client) send(ctx context.Context, method, path string, fields http.Header) (got reply) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var interim interims
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: interim.add})
	defer func() { got.interim = interim.all() }()
	var body io.Reader = http.NoBody
	if method == http.MethodPut {
		body = strings.NewReader("what is written")
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return reply{err: err}
	}
	r.Host = c.host
	maps.Copy(r.Header, fields)
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		got.err = err
		return got
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	got.status, got.header, got.body, got.trailer, got.err = response.StatusCode, response.Header, string(content), response.Trailer, err
	return got
}

// interims are the interim responses to a request. Some may still come when the client has left.
type interims struct {
	mu    sync.Mutex
	codes []int
}

func (i *interims) add(code int, _ textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.codes = append(i.codes, code)
	return nil
}

func (i *interims) all() []int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.codes)
}

// faultMatrix is a Caddy that has a site for every setup, and one without the directive, before one origin.
type faultMatrix struct {
	origin *origin
	stock  int   // the port of the site without the directive
	ports  []int // of the others, in the order of faultSetups
	next   atomic.Int64

	mu      sync.Mutex
	without map[string]reply // what came without the directive, by protocol and fault
}

func newFaultMatrix(t *testing.T) *faultMatrix {
	t.Helper()
	m := &faultMatrix{origin: startOrigin(t), stock: freePort(t), without: make(map[string]reply)}
	// A request whose idle connection is closed is sent again on the next of them.
	// And of a request over HTTP/3 nobody knows at first that it has no content: where its end takes 200 ms to come, as under
	// the race detector it may, Caddy v2.11.9 races with net/http. So the end is waited for, but that of a tunnel.
	const few = " {\n request_buffers unlimited\n transport http {\n keepalive_idle_conns_per_host 2\n }\n}"
	const brief = " {\n request_buffers unlimited\n transport http {\n keepalive_idle_conns_per_host 2\n response_header_timeout 1s\n read_timeout 1s\n }\n}"
	proxy := strings.ReplaceAll("reverse_proxy @tunnel {origin}\n reverse_proxy @brief {origin}"+brief+"\n reverse_proxy {origin}"+few, "{origin}", m.origin.addr())
	site := func(port int, directives string) string {
		return fmt.Sprintf("https://localhost:%d {\n tls internal\n @tunnel method CONNECT\n @brief header "+impatient+" *\n %s\n"+
			"handle_errors {\n header "+whyField+" {http.error.message}\n }\n}\n",
			port, strings.ReplaceAll(directives, "reverse_proxy {origin}", proxy))
	}
	sites := site(m.stock, "reverse_proxy {origin}")
	for _, s := range faultSetups() {
		m.ports = append(m.ports, freePort(t))
		sites += site(m.ports[len(m.ports)-1], s.directives)
	}
	runCaddyWith(t, "log {\n output discard\n}", sites)
	return m
}

// faultSite is one setup as clients of one protocol see it.
type faultSite struct {
	*faultMatrix
	faultSetup
	c, stock    *client
	whole, half string // our tags
}

// TestFaultMatrix lets every fault happen behind every setup, to clients of every version of HTTP. Whatever has come to an
// end too early is told, and neither tagged nor remembered; all else passes as it would without the directive; and the next
// request gets what is right. In the end nothing is left over.
func TestFaultMatrix(t *testing.T) {
	wantFaults(t)
	m := newFaultMatrix(t)
	begin := footing.Take()
	for i, setup := range faultSetups() {
		for p, protocol := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
			t.Run(setup.name+"/"+protocol, func(t *testing.T) {
				before := footing.Take()
				t.Run("cases", func(t *testing.T) {
					s := &faultSite{faultMatrix: m, faultSetup: setup, c: faultClient(t, m.ports[i], p), stock: faultClient(t, m.stock, p)}
					s.run(t)
				})
				m.origin.hangUp()
				wantRegained(t, before)
			})
		}
	}
	m.forget()
	wantRegained(t, begin) // what little each of them leaves would be much by now
}

// wantRegained wants what is in use to be what it was, after some time to settle.
func wantRegained(t *testing.T, before footing.Footing) {
	t.Helper()
	if problem := before.Regained(3 * patience); problem != "" {
		t.Error(problem)
	}
}

// forget drops what the test itself keeps of its cases.
func (m *faultMatrix) forget() {
	m.origin.mu.Lock()
	defer m.origin.mu.Unlock()
	clear(m.origin.answers)
	clear(m.origin.requests)
	clear(m.without)
}

// faultClient is the client of a protocol. One of HTTP/3 forgets connections on which it has met an error: they are closed
// in the end.
func faultClient(t *testing.T, port, protocol int) *client {
	t.Helper()
	c := protocolClients(t, port)[protocol]
	if h3, ok := c.transport.(*http3.Transport); ok {
		h3.Dial = func(ctx context.Context, addr string, config *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
			conn, err := quic.DialAddr(ctx, addr, config, quicConfig)
			if err == nil {
				t.Cleanup(func() { _ = conn.CloseWithError(0, "the test is over") })
			}
			return conn, err
		}
	}
	return c
}

// run has several faults at one time, as most of them wait.
func (s *faultSite) run(t *testing.T) {
	t.Helper()
	s.whole, s.half = s.reference(t, page), s.reference(t, half)
	if s.whole == s.half {
		t.Fatalf("the page and its half have the tag %q", s.whole)
	}
	var all sync.WaitGroup
	room := make(chan struct{}, 24)
	in := func(name string, test func(t *testing.T)) {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			t.Run(name, test)
		})
	}
	for _, f := range faults() {
		for _, a := range s.asks {
			if f.decoded && strings.HasPrefix(a.name, "Range") {
				continue
			}
			in(f.name+"/"+a.name, func(t *testing.T) { t.Helper(); s.meet(t, f, a) })
		}
	}
	for name, test := range clientFaults() {
		in("client/"+name, func(t *testing.T) { t.Helper(); test(t, s) })
	}
	all.Wait()
}

// place is a path that nobody has asked for yet, and the key by which the origin knows it.
func (m *faultMatrix) place() (key, path string) {
	key = fmt.Sprint(m.next.Add(1))
	return key, "/case/" + key + "/"
}

// healthy is an answer with nothing wrong with it.
func healthy(body string) originAnswer {
	return originAnswer{Status: http.StatusOK, Headers: headerLines{"Content-Type": lines{"text/html"}}, Body: body}
}

// reference is our tag of a body.
func (s *faultSite) reference(t *testing.T, body string) string {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, healthy(body))
	return s.load(t, path, body, nil).tag()
}

// load wants a 200 with a body and a tag. On a busy machine max_delay may take the tag away, so that it is asked for again.
func (s *faultSite) load(t *testing.T, path, body string, fields http.Header) (got reply) {
	t.Helper()
	for range 10 {
		got = s.c.send(t.Context(), http.MethodGet, path, fields)
		if got.err != nil || got.status != http.StatusOK || got.body != body {
			t.Fatalf("a healthy upstream: got %v, want 200 with %d bytes", got, len(body))
		}
		if got.tag() != "" {
			return got
		}
	}
	t.Fatalf("a healthy upstream: no tag in %v", got)
	return got
}

// meet is one case.
func (s *faultSite) meet(t *testing.T, f fault, a question) {
	t.Helper()
	key, path := s.place()
	if a.known {
		s.origin.answer(key, healthy(page))
		s.load(t, path, page, nil)
	}
	s.origin.answer(key, originAnswer{Status: http.StatusNoContent, Script: f.script})
	fields := f.fields()
	for i := 0; i < len(a.fields); i += 2 {
		fields.Set(a.fields[i], strings.NewReplacer("{whole}", `"`+s.whole+`"`, "{half}", `"`+s.half+`"`).Replace(a.fields[i+1]))
	}
	got, want := s.c.send(t.Context(), a.method, path, fields), s.stockReply(t, f)
	if f.is == broken && !want.told() {
		t.Errorf("without the directive nobody is told: %v", want)
	}
	if err := s.judge(f, a, got, want); err != nil {
		t.Errorf("%v\n got %v\nstock %v", err, got, want)
	}
	if a.method == http.MethodPut {
		if err := s.judgeWrite(f, key, got, want); err != nil {
			t.Errorf("%v\n got %v\nstock %v", err, got, want)
		}
	}
	if (f.is == broken || f.unshared) && !a.known {
		s.nothingIsRemembered(t, key, path)
	}
	s.recovers(t, key, path, f.is == other && want.status == http.StatusOK && want.body == half)
}

// stockReply is what a plain GET gets without the directive.
func (s *faultSite) stockReply(t *testing.T, f fault) reply {
	t.Helper()
	s.mu.Lock()
	got, has := s.without[s.c.protocol+f.name]
	s.mu.Unlock()
	if has {
		return got
	}
	key, path := s.place()
	s.origin.answer(key, originAnswer{Script: f.script})
	got = s.stock.send(t.Context(), http.MethodGet, path, f.fields())
	for range 3 { // over HTTP/3 Caddy does not repeat a request whose idle connection is closed
		if f.is == whole && got.status == http.StatusBadGateway {
			got = s.stock.send(t.Context(), http.MethodGet, path, f.fields())
		}
	}
	s.mu.Lock()
	s.without[s.c.protocol+f.name] = got
	s.mu.Unlock()
	return got
}

// nothingIsRemembered: whoever asks whether there is anything at all (If-None-Match: *) is answered by the upstream, which is
// well again.
func (s *faultSite) nothingIsRemembered(t *testing.T, key, path string) {
	t.Helper()
	s.origin.answer(key, healthy(page))
	_ = s.origin.received(key)
	got := s.c.send(t.Context(), http.MethodGet, path, http.Header{"If-None-Match": {"*"}})
	if len(s.origin.received(key)) == 0 {
		t.Errorf("after that there is something in memory: %v", got)
	}
}

// recovers: the upstream is well again. Nobody has remembered a half, unless half was all there was, and everybody gets the
// page with its tag.
func (s *faultSite) recovers(t *testing.T, key, path string, half bool) {
	t.Helper()
	s.origin.answer(key, healthy(page))
	conditions := []http.Header{{"If-None-Match": {`"` + s.half + `"`}}, nil}
	if half && s.name == "remember" {
		conditions = conditions[1:]
	}
	for _, condition := range conditions {
		if got := s.load(t, path, page, condition); got.tag() != s.whole {
			t.Errorf("after that the page with %v has the tag %q, want %q", condition, got.tag(), s.whole)
		}
	}
	got := s.c.send(t.Context(), http.MethodGet, path, http.Header{"If-None-Match": {`"` + s.whole + `"`}})
	if late := got.status == http.StatusOK && got.body == page && got.tag() == ""; got.status != http.StatusNotModified && !late {
		t.Errorf("after that a revalidation gets %v", got)
	}
}

// judge says what is wrong with an answer to a fault.
func (s *faultSite) judge(f fault, a question, got, want reply) error {
	switch {
	case f.is == broken:
		return judgeBroken(a, got, want)
	case a.method == http.MethodPut:
		return nil
	case got.tag() != "" && f.is == whole && got.tag() != s.whole:
		return fmt.Errorf("the tag is %s, want %s", got.tag(), s.whole)
	case got.tag() == s.whole && f.is == other && want.body != page && got.status != http.StatusPartialContent:
		return errors.New("it has the tag of the page")
	case got.status == http.StatusNotModified && want.status != http.StatusNotModified:
		if confirmed := f.is == whole || slices.Contains([]string{page, half}, want.body) && want.status == http.StatusOK; a.name != askAgain.name || !confirmed {
			return errors.New("nothing justifies a 304")
		}
		return nil
	case got.status == http.StatusPartialContent && want.status != http.StatusPartialContent:
		return judgePart(a, got, want)
	case a.method == http.MethodHead, f.is == whole && got.err != nil && want.err != nil:
		return nil //nolint:nilerr // the client has a limit of its own, and met it without the directive as well
	case f.is == whole && want.err != nil:
		return isPage(got)
	}
	return judgeSame(got, want)
}

// isPage wants a page, or a 304 that stands for it.
func isPage(got reply) error {
	if got.err != nil || got.status != http.StatusNotModified && (got.status != http.StatusOK || got.body != page) {
		return errors.New("it is not the page")
	}
	return nil
}

// judgeBroken: the client has to know, and what has come has no tag of ours. A part that was there is a part.
func judgeBroken(a question, got, want reply) error {
	switch {
	case got.tag() != "":
		return errors.New("it has a tag")
	case a.method == http.MethodHead, a.method == http.MethodPut && got.status >= 400:
		return nil
	case a.name == askBeginning.name && got.status == http.StatusPartialContent && got.err == nil:
		return judgePart(a, got, want)
	case !got.told(), got.err == nil && got.status == want.status && want.err != nil:
		return errors.New("the client is not told")
	}
	return nil
}

// judgePart wants those bytes of the page that were asked for.
func judgePart(a question, got, want reply) error {
	switch {
	case a.name == askBeginning.name && len(want.body) >= 6 && got.body == want.body[2:6],
		a.name == askBeginning.name && len(want.body) == 0 && got.body == page[2:6],
		a.name == askEnd.name && len(want.body) >= 6 && got.body == want.body[len(want.body)-6:]:
		return got.err
	}
	return errors.New("the part is not of what there is")
}

// whyField has what Caddy says of an error, which no two requests have in common.
const whyField = "X-Why"

// ours are the fields that the directive sets, and those that are about the transfer.
var ours = []string{"Etag", "Date", "Accept-Ranges", "Content-Length", "Vary", "Alt-Svc", whyField}

// noDate is what a Last-Modified may be in vain.
const noDate = "yesterday"

// judgeSame wants what came without the directive. Of a 304 the fields about content are taken off; with a length, a client of
// HTTP/2 would wait for it.
func judgeSame(got, want reply) error {
	if got.status == http.StatusNotModified && want.status == got.status {
		want.err = nil
		want.header = maps.Clone(want.header) // others compare with it, too
		want.header.Del("Content-Type")
	}
	if got.status != want.status || got.body != want.body || (got.err == nil) != (want.err == nil) {
		return errors.New("it is not the same")
	}
	if !slices.Equal(got.interim, want.interim) {
		return fmt.Errorf("there are %d interim responses, want %d", len(got.interim), len(want.interim))
	}
	for _, pair := range [][2]http.Header{{got.header, want.header}, {got.trailer, want.trailer}} {
		for _, name := range slices.Concat(slices.Collect(maps.Keys(pair[0])), slices.Collect(maps.Keys(pair[1]))) {
			if !slices.Contains(ours, name) && !slices.Equal(pair[0][name], pair[1][name]) && pair[1].Get(name) != noDate {
				return fmt.Errorf("%s is %.60q, want %.60q", name, pair[0][name], pair[1][name])
			}
		}
	}
	return nil
}

// judgeWrite: a write goes on only upon what was read to its end.
func (s *faultSite) judgeWrite(f fault, key string, got, want reply) error {
	written := s.puts(key)
	known := f.is == whole || want.status == http.StatusOK && slices.Contains([]string{page, half}, want.body)
	switch {
	case written > 0 && (f.is == broken || !known):
		return errors.New("the write went on, upon nothing")
	case (written == 1) != (got.status == http.StatusNoContent):
		return fmt.Errorf("%d writes were sent", written)
	case f.is == whole && written == 0 && len(want.trailer) == 0: // what has trailers has no tag
		return errors.New("the write was refused")
	}
	return nil
}

// wantFaults skips the matrix, which takes minutes, unless it is asked for: CONDITIONAL_CACHE_FAULTS=all go test -run Fault ./integration
func wantFaults(t *testing.T) {
	t.Helper()
	if os.Getenv("CONDITIONAL_CACHE_FAULTS") != "all" {
		t.Skip("it takes minutes; CONDITIONAL_CACHE_FAULTS=all runs it")
	}
}
