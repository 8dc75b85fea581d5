package capture

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var errCancel = errors.New("nobody needs the rest")

// answeredWriter is a Writer whose response was answered at its head.
func answeredWriter(t *testing.T, declared int64, cancel error) *Writer {
	t.Helper()
	d := Decision{Action: Answer, Status: http.StatusNotModified, Declared: declared}
	w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: d})
	w.opt.Cancel = cancel
	w.WriteHeader(http.StatusOK)
	return w
}

// A short rest is swallowed, so that the upstream's connection can be used again; a long one ends the
// transfer. The declared length decides at once.
func TestDiscard(t *testing.T) {
	tests := []struct {
		name     string
		declared int64
		pieces   []int
		last     error // what the last piece gets; the others get nil
	}{
		{"short", -1, []int{100}, nil},
		{"up to the limit", -1, []int{DiscardLimit}, nil},
		{"up to the limit, in pieces", -1, []int{DiscardLimit - 1, 1}, nil},
		{"one byte more", -1, []int{DiscardLimit + 1}, errCancel},
		{"one byte more, in pieces", -1, []int{DiscardLimit, 1}, errCancel},
		{"declared within the limit", DiscardLimit, []int{1, DiscardLimit - 1}, nil},
		{"declared over the limit", DiscardLimit + 1, []int{1}, errCancel},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					w := answeredWriter(t, tt.declared, errCancel)
					var last error
					for _, n := range tt.pieces {
						equal(t, "an earlier piece", last, nil)
						_, last = way.send(w, strings.Repeat("x", n))
					}
					equal(t, "the last piece", last, tt.last)
					equal(t, "found", w.Settle(), Answered)
					equal(t, "bytes held", w.hold.body.budget.Held(), 0)
				})
			}
		})
	}
}

func TestDiscardWithoutCancelIsAShortWrite(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w := answeredWriter(t, DiscardLimit+1, nil)
			if _, err := way.send(w, "x"); !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A reader without end is left soon after the limit.
func TestDiscardStopsReading(t *testing.T) {
	w := answeredWriter(t, -1, errCancel)
	var g greedy
	if _, err := w.ReadFrom(&g); !errors.Is(err, errCancel) {
		t.Errorf("got %v", err)
	}
	if g.read > 2*DiscardLimit {
		t.Errorf("%d bytes were read", g.read)
	}
}

// What was held before a verdict counts: it was read from the upstream in vain, too.
func TestDiscardCountsWhatWasHeld(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w, budget := start(t, httptest.NewRecorder(), &exchange{atHead: holding(60_000), atSpill: answering(0)})
			w.opt.Cancel = errCancel
			must(t, 0, second(way.send(w, strings.Repeat("x", 60_000))))
			must(t, 0, second(way.send(w, strings.Repeat("x", DiscardLimit-60_000))))
			if _, err := way.send(w, "x"); !errors.Is(err, errCancel) {
				t.Errorf("past the limit: %v", err)
			}
			if budget.Held() != 0 {
				t.Errorf("%d bytes are held for nothing", budget.Held())
			}
		})
	}
}
