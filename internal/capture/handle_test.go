package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The exchange is told every field of the final head, once, and before it decides. Of a 1xx it is told nothing.
func TestFieldsAreToldBeforeTheHead(t *testing.T) {
	for _, share := range []bool{false, true} {
		x := &exchange{atHead: streamed()}
		x.change = func(header http.Header) {
			equal(t, "fields told before the head", x.fields, len(header))
		}
		rec := httptest.NewRecorder()
		rec.Header().Set("Server", "Caddy")
		var h Handle
		var w Response
		w.Start(&h, &Options{Outer: rec, Exchange: x, Budget: new(Budget), Share: share})
		h.Header().Set("Link", "</a.css>")
		h.WriteHeader(http.StatusEarlyHints)
		equal(t, "fields told of a 103", x.fields, 0)
		h.Header().Set("X-A", "1")
		h.Header()["X-B"] = []string{"1", "2"}
		h.WriteHeader(http.StatusOK)
		equal(t, "heads", x.heads, 1)
		equal(t, "fields", x.fields, 4)
		w.Settle()
	}
}

// A shared map is the one below: what is set before the head goes out, and so do trailers.
func TestSharedMap(t *testing.T) {
	f := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Outer", "1")
		var h Handle
		var w Response
		w.Start(&h, &Options{Outer: rw, Exchange: &exchange{atHead: streamed()}, Budget: new(Budget), Share: true})
		h.Header().Del("X-Outer")
		h.Header().Set("X-Inner", "1")
		_, _ = io.WriteString(&h, "body")
		_ = h.FlushError()
		h.Header().Set(http.TrailerPrefix+"X-Late", "1")
		equal(t, "found", w.Settle(), Streamed)
		w.Close()
	})
	response, body := get(t, serve(t, 1, f))
	equal(t, "body", body, "body")
	equal(t, "a field taken off inside", response.Header.Get("X-Outer"), "")
	equal(t, "a field set inside", response.Header.Get("X-Inner"), "1")
	equal(t, "a trailer", response.Trailer.Get("X-Late"), "1")
}

// hijackable is a writer below that gives its connection away.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return new(net.TCPConn), nil, nil }

// A response is quiet when nothing of it can still be under way; in doubt it is not.
func TestQuiet(t *testing.T) {
	blocked, source := io.Pipe()
	defer source.Close()
	for _, tt := range []struct {
		name  string
		at    Decision
		do    func(w *Writer)
		quiet bool
	}{
		{"nothing was written", streamed(), func(*Writer) {}, true},
		{"streamed", streamed(), func(w *Writer) { _, _ = io.WriteString(&w.Handle, "body") }, true},
		{"held, the deadline still to come", delayed(maxDelay), func(w *Writer) { _, _ = io.WriteString(&w.Handle, "body") }, true},
		{"held, and spilled in time", Decision{Action: Hold, MaxBody: 3, MaxDelay: maxDelay, Declared: -1}, func(w *Writer) { _, _ = io.WriteString(&w.Handle, "body") }, true},
		{"the deadline has fired", delayed(maxDelay), func(w *Writer) {
			_, _ = io.WriteString(&w.Handle, "body")
			pass(2 * maxDelay)
		}, false},
		{"answered", answering(http.StatusNotModified), func(w *Writer) { _, _ = io.WriteString(&w.Handle, "body") }, true},
		{"answered, and stalled", answering(http.StatusNotModified), func(w *Writer) {
			w.opt.Stalled = stallFunc(func() {})
			_, _ = io.WriteString(&w.Handle, "body")
			pass(time.Second)
		}, false},
		{"a read under way", holding(1 << 20), func(w *Writer) {
			go func() { _, _ = w.ReadFrom(blocked) }()
			_, _ = io.WriteString(source, "body") // taken by a read, and the next one comes
			synctest.Wait()
		}, false},
		{"hijacked", streamed(), func(w *Writer) { _, _, _ = w.Hijack() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.name == "a read under way" {
					blocked, source = io.Pipe() // of this bubble
				}
				w, _ := start(t, hijackable{httptest.NewRecorder()}, &exchange{atHead: tt.at, atSpill: streamed()})
				tt.do(w)
				w.Settle()
				equal(t, "quiet", w.Quiet(), tt.quiet)
				source.Close()
				synctest.Wait()
				w.Close()
			})
		})
	}
}

// refusing is a writer below that may refuse bodies.
type refusing struct {
	*httptest.ResponseRecorder
	refuses bool
}

func (r refusing) Write(p []byte) (int, error) {
	if r.refuses {
		return 0, io.ErrClosedPipe
	}
	return r.ResponseRecorder.Write(p)
}

