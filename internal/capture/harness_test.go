package capture

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// exchange decides as it was told to, and notes what it was asked. What it notes is read after Settle.
type exchange struct {
	atHead, atSpill Decision
	change          func(http.Header) // what it does to the fields at the head
	spilling        chan struct{}     // closed at the spill, if made

	fields  int
	heads   int
	status  int
	reasons []Reason
}

func (e *exchange) Head(status int, header http.Header) Decision {
	e.heads++
	e.status = status
	if e.change != nil {
		e.change(header)
	}
	return e.atHead
}

func (e *exchange) Spill(_ http.Header, reason Reason) Decision {
	e.reasons = append(e.reasons, reason)
	if e.spilling != nil {
		close(e.spilling)
	}
	return e.atSpill
}

func (e *exchange) Field(string, []string) { e.fields++ }

func (*exchange) Hijacked() {}

// Writer is a response with its handle, for tests that play both sides.
type Writer struct {
	Handle
	Response
	Lines
	over atomic.Bool
}

// stallFunc is a Staller.
type stallFunc func()

func (f stallFunc) Stalled() { f() }

// Over is what the response has told of its end.
func (w *Writer) Over() bool { return w.over.Load() }

// Start readies it for one response to outer.
func (w *Writer) Start(outer http.ResponseWriter, e Exchange, budget *Budget, limit int64) {
	w.Response.Start(&w.Handle, &Options{
		Outer: outer, Exchange: e, Budget: budget, Limit: limit, Lines: &w.Lines, Over: &w.over,
	})
}

func (e *exchange) wantReason(t *testing.T, want ...Reason) {
	t.Helper()
	if len(e.reasons) != len(want) || len(want) > 0 && e.reasons[0] != want[0] {
		t.Errorf("spilled for %q, want %q", e.reasons, want)
	}
}

func streamed() Decision { return Decision{Action: Stream, Declared: -1} }

func holding(maxBody int64) Decision { return Decision{Action: Hold, MaxBody: maxBody, Declared: -1} }

func answering(status int) Decision { return Decision{Action: Answer, Status: status, Declared: -1} }

// slicedBy is a 206 of length bytes from offset on.
func slicedBy(offset, length, declared int64) Decision {
	return Decision{Action: Slice, Status: http.StatusPartialContent, Offset: offset, Length: length, Declared: declared}
}

type namedDecision struct {
	name string
	Decision
}

// decisions are the ways a response can go at its head. The part is the middle of "body".
var decisions = []namedDecision{
	{"Stream", streamed()},
	{"Hold", holding(1 << 20)},
	{"Answer 304", answering(http.StatusNotModified)},
	{"Answer 0", answering(0)},
	{"Slice", slicedBy(1, 2, -1)},
}

// setup is a decision over one protocol.
type setup struct {
	namedDecision
	major int
}

// over pairs every protocol with every decision.
func over(decisions []namedDecision) (setups []setup) {
	for _, p := range protocols {
		for _, d := range decisions {
			d.name = p.name + "/" + d.name
			setups = append(setups, setup{d, p.major})
		}
	}
	return setups
}

// outcome is what Settle left behind.
type outcome struct {
	Found  Found
	Status int
	Body   string
	Sent   bool
}

func outcomeOf(w *Writer) outcome {
	found := w.Settle()
	return outcome{found, w.Status(), string(w.Body()), w.Sent()}
}

// front is a handler around one Writer per request, written the way its users are: it settles in a
// defer, and then acts on what it found. An answer that is left to it is a 412.
type front struct {
	exchange *exchange
	inner    http.HandlerFunc
	outer    func(http.Header) // fields that outer handlers have set, and what they do to them

	budget   Budget
	limit    int64
	outcomes chan outcome // one for each request whose handler returned
	closed   chan *Writer // one for each request, when all is over
}

func newFront(e *exchange, inner http.HandlerFunc) *front {
	return &front{exchange: e, inner: inner, outcomes: make(chan outcome, 8), closed: make(chan *Writer, 8)}
}

func (f *front) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if f.outer != nil {
		f.outer(rw.Header())
	}
	w := new(Writer)
	defer func() { f.closed <- w }()
	w.Start(rw, f.exchange, &f.budget, f.limit)
	defer w.Close()
	defer w.Settle()
	f.inner(w, r)
	found := outcomeOf(w)
	f.outcomes <- found
	switch found.Found {
	case Untouched:
		w.Adopt()
	case Held:
		_ = w.Release()
	case Answered:
		if !found.Sent {
			w.Restore()
			w.SendHead(http.StatusPreconditionFailed)
		}
	case Sliced:
		if !w.Complete() {
			panic(http.ErrAbortHandler)
		}
	case Streamed, Hijacked:
	}
}

// protocols are what a test runs over.
var protocols = []struct {
	name  string
	major int
}{
	{"HTTP/1.1", 1},
	{"HTTP/2", 2},
}

func serve(t *testing.T, major int, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if major == 2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// get returns the response with its body; every other way to end than a complete message is an error.
func get(t *testing.T, server *httptest.Server) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, server, r)
}

// begin returns the response as soon as it has begun.
func begin(t *testing.T, server *httptest.Server) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func send(t *testing.T, server *httptest.Server, r *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("the body ends with: %v", err)
	}
	return response, string(body)
}

// start returns a Writer over outer that has no limit, and its budget.
func start(tb testing.TB, outer http.ResponseWriter, e Exchange) (*Writer, *Budget) {
	tb.Helper()
	budget := new(Budget)
	w := new(Writer)
	w.Start(outer, e, budget, 0)
	return w, budget
}

// equal fails unless got is what is wanted.
func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

// must fails on the error of a call that has none to give.
func must[T any](tb testing.TB, _ T, err error) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	}
}

// source is a reader and nothing else, so that io.Copy has no short cut.
func source(s string) io.Reader { return struct{ io.Reader }{strings.NewReader(s)} }

// ways are the two ways a body comes.
var ways = []struct {
	name string
	send func(w *Writer, body string) (int64, error)
}{
	{"Write", func(w *Writer, body string) (int64, error) {
		n, err := w.Write([]byte(body))
		return int64(n), err
	}},
	{"ReadFrom", func(w *Writer, body string) (int64, error) { return w.ReadFrom(source(body)) }},
}
