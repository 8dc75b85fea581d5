package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The limit itself is still held; one byte more is not. Either way the client gets every byte once.
func TestMaxBody(t *testing.T) {
	const maxBody = 10_000
	tests := []struct {
		name    string
		pieces  []int
		found   Found
		reasons []Reason
	}{
		{"exactly, in one piece", []int{maxBody}, Held, nil},
		{"exactly, in two pieces", []int{maxBody - 1, 1}, Held, nil},
		{"one byte more, in one piece", []int{maxBody + 1}, Streamed, []Reason{ReasonMaxBody}},
		{"one byte more, at the end", []int{maxBody, 1}, Streamed, []Reason{ReasonMaxBody}},
		{"much more", []int{3 * maxBody, 1, 3 * maxBody}, Streamed, []Reason{ReasonMaxBody}},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					rec := httptest.NewRecorder()
					x := &exchange{atHead: holding(maxBody)}
					w, budget := start(t, rec, x)
					defer w.Close()
					var sent strings.Builder
					for i, n := range tt.pieces {
						piece := strings.Repeat(string(rune('a'+i)), n)
						sent.WriteString(piece)
						got, err := way.send(w, piece)
						must(t, 0, err)
						equal(t, "bytes taken", got, int64(n))
					}
					equal(t, "found", w.Settle(), tt.found)
					equal(t, "something is held", budget.Held() != 0, tt.found == Held)
					x.wantReason(t, tt.reasons...)
					if w.found == Held {
						must(t, 0, w.Release())
					}
					equal(t, "the body arrives as sent", rec.Body.String() == sent.String(), true)
				})
			}
		})
	}
}

// greedy counts what is read from it, without end.
type greedy struct{ read int }

func (g *greedy) Read(p []byte) (int, error) {
	g.read += len(p)
	return len(p), nil
}

// until reads from greedy, and fails once something is over.
type until struct {
	greedy
	over chan struct{}
}

func (u *until) Read(p []byte) (int, error) {
	select {
	case <-u.over:
		return 0, io.ErrUnexpectedEOF
	default:
		return u.greedy.Read(p)
	}
}

// No more is read ahead than the one byte that tells a longer body from one that fits.
func TestReadFromReadsNoFartherThanItMust(t *testing.T) {
	r := &until{over: make(chan struct{})}
	x := &exchange{atHead: holding(1000), spilling: r.over}
	w, _ := start(t, httptest.NewRecorder(), x)
	defer w.Close()
	n, err := w.ReadFrom(r)
	if n != 1001 || r.read != 1001 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ReadFrom: %d, %v; %d bytes were read", n, err, r.read)
	}
	x.wantReason(t, ReasonMaxBody)
}

// A body that outgrows its declared length streams, so that the server below refuses the surplus as it
// would without this writer. (The HTTP/2 server notices later, and cuts the message at the client.)
func TestDeclaredLengthExceeded(t *testing.T) {
	x := &exchange{atHead: Decision{Action: Hold, MaxBody: 1 << 20, Declared: 4}}
	f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		writeBody(t, w)
		if _, err := w.Write([]byte("more")); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("writing past the declared length: %v", err)
		}
	})
	if _, body := get(t, serve(t, 1, f)); body != "body" {
		t.Errorf("got %q", body)
	}
	if got := <-f.outcomes; got.Found != Streamed {
		t.Errorf("settled as %+v", got)
	}
	x.wantReason(t, ReasonLength)
}

func TestDeclaredLengthExceededByEachWay(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			x := &exchange{atHead: Decision{Action: Hold, MaxBody: 1 << 20, Declared: 4}}
			w, _ := start(t, rec, x)
			defer w.Close()
			must(t, 0, second(way.send(w, "body")))
			x.wantReason(t)
			must(t, 0, second(way.send(w, "+")))
			x.wantReason(t, ReasonLength)
			if w.Settle() != Streamed || rec.Body.String() != "body+" {
				t.Errorf("got %q", rec.Body)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// The room for a declared length is made once, at the head; not when it would not be held anyway.
func TestDeclaredLengthIsReserved(t *testing.T) {
	tests := []struct {
		name              string
		declared, maxBody int64
		reserved          int64
	}{
		{"within the limit", 64 << 10, 1 << 20, 64<<10 + slack},
		{"at the limit", 64 << 10, 64 << 10, 64<<10 + slack},
		{"over the limit", 64<<10 + 1, 64 << 10, 0},
		{"larger than every pooled buffer", 20 << 20, 32 << 20, 25 << 20},
		{"nothing", 0, 1 << 20, 0},
		{"unknown", -1, 1 << 20, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Decision{Action: Hold, MaxBody: tt.maxBody, Declared: tt.declared}
			w, budget := start(t, httptest.NewRecorder(), &exchange{atHead: d})
			defer w.Close()
			w.WriteHeader(http.StatusOK)
			if got := budget.Held(); got != tt.reserved {
				t.Errorf("%d bytes are reserved, want %d", got, tt.reserved)
			}
			if tt.reserved == 0 {
				return
			}
			for range 4 {
				must(t, 0, second(w.ReadFrom(io.LimitReader(new(greedy), tt.declared/4))))
			}
			if got := budget.Held(); got != tt.reserved {
				t.Errorf("at the end %d bytes are held, want %d", got, tt.reserved)
			}
		})
	}
}

// A body beyond the pooled sizes grows, is held, and is given back.
func TestBodyBeyondThePools(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w, budget := start(t, httptest.NewRecorder(), &exchange{atHead: holding(64 << 20)})
			piece := strings.Repeat("x", 6<<20)
			for range 4 {
				must(t, 0, second(way.send(w, piece)))
			}
			if w.Settle() != Held || len(w.Body()) != 24<<20 {
				t.Errorf("%d bytes are held", len(w.Body()))
			}
			w.Close()
			if budget.Held() != 0 {
				t.Errorf("%d bytes stay charged", budget.Held())
			}
		})
	}
}

