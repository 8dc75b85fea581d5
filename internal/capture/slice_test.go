package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inPieces sends a body in pieces of n bytes.
func inPieces(t *testing.T, w *Writer, body string, n int, send func(*Writer, string) (int64, error)) {
	t.Helper()
	for len(body) > 0 {
		piece := body[:min(n, len(body))]
		got, err := send(w, piece)
		must(t, 0, err)
		equal(t, "bytes taken", got, int64(len(piece)))
		body = body[len(piece):]
	}
}

// Every part of a short body, in pieces of every size, decided at the head or at a spill anywhere in
// the body: the client gets the part and nothing else, and it is complete when the body reached its end.
func TestEveryPart(t *testing.T) {
	const body = "01234567"
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // in which no time passes: what is late ends a transfer
				for offset := range int64(len(body) + 1) {
					for length := range int64(len(body) + 1) {
						testPieces(t, slicedBy(offset, length, -1), body, way.send)
					}
				}
			})
		})
	}
}

func testPieces(t *testing.T, d Decision, body string, send func(*Writer, string) (int64, error)) {
	t.Helper()
	for piece := 1; piece <= len(body); piece++ {
		for held := -1; held < len(body); held++ { // the head decides when it is negative
			testPart(t, d, body, piece, held, send)
		}
	}
}

func testPart(t *testing.T, d Decision, body string, piece, held int, send func(*Writer, string) (int64, error)) {
	t.Helper()
	x := &exchange{atHead: d}
	if held >= 0 {
		x = &exchange{atHead: holding(int64(held)), atSpill: d}
	}
	rec := httptest.NewRecorder()
	w, budget := start(t, rec, x)
	inPieces(t, w, body, piece, send)
	end := min(int(d.Offset+d.Length), len(body))
	want := body[min(int(d.Offset), end):end]
	got := outcomeOf(w)
	if want := (outcome{Sliced, http.StatusOK, "", true}); got != want || rec.Code != http.StatusPartialContent {
		t.Errorf("settled as %+v, sent %d", got, rec.Code)
	}
	whole := int64(len(want)) == d.Length
	// A head goes out ahead of a part that does not begin at once; after a spill it may have begun already.
	flushed := whole || d.Offset > 0 && (held < 0 || rec.Flushed)
	if rec.Body.String() != want || w.Complete() != whole || rec.Flushed != flushed {
		t.Errorf("%d bytes from %d on in pieces of %d after %d: got %q, complete %t, flushed %t; want %q, %t, %t",
			d.Length, d.Offset, piece, held, rec.Body, w.Complete(), rec.Flushed, want, whole, flushed)
	}
	equal(t, "bytes held", budget.Held(), 0)
	w.Close()
}

// What stands behind the part is like the body of an answer: little is read to its end, much ends the
// transfer, at once when it is declared.
func TestBehindThePart(t *testing.T) {
	const part = 10 + 100 // its end
	tests := []struct {
		name   string
		behind int64 // declared, or negative
		pieces []int
		last   error // what the last piece gets; the others get nil
	}{
		{"nothing", 0, []int{part}, nil},
		{"little", DiscardLimit, []int{part, 1, DiscardLimit - 1}, nil},
		{"little, in the piece of the part's end", DiscardLimit, []int{1, part - 1 + DiscardLimit}, nil},
		{"much, known with the last byte of the part", DiscardLimit + 1, []int{part - 1, 1}, errCancel},
		{"unknown, up to the limit", -1, []int{part, DiscardLimit}, nil},
		{"unknown, one byte more", -1, []int{part, DiscardLimit, 1}, errCancel},
		{"unknown, one byte more in the piece of the part's end", -1, []int{part - 1, DiscardLimit + 2}, errCancel},
		{"shorter than the part", -part, []int{part, DiscardLimit}, nil}, // declared as 0, which is wrong
	}
	for _, way := range ways {
		for _, spilled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/spilled=%t", way.name, spilled), func(t *testing.T) {
				for _, tt := range tests {
					t.Run(tt.name, func(t *testing.T) {
						d := slicedBy(10, 100, -1)
						if tt.behind != -1 {
							d.Declared = part + tt.behind
						}
						x := &exchange{atHead: d}
						if spilled {
							x = &exchange{atHead: holding(5), atSpill: d}
						}
						testBehind(t, x, tt.pieces, tt.last, way.send)
					})
				}
			})
		}
	}
}

