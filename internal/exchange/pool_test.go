package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
)

// bare is the policy of the bare directive.
func bare() *policy.Policy {
	return &policy.Policy{
		Freshness: policy.Freshness{Expires: true},
		Bounds:    policy.Bounds{MaxBody: 4 << 20, MaxDelay: 200 * time.Millisecond, MaxTotal: 256 << 20},
	}
}

// request is one as Caddy's server hands it to handlers.
func request(ctx context.Context, w http.ResponseWriter, fields ...string) (*http.Request, *caddy.Replacer) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = []string{fields[i+1]}
	}
	repl := caddy.NewReplacer()
	return caddyhttp.PrepareRequest(r, repl, w, nil), repl
}

// serve is what the handler does, and returns the exchange, which may be another request's by then.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.HandlerFunc) (x *Exchange, err error) {
	x, reason := s.Arrive(r)
	if reason != journal.NoReason {
		return nil, fmt.Errorf("passed: %s", reason)
	}
	defer x.Leave()
	if x.Recall(w) {
		return x, nil
	}
	x.Show(w)
	return x, x.Answer(next)
}

// recycled reports whether an exchange went back to the pool.
func (x *Exchange) recycled() bool { return x.phase == idle }

func says(body string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/plain")
		_, err := io.WriteString(w, body)
		return err
	}
}

// nonZero lists what of a value is not zero, but for what a recycled exchange keeps.
func nonZero(v reflect.Value, path string) (all []string) {
	switch path {
	case "x.svc", "x.resp.clock.deadline", "x.resp.clock.quiet":
		return nil
	}
	switch {
	case v.Kind() == reflect.Slice && v.Len() == 0:
		for i := range v.Cap() { // room that is kept has nothing in it
			all = append(all, nonZero(v.Slice(0, v.Cap()).Index(i), path+"[]")...)
		}
		return all
	case v.Kind() == reflect.Struct:
	case v.IsZero():
		return nil
	default:
		return []string{path}
	}
	for i := range v.NumField() {
		all = append(all, nonZero(v.Field(i), path+"."+v.Type().Field(i).Name)...)
	}
	return all
}

// What goes back to the pool has nothing left of its request, whatever that was.
func TestRecycledExchangeIsEmpty(t *testing.T) {
	p := bare()
	p.HeadAsGet = true
	s := New(p)
	for name, fields := range map[string][]string{
		"plain":        nil,
		"conditional":  {"If-None-Match", `"x"`, "Accept-Encoding", "gzip", "Cookie", "a=b"},
		"a part":       {"Range", "bytes=0-1"},
		"If-Match":     {"If-Match", `"cc1.ffffffffffffffffffffffffffffffff"`, "Cache-Control", "no-store"},
		"by date":      {"If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT"},
		"untouched":    {"Accept", "*/*"},
		"no transform": {"Cache-Control", "no-store"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, next := range []caddyhttp.HandlerFunc{
				says("page"),
				func(w http.ResponseWriter, r *http.Request) error {
					w.Header().Set("Etag", `"x"`)
					w.Header().Set("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
					return says("page")(w, r)
				},
				func(http.ResponseWriter, *http.Request) error { return nil },
				func(http.ResponseWriter, *http.Request) error { return caddyhttp.Error(404, errors.New("none")) },
			} {
				w := httptest.NewRecorder()
				r, _ := request(t.Context(), w, fields...)
				x, _ := s.serve(w, r, next)
				if !x.recycled() {
					t.Fatal("it is not recycled")
				}
				if left := nonZero(reflect.ValueOf(x).Elem(), "x"); left != nil {
					t.Errorf("there is something left in %v", left)
				}
			}
		})
	}
}

// Who uses a request when the outermost instance has left it is another outermost one.
func TestUsedAgainAfterLeaving(t *testing.T) {
	s := New(bare())
	w := httptest.NewRecorder()
	r, _ := request(t.Context(), w)
	_, err := s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error {
		if vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any); sharedBy(vars) == nil {
			t.Error("an inner instance finds nothing")
		}
		return says("page")(w, r)
	})
	if err != nil || withinRead(r) {
		t.Errorf("%v; an outermost instance is still found: %t", err, withinRead(r))
	}
}

