package capture

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// unneededBodies are the ways a body becomes one that nobody needs. answer is called at once or, where
// the deadline answers, after maxDelay.
var unneededBodies = []struct {
	name   string
	x      exchange
	answer func(w *Writer)
	found  Found
}{
	{"304", exchange{atHead: answering(http.StatusNotModified)}, func(w *Writer) { w.WriteHeader(http.StatusOK) }, Answered},
	{"412 to come", exchange{atHead: answering(0)}, func(w *Writer) { w.WriteHeader(http.StatusOK) }, Answered},
	{"304 by a first Write", exchange{atHead: answering(http.StatusNotModified)}, func(w *Writer) { _, _ = w.Write(nil) }, Answered},
	{"304 by a first Flush", exchange{atHead: answering(http.StatusNotModified)}, func(w *Writer) { _ = w.FlushError() }, Answered},
	{"spilled by size", exchange{atHead: holding(3), atSpill: answering(http.StatusNotModified)}, func(w *Writer) {
		_, _ = w.Write([]byte("body"))
	}, Answered},
	{"spilled by size, 412 to come", exchange{atHead: holding(3), atSpill: answering(0)}, func(w *Writer) {
		_, _ = w.Write([]byte("body"))
	}, Answered},
	{"spilled by time", exchange{atHead: delayed(maxDelay), atSpill: answering(http.StatusNotModified)}, func(w *Writer) {
		_, _ = w.Write([]byte("body"))
		pass(maxDelay)
	}, Answered},
	{"part by Write", exchange{atHead: slicedBy(1, 2, -1)}, func(w *Writer) { _, _ = w.Write([]byte("body")) }, Sliced},
	{"part by ReadFrom", exchange{atHead: slicedBy(600, 2, -1)}, func(w *Writer) {
		_, _ = w.ReadFrom(source(strings.Repeat("x", 700)))
	}, Sliced},
	{"empty part", exchange{atHead: slicedBy(0, 0, -1)}, func(w *Writer) { w.WriteHeader(http.StatusOK) }, Sliced},
	{"part, spilled by size", exchange{atHead: holding(3), atSpill: slicedBy(0, 2, -1)}, func(w *Writer) {
		_, _ = w.Write([]byte("body"))
	}, Sliced},
	{"part, spilled by time", exchange{atHead: delayed(maxDelay), atSpill: slicedBy(0, 2, -1)}, func(w *Writer) {
		_, _ = w.Write([]byte("body"))
		pass(maxDelay)
	}, Sliced},
}

// unneededTest runs a test in a bubble of time for every way to an answer, of which the writer has
// just been told.
func unneededTest(t *testing.T, test func(t *testing.T, w *Writer, stalls *calls)) {
	t.Helper()
	for _, tt := range unneededBodies {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := tt.x
				w, _ := start(t, httptest.NewRecorder(), &x)
				defer w.Close()
				w.opt.Cancel = errCancel
				stalls := &calls{at: make(chan time.Time, 8)}
				w.opt.Stalled = stallFunc(func() {
					stalls.at <- time.Now()
					if !w.mu.TryLock() {
						t.Error("called with the lock held")
						return
					}
					w.mu.Unlock()
				})
				tt.answer(w)
				stalls.since = time.Now()
				test(t, w, stalls)
				equal(t, "found", w.Settle(), tt.found)
				pass(time.Hour)
				equal(t, "further calls of Stalled", len(stalls.at), 0)
			})
		})
	}
}

// calls are those of Stalled.
type calls struct {
	at    chan time.Time
	since time.Time // what they are counted from: the answer
}

// want takes the next call, which has to have been made at a given time.
func (c *calls) want(t *testing.T, after time.Duration) {
	t.Helper()
	select {
	case at := <-c.at:
		equal(t, "Stalled is called after", at.Sub(c.since), after)
	default:
		t.Errorf("Stalled is not called after %v", after)
	}
}