func testBehind(t *testing.T, x *exchange, pieces []int, wantLast error, send func(*Writer, string) (int64, error)) {
	t.Helper()
	rec := httptest.NewRecorder()
	w, _ := start(t, rec, x)
	defer w.Close()
	w.opt.Cancel = errCancel
	var last error
	for _, n := range pieces {
		equal(t, "an earlier piece", last, nil)
		_, last = send(w, strings.Repeat("x", n))
	}
	equal(t, "the last piece", last, wantLast)
	equal(t, "found", w.Settle(), Sliced)
	equal(t, "complete", w.Complete(), true)
	equal(t, "bytes sent", rec.Body.Len(), 100)
}

// What was held behind the part was read in vain, too.
func TestBehindThePartCountsWhatWasHeld(t *testing.T) {
	x := &exchange{atHead: holding(60_000), atSpill: slicedBy(0, 1, -1)}
	w, _ := start(t, httptest.NewRecorder(), x)
	defer w.Close()
	w.opt.Cancel = errCancel
	must(t, 0, second(w.Write(make([]byte, 60_000))))
	must(t, 0, second(w.Write(make([]byte, 1+DiscardLimit-60_000))))
	if _, err := w.Write([]byte("x")); !errors.Is(err, errCancel) {
		t.Errorf("past the limit: %v", err)
	}
}

// The head comes first, so that nobody waits for it while the bytes before the part are dropped; of
// those none is seen, and a flush passes at any time.
func TestFlushInASlice(t *testing.T) {
	rec := httptest.NewRecorder()
	w, _ := start(t, rec, &exchange{atHead: slicedBy(4, 8, -1)})
	defer w.Close()
	for _, sent := range []string{"", "body", "bodybody"} {
		rec.Flushed = false
		writeBody(t, w)
		equal(t, "sent", rec.Body.String(), sent)
		equal(t, "status", rec.Code, http.StatusPartialContent)
		equal(t, "flushed by itself", rec.Flushed, sent != "body")
		rec.Flushed = false
		must(t, 0, w.FlushError())
		equal(t, "flushed", rec.Flushed, sent != "bodybody") // the part is complete, and flushed
	}
	equal(t, "found", w.Settle(), Sliced)
}

// A flush that came while the response was held is made up for.
func TestFlushBeforeASpillThatSlices(t *testing.T) {
	for _, flush := range []bool{false, true} {
		t.Run(fmt.Sprintf("flush=%t", flush), func(t *testing.T) {
			rec := httptest.NewRecorder()
			w, _ := start(t, rec, &exchange{atHead: holding(4), atSpill: slicedBy(0, 100, -1)})
			defer w.Close()
			writeBody(t, w)
			if flush {
				must(t, 0, w.FlushError())
			}
			must(t, 0, second(w.Write([]byte("+"))))
			equal(t, "flushed", rec.Flushed, flush)
			equal(t, "sent", rec.Body.String(), "body+")
			w.Settle()
		})
	}
}

// The deadline's goroutine sends the part of what is held; the rest of the part follows.
func TestDeadlineThatSlices(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := httptest.NewRecorder()
				x := &exchange{atHead: delayed(maxDelay), atSpill: slicedBy(1, 6, -1)}
				w, budget := start(t, rec, x)
				defer w.Close()
				must(t, 0, second(way.send(w, "body")))
				pass(maxDelay)
				w.mu.Lock() // for the race detector, which does not know that time orders events
				if !rec.Flushed || rec.Code != http.StatusPartialContent || rec.Body.String() != "ody" {
					t.Errorf("at the deadline: %d %q, flushed %t", rec.Code, rec.Body, rec.Flushed)
				}
				w.mu.Unlock()
				equal(t, "bytes held", budget.Held(), 0)
				must(t, 0, second(way.send(w, "body")))
				equal(t, "found", w.Settle(), Sliced)
				equal(t, "complete", w.Complete(), true)
				equal(t, "sent", rec.Body.String(), "odybod")
				x.wantReason(t, ReasonMaxDelay)
			})
		})
	}
}

