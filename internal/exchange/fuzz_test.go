package exchange_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// fuzzed is a configuration that requests are served by.
type fuzzed struct {
	name     string
	outer    *Handler
	inner    *Handler // nil: one instance
	memory   bool
	requires bool          // writes have to have a condition
	lenient  bool          // of dates
	keeps    bool          // a 304 has more fields than is right
	rows     bool          // Cache-Control is another one than the upstream's
	ignores  bool          // parts of the content are no change
	found    bool          // where the upstream has no Last-Modified, one is found
	codes    bool          // what comes again is coded
	delay    time.Duration // after which a response is let go; zero: none
}

// fuzzedConfigs are all configurations. Their numbers are in the corpus: new ones come at the end.
func fuzzedConfigs() []*fuzzed {
	const hour = caddy.Duration(time.Hour)
	few := []byte(`{"name": "memory", "max_entries": 100}`)
	return []*fuzzed{
		{name: "bare"},
		{name: "strong", outer: &Handler{ETag: &ETag{Mode: "strong", Hash: "sha256"}}},
		{name: "weak", outer: &Handler{ETag: &ETag{Mode: "weak", Existing: "weaken"}}},
		{name: "off", outer: &Handler{ETag: &ETag{Mode: "off"}}},
		{name: "replace", outer: &Handler{ETag: &ETag{Existing: "replace", Secret: "s", Epoch: "e"}}},
		{name: "remove", outer: &Handler{ETag: &ETag{Mode: "off", Existing: "remove"}, LastModified: &LastModified{Mode: "remove"}}},
		{name: "repair", outer: &Handler{ETag: &ETag{Mode: "strong", Existing: "repair"}, LastModified: &LastModified{Lenient: true}}, lenient: true},
		{name: "remember", outer: &Handler{Remember: &Remember{StoreRaw: few}}, memory: true},
		{
			name: "remember 1h", memory: true,
			outer: &Handler{ETag: &ETag{Mode: "strong"}, Remember: &Remember{TTL: hour, StaleIfError: hour, StoreRaw: few}, ContentLocation: true},
		},
		{name: "head get, ranges stream", outer: &Handler{Head: "get", Ranges: &Ranges{Mode: "stream", Max: 4}}},
		{name: "guard_writes", outer: requiring(), requires: true},
		{name: "ignore", ignores: true, outer: &Handler{ETag: &ETag{Ignore: []string{"csrf", "nonce"}, IgnoreExpressions: []string{"[0-9]+ms"}}}},
		{
			name: "rows", keeps: true, rows: true,
			outer: &Handler{
				CacheControl: []CacheControl{
					{MediaType: OneOrMore{"text/html"}, Directives: []string{"private", "no-cache"}, Existing: "merge"},
					{Path: OneOrMore{"/r*"}, Directives: []string{"public", "s-maxage=1h"}, Existing: "replace"},
					{Directives: []string{"max-age=60"}},
				},
				NotModified: &NotModified{Keep: []string{"Content-Language", "Last-Modified"}},
			},
		},
		{name: "nested", outer: inBlockOf("a", new(Handler)), inner: inBlockOf("b", &Handler{ETag: &ETag{Mode: "off"}, Head: "get"})},
		{name: "nested twice", outer: inBlockOf("a", guardedRepair()), inner: inBlockOf("b", &Handler{ETag: &ETag{Mode: "strong"}})},
		{name: "dates", found: true, outer: &Handler{LastModified: &LastModified{From: []LastModifiedSource{
			{Header: "X-Date"}, {JSON: "at"}, {FirstSeen: true},
		}}}},
		{name: "small and late", outer: &Handler{ETag: &ETag{Mode: "strong"}, Buffer: &Buffer{MaxBody: 64}}, delay: time.Millisecond},
		{name: "rows remembered", memory: true, rows: true, outer: &Handler{
			CacheControl: []CacheControl{{Directives: []string{"public", "max-age=1h"}, Existing: "replace"}},
			Remember:     &Remember{StoreRaw: few},
		}},
		{name: "encode_once", codes: true, outer: &Handler{EncodeOnce: &EncodeOnce{MinLength: 1, MaxBytes: 1 << 20}}},
		{
			name: "strong, encode_once", codes: true,
			outer: &Handler{ETag: &ETag{Mode: "strong"}, Head: "get", EncodeOnce: &EncodeOnce{MinLength: 1, MaxBytes: 1 << 20, Prefer: []string{"gzip", "zstd"}}},
		},
	}
}

func inBlockOf(block string, h *Handler) *Handler {
	h.Block = block
	return h
}

// provision readies a configuration. But for one of them, nothing is let go for its time, so that each run is the same.
func (c *fuzzed) provision(tb testing.TB) {
	tb.Helper()
	for _, h := range []*Handler{c.outer, c.inner} {
		if h == nil {
			continue
		}
		if h.Buffer == nil {
			h.Buffer = &Buffer{MaxBody: maxContent / 2}
		}
		h.Buffer.MaxDelay = Delay(max(c.delay, -1))
		if c.delay == 0 {
			h.Buffer.MaxDelay = -1
		}
		provisioned(tb, h)
	}
}

