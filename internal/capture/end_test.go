package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// A handler that gives up: nothing held reaches the client, and the memory goes back.
func TestPanicMidBody(t *testing.T) {
	for _, d := range over(decisions) {
		t.Run(d.name, func(t *testing.T) {
			f := newFront(&exchange{atHead: d.Decision}, func(w http.ResponseWriter, _ *http.Request) {
				writeBody(t, w)
				must(t, 0, http.NewResponseController(w).Flush())
				panic(http.ErrAbortHandler)
			})
			server := serve(t, d.major, f)
			got, err := attempt(t.Context(), server)
			if err == nil && d.Status != http.StatusNotModified { // which was complete before
				t.Errorf("the message is complete: %q", got)
			}
			if d.Action != Stream && d.Action != Slice && got != "" {
				t.Errorf("%q reached the client", got)
			}
			if w := <-f.closed; f.budget.Held() != 0 || w.Body() != nil {
				t.Errorf("%d bytes stay charged", f.budget.Held())
			}
		})
	}
}

// attempt returns what arrives of a body, and how it ends.
func attempt(ctx context.Context, server *httptest.Server) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := server.Client().Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// A panic in a reader leaves the read's memory out of the pools: the reader may have kept it.
func TestPanicInARead(t *testing.T) {
	w, budget := start(t, httptest.NewRecorder(), &exchange{atHead: holding(1 << 20)})
	var kept []byte
	p := recovered(func() { _, _ = w.ReadFrom(io.MultiReader(source("body"), keeper{&kept})) })
	if p != errPanic { //nolint:errorlint // the very value
		t.Fatalf("recovered %v", p)
	}
	if found := w.Settle(); found != Held || string(w.Body()) != "body" {
		t.Errorf("found %v with %q", found, w.Body())
	}
	w.Close()
	if budget.Held() != 0 {
		t.Errorf("%d bytes stay charged", budget.Held())
	}
	for range 100 {
		box := take(classFor(minRead))
		if whole := (*box)[:cap(*box)]; &whole[len(whole)-1] == &kept[:cap(kept)][cap(kept)-1] {
			t.Fatal("memory that a reader has kept is handed out again")
		}
	}
}

// keeper keeps what it was given to read into, and panics.
type keeper struct{ p *[]byte }

func (k keeper) Read(p []byte) (int, error) {
	*k.p = p
	panic(errPanic)
}

// A panic below, or in the Exchange, goes through the handler; the lock is free then, or the Settle
// that users defer would wait for ever.
func TestPanicBelowLeavesTheWriterUsable(t *testing.T) {
	calls := map[string]func(w *Writer){
		"Write":       func(w *Writer) { _, _ = w.Write([]byte("body")) },
		"WriteHeader": func(w *Writer) { w.WriteHeader(http.StatusOK) },
		"ReadFrom":    func(w *Writer) { _, _ = w.ReadFrom(source("body")) },
		"FlushError":  func(w *Writer) { _ = w.FlushError() },
		"Hijack":      func(w *Writer) { _, _, _ = w.Hijack() },
	}
	tests := []struct {
		name  string
		at    string
		x     exchange
		first string
		calls []string
	}{
		{"at the head", "WriteHeader", exchange{atHead: streamed()}, "", []string{"Write", "WriteHeader", "ReadFrom", "FlushError"}},
		{
			"in the Exchange", "",
			exchange{change: func(http.Header) { panic(errPanic) }},
			"",
			[]string{"Write", "WriteHeader", "ReadFrom", "FlushError"},
		},
		{"in an answer", "WriteHeader", exchange{atHead: answering(304)}, "", []string{"Write", "WriteHeader", "ReadFrom", "FlushError"}},
		{"at a spill's head", "WriteHeader", exchange{atHead: holding(5)}, "held", []string{"Write", "ReadFrom", "Hijack"}},
		{"at a spill's body", "Write", exchange{atHead: holding(5)}, "held", []string{"Write", "ReadFrom", "Hijack"}},
	}
	for _, tt := range tests {
		for _, name := range tt.calls {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				x := tt.x
				w, budget := start(t, &panicking{httptest.NewRecorder(), tt.at}, &x)
				if tt.first != "" {
					must(t, 0, second(w.Write([]byte(tt.first))))
				}
				if p := recovered(func() { calls[name](w) }); p != errPanic { //nolint:errorlint // the very value
					t.Fatalf("recovered %v", p)
				}
				if !w.mu.TryLock() {
					t.Fatal("the lock is still held")
				}
				w.mu.Unlock()
				w.Settle()
				w.Close()
				if budget.Held() != 0 {
					t.Errorf("%d bytes stay charged", budget.Held())
				}
			})
		}
	}
}