// What a handler further in does to conditions is undone where there is more than one instance, be there conditions or not.
func TestConditionsAddedWithinNested(t *testing.T) {
	outer, inner := New(bare()), New(bare())
	w := httptest.NewRecorder()
	r, _ := request(t.Context(), w)
	_, err := outer.serve(w, r, func(w http.ResponseWriter, r *http.Request) error {
		_, err := inner.serve(w, r, func(w http.ResponseWriter, r *http.Request) error {
			r.Header.Set("If-None-Match", `"added"`)
			return says("page")(w, r)
		})
		return err
	})
	if err != nil || r.Header.Get("If-None-Match") != "" {
		t.Errorf("%v; the request is left with %v", err, r.Header)
	}
}

// Dialers keep the context of a request, and read its variables, which have no lock, when the request is long over.
func TestVariablesAreReadLate(t *testing.T) {
	s := New(bare())
	var late sync.WaitGroup
	for range 200 {
		w := httptest.NewRecorder()
		r, _ := request(t.Context(), w)
		_, err := s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error {
			kept := context.WithoutCancel(r.Context())
			late.Go(func() {
				for range 50 {
					_ = caddyhttp.GetVar(kept, "reverse_proxy.proxy")
				}
			})
			return says("page")(w, r)
		})
		if err != nil {
			t.Error(err)
		}
	}
	late.Wait()
}

// Handlers that go on with their header map behind an answer change nothing of it, in no configuration: only where a
// response is sure to be streamed is the map the one below.
func TestFieldsSetBehindTheHead(t *testing.T) {
	off, asGet := bare(), bare()
	off.Tags.Mode = policy.Off
	asGet.HeadAsGet = true
	for name, tt := range map[string]struct {
		policy *policy.Policy
		method string
		fields []string
		status int
		shared bool
	}{
		"a 200 under auto":          {policy: bare(), method: "GET", status: 200},
		"a 200 under off":           {policy: off, method: "GET", status: 200, shared: true},
		"a 304 under off":           {policy: off, method: "GET", fields: []string{"If-None-Match", `"x"`}, status: 304},
		"a HEAD":                    {policy: bare(), method: "HEAD", status: 200, shared: true},
		"a HEAD as GET":             {policy: asGet, method: "HEAD", fields: []string{"Cache-Control", "no-store"}, status: 200},
		"no-store":                  {policy: bare(), method: "GET", fields: []string{"Cache-Control", "no-store"}, status: 200, shared: true},
		"a part of what may stream": {policy: off, method: "GET", fields: []string{"Range", "bytes=0-1"}, status: 206},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r, _ := request(t.Context(), w, tt.fields...)
			r.Method = tt.method
			_, err := New(tt.policy).serve(w, r, func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Etag", `"x"`)
				w.Header().Set("Content-Length", "4")
				w.WriteHeader(http.StatusOK)
				w.Header().Set("X-Late", "1")
				_, err := io.WriteString(w, "body")
				return err
			})
			if late := w.Header().Get("X-Late") != ""; w.Code != tt.status || late != tt.shared {
				t.Errorf("%v, status %d, the field is below: %t", err, w.Code, late)
			}
		})
	}
}

