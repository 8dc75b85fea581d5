package exchange_test

import (
	"io"
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
)

// Design §2: nested instances compose. The inner acts first, the outer keeps what it finds.
func TestNested(t *testing.T) {
	row := []CacheControl{{Directives: pairs("max-age=60")}}
	outerRow := []CacheControl{{Directives: pairs("public"), Existing: "keep"}}
	typedRow := []CacheControl{{MediaType: OneOrMore{"text/*"}, Directives: pairs("public"), Existing: "replace"}}
	dated := sendsPage("Last-Modified", modified)
	for _, tt := range []struct {
		name         string
		outer, inner *Handler
		fields       []string
		next         caddyhttp.HandlerFunc // sendsPage
		status       int                   // 200
		seen, want   []string
	}{
		{name: "the outer tags what the inner does not", inner: &Handler{ETag: &ETag{Mode: "off"}, CacheControl: row, Expires: "off"}, want: pairs("Etag", strongTag, "Cache-Control", "max-age=60")},
		{name: "… and judges it", inner: &Handler{ETag: &ETag{Mode: "off"}}, fields: pairs("If-None-Match", strongTag), status: 304, seen: pairs("If-None-Match", strongTag), want: pairs("Etag", strongTag)},
		{name: "the outer keeps the inner's tag", inner: &Handler{ETag: &ETag{Mode: "weak"}}, want: pairs("Etag", weakTag)},
		{name: "the outer keeps the inner's row", outer: &Handler{CacheControl: outerRow}, inner: &Handler{CacheControl: row}, want: pairs("Cache-Control", "max-age=60")},
		{name: "the outer keeps the inner's 304", outer: &Handler{NotModified: &NotModified{Drop: pairs("X-Any")}}, fields: pairs("If-None-Match", strongTag), next: sendsPage("X-Any", "x"), status: 304, want: pairs("Etag", strongTag, "X-Any", "x")},
		{name: "… and its row", outer: &Handler{CacheControl: outerRow}, inner: &Handler{CacheControl: row}, fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Cache-Control", "max-age=60")},
		{name: "… and, where a typed row may replace it, what is stored stands", outer: &Handler{CacheControl: typedRow}, inner: &Handler{CacheControl: row}, fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Cache-Control", "")},
		{name: "the inner judges the original conditions, not the translated", fields: pairs("If-None-Match", staleDated), next: dated, seen: pairs("If-Modified-Since", modified), want: pairs("Etag", datedTag)},
		{name: "… not the withheld", outer: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("If-Match", staleTag), next: dated, status: 412},
		{name: "a translated condition, answered by the upstream", fields: pairs("If-None-Match", datedTag), next: sends(304, ""), status: 304, seen: pairs("If-Modified-Since", modified), want: pairs("Etag", datedTag)},
		{name: "the inner withholds what the outer would pass", inner: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("If-None-Match", `"abc"`), next: sendsPage("Etag", `"abc"`), want: pairs("Etag", strongTag)},
		{name: "the outer replaces, and the 304 has the tag of the 200 (RFC 9110 §15.4.5)", outer: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Etag", strongTag)},
		{name: "the outer repairs the tag of the inner's 304, as that of the 200", outer: &Handler{ETag: &ETag{Existing: "repair"}}, fields: pairs("If-None-Match", "*"), next: sendsPage("Etag", "abc"), status: 304, want: pairs("Etag", `"abc"`)},
		{name: "… and weakens it", outer: &Handler{ETag: &ETag{Existing: "weaken"}}, fields: pairs("If-None-Match", `W/"abc"`), next: sendsPage("Etag", `"abc"`), status: 304, want: pairs("Etag", `W/"abc"`)},
		{name: "the inner's 412 travels through", fields: pairs("If-Match", staleTag), status: 412, want: pairs("Etag", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next, status := tt.next, tt.status
			if next == nil {
				next = sendsPage()
			}
			if status == 0 {
				status = http.StatusOK
			}
			outer, inner := provisioned(t, tt.outer), provisioned(t, tt.inner)
			innermost := newVisit(t, "GET", "/") // for what it sees
			v := newVisit(t, "GET", "/", tt.fields...).to(outer, within(inner, func(w http.ResponseWriter, r *http.Request) error {
				innermost.seen = r.Header.Clone()
				return next(w, r)
			}))
			if v.status() != status {
				t.Errorf("status %d, want %d (%v)", v.status(), status, v.err)
			}
			if tt.seen != nil {
				innermost.wantSeen(tt.seen...)
			}
			wantPairs(t, "the response", v.rec.Header(), tt.want)
		})
	}
}

// A handler between two instances may add a condition; it counts like one of the client's.
func TestConditionSetBetween(t *testing.T) {
	outer, inner := provisioned(t, nil), provisioned(t, nil)
	v := newVisit(t, "GET", "/")
	v.serve(outer, func(w http.ResponseWriter, r *http.Request) error {
		r.Header.Set("If-Match", staleTag)
		return inner.ServeHTTP(w, r, sendsPage())
	})
	if v.status() != 412 {
		t.Errorf("status %d", v.status())
	}
}

// One Handler serves all requests at once; the memory of one never shows in another. Run with -race.
func TestConcurrent(t *testing.T) {
	h := provisioned(t, &Handler{ContentLocation: true, CacheControl: []CacheControl{{Directives: pairs("max-age=60")}}})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			body := strings.Repeat(strconv.Itoa(i)+" ", 3000)
			next := sends(200, body, "Content-Type", "text/plain")
			first := newVisit(t, "GET", "/"+strconv.Itoa(i))
			first.serve(h, next)
			if first.rec.Code != 200 || first.rec.Body.String() != body {
				t.Errorf("%d: %d with %.20q", i, first.rec.Code, first.rec.Body)
			}
			again := newVisit(t, "GET", "/"+strconv.Itoa(i), "If-None-Match", first.rec.Header().Get("Etag"))
			again.serve(h, next)
			if again.rec.Code != 304 || again.rec.Header().Get("Content-Location") != "/"+strconv.Itoa(i) {
				t.Errorf("%d: %d with %v", i, again.rec.Code, again.rec.Header())
			}
			failed := newVisit(t, "GET", "/")
			failed.serve(h, aborting(next, http.ErrAbortHandler))
			if failed.status() != 502 {
				t.Errorf("%d: %d", i, failed.status())
			}
		})
	}
	wg.Wait()
	if held := exchange.Budget.Held(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// Two instances inside another one may act after each other; both judge the original conditions.
func TestInstancesInSequence(t *testing.T) {
	outer := provisioned(t, &Handler{ETag: &ETag{Existing: "replace"}})
	first, second := provisioned(t, nil), provisioned(t, nil)
	v := newVisit(t, "GET", "/", "If-None-Match", strongTag)
	v.to(outer, func(w http.ResponseWriter, r *http.Request) error {
		if err := first.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			return err
		}
		return second.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			v.seen = r.Header.Clone()
			return sendsPage()(w, r)
		}))
	})
	if v.wantSeen("If-None-Match", strongTag); v.status() != 304 {
		t.Errorf("status %d", v.status())
	}
}