// max_total: what cannot be charged is streamed, and what was charged comes back.
func TestBudgetReached(t *testing.T) {
	const limit = 100 << 10
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			var budget Budget
			first, second := new(Writer), new(Writer)
			firstX, secondX := &exchange{atHead: holding(1 << 20)}, &exchange{atHead: holding(1 << 20)}
			rec := httptest.NewRecorder()
			first.Start(httptest.NewRecorder(), firstX, &budget, limit)
			second.Start(rec, secondX, &budget, limit)
			body := strings.Repeat("x", 60<<10)
			for _, w := range []*Writer{first, second} {
				if n, err := way.send(w, body); n != int64(len(body)) || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			if first.Settle() != Held || second.Settle() != Streamed || rec.Body.String() != body {
				t.Errorf("the first is %v, the second %v", first.found, second.found)
			}
			firstX.wantReason(t)
			secondX.wantReason(t, ReasonMaxTotal)
			if held := budget.Held(); held != 64<<10+slack {
				t.Errorf("%d bytes are held, want those of the first alone", held)
			}
			first.Close()
			second.Close()
			first.Close() // twice does no harm
			if budget.Held() != 0 {
				t.Errorf("%d bytes stay charged", budget.Held())
			}
		})
	}
}

func TestBudgetReachedByDeclaredLength(t *testing.T) {
	var budget Budget
	rec := httptest.NewRecorder()
	x := &exchange{atHead: Decision{Action: Hold, MaxBody: 1 << 20, Declared: 64 << 10}}
	w := new(Writer)
	w.Start(rec, x, &budget, 64<<10)
	defer w.Close()
	w.WriteHeader(http.StatusOK)
	x.wantReason(t, ReasonMaxTotal)
	if w.Settle() != Streamed || budget.Held() != 0 {
		t.Errorf("found %v, %d bytes held", w.found, budget.Held())
	}
}

// Memory stays bounded at any concurrency, and no body is damaged by where its neighbours' bytes went.
func TestBudgetUnderConcurrency(t *testing.T) {
	const writers, size, limit = 200, 64 << 10, 1 << 20
	var budget Budget
	var done atomic.Bool
	var watch, work sync.WaitGroup
	watch.Go(func() {
		for !done.Load() {
			if held := budget.Held(); held > limit || held < 0 {
				t.Errorf("%d bytes held, limit %d", held, limit)
				return
			}
		}
	})
	var held atomic.Int32
	var written sync.WaitGroup // nobody settles before all have written
	written.Add(writers)
	for filling := range byte(writers) {
		work.Go(func() {
			rec := httptest.NewRecorder()
			w := new(Writer)
			w.Start(rec, &exchange{atHead: holding(1 << 20)}, &budget, limit)
			defer w.Close()
			body := bytes.Repeat([]byte{filling}, size)
			for piece := range len(body) / 4096 {
				must(t, 0, second(w.Write(body[piece*4096:(piece+1)*4096])))
			}
			written.Done()
			written.Wait()
			if w.Settle() == Held {
				held.Add(1)
				must(t, 0, w.Release())
			}
			if !bytes.Equal(rec.Body.Bytes(), body) {
				t.Errorf("the body of writer %d is damaged", filling)
			}
		})
	}
	work.Wait()
	done.Store(true)
	watch.Wait()
	if n := held.Load(); n == 0 || n > limit/size {
		t.Errorf("%d bodies were held at one time", n)
	}
	if budget.Held() != 0 {
		t.Errorf("%d bytes stay charged", budget.Held())
	}
}

// Somebody who asks for more than there ever is must not make others, whose share is free, go without.
func TestBudgetRefusalDisturbsNobody(t *testing.T) {
	const limit = 10
	var budget Budget
	var done atomic.Bool
	var wg sync.WaitGroup
	started := make(chan struct{})
	wg.Go(func() {
		close(started)
		for !done.Load() {
			if budget.acquire(limit+1, limit) {
				t.Error("more than the limit was given")
				return
			}
		}
	})
	<-started
	for range 1_000_000 {
		if !budget.acquire(limit, limit) {
			t.Error("a free share was refused")
			break
		}
		budget.release(limit)
	}
	done.Store(true)
	wg.Wait()
}

func TestBudgetWithoutLimit(t *testing.T) {
	for _, limit := range []int64{0, -1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			var budget Budget
			if !budget.acquire(1<<50, limit) || budget.Held() != 1<<50 {
				t.Errorf("refused, %d bytes held", budget.Held())
			}
		})
	}
}

// What the pools keep of bodies that are over is given back: a burst does not stay in memory.
func TestPoolsGiveBack(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		for range 3 { // a pool keeps what it has over one collection
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	budget := new(Budget)
	const bodies, size = 32, 4 << 20
	var all []*Scratch
	for range bodies {
		s := NewScratch(budget, 0)
		_, _ = s.Write(make([]byte, size))
		all = append(all, s)
	}
	if used := heap() - before; used < bodies*size {
		t.Fatalf("%d bytes hold %d bodies of %d", used, bodies, size)
	}
	for _, s := range all {
		s.Free()
	}
	clear(all)
	if left := heap() - before; left > size || budget.Held() != 0 {
		t.Errorf("%d bytes are left, %d of them charged", left, budget.Held())
	}
}
