package exchange_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

const (
	page      = "hello, world" // what upstreams send unless a row says otherwise, as text/plain
	modified  = "Tue, 14 Nov 2023 22:13:20 GMT"
	dayBefore = "Mon, 13 Nov 2023 22:13:20 GMT"
	dayAfter  = "Wed, 15 Nov 2023 22:13:20 GMT"
	epochDate = "Thu, 01 Jan 1970 00:00:01 GMT"
)

var (
	pageDigest = new(tag.Maker).Digest(tag.Metadata{ContentType: pairs("text/plain")}, []byte(page))
	strongTag  = pageDigest.Field(false, time.Time{})
	weakTag    = pageDigest.Field(true, time.Time{})
	datedTag   = pageDigest.Field(false, time.Unix(1_700_000_000, 0)) // the date is `modified`
	staleTag   = `"cc1.ffffffffffffffffffffffffffffffff"`             // ours, of other content
	staleDated = `"cc1.ffffffffffffffffffffffffffffffff.s44we8"`
	// The file server's tag of a file in an embedded file system.
	embeddedTag = `"` + strconv.FormatInt(time.Time{}.UnixNano(), 36) + `-5"`
)

// pairs are names and values; of a response, the empty value means that the field is not there.
func pairs(s ...string) []string { return s }

// sends answers with a status, a body and fields.
func sends(status int, body string, fields ...string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		addPairs(w.Header(), fields)
		w.WriteHeader(status)
		if body == "" {
			return nil
		}
		_, err := io.WriteString(w, body)
		return err
	}
}

// sendsPage answers 200 with the page and fields.
func sendsPage(fields ...string) caddyhttp.HandlerFunc {
	return sends(http.StatusOK, page, append(pairs("Content-Type", "text/plain"), fields...)...)
}

// sendsHTML answers with a page, and fields.
func sendsHTML(page string, fields ...string) caddyhttp.HandlerFunc {
	return sends(http.StatusOK, page, append(pairs("Content-Type", "text/html"), fields...)...)
}

// sendsJSON answers with a JSON body of 12 bytes and more, and fields.
func sendsJSON(body string, fields ...string) caddyhttp.HandlerFunc {
	return sends(http.StatusOK, body, append(pairs("Content-Type", "application/json"), fields...)...)
}

func addPairs(h http.Header, fields []string) {
	for i := 0; i < len(fields); i += 2 {
		h[fields[i]] = append(h[fields[i]], fields[i+1])
	}
}

// withField is next with one more field line.
func withField(next caddyhttp.HandlerFunc, name, line string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Add(name, line)
		return next(w, r)
	}
}

// slowly sends its parts, each after a pause.
func slowly(pause time.Duration, parts ...string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		addPairs(w.Header(), pairs("Content-Type", "text/plain"))
		w.WriteHeader(http.StatusOK)
		for _, part := range parts {
			<-time.After(pause)
			_, _ = io.WriteString(w, part)
		}
		return nil
	}
}

// failing behaves like next, and then fails.
func failing(next caddyhttp.HandlerFunc, err error) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if next != nil {
			_ = next(w, r)
		}
		return err
	}
}

// aborting behaves like next, and then panics.
func aborting(next caddyhttp.HandlerFunc, with any) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if next != nil {
			_ = next(w, r)
		}
		panic(with)
	}
}

func sendsNothing(http.ResponseWriter, *http.Request) error { return nil }

// says304 is an upstream's 304.
func says304(fields ...string) caddyhttp.HandlerFunc {
	return sends(304, "", append(fields, "Date", modified)...)
}

// within is h behind outer handlers.
func within(h caddyhttp.MiddlewareHandler, next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) }
}

// visit is one request through a handler, and what became of it.
type visit struct {
	t          *testing.T
	r          *http.Request
	rec        *httptest.ResponseRecorder
	repl       *caddy.Replacer
	seen       http.Header // the request's fields as the upstream saw them; nil if it was not called
	seenMethod string
	err        error
	panicked   any
}

// newVisit makes a request as Caddy's server hands it to handlers.
func newVisit(t *testing.T, method, target string, fields ...string) *visit {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	addPairs(r.Header, fields)
	v := &visit{t: t, rec: httptest.NewRecorder(), repl: caddy.NewReplacer()}
	v.r = caddyhttp.PrepareRequest(r, v.repl, v.rec, nil)
	return v
}

// with adds a value to the request's context.
func (v *visit) with(key caddy.CtxKey, value any) *visit {
	v.r = v.r.WithContext(context.WithValue(v.r.Context(), key, value))
	return v
}