// A recycled response is as good as a new one, whatever it was used for.
func TestRecycled(t *testing.T) {
	w := new(Response)
	for round := range 3 {
		for _, d := range decisions {
			t.Run(fmt.Sprintf("%d/%s", round, d.name), func(t *testing.T) { useOnce(t, w, d.Decision, round == 1) })
		}
	}
}

func useOnce(t *testing.T, w *Response, d Decision, refused bool) {
	t.Helper()
	x := &exchange{atHead: d}
	rec := refusing{httptest.NewRecorder(), refused}
	for _, name := range []string{"Server", "X-A", "X-B", "X-C", "X-D", "X-E"} {
		rec.Header()[name] = []string{name, "second"}
	}
	h, budget := new(Handle), new(Budget)
	w.Start(h, &Options{Outer: rec, Exchange: x, Budget: budget, Stalled: stallFunc(func() {})})
	_, _ = io.WriteString(h, "body")
	if w.Settle() == Held {
		_ = w.Release()
	}
	equal(t, "heads", x.heads, 1)
	w.Close()
	if !w.Quiet() {
		t.Fatal("not quiet")
	}
	w.Recycle()
	if _, err := h.Write([]byte("late")); !errors.Is(err, ErrSettled) {
		t.Errorf("a late write: %v", err)
	}
	equal(t, "bytes held", budget.Held(), 0)
	v := reflect.ValueOf(w).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name != "clock" && !v.Field(i).IsZero() {
			t.Errorf("%s has something left: %v", name, v.Field(i))
		}
	}
}

// Lines are never given out twice, and an append to one does not reach the next.
func TestLines(t *testing.T) {
	lines := new(Lines)
	var all [][]string
	for _, s := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all = append(all, lines.One(s))
	}
	for i := range all {
		_ = append(all[i], "x")
	}
	for i, s := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if len(all[i]) != 1 || all[i][0] != s {
			t.Errorf("list %d is %q, want %q", i, all[i], s)
		}
	}
	if got := (*Lines)(nil).One("a"); len(got) != 1 || got[0] != "a" {
		t.Errorf("without room: %q", got)
	}
}

// told is a writer below that notes whether the response was said to be over when its head came.
type told struct {
	*httptest.ResponseRecorder
	over   *atomic.Bool
	atHead bool
}

func (w *told) WriteHeader(status int) {
	w.atHead = w.over.Load()
	w.ResponseRecorder.WriteHeader(status)
}

// A client may leave as soon as it has its answer: that it has all it gets has to be known before.
func TestOverBeforeTheAnswer(t *testing.T) {
	for status, over := range map[int]bool{http.StatusNotModified: true, http.StatusOK: false} {
		d := streamed()
		if over {
			d = answering(status)
		}
		w := new(Writer)
		below := &told{ResponseRecorder: httptest.NewRecorder(), over: &w.over}
		w.Start(below, &exchange{atHead: d}, new(Budget), 0)
		w.WriteHeader(http.StatusOK)
		equal(t, "over when the head goes out", below.atHead, over)
		w.Settle()
		w.Close()
	}
}

// The timers of a response are used again with it, and fire when they are due: neither earlier, for the response before,
// nor never.
func TestTimersOfARecycledResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(Response)
		for round := range 3 {
			x := &exchange{atHead: delayed(maxDelay), atSpill: streamed(), spilling: make(chan struct{})}
			rec := httptest.NewRecorder()
			h := new(Handle)
			w.Start(h, &Options{Outer: rec, Exchange: x, Budget: new(Budget)})
			_, _ = io.WriteString(h, "body")
			pass(maxDelay - 1)
			synctest.Wait()
			select {
			case <-x.spilling:
				t.Error("spilled before it was due")
			default:
			}
			if round == 2 {
				<-x.spilling
				w.Settle()
				x.wantReason(t, ReasonMaxDelay)
				equal(t, "quiet", w.Quiet(), false)
				w.Close()
				return
			}
			equal(t, "found", w.Settle(), Held)
			w.Close()
			w.Recycle()
			pass(maxDelay)
		}
	})
}

// Trailers that nobody has announced are found, be they set before the head or behind it, in place of others or not.
func TestTrailersSetAtAnyTime(t *testing.T) {
	const late = http.TrailerPrefix + "X-Late"
	for name, set := range map[string][2]func(http.Header){
		"before the head":           {func(h http.Header) { h.Set(late, "1") }, func(http.Header) {}},
		"behind it":                 {func(http.Header) {}, func(h http.Header) { h.Set(late, "1") }},
		"before, and another taken": {func(h http.Header) { h.Set(late, "1"); h.Set("X-A", "1") }, func(h http.Header) { h.Del("X-A") }},
	} {
		w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: holding(1 << 20)})
		set[0](w.Header())
		w.WriteHeader(http.StatusOK)
		set[1](w.Header())
		w.Settle()
		if !w.LateTrailers() {
			t.Errorf("set %s: not found", name)
		}
		w.Close()
	}
}