// A client that left: what the handler does next has no effect on anyone, and nothing leaks.
func TestClientGoneMidBody(t *testing.T) {
	for _, d := range over(decisions) {
		if d.Status != 0 {
			continue // the client has its whole answer before it can leave
		}
		t.Run(d.name, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			f := newFront(&exchange{atHead: d.Decision}, func(w http.ResponseWriter, r *http.Request) {
				writeBody(t, w)
				leave()
				<-r.Context().Done()
				_, _ = w.Write(bytes.Repeat([]byte("x"), 32<<10))
				_, _ = w.(io.ReaderFrom).ReadFrom(source(strings.Repeat("y", 32<<10)))
			})
			_, _ = attempt(ctx, serve(t, d.major, f))
			got := <-f.outcomes
			if want, _, _ := entries[0].want(d.Decision); got.Found != want.Found || got.Sent != want.Sent {
				t.Errorf("settled as %+v", got)
			}
			if d.Action == Hold && len(got.Body) != 4+64<<10 {
				t.Errorf("%d bytes were held", len(got.Body))
			}
			<-f.closed
			if f.budget.Held() != 0 {
				t.Errorf("%d bytes stay charged", f.budget.Held())
			}
		})
	}
}

// lateCalls does everything an inner handler can do, after its response was settled.
func lateCalls(t *testing.T, w *Writer) {
	t.Helper()
	w.Header().Set("X-Late", "1")
	w.WriteHeader(http.StatusEarlyHints)
	w.WriteHeader(http.StatusTeapot)
	if n, err := w.Write([]byte("late")); n != 0 || !errors.Is(err, ErrSettled) {
		t.Errorf("Write: %d, %v", n, err)
	}
	n, err := w.ReadFrom(source("late"))
	if !errors.Is(err, ErrSettled) {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
	_ = w.FlushError()
	if _, _, err := w.Hijack(); !errors.Is(err, http.ErrHijacked) {
		t.Errorf("Hijack: %v", err)
	}
	if w.Body() != nil {
		t.Errorf("%q is held", w.Body())
	}
}

// A handler that keeps its writer never reaches the next response, which is on the same connection and
// under way when the late calls come.
func TestLateCallsReachNobody(t *testing.T) {
	for _, d := range over(decisions) {
		t.Run(d.name, func(t *testing.T) {
			f := newFront(&exchange{atHead: d.Decision}, func(w http.ResponseWriter, _ *http.Request) { writeBody(t, w) })
			var mux http.ServeMux
			mux.Handle("/first", f)
			mux.HandleFunc("/second", func(w http.ResponseWriter, _ *http.Request) {
				lateCalls(t, <-f.closed)
				writeBody(t, w)
			})
			server := serve(t, d.major, &mux)
			var response *http.Response
			var body string
			for _, path := range []string{"/first", "/second"} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
				must(t, r, err)
				response, body = send(t, server, r)
				equal(t, "late field of "+path, response.Header.Get("X-Late"), "")
				equal(t, "trailers of "+path, len(response.Trailer), 0)
			}
			equal(t, "status", response.StatusCode, http.StatusOK)
			equal(t, "body", body, "body")
			equal(t, "bytes that stay charged", f.budget.Held(), 0)
		})
	}
}