// sendfile needs the very reader that the handler gave behind one limit, not behind two; and a limit of
// the handler's own stands afterwards where the reading did.
func TestSliceReadFromBelow(t *testing.T) {
	tests := []struct {
		name        string
		own         int64 // the handler's own limit, or negative
		left        int64 // of it at the end
		sent        string
		complete    bool
		wantLimited int64
	}{
		{"without a limit", -1, 0, "345", true, 3},
		{"a farther limit", 9, 0, "345", true, 3},
		{"a nearer limit", 5, 0, "34", false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
			w, _ := start(t, rec, &exchange{atHead: slicedBy(3, 3, -1)})
			defer w.Close()
			w.WriteHeader(http.StatusOK)
			src := source("0123456789")
			r, own := src, &io.LimitedReader{R: src, N: tt.own}
			want := int64(10)
			if tt.own >= 0 {
				r, want = own, tt.own
			}
			n, err := w.ReadFrom(r)
			if n != want || err != nil {
				t.Errorf("ReadFrom: %d, %v; want %d", n, err, want)
			}
			if tt.own >= 0 {
				equal(t, "left of the handler's limit", own.N, tt.left)
			}
			if limited, ok := rec.from[0].(*io.LimitedReader); !ok || len(rec.from) != 1 || limited.R != src {
				t.Errorf("the writer below reads from %v", rec.from)
			}
			equal(t, "found", w.Settle(), Sliced)
			equal(t, "sent", rec.Body.String(), tt.sent)
			equal(t, "complete", w.Complete(), tt.complete)
		})
	}
}

// The limit of the handler has moved by what was sent when the transfer ends there.
func TestSliceMovesTheLimitOfTheHandler(t *testing.T) {
	rec := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
	w, _ := start(t, rec, &exchange{atHead: slicedBy(3, 3, 1<<30)})
	defer w.Close()
	w.opt.Cancel = errCancel
	w.WriteHeader(http.StatusOK)
	own := &io.LimitedReader{R: source("0123456789"), N: 9}
	if n, err := w.ReadFrom(own); n != 6 || !errors.Is(err, errCancel) || own.N != 3 {
		t.Errorf("ReadFrom: %d, %v; %d left", n, err, own.N)
	}
	equal(t, "sent", rec.Body.String(), "345")
	w.Settle()
}

// A part read from several sources, and by both ways, is one part.
func TestSliceFromSeveralSources(t *testing.T) {
	rec := httptest.NewRecorder()
	w, _ := start(t, rec, &exchange{atHead: slicedBy(6, 10, -1)})
	defer w.Close()
	for i := range 6 {
		must(t, 0, second(ways[i%2].send(w, "body")))
	}
	equal(t, "found", w.Settle(), Sliced)
	equal(t, "complete", w.Complete(), true)
	equal(t, "sent", rec.Body.String(), "dybodybody")
}

// A source that fails before or in the part is the handler's to see, and the part stays cut short.
func TestFailingSourceInASlice(t *testing.T) {
	for _, offset := range []int64{10, 2} {
		t.Run(fmt.Sprintf("offset=%d", offset), func(t *testing.T) {
			rec := httptest.NewRecorder()
			w, _ := start(t, rec, &exchange{atHead: slicedBy(offset, 10, -1)})
			defer w.Close()
			w.WriteHeader(http.StatusOK)
			n, err := w.ReadFrom(io.MultiReader(source("body"), failing{}))
			if n != 4 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("ReadFrom: %d, %v", n, err)
			}
			equal(t, "found", w.Settle(), Sliced)
			equal(t, "complete", w.Complete(), false)
			equal(t, "sent", rec.Body.String(), "body"[min(offset, 4):])
		})
	}
}

// stingy is a writer below that takes one byte of every write, and says so or not.
type stingy struct {
	*httptest.ResponseRecorder
	err error
}

func (s stingy) Write(p []byte) (int, error) {
	n, _ := s.ResponseRecorder.Write(p[:1])
	return n, s.err
}

// After a failed write it is unknown where the next byte belongs. Clients put parts together, so a part
// is rather cut short than continued with the wrong bytes.
func TestFailedWriteEndsThePart(t *testing.T) {
	for _, below := range []struct{ err, want error }{{errPanic, errPanic}, {nil, io.ErrShortWrite}} {
		for _, way := range ways {
			t.Run(fmt.Sprintf("%v/%s", below.want, way.name), func(t *testing.T) {
				rec := httptest.NewRecorder()
				w, _ := start(t, stingy{rec, below.err}, &exchange{atHead: slicedBy(1, 6, -1)})
				defer w.Close()
				if _, err := way.send(w, "body"); !errors.Is(err, below.want) {
					t.Errorf("the failing write: %v", err)
				}
				must(t, 0, second(way.send(w, "body")))
				equal(t, "found", w.Settle(), Sliced)
				equal(t, "complete", w.Complete(), false)
				equal(t, "sent", rec.Body.String(), "o")
			})
			t.Run(fmt.Sprintf("%v/%s/spilled", below.want, way.name), func(t *testing.T) {
				rec := httptest.NewRecorder()
				w, _ := start(t, stingy{rec, below.err}, &exchange{atHead: holding(4), atSpill: slicedBy(1, 6, -1)})
				defer w.Close()
				must(t, 0, second(way.send(w, "body")))
				must(t, 0, second(way.send(w, "body")))
				equal(t, "found", w.Settle(), Sliced)
				equal(t, "complete", w.Complete(), false)
				equal(t, "sent", rec.Body.String(), "o")
			})
		}
	}
}