// Whether a client that leaves has what it came for is known as soon as it has, and asked from another
// goroutine: that of its connection.
func TestOver(t *testing.T) {
	over := func(w *Writer) bool {
		answer := make(chan bool)
		go func() { answer <- w.Over() }()
		return <-answer
	}
	unneededTest(t, func(t *testing.T, w *Writer, _ *calls) {
		t.Helper()
		equal(t, "over", over(w), true)
		w.Settle()
		equal(t, "over once settled", over(w), true)
	})
	for _, d := range []Decision{streamed(), holding(1 << 20), slicedBy(0, 5, -1), slicedBy(10, 5, -1)} {
		w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: d})
		equal(t, "over before the head", over(w), false)
		writeBody(t, w)
		equal(t, "over while the body is needed", over(w), false)
		w.Settle()
		equal(t, "over once settled", over(w), true)
		w.Close()
	}
}

// Within the limit a short rest is read; what comes later ends the transfer, however short.
func TestLateRestEndsTheTransfer(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			unneededTest(t, func(t *testing.T, w *Writer, stalls *calls) {
				t.Helper()
				pass(QuietLimit - 1)
				must(t, 0, second(way.send(w, "x")))
				pass(1)
				must(t, 0, second(way.send(w, "x")))
				pass(1)
				for range 2 {
					if _, err := way.send(w, "x"); !errors.Is(err, errCancel) {
						t.Errorf("a late write: %v", err)
					}
				}
				equal(t, "calls of Stalled", len(stalls.at), 0)
			})
		})
	}
}

// Without anybody to tell there is no timer, but the same limit.
func TestLateRestWithoutStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := answeredWriter(t, -1, errCancel)
		equal(t, "there is a timer", w.clock.running != nil, false)
		pass(QuietLimit + 1)
		if _, err := w.Write([]byte("x")); !errors.Is(err, errCancel) {
			t.Errorf("a late write: %v", err)
		}
	})
}

// Of a body that nobody needs and that does not come, Stalled is told once.
func TestStalled(t *testing.T) {
	unneededTest(t, func(t *testing.T, w *Writer, stalls *calls) {
		t.Helper()
		pass(QuietLimit - 1)
		equal(t, "calls of Stalled", len(stalls.at), 0)
		must(t, 0, w.FlushError()) // says nothing of a body
		pass(1)
		stalls.want(t, 50*time.Millisecond) // a promise: what encode may add to a 304
		pass(time.Hour)
		if _, err := w.Write([]byte("x")); !errors.Is(err, errCancel) {
			t.Errorf("a late write: %v", err)
		}
	})
}

// A body that comes drop by drop is ended by an error of Write, which is quieter; if nothing comes any
// more, by Stalled after all.
func TestStalledAfterSome(t *testing.T) {
	unneededTest(t, func(t *testing.T, w *Writer, stalls *calls) {
		t.Helper()
		pass(QuietLimit / 5)
		must(t, 0, second(w.Write([]byte("x"))))
		pass(QuietLimit / 5)
		must(t, 0, second(w.Write([]byte("x"))))
		pass(QuietLimit - 1)
		equal(t, "calls of Stalled", len(stalls.at), 0)
		pass(1)
		stalls.want(t, QuietLimit+QuietLimit/5*2)
	})
}

// Having been refused, a handler has time to come to its end; but not without end, though it writes on.
func TestStalledAfterRefusal(t *testing.T) {
	unneededTest(t, func(t *testing.T, w *Writer, stalls *calls) {
		t.Helper()
		pass(QuietLimit / 5)
		if _, err := w.Write(make([]byte, DiscardLimit+1)); !errors.Is(err, errCancel) {
			t.Errorf("past the limit: %v", err)
		}
		for range 4 {
			pass(QuietLimit / 5)
			_, _ = w.Write([]byte("x"))
		}
		pass(QuietLimit/5 - 1)
		equal(t, "calls of Stalled", len(stalls.at), 0)
		pass(1)
		stalls.want(t, QuietLimit+QuietLimit/5)
	})
}