// A read that is under way while the response is settled and closed writes into memory that nobody
// else has.
func TestReadThatOutlivesItsResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, budget := start(t, httptest.NewRecorder(), &exchange{atHead: holding(1 << 20)})
		w.WriteHeader(http.StatusOK)
		r, feed := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := w.ReadFrom(r)
			done <- err
		}()
		must(t, 0, second(io.WriteString(feed, "first")))
		synctest.Wait() // the next read is under way
		w.Settle()
		w.Close()
		if budget.Held() != 0 {
			t.Errorf("%d bytes stay charged", budget.Held())
		}
		other, _ := start(t, httptest.NewRecorder(), &exchange{atHead: holding(1 << 20)})
		defer other.Close()
		writeBody(t, other)
		must(t, 0, second(io.WriteString(feed, "stray bytes")))
		if err := <-done; !errors.Is(err, ErrSettled) {
			t.Errorf("ReadFrom returned %v", err)
		}
		if bytes.Contains(other.hold.body.spare(), []byte("stray")) || string(other.Body()) != "body" {
			t.Error("a stray read reached another response's memory")
		}
	})
}

// raider is a writer below that asks the pools for memory, as another response may at any time, and
// scribbles over what it gets before it looks at what it was given.
type raider struct{ *httptest.ResponseRecorder }

func (r raider) Write(p []byte) (int, error) {
	for i := range 2 {
		box := take(i, classes[i])
		for j := range (*box)[:cap(*box)] {
			(*box)[:cap(*box)][j] = '!'
		}
	}
	return r.ResponseRecorder.Write(p)
}

// The bytes of the read that ended the holding are still to be sent when what was held has gone.
func TestSpillKeepsTheMemoryOfTheLastRead(t *testing.T) {
	body := strings.Repeat("0123456789", 1000)
	for range 50 { // a pool may drop what it is given
		rec := raider{httptest.NewRecorder()}
		w, _ := start(t, rec, &exchange{atHead: holding(int64(len(body)) - 1)})
		w.WriteHeader(http.StatusOK)
		must(t, 0, second(w.ReadFrom(source(body))))
		w.Settle()
		w.Close()
		if rec.Body.String() != body {
			t.Fatal("memory that was still needed was handed out again")
		}
	}
}

// raw sends a request over a plain connection and returns everything that comes back.
func raw(t *testing.T, server *httptest.Server) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	must(t, 0, second(io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")))
	all, err := io.ReadAll(conn)
	must(t, all, err)
	return string(all)
}

// A handler that takes the connection over finds its head and body sent before.
func TestHijackWhileHeldSendsWhatIsHeld(t *testing.T) {
	x := &exchange{atHead: holding(1 << 20)}
	f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		writeBody(t, w)
		conn, rw := hijack(t, w)
		defer conn.Close()
		must(t, 0, reply(rw, "raw"))
	})
	got := raw(t, serve(t, 1, f))
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nbodyraw") {
		t.Errorf("got %q", got)
	}
	want := outcome{Found: Hijacked, Status: http.StatusOK, Sent: true}
	if settled := <-f.outcomes; settled != want || len(x.reasons) != 1 {
		t.Errorf("settled as %+v, spilled %d times", settled, len(x.reasons))
	}
	<-f.closed
	if f.budget.Held() != 0 {
		t.Errorf("%d bytes stay charged", f.budget.Held())
	}
}

// An answer is the end of a connection's use by the handler: also one that the spill gave.
func TestHijackOnceAnsweredIsRefused(t *testing.T) {
	for name, x := range map[string]*exchange{
		"at the head":  {atHead: answering(http.StatusNotModified)},
		"at the spill": {atHead: holding(1 << 20), atSpill: answering(http.StatusNotModified)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
				writeBody(t, w)
				if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("Hijack: %v", err)
				}
			})
			if response, body := get(t, serve(t, 1, f)); response.StatusCode != http.StatusNotModified || body != "" {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
			if settled := <-f.outcomes; settled.Found != Answered || !settled.Sent {
				t.Errorf("settled as %+v", settled)
			}
		})
	}
}
