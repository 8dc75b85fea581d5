package exchange_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
)

// Slow upstreams are waited for, beyond max_delay, as the answer without the tag could only be 412: but
// not for ever.
func TestGuardWaits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		next   caddyhttp.HandlerFunc
		status int
		after  time.Duration
	}{
		{"a body over max_delay", slowly(2*time.Second, page[:6], page[6:]), 204, 4 * time.Second},
		{"a body over the limit", hanging(sendsPage()), 503, guard.MaxCheck},
		{"no head", hanging(nil), 503, guard.MaxCheck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &resource{get: tt.next}
				start := time.Now()
				v := newVisit(t, "PUT", "/", "If-Match", strongTag).to(provisioned(t, strong()), u.ServeHTTP)
				if v.status() != tt.status || time.Since(start) > tt.after {
					t.Errorf("%d after %s", v.status(), time.Since(start))
				}
				wantIdle(t)
			})
		})
	}
}

// hanging answers, and then waits until nobody wants to know any more, as reverse_proxy does.
func hanging(next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if next != nil {
			_ = next(w, r)
		}
		<-r.Context().Done()
		return caddyhttp.Error(http.StatusBadGateway, r.Context().Err())
	}
}

// A client that has left gets no answer, and the upstream no write.
func TestGuardClientGone(t *testing.T) {
	t.Run("before its turn", func(t *testing.T) {
		turn, err := exchange.Writes.Acquire(t.Context(), "example.com/?")
		if err != nil {
			t.Fatal(err)
		}
		defer turn.End()
		u := new(resource)
		v := newVisit(t, "PUT", "http://example.com/", "If-Match", strongTag)
		ctx, leave := context.WithCancel(v.r.Context())
		v.r = v.r.WithContext(ctx)
		time.AfterFunc(time.Millisecond, leave)
		v.to(provisioned(t, strong()), u.ServeHTTP)
		if v.err != nil || v.rec.Code != 499 || u.calls != nil || v.said("outcome") != "failed" {
			t.Errorf("error %v, status %d, outcome %s, the upstream was asked %q", v.err, v.rec.Code, v.said("outcome"), u.calls)
		}
	})
	t.Run("at its turn", func(t *testing.T) {
		u := new(resource)
		v := newVisit(t, "PUT", "/", "If-Match", strongTag)
		ctx, leave := context.WithCancel(v.r.Context())
		leave()
		v.r = v.r.WithContext(ctx)
		if v.to(provisioned(t, strong()), u.ServeHTTP); v.err != nil || v.rec.Code != 499 || u.calls != nil {
			t.Errorf("error %v, status %d, the upstream was asked %q", v.err, v.rec.Code, u.calls)
		}
	})
	t.Run("while the upstream is asked", func(t *testing.T) {
		u := new(resource)
		v := newVisit(t, "PUT", "/", "If-Match", strongTag)
		ctx, leave := context.WithCancel(v.r.Context())
		v.r = v.r.WithContext(ctx)
		u.get = func(w http.ResponseWriter, r *http.Request) error {
			leave()
			return sendsPage()(w, r)
		}
		if v.to(provisioned(t, strong()), u.ServeHTTP); v.err != nil || v.rec.Code != 499 || len(u.calls) != 1 {
			t.Errorf("error %v, status %d, the upstream was asked %q", v.err, v.rec.Code, u.calls)
		}
	})
	wantIdle(t)
}

// slowBody comes in single bytes, one a second.
type slowBody struct{ left int }

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second) //nolint:forbidigo // in a bubble of synctest
	b.left--
	return copy(p, "x"), nil
}

func (b *slowBody) Close() error { return nil }

// readsBody answers a write as reverse_proxy does: with 499 when the request ends before its body.
func readsBody(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodGet {
		return sendsPage()(w, r)
	}
	body, read := r.Body, make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, body)
	}()
	select {
	case <-r.Context().Done():
		w.WriteHeader(499)
	case <-read:
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// A client that takes its time with a long body keeps others waiting for half of what they may wait, and only if there are
// any. With a short one it keeps nobody waiting.
func TestGuardHurriesSlowBodies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length int64
		others bool
		status int
		after  time.Duration // how long the other one waits
	}{
		{"nobody waits", 1 << 20, false, 204, 0},
		{"another one waits", 1 << 20, true, 408, 5 * time.Second},
		{"a short body", 60, true, 204, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := provisioned(t, strong())
				slow := newVisit(t, http.MethodPut, "/", "If-Match", strongTag)
				slow.r.Body, slow.r.ContentLength = &slowBody{left: 60}, tt.length
				done := make(chan struct{})
				go func() {
					defer close(done)
					slow.serve(h, readsBody)
				}()
				synctest.Wait()
				start := time.Now()
				if second := newVisit(t, http.MethodPut, "/", "If-Match", strongTag); tt.others {
					second.serve(h, readsBody)
					wantStatus(t, second, http.StatusNoContent)
					if took := time.Since(start); took < tt.after || took > tt.after+100*time.Millisecond {
						t.Errorf("the other one waited for %s, want %s", took, tt.after)
					}
				}
				<-done
				wantStatus(t, slow, tt.status)
				time.Sleep(time.Minute) //nolint:forbidigo // until the slow body has come
				wantIdle(t)
			})
		})
	}
}