func (c *fuzzed) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if c.inner != nil {
		return nestedIn{c.outer, c.inner}.ServeHTTP(w, r, next)
	}
	return c.outer.ServeHTTP(w, r, next)
}

// FuzzHandler: whatever is asked, whatever the upstream does, and however the handler is configured, the answer is one
// that RFC 9110 allows, and nothing is left behind. See the checks in fuzz_checks_test.go.
//
//	go test -run '^$' -fuzz FuzzHandler -fuzztime 10m ./internal/exchange
//
// which is a configuration, way how the upstream behaves and whether and how its content is edited after the first GET, request a request and response what the upstream says, as they
// are on the wire, with {{etag}} and the like for what an unconditional GET says (see expand), and with marks in the
// content of the response (markFlush and others).
func FuzzHandler(f *testing.F) {
	configs := provisionedConfigs(f)
	addSeeds(f, len(configs))
	f.Fuzz(func(t *testing.T, which, way uint8, request, response []byte) {
		tryHandler(t, configs[int(which)%len(configs)], way, request, response)
	})
}

// TestHandlerConfigs does the same with some requests and responses under each configuration. Of the seeds, each meets one.
func TestHandlerConfigs(t *testing.T) {
	for k, c := range provisionedConfigs(t) {
		t.Run(c.name, func(t *testing.T) {
			for i, request := range seedRequests {
				for j, response := range seedResponses {
					tryHandler(t, c, uint8((i+j+k)%(3*ways)), []byte(request), []byte(response))
					if t.Failed() {
						return
					}
				}
			}
		})
	}
}

func provisionedConfigs(tb testing.TB) []*fuzzed {
	tb.Helper()
	configs := fuzzedConfigs()
	for _, c := range configs {
		if c.outer == nil {
			c.outer = new(Handler)
		}
		c.provision(tb)
	}
	return configs
}

// tryHandler asks once under one configuration. What is no request, or no response that a handler would send, is left out.
func tryHandler(t *testing.T, config *fuzzed, way uint8, request, response []byte) {
	t.Helper()
	s, ok := parseScript(response, way%ways)
	if !ok || len(request) > 8<<10 || len(response) > 32<<10 {
		return
	}
	trial := &handlerTrial{
		t: t, config: config, script: s, edit: way/ways%3 > 0 && !config.memory, late: way/ways%3 == 2, raw: request, host: nextHost(), turns: exchange.Writes.Len(),
	}
	r, ok := trial.parse(request)
	if !ok {
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		trial.cut = err
	}
	if config.codes {
		coding.PurgeAll() // of another run with the same content
	}
	hung := time.AfterFunc(20*time.Second, func() { panic("the handler hangs") })
	defer hung.Stop()
	trial.run()
}

// hosts numbers the runs, so that none has what another one has left in a memory, or the turn of its write.
var hosts int

func nextHost() string {
	hosts++
	return fmt.Sprintf("h%08d.example", hosts)
}

// handlerTrial is one request, what its upstream says, and all that is asked to judge the answer.
type handlerTrial struct {
	t      *testing.T
	config *fuzzed
	script *script
	edit   bool   // the resource is another one when the request comes
	late   bool   // … late in its content
	raw    []byte // the request
	host   string

	turns int   // how many turns of writes were taken before it
	cut   error // of a request whose content cannot be read

	plain  *answered // an unconditional GET without the module
	bare   *answered // the request without the module
	whole  *answered // an unconditional GET
	answer *answered // the request
}

// answered is a request and what came of it.
type answered struct {
	*wire
	r        *http.Request
	fields   http.Header // the request's as they came
	coding   string      // by encode_once; see decode
	calls    []call
	err      error
	panicked any
	stack    []byte
}

// run asks without conditions, with them, and without them once more.
func (x *handlerTrial) run() {
	x.whole = x.ask(x.config, x.unconditional())
	raw := x.expand()
	r, ok := x.parse(raw)
	if !ok {
		return // with a tag in it, that is none that can be sent
	}
	if x.edit {
		x.script = x.script.edited(x.late)
	}
	x.bare = x.ask(nil, x.mustParse(raw))
	x.plain = x.ask(nil, x.unconditional())
	x.answer = x.ask(x.config, r)
	x.wantForgotten()
	again := x.ask(x.config, x.unconditional())
	if x.edit {
		x.wantChanged(again)
		x.whole, again = again, x.ask(x.config, x.unconditional())
	}
	x.check(x.whole)
	x.check(x.answer)
	x.compare()
	x.check(again)
	x.wantSame(again)
	x.askOthers()
	if x.t.Failed() {
		x.t.Logf("%s, way %d, edited %t\n%s\n%q\nwhole  %v\nbare   %v\nanswer %v", x.config.name, x.script.way, x.edit, raw, x.script.body, x.whole, x.bare, x.answer)
	}
}

