package capture

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

const maxDelay = 200 * time.Millisecond

func delayed(d time.Duration) Decision {
	return Decision{Action: Hold, MaxBody: 1 << 20, Declared: -1, MaxDelay: d}
}

// pass lets the bubble's time pass, and what is due then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// max_delay counts from the head; neither writes nor flushes extend it.
func TestDeadlineCountsFromTheHead(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := httptest.NewRecorder()
				x := &exchange{atHead: delayed(maxDelay)}
				w, budget := start(t, rec, x)
				defer w.Close()
				pass(time.Hour) // before the head nothing is late
				w.WriteHeader(http.StatusNonAuthoritativeInfo)
				pass(maxDelay / 2)
				must(t, 0, second(way.send(w, "first ")))
				must(t, 0, w.FlushError())
				pass(maxDelay/2 - 1)
				w.mu.Lock() // for the race detector, which does not know that time orders events
				if rec.Flushed || rec.Body.Len() != 0 {
					t.Error("sent before the deadline")
				}
				w.mu.Unlock()
				pass(1)
				if !rec.Flushed || rec.Code != http.StatusNonAuthoritativeInfo || rec.Body.String() != "first " {
					t.Fatalf("at the deadline: %d %q, flushed %t", rec.Code, rec.Body, rec.Flushed)
				}
				if budget.Held() != 0 {
					t.Errorf("%d bytes are held while the rest streams", budget.Held())
				}
				must(t, 0, second(way.send(w, "second")))
				if w.Settle() != Streamed || rec.Body.String() != "first second" {
					t.Errorf("found %v, sent %q", w.found, rec.Body)
				}
				x.wantReason(t, ReasonMaxDelay)
			})
		})
	}
}

// Once settled, or spilled for another reason, the deadline has nothing left to do.
func TestDeadlineAfterTheEnd(t *testing.T) {
	tests := []struct {
		name string
		end  func(w *Writer)
		sent string
	}{
		{"settled while held", func(w *Writer) { w.Settle() }, ""},
		{"settled and released", func(w *Writer) { w.Settle(); _ = w.Release() }, "body"},
		{"spilled", func(w *Writer) { _, _ = w.Write(make([]byte, 1<<20)) }, "body" + string(make([]byte, 1<<20))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := httptest.NewRecorder()
				x := &exchange{atHead: delayed(maxDelay)}
				w, _ := start(t, rec, x)
				writeBody(t, w)
				timer := w.clock.running
				tt.end(w)
				if timer.Stop() {
					t.Error("the timer still runs, and keeps the writer in memory")
				}
				asked := len(x.reasons)
				pass(2 * maxDelay)
				if rec.Flushed || rec.Body.String() != tt.sent || len(x.reasons) != asked {
					t.Errorf("the deadline acted: flushed %t, %d bytes sent", rec.Flushed, rec.Body.Len())
				}
				w.Settle()
				w.Close()
			})
		})
	}
}

// stalls are what a handler may be doing when the deadline passes, until goOn is closed.
var stalls = []struct {
	name, trailer string
	stall         func(w http.ResponseWriter, goOn <-chan struct{})
}{
	{"writing nothing", "", func(_ http.ResponseWriter, goOn <-chan struct{}) { <-goOn }},
	{"in a read", "", func(w http.ResponseWriter, goOn <-chan struct{}) {
		r, feed := io.Pipe()
		go func() {
			<-goOn
			feed.Close()
		}()
		_, _ = w.(io.ReaderFrom).ReadFrom(r)
	}},
	{"setting trailers", "last", func(w http.ResponseWriter, goOn <-chan struct{}) {
		for i := 0; ; i++ {
			w.Header().Set(http.TrailerPrefix+"X-Sum", fmt.Sprint(i))
			w.Header().Set(fmt.Sprintf("X-Late-%d", i%100), "1")
			select {
			case <-goOn:
				w.Header().Set(http.TrailerPrefix+"X-Sum", "last")
				return
			default:
			}
		}
	}},
}

// However the handler is stalled, the client gets what there is; the rest follows. The client says when
// the handler may go on: without a deadline this test would not end.
func TestDeadlineWhileTheHandlerStalls(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			for _, tt := range stalls {
				t.Run(tt.name, func(t *testing.T) {
					goOn := make(chan struct{})
					f := newFront(&exchange{atHead: delayed(time.Millisecond)}, func(w http.ResponseWriter, _ *http.Request) {
						must(t, 0, second(io.WriteString(w, "first ")))
						tt.stall(w, goOn)
						must(t, 0, second(io.WriteString(w, "second")))
					})
					response := begin(t, serve(t, p.major, f))
					first := make([]byte, len("first "))
					must(t, 0, second(io.ReadFull(response.Body, first)))
					equal(t, "before the handler goes on", string(first), "first ")
					close(goOn)
					rest, err := io.ReadAll(response.Body)
					must(t, 0, err)
					equal(t, "then", string(rest), "second")
					equal(t, "found", (<-f.outcomes).Found, Streamed)
					equal(t, "trailer", response.Trailer.Get("X-Sum"), tt.trailer)
				})
			}
		})
	}
}

