package capture

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// entry is a handler that calls one entry point first.
type entry struct {
	name   string
	call   func(t *testing.T, w http.ResponseWriter)
	status int // 0: no head is written
	body   string
}

var entries = []entry{
	{"Write", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		writeBody(t, w)
	}, http.StatusOK, "body"},
	{"WriteHeader", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		w.WriteHeader(http.StatusNonAuthoritativeInfo)
		writeBody(t, w)
	}, http.StatusNonAuthoritativeInfo, "body"},
	{"ReadFrom", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		n, err := w.(io.ReaderFrom).ReadFrom(source("body"))
		if n != 4 || err != nil {
			t.Errorf("ReadFrom returned %d, %v", n, err)
		}
	}, http.StatusOK, "body"},
	{"FlushError", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		must(t, 0, http.NewResponseController(w).Flush())
		writeBody(t, w)
	}, http.StatusOK, "body"},
	{"Header", func(*testing.T, http.ResponseWriter) {}, 0, ""},
}

func writeBody(t *testing.T, w io.Writer) {
	t.Helper()
	n, err := w.Write([]byte("body"))
	if n != 4 || err != nil {
		t.Errorf("Write returned %d, %v", n, err)
	}
}

// want is what Settle has to report, and what the client has to get, for an entry under a decision.
func (e entry) want(d Decision) (settled outcome, status int, body string) {
	switch {
	case e.status == 0:
		return outcome{Found: Untouched}, http.StatusOK, ""
	case d.Action == Stream:
		return outcome{Streamed, e.status, "", true}, e.status, e.body
	case d.Action == Hold:
		return outcome{Held, e.status, e.body, false}, e.status, e.body
	case d.Action == Slice:
		return outcome{Sliced, e.status, "", true}, d.Status, e.body[d.Offset : d.Offset+d.Length]
	case d.Status != 0:
		return outcome{Answered, e.status, "", true}, d.Status, ""
	default: // front answers
		return outcome{Answered, e.status, "", false}, http.StatusPreconditionFailed, ""
	}
}

// Whatever is called first makes the decision fall, once, with the same result.
func TestEachEntryPointFirst(t *testing.T) {
	for _, d := range over(decisions) {
		for _, e := range entries {
			t.Run(d.name+"/"+e.name, func(t *testing.T) { testEntry(t, d.major, e, d.Decision) })
		}
	}
}

func testEntry(t *testing.T, major int, e entry, d Decision) {
	t.Helper()
	x := &exchange{atHead: d}
	f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Inner", "set")
		e.call(t, w)
	})
	response, body := get(t, serve(t, major, f))
	settled, wantStatus, wantBody := e.want(d)
	if got := <-f.outcomes; got != settled {
		t.Errorf("settled as %+v, want %+v", got, settled)
	}
	if response.ProtoMajor != major || response.StatusCode != wantStatus || body != wantBody {
		t.Errorf("got %s %d %q, want %d %q", response.Proto, response.StatusCode, body, wantStatus, wantBody)
	}
	if wantHeads := min(e.status, 1); x.heads != wantHeads || x.status != e.status {
		t.Errorf("asked %d times, last about %d; want %d times about %d", x.heads, x.status, wantHeads, e.status)
	}
	// An answer left to the front is Restored first: it inherits nothing.
	if got, want := response.Header.Get("X-Inner") == "set", wantStatus != http.StatusPreconditionFailed; got != want {
		t.Errorf("the handler's field arrived: %t, want %t", got, want)
	}
	if w := <-f.closed; f.budget.Held() != 0 || w.Body() != nil {
		t.Errorf("%d bytes are still held", f.budget.Held())
	}
}

func TestNothingCalledIsUntouched(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			x := &exchange{atHead: holding(1 << 20)}
			f := newFront(x, func(http.ResponseWriter, *http.Request) {})
			response, body := get(t, serve(t, p.major, f))
			if got := <-f.outcomes; got != (outcome{}) || x.heads != 0 {
				t.Errorf("settled as %+v, asked %d times", got, x.heads)
			}
			if response.StatusCode != http.StatusOK || body != "" {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
		})
	}
}

