package exchange

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// keeper is a handler that keeps what it was given, and goes on to use it while other requests use the pool.
type keeper struct {
	late sync.WaitGroup
	stop chan struct{}
}

func (k *keeper) serve(id string, own bool) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		h.Set("X-Id", id)
		if own {
			h.Set("Etag", `"`+id+`"`)
		}
		ctx := r.Context()
		k.late.Go(func() {
			<-k.stop
			k.use(w, h, ctx)
		})
		_, err := io.WriteString(w, "page of "+id)
		return err
	}
}

// use is everything that can be done with it.
func (*keeper) use(w http.ResponseWriter, h http.Header, ctx context.Context) { //nolint:revive // the context is one of the things that are kept
	h.Set("X-Id", "late")
	w.Header().Set("Etag", `"late"`)
	w.WriteHeader(http.StatusTeapot)
	_, _ = io.WriteString(w, "late")
	_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("late"))
	controller := http.NewResponseController(w)
	_ = controller.Flush()
	_ = controller.SetWriteDeadline(time.Now())
	_, _, _ = controller.Hijack()
	_ = ctx.Err()
	context.AfterFunc(ctx, func() {})()
}

// Nothing of one request is ever seen by another, whatever its handlers do with what they have kept.
func TestKeptThingsReachNobody(t *testing.T) {
	s := New(bare())
	var requests sync.WaitGroup
	var waves []*keeper
	for wave := range 8 {
		k := &keeper{stop: make(chan struct{})}
		waves = append(waves, k)
		for worker := range 4 {
			requests.Go(func() {
				for n := range 25 {
					id := fmt.Sprintf("%d-%d-%d", wave, worker, n)
					visit(t, s, k, id, n)
				}
			})
		}
		if wave > 0 {
			close(waves[wave-1].stop) // the handlers of the wave before wake up in the midst of this one
		}
		requests.Wait()
	}
	close(waves[len(waves)-1].stop)
	for _, k := range waves {
		k.late.Wait()
	}
	if held := Budget.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

func visit(t *testing.T, s *Service, k *keeper, id string, n int) {
	t.Helper()
	w := httptest.NewRecorder()
	var fields []string
	if n%3 == 1 {
		fields = []string{"If-None-Match", `"` + id + `"`}
	}
	r, repl := request(t.Context(), w, fields...)
	if _, err := s.serve(w, r, k.serve(id, n%2 == 1)); err != nil {
		t.Error(err)
	}
	status, body := http.StatusOK, "page of "+id
	if n%3 == 1 && n%2 == 1 {
		status, body = http.StatusNotModified, ""
	}
	etag, _ := repl.GetString("http.conditional_cache.etag")
	// The map below is ours alone: what is kept is the one that handlers were given.
	result := w.Result()
	if w.Code != status || w.Body.String() != body || result.Header.Get("X-Id") != id || result.Header.Get("Etag") != etag || etag == "" {
		t.Errorf("%s: status %d, %q, %v, placeholder %s", id, w.Code, w.Body, result.Header, etag)
	}
}

// A large body of one request is never in another's buffer.
func TestHeldBodiesStayApart(t *testing.T) {
	s := New(bare())
	var all sync.WaitGroup
	for worker := range byte(4) {
		all.Go(func() {
			body := bytes.Repeat([]byte{'a' + worker}, 40_000)
			for range 50 {
				w := httptest.NewRecorder()
				r, _ := request(t.Context(), w)
				_, err := s.serve(w, r, func(w http.ResponseWriter, _ *http.Request) error {
					for rest := body; len(rest) > 0; rest = rest[8_000:] {
						if _, err := w.Write(rest[:8_000]); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil || !bytes.Equal(w.Body.Bytes(), body) {
					t.Errorf("%v: another body", err)
				}
			}
		})
	}
	all.Wait()
}