// A last write that fails though all of its bytes were taken makes no part complete.
func TestFailedLastWrite(t *testing.T) {
	for _, way := range ways {
		for name, x := range map[string]*exchange{
			"at the head": {atHead: slicedBy(1, 1, -1)},
			"spilled":     {atHead: holding(3), atSpill: slicedBy(1, 1, -1)},
		} {
			t.Run(way.name+"/"+name, func(t *testing.T) {
				rec := httptest.NewRecorder()
				w, _ := start(t, stingy{rec, errPanic}, x)
				defer w.Close()
				_, _ = way.send(w, "body")
				equal(t, "found", w.Settle(), Sliced)
				equal(t, "complete", w.Complete(), false)
				equal(t, "sent", rec.Body.String(), "o")
			})
		}
	}
}

// A handler that takes no notice of a failed write is told again like one whose body nobody needs.
func TestFailedWriteIsNotContinuedByTheLast(t *testing.T) {
	rec := httptest.NewRecorder()
	below := &failingOnce{ResponseRecorder: rec}
	w, _ := start(t, below, &exchange{atHead: slicedBy(0, 8, -1)})
	defer w.Close()
	if n, err := w.Write([]byte("body")); n != 0 || err != errPanic { //nolint:errorlint // the very value
		t.Errorf("the failing write: %d, %v", n, err)
	}
	must(t, 0, second(w.Write([]byte("bodybody"))))
	w.Settle()
	equal(t, "complete", w.Complete(), false)
	equal(t, "sent", rec.Body.String(), "")
}

// failingOnce is a writer below whose first write fails.
type failingOnce struct {
	*httptest.ResponseRecorder
	failed bool
}

func (f *failingOnce) Write(p []byte) (int, error) {
	if !f.failed {
		f.failed = true
		return 0, errPanic
	}
	return f.ResponseRecorder.Write(p)
}

// RFC 9110 §6.5: trailers speak of the whole; a part has none, though they were announced or come late.
func TestSliceHasNoTrailers(t *testing.T) {
	for _, p := range protocols {
		for _, atHead := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/head=%t", p.name, atHead), func(t *testing.T) {
				x := &exchange{atHead: slicedBy(1, 2, -1)}
				if !atHead {
					x = &exchange{atHead: holding(2), atSpill: slicedBy(1, 2, -1)}
				}
				f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Trailer", "X-Sum")
					w.Header().Set(http.TrailerPrefix+"X-Early", "1")
					writeBody(t, w)
					w.Header().Set("X-Sum", "1")
					w.Header().Set(http.TrailerPrefix+"X-Late", "1")
				})
				response, body := get(t, serve(t, p.major, f))
				if body != "od" || len(response.Trailer) > 0 || response.Header["Trailer"] != nil {
					t.Errorf("got %q with %v and trailers %v", body, response.Header, response.Trailer)
				}
				if w := <-f.closed; w.LateTrailers() {
					t.Error("there are trailers to come")
				}
			})
		}
	}
}

// The client has its part before the handler goes on, and gets nothing of what follows.
func TestPartArrivesBeforeTheRest(t *testing.T) {
	for _, p := range protocols {
		for _, ready := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/length=%t", p.name, ready), func(t *testing.T) {
				goOn := make(chan struct{})
				x := &exchange{atHead: slicedBy(6, 4, -1), change: func(h http.Header) {
					if ready {
						h.Set("Content-Length", "4")
					}
				}}
				f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, "before")
					_, _ = io.WriteString(w, "part")
					<-goOn
					_, _ = io.WriteString(w, "behind")
				})
				response := begin(t, serve(t, p.major, f))
				got := make([]byte, 4)
				must(t, 0, second(io.ReadFull(response.Body, got)))
				equal(t, "part", string(got), "part")
				close(goOn)
				rest, err := io.ReadAll(response.Body)
				must(t, 0, err)
				equal(t, "rest", string(rest), "")
				equal(t, "found", (<-f.outcomes).Found, Sliced)
			})
		}
	}
}