// One URI has one turn, however it is written; another has another.
func TestGuardQueue(t *testing.T) {
	for _, tt := range []struct {
		name, target string
		rewritten    bool
		waits        bool
	}{
		{name: "the same", target: "http://example.com/a?b", waits: true},
		{name: "the host in capitals", target: "http://EXAMPLE.com/a?b", waits: true},
		{name: "with the default port", target: "http://example.com:80/a?b", waits: true},
		{name: "escaped", target: "http://example.com/%61?b", waits: true},
		{name: "rewritten", target: "http://example.com/a?b", rewritten: true, waits: true},
		{name: "another port", target: "http://example.com:8080/a?b"},
		{name: "another path", target: "http://example.com/A?b"},
		{name: "another query", target: "http://example.com/a?c"},
		{name: "another host", target: "http://example.org/a?b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turn, err := exchange.Writes.Acquire(t.Context(), "example.com/a?b")
				if err != nil {
					t.Fatal(err)
				}
				u := new(resource)
				v := newVisit(t, "PUT", tt.target, "If-Match", strongTag)
				if tt.rewritten {
					v.r.URL.Path, v.r.RequestURI = "/index.php", "/index.php?b"
				}
				v.serve(provisioned(t, strong()), u.ServeHTTP)
				turn.End()
				if !tt.waits {
					if v.status() != 204 {
						t.Errorf("status %d", v.status())
					}
				} else if v.status() != 503 || u.calls != nil || v.said("reason") != "guard_queue" || v.rec.Header().Get("Retry-After") != "1" {
					t.Errorf("%d (%s) after %q, with %v", v.status(), v.said("reason"), u.calls, v.rec.Header())
				}
				wantIdle(t)
			})
		})
	}
}

// wantTurn checks whether a turn is taken.
func wantTurn(t *testing.T, taken bool) {
	t.Helper()
	if got := exchange.Writes.Len() == 1; got != taken {
		t.Errorf("the turn is taken: %t, want %t", got, taken)
	}
}

// The turn ends with the head of the answer.
func TestGuardReleasesAtTheHead(t *testing.T) {
	for name, head := range map[string]func(http.ResponseWriter){
		"a head":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated) },
		"a body":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, "done") },
		"a copy":  func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("done")) },
		"a flush": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"a hijack": func(w http.ResponseWriter) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err != nil || conn == nil {
				t.Errorf("no connection: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := &resource{put: func(w http.ResponseWriter, _ *http.Request) error {
				wantTurn(t, true)
				w.WriteHeader(http.StatusEarlyHints)
				wantTurn(t, true)
				head(w)
				wantTurn(t, false)
				return nil
			}}
			v := newVisit(t, "PUT", "/", "If-Match", strongTag)
			if err := provisioned(t, strong()).ServeHTTP(hijackable{v.rec}, v.r, u); err != nil || len(u.calls) != 2 {
				t.Errorf("%v after %q", err, u.calls)
			}
			wantIdle(t)
		})
	}
}

// … and in every other way in which a write can end.
func TestGuardReleasesInTheEnd(t *testing.T) {
	for name, u := range map[string]*resource{
		"no answer":            {put: sendsNothing},
		"an error":             {put: failing(nil, errors.New("x"))},
		"an error, late":       {put: failing(sends(200, ""), errors.New("x"))},
		"an abort":             {put: aborting(nil, http.ErrAbortHandler)},
		"a panic":              {put: aborting(nil, "a bug")},
		"a panic, late":        {put: aborting(sends(200, ""), "a bug")},
		"a hijack that failed": {put: hijacks},
		"a panic of the probe": {get: aborting(sendsPage(), "a bug")},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t, "PUT", "/", "If-Match", strongTag).to(provisioned(t, strong()), u.ServeHTTP)
			if probed := u.get != nil; probed != (len(u.calls) == 1) || probed && v.panicked != "a bug" {
				t.Errorf("panic %v after %q", v.panicked, u.calls)
			}
			wantIdle(t)
		})
	}
}

func hijacks(w http.ResponseWriter, _ *http.Request) error {
	_, _, err := http.NewResponseController(w).Hijack()
	return err
}

// hijackable is a recorder that gives a connection away.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return new(net.TCPConn), nil, nil }