// A connection taken over before any head is none of the Exchange's business.
func TestHijackFirst(t *testing.T) {
	for _, d := range decisions {
		t.Run(d.name, func(t *testing.T) {
			x := &exchange{atHead: d.Decision}
			f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
				conn, rw := hijack(t, w)
				defer conn.Close()
				must(t, 0, reply(rw, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw"))
				w.WriteHeader(http.StatusTeapot)
				if _, err := w.Write([]byte("lost")); err == nil {
					t.Error("a write after the connection was taken over succeeded")
				}
			})
			response, body := get(t, serve(t, 1, f))
			if want, got := (outcome{Found: Hijacked, Sent: true}), <-f.outcomes; got != want || x.heads != 0 {
				t.Errorf("settled as %+v, asked %d times", got, x.heads)
			}
			if response.StatusCode != http.StatusOK || body != "raw" {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
		})
	}
}

// HTTP/2 has no connection to give away; a handler that tried can still answer.
func TestHijackUnsupported(t *testing.T) {
	f := newFront(&exchange{atHead: holding(1 << 20)}, func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("an HTTP/2 connection was taken over")
		}
		writeBody(t, w)
	})
	if _, body := get(t, serve(t, 2, f)); body != "body" {
		t.Errorf("got %q", body)
	}
	if got := <-f.outcomes; got.Found != Held {
		t.Errorf("settled as %+v", got)
	}
}

func hijack(t *testing.T, w http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	t.Helper()
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("Hijack: %v", err)
		panic(http.ErrAbortHandler)
	}
	return conn, rw
}

func reply(rw *bufio.ReadWriter, s string) error {
	if _, err := rw.WriteString(s); err != nil {
		return err
	}
	return rw.Flush()
}

// RFC 9110 §15: one final response. The first head counts, as with net/http.
func TestSecondWriteHeaderIsIgnored(t *testing.T) {
	for _, d := range over(decisions) {
		t.Run(d.name, func(t *testing.T) {
			x := &exchange{atHead: d.Decision}
			f := newFront(x, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusAccepted)
				w.WriteHeader(http.StatusTeapot)
				writeBody(t, w)
				w.WriteHeader(http.StatusTeapot)
			})
			response, _ := get(t, serve(t, d.major, f))
			if got := <-f.outcomes; got.Status != http.StatusAccepted || x.heads != 1 {
				t.Errorf("status %d, asked %d times", got.Status, x.heads)
			}
			if response.StatusCode == http.StatusTeapot {
				t.Error("the second head was sent")
			}
		})
	}
}

// RFC 9110 §15.3.5, §15.4.5 and §9.3.2: no content, whatever the handler writes. Bytes that are held
// for nothing do no harm; streamed ones fail as they would without this writer.
func TestResponsesWithoutContent(t *testing.T) {
	tests := []struct {
		name, method string
		status       int
		refused      error // of the write, when streamed
	}{
		{"204", http.MethodGet, http.StatusNoContent, http.ErrBodyNotAllowed},
		{"304", http.MethodGet, http.StatusNotModified, http.ErrBodyNotAllowed},
		{"HEAD", http.MethodHead, http.StatusOK, nil},
	}
	for _, d := range over(decisions[:2]) {
		for _, tt := range tests {
			t.Run(d.name+"/"+tt.name, func(t *testing.T) {
				f := newFront(&exchange{atHead: d.Decision}, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.status)
					want := map[Action]error{Stream: tt.refused, Hold: nil}[d.Action]
					equal(t, "Write", second(w.Write([]byte("body"))), want)
				})
				server := serve(t, d.major, f)
				for range 2 { // the connection stays usable
					r, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, http.NoBody)
					must(t, r, err)
					response, body := send(t, server, r)
					equal(t, "status", response.StatusCode, tt.status)
					equal(t, "body", body, "")
				}
			})
		}
	}
}

// As with net/http, a source that fails before its first byte leaves the handler free to say so.
func TestFailingSourceLeavesTheHeadOpen(t *testing.T) {
	for _, d := range over(decisions[:2]) {
		t.Run(d.name, func(t *testing.T) {
			f := newFront(&exchange{atHead: d.Decision}, func(w http.ResponseWriter, _ *http.Request) {
				n, err := io.Copy(w, io.MultiReader(strings.NewReader(""), failing{}))
				if n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("io.Copy: %d, %v", n, err)
				}
				w.WriteHeader(http.StatusBadGateway)
			})
			if response, _ := get(t, serve(t, d.major, f)); response.StatusCode != http.StatusBadGateway {
				t.Errorf("got %d", response.StatusCode)
			}
		})
	}
}

// failing is a source that is broken from the start.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