// to serves the request, and checks what has to hold of every one: the memory is given back, and the
// request is as it was, but without conditions if an error goes to the error routes.
func (v *visit) to(h caddyhttp.MiddlewareHandler, next caddyhttp.HandlerFunc) *visit {
	v.t.Helper()
	want, method := v.r.Header.Clone(), v.r.Method
	v.serve(h, next)
	if held := exchange.Budget.Held(); held != 0 {
		v.t.Errorf("%d bytes are still held", held)
	}
	if v.err != nil {
		upstream.Remove(want)
	}
	if !reflect.DeepEqual(v.r.Header, want) || v.r.Method != method {
		v.t.Errorf("afterwards the request is %s with %v, want %s with %v", v.r.Method, v.r.Header, method, want)
	}
	return v
}

func (v *visit) serve(h caddyhttp.MiddlewareHandler, next caddyhttp.HandlerFunc) {
	defer func() {
		v.panicked = recover()
		if wrong, ok := v.panicked.(runtime.Error); ok {
			v.t.Errorf("a panic: %v\n%s", wrong, debug.Stack())
		}
	}()
	var left map[string]any // the variables as the next handler has left them
	vars, _ := v.r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	v.err = h.ServeHTTP(v.rec, v.r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		v.seen, v.seenMethod = r.Header.Clone(), r.Method
		err := next(w, r)
		left = maps.Clone(vars)
		return err
	}))
	// A transport that has dialled in vain may still be reading them: to write there is to risk the process.
	if left != nil && !slices.Equal(slices.Sorted(maps.Keys(vars)), slices.Sorted(maps.Keys(left))) {
		v.t.Errorf("after the next handler has returned the variables were written to: %v, and before %v", vars, left)
	}
}

// said is what a placeholder of ours says to the handlers outside.
func (v *visit) said(name string) string {
	text, _ := v.repl.GetString("http.conditional_cache." + name)
	return text
}

// status is what the client gets: the response's, or the error's.
func (v *visit) status() int {
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](v.err); ok {
		return handlerErr.StatusCode
	}
	if v.err != nil {
		return http.StatusInternalServerError
	}
	return v.rec.Code
}

// wantPairs checks fields; several lines are joined by " | ".
func wantPairs(t *testing.T, what string, h http.Header, want []string) {
	t.Helper()
	for i := 0; i < len(want); i += 2 {
		if got := strings.Join(h[want[i]], " | "); got != want[i+1] {
			t.Errorf("%s has %s: %q, want %q", what, want[i], got, want[i+1])
		}
	}
}

// wantSeen checks all conditional fields that the upstream saw, and Range.
func (v *visit) wantSeen(want ...string) {
	v.t.Helper()
	expected := http.Header{}
	addPairs(expected, want)
	fields := upstream.Snapshot(v.seen)
	if got := fields.Header(); !reflect.DeepEqual(got, expected) {
		v.t.Errorf("the upstream sees %v, want %v", got, expected)
	}
}

func wantStatus(t *testing.T, v *visit, status int) {
	t.Helper()
	if got := v.status(); got != status {
		t.Errorf("status %d, want %d", got, status)
	}
}

// trial is a row of most tables: one request, one response of the upstream, and what becomes of it.
type trial struct {
	name    string // with the rule
	handler *Handler
	method  string // GET
	fields  []string
	next    caddyhttp.HandlerFunc // sendsPage
	status  int                   // 200; of an error, the error's
	body    string                // the page with a 200, else none
	outcome string                // empty: any
	reason  string                // empty: any
	want    []string              // fields of the response
}

func (row *trial) run(t *testing.T) {
	t.Helper()
	row.against(t, provisioned(t, row.handler))
}

func (row *trial) against(t *testing.T, h *Handler) {
	t.Helper()
	method, next, status, body := row.method, row.next, row.status, row.body
	if method == "" {
		method = http.MethodGet
	}
	if next == nil {
		next = sendsPage()
	}
	if status == 0 {
		status = http.StatusOK
	}
	if body == "" && status == http.StatusOK && method == http.MethodGet {
		body = page
	}
	v := newVisit(t, method, "/", row.fields...).to(h, next)
	if got := v.status(); got != status {
		t.Errorf("status %d, want %d (error %v, panic %v)", got, status, v.err, v.panicked)
	}
	if v.rec.Body.String() != body {
		t.Errorf("the body is %.80q, want %.80q", v.rec.Body, body)
	}
	if got := v.said("outcome"); row.outcome != "" && got != row.outcome {
		t.Errorf("outcome %q, want %q", got, row.outcome)
	}
	if got := v.said("reason"); row.reason != "" && got != row.reason {
		t.Errorf("reason %q, want %q", got, row.reason)
	}
	wantPairs(t, "the response", v.rec.Header(), row.want)
	if v.err == nil {
		wantPairs(t, "the response as sent", v.rec.Result().Header, row.want)
	}
}

func runTrials(t *testing.T, rows []trial) {
	t.Helper()
	for i := range rows {
		t.Run(rows[i].name, rows[i].run)
	}
}

// datedOf is the page's tag with a date.
func datedOf(date string) string {
	t, err := http.ParseTime(date)
	if err != nil {
		panic(err)
	}
	return pageDigest.Field(false, t)
}

func gzipped(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}