// stopwatch notes when the head goes out.
type stopwatch struct {
	*httptest.ResponseRecorder
	head time.Time
}

func (w *stopwatch) WriteHeader(status int) {
	w.head = time.Now()
	w.ResponseRecorder.WriteHeader(status)
}

// Nested instances wait once: what the inner one gives up, the outer one does not hold again.
func TestNestedMaxDelay(t *testing.T) {
	outer, middle, inner := provisioned(t, nil), provisioned(t, nil), provisioned(t, nil)
	synctest.Test(t, func(t *testing.T) {
		slow := func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "first")
			time.Sleep(time.Minute) //nolint:forbidigo // of a synctest bubble's clock
			return err
		}
		v, start := newVisit(t, "GET", "/"), time.Now()
		w := &stopwatch{ResponseRecorder: v.rec}
		nest := func(h *Handler, next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) }
		}
		if err := nest(outer, nest(middle, nest(inner, slow)))(w, v.r); err != nil {
			t.Fatal(err)
		}
		if waited := w.head.Sub(start); waited != defaultMaxDelay {
			t.Errorf("the head went out after %v, want %v", waited, defaultMaxDelay)
		}
	})
}

// An inner instance that makes no tag leaves If-Match with a tag of ours to the outer one that does.
func TestInnerLeavesTheTagToTheOuter(t *testing.T) {
	outer, inner := provisioned(t, nil), provisioned(t, &Handler{ETag: &ETag{Mode: "off"}})
	for sent, status := range map[string]int{strongTag: 200, staleTag: 412} {
		v := newVisit(t, "GET", "/", "If-Match", sent).to(outer, func(w http.ResponseWriter, r *http.Request) error {
			return inner.ServeHTTP(w, r, sendsPage())
		})
		if v.status() != status {
			t.Errorf("If-Match: %s gives %d, want %d", sent, v.status(), status)
		}
	}
}

// An inner instance that makes no tag leaves If-None-Match: * to the outer one, whose 304 has its tag (RFC 9110 §15.4.5).
func TestNestedAnyTagIsTheOuterOnes(t *testing.T) {
	outer, inner := inBlock(t, "a", new(Handler)), inBlock(t, "b", &Handler{ETag: &ETag{Mode: "off"}})
	v := newVisit(t, http.MethodGet, "/", "If-None-Match", "*").to(nestedIn{outer, inner}, sendsPage())
	wantStatus(t, v, http.StatusNotModified)
	wantPairs(t, "the 304", v.rec.Header(), pairs("Etag", strongTag))
}