// What a row says is counted from the time of the head, where the response has no Date.
func TestFreshnessOfAResponseWithoutDate(t *testing.T) {
	p := bare()
	row, err := freshness.Compile(freshness.Source{Directives: []string{"max-age=60"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Freshness.Rows = []policy.Row{{Row: row}}
	for _, etag := range []string{"", `"x"`} {
		w := httptest.NewRecorder()
		r, _ := request(t.Context(), w)
		if _, err := New(p).serve(w, r, func(w http.ResponseWriter, r *http.Request) error {
			if etag != "" {
				w.Header().Set("Etag", etag)
			}
			return says("page")(w, r)
		}); err != nil {
			t.Fatal(err)
		}
		expires, err := http.ParseTime(w.Header().Get("Expires"))
		if left := time.Until(expires); err != nil || left < 50*time.Second || left > 70*time.Second {
			t.Errorf("tag %q: expires in %v, %v: %v", etag, left, err, w.Header())
		}
	}
}

// gate is a writer below whose Write waits.
type gate struct {
	*httptest.ResponseRecorder
	entered, open chan struct{}
}

func newGate() *gate {
	return &gate{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
}

func (g *gate) Write(p []byte) (int, error) {
	close(g.entered)
	<-g.open
	return len(p), nil
}

// A write that is under way when its handler returns works on what stands behind the handle: nobody else gets that.
func TestWriteInFlightAtTheCut(t *testing.T) {
	s := New(bare())
	g := newGate()
	r, _ := request(t.Context(), g)
	done := make(chan error)
	x, err := s.serve(g, r, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Etag", `"streams"`)
		w.WriteHeader(http.StatusOK)
		go func() {
			_, err := io.WriteString(w, "late")
			done <- err
		}()
		<-g.entered
		return nil
	})
	if err != nil || x.recycled() {
		t.Fatalf("%v; recycled with a write under way", err)
	}
	close(g.open)
	if err := <-done; err != nil {
		t.Errorf("the write under way: %v", err)
	}
}

// A deadline that has fired, or may yet, has the response in its hands: Stop() == false.
func TestFiredDeadlineIsNotRecycled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(bare())
		w := httptest.NewRecorder()
		r, _ := request(t.Context(), w)
		x, err := s.serve(w, r, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "slow ")
			time.Sleep(time.Second) //nolint:forbidigo // in the time of a bubble
			_, err := io.WriteString(w, "page")
			return err
		})
		if err != nil || w.Body.String() != "slow page" || w.Header().Get("Etag") != "" {
			t.Errorf("%v, %q, %v", err, w.Body, w.Header())
		}
		if x.recycled() {
			t.Error("recycled, though its deadline has fired")
		}
	})
}

// Whoever panics may have left anything behind, be the panic answered or not.
func TestPanicNeverRecycles(t *testing.T) {
	for name, with := range map[string]any{"an abort": http.ErrAbortHandler, "a mistake": "mistake"} {
		t.Run(name, func(t *testing.T) {
			s := New(bare())
			w := httptest.NewRecorder()
			r, _ := request(t.Context(), w)
			x, reason := s.Arrive(r)
			if reason != journal.NoReason {
				t.Fatal(reason)
			}
			func() {
				defer func() { _ = recover() }()
				defer x.Leave()
				x.Show(w)
				_ = x.Answer(caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
					_, _ = io.WriteString(w, "begun")
					panic(with)
				}))
			}()
			if x.recycled() {
				t.Error("recycled after a panic")
			}
			if held := Budget.Held(); held != 0 {
				t.Errorf("%d bytes are held", held)
			}
		})
	}
}

// deadlines is a writer below that counts deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlines) SetWriteDeadline(time.Time) error {
	d.set++
	return nil
}