// A handler that gives up in the part leaves it short, and the caller lets the client see that; behind
// the part it is no news.
func TestPanicInASlice(t *testing.T) {
	tests := []struct {
		name     string
		offset   int64
		complete bool
	}{
		{"before the part", 10, false},
		{"in the part", 2, false},
		{"behind the part", 0, true},
	}
	for _, p := range protocols {
		for _, tt := range tests {
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				var settled *Writer
				f := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					w := new(Writer)
					x := &exchange{atHead: slicedBy(tt.offset, 4, -1), change: func(h http.Header) { h.Set("Content-Length", "4") }}
					w.Start(rw, x, new(Budget), 0)
					defer w.Close()
					settled = w
					defer func() {
						if w.Settle(); w.Complete() {
							_ = recover()
						}
					}()
					writeBody(t, w)
					must(t, 0, w.FlushError())
					panic(http.ErrAbortHandler)
				})
				got, err := attempt(t.Context(), serve(t, p.major, f))
				equal(t, "the message is complete", err == nil, tt.complete)
				equal(t, "part", got, "body"[min(tt.offset, 4):])
				equal(t, "found", settled.Settle(), Sliced)
				equal(t, "complete", settled.Complete(), tt.complete)
			})
		}
	}
}

// A panic of the writer below goes through the handler, and leaves the lock free.
func TestPanicBelowInASlice(t *testing.T) {
	calls := map[string]func(w *Writer){
		"Write":       func(w *Writer) { _, _ = w.Write([]byte("body")) },
		"WriteHeader": func(w *Writer) { w.WriteHeader(http.StatusOK) },
		"ReadFrom":    func(w *Writer) { _, _ = w.ReadFrom(source("body")) },
	}
	for _, at := range []string{"WriteHeader", "Write", "FlushError"} {
		for name, call := range calls {
			if name == "WriteHeader" && at != "WriteHeader" {
				continue // it sends nothing more than a head
			}
			t.Run(at+"/"+name, func(t *testing.T) {
				w, _ := start(t, &panicking{httptest.NewRecorder(), at}, &exchange{atHead: slicedBy(0, 4, -1)})
				defer w.Close()
				if p := recovered(func() { call(w) }); p != errPanic { //nolint:errorlint // the very value
					t.Fatalf("recovered %v", p)
				}
				if !w.mu.TryLock() {
					t.Fatal("the lock is still held")
				}
				w.mu.Unlock()
				equal(t, "found", w.Settle(), Sliced)
				equal(t, "complete", w.Complete(), false)
			})
		}
	}
}

// Of a client that left the handler hears by its writes, and the part is not complete.
func TestClientGoneInASlice(t *testing.T) {
	for _, p := range protocols {
		for _, way := range ways {
			t.Run(p.name+"/"+way.name, func(t *testing.T) {
				ctx, leave := context.WithCancel(t.Context())
				complete := make(chan bool, 1)
				f := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					w := new(Writer)
					w.Start(rw, &exchange{atHead: slicedBy(1, 1<<40, -1)}, new(Budget), 0)
					writeBody(t, w)
					leave()
					<-r.Context().Done()
					var err error
					for err == nil && w.unread.answeredAt.IsZero() {
						_, err = way.send(w, strings.Repeat("x", 32<<10))
					}
					equal(t, "found", w.Settle(), Sliced)
					complete <- w.Complete()
					w.Close()
				})
				_, _ = attempt(ctx, serve(t, p.major, f))
				equal(t, "complete", <-complete, false)
			})
		}
	}
}

// slow is a writer below whose writes wait for a client.
type slow struct {
	*httptest.ResponseRecorder
	client chan struct{}
}

func (s slow) Write(p []byte) (int, error) {
	<-s.client
	return s.ResponseRecorder.Write(p)
}

func (slow) FlushError() error { return nil }

