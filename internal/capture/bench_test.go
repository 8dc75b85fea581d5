package capture

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// sink is a writer below that costs nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header               { return s.header }
func (*sink) Write(p []byte) (int, error)         { return len(p), nil }
func (*sink) WriteHeader(int)                     {}
func (*sink) FlushError() error                   { return nil }
func (*sink) ReadFrom(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }

// plain hides what a reader can do besides reading.
type plain struct{ r io.Reader }

func (p *plain) Read(b []byte) (int, error) { return p.r.Read(b) }

// feeds are the ways a body comes from a handler: in the pieces of a proxy's buffer, or by io.Copy.
var feeds = []struct {
	name string
	feed func(w *Writer, body []byte, r *bytes.Reader) error
}{
	{"Write", func(w *Writer, body []byte, _ *bytes.Reader) error {
		for piece := range bytes.SplitAfterSeq(body, newline) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	}},
	{"ReadFrom", func(w *Writer, body []byte, r *bytes.Reader) error {
		r.Reset(body)
		_, err := w.ReadFrom(&plain{r})
		return err
	}},
}

var newline = []byte("\n")

// benchBody has a line end after every 32 KiB.
func benchBody(size int) []byte {
	body := bytes.Repeat([]byte("x"), size)
	for i := 32<<10 - 1; i < size; i += 32 << 10 {
		body[i] = '\n'
	}
	return body
}

// A whole response: started, fed, settled, released, closed.
func BenchmarkResponse(b *testing.B) {
	for _, d := range []struct {
		name  string
		sizes []int
		Decision
	}{
		{"held", []int{4 << 10, 64 << 10, 1 << 20}, delayed(maxDelay)},
		{"streamed", []int{64 << 10}, streamed()},
		{"answered", []int{4 << 10}, answering(http.StatusNotModified)},
	} {
		for _, f := range feeds {
			for _, size := range d.sizes {
				b.Run(fmt.Sprintf("%s/by=%s/size=%dKiB", d.name, f.name, size>>10), func(b *testing.B) {
					benchmark(b, d.Decision, f.feed, size)
				})
			}
		}
	}
}

func benchmark(b *testing.B, d Decision, feed func(*Writer, []byte, *bytes.Reader) error, size int) {
	b.Helper()
	body := benchBody(size)
	var budget Budget
	var r bytes.Reader
	x := &exchange{atHead: d}
	below := &sink{header: http.Header{}}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		clear(below.header)
		below.header["Server"] = []string{"bench"}
		w := new(Writer)
		w.Start(below, x, &budget, 0)
		w.Header()["Content-Type"] = html
		w.WriteHeader(http.StatusOK)
		if err := feed(w, body, &r); err != nil {
			b.Fatal(err)
		}
		if w.Settle() == Held {
			must(b, 0, w.Release())
		}
		w.Close()
	}
}

var html = []string{"text/html; charset=utf-8"}