// A deadline that is set late would be one of the next request on the same connection.
func TestUnwrapAfterTheEnd(t *testing.T) {
	s := New(bare())
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r, _ := request(t.Context(), d)
	var kept http.ResponseWriter
	_, err := s.serve(d, r, func(w http.ResponseWriter, r *http.Request) error {
		kept = w
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now()); err != nil || d.set != 1 {
			t.Errorf("in time: %v, %d", err, d.set)
		}
		return says("page")(w, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := http.NewResponseController(kept).SetWriteDeadline(time.Now()); !errors.Is(err, http.ErrNotSupported) || d.set != 1 {
		t.Errorf("after the end: %v, set %d times", err, d.set)
	}
	if below := kept.(interface{ Unwrap() http.ResponseWriter }).Unwrap(); below != nil {
		t.Errorf("unwrapped after the end: %T", below)
	}
}

// A client that leaves when all is over disturbs no request that uses the same exchange, nor does a context that was
// derived and kept.
func TestAfterFuncAfterTheEnd(t *testing.T) {
	s := New(bare())
	var leave []context.CancelFunc
	var kept []context.Context
	for i := range 200 {
		client, left := context.WithCancel(t.Context())
		leave = append(leave, left)
		w := httptest.NewRecorder()
		r, _ := request(client, w, "If-None-Match", `"other"`)
		var mine context.Context
		_, err := s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error {
			derived, cancel := context.WithCancel(r.Context())
			defer cancel()
			mine = derived
			context.AfterFunc(r.Context(), func() {})
			if i > 0 {
				leave[i-1]() // the client of the request before
			}
			if err := r.Context().Err(); err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			return says("page")(w, r)
		})
		kept = append(kept, mine)
		if err != nil || w.Code != http.StatusOK || r.Context() == nil || r.Context().Err() != nil {
			t.Fatalf("request %d: %v, status %d, its context afterwards: %v", i, err, w.Code, r.Context().Err())
		}
	}
	leave[len(leave)-1]()
	for i, ctx := range kept {
		if ctx.Err() == nil {
			t.Errorf("the context derived in request %d never ends", i)
		}
	}
}

// An inner instance whose handler is still reading into it is left alone, while the outer one goes on to serve others.
func TestInnerAbandonedWhileOuterIsRecycled(t *testing.T) {
	outer, inner := New(bare()), New(bare())
	feed, source := io.Pipe()
	done := make(chan error, 1)
	var abandoned *Exchange
	w := httptest.NewRecorder()
	r, _ := request(t.Context(), w)
	x, err := outer.serve(w, r, func(w http.ResponseWriter, r *http.Request) (err error) {
		abandoned, err = inner.serve(w, r, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "held ")
			go func() {
				defer feed.Close()
				_, err := w.(io.ReaderFrom).ReadFrom(feed)
				done <- err
			}()
			_, err := io.WriteString(source, "body") // taken, and the next read is under way or about to be
			return err
		})
		return err
	})
	if err != nil || !x.recycled() || abandoned.recycled() {
		t.Fatalf("%v; outer recycled %t, inner %t", err, x.recycled(), abandoned.recycled())
	}
	first := w.Body.String()
	for range 100 {
		other := httptest.NewRecorder()
		r, _ := request(t.Context(), other)
		if _, err := outer.serve(other, r, says("another page")); err != nil || other.Body.String() != "another page" {
			t.Fatalf("%v, %q", err, other.Body)
		}
	}
	_, _ = io.WriteString(source, "stray")
	source.Close()
	if err := <-done; err == nil && !strings.HasPrefix(first, "held ") {
		t.Errorf("%v after %q", err, first)
	}
	if w.Body.String() != first {
		t.Errorf("what came late reached the client: %q", w.Body)
	}
}

// Access logs and placeholders are asked when ServeHTTP has returned, and may be asked long after.
func TestRecordAfterLaterRequests(t *testing.T) {
	s := New(bare())
	w := httptest.NewRecorder()
	r, repl := request(t.Context(), w)
	if _, err := s.serve(w, r, says("the first page")); err != nil {
		t.Fatal(err)
	}
	etag := w.Header().Get("Etag")
	for i := range 1000 {
		other := httptest.NewRecorder()
		r, _ := request(t.Context(), other, "If-None-Match", etag)
		if _, err := s.serve(other, r, says(fmt.Sprint("page ", i))); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"outcome": "tagged", "reason": "no_condition", "etag": etag} {
		if got, _ := repl.GetString("http.conditional_cache." + name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if etag == "" || w.Header().Get("Accept-Ranges") != "bytes" {
		t.Errorf("the fields are %v", w.Header())
	}
}