// expand puts what the unconditional GET has said into the request.
func (x *handlerTrial) expand() []byte {
	if !bytes.Contains(x.raw, []byte("{{")) {
		return x.raw
	}
	etag := x.whole.header.Get("Etag")
	opaque := strings.TrimPrefix(etag, "W/")
	if etag == "" {
		etag, opaque = staleTag, staleTag
	}
	return []byte(strings.NewReplacer("{{etag}}", etag, "{{etag_opaque}}", opaque, "{{etag_unquoted}}", strings.Trim(opaque, `"`),
		"{{coded}}", strings.TrimSuffix(opaque, `"`)+`-gzip"`, "{{modified}}", x.whole.header.Get("Last-Modified")).Replace(string(x.raw)))
}

// parse reads a request as net/http does.
func (x *handlerTrial) parse(raw []byte) (*http.Request, bool) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil || r.URL == nil {
		return nil, false
	}
	r.Host, r.RemoteAddr = x.host, "192.0.2.1:1234"
	return r, true
}

func (x *handlerTrial) mustParse(raw []byte) *http.Request {
	r, ok := x.parse(raw)
	if !ok {
		x.t.Fatal("the request was read once, and cannot be twice")
	}
	return r
}

// unconditional is a GET for the whole of what the request asks for.
func (x *handlerTrial) unconditional() *http.Request {
	r := x.mustParse(x.raw)
	if writes(r.Method) {
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
		delete(r.Header, "Content-Length")
	}
	r.Method = http.MethodGet
	upstream.Remove(r.Header)
	return r
}

func writes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// ask has a request served by a configuration; nil: by the upstream itself.
func (x *handlerTrial) ask(c *fuzzed, r *http.Request) *answered {
	a := &answered{wire: newWire(r.Method), fields: r.Header.Clone()}
	u := &upstreamOf{script: x.script}
	if c != nil && c.delay > 0 {
		u.pause = 2 * c.delay
	}
	ctx, cancel := context.WithCancel(x.t.Context())
	defer cancel() // as net/http does
	a.r = caddyhttp.PrepareRequest(r.WithContext(ctx), caddy.NewReplacer(), a.wire, nil)
	func() {
		defer func() {
			if a.panicked = recover(); a.panicked != nil {
				a.stack = debug.Stack()
			}
		}()
		if c == nil {
			a.err = u.ServeHTTP(a.wire, a.r)
		} else {
			a.err = c.ServeHTTP(a.wire, a.r, caddyhttp.HandlerFunc(u.ServeHTTP))
		}
	}()
	if a.calls = u.calls; a.err == nil && a.panicked == nil {
		a.finish()
		if c != nil {
			x.decode(a)
		}
	}
	return a
}

// code is what the client gets: the response's, or the error's.
func (a *answered) code() int {
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](a.err); ok {
		return handlerErr.StatusCode
	}
	if a.err != nil {
		return http.StatusInternalServerError
	}
	return a.status
}

// complete reports whether the whole response came.
func (a *answered) complete() bool { return a.err == nil && a.panicked == nil }

// written is how often the upstream has seen the write.
func (a *answered) written() (n int) {
	for _, c := range a.calls {
		if writes(a.method) && c.method == a.method {
			n++
		}
	}
	return n
}

// upstream is what the upstream has answered at last; 0: it was not asked.
func (a *answered) upstream() int {
	if len(a.calls) == 0 {
		return 0
	}
	return a.calls[len(a.calls)-1].status
}

func (a *answered) String() string {
	return fmt.Sprintf("%s %d %v %.200q, error %v, panic %v, calls %v", a.method, a.status, a.header, a.body, a.err, a.panicked, a.calls)
}

// wantLeft checks what has to hold after every request: it is as it was, and nothing is held.
func (x *handlerTrial) wantLeft(a *answered) {
	if held := exchange.Budget.Held(); held != 0 {
		x.t.Errorf("%d bytes are still held", held)
	}
	want := a.fields.Clone()
	if a.err != nil {
		upstream.Remove(want)
		upstream.Remove(a.r.Header)
	}
	if a.panicked == nil && (!reflect.DeepEqual(a.r.Header, want) || a.r.Method != a.method) {
		x.t.Errorf("afterwards the request is %s with %v, want %s with %v", a.r.Method, a.r.Header, a.method, want)
	}
	// After these answers to a write that the upstream has seen its turn is kept.
	most := x.turns
	if code := x.answer.code(); x.answer.written() > 0 && (code == 499 || code >= 502 && code <= 504 || x.answer.panicked != nil) {
		most++
	}
	if n := exchange.Writes.Len(); n > most {
		x.t.Errorf("the queue has %d keys, and had %d", n, x.turns)
	}
}