// A late refusal gives the same time.
func TestStalledAfterLateRefusal(t *testing.T) {
	unneededTest(t, func(t *testing.T, w *Writer, stalls *calls) {
		t.Helper()
		pass(QuietLimit / 2)
		must(t, 0, second(w.Write([]byte("x"))))
		pass(QuietLimit - 1)
		if _, err := w.Write([]byte("x")); !errors.Is(err, errCancel) {
			t.Errorf("a late write: %v", err)
		}
		pass(QuietLimit - 1)
		equal(t, "calls of Stalled", len(stalls.at), 0)
		pass(1)
		stalls.want(t, QuietLimit/2+2*QuietLimit-1)
	})
}

// Once settled nothing is called, and no timer keeps the writer in memory.
func TestSettleStopsTheWatch(t *testing.T) {
	unneededTest(t, func(t *testing.T, w *Writer, _ *calls) {
		t.Helper()
		pass(QuietLimit - 1)
		timer := w.clock.running
		w.Settle()
		if timer.Stop() {
			t.Error("the timer still runs")
		}
	})
}

// A handler whose whole body has come is busy with something else, which nobody may disturb.
func TestNotStalledBehindAWholeBody(t *testing.T) {
	tests := []struct {
		name string
		x    exchange
		send int
	}{
		{"no body", exchange{atHead: Decision{Action: Answer, Status: http.StatusNotModified}}, 0},
		{"declared", exchange{atHead: Decision{Action: Answer, Declared: 4}}, 4},
		{"declared, spilled", exchange{
			atHead:  Decision{Action: Hold, MaxBody: 3, Declared: 4},
			atSpill: answering(http.StatusNotModified),
		}, 4},
		{"declared, behind a part", exchange{atHead: slicedBy(0, 2, 4)}, 4},
		{"the part is the last", exchange{atHead: slicedBy(2, 2, 4)}, 4},
		{"declared, behind a part that spilled", exchange{
			atHead:  Decision{Action: Hold, MaxBody: 3, Declared: 4},
			atSpill: slicedBy(0, 2, 4),
		}, 4},
	}
	for _, way := range ways {
		for _, tt := range tests {
			t.Run(way.name+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					x := tt.x
					w, _ := start(t, httptest.NewRecorder(), &x)
					defer w.Close()
					w.opt.Stalled = stallFunc(func() { t.Error("called") })
					w.WriteHeader(http.StatusOK)
					equal(t, "there is a timer", w.clock.running != nil, x.atHead.Action == Answer && tt.send > 0)
					for range tt.send {
						must(t, 0, second(way.send(w, "x")))
					}
					pass(time.Hour)
					w.Settle()
				})
			})
		}
	}
}

// One byte less, and it stalls.
func TestStalledBeforeTheLastByte(t *testing.T) {
	for _, d := range []Decision{{Action: Answer, Declared: 4}, slicedBy(0, 2, 4)} {
		synctest.Test(t, func(t *testing.T) {
			w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: d})
			defer w.Close()
			calls := 0
			w.opt.Stalled = stallFunc(func() { calls++ })
			must(t, 0, second(w.Write([]byte("bod"))))
			pass(QuietLimit)
			w.Settle()
			equal(t, "calls of Stalled", calls, 1)
		})
	}
}

// A body that somebody waits for may take its time.
func TestNotStalledWhileTheBodyIsNeeded(t *testing.T) {
	for _, d := range []Decision{streamed(), holding(1 << 20), slicedBy(0, 5, -1), slicedBy(10, 5, -1)} {
		synctest.Test(t, func(t *testing.T) {
			w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: d})
			defer w.Close()
			w.opt.Stalled = stallFunc(func() { t.Error("called") })
			pass(time.Hour)
			for range 2 {
				writeBody(t, w)
				pass(time.Hour)
				if d.Action == Slice && d.Offset == 0 {
					break
				}
			}
			w.Settle()
		})
	}
}