// The answer to a write that was let through is the upstream's, but for validators that a GET would not have.
func TestGuardedAnswerPasses(t *testing.T) {
	row := guardTrial{fields: pairs("If-Match", strongTag), outcome: "guarded", reason: "matched", calls: "GET PUT"}
	answer, refused, failed, silent := row, row, row, row
	answer.name, answer.put, answer.status, answer.body = "an answer", sends(200, "done", "Etag", `"new"`, "Last-Modified", modified, "Cache-Control", "y"), 200, "done"
	answer.want = pairs("Etag", "", "Last-Modified", modified, "Cache-Control", "y", "Vary", "") // a GET got a tag of ours
	refused.name, refused.put, refused.status, refused.body = "a 412 of the upstream", sends(412, "no", "X-Any", "x"), 412, "no"
	refused.want = pairs("X-Any", "x")
	failed.name, failed.status, failed.outcome, failed.reason = "an error", 405, "failed", "error"
	failed.put = func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", "GET")
		return caddyhttp.Error(405, errors.New("x"))
	}
	failed.want = pairs("Allow", "GET")
	silent.name, silent.status, silent.want = "fields without a head", 200, pairs("X-Any", "x")
	silent.put = func(w http.ResponseWriter, _ *http.Request) error { w.Header().Set("X-Any", "x"); return nil }
	runGuardTrials(t, []guardTrial{answer, refused, failed, silent})

	t.Run("trailers", func(t *testing.T) {
		u := &resource{put: func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Trailer", "X-Sum")
			_, err := io.WriteString(w, "done")
			w.Header().Set("X-Sum", "42")
			return err
		}}
		v := newVisit(t, "PUT", "/", "If-Match", strongTag).to(provisioned(t, strong()), u.ServeHTTP)
		if got := v.rec.Result().Trailer.Get("X-Sum"); got != "42" {
			t.Errorf("the trailer is %q", got)
		}
	})
}

// After an abort of the write the panic travels on, with the conditions back in place; what a goroutine
// that was left behind still writes reaches nobody.
func TestGuardedAbort(t *testing.T) {
	var left http.ResponseWriter
	u := &resource{put: func(w http.ResponseWriter, _ *http.Request) error {
		left = w
		panic(http.ErrAbortHandler)
	}}
	v := newVisit(t, "PUT", "/", "If-Match", strongTag).to(provisioned(t, strong()), u.ServeHTTP)
	if v.panicked != any(http.ErrAbortHandler) || v.said("outcome") != "failed" || v.said("reason") != "aborted" {
		t.Errorf("panic %v, outcome %s, reason %s", v.panicked, v.said("outcome"), v.said("reason"))
	}
	if _, err := left.Write([]byte("late")); err == nil || v.rec.Body.Len() > 0 {
		t.Errorf("%q was written after the end (%v)", v.rec.Body, err)
	}
	wantIdle(t)
}

// store is an upstream that keeps what is written, and takes its time: what a lost update needs.
type store struct {
	mu      sync.Mutex
	content string
	written []string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodGet {
		s.mu.Lock()
		content := s.content
		s.mu.Unlock()
		if content == "" {
			return caddyhttp.Error(http.StatusNotFound, errors.New("nothing yet"))
		}
		return sends(200, content, "Content-Type", "text/plain")(w, r)
	}
	text, err := io.ReadAll(r.Body)
	<-time.After(time.Millisecond)
	s.mu.Lock()
	s.content = string(text)
	s.written = append(s.written, s.content)
	s.mu.Unlock()
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// Design §3, no lost updates: of those who write upon the same representation one wins, every time.
func TestNoLostUpdates(t *testing.T) {
	for _, tt := range []struct {
		name, start string
		fields      func(tag string) []string
	}{
		{"If-Match", "the first text", func(tag string) []string { return pairs("If-Match", tag) }},
		{"If-None-Match: *", "", func(string) []string { return pairs("If-None-Match", "*") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, s := provisioned(t, strong()), &store{content: tt.start}
				first := newVisit(t, "GET", "/")
				first.serve(h, s.ServeHTTP)
				statuses := make([]int, guard.MaxWaiters)
				var wg sync.WaitGroup
				for i := range statuses {
					wg.Go(func() {
						v := newVisit(t, "PUT", "/", tt.fields(first.rec.Header().Get("Etag"))...)
						v.r.Body = io.NopCloser(strings.NewReader("text " + strconv.Itoa(i)))
						v.serve(h, s.ServeHTTP)
						statuses[i] = v.status()
					})
				}
				wg.Wait()
				won := -1
				for i, status := range statuses {
					switch {
					case status == 204 && won < 0:
						won = i
					case status != 412:
						t.Errorf("writer %d got %d", i, status)
					}
				}
				if want := "text " + strconv.Itoa(won); s.content != want || len(s.written) != 1 {
					t.Errorf("%q was written, the winner's is %q", s.written, want)
				}
				wantIdle(t)
			})
		})
	}
}