// While a part waits for a slow client nothing else does: flushes, late heads, and Settle.
func TestSlowClientInASlice(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				below := slow{httptest.NewRecorder(), make(chan struct{})}
				w, _ := start(t, below, &exchange{atHead: slicedBy(0, 4, -1)})
				defer w.Close()
				w.WriteHeader(http.StatusOK)
				w.opt.Stalled = stallFunc(func() { t.Error("a slow client is no stalled upstream") })
				done := make(chan error)
				go func() { done <- second(way.send(w, "body")) }()
				pass(time.Hour)
				must(t, 0, w.FlushError())
				w.WriteHeader(http.StatusEarlyHints)
				equal(t, "found", w.Settle(), Sliced)
				equal(t, "complete", w.Complete(), false)
				close(below.client)
				if err := <-done; err != nil && !errors.Is(err, ErrSettled) {
					t.Error(err)
				}
				if n, err := w.Write([]byte("late")); n != 0 || !errors.Is(err, ErrSettled) {
					t.Errorf("a late write: %d, %v", n, err)
				}
				equal(t, "sent", below.Body.String(), "body")
			})
		})
	}
}

// hangup is a writer below whose client leaves in the end.
type hangup struct {
	*httptest.ResponseRecorder
	client chan struct{}
}

func (h hangup) Write([]byte) (int, error) {
	<-h.client
	return 0, errPanic
}

// A write that fails after Settle brings nothing back to life.
func TestFailedWriteAfterSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := make(chan struct{})
		w, _ := start(t, hangup{httptest.NewRecorder(), client}, &exchange{atHead: slicedBy(0, 9, -1)})
		defer w.Close()
		done := make(chan error)
		go func() { done <- second(w.Write([]byte("body"))) }()
		synctest.Wait()
		equal(t, "found", w.Settle(), Sliced)
		close(client)
		equal(t, "the write", <-done, errPanic)
		if _, err := w.Write([]byte("late")); !errors.Is(err, ErrSettled) {
			t.Errorf("a late write: %v", err)
		}
	})
}

// A client that is slow to take the end of its part keeps nobody else waiting.
func TestSlowClientAtTheEndOfAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := start(t, lazy{httptest.NewRecorder()}, &exchange{atHead: slicedBy(0, 4, -1)})
		defer w.Close()
		w.WriteHeader(http.StatusOK)
		done := make(chan error)
		go func() { done <- second(w.Write([]byte("body"))) }()
		synctest.Wait() // the flush is under way
		if !w.mu.TryLock() {
			t.Fatal("it has the lock")
		}
		w.mu.Unlock()
		must(t, 0, <-done)
		w.Settle()
		equal(t, "complete", w.Complete(), true)
	})
}

// locked is a writer below that can be used from several goroutines, as net/http's can for flushes.
type locked struct {
	mu sync.Mutex
	*httptest.ResponseRecorder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ResponseRecorder.Write(p)
}

func (l *locked) FlushError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Flush()
	return nil
}

// Proxies flush and hint from goroutines of their own while the body passes.
func TestSliceBesideFlushes(t *testing.T) {
	body := strings.Repeat("0123456789", 1000)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			below := &locked{ResponseRecorder: httptest.NewRecorder()}
			w, _ := start(t, below, &exchange{atHead: slicedBy(1234, int64(len(body)-1234), -1)})
			defer w.Close()
			w.WriteHeader(http.StatusOK)
			over := make(chan struct{})
			var beside sync.WaitGroup
			beside.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						_ = w.FlushError()
						w.WriteHeader(http.StatusEarlyHints)
					}
				}
			})
			inPieces(t, w, body, 7, way.send)
			close(over)
			beside.Wait()
			equal(t, "found", w.Settle(), Sliced)
			equal(t, "complete", w.Complete(), true)
			equal(t, "sent", below.Body.String() == body[1234:], true)
		})
	}
}

// Complete speaks of a slice that is settled, and of nothing else.
func TestCompleteOfOthers(t *testing.T) {
	for _, d := range decisions {
		t.Run(d.name, func(t *testing.T) {
			w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: d.Decision})
			defer w.Close()
			writeBody(t, w)
			equal(t, "before Settle", w.Complete(), false)
			w.Settle()
			equal(t, "after it", w.Complete(), d.Action == Slice)
		})
	}
}

// A connection is free to be taken over in a part, as in any response that passes, and gone behind it.
func TestHijackInASlice(t *testing.T) {
	for _, length := range []int64{4, 5} {
		t.Run(fmt.Sprintf("length=%d", length), func(t *testing.T) {
			w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: slicedBy(0, length, -1)})
			defer w.Close()
			writeBody(t, w)
			_, _, err := w.Hijack()
			want := map[int64]error{4: http.ErrHijacked, 5: http.ErrNotSupported}[length] // a recorder has none
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			w.Settle()
		})
	}
}
