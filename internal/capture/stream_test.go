package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Server-sent events: each one is at the client before the handler makes the next.
func TestStreamedEventsArriveOneByOne(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			next := make(chan struct{})
			f := newFront(&exchange{atHead: streamed()}, func(w http.ResponseWriter, _ *http.Request) {
				for i := range 5 {
					must(t, 0, second(fmt.Fprintf(w, "data: %d\n", i)))
					must(t, 0, http.NewResponseController(w).Flush())
					<-next
				}
			})
			server := serve(t, p.major, f)
			lines := bufio.NewReader(begin(t, server).Body)
			for i := range 5 {
				line, err := lines.ReadString('\n')
				must(t, 0, err)
				equal(t, "event", line, fmt.Sprintf("data: %d\n", i))
				next <- struct{}{}
			}
			if rest, err := io.ReadAll(lines); len(rest) != 0 || err != nil {
				t.Errorf("at the end: %q, %v", rest, err)
			}
		})
	}
}

// readerFrom is a writer below that has a ReadFrom of its own: net/http's uses sendfile.
type readerFrom struct {
	*httptest.ResponseRecorder
	from []io.Reader
}

func (r *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	r.from = append(r.from, src)
	return io.Copy(onlyWriter{r.ResponseRecorder}, src)
}

// sendfile needs the very reader that the handler gave, not one wrapped around it.
func TestReadFromBelow(t *testing.T) {
	tests := []struct {
		name     string
		decision Decision
		reaches  bool
		body     string
	}{
		{"while streaming", streamed(), true, "body"},
		{"while held", holding(1 << 20), false, ""},
		{"once spilled", holding(2), true, "body"},
		{"once answered", answering(http.StatusNotModified), false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
			w, _ := start(t, rec, &exchange{atHead: tt.decision})
			defer w.Close()
			w.WriteHeader(http.StatusOK)
			src := source("body")
			if n, err := w.ReadFrom(src); n != 4 || err != nil {
				t.Errorf("ReadFrom: %d, %v", n, err)
			}
			if reached := len(rec.from) == 1 && rec.from[0] == src; reached != tt.reaches {
				t.Errorf("it reaches the writer below: %t, with %v", reached, rec.from)
			}
			if rec.Body.String() != tt.body {
				t.Errorf("sent %q", rec.Body)
			}
			w.Settle()
		})
	}
}

// The first read comes before the head; all that follows goes below.
func TestReadFromFirstReachesBelow(t *testing.T) {
	rec := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
	w, _ := start(t, rec, &exchange{atHead: streamed()})
	body := strings.Repeat("0123456789", 1000)
	if n, err := w.ReadFrom(source(body)); n != int64(len(body)) || err != nil {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
	if len(rec.from) != 1 || rec.Body.String() != body {
		t.Errorf("%d calls below, %d bytes", len(rec.from), rec.Body.Len())
	}
}

// A reader's error is the handler's to see, in every state.
func TestReadFromPassesErrors(t *testing.T) {
	for _, d := range decisions {
		t.Run(d.name, func(t *testing.T) {
			w, _ := start(t, httptest.NewRecorder(), &exchange{atHead: d.Decision})
			defer w.Close()
			n, err := w.ReadFrom(io.MultiReader(source("body"), failing{}))
			if n != 4 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %d, %v", n, err)
			}
			w.Settle()
		})
	}
}

// A flush is no reason to stop holding; one that came meanwhile is honoured when holding ends.
func TestFlushWhileHeld(t *testing.T) {
	for _, flush := range []bool{false, true} {
		t.Run(fmt.Sprintf("flush=%t", flush), func(t *testing.T) {
			rec := httptest.NewRecorder()
			x := &exchange{atHead: holding(4)}
			w, _ := start(t, rec, x)
			defer w.Close()
			writeBody(t, w)
			if flush {
				must(t, 0, w.FlushError())
			}
			x.wantReason(t)
			if rec.Flushed || rec.Body.Len() != 0 {
				t.Error("a flush ended the holding")
			}
			must(t, 0, second(w.Write([]byte("+"))))
			if rec.Flushed != flush {
				t.Errorf("after the spill flushed is %t", rec.Flushed)
			}
			if w.Settle() != Streamed || rec.Body.String() != "body+" {
				t.Errorf("sent %q", rec.Body)
			}
		})
	}
}

// pusher is a writer below that can push.
type pusher struct {
	http.ResponseWriter
	target string
	opts   *http.PushOptions
}

func (p *pusher) Push(target string, opts *http.PushOptions) error {
	p.target, p.opts = target, opts
	return io.ErrClosedPipe
}

func TestPush(t *testing.T) {
	below := &pusher{ResponseWriter: httptest.NewRecorder()}
	w, _ := start(t, below, &exchange{})
	opts := &http.PushOptions{Method: http.MethodHead}
	if err := w.Push("/style.css", opts); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if below.target != "/style.css" || below.opts != opts {
		t.Errorf("passed %q, %v", below.target, below.opts)
	}
	w, _ = start(t, httptest.NewRecorder(), &exchange{})
	if err := w.Push("/style.css", nil); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("without support: %v", err)
	}
}

// What this writer does not know, http.ResponseController finds below it.
func TestUnwrap(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			f := newFront(&exchange{atHead: holding(1 << 20)}, func(w http.ResponseWriter, _ *http.Request) {
				control := http.NewResponseController(w)
				must(t, 0, control.SetWriteDeadline(time.Now().Add(time.Minute)))
				must(t, 0, control.SetReadDeadline(time.Now().Add(time.Minute)))
				writeBody(t, w)
			})
			if _, body := get(t, serve(t, p.major, f)); body != "body" {
				t.Errorf("got %q", body)
			}
		})
	}
}
