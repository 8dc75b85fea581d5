//go:build unix

package integration

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// slowBodies are under way at one time, each of them as long as a body that is held may be.
	slowBodies, slowBody = 1000, 4 << 20
	// slowPiece is how much of it is written at once.
	slowPiece = 32 << 10
	// smallBudget has room for few of them.
	smallBudget = 64 << 20
	// transfers may take this long, on a machine that does other things as well.
	transfers = 2 * time.Minute
)

func init() {
	caddy.RegisterModule(slowUpstream{})
	httpcaddyfile.RegisterHandlerDirective("test_slow_upstream", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return slowUpstream{}, nil
	})
}

// slowUpstream writes the beginning of a body, and the rest when all others have come so far, too. It is a handler of
// Caddy's: a proxy and a server for each request would be more goroutines than the race detector can watch.
type slowUpstream struct{}

// CaddyModule returns the Caddy module information.
func (slowUpstream) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_slow_upstream", New: func() caddy.Module { return new(slowUpstream) }}
}

// meeting is where the bodies wait for each other.
type meeting struct {
	begun chan struct{} // gets a value from each body that has begun
	rest  chan struct{} // closed when the rest of the bodies may come
}

var theMeeting atomic.Pointer[meeting]

// ServeHTTP answers /N: with a Content-Length if N is even, else chunked, and flushed after each piece as a proxy does.
func (slowUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		return caddyhttp.Error(http.StatusNotFound, err)
	}
	w.Header().Set("Content-Type", "text/plain")
	if n%2 == 0 {
		w.Header().Set("Content-Length", strconv.Itoa(slowBody))
	}
	piece := bytes.Clone(slowText)
	for i := range slowBody / slowPiece {
		stamp(piece, n, i)
		if _, err := w.Write(piece); err != nil {
			return err
		}
		if n%2 == 1 {
			if err := http.NewResponseController(w).Flush(); err != nil {
				return err
			}
		}
		if i == 0 {
			if err := theMeeting.Load().attend(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// attend returns when everybody has come, or the request has gone.
func (m *meeting) attend(r *http.Request) error {
	m.begun <- struct{}{}
	select {
	case <-m.rest:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	case <-time.After(transfers):
		return errors.New("the others have not come")
	}
}

// slowText is what pieces have behind their stamps, which say whose they are, and where they belong.
var slowText = bytes.Repeat([]byte("a slow body. "), slowPiece/13+1)[:slowPiece]

func stamp(piece []byte, body, place int) {
	binary.BigEndian.PutUint32(piece, uint32(body))
	binary.BigEndian.PutUint32(piece[4:], uint32(place))
}

// TestBudgetOfManySlowBodies: max_total is kept while many more bodies are under way than there is room for, nothing
// of it is lost, and whoever gets no room gets the body all the same.
func TestBudgetOfManySlowBodies(t *testing.T) {
	requireDescriptors(t, 2*slowBodies+200)
	m := &meeting{begun: make(chan struct{}, slowBodies), rest: make(chan struct{})}
	theMeeting.Store(m)
	a := runAdmin(t, fmt.Sprintf("log {\n level ERROR\n}\nconditional_cache {\n max_total %d\n}\n", smallBudget), `http://:%d {
	bind 127.0.0.1
	route {
		conditional_cache {
			buffer {
				max_body 4MiB
				max_delay 10m
			}
		}
		test_slow_upstream
	}
}
`)
	var tagged atomic.Int64
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	for n := range slowBodies {
		all.Go(func() {
			held, err := readSlowBody(a.port, n)
			if err != nil {
				t.Errorf("body %d: %v", n, err)
			}
			if held {
				tagged.Add(1)
			}
		})
	}
	awaitBegun(t, m)
	// Each body with a length asks for all of its room at once, and no room is given back: in the end there is less
	// left than one of them takes.
	a.awaitHeld("with all bodies under way", func(bytes int64) bool { return bytes > smallBudget-slowBody })
	close(m.rest)
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	a.watchHeld(done)
	a.awaitHeld("at the end", func(bytes int64) bool { return bytes == 0 })
	if n := tagged.Load(); n == 0 || n == slowBodies {
		t.Errorf("%d of %d bodies were held to the end; it should be some", n, slowBodies)
	}
}

// requireDescriptors skips a test where a process may not open so many files.
func requireDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	requireProgram(t, err == nil && limit.Cur >= n, fmt.Sprintf("a limit of %d open files", n))
}

// awaitBegun returns when every body has begun.
func awaitBegun(t *testing.T, m *meeting) {
	t.Helper()
	late := time.After(transfers)
	for n := range slowBodies {
		select {
		case <-m.begun:
		case <-late:
			close(m.rest)
			t.Fatalf("%d of %d bodies have begun", n, slowBodies)
		}
	}
}

// readSlowBody reads a body and compares all of it. It uses no http.Client, which takes two goroutines for each.
func readSlowBody(port, n int) (tagged bool, err error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(transfers)); err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(conn, "GET /%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", n); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %d", response.StatusCode)
	}
	got, want := make([]byte, slowPiece), bytes.Clone(slowText)
	for i := range slowBody / slowPiece {
		if _, err := io.ReadFull(response.Body, got); err != nil {
			return false, fmt.Errorf("piece %d: %w", i, err)
		}
		if stamp(want, n, i); !bytes.Equal(got, want) {
			return false, fmt.Errorf("piece %d is not the one that was written: it begins with %q", i, got[:32])
		}
	}
	left, err := io.Copy(io.Discard, response.Body)
	if left > 0 {
		return false, fmt.Errorf("%d bytes behind the body", left)
	}
	return response.Header.Get("Etag") != "", err
}

// held asks the status for the bytes that are held, which are never more than there is room for.
func (a *admin) held() int64 {
	a.t.Helper()
	_, text, _ := a.ask(http.MethodGet, "/conditional_cache/", "")
	var status struct {
		Held struct {
			Bytes    int64 `json:"bytes"`
			MaxTotal int64 `json:"max_total"`
		} `json:"held"`
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		a.t.Fatalf("%v: %s", err, text)
	}
	if h := status.Held; h.Bytes < 0 || h.Bytes > smallBudget || h.MaxTotal != smallBudget {
		a.t.Errorf("the status says %+v; max_total is %d", h, smallBudget)
	}
	return status.Held.Bytes
}

// awaitHeld asks until the answer is right.
func (a *admin) awaitHeld(when string, right func(bytes int64) bool) {
	a.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		bytes := a.held()
		if right(bytes) {
			return
		}
		if time.Now().After(end) {
			a.t.Errorf("%s: %d bytes are held", when, bytes)
			return
		}
	}
}

// watchHeld asks until it is done.
func (a *admin) watchHeld(done <-chan struct{}) {
	a.t.Helper()
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
			a.held()
		}
	}
}