// lazy is a writer below that takes an hour for each flush.
type lazy struct{ *httptest.ResponseRecorder }

func (lazy) FlushError() error {
	<-time.After(time.Hour)
	return nil
}

// A slow client is no stalled upstream: time counts from when the answer is out.
func TestStalledCountsFromTheAnswer(t *testing.T) {
	for _, d := range []Decision{answering(http.StatusNotModified), slicedBy(0, 4, -1)} {
		synctest.Test(t, func(t *testing.T) {
			w, _ := start(t, lazy{httptest.NewRecorder()}, &exchange{atHead: d})
			defer w.Close()
			var calls atomic.Int32
			w.opt.Stalled = stallFunc(func() { calls.Add(1) })
			writeBody(t, w)
			pass(QuietLimit - 1)
			must(t, 0, second(w.Write([]byte("in time"))))
			equal(t, "calls of Stalled", calls.Load(), 0)
			pass(QuietLimit)
			w.Settle()
			equal(t, "calls of Stalled", calls.Load(), 1)
		})
	}
}

// Settle waits for a call that is under way: what it touches may be gone afterwards.
func TestSettleWaitsForStalled(t *testing.T) {
	unneededTest(t, func(t *testing.T, w *Writer, stalls *calls) {
		t.Helper()
		goOn := make(chan struct{})
		w.mu.Lock() // for the race detector, which does not know that time orders events
		told := w.opt.Stalled
		w.opt.Stalled = stallFunc(func() {
			told.Stalled()
			<-goOn
		})
		w.mu.Unlock()
		pass(QuietLimit)
		stalls.want(t, QuietLimit)
		var settled bool
		done := make(chan struct{})
		go func() {
			w.Settle()
			settled = true
			close(done)
		}()
		synctest.Wait()
		equal(t, "settled during the call", settled, false)
		close(goOn)
		<-done
	})
}

// A panic in the timer's goroutine would end the process; net/http expects it in the handler's.
func TestStalledPanicIsThrownBySettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: answering(0)})
		defer w.Close()
		w.opt.Stalled = stallFunc(func() { panic(errPanic) })
		w.WriteHeader(http.StatusOK)
		pass(QuietLimit)
		for _, want := range []any{errPanic, nil} {
			if p := recovered(func() { w.Settle() }); p != want {
				t.Errorf("Settle threw %v, want %v", p, want)
			}
		}
		equal(t, "found", w.Settle(), Answered)
	})
}

// Behind a deadline that panicked nobody needs the body either.
func TestStalledAfterAPanicOfTheDeadline(t *testing.T) {
	for _, at := range []string{"WriteHeader", "Write", "FlushError"} {
		for _, d := range []Decision{streamed(), answering(http.StatusNotModified), slicedBy(0, 9, -1)} {
			if d.Action == Answer && at == "Write" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				x := &exchange{atHead: delayed(maxDelay), atSpill: d}
				w, _ := start(t, &panicking{httptest.NewRecorder(), at}, x)
				defer w.Close()
				calls := 0
				w.opt.Stalled = stallFunc(func() { calls++ })
				writeBody(t, w)
				pass(maxDelay + QuietLimit)
				if p := recovered(func() { w.Settle() }); p != errPanic { //nolint:errorlint // the very value
					t.Errorf("Settle threw %v", p)
				}
				equal(t, "calls of Stalled", calls, 1)
			})
		}
	}
}

// The limit passes in the very moment in which the handler returns: Stalled is called before Settle
// returns, or not at all.
func TestStalledMeetsSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		for range 500 {
			w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: answering(0)})
			settled := false
			w.opt.Stalled = stallFunc(func() {
				calls++
				if settled {
					t.Error("called after Settle")
				}
			})
			w.WriteHeader(http.StatusOK)
			<-time.After(QuietLimit)
			_ = w.Settle()
			settled = true
			w.Close()
			synctest.Wait()
		}
		t.Logf("%d calls", calls)
	})
}