// What a blocked read delivers after the deadline follows what the deadline sent.
func TestDeadlineDuringARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
		w, budget := start(t, rec, &exchange{atHead: delayed(maxDelay)})
		r, feed := io.Pipe()
		done := make(chan int64)
		go func() {
			n, err := w.ReadFrom(r)
			must(t, n, err)
			done <- n
		}()
		must(t, 0, second(io.WriteString(feed, "first ")))
		pass(maxDelay)
		if rec.Body.String() != "first " || budget.Held() != 0 {
			t.Fatalf("at the deadline: %q, %d bytes held", rec.Body, budget.Held())
		}
		must(t, 0, second(io.WriteString(feed, "second ")))
		must(t, 0, second(io.WriteString(feed, "third")))
		must(t, 0, feed.Close())
		if n := <-done; n != int64(len("first second third")) {
			t.Errorf("ReadFrom returned %d", n)
		}
		if rec.Body.String() != "first second third" || len(rec.from) != 1 || rec.from[0] != r {
			t.Errorf("sent %q, ReadFrom below: %v", rec.Body, rec.from)
		}
		w.Settle()
		w.Close()
	})
}

// The answer to a spill may also be an answer.
func TestSpillThatAnswers(t *testing.T) {
	tests := []struct {
		status int
		code   int // what has been sent right after
		sent   bool
	}{
		{http.StatusNotModified, http.StatusNotModified, true},
		{0, http.StatusOK, false}, // a recorder's 200 is nothing at all
	}
	causes := []struct {
		name   string
		cause  func(w *Writer)
		reason Reason
	}{
		{"max_delay", func(*Writer) { pass(maxDelay) }, ReasonMaxDelay},
		{"max_body", func(w *Writer) { _, _ = w.Write(make([]byte, 1<<20)) }, ReasonMaxBody},
	}
	for _, tt := range tests {
		for _, c := range causes {
			t.Run(fmt.Sprintf("%s/%d", c.name, tt.status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rec := httptest.NewRecorder()
					x := &exchange{atHead: delayed(maxDelay), atSpill: answering(tt.status)}
					w, budget := start(t, rec, x)
					defer w.Close()
					writeBody(t, w)
					c.cause(w)
					if rec.Code != tt.code || rec.Flushed != tt.sent || budget.Held() != 0 {
						t.Errorf("sent %d, flushed %t, %d bytes held", rec.Code, rec.Flushed, budget.Held())
					}
					_, _ = w.Write([]byte("more"))
					must(t, 0, w.FlushError())
					want := outcome{Answered, http.StatusOK, "", tt.sent}
					if got := outcomeOf(w); got != want || rec.Body.Len() != 0 {
						t.Errorf("settled as %+v, want %+v; sent %q", got, want, rec.Body)
					}
					x.wantReason(t, c.reason)
				})
			})
		}
	}
}

// panicking is a writer below that gives up at one of its entry points.
type panicking struct {
	*httptest.ResponseRecorder
	at string
}

var errPanic = errors.New("the writer below gave up")

func (p *panicking) WriteHeader(status int) {
	if p.at == "WriteHeader" {
		panic(errPanic)
	}
	p.ResponseRecorder.WriteHeader(status)
}

func (p *panicking) Write(b []byte) (int, error) {
	if p.at == "Write" {
		panic(errPanic)
	}
	return p.ResponseRecorder.Write(b)
}

func (p *panicking) FlushError() error {
	if p.at == "FlushError" {
		panic(errPanic)
	}
	return nil
}

// A panic in the deadline's goroutine would end the process; net/http expects it in the handler's.
func TestDeadlinePanicIsThrownBySettle(t *testing.T) {
	for _, at := range []string{"WriteHeader", "Write", "FlushError"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, budget := start(t, &panicking{httptest.NewRecorder(), at}, &exchange{atHead: delayed(maxDelay)})
				writeBody(t, w)
				pass(maxDelay)
				if _, err := w.Write([]byte("more")); err != nil {
					t.Errorf("the rest is not swallowed: %v", err)
				}
				if p := recovered(func() { w.Settle() }); p != errPanic { //nolint:errorlint // the very value
					t.Errorf("Settle threw %v", p)
				}
				if p := recovered(func() { w.Settle() }); p != nil {
					t.Errorf("the second Settle threw %v", p)
				}
				w.Close()
				if budget.Held() != 0 {
					t.Errorf("%d bytes stay charged", budget.Held())
				}
			})
		})
	}
}

// recovered calls f and returns what it panicked with.
func recovered(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// The deadline passes in the very moment in which the handler returns: whoever comes first, the client
// gets one whole response.
func TestDeadlineMeetsSettle(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				counts := map[Found]int{}
				for range 500 {
					rec := httptest.NewRecorder()
					x := &exchange{atHead: delayed(maxDelay)}
					w, budget := start(t, rec, x)
					w.WriteHeader(http.StatusNonAuthoritativeInfo)
					must(t, 0, second(way.send(w, "body")))
					<-time.After(maxDelay)
					w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
					must(t, 0, second(way.send(w, "+")))
					found := w.Settle()
					counts[found]++
					if found == Held {
						must(t, 0, w.Release())
					}
					w.Close()
					synctest.Wait()
					equal(t, "status", rec.Code, http.StatusNonAuthoritativeInfo)
					equal(t, "body", rec.Body.String(), "body+")
					equal(t, "bytes held", budget.Held(), 0)
					equal(t, "spilled", len(x.reasons) == 1, found == Streamed)
				}
				t.Logf("%d held, %d streamed", counts[Held], counts[Streamed])
			})
		})
	}
}
