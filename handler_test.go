package conditionalcache

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	exchanges "github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
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

func addPairs(h http.Header, fields []string) {
	for i := 0; i < len(fields); i += 2 {
		h[fields[i]] = append(h[fields[i]], fields[i+1])
	}
}

// provisioned readies a handler as Caddy does; nil is the bare directive.
func provisioned(tb testing.TB, h *Handler) *Handler {
	tb.Helper()
	if h == nil {
		h = new(Handler)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	tb.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	h.logger = zap.NewNop()
	return h
}

// inBlock readies a handler that stands in a block of this name. The handler itself stays as it is.
func inBlock(tb testing.TB, block string, h *Handler) *Handler {
	tb.Helper()
	in := *h
	in.Block = block
	return provisioned(tb, &in)
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
	if held := exchanges.Budget.Held(); held != 0 {
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
	defer func() { v.panicked = recover() }()
	v.err = h.ServeHTTP(v.rec, v.r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		v.seen, v.seenMethod = r.Header.Clone(), r.Method
		return next(w, r)
	}))
}

// said is what a placeholder of ours says to the handlers outside.
func (v *visit) said(name string) string {
	text, _ := v.repl.GetString("http.conditional_cache." + name)
	return text
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

func runTrials(t *testing.T, rows []trial) {
	t.Helper()
	for i := range rows {
		t.Run(rows[i].name, rows[i].run)
	}
}

// Design §3, "Which responses are held": each reason for streaming. What is streamed is untouched.
func TestStreamed(t *testing.T) {
	rows := []trial{
		{name: "status 404", next: sends(404, "gone"), status: 404, body: "gone", reason: "status"},
		{name: "status 500", next: sends(500, "oops"), status: 500, body: "oops", reason: "status"},
		{name: "status 201", next: sends(201, "made"), status: 201, body: "made", reason: "status"},
		{name: "status 206", next: sends(206, "ell", "Content-Range", "bytes 1-3/12"), status: 206, body: "ell", reason: "status"},
		{name: "status 302", next: sends(302, "", "Location", "/x"), status: 302, reason: "status", want: pairs("Location", "/x")},
		{name: "no-store of the request", fields: pairs("Cache-Control", "max-age=0, No-Store"), reason: "no_store"},
		{name: "no-store of the response", next: sendsPage("Cache-Control", "no-store"), reason: "no_store"},
		{name: "no-store on a second line", next: sendsPage("Cache-Control", "private", "Cache-Control", "no-store"), reason: "no_store"},
		{name: "event-stream", next: sends(200, page, "Content-Type", "text/event-stream; charset=utf-8"), reason: "media_type"},
		{name: "event-stream in another case", next: sends(200, page, "Content-Type", "Text/Event-Stream"), reason: "media_type"},
		{name: "grpc", next: sends(200, page, "Content-Type", "application/grpc"), reason: "media_type"},
		{name: "grpc with a suffix", next: sends(200, page, "Content-Type", "application/grpc+proto"), reason: "media_type"},
		{name: "grpc-web", next: sends(200, page, "Content-Type", "application/grpc-web-text"), reason: "media_type"},
		{name: "x-mixed-replace", next: sends(200, page, "Content-Type", `multipart/x-mixed-replace; boundary="a"`), reason: "media_type"},
		{name: "ndjson", next: sends(200, page, "Content-Type", "application/x-ndjson"), reason: "media_type"},
		{name: "trailers announced", next: sendsPage("Trailer", "X-Sum"), reason: "trailer", want: pairs("Trailer", "X-Sum")},
		{name: "Incremental: ?1", next: sendsPage("Incremental", "?1"), reason: "incremental"},
		{name: "X-Accel-Buffering: no", next: sendsPage("X-Accel-Buffering", "No"), reason: "accel_buffering"},
		{
			name: "declared length over max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 11}},
			next: sendsPage("Content-Length", "12"), reason: "declared_length", want: pairs("Content-Length", "12"),
		},
		{name: "body over max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 11}}, reason: "max_body", want: pairs("Content-Length", "")},
		{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, reason: "etag_off"},
		{name: "existing tag", next: sendsPage("Etag", `"abc"`), reason: "existing_tag", want: pairs("Etag", `"abc"`)},
		{
			name: "existing tag, malformed", next: sendsPage("Etag", "abc"), fields: pairs("If-None-Match", `"abc"`),
			reason: "existing_tag", want: pairs("Etag", "abc"),
		},
		{name: "existing tag on two lines", next: sendsPage("Etag", `"a"`, "Etag", `"b"`), reason: "existing_tag", want: pairs("Etag", `"a" | "b"`)},
		{name: "body shorter than declared", next: sendsPage("Content-Length", "13"), reason: "short_body", want: pairs("Content-Length", "13")},
		{name: "HEAD", method: "HEAD", next: sends(200, "", "Content-Length", "12"), reason: "head", want: pairs("Content-Length", "12")},
	}
	for i := range rows {
		rows[i].outcome = "streamed"
		if rows[i].want == nil {
			rows[i].want = pairs("Etag", "", "Content-Length", "")
		}
	}
	runTrials(t, rows)
}

// The same near misses of these reasons are held.
func TestHeld(t *testing.T) {
	rows := []trial{
		{name: "bare"},
		{name: "body of exactly max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 12}}},
		{name: "declared length of exactly max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 12}}, next: sendsPage("Content-Length", "12")},
		{name: "Content-Length that is no number", next: sendsPage("Content-Length", "twelve")},
		{name: "Incremental: ?0", next: sendsPage("Incremental", "?0")},
		{name: "X-Accel-Buffering: yes", next: sendsPage("X-Accel-Buffering", "yes")},
		{name: "no-store in a quoted string", next: sendsPage("Cache-Control", `x="a, no-store"`)},
		{name: "an offer of h2c is no upgrade", fields: pairs("Upgrade", "h2c", "Connection", "Upgrade, HTTP2-Settings")},
		{name: "an empty Etag is none", next: sendsPage("Etag", "")},
		{name: "no limit of max_delay", handler: &Handler{Buffer: &Buffer{MaxDelay: -1}}},
		{name: "flushed", next: func(w http.ResponseWriter, _ *http.Request) error {
			addPairs(w.Header(), pairs("Content-Type", "text/plain"))
			for i := range len(page) {
				_, _ = io.WriteString(w, page[i:i+1])
				_ = http.NewResponseController(w).Flush()
			}
			return nil
		}},
	}
	for i := range rows {
		rows[i].outcome, rows[i].reason = "tagged", "no_condition"
		rows[i].want = pairs("Etag", strongTag, "Content-Length", "12", "Content-Type", "text/plain")
	}
	runTrials(t, rows)
}

// Requests that are none of the handler's business pass it as if it were not there.
func TestPassed(t *testing.T) {
	conditional := pairs("If-None-Match", strongTag, "Range", "bytes=0-1")
	for _, tt := range []struct {
		name, method, reason string
		fields               []string
		with                 caddy.CtxKey
		seen                 []string
	}{
		{name: "POST", method: "POST", reason: "method", fields: conditional, seen: conditional},
		{name: "OPTIONS", method: "OPTIONS", reason: "method", fields: conditional, seen: conditional},
		{name: "CONNECT", method: "CONNECT", reason: "method"},
		{name: "an upgrade", method: "GET", reason: "upgrade", fields: pairs("Upgrade", "websocket"), seen: pairs()},
		{
			name: "an upgrade with conditions", method: "GET", reason: "upgrade",
			fields: append(pairs("Upgrade", "websocket"), conditional...), seen: conditional,
		},
		// RFC 9110 §13.2.1: an error's answer is under no condition.
		{name: "an error route", method: "GET", reason: "error_route", fields: conditional, with: caddyhttp.ErrorCtxKey, seen: pairs()},
		{name: "a write's error route", method: "PUT", reason: "error_route", fields: conditional, with: caddyhttp.ErrorCtxKey, seen: pairs()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			core, logs := observer.New(zap.DebugLevel)
			h := provisioned(t, &Handler{ContentLocation: true, CacheControl: []CacheControl{{Directives: pairs("public")}}})
			h.logger = zap.New(core)
			v := newVisit(t, tt.method, "/", tt.fields...)
			if tt.with != "" {
				v.with(tt.with, errors.New("an error"))
			}
			v.serve(h, sendsPage("Last-Modified", "x"))
			v.wantSeen(tt.seen...)
			wantPairs(t, "the response", v.rec.Header(), pairs("Etag", "", "Cache-Control", "", "Content-Location", "", "Last-Modified", "x"))
			if v.rec.Body.String() != page || v.rec.Code != 200 {
				t.Errorf("%d with %q", v.rec.Code, v.rec.Body)
			}
			if got := v.said("reason"); tt.with == "" && got != tt.reason {
				t.Errorf("the placeholder says %q", got)
			}
			if found := logs.FilterField(zap.String("reason", tt.reason)); found.Len() != 1 {
				t.Errorf("logged %v, want the reason %s", logs.All(), tt.reason)
			}
		})
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

// Design §3: a response is held until it ends or max_delay, counted from its head, has passed.
func TestMaxDelay(t *testing.T) {
	for _, row := range []trial{
		{name: "default, in time", next: slowly(90*time.Millisecond, "hello,", " world"), outcome: "tagged", want: pairs("Etag", strongTag)},
		{name: "default, too late", next: slowly(110*time.Millisecond, "hello,", " world"), outcome: "streamed", reason: "max_delay", want: pairs("Etag", "")},
		{name: "nothing but a head in time", next: slowly(time.Second, page), outcome: "streamed", reason: "max_delay"},
		{
			name: "as configured", handler: &Handler{Buffer: &Buffer{MaxDelay: caddy.Duration(time.Minute)}},
			next: slowly(25*time.Second, "hello,", " world"), outcome: "tagged", want: pairs("Etag", strongTag),
		},
		{name: "off", handler: &Handler{Buffer: &Buffer{MaxDelay: -1}}, next: slowly(time.Hour, page), outcome: "tagged", want: pairs("Etag", strongTag)},
		{
			name: "If-Match of ours waits, as the answer could only be 412 otherwise", fields: pairs("If-Match", strongTag),
			next: slowly(time.Second, page), outcome: "tagged", reason: "matched", want: pairs("Etag", strongTag),
		},
		{
			name: "If-None-Match `*` is true of what exists (RFC 9110 §13.1.2)", fields: pairs("If-None-Match", "*"),
			next: slowly(time.Second, page), status: 304, outcome: "not_modified", reason: "if_none_match",
		},
	} {
		t.Run(row.name, func(t *testing.T) { synctest.Test(t, row.run) })
	}
}

// Design §3: max_total is one budget for the process.
func TestMaxTotal(t *testing.T) {
	for _, row := range []trial{
		{name: "while the body comes", reason: "max_total", outcome: "streamed"},
		{name: "at the head", next: sendsPage("Content-Length", "12"), reason: "max_total", outcome: "streamed", want: pairs("Content-Length", "12")},
		{name: "If-Match of ours", fields: pairs("If-Match", strongTag), status: 412, outcome: "precondition_failed", reason: "if_match"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := provisioned(t, nil)
			h.policy.Bounds.MaxTotal = 1
			row.against(t, h)
		})
	}
}

// coded is the tag of the page under a Content-Encoding.
func coded(coding string, weak bool) string {
	meta := tag.Metadata{ContentType: pairs("text/plain"), ContentEncoding: pairs(coding)}
	return new(tag.Maker).Digest(meta, []byte(page)).Field(weak, time.Time{})
}

// Design §3, "Entity tags": auto is weak when the response can still be content-coded on its way out.
func TestTagStrength(t *testing.T) {
	strong, weak := &Handler{ETag: &ETag{Mode: "strong"}}, &Handler{ETag: &ETag{Mode: "weak"}}
	runTrials(t, []trial{
		{name: "auto, no coding accepted", want: pairs("Etag", strongTag)},
		{name: "auto, gzip accepted", fields: pairs("Accept-Encoding", "gzip, br"), want: pairs("Etag", weakTag)},
		{name: "auto, anything accepted", fields: pairs("Accept-Encoding", "*"), want: pairs("Etag", weakTag)},
		{name: "auto, only identity accepted", fields: pairs("Accept-Encoding", "identity"), want: pairs("Etag", strongTag)},
		{name: "auto, gzip refused (RFC 9110 §12.4.2)", fields: pairs("Accept-Encoding", "gzip;q=0"), want: pairs("Etag", strongTag)},
		{
			name: "auto, coded already", fields: pairs("Accept-Encoding", "gzip"), next: sendsPage("Content-Encoding", "gzip"),
			want: pairs("Etag", coded("gzip", false), "Content-Encoding", "gzip"),
		},
		{
			name: "auto, no-transform", fields: pairs("Accept-Encoding", "gzip"), next: sendsPage("Cache-Control", "no-transform"),
			want: pairs("Etag", strongTag),
		},
		{
			name: "auto, no-transform by our own row", fields: pairs("Accept-Encoding", "gzip"),
			handler: &Handler{CacheControl: []CacheControl{{Directives: pairs("no-transform")}}}, want: pairs("Etag", strongTag),
		},
		{name: "strong, gzip accepted", handler: strong, fields: pairs("Accept-Encoding", "gzip"), want: pairs("Etag", strongTag)},
		{name: "weak, no coding accepted", handler: weak, want: pairs("Etag", weakTag)},
	})
}

// Design §3, "Entity tags": the tag carries a Last-Modified that is a strong date.
func TestTagDate(t *testing.T) {
	dated := sendsPage("Last-Modified", modified)
	epoch := tag.Maker{Epoch: "2"}
	epochTag := epoch.Digest(tag.Metadata{ContentType: pairs("text/plain")}, []byte(page)).Field(false, time.Time{})
	runTrials(t, []trial{
		{name: "a strong date", next: dated, want: pairs("Etag", datedTag, "Last-Modified", modified)},
		{name: "a strong date in another form", next: sendsPage("Last-Modified", "1700000000"), want: pairs("Etag", datedTag)},
		{name: "a strong date, left as it is", next: dated, handler: &Handler{LastModified: &LastModified{Mode: "off"}}, want: pairs("Etag", datedTag)},
		{name: "Vary: Accept-Encoding", next: sendsPage("Last-Modified", modified, "Vary", "accept-encoding"), want: pairs("Etag", datedTag)},
		{name: "Date a second later (RFC 9110 §8.8.2.2)", next: sendsPage("Last-Modified", modified, "Date", "Tue, 14 Nov 2023 22:13:21 GMT"), want: pairs("Etag", datedTag)},
		{name: "Date the same: a weak date", next: sendsPage("Last-Modified", modified, "Date", modified), want: pairs("Etag", strongTag)},
		{name: "in the future: becomes Date, and is weak", next: sendsPage("Last-Modified", dayAfter, "Date", modified), want: pairs("Etag", strongTag, "Last-Modified", modified)},
		{name: "Vary: Cookie", next: sendsPage("Last-Modified", modified, "Vary", "Cookie"), want: pairs("Etag", strongTag)},
		{name: "Vary on a second line", next: sendsPage("Last-Modified", modified, "Vary", "Accept-Encoding", "Vary", "Origin"), want: pairs("Etag", strongTag)},
		{name: "Vary: *", next: sendsPage("Last-Modified", modified, "Vary", "*"), want: pairs("Etag", strongTag)},
		{name: "a build tool's date", next: sendsPage("Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "no date", next: sendsPage("Last-Modified", "yesterday"), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "epoch", next: dated, handler: &Handler{ETag: &ETag{Epoch: "2"}}, want: pairs("Etag", epochTag, "Last-Modified", modified)},
		{name: "last_modified remove", next: dated, handler: &Handler{LastModified: &LastModified{Mode: "remove"}}, want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "existing replace", next: dated, handler: &Handler{ETag: &ETag{Existing: "replace"}}, want: pairs("Etag", strongTag)},
	})
}

// The hash, secret, media type and coding are part of a tag; the time and the process are not.
func TestTagInput(t *testing.T) {
	seen := make(map[string]string)
	for _, tt := range []struct {
		name string
		etag *ETag
		next caddyhttp.HandlerFunc
	}{
		{"bare", nil, sendsPage()},
		{"sha256", &ETag{Hash: "sha256"}, sendsPage()},
		{"secret", &ETag{Secret: "a"}, sendsPage()},
		{"another secret", &ETag{Secret: "b"}, sendsPage()},
		{"epoch", &ETag{Epoch: "a"}, sendsPage()},
		{"another media type", nil, sends(200, page, "Content-Type", "text/html")},
		{"a coding", nil, sendsPage("Content-Encoding", "br")},
		{"another body", nil, sends(200, page+"!", "Content-Type", "text/plain")},
	} {
		var tags []string
		for range 2 {
			v := newVisit(t, "GET", "/").to(provisioned(t, &Handler{ETag: tt.etag}), tt.next)
			tags = append(tags, v.rec.Header().Get("Etag"))
			if got := v.said("etag"); got != tags[0] {
				t.Errorf("%s: the placeholder says %q, the response %q", tt.name, got, tags[0])
			}
		}
		if _, ok := tag.Parse(strings.Trim(tags[0], `"`)); !ok || tags[0] != tags[1] {
			t.Errorf("%s: tags %q", tt.name, tags)
		}
		if other, twice := seen[tags[0]]; twice {
			t.Errorf("%s has the tag of %s", tt.name, other)
		}
		seen[tags[0]] = tt.name
	}
}

// Design §3: what `existing` does to an upstream's tag.
func TestExistingTag(t *testing.T) {
	existing := func(how string) *Handler { return &Handler{ETag: &ETag{Existing: how}} }
	abc, unquoted := sendsPage("Etag", `"abc"`), sendsPage("Etag", "abc")
	runTrials(t, []trial{
		{name: "keep", next: abc, want: pairs("Etag", `"abc"`), reason: "existing_tag"},
		{name: "keep, weak", next: sendsPage("Etag", `W/"abc"`), want: pairs("Etag", `W/"abc"`)},
		{name: "keep under etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, next: abc, want: pairs("Etag", `"abc"`)},
		{name: "keep under etag off: it still counts", handler: &Handler{ETag: &ETag{Mode: "off"}}, next: abc, fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs("Etag", `"abc"`)},
		{name: "keep: a malformed one never matches", next: unquoted, fields: pairs("If-None-Match", `abc`), want: pairs("Etag", "abc")},
		{name: "repair quotes it", handler: existing("repair"), next: unquoted, want: pairs("Etag", `"abc"`)},
		{name: "repair, weak", handler: existing("repair"), next: sendsPage("Etag", `w/abc`), want: pairs("Etag", `W/"abc"`)},
		{name: "repaired, it matches", handler: existing("repair"), next: unquoted, fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs("Etag", `"abc"`)},
		{name: "repair leaves a good one", handler: existing("repair"), next: abc, want: pairs("Etag", `"abc"`), reason: "existing_tag"},
		{name: "repair puts ours for a hopeless one", handler: existing("repair"), next: sendsPage("Etag", `"a" b`), want: pairs("Etag", strongTag), outcome: "tagged"},
		{name: "repair puts ours for two lines", handler: existing("repair"), next: sendsPage("Etag", `"a"`, "Etag", `"b"`), want: pairs("Etag", strongTag), outcome: "tagged"},
		{name: "weaken", handler: existing("weaken"), next: abc, want: pairs("Etag", `W/"abc"`)},
		{name: "weaken leaves a weak one", handler: existing("weaken"), next: sendsPage("Etag", `W/"abc"`), want: pairs("Etag", `W/"abc"`)},
		{name: "weaken leaves a malformed one", handler: existing("weaken"), next: unquoted, want: pairs("Etag", "abc")},
		{name: "weakened, it never matches If-Match (RFC 9110 §13.1.1)", handler: existing("weaken"), next: abc, fields: pairs("If-Match", `"abc"`), status: 412},
		{name: "weaken tags what has no tag", handler: existing("weaken"), want: pairs("Etag", strongTag)},
		{name: "replace", handler: existing("replace"), next: abc, want: pairs("Etag", strongTag), outcome: "tagged"},
		{name: "replace, and match", handler: existing("replace"), next: abc, fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Etag", strongTag)},
		{name: "replaced, the upstream's matches no more", handler: existing("replace"), next: abc, fields: pairs("If-None-Match", `"abc"`), want: pairs("Etag", strongTag)},
		{name: "replace on what is not held", handler: existing("replace"), next: sendsPage("Etag", `"abc"`, "Cache-Control", "no-store"), want: pairs("Etag", ""), reason: "no_store"},
		{name: "remove", handler: existing("remove"), next: abc, want: pairs("Etag", ""), reason: "existing_tag"},
		{name: "remove tags what has no tag", handler: existing("remove"), want: pairs("Etag", strongTag)},
	})
}

// Design §3: a tag that says nothing of the content is not trusted even under keep, and never sent on.
func TestUntrustedTag(t *testing.T) {
	off, repair := &Handler{LastModified: &LastModified{Mode: "off"}}, &Handler{ETag: &ETag{Existing: "repair"}}
	runTrials(t, []trial{
		{name: "of an embedded file", next: sendsPage("Etag", embeddedTag), outcome: "tagged", want: pairs("Etag", strongTag)},
		{name: "of the second 1", next: sendsPage("Etag", `"gjdgxs-c"`), outcome: "tagged", want: pairs("Etag", strongTag)},
		{name: "beside a build tool's date", next: sendsPage("Etag", `"abc"`, "Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "beside a build tool's date, left as it is", handler: off, next: sendsPage("Etag", `"abc"`, "Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", epochDate)},
		{
			name: "beside a build tool's date, removed", handler: &Handler{LastModified: &LastModified{Mode: "remove"}},
			next: sendsPage("Etag", `"abc"`, "Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", ""),
		},
		{name: "beside the year 1, the zero of .NET and Go", next: sendsPage("Etag", `"abc"`, "Last-Modified", "Mon, 01 Jan 0001 00:00:00 GMT"), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "with a 404", next: sends(404, "gone", "Etag", embeddedTag), status: 404, body: "gone", want: pairs("Etag", "")},
		{name: "with a 206", next: sends(206, "h", "Etag", embeddedTag), status: 206, body: "h", want: pairs("Etag", "")},
		{name: "with a 304", next: sends(304, "", "Etag", embeddedTag), status: 304, want: pairs("Etag", "")},
		{name: "on HEAD", method: "HEAD", next: sends(200, "", "Etag", embeddedTag), want: pairs("Etag", "")},
		{name: "on what is not held", next: sendsPage("Etag", embeddedTag, "Cache-Control", "no-store"), reason: "no_store", want: pairs("Etag", "")},
		{name: "under etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, next: sendsPage("Etag", embeddedTag), reason: "etag_off", want: pairs("Etag", "")},
		{name: "it matches nothing", next: sendsPage("Etag", embeddedTag), fields: pairs("If-None-Match", embeddedTag), want: pairs("Etag", strongTag)},
		{name: "repaired, beside a build tool's date", handler: repair, next: sendsPage("Etag", "abc", "Last-Modified", epochDate), want: pairs("Etag", strongTag)},
		{name: "repaired, of the second 1", handler: repair, next: sendsPage("Etag", "gjdgxs-c"), want: pairs("Etag", strongTag)},
		{name: "beside a real date it is trusted", next: sendsPage("Etag", `"abc"`, "Last-Modified", modified), want: pairs("Etag", `"abc"`, "Last-Modified", modified)},
	})
}

// what a response has besides its content.
var manyFields = pairs(
	"Content-Language", "en", "Content-Disposition", "inline", "Content-Range", "bytes 0-11/12", "Accept-Ranges", "bytes",
	"Repr-Digest", "x", "Content-Digest", "y", "Cache-Control", "max-age=60", "Content-Location", "/page", "Date", dayAfter,
	"Expires", dayAfter, "Vary", "Accept", "Content-Security-Policy", "default-src 'self'", "Content-Security-Policy-Report-Only", "x",
	"Access-Control-Allow-Origin", "*", "Set-Cookie", "a=1", "Set-Cookie", "b=2", "Strict-Transport-Security", "max-age=1",
	"Server-Timing", "db;dur=1", "Last-Modified", modified, "X-Any", "x",
)

// RFC 9110 §15.4.5, and design §3, "The 304": what of the 200 is sent with a 304.
func TestNotModifiedFields(t *testing.T) {
	match := pairs("If-None-Match", strongTag)
	kept := pairs(
		"Cache-Control", "max-age=60", "Content-Location", "/page", "Date", dayAfter, "Expires", dayAfter, "Vary", "Accept",
		"Content-Security-Policy", "default-src 'self'", "Content-Security-Policy-Report-Only", "x", "Access-Control-Allow-Origin", "*",
		"Set-Cookie", "a=1 | b=2", "Strict-Transport-Security", "max-age=1", "Server-Timing", "db;dur=1", "X-Any", "x",
	)
	dropped := pairs(
		"Content-Type", "", "Content-Length", "", "Content-Encoding", "", "Content-Language", "", "Content-Disposition", "",
		"Content-Range", "", "Accept-Ranges", "", "Repr-Digest", "", "Content-Digest", "",
	)
	withTag := append(append(pairs("Etag", strongTag, "Last-Modified", ""), kept...), dropped...)
	upstreams := append(append(pairs("Etag", `"abc"`, "Last-Modified", ""), kept...), dropped...)
	withDate := append(append(pairs("Etag", "", "Last-Modified", modified), kept...), dropped...)
	abc := append(pairs("Etag", `"abc"`), manyFields...)
	changed := &Handler{NotModified: &NotModified{Keep: pairs("content-language", "Last-Modified"), Drop: pairs("Set-Cookie", "x-any")}}
	runTrials(t, []trial{
		{name: "our tag", fields: match, next: sendsPage(manyFields...), status: 304, outcome: "not_modified", reason: "if_none_match", want: withTag},
		{name: "our tag, declared length", fields: match, next: sendsPage(append(pairs("Content-Length", "12"), manyFields...)...), status: 304, want: withTag},
		{name: "the upstream's tag, judged here", fields: pairs("If-None-Match", `"abc"`), next: sendsPage(abc...), status: 304, reason: "if_none_match", want: upstreams},
		{name: "the upstream's 304", fields: pairs("If-None-Match", `"abc"`), next: sends(304, "", abc...), status: 304, reason: "upstream", want: upstreams},
		{name: "a date, judged here", fields: pairs("If-Modified-Since", modified), next: sendsPage(manyFields...), status: 304, reason: "if_modified_since", want: withDate},
		{name: "the upstream's 304 to a date", fields: pairs("If-Modified-Since", modified), next: sends(304, "", manyFields...), status: 304, reason: "upstream", want: withDate},
		{name: "the upstream's 304 without a date", fields: pairs("If-Modified-Since", modified), next: sends(304, ""), status: 304, want: pairs("Etag", "", "Last-Modified", "")},
		{
			name: "keep and drop", handler: changed, fields: match, next: sendsPage(manyFields...), status: 304,
			want: pairs("Content-Language", "en", "Last-Modified", modified, "Set-Cookie", "", "X-Any", "", "Content-Type", "", "Vary", "Accept"),
		},
		{
			name: "keep and drop of the upstream's 304", handler: changed, fields: pairs("If-None-Match", `"abc"`), next: sends(304, "", abc...), status: 304,
			want: pairs("Content-Language", "en", "Last-Modified", modified, "Set-Cookie", "", "X-Any", "", "Vary", "Accept"),
		},
		{
			name: "a 200 keeps what a 304 drops", handler: changed, next: sendsPage(manyFields...),
			want: pairs("Set-Cookie", "a=1 | b=2", "X-Any", "x", "Content-Language", "en", "Last-Modified", modified),
		},
	})
}

// Design §3: the 304 returns a tag of ours in the form the client named.
func TestNotModifiedTag(t *testing.T) {
	strong, weak := &Handler{ETag: &ETag{Mode: "strong"}}, &Handler{ETag: &ETag{Mode: "weak"}}
	gzip := strings.TrimSuffix(strongTag, `"`) + `-gzip"`
	dated := sendsPage("Last-Modified", modified)
	match := func(name, field, etag string, next caddyhttp.HandlerFunc) trial {
		return trial{name: name, fields: pairs("If-None-Match", field), next: next, status: 304, want: pairs("Etag", etag, "Last-Modified", "")}
	}
	rows := []trial{
		match("as it is", strongTag, strongTag, nil),
		match("weak (§8.8.3.2: weak comparison), where the 200 is strong", weakTag, strongTag, nil),
		{name: "strong, where the 200 is weak", fields: pairs("If-None-Match", strongTag, "Accept-Encoding", "br"), status: 304, want: pairs("Etag", weakTag)},
		match("with encode's suffix", gzip, gzip, nil),
		match("with another date", strings.Replace(datedTag, ".s44we8", ".s44we9", 1), strings.Replace(datedTag, ".s44we8", ".s44we9", 1), dated),
		match("without the date", strongTag, strongTag, dated),
		match("with a date that the response has no more", datedTag, datedTag, nil),
		match("in a list", `"abc", `+staleTag+", "+strongTag, strongTag, nil),
		match("behind a malformed member", `abc, `+strongTag, strongTag, nil),
		match("`*` names no form (§13.1.2)", "*", datedTag, dated),
		match("the upstream's in its own form", `W/"abc"`, `"abc"`, sendsPage("Etag", `"abc"`)),
		match("the upstream's tag is one of ours", strongTag, weakTag, sendsPage("Etag", weakTag)),
		// The upstream confirms a date that only a tag of ours can have told it.
		match("the upstream's 304 to a translated condition", datedTag, datedTag, sends(304, "")),
		match("… which has a tag of its own", "W/"+datedTag, "W/"+datedTag, sends(304, "", "Etag", `"abc"`)),
		match("the upstream's 304 to a tag of ours", strongTag, weakTag, sends(304, "", "Etag", weakTag)),
		{name: "… where every tag of ours is strong", handler: strong, fields: pairs("If-None-Match", "W/"+datedTag), next: sends(304, ""), status: 304, want: pairs("Etag", datedTag)},
		{name: "… where every tag of ours is weak", handler: weak, fields: pairs("If-None-Match", datedTag), next: sends(304, ""), status: 304, want: pairs("Etag", "W/"+datedTag)},
		{name: "two lines (RFC 9110 §5.3)", fields: pairs("If-None-Match", staleTag, "If-None-Match", strongTag), status: 304, want: pairs("Etag", strongTag)},
		{name: "another content", fields: pairs("If-None-Match", staleTag), outcome: "tagged", reason: "none_matched", want: pairs("Etag", strongTag)},
		{name: "another content with the same date", fields: pairs("If-None-Match", staleDated), next: dated, reason: "none_matched", want: pairs("Etag", datedTag)},
		{name: "the date does not count beside a tag (§13.1.3)", fields: pairs("If-None-Match", staleTag, "If-Modified-Since", modified), next: dated, reason: "none_matched"},
		{name: "… not even an unusable one", fields: pairs("If-None-Match", "abc", "If-Modified-Since", modified), next: dated, reason: "if_none_match_unusable"},
		{name: "a date", fields: pairs("If-Modified-Since", dayAfter), next: dated, status: 304, reason: "if_modified_since", want: pairs("Etag", "", "Last-Modified", modified)},
		{name: "an earlier date", fields: pairs("If-Modified-Since", dayBefore), next: dated, outcome: "tagged", reason: "modified_since", want: pairs("Etag", datedTag)},
		{name: "a 304 stands for a 200 only (§15.4.5)", fields: pairs("If-None-Match", `"abc"`), next: sends(203, "b", "Etag", `"abc"`), status: 203, body: "b"},
		{name: "an error is under no condition (§13.2.1)", fields: pairs("If-None-Match", `"abc"`), next: sends(404, "b", "Etag", `"abc"`), status: 404, body: "b"},
	}
	runTrials(t, rows)
}

// RFC 9110 §15.5.13, and design §3: a 412 is an error, so that handle_errors works. It has no freshness
// and no length of the 200, and keeps what lets a browser read it.
func TestPreconditionFailed(t *testing.T) {
	held := sendsPage(append(pairs("Content-Length", "12", "Access-Control-Expose-Headers", "Etag"), manyFields...)...)
	tagged := sendsPage(append(pairs("Etag", `"abc"`, "Access-Control-Expose-Headers", "Etag"), manyFields...)...)
	left := pairs(
		"Access-Control-Allow-Origin", "*", "Access-Control-Expose-Headers", "Etag", "Vary", "Accept",
		"Cache-Control", "", "Expires", "", "Content-Length", "", "Content-Type", "", "Last-Modified", "", "Etag", "", "Set-Cookie", "", "X-Any", "",
	)
	small := &Handler{Buffer: &Buffer{MaxBody: 11}}
	rows := []trial{
		{name: "If-Match of ours, other content", fields: pairs("If-Match", staleTag), next: held, reason: "if_match"},
		{name: "If-Match of ours, weak (§13.1.1: strong comparison)", fields: pairs("If-Match", weakTag), next: held, reason: "if_match"},
		{name: "If-Match, and the tag is weak", fields: pairs("If-Match", weakTag, "Accept-Encoding", "gzip"), next: held, reason: "if_match"},
		{name: "If-Match of nobody's", fields: pairs("If-Match", `"abc"`), next: held, reason: "if_match"},
		{name: "If-Match malformed", fields: pairs("If-Match", "abc"), next: held, reason: "if_match"},
		{name: "If-Match before If-None-Match (§13.2.2)", fields: pairs("If-Match", staleTag, "If-None-Match", strongTag), next: held, reason: "if_match"},
		{name: "If-Match of ours, body over max_body", handler: small, fields: pairs("If-Match", strongTag), reason: "if_match"},
		{name: "If-Match of ours, declared over max_body", handler: small, fields: pairs("If-Match", strongTag), next: held, reason: "if_match"},
		{name: "If-Match of ours, etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, fields: pairs("If-Match", strongTag), reason: "if_match"},
		{name: "If-Match, and the upstream's tag is another", fields: pairs("If-Match", `"def"`), next: tagged, reason: "if_match"},
		{name: "If-Match of ours, and the upstream has a tag", fields: pairs("If-Match", strongTag), next: tagged, reason: "if_match"},
		{name: "If-Unmodified-Since", fields: pairs("If-Unmodified-Since", dayBefore), next: held, reason: "if_unmodified_since"},
		{name: "If-Unmodified-Since beside a matching tag (§13.2.2)", fields: pairs("If-Unmodified-Since", dayBefore, "If-None-Match", `"abc"`), next: tagged, reason: "if_unmodified_since"},
	}
	for i := range rows {
		rows[i].status, rows[i].outcome = 412, "precondition_failed"
		rows[i].want = left
		if rows[i].next == nil {
			rows[i].want = pairs("Etag", "", "Content-Type", "")
		}
	}
	runTrials(t, rows)
}

// What an outer handler has set before belongs to it, and is there for its error routes.
func TestErrorKeepsOuterFields(t *testing.T) {
	v := newVisit(t, "GET", "/", "If-Match", staleTag)
	v.rec.Header().Set("X-Outer", "1")
	v.rec.Header().Set("Vary", "Origin")
	v.to(provisioned(t, nil), sendsPage("Vary", "Cookie", "X-Outer", "2"))
	if v.status() != 412 {
		t.Fatalf("status %d", v.status())
	}
	wantPairs(t, "the error", v.rec.Header(), pairs("X-Outer", "1", "Vary", "Origin | Cookie"))
}

// RFC 9110 §13.2.2: conditions that hold change nothing.
func TestPreconditionsHold(t *testing.T) {
	dated := sendsPage("Last-Modified", modified)
	runTrials(t, []trial{
		{name: "If-Match of ours", fields: pairs("If-Match", strongTag), reason: "matched"},
		{name: "If-Match of ours with encode's suffix", fields: pairs("If-Match", strings.TrimSuffix(strongTag, `"`)+`--gzip"`), reason: "matched"},
		{name: "If-Match of ours with a date", fields: pairs("If-Match", datedTag), reason: "matched"},
		{name: "If-Match of ours in a list", fields: pairs("If-Match", `"abc", `+strongTag), reason: "matched"},
		{name: "If-Match of ours on the second line", fields: pairs("If-Match", staleTag, "If-Match", strongTag), reason: "matched"},
		{name: "If-Match `*` of what has a tag of ours", fields: pairs("If-Match", "*"), reason: "matched"},
		{name: "If-Match of the upstream's", fields: pairs("If-Match", `"abc"`), next: sendsPage("Etag", `"abc"`), reason: "existing_tag"},
		{name: "If-Match of the upstream's with encode's suffix", fields: pairs("If-Match", `"abc-zstd"`), next: sendsPage("Etag", `"abc"`), reason: "existing_tag"},
		{name: "If-Match of the upstream's, which ends so itself", fields: pairs("If-Match", `"abc-gzip"`), next: sendsPage("Etag", `"abc-gzip"`), reason: "existing_tag"},
		{name: "If-None-Match of another that ends so", fields: pairs("If-None-Match", `"abc-gzip"`), next: sendsPage("Etag", `"abc"`), reason: "existing_tag"},
		{name: "If-Match `*` of the upstream's", fields: pairs("If-Match", "*"), next: sendsPage("Etag", `W/"abc"`), reason: "existing_tag"},
		{name: "If-Match `*` of what is streamed", fields: pairs("If-Match", "*"), next: sendsPage("Cache-Control", "no-store"), reason: "no_store"},
		{name: "If-Unmodified-Since", fields: pairs("If-Unmodified-Since", modified), next: dated, reason: "matched"},
		{name: "If-Unmodified-Since without a Last-Modified (§13.1.4)", fields: pairs("If-Unmodified-Since", dayBefore), reason: "condition_ignored"},
		{name: "If-Unmodified-Since beside If-Match (§13.2.2)", fields: pairs("If-Unmodified-Since", dayBefore, "If-Match", strongTag), next: dated, reason: "matched"},
		{name: "If-Unmodified-Since, two lines", fields: pairs("If-Unmodified-Since", dayBefore, "If-Unmodified-Since", dayBefore), next: dated, reason: "condition_ignored"},
		{name: "If-Match and an error (§13.2.1)", fields: pairs("If-Match", staleTag), next: sends(404, "gone"), status: 404, body: "gone", reason: "status"},
		{name: "If-Match and a redirect (§13.2.1)", fields: pairs("If-Match", staleTag), next: sends(302, ""), status: 302, reason: "status"},
		{name: "a 206 that the upstream has judged", fields: pairs("If-Match", `"abc"`, "Range", "bytes=0-0"), next: sends(206, "h"), status: 206, body: "h", reason: "status"},
	})
}

// Design, "What the upstream sees". That the request is as it was afterwards is checked of every visit.
func TestWhatTheUpstreamSees(t *testing.T) {
	existing := func(how string) *Handler { return &Handler{ETag: &ETag{Existing: how}} }
	rng := pairs("Range", "bytes=0-1", "If-Range", `"abc"`)
	for _, tt := range []struct {
		name         string
		handler      *Handler
		method       string
		fields, want []string
	}{
		{name: "nothing", fields: pairs("Accept", "*/*")},
		{name: "a foreign tag", fields: append(pairs("If-None-Match", `"abc"`), rng...), want: append(pairs("If-None-Match", `"abc"`), rng...)},
		{name: "dated", fields: append(pairs("If-None-Match", datedTag), rng...), want: pairs("If-Modified-Since", modified)},
		{name: "dated, on HEAD", method: "HEAD", fields: pairs("If-None-Match", datedTag), want: pairs("If-Modified-Since", modified)},
		{name: "dated, under an epoch", handler: &Handler{ETag: &ETag{Epoch: "1"}}, fields: pairs("If-None-Match", datedTag), want: pairs("If-None-Match", datedTag)},
		{name: "dated, under last_modified remove", handler: &Handler{LastModified: &LastModified{Mode: "remove"}}, fields: pairs("If-None-Match", datedTag), want: pairs("If-None-Match", datedTag)},
		{name: "undated", fields: append(pairs("If-None-Match", strongTag, "If-Modified-Since", modified), rng...), want: pairs("If-None-Match", strongTag)},
		{name: "If-Match of ours", fields: append(pairs("If-Match", strongTag, "If-Modified-Since", modified), rng...)},
		{name: "a foreign If-Match", fields: pairs("If-Match", `"abc"`, "If-Unmodified-Since", dayBefore), want: pairs("If-Match", `"abc"`, "If-Unmodified-Since", dayBefore)},
		{name: "lists on several lines", fields: pairs("If-None-Match", `"a"`, "If-None-Match", `W/"b"`, "If-Match", `"c"`, "If-Match", "*junk"), want: pairs("If-None-Match", `"a", W/"b"`, "If-Match", `"c", *junk`)},
		{name: "a date of another form", fields: pairs("If-Modified-Since", "1700000000"), want: pairs("If-Modified-Since", "1700000000")},
		{name: "a tag with encode's suffix", fields: pairs("If-Match", `"abc-gzip"`)},
		{name: "a weak one with encode's suffix", fields: pairs("If-Match", `W/"abc-gzip"`), want: pairs("If-Match", `W/"abc-gzip"`)},
		{name: "one with encode's suffix that encode will look after", fields: pairs("If-None-Match", `"abc-gzip"`), want: pairs("If-None-Match", `"abc-gzip"`)},
		{name: "an untrusted tag", fields: pairs("If-None-Match", embeddedTag)},
		{name: "existing replace", handler: existing("replace"), fields: append(pairs("If-None-Match", `"abc"`), rng...)},
		{name: "existing remove", handler: existing("remove"), fields: append(pairs("If-Modified-Since", modified), rng...)},
		{name: "existing weaken", handler: existing("weaken"), fields: pairs("If-None-Match", `W/"abc"`), want: pairs("If-None-Match", `W/"abc"`)},
		{name: "existing repair, before anything was repaired", handler: existing("repair"), fields: pairs("If-None-Match", `"abc"`), want: pairs("If-None-Match", `"abc"`)},
		{
			name: "a build tool's date, lenient", handler: &Handler{LastModified: &LastModified{Lenient: true}},
			fields: pairs("If-Modified-Since", "1970-01-01T00:00:01Z"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			v := newVisit(t, method, "/", tt.fields...).to(provisioned(t, tt.handler), sends(404, ""))
			v.wantSeen(tt.want...)
		})
	}
}

// Design §3: under `repair` the upstream's view of its tag is translated back on the way in.
func TestRepairedTagOnTheWayIn(t *testing.T) {
	h := provisioned(t, &Handler{ETag: &ETag{Existing: "repair"}})
	unquoted := sendsPage("Etag", "abc")
	newVisit(t, "GET", "/").to(h, unquoted)
	condition := pairs("If-None-Match", `W/"x", "abc"`)
	newVisit(t, "GET", "/", condition...).to(h, unquoted).wantSeen("If-None-Match", `W/"x", abc`)
	newVisit(t, "GET", "/", "If-Match", `"abc"`).to(h, unquoted).wantSeen()
	newVisit(t, "PUT", "/", "If-Match", `"abc"`).to(h, sends(204, "")).wantSeen("If-Match", "abc")
	v := newVisit(t, "GET", "/", condition...).to(h, sends(304, "", "Etag", "abc"))
	if wantPairs(t, "the 304", v.rec.Header(), pairs("Etag", `"abc"`)); v.status() != 304 {
		t.Errorf("status %d", v.status())
	}
}

var errInner = caddyhttp.Error(http.StatusServiceUnavailable, errors.New("no upstream"))

// failing behaves like next, and then fails.
func failing(next caddyhttp.HandlerFunc, err error) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if next != nil {
			_ = next(w, r)
		}
		return err
	}
}

// Design §3: on a returned error nothing held is written or tagged. An error before any head keeps its
// fields; one after it has none of the response that is not sent.
func TestErrors(t *testing.T) {
	before := func(w http.ResponseWriter, _ *http.Request) error {
		addPairs(w.Header(), pairs("Allow", "GET", "Retry-After", "5", "Www-Authenticate", "Basic"))
		return errInner
	}
	held := pairs("Cache-Control", "max-age=60", "Retry-After", "5", "Content-Length", "12", "Access-Control-Allow-Origin", "*")
	runTrials(t, []trial{
		{name: "before any head", next: before, status: 503, reason: "error", want: pairs("Allow", "GET", "Retry-After", "5", "Www-Authenticate", "Basic", "Etag", "")},
		{name: "before any head, under conditions", next: before, fields: pairs("If-None-Match", strongTag, "If-Match", "*", "Range", "bytes=0-1"), status: 503, want: pairs("Allow", "GET")},
		{
			name: "after a held head", next: failing(sendsPage(held...), errInner), status: 503, reason: "error",
			want: pairs("Cache-Control", "", "Retry-After", "", "Etag", "", "Content-Length", "", "Content-Type", "", "Access-Control-Allow-Origin", "*"),
		},
		{name: "after a streamed head", next: failing(sendsPage("Cache-Control", "no-store"), errInner), status: 503, body: page, reason: "error"},
		{name: "after an answer, it is no news", next: failing(sendsPage("Etag", `"abc"`), errInner), fields: pairs("If-None-Match", `"abc"`), status: 304, outcome: "not_modified"},
		{name: "after a 412 was known, that is the answer", next: failing(sendsPage("Etag", `"abc"`), errInner), fields: pairs("If-Match", `"def"`), status: 412, outcome: "precondition_failed"},
		{name: "the client has gone (reverse_proxy's 499)", next: sends(499, ""), status: 499, outcome: "streamed", reason: "status"},
	})
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

// Design §3: an abort behind a held head becomes a 502 while somebody is there to read it. Every other
// panic travels on.
func TestPanics(t *testing.T) {
	streamed, tagged := sendsPage("Cache-Control", "no-store"), sendsPage("Etag", `"abc"`)
	other := "a bug"
	for _, tt := range []struct {
		name    string
		next    caddyhttp.HandlerFunc
		with    any
		fields  []string
		gone    bool // the client
		status  int  // 0: the panic travels on
		outcome string
		sent    string
	}{
		{name: "an abort, held", next: sendsPage("X-Any", "x", "Content-Length", "99"), with: http.ErrAbortHandler, status: 502, outcome: "failed"},
		{name: "an abort, held, under conditions", next: sendsPage(), with: http.ErrAbortHandler, fields: pairs("If-None-Match", datedTag), status: 502, outcome: "failed"},
		{name: "an abort, held, the client gone", next: sendsPage(), with: http.ErrAbortHandler, gone: true, outcome: "failed"},
		{name: "an abort, no head", with: http.ErrAbortHandler, outcome: "failed"},
		{name: "an abort, no head, under conditions", with: http.ErrAbortHandler, fields: pairs("If-None-Match", datedTag), outcome: "failed"},
		{name: "an abort, streamed", next: streamed, with: http.ErrAbortHandler, outcome: "failed", sent: page},
		{name: "an abort, answered", next: tagged, with: http.ErrAbortHandler, fields: pairs("If-None-Match", `"abc"`), status: 304, outcome: "not_modified"},
		{name: "an abort, answered, the client gone", next: tagged, with: http.ErrAbortHandler, fields: pairs("If-None-Match", `"abc"`), gone: true, status: 304, outcome: "not_modified"},
		{name: "an abort, 412 known", next: tagged, with: http.ErrAbortHandler, fields: pairs("If-Match", `"def"`), status: 412, outcome: "precondition_failed"},
		{name: "a bug, held", next: sendsPage(), with: other, outcome: "failed"},
		{name: "a bug, no head", with: other, outcome: "failed"},
		{name: "a bug, streamed", next: streamed, with: other, outcome: "failed", sent: page},
		{name: "a bug, answered", next: tagged, with: other, fields: pairs("If-None-Match", `"abc"`), outcome: "failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVisit(t, "GET", "/", tt.fields...)
			if tt.gone {
				ctx, leave := context.WithCancel(v.r.Context())
				leave()
				v.r = v.r.WithContext(ctx)
			}
			v.to(provisioned(t, nil), aborting(tt.next, tt.with))
			if tt.status == 0 && v.panicked != tt.with || tt.status != 0 && (v.panicked != nil || v.status() != tt.status) {
				t.Errorf("panic %v, error %v, status %d; want %d", v.panicked, v.err, v.status(), tt.status)
			}
			if v.rec.Body.String() != tt.sent || v.said("outcome") != tt.outcome {
				t.Errorf("outcome %s, sent %q", v.said("outcome"), v.rec.Body)
			}
			if tt.status == 502 {
				wantPairs(t, "the error", v.rec.Header(), pairs("X-Any", "", "Content-Length", "", "Content-Type", "", "Etag", ""))
			}
		})
	}
}

// Handlers inside may change the request; what they do to the conditions in it is undone.
func TestRequestIsAsItWas(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"removed":         func(r *http.Request) { delete(r.Header, "If-None-Match") },
		"set":             func(r *http.Request) { r.Header.Set("If-None-Match", `"x"`); r.Header.Set("Range", "bytes=0-") },
		"edited in place": func(r *http.Request) { r.Header["If-None-Match"][0] = `"x"` }, // as request_header does
	} {
		for _, field := range []string{`"abc"`, strongTag} {
			t.Run(name+" "+field, func(t *testing.T) {
				newVisit(t, "GET", "/", "If-None-Match", field).to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
					change(r)
					return sendsPage()(w, r)
				})
			})
		}
	}
}

// endless sends events until it is told to stop, or until far more than anybody would discard was sent.
func endless(mediaType string, sent *int) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		addPairs(w.Header(), pairs("Content-Type", mediaType))
		return hauls(w, 1<<20, sent)
	}
}

// hauls writes n bytes in pieces of 1 KiB, and counts those that were taken.
func hauls(w io.Writer, n int, taken *int) error {
	piece := make([]byte, 1<<10)
	for range n >> 10 {
		if _, err := w.Write(piece); err != nil {
			return err
		}
		*taken += len(piece)
	}
	return nil
}

// Design §3, "HEAD": `get` answers with the fields that GET has, and without a body.
func TestHeadAsGet(t *testing.T) {
	rows := []CacheControl{{MediaType: "text/*", Directives: pairs("public")}}
	for _, tt := range []struct {
		name   string
		buffer *Buffer
		fields []string
		next   caddyhttp.HandlerFunc
	}{
		{name: "held", next: sendsPage(manyFields...)},
		{name: "held, declared", next: sendsPage("Content-Length", "12", "Last-Modified", modified)},
		{name: "no media type", next: sends(200, "<!DOCTYPE html>")},
		{name: "empty", next: sends(200, "")},
		{name: "the upstream's tag", next: sendsPage("Etag", `"abc"`, "Content-Length", "12")},
		{name: "declared over max_body", buffer: &Buffer{MaxBody: 11}, next: sendsPage("Content-Length", "12")},
		{name: "over max_body", buffer: &Buffer{MaxBody: 11}, next: sendsPage()},
		{name: "shorter than declared", next: sendsPage("Content-Length", "13")},
		{name: "404", next: sends(404, "gone", "Content-Type", "text/plain", "Content-Length", "4")},
		{name: "no-store", next: sendsPage("Cache-Control", "no-store")},
		{name: "not modified", fields: pairs("If-None-Match", strongTag), next: sendsPage(manyFields...)},
		{name: "not modified, by the upstream", fields: pairs("If-None-Match", `"abc"`), next: sends(304, "", "Etag", `"abc"`)},
		{name: "precondition failed", fields: pairs("If-Match", staleTag), next: sendsPage(manyFields...)},
		{name: "a row for a type that is found out", next: sends(200, "text")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := provisioned(t, &Handler{Head: "get", Buffer: tt.buffer, CacheControl: rows, Expires: "off"})
			get := newVisit(t, "GET", "/", tt.fields...).to(h, tt.next)
			head := newVisit(t, "HEAD", "/", tt.fields...).to(h, tt.next)
			if head.seenMethod != "GET" {
				t.Errorf("the upstream sees %s", head.seenMethod)
			}
			if head.status() != get.status() || head.rec.Body.Len() > 0 {
				t.Errorf("HEAD: %d and %q; GET: %d", head.status(), head.rec.Body, get.status())
			}
			if got, want := head.rec.Header(), get.rec.Header(); !reflect.DeepEqual(got, want) {
				t.Errorf("HEAD has %v\nGET has %v", got, want)
			}
		})
	}
}

func TestHeadAsGetEndsTheTransfer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		next  func(*int) caddyhttp.HandlerFunc
		limit int
	}{
		{"events", func(n *int) caddyhttp.HandlerFunc { return endless("text/event-stream", n) }, 0},
		{"frames", func(n *int) caddyhttp.HandlerFunc { return endless("multipart/x-mixed-replace", n) }, 0},
		{"over max_body", func(n *int) caddyhttp.HandlerFunc { return endless("text/plain", n) }, 64 << 10},
		{"declared over max_body", func(n *int) caddyhttp.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) error {
				addPairs(w.Header(), pairs("Content-Length", "1048576"))
				return endless("text/plain", n)(w, r)
			}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := 0
			h := provisioned(t, &Handler{Head: "get", Buffer: &Buffer{MaxBody: 32 << 10}})
			v := newVisit(t, "HEAD", "/").to(h, tt.next(&sent))
			if sent > tt.limit || v.status() != 200 || v.rec.Body.Len() > 0 || v.rec.Header().Get("Etag") != "" {
				t.Errorf("%d bytes were taken; %d with %v", sent, v.status(), v.rec.Header())
			}
		})
	}
}

// RFC 9110 §14.2: Range is for GET only, so a HEAD that is asked as a GET must not ask for a part.
func TestHeadAsGetWithRange(t *testing.T) {
	h := provisioned(t, &Handler{Head: "get"})
	v := newVisit(t, "HEAD", "/", "Range", "bytes=0-1", "If-Range", `"abc"`).to(h, sendsPage("Etag", `"abc"`))
	v.wantSeen()
}

// Design §3, "HEAD": `pass` leaves HEAD alone, but for what the head says.
func TestHeadPasses(t *testing.T) {
	rows := []trial{
		{name: "bare", next: sends(200, "", "Content-Length", "12"), want: pairs("Etag", "", "Content-Length", "12")},
		{name: "the upstream's tag", next: sends(200, "", "Etag", `"abc"`), fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs("Etag", `"abc"`)},
		{name: "a date", next: sends(200, "", "Last-Modified", modified), fields: pairs("If-Modified-Since", modified), status: 304},
		{name: "a translated condition", next: sends(304, "", "Last-Modified", modified), fields: pairs("If-None-Match", datedTag), status: 304, want: pairs("Etag", datedTag)},
		{name: "a row", handler: &Handler{CacheControl: []CacheControl{{Directives: pairs("public")}}}, next: sends(200, ""), want: pairs("Cache-Control", "public")},
	}
	for i := range rows {
		rows[i].method = "HEAD"
	}
	runTrials(t, rows)
	if v := newVisit(t, "HEAD", "/").to(provisioned(t, nil), sends(200, "")); v.seenMethod != "HEAD" {
		t.Errorf("the upstream sees %s", v.seenMethod)
	}
}

// A handler inside may rewrite the method (Caddy's `method`). That is no HEAD, and its response is whole.
func TestMethodRewrittenInside(t *testing.T) {
	for _, next := range []caddyhttp.HandlerFunc{sendsPage(), sends(404, page), sendsPage("Cache-Control", "no-store")} {
		v := newVisit(t, "GET", "/")
		v.serve(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
			r.Method = "POST"
			return next(w, r)
		})
		if v.err != nil || v.rec.Body.String() != page {
			t.Errorf("%d with %q, error %v", v.rec.Code, v.rec.Body, v.err)
		}
	}
}

// Design §3, "Last-Modified".
func TestLastModified(t *testing.T) {
	off, remove := &Handler{LastModified: &LastModified{Mode: "off"}}, &Handler{LastModified: &LastModified{Mode: "remove"}}
	lenient := &Handler{LastModified: &LastModified{Lenient: true}}
	is := func(name string, handler *Handler, want string, sent ...string) trial {
		next := sendsPage()
		for _, line := range sent {
			next = withField(next, "Last-Modified", line)
		}
		return trial{name: name, handler: handler, next: next, want: pairs("Last-Modified", want)}
	}
	runTrials(t, []trial{
		is("IMF-fixdate", nil, modified, modified),
		is("RFC 850", nil, modified, "Tuesday, 14-Nov-23 22:13:20 GMT"),
		is("asctime", nil, modified, "Tue Nov 14 22:13:20 2023"),
		is("RFC 5322 zone", nil, modified, "Tue, 14 Nov 2023 23:13:20 +0100"),
		is("RFC 3339", nil, modified, "2023-11-14T22:13:20.5Z"),
		is("Unix seconds", nil, modified, "1700000000"),
		is("several lines: the latest valid", nil, modified, dayBefore, "yesterday", modified, dayBefore),
		is("not understood", nil, "", "yesterday"),
		is("the epoch", nil, "", "Thu, 01 Jan 1970 00:00:00 GMT"),
		is("1980-01-01", nil, "", "Tue, 01 Jan 1980 00:00:00 GMT"),
		is("1980-01-02", nil, "Wed, 02 Jan 1980 00:00:00 GMT", "Wed, 02 Jan 1980 00:00:00 GMT"),
		is("none", nil, ""),
		is("off", off, "yesterday", "yesterday"),
		is("off: several lines", off, modified+" | "+dayBefore, dayBefore, modified),
		is("off: the epoch", off, epochDate, epochDate),
		is("remove", remove, "", modified),
		is("lenient is about requests", lenient, modified, "1700000000"),
		{name: "later than Date becomes Date (RFC 9110 §8.8.2.1)", next: sendsPage("Last-Modified", dayAfter, "Date", modified), want: pairs("Last-Modified", modified, "Date", modified)},
		{name: "later than Date, off", handler: off, next: sendsPage("Last-Modified", dayAfter, "Date", modified), want: pairs("Last-Modified", dayAfter)},
		{name: "of an error", next: sends(404, "gone", "Last-Modified", epochDate), status: 404, body: "gone", want: pairs("Last-Modified", "")},
		{name: "of what is streamed", next: sendsPage("Last-Modified", "1700000000", "Cache-Control", "no-store"), want: pairs("Last-Modified", modified)},
		{name: "removed, it decides nothing", handler: remove, next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", modified)},
		{name: "off, it still decides", handler: off, next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", modified), status: 304},
		{name: "off, a build tool's decides nothing", handler: off, next: sendsPage("Last-Modified", epochDate), fields: pairs("If-Modified-Since", dayAfter)},
		{name: "an invalid condition is ignored (§13.1.3)", next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", `"`+modified+`"`)},
		{name: "lenient: it is not", handler: lenient, next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", `"`+modified+`"`), status: 304},
		{name: "lenient: Unix seconds", handler: lenient, next: sendsPage("Last-Modified", modified), fields: pairs("If-Unmodified-Since", "1699999999"), status: 412},
	})
}

// withField is next with one more field line.
func withField(next caddyhttp.HandlerFunc, name, line string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Add(name, line)
		return next(w, r)
	}
}

// policy is one with every kind of selector.
func rowsOfEveryKind() *Handler {
	return &Handler{
		Expires: "off",
		CacheControl: []CacheControl{
			{ResponseMatcher: "errors", Directives: pairs("no-cache"), Existing: "replace"},
			{Path: "/assets/*", Directives: pairs("public max-age=30d immutable")},
			{MediaType: "text/html", Directives: pairs("max-age=0, must-revalidate")},
			{MediaType: "image/*", Directives: pairs("max-age=1h")},
			{Directives: pairs("max-age=60")},
		},
		ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"errors": {StatusCode: []int{404, 503}}},
	}
}

// Design §3, "Freshness": the first row whose selector matches applies.
func TestCacheControlRows(t *testing.T) {
	const assets, html = "public, max-age=2592000, immutable", "max-age=0, must-revalidate"
	for _, tt := range []struct {
		name, target string
		next         caddyhttp.HandlerFunc
		want         string
	}{
		{"path", "/assets/a.html", sends(200, page, "Content-Type", "text/html"), assets},
		{"path in another case, as Caddy matches", "/Assets/a", sendsPage(), assets},
		{"path of a streamed response", "/assets/a", sendsPage("Etag", `"abc"`), assets},
		{"media type", "/", sends(200, page, "Content-Type", "Text/HTML; charset=utf-8"), html},
		{"media type that is found out", "/", sends(200, "<!DOCTYPE html>"), html},
		{"media range", "/", sends(200, page, "Content-Type", "image/png"), "max-age=3600"},
		{"another type", "/", sends(200, page, "Content-Type", "text/htmlx"), "max-age=60"},
		{"a type that is none", "/", sends(200, page, "Content-Type", "html"), "max-age=60"},
		{"no content, no type", "/", sends(200, ""), "max-age=60"},
		{"203", "/", sends(203, page, "Content-Type", "text/plain"), "max-age=60"},
		{"206", "/assets/a", sends(206, "h", "Content-Range", "bytes 0-0/12"), assets},
		{"206 of several parts: the typed rows are unknowable", "/", sends(206, "h", "Content-Type", "multipart/byteranges; boundary=a"), ""},
		{"206 of several parts: the path is not", "/assets/a", sends(206, "h", "Content-Type", "multipart/byteranges; boundary=a"), assets},
		{"204", "/", sends(204, ""), ""},
		{"302", "/", sends(302, "", "Location", "/x"), ""},
		{"404 by the response matcher, which replaces", "/assets/a", sends(404, page, "Cache-Control", "public"), "no-cache"},
		{"410 that no response matcher names", "/assets/a", sends(410, page), ""},
		{"500", "/", sends(500, page), ""},
		{"the upstream's stands", "/assets/a", sendsPage("Cache-Control", "private"), "private"},
		{"the upstream's Expires stands", "/assets/a", sendsPage("Expires", dayAfter), ""},
		{"Set-Cookie: not shared", "/assets/a", sendsPage("Set-Cookie", "a=1"), "private, max-age=2592000, immutable"},
		{"a foreign 304: nothing is added", "/assets/a", sends(304, ""), ""},
		{"a foreign 304 keeps what it says", "/", sends(304, "", "Cache-Control", "max-age=5"), "max-age=5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVisit(t, "GET", tt.target).to(provisioned(t, rowsOfEveryKind()), tt.next)
			wantPairs(t, "the response", v.rec.Result().Header, pairs("Cache-Control", tt.want))
		})
	}
}

// Rows by themselves, and what stands for the responses they apply to.
func TestCacheControl(t *testing.T) {
	row := func(c CacheControl) *Handler { return &Handler{Expires: "off", CacheControl: []CacheControl{c}} }
	shared := row(CacheControl{Directives: pairs("public", "s-maxage=1h", "max-age=1m")})
	replacing := row(CacheControl{Directives: pairs("public"), Existing: "replace"})
	typed := row(CacheControl{MediaType: "text/plain", Directives: pairs("public"), Existing: "replace"})
	hidden := &Handler{CacheControl: append(typed.CacheControl, CacheControl{Directives: pairs("no-cache"), Existing: "replace"})}
	behindErrors := &Handler{
		Expires: "off", ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"missing": {StatusCode: []int{404, 410}}},
		CacheControl: []CacheControl{{ResponseMatcher: "missing", Directives: pairs("max-age=60")}, {Directives: pairs("public"), Existing: "replace"}},
	}
	byPath := row(CacheControl{Path: "/*", Directives: pairs("public"), Existing: "replace"})
	authorized, match := pairs("Authorization", "Basic x"), pairs("If-None-Match", strongTag)
	theirs, is := sends(304, "", "Cache-Control", "max-age=5"), func(s string) []string { return pairs("Cache-Control", s) }
	runTrials(t, []trial{
		{name: "bare: none of our own", want: is("")},
		{name: "shared", handler: shared, want: is("public, s-maxage=3600, max-age=60")},
		{name: "Authorization: not shared", handler: shared, fields: authorized, want: is("private, max-age=60")},
		{name: "Set-Cookie: not shared", handler: shared, next: sendsPage("Set-Cookie", "a=1"), want: is("private, max-age=60")},
		{name: "replace is the operator's word", handler: replacing, fields: authorized, next: sendsPage("Set-Cookie", "a=1"), want: is("public")},
		{name: "replace", handler: replacing, next: sendsPage("Cache-Control", "no-cache", "Expires", dayAfter), want: pairs("Cache-Control", "public", "Expires", "")},
		{name: "replace does not touch errors", handler: replacing, next: sends(404, "b", "Cache-Control", "no-cache"), status: 404, body: "b", want: is("no-cache")},
		{name: "our 304 has the row of its 200 (RFC 9110 §15.4.5)", handler: shared, fields: match, status: 304, want: is("public, s-maxage=3600, max-age=60")},
		{name: "our 304, typed row", handler: typed, fields: match, status: 304, want: is("public")},
		{name: "our 304, of the upstream's tag", handler: typed, fields: pairs("If-None-Match", `"abc"`), next: sendsPage("Etag", `"abc"`), status: 304, want: is("public")},
		{name: "our 304, not shared", handler: shared, fields: append(match, authorized...), status: 304, want: is("private, max-age=60")},
		{name: "a foreign 304, replace without a selector", handler: replacing, next: theirs, status: 304, want: is("public")},
		{name: "a foreign 304, replace by path", handler: byPath, next: theirs, status: 304, want: is("public")},
		{name: "a foreign 304, replace by type: unknowable, so what is stored stands (RFC 9111 §3.2)", handler: typed, next: theirs, status: 304, want: is("")},
		{name: "a foreign 304, replace behind what is unknowable", handler: hidden, next: theirs, status: 304, want: is("")},
		{name: "a foreign 304, keep by type: it says what it says", handler: row(CacheControl{MediaType: "text/plain", Directives: pairs("public")}), next: theirs, status: 304, want: is("max-age=5")},
		{name: "a foreign 304, a matcher of errors hides nothing", handler: behindErrors, next: theirs, status: 304, want: is("public")},
		{name: "a foreign 304, keep", handler: shared, next: theirs, status: 304, want: is("max-age=5")},
		{name: "a foreign 304 without any, keep without a lifetime", handler: row(CacheControl{Directives: pairs("public")}), next: sends(304, ""), status: 304, want: is("")},
		{name: "a foreign 304 without any, keep", handler: shared, next: sends(304, ""), status: 304, want: is("")},
		{name: "a 412 has none", handler: replacing, fields: pairs("If-Match", staleTag), status: 412, want: is("")},
		{name: "late: max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 1}, CacheControl: shared.CacheControl, Expires: "off"}, want: is("public, s-maxage=3600, max-age=60")},
		{name: "cut off", handler: shared, next: sendsPage("Content-Length", "13"), reason: "short_body", want: is("public, s-maxage=3600, max-age=60")},
	})
}

// Design §3, "Freshness": Expires = Date + max-age; equal to Date for what is stale at once.
func TestExpires(t *testing.T) {
	row := func(expires, directives string) *Handler {
		return &Handler{Expires: expires, CacheControl: []CacheControl{{Directives: pairs(directives)}}}
	}
	at := sendsPage("Date", modified)
	runTrials(t, []trial{
		{name: "auto", handler: row("", "max-age=1d"), next: at, want: pairs("Expires", dayAfter, "Date", modified)},
		{name: "auto, by name", handler: row("auto", "public max-age=1d"), next: at, want: pairs("Expires", dayAfter)},
		{name: "no-cache", handler: row("", "no-cache"), next: at, want: pairs("Expires", modified)},
		{name: "s-maxage alone", handler: row("", "s-maxage=1d"), next: at, want: pairs("Expires", "")},
		{name: "off", handler: row("off", "max-age=1d"), next: at, want: pairs("Expires", "", "Cache-Control", "max-age=86400")},
		{name: "our 304", handler: row("", "max-age=1d"), next: at, fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Expires", dayAfter, "Date", modified)},
		{name: "the upstream's stands", handler: row("", "max-age=1d"), next: sendsPage("Date", modified, "Expires", "0"), want: pairs("Expires", "0", "Cache-Control", "")},
	})
	// Without a Date of the upstream, one is sent that agrees.
	v := newVisit(t, "GET", "/").to(provisioned(t, row("", "max-age=1d")), sendsPage())
	date, err := http.ParseTime(v.rec.Header().Get("Date"))
	expires, err2 := http.ParseTime(v.rec.Header().Get("Expires"))
	if err != nil || err2 != nil || expires.Sub(date) != 24*time.Hour {
		t.Errorf("Date %v, Expires %v", date, expires)
	}
}

// Design §3, "Freshness": merge joins a row with what the upstream says, where that is known.
func TestMerge(t *testing.T) {
	row := func(c CacheControl) *Handler { return &Handler{CacheControl: []CacheControl{c}} }
	merging := row(CacheControl{Directives: pairs("public max-age=1d s-maxage=1d"), Existing: "merge"})
	byPath := row(CacheControl{Path: "/*", Directives: pairs("public max-age=1d"), Existing: "merge"})
	typed := row(CacheControl{MediaType: "text/plain", Directives: pairs("public max-age=1d"), Existing: "merge"})
	off := &Handler{Expires: "off", CacheControl: typed.CacheControl}
	behind := &Handler{CacheControl: []CacheControl{{MediaType: "text/html", Directives: pairs("public")}, merging.CacheControl[0]}}
	missing := &Handler{
		CacheControl:     []CacheControl{{ResponseMatcher: "missing", Directives: pairs("max-age=60"), Existing: "merge"}, {Directives: pairs("public")}},
		ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"missing": {StatusCode: []int{404}}},
	}
	html := CacheControl{MediaType: "text/html", Directives: pairs("public")}
	hidesErrors := &Handler{CacheControl: []CacheControl{html, missing.CacheControl[0]}, ResponseMatchers: missing.ResponseMatchers}
	hidesOther := &Handler{CacheControl: []CacheControl{html, {Path: "/other", Directives: pairs("public"), Existing: "merge"}}}
	sent := func(fields ...string) caddyhttp.HandlerFunc { return sendsPage(append(fields, "Date", modified)...) }
	hour := pairs("Cache-Control", "public, max-age=3600, s-maxage=3600", "Expires", "Tue, 14 Nov 2023 23:13:20 GMT")
	theirs := sends(304, "", "Cache-Control", "max-age=5", "Expires", dayAfter, "Date", modified)
	none := pairs("Cache-Control", "", "Expires", "", "Date", modified)
	runTrials(t, []trial{
		{name: "nothing to join", handler: merging, next: sent(), want: pairs("Cache-Control", "public, max-age=86400, s-maxage=86400", "Expires", dayAfter)},
		{name: "held", handler: merging, next: sent("Cache-Control", "max-age=3600"), outcome: "tagged", want: hour},
		{name: "streamed", handler: merging, next: sent("Cache-Control", "max-age=3600", "Etag", `"abc"`), outcome: "streamed", want: hour},
		{name: "typed, of a type that is found out", handler: typed, next: sends(200, page, "Date", modified, "Cache-Control", "max-age=60"), want: pairs("Cache-Control", "public, max-age=60")},
		{name: "Expires alone", handler: merging, next: sent("Expires", "Tue, 14 Nov 2023 23:13:20 GMT"), want: hour},
		{name: "a later Expires under off", handler: off, next: sent("Cache-Control", "max-age=3600", "Expires", dayAfter), want: pairs("Cache-Control", "public, max-age=3600", "Expires", "")},
		{name: "an earlier Expires under off", handler: off, next: sent("Cache-Control", "max-age=3600", "Expires", modified), want: pairs("Cache-Control", "public, max-age=3600", "Expires", modified)},
		{name: "no-store", handler: merging, next: sent("Cache-Control", "no-store"), reason: "no_store", want: pairs("Cache-Control", "no-store", "Expires", modified)},
		{name: "Authorization: not shared, though the upstream says so", handler: merging, fields: pairs("Authorization", "Basic x"), next: sent("Cache-Control", "public, s-maxage=60"), want: pairs("Cache-Control", "private, max-age=86400")},
		{name: "Set-Cookie: not shared", handler: merging, next: sent("Cache-Control", "public, max-age=60", "Set-Cookie", "a=1"), want: pairs("Cache-Control", "private, max-age=60")},
		{name: "our 304 says what the 200 would", handler: merging, next: sent("Cache-Control", "max-age=3600"), fields: pairs("If-None-Match", strongTag), status: 304, want: hour},
		{name: "our 304 is joined once", handler: row(CacheControl{Directives: pairs("no-cache"), Existing: "merge"}), next: sent(), fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Cache-Control", "no-cache", "Expires", modified)},
		{name: "our 304 at the head", handler: typed, next: sent("Cache-Control", "max-age=60", "Etag", `"abc"`), fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs("Cache-Control", "public, max-age=60")},
		{name: "Age stays", handler: merging, next: sent("Cache-Control", "max-age=3600", "Age", "3000"), want: append(pairs("Age", "3000", "Date", modified), hour...)},
		{name: "a foreign 304 says what its 200 would (RFC 9110 §15.4.5)", handler: merging, next: theirs, status: 304, want: pairs("Cache-Control", "public, max-age=5, s-maxage=5", "Expires", "Tue, 14 Nov 2023 22:13:25 GMT")},
		{name: "a foreign 304, by path", handler: byPath, next: theirs, status: 304, want: pairs("Cache-Control", "public, max-age=5", "Expires", "Tue, 14 Nov 2023 22:13:25 GMT")},
		{name: "a foreign 304 that is stricter now", handler: byPath, next: sends(304, "", "Cache-Control", "private, no-cache", "Date", modified), status: 304, want: pairs("Cache-Control", "private, no-cache, max-age=86400", "Expires", modified)},
		{name: "a foreign 304 that says nothing: what is stored stands", handler: byPath, next: sends(304, "", "Date", modified), status: 304, want: none},
		{name: "a foreign 304, a type that hides nothing but a row of errors", handler: hidesErrors, next: theirs, status: 304, want: pairs("Cache-Control", "max-age=5", "Expires", dayAfter)},
		{name: "a foreign 304, a type that hides nothing but a row of another path", handler: hidesOther, next: theirs, status: 304, want: pairs("Cache-Control", "max-age=5", "Expires", dayAfter)},
		{name: "a foreign 304, by type, with a Pragma", handler: typed, next: sends(304, "", "Pragma", "no-cache", "Date", modified), status: 304, want: append(none, "Pragma", "")},
		{name: "a foreign 304, by type", handler: typed, next: theirs, status: 304, want: none},
		{name: "a foreign 304, merge behind what is unknowable", handler: behind, next: theirs, status: 304, want: none},
		{name: "a foreign 304, merge of errors only", handler: missing, next: theirs, status: 304, want: pairs("Cache-Control", "max-age=5", "Expires", dayAfter)},
		{name: "an error that no matcher names", handler: merging, next: sends(404, "b", "Cache-Control", "max-age=5", "Expires", dayAfter), status: 404, body: "b", want: pairs("Cache-Control", "max-age=5", "Expires", dayAfter)},
		{name: "an error that one names", handler: missing, next: sends(404, "b", "Cache-Control", "max-age=5", "Date", modified), status: 404, body: "b", want: pairs("Cache-Control", "max-age=5", "Expires", "Tue, 14 Nov 2023 22:13:25 GMT")},
	})
	v := newVisit(t, "GET", "/").to(provisioned(t, byPath), within(provisioned(t, merging), sent("Cache-Control", "max-age=60")))
	wantPairs(t, "of nested ones", v.rec.Header(), pairs("Cache-Control", "public, max-age=60, s-maxage=60"))
}

// Design §3, "Freshness": what is replaced loses its own word on the future, not the fields of its past
// (RFC 9111 §4.2.3): lifetimes count from when the origin made it.
func TestAge(t *testing.T) {
	next := sendsPage("Cache-Control", "max-age=5", "Expires", modified, "Age", "3000", "Date", modified)
	for existing, want := range map[string][]string{
		"keep":    pairs("Cache-Control", "max-age=5", "Expires", modified),
		"merge":   pairs("Cache-Control", "max-age=5", "Expires", "Tue, 14 Nov 2023 22:13:25 GMT"),
		"replace": pairs("Cache-Control", "max-age=86400", "Expires", dayAfter),
	} {
		h := &Handler{CacheControl: []CacheControl{{Directives: pairs("max-age=1d"), Existing: existing}}}
		for _, condition := range []string{`"other"`, strongTag} {
			v := newVisit(t, "GET", "/", "If-None-Match", condition).to(provisioned(t, h), next)
			wantPairs(t, existing, v.rec.Header(), append(want, "Age", "3000", "Date", modified))
		}
	}
}

// Design §3, "Freshness": `modified` counts from Last-Modified, for proxied content too.
func TestExpiresModified(t *testing.T) {
	after := func(d time.Duration, rows ...CacheControl) *Handler {
		return &Handler{Expires: "modified", ExpiresModified: caddy.Duration(d), CacheControl: rows}
	}
	const day = 24 * time.Hour
	next := sendsPage("Last-Modified", dayBefore, "Date", modified)
	is := func(control, expires string) []string { return pairs("Cache-Control", control, "Expires", expires) }
	typed := CacheControl{MediaType: "text/plain", Directives: pairs("public")}
	lasting := CacheControl{MediaType: "text/plain", Directives: pairs("public max-age=60")}
	missing := after(2*day, CacheControl{ResponseMatcher: "missing", Directives: pairs("public")})
	missing.ResponseMatchers = map[string]caddyhttp.ResponseMatcher{"missing": {StatusCode: []int{404}}}
	asSent := after(2 * day)
	asSent.LastModified = &LastModified{Mode: "off"}
	minute := "Tue, 14 Nov 2023 22:14:20 GMT"
	runTrials(t, []trial{
		{name: "held", handler: after(2 * day), next: next, outcome: "tagged", want: is("max-age=86400", dayAfter)},
		{name: "streamed", handler: after(2 * day), next: sendsPage("Last-Modified", dayBefore, "Date", modified, "Etag", `"abc"`), want: is("max-age=86400", dayAfter)},
		{name: "past", handler: after(time.Hour), next: next, want: is("max-age=0", modified)},
		{name: "none", handler: after(day), want: is("", "")},
		{name: "one that cannot be believed", handler: after(day), next: sendsPage("Last-Modified", epochDate, "Date", modified), want: is("", "")},
		{name: "one in another form", handler: after(2 * day), next: sendsPage("Last-Modified", "2023-11-13T22:13:20Z", "Date", modified), want: is("max-age=86400", dayAfter)},
		{name: "last_modified off, a good one", handler: asSent, next: next, want: is("max-age=86400", dayAfter)},
		{name: "last_modified off, a bad one", handler: asSent, next: sendsPage("Last-Modified", "2023-11-13T22:13:20Z", "Date", modified), want: is("", "")},
		{name: "the future is now", handler: after(day), next: sendsPage("Last-Modified", dayAfter, "Date", modified), want: is("max-age=86400", dayAfter)},
		{name: "the upstream's stands", handler: after(day), next: sendsPage("Last-Modified", dayBefore, "Cache-Control", "no-cache"), want: is("no-cache", "")},
		{name: "one user's", handler: after(2 * day), next: sendsPage("Last-Modified", dayBefore, "Date", modified, "Set-Cookie", "a=1"), want: is("private, max-age=86400", dayAfter)},
		{name: "credentials", handler: after(2 * day), next: next, fields: pairs("Authorization", "Basic x"), want: is("private, max-age=86400", dayAfter)},
		{name: "a row without a lifetime", handler: after(2*day, typed), next: next, want: is("public, max-age=86400", dayAfter)},
		{name: "a row with one", handler: after(2*day, lasting), next: next, want: is("public, max-age=60", minute)},
		{name: "a row for another type", handler: after(2*day, CacheControl{MediaType: "image/*", Directives: pairs("max-age=60")}), next: next, want: is("max-age=86400", dayAfter)},
		{name: "our 304 of a tag", handler: after(2 * day), next: next, fields: pairs("If-None-Match", datedOf(dayBefore)), status: 304, want: append(is("max-age=86400", dayAfter), "Last-Modified", "")},
		{name: "our 304 of a date", handler: after(2 * day), next: next, fields: pairs("If-Modified-Since", dayBefore), status: 304, want: is("max-age=86400", dayAfter)},
		{name: "203", handler: after(2 * day), next: sends(203, "a", "Last-Modified", dayBefore, "Date", modified), status: 203, body: "a", want: is("max-age=86400", dayAfter)},
		{name: "206", handler: after(2 * day), next: sends(206, "h", "Last-Modified", dayBefore, "Date", modified, "Content-Range", "bytes 0-0/12"), status: 206, body: "h", want: is("max-age=86400", dayAfter)},
		{name: "206 that hides its row", handler: after(2*day, lasting), next: sends(206, "h", "Last-Modified", dayBefore, "Content-Type", "multipart/byteranges; boundary=a"), status: 206, body: "h", want: is("", "")},
		{name: "a type that hides its row", handler: after(2*day, lasting), next: sends(200, page, "Last-Modified", dayBefore, "Etag", `"abc"`), want: is("", "")},
		{name: "404", handler: after(2 * day), next: sends(404, "b", "Last-Modified", dayBefore), status: 404, body: "b", want: is("", "")},
		{name: "404 that has a row", handler: missing, next: sends(404, "b", "Last-Modified", dayBefore, "Date", modified), status: 404, body: "b", want: is("public", "")},
		{name: "201", handler: after(2 * day), next: sends(201, "b", "Last-Modified", dayBefore), status: 201, body: "b", want: is("", "")},
	})
}

// lastsAfter is `expires modified`.
func lastsAfter(d time.Duration, rows ...CacheControl) *Handler {
	return &Handler{Expires: "modified", ExpiresModified: caddy.Duration(d), CacheControl: rows}
}

// says304 is an upstream's 304.
func says304(fields ...string) caddyhttp.HandlerFunc {
	return sends(304, "", append(fields, "Date", modified)...)
}

// A cache counts the lifetime it has stored anew from the Date of a 304 (RFC 9111 §3.2, §4.3.4), so that one which
// counts from Last-Modified has to be said again: by the date of the 304, or that in our tag. Where nobody knows
// the date, nothing lasts.
func TestExpiresModifiedInForeign304(t *testing.T) {
	const day = 24 * time.Hour
	is := func(control, expires string) []string { return pairs("Cache-Control", control, "Expires", expires) }
	dated, undated := says304("Last-Modified", dayBefore), says304()
	named := func(date string) []string { return pairs("If-None-Match", datedOf(date)) }
	stale, day1 := is("max-age=0", modified), is("max-age=86400", dayAfter)
	cut := func(fields ...string) caddyhttp.HandlerFunc {
		return sends(206, "h", append(fields, "Date", modified, "Content-Range", "bytes 0-0/12", "Etag", `"abc"`)...)
	}
	part, ifRange := pairs("Range", "bytes=0-0"), pairs("Range", "bytes=0-0", "If-Range", `"abc"`)
	trials := []trial{
		{name: "its own date", handler: lastsAfter(2 * day), next: dated, want: day1},
		{name: "its own date, beside a tag", handler: lastsAfter(2 * day), next: says304("Last-Modified", dayBefore, "Etag", `"abc"`), want: append(day1, "Last-Modified", "")},
		{name: "its own date, past", handler: lastsAfter(time.Hour), next: dated, want: stale},
		{name: "one that cannot be believed", handler: lastsAfter(day), next: says304("Last-Modified", epochDate), want: stale},
		{name: "no date", handler: lastsAfter(2 * day), next: undated, want: stale},
		{name: "no date, beside a tag", handler: lastsAfter(2 * day), next: says304("Etag", `"abc"`), want: stale},
		{name: "it says so itself", handler: lastsAfter(2 * day), next: says304("Cache-Control", "max-age=1", "Expires", dayAfter, "Last-Modified", dayBefore), want: is("max-age=1", dayAfter)},
		{name: "credentials", handler: lastsAfter(2 * day), next: dated, fields: pairs("Authorization", "Basic x"), want: is("private, max-age=86400", dayAfter)},
		{name: "translated: the date in our tag", handler: lastsAfter(2 * day), next: undated, fields: named(dayBefore), want: day1},
		{name: "translated, past", handler: lastsAfter(time.Hour), next: undated, fields: named(dayBefore), want: stale},
		{name: "translated, to come: a client's invention lasts no longer than what is new", handler: lastsAfter(day), next: undated, fields: named(dayAfter), want: day1},
		{name: "translated, the 304's own date counts", handler: lastsAfter(2 * day), next: dated, fields: named(modified), want: day1},
		{name: "our tag without a date", handler: lastsAfter(2 * day), next: says304("Etag", strongTag), fields: pairs("If-None-Match", strongTag), want: stale},

		{name: "206 to If-Range need not have the date (RFC 9110 §15.3.7)", handler: lastsAfter(2 * day), next: cut(), fields: ifRange, status: 206, body: "h", want: stale},
		{name: "206 to If-Range that has it", handler: lastsAfter(2 * day), next: cut("Last-Modified", dayBefore), fields: ifRange, status: 206, body: "h", want: day1},
		{name: "206 to Range has what the 200 has", handler: lastsAfter(2 * day), next: cut(), fields: part, status: 206, body: "h", want: is("", "")},
	}
	for i := range trials {
		trials[i].status = cmp.Or(trials[i].status, 304)
	}
	runTrials(t, trials)

	inner, outer := provisioned(t, new(Handler)), provisioned(t, lastsAfter(2*day))
	for etag, want := range map[string][]string{datedOf(dayBefore): day1, strongTag: stale} {
		v := newVisit(t, "GET", "/", "If-None-Match", etag).to(outer, within(inner, sendsPage("Last-Modified", dayBefore, "Date", modified)))
		if wantPairs(t, "an inner instance's, of "+etag, v.rec.Header(), want); v.status() != 304 {
			t.Errorf("of %s: %d", etag, v.status())
		}
	}
}

// The row of the 200 says in the 304 what it has said there, if it counts from Last-Modified. One that does not lets
// stand what is stored. Where that may be of either kind, nothing lasts.
func TestRowsOfExpiresModifiedInForeign304(t *testing.T) {
	const day = 24 * time.Hour
	row := func(c CacheControl, directives string) CacheControl {
		c.Directives = pairs(directives)
		return c
	}
	is := func(control, expires string) []string { return pairs("Cache-Control", control, "Expires", expires) }
	dated, undated := says304("Last-Modified", dayBefore), says304()
	theirs := says304("Cache-Control", "max-age=1", "Expires", dayAfter, "Last-Modified", dayBefore)
	typed, byPath := CacheControl{MediaType: "text/plain"}, CacheControl{Path: "/*"}
	replacing, merging := CacheControl{Existing: "replace"}, CacheControl{Existing: "merge"}
	typedReplacing := CacheControl{MediaType: "text/plain", Existing: "replace"}
	stale, minute := is("max-age=0", modified), is("max-age=60", "Tue, 14 Nov 2023 22:14:20 GMT")
	behind := row(CacheControl{Path: "/*"}, "public max-age=60")
	trials := []trial{
		{name: "a row that replaces", handler: lastsAfter(2*day, row(replacing, "public")), next: dated, want: is("public, max-age=86400", dayAfter)},
		{name: "a row that replaces, translated", handler: lastsAfter(2*day, row(replacing, "public")), next: undated, fields: pairs("If-None-Match", datedOf(dayBefore)), want: is("public, max-age=86400", dayAfter)},
		{name: "a row that replaces, no date", handler: lastsAfter(2*day, row(replacing, "public")), next: says304("Cache-Control", "max-age=1"), want: is("public, max-age=0", modified)},
		{name: "a row that replaces, with a lifetime", handler: lastsAfter(2*day, row(CacheControl{Path: "/*", Existing: "replace"}, "max-age=60")), next: undated, want: minute},
		{name: "a row that keeps", handler: lastsAfter(2*day, row(byPath, "public")), next: dated, want: is("public, max-age=86400", dayAfter)},
		{name: "a row that keeps, no date", handler: lastsAfter(2*day, row(byPath, "public")), next: undated, want: is("public, max-age=0", modified)},
		{name: "a row that keeps what the 304 says", handler: lastsAfter(2*day, row(byPath, "public")), next: theirs, want: is("max-age=1", dayAfter)},
		{name: "a row that keeps, with a lifetime: what is stored stands", handler: lastsAfter(2*day, row(byPath, "max-age=60")), next: dated, want: is("", "")},
		{name: "a row that merges", handler: lastsAfter(2*day, row(merging, "public")), next: theirs, want: is("public, max-age=1", "Tue, 14 Nov 2023 22:13:21 GMT")},
		{name: "a row that merges what lasts longer", handler: lastsAfter(2*day, row(merging, "public")), next: says304("Cache-Control", "max-age=999999", "Last-Modified", dayBefore), want: is("public, max-age=86400", dayAfter)},
		{name: "a row that merges what lasts longer, no date", handler: lastsAfter(2*day, row(merging, "public")), next: says304("Cache-Control", "max-age=999999"), want: is("public, max-age=0", modified)},
		{name: "a row that merges, with nothing", handler: lastsAfter(2*day, row(merging, "public")), next: dated, want: is("public, max-age=86400", dayAfter)},
		{name: "a row that merges, with a lifetime and nothing: what is stored stands", handler: lastsAfter(2*day, row(CacheControl{Path: "/*", Existing: "merge"}, "max-age=60")), next: dated, want: is("", "")},
		{name: "a type that hides its row", handler: lastsAfter(2*day, row(typed, "no-cache")), next: dated, want: stale},
		{name: "a type that hides its row, the 304 says so itself", handler: lastsAfter(2*day, row(typed, "no-cache")), next: theirs, want: is("max-age=1", dayAfter)},
		{name: "a type that hides a row that replaces", handler: lastsAfter(2*day, row(typedReplacing, "no-cache")), next: theirs, want: stale},
		{name: "a type that hides one of two rows with a lifetime: what is stored stands", handler: lastsAfter(2*day, row(typed, "no-cache"), behind), next: dated, want: is("", "")},
		{name: "a type that hides a row without a lifetime", handler: lastsAfter(2*day, row(typed, "public"), behind), next: dated, want: stale},
		{name: "a type that hides its row, and a path of others", handler: lastsAfter(2*day, row(typed, "no-cache"), row(CacheControl{Path: "/other"}, "max-age=60")), next: dated, want: stale},
	}
	for i := range trials {
		trials[i].status = 304
	}
	runTrials(t, trials)
}

// datedOf is the page's tag with a date.
func datedOf(date string) string {
	t, err := http.ParseTime(date)
	if err != nil {
		panic(err)
	}
	return pageDigest.Field(false, t)
}

// Design §3, "Freshness": jitter is stable per URL as the client sent it, and different between URLs.
func TestJitter(t *testing.T) {
	h := provisioned(t, &Handler{CacheControl: []CacheControl{
		{Path: "/plain", Directives: pairs("max-age=1000000")},
		{Directives: pairs("max-age=1000000"), Jitter: 10},
	}})
	of := func(v *visit) string {
		v.to(h, sendsPage("Date", modified))
		lifetime, err := strconv.Atoi(strings.TrimPrefix(v.rec.Header().Get("Cache-Control"), "max-age="))
		if err != nil || lifetime > 1_000_000 || lifetime <= 900_000 {
			t.Fatalf("%q", v.rec.Header().Get("Cache-Control"))
		}
		date, _ := http.ParseTime(modified)
		if want := date.Add(time.Duration(lifetime) * time.Second).Format(http.TimeFormat); v.rec.Header().Get("Expires") != want {
			t.Errorf("Expires %q, want %q", v.rec.Header().Get("Expires"), want)
		}
		return v.rec.Header().Get("Cache-Control")
	}
	first := of(newVisit(t, "GET", "http://example.com/a%2Fb?c=d"))
	for name, same := range map[string]*visit{
		"again":           newVisit(t, "GET", "http://example.com/a%2Fb?c=d"),
		"HEAD":            newVisit(t, "HEAD", "http://example.com/a%2Fb?c=d"),
		"another scheme":  newVisit(t, "GET", "https://example.com/a%2Fb?c=d"),
		"another case":    newVisit(t, "GET", "http://EXAMPLE.com/a%2Fb?c=d"),
		"as a 304":        newVisit(t, "GET", "http://example.com/a%2Fb?c=d", "If-None-Match", "*"),
		"another client":  newVisit(t, "GET", "http://example.com/a%2Fb?c=d", "Cookie", "a=b", "Accept-Encoding", "gzip"),
		"rewritten since": rewritten(t, "http://example.com/a%2Fb?c=d", "/index.php?q=1"),
	} {
		if got := of(same); got != first {
			t.Errorf("%s: %s, want %s", name, got, first)
		}
	}
	for _, other := range []string{"http://example.com/a/b?c=d", "http://example.com/a%2Fb?c=e", "http://example.com/a%2Fb", "http://example.org/a%2Fb?c=d", "http://example.com:81/a%2Fb?c=d"} {
		if got := of(newVisit(t, "GET", other)); got == first {
			t.Errorf("%s: %s as well", other, got)
		}
	}
	v := newVisit(t, "GET", "/plain").to(h, sendsPage())
	wantPairs(t, "a row without jitter", v.rec.Header(), pairs("Cache-Control", "max-age=1000000"))
}

// warned are the rows that a handler's configuration is warned of when it is provisioned.
func warned(t *testing.T, h *Handler) (lines []string) {
	t.Helper()
	provisioned(t, h)
	core, logs := observer.New(zap.WarnLevel)
	h.logger = zap.New(core)
	h.warn()
	for _, entry := range logs.All() {
		lines = append(lines, fmt.Sprintf("row %v: %s", entry.ContextMap()["row"], entry.Message))
	}
	return lines
}

// What is valid, and probably not meant, is logged once for each row.
func TestWarnings(t *testing.T) {
	h := &Handler{
		CacheControl: []CacheControl{
			{Path: "/a/*", Directives: pairs("max-age=1h")},
			{MediaType: "Text/HTML", Directives: pairs("max-age=1h immutable")},
			{MediaType: "text/css", Directives: pairs("max-age=1h immutable")},
			{MediaType: "text/*", Directives: pairs("max-age=800d immutable")},
			{Directives: pairs("public")},
		},
	}
	want := []string{
		"row 2: cache_control text/html: immutable on pages",
		"row 4: cache_control text/*: max-age is over a year", "row 4: cache_control text/*: immutable on pages",
		"row 5: cache_control: public says",
	}
	got := warned(t, h)
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got %q, want %q", got, want)
	}
	h = &Handler{Expires: "modified", ExpiresModified: caddy.Duration(time.Hour), CacheControl: []CacheControl{{Directives: pairs("public")}}}
	if got := warned(t, h); got != nil {
		t.Errorf("expires modified gives it a lifetime: %q", got)
	}
}

// The adapter warns with file and line, as Caddy's own directives do.
func TestAdapterWarnings(t *testing.T) {
	for text, want := range map[string][]int{
		"conditional_cache 400d {\n cache_control text/html max-age=1h immutable\n\n cache_control image/* public\n}": {2, 4, 1, 1},
		"conditional_cache {\n cache_control public\n}":                                                               {2},
		"conditional_cache {\n cache_control public\n expires modified 1h\n}":                                         nil,
		"conditional_cache {\n cache_control public {\n  existing merge\n }\n}":                                       nil,
		"conditional_cache {\n cache_control text/html public immutable {\n  existing merge\n }\n}":                   {2},
	} {
		var got []int
		for _, entry := range adapterWarnings(t, caddyfile.NewTestDispenser(text)) {
			line, _ := entry.ContextMap()["line"].(int64)
			got = append(got, int(line))
			if entry.ContextMap()["file"] != "Testfile" {
				t.Errorf("file %v", entry.ContextMap()["file"])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: lines %v, want %v", text, got, want)
		}
	}
}

// adapterWarnings are those of a directive, whose name comes next.
func adapterWarnings(t *testing.T, d *caddyfile.Dispenser) []observer.LoggedEntry {
	t.Helper()
	d.Next()
	if d.NextArg() && strings.ContainsAny(d.Val()[:1], "/@*") {
		d.Delete() // the matcher, which Caddy takes off
	}
	d.Reset()
	var p parser
	if err := new(Handler).unmarshal(d, &p); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	p.warn(zap.New(core))
	return logs.All()
}

// What users copy is free of it.
func TestExamplesAreNotWarnedOf(t *testing.T) {
	files, err := filepath.Glob("examples/*.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	directives := 0
	for _, name := range append(files, "Caddyfile.example") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sites := string(text)
		if name == "Caddyfile.example" {
			_, sites, _ = strings.Cut(sites, "\n}\n") // behind the global options
		}
		sites = strings.ReplaceAll(sites, "{header.", "{http.request.header.") // as the adapter would have
		for d := caddyfile.NewTestDispenser(sites); d.Next(); {
			if d.Val() != "conditional_cache" {
				continue
			}
			directives++
			for _, entry := range adapterWarnings(t, d.NewFromNextSegment()) {
				t.Errorf("%s: %s", name, entry.Message)
			}
		}
	}
	if directives < 10 {
		t.Errorf("only %d directives in %q", directives, files)
	}
}

// rewritten is a request whose URI a handler outside has changed.
func rewritten(t *testing.T, target, to string, fields ...string) *visit {
	t.Helper()
	v := newVisit(t, "GET", target, fields...)
	uri, err := v.r.URL.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	v.r.URL, v.r.RequestURI = uri, uri.RequestURI()
	return v
}

// Design §2: `/path*` is a pattern of the original request.
func TestRowOfTheOriginalPath(t *testing.T) {
	for target, want := range map[string]string{"/assets/a": "public, max-age=2592000, immutable", "/b": "max-age=60"} {
		for _, to := range []string{"/index.php?x=1", "/assets/c", "/b"} {
			v := rewritten(t, target, to).to(provisioned(t, rowsOfEveryKind()), sendsPage())
			wantPairs(t, target+" as "+to, v.rec.Header(), pairs("Cache-Control", want))
		}
	}
}

// Where the media type is known with the body only, no row can be told at the head: another row's
// lifetime would be wrong (RFC 9111 §3.2), so none applies.
func TestRowOfAnUnknownType(t *testing.T) {
	const html = "<!DOCTYPE html>"
	for _, tt := range []struct {
		name, method string
		fields       []string
		next         caddyhttp.HandlerFunc
		want         string
	}{
		{"held", "GET", nil, sends(200, html), "max-age=0, must-revalidate"},
		{"our 304 of a tag", "GET", pairs("If-None-Match", "*"), sends(200, html), "max-age=0, must-revalidate"},
		{"our 304 of a date", "GET", pairs("If-Modified-Since", modified), sends(200, html, "Last-Modified", modified), ""},
		{"streamed", "GET", nil, sends(200, html, "Etag", `"abc"`), ""},
		{"streamed late", "GET", nil, sends(200, html+strings.Repeat(" ", 1<<10)), ""},
		{"HEAD", "HEAD", nil, sends(200, ""), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := rowsOfEveryKind()
			h.Buffer = &Buffer{MaxBody: 1 << 10}
			v := newVisit(t, tt.method, "/", tt.fields...).to(provisioned(t, h), tt.next)
			wantPairs(t, "the response", v.rec.Result().Header, pairs("Cache-Control", tt.want))
		})
	}
}

// RFC 9110 §8.7: Content-Location is the URI as the client sent it; 200 and 304 have it.
func TestContentLocation(t *testing.T) {
	for _, tt := range []struct {
		name, target, to string
		next             caddyhttp.HandlerFunc
		fields           []string
		want             string
	}{
		{name: "200", target: "/a/b?x=1&y", next: sendsPage(), want: "/a/b?x=1&y"},
		{name: "streamed", target: "/a", next: sendsPage("Etag", `"abc"`), want: "/a"},
		{name: "304", target: "/a?x", next: sendsPage(), fields: pairs("If-None-Match", strongTag), want: "/a?x"},
		{name: "304 at the head", target: "/a", next: sendsPage("Etag", `"abc"`), fields: pairs("If-None-Match", `"abc"`), want: "/a"},
		{name: "the upstream's 304", target: "/a", next: sends(304, ""), want: "/a"},
		{name: "the upstream's stands", target: "/a", next: sendsPage("Content-Location", "/b"), want: "/b"},
		{name: "203", target: "/a", next: sends(203, page)},
		{name: "206", target: "/a", next: sends(206, page)},
		{name: "404", target: "/a", next: sends(404, page)},
		{name: "412", target: "/a", next: sendsPage(), fields: pairs("If-Match", staleTag)},
		{name: "rewritten", target: "/a?x=1", to: "/index.php?p=a", next: sendsPage(), want: "/a?x=1"},
		{name: "only the query rewritten", target: "/a?x=1", to: "/a?y=2", next: sendsPage(), want: "/a?x=1"},
		{name: "only the query removed", target: "/a?x=1", to: "/a", next: sendsPage(), want: "/a?x=1"},
		{name: "escaped otherwise", target: "/a%2Fb", to: "/a/b", next: sendsPage(), want: "/a%2Fb"},
		{name: "escaped", target: "/a%20b%C3%A9", next: sendsPage(), want: "/a%20b%C3%A9"},
		{name: "a path that would name another server", target: "http://here//evil.example/", next: sendsPage()},
		{name: "the same behind a rewrite", target: "http://here//evil.example/", to: "/a", next: sendsPage()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVisit(t, "GET", tt.target, tt.fields...)
			if tt.to != "" {
				v = rewritten(t, tt.target, tt.to, tt.fields...)
			}
			v.to(provisioned(t, &Handler{ContentLocation: true}), tt.next)
			wantPairs(t, "the response", v.rec.Header(), pairs("Content-Location", tt.want))
		})
	}
}

// Design §3: a verdict that is known at the head hauls no bytes to throw them away. A short rest is
// read, for the connection's sake; a long one is cancelled.
func TestVerdictAtTheHead(t *testing.T) {
	const long = 1 << 20
	for _, tt := range []struct {
		name         string
		handler      *Handler
		fields, head []string
		status, most int // bytes that are taken
	}{
		{name: "the upstream's tag", fields: pairs("If-None-Match", `"abc"`), head: pairs("Etag", `"abc"`), status: 304, most: 64 << 10},
		{name: "the upstream's tag, declared length", fields: pairs("If-None-Match", `"abc"`), head: pairs("Etag", `"abc"`, "Content-Length", strconv.Itoa(long)), status: 304},
		{name: "a date", fields: pairs("If-Modified-Since", modified), head: pairs("Last-Modified", modified), status: 304, most: 64 << 10},
		{name: "a date, declared length", fields: pairs("If-Modified-Since", modified), head: pairs("Last-Modified", modified, "Content-Length", strconv.Itoa(long)), status: 304},
		{name: "a date of a write", fields: pairs("If-Unmodified-Since", dayBefore), head: pairs("Last-Modified", modified), status: 412, most: 64 << 10},
		{name: "the upstream's tag is another", fields: pairs("If-Match", `"def"`), head: pairs("Etag", `"abc"`), status: 412, most: 64 << 10},
		{name: "no tag of ours can match", fields: pairs("If-Match", `"def"`), status: 412, most: 64 << 10},
		{name: "no tag can be made", handler: &Handler{Buffer: &Buffer{MaxBody: 1 << 10}}, fields: pairs("If-Match", strongTag), status: 412, most: 64 << 10},
		{name: "no tag can be made, declared length", handler: &Handler{Buffer: &Buffer{MaxBody: 1 << 10}}, fields: pairs("If-Match", strongTag), head: pairs("Content-Length", strconv.Itoa(long)), status: 412},
		{name: "an endless response of a known tag", fields: pairs("If-None-Match", `"abc"`), head: pairs("Etag", `"abc"`, "Content-Type", "text/event-stream"), status: 304},
		{name: "an endless response, precondition failed", fields: pairs("If-Match", `"def"`), head: pairs("Content-Type", "text/event-stream"), status: 412},
		{name: "an endless response that is not to be buffered", fields: pairs("If-Match", strongTag), head: pairs("X-Accel-Buffering", "no"), status: 412},
	} {
		t.Run(tt.name, func(t *testing.T) {
			taken := 0
			var failed error
			v := newVisit(t, "GET", "/", tt.fields...).to(provisioned(t, tt.handler), func(w http.ResponseWriter, _ *http.Request) error {
				addPairs(w.Header(), tt.head)
				failed = hauls(w, long, &taken)
				panic(http.ErrAbortHandler) // as reverse_proxy does when it cannot write
			})
			if v.status() != tt.status || v.panicked != nil || v.rec.Body.Len() > 0 {
				t.Errorf("status %d, panic %v, %d bytes; want %d", v.status(), v.panicked, v.rec.Body.Len(), tt.status)
			}
			if taken > tt.most || !errors.Is(failed, errNotNeeded) {
				t.Errorf("%d bytes were taken, want at most %d; then %v", taken, tt.most, failed)
			}
		})
	}
}

// Design §3: bodies of trailers that nobody announced are held, and have no Content-Length.
func TestLateTrailers(t *testing.T) {
	v := newVisit(t, "GET", "/").to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
		err := sendsPage()(w, r)
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		return err
	})
	response := v.rec.Result()
	wantPairs(t, "the response", response.Header, pairs("Etag", strongTag, "Content-Length", ""))
	wantPairs(t, "the trailer", response.Trailer, pairs("X-Sum", "1"))
	v = newVisit(t, "GET", "/", "If-None-Match", strongTag).to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
		err := sendsPage()(w, r)
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		return err
	})
	if response = v.rec.Result(); response.StatusCode != 304 || len(response.Trailer) > 0 {
		t.Errorf("%d with the trailers %v", response.StatusCode, response.Trailer)
	}
}

// within is h behind outer handlers.
func within(h caddyhttp.MiddlewareHandler, next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) }
}

// Design §2: nested instances compose. The inner acts first, the outer keeps what it finds.
func TestNested(t *testing.T) {
	row := []CacheControl{{Directives: pairs("max-age=60")}}
	outerRow := []CacheControl{{Directives: pairs("public"), Existing: "keep"}}
	typedRow := []CacheControl{{MediaType: "text/*", Directives: pairs("public"), Existing: "replace"}}
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

// Design §2: of siblings in one block that match the same request, only the outermost acts.
func TestSiblings(t *testing.T) {
	off := provisioned(t, &Handler{Block: "a", ETag: &ETag{Mode: "off"}})
	bare := provisioned(t, &Handler{Block: "a"})
	nested := provisioned(t, &Handler{Block: "b"})
	v := newVisit(t, "GET", "/", "If-None-Match", strongTag).to(off, within(bare, sendsPage()))
	wantPairs(t, "off beside a bare one", v.rec.Header(), pairs("Etag", ""))
	v = newVisit(t, "GET", "/").to(off, within(nested, within(bare, sendsPage())))
	wantPairs(t, "a bare one inside another block", v.rec.Header(), pairs("Etag", strongTag))
	v = newVisit(t, "GET", "/").to(nested, within(off, within(bare, sendsPage("Cache-Control", "x"))))
	wantPairs(t, "siblings inside another block", v.rec.Header(), pairs("Etag", strongTag))
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
	if held := exchanges.Budget.Held(); held != 0 {
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

// If-Match with a tag of ours is judged against the full answer, of HEAD as of GET: nothing else has a tag.
func TestHeadWithATagOfOurs(t *testing.T) {
	for tagSent, status := range map[string]int{strongTag: 200, staleTag: 412} {
		v := newVisit(t, "HEAD", "/", "If-Match", tagSent).to(provisioned(t, nil), sendsPage())
		if v.status() != status || v.seenMethod != "GET" || v.rec.Body.Len() != 0 {
			t.Errorf("If-Match: %s gives %d with %q, asked with %s; want %d, nothing, GET", tagSent, v.status(), v.rec.Body, v.seenMethod, status)
		}
	}
}

// RFC 9111 §3.5 speaks of Authorization; whom Caddy has authenticated is as much one user.
func TestIdentifiedIsNotShared(t *testing.T) {
	shared := &Handler{CacheControl: []CacheControl{{Directives: pairs("public", "s-maxage=1h", "max-age=1m")}}}
	for name, mark := range map[string]func(*visit){
		"an authenticated user": func(v *visit) { v.repl.Set("http.auth.user.id", "somebody") },
		"a client certificate":  func(v *visit) { v.r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}} },
	} {
		v := newVisit(t, "GET", "/")
		mark(v)
		wantPairs(t, name, v.to(provisioned(t, shared), sendsPage()).rec.Header(), pairs("Cache-Control", "private, max-age=60"))
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
		if waited := w.head.Sub(start); waited != config.DefaultMaxDelay {
			t.Errorf("the head went out after %v, want %v", waited, config.DefaultMaxDelay)
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

// Where no tag of ours would take its place, one that cannot be repaired stays as it is.
func TestHopelessTagStaysUnderETagOff(t *testing.T) {
	off := &Handler{ETag: &ETag{Mode: "off", Existing: "repair"}}
	runTrials(t, []trial{
		{name: "half a tag", handler: off, next: sendsPage("Etag", `"half`), want: pairs("Etag", `"half`)},
		{name: "two lines", handler: off, next: sendsPage("Etag", "a", "Etag", "b"), want: pairs("Etag", "a | b")},
	})
}

// An empty Content-Encoding is no coding: encode may still apply one, so that auto has to be weak.
func TestEmptyContentEncoding(t *testing.T) {
	v := newVisit(t, "GET", "/", "Accept-Encoding", "gzip").to(provisioned(t, nil), sendsPage("Content-Encoding", ""))
	if got := v.rec.Header().Get("Etag"); !strings.HasPrefix(got, "W/") {
		t.Errorf("ETag %s, want a weak one", got)
	}
}

// twoParts is the page's "he" and "ld", as multipart/byteranges; the boundary is any.
func twoParts(boundary, contentType string) string {
	if contentType != "" {
		contentType = "Content-Type: " + contentType + "\r\n"
	}
	part := func(contentRange, content string) string {
		return "--" + boundary + "\r\n" + contentType + "Content-Range: " + contentRange + "\r\n\r\n" + content + "\r\n"
	}
	return part("bytes 0-1/12", "he") + part("bytes 10-11/12", "ld") + "--" + boundary + "--\r\n"
}

// Range of what is held (RFC 9110 §14.2, design §3 "Ranges"): the tag is ours.
func TestRangeOfHeld(t *testing.T) {
	runTrials(t, []trial{
		{
			name: "the whole says that parts can be had", outcome: "tagged",
			want: pairs("Accept-Ranges", "bytes", "Etag", strongTag, "Content-Length", "12"),
		},
		{
			name: "first bytes", fields: pairs("Range", "bytes=0-4"), status: 206, body: "hello", outcome: "partial", reason: "range",
			want: pairs("Content-Range", "bytes 0-4/12", "Content-Length", "5", "Etag", strongTag, "Content-Type", "text/plain", "Vary", "Accept-Encoding"),
		},
		{
			name: "to the end", fields: pairs("Range", "bytes=7-"), status: 206, body: "world",
			want: pairs("Content-Range", "bytes 7-11/12"),
		},
		{
			name: "a suffix", fields: pairs("Range", "bytes=-3"), status: 206, body: "rld",
			want: pairs("Content-Range", "bytes 9-11/12"),
		},
		{
			name: "one that can be had of two is sent as one", fields: pairs("Range", "bytes=3-4, 99-"), status: 206, body: "lo",
			want: pairs("Content-Range", "bytes 3-4/12", "Content-Type", "text/plain"),
		},
		{
			name: "none can be had", fields: pairs("Range", "bytes=12-"), next: sendsPage("Cache-Control", "max-age=60", "Access-Control-Allow-Origin", "*"),
			status: 416, outcome: "range_unsatisfiable", reason: "range_unsatisfiable",
			want: pairs("Content-Range", "bytes */12", "Cache-Control", "", "Etag", "", "Content-Length", "", "Access-Control-Allow-Origin", "*"),
		},
		{name: "overlapping", fields: pairs("Range", "bytes=0-4,3-5"), outcome: "tagged", reason: "range_excessive"},
		{name: "another unit", fields: pairs("Range", "items=0-4"), outcome: "tagged", reason: "range_unusable", want: pairs("Content-Range", "")},
		{name: "HEAD has none", handler: &Handler{Head: "get"}, method: "HEAD", fields: pairs("Range", "bytes=0-4"), want: pairs("Content-Length", "12", "Accept-Ranges", "bytes")},
		{
			name: "a coding may follow: the tag is weak", fields: pairs("Range", "bytes=0-4", "Accept-Encoding", "gzip"), reason: "weak_validator",
			want: pairs("Etag", weakTag, "Accept-Ranges", ""),
		},
		{
			name: "etag strong", handler: &Handler{ETag: &ETag{Mode: "strong"}}, fields: pairs("Range", "bytes=0-4", "Accept-Encoding", "gzip"), status: 206, body: "hello",
			want: pairs("Vary", ""),
		},
		{name: "etag weak", handler: &Handler{ETag: &ETag{Mode: "weak"}}, fields: pairs("Range", "bytes=0-4"), want: pairs("Accept-Ranges", "")},
		{name: "ranges off", handler: &Handler{Ranges: "off"}, fields: pairs("Range", "bytes=0-4"), reason: "no_condition", want: pairs("Accept-Ranges", "")},
		{
			name: "Vary is not repeated", fields: pairs("Range", "bytes=0-4"), next: sendsPage("Vary", "Cookie, accept-encoding"), status: 206, body: "hello",
			want: pairs("Vary", "Cookie, accept-encoding"),
		},
		{
			name: "Vary of another field", fields: pairs("Range", "bytes=0-4"), next: sendsPage("Vary", "Cookie"), status: 206, body: "hello",
			want: pairs("Vary", "Cookie | Accept-Encoding"),
		},
		{
			name: "the media type is that of the whole", fields: pairs("Range", "bytes=6-8"), next: sends(200, "<html>"+page), status: 206, body: "hel",
			want: pairs("Content-Type", "text/html; charset=utf-8"),
		},
		{
			name: "fields of the 200 (§15.3.7)", fields: pairs("Range", "bytes=0-4"), status: 206, body: "hello",
			next: sendsPage("Cache-Control", "max-age=60", "Expires", dayAfter, "Content-Location", "/alt", "Date", dayAfter, "X-Other", "kept", "Content-Language", "en", "Last-Modified", modified, "Content-Digest", "sha-256=:x:", "Content-Md5", "x", "Repr-Digest", "sha-256=:x:"),
			want: pairs("Cache-Control", "max-age=60", "Expires", dayAfter, "Content-Location", "/alt", "X-Other", "kept", "Content-Language", "en", "Last-Modified", modified, "Content-Digest", "", "Content-Md5", "", "Repr-Digest", "sha-256=:x:"),
		},
		{name: "a short body", fields: pairs("Range", "bytes=0-4"), next: sendsPage("Content-Length", "99"), reason: "short_body", want: pairs("Content-Range", "", "Accept-Ranges", "")},
		{name: "another status", fields: pairs("Range", "bytes=0-4"), next: sends(203, page), status: 203, body: page, reason: "status", want: pairs("Accept-Ranges", "")},
	})
}

// What the upstream has answered itself.
func TestRangeAnsweredByTheUpstream(t *testing.T) {
	runTrials(t, []trial{
		{name: "an upstream's 206 passes", fields: pairs("Range", "bytes=0-4"), next: sends(206, "hello", "Content-Range", "bytes 0-4/12"), status: 206, body: "hello", outcome: "streamed", want: pairs("Content-Range", "bytes 0-4/12", "Vary", "", "Accept-Ranges", "")},
		{name: "an upstream's 416 passes", fields: pairs("Range", "bytes=90-"), next: sends(416, "no", "Content-Range", "bytes */12"), status: 416, body: "no", outcome: "streamed", want: pairs("Content-Range", "bytes */12")},
	})
}

// If-Range (RFC 9110 §13.1.5), and Range behind other preconditions (§13.2.2).
func TestIfRange(t *testing.T) {
	dated := sendsPage("Last-Modified", modified, "Content-Language", "en")
	runTrials(t, []trial{
		{
			name: "our tag", fields: pairs("Range", "bytes=0-4", "If-Range", strongTag), status: 206, body: "hello",
			want: pairs("Etag", strongTag, "Content-Type", "text/plain"),
		},
		{
			name: "our tag, with another date in it", fields: pairs("Range", "bytes=0-4", "If-Range", strongTag), next: dated, status: 206, body: "hello",
			want: pairs("Etag", datedTag, "Last-Modified", "", "Content-Language", ""),
		},
		{name: "a stale tag of ours", fields: pairs("Range", "bytes=0-4", "If-Range", staleTag), outcome: "tagged", reason: "if_range"},
		{name: "another tag", fields: pairs("Range", "bytes=0-4", "If-Range", `"x"`), reason: "if_range"},
		{name: "our tag, of the octets that encode made", fields: pairs("Range", "bytes=0-4", "If-Range", strings.TrimSuffix(strongTag, `"`)+`-gzip"`), reason: "if_range"},
		{name: "our tag, weak", fields: pairs("Range", "bytes=0-4", "If-Range", weakTag), reason: "if_range"},
		{name: "the date", fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: dated, status: 206, body: "hello"},
		{name: "a later date", fields: pairs("Range", "bytes=0-4", "If-Range", dayAfter), next: dated, reason: "if_range"},
		{name: "false and out of range", fields: pairs("Range", "bytes=99-", "If-Range", staleTag), reason: "if_range"},
		{name: "true and out of range", fields: pairs("Range", "bytes=99-", "If-Range", strongTag), status: 416},
		{name: "If-Range alone", fields: pairs("If-Range", strongTag), reason: "no_condition"},
		{name: "If-None-Match comes first", fields: pairs("Range", "bytes=0-4", "If-None-Match", strongTag), status: 304, outcome: "not_modified", want: pairs("Content-Range", "", "Accept-Ranges", "")},
		{name: "If-None-Match of another", fields: pairs("Range", "bytes=0-4", "If-None-Match", staleTag), status: 206, body: "hello"},
		{name: "If-Match comes first", fields: pairs("Range", "bytes=99-", "If-Match", staleTag), status: 412, outcome: "precondition_failed", want: pairs("Content-Range", "")},
		{name: "If-Match is true", fields: pairs("Range", "bytes=0-4", "If-Match", strongTag), status: 206, body: "hello"},
	})
}

// Range of what passes because the upstream has tagged or dated it, but not looked at Range.
func TestRangeOfPassing(t *testing.T) {
	tagged := sendsPage("Etag", `"r"`, "Content-Length", "12")
	untagged := sendsPage("Last-Modified", modified, "Content-Length", "12")
	off := &Handler{ETag: &ETag{Mode: "off"}}
	small := func(ranges string) *Handler { return &Handler{Ranges: ranges, Buffer: &Buffer{MaxBody: 11}} }
	runTrials(t, []trial{
		{name: "the whole", next: tagged, outcome: "streamed", want: pairs("Accept-Ranges", "bytes")},
		{
			name: "a part", fields: pairs("Range", "bytes=3-4", "Accept-Encoding", "gzip"), next: tagged, status: 206, body: "lo", outcome: "partial", reason: "range",
			want: pairs("Content-Range", "bytes 3-4/12", "Content-Length", "2", "Etag", `"r"`, "Vary", "", "Content-Type", "text/plain"),
		},
		{name: "the last byte", fields: pairs("Range", "bytes=-1"), next: tagged, status: 206, body: "d"},
		{name: "all of it", fields: pairs("Range", "bytes=0-"), next: tagged, status: 206, body: page, want: pairs("Content-Range", "bytes 0-11/12")},
		{name: "none", fields: pairs("Range", "bytes=12-"), next: tagged, status: 416, outcome: "range_unsatisfiable", want: pairs("Content-Range", "bytes */12", "Etag", "")},
		{name: "If-Range", fields: pairs("Range", "bytes=3-4", "If-Range", `"r"`), next: tagged, status: 206, body: "lo"},
		{name: "If-Range of another", fields: pairs("Range", "bytes=3-4", "If-Range", `"s"`), next: tagged, outcome: "streamed"},
		{name: "a weak tag", fields: pairs("Range", "bytes=3-4"), next: sendsPage("Etag", `W/"r"`, "Content-Length", "12", "Last-Modified", modified), want: pairs("Accept-Ranges", "")},
		{name: "a malformed tag", fields: pairs("Range", "bytes=3-4"), next: sendsPage("Etag", "r", "Content-Length", "12", "Last-Modified", modified), want: pairs("Accept-Ranges", "")},
		{name: "no length", next: sendsPage("Etag", `"r"`), outcome: "streamed", want: pairs("Accept-Ranges", "")},
		{name: "no length, and a part of it", fields: pairs("Range", "bytes=-2"), next: sendsPage("Etag", `"r"`), status: 206, body: "ld", want: pairs("Etag", `"r"`, "Content-Range", "bytes 10-11/12")},
		{name: "no length, and none of it", fields: pairs("Range", "bytes=12-"), next: sendsPage("Etag", `"r"`), status: 416, want: pairs("Content-Range", "bytes */12")},
		{name: "no length, and If-Range of another", fields: pairs("Range", "bytes=-2", "If-Range", `"s"`), next: sendsPage("Etag", `"r"`), outcome: "streamed", reason: "if_range"},
		{name: "no length, longer than max_body", handler: small("on"), fields: pairs("Range", "bytes=-2"), next: sendsPage("Etag", `"r"`), outcome: "streamed", reason: "max_body"},
		{name: "trailers", fields: pairs("Range", "bytes=3-4"), next: sendsPage("Etag", `"r"`, "Content-Length", "12", "Trailer", "X-Sum"), want: pairs("Accept-Ranges", "")},
		{name: "made to be read as it comes", fields: pairs("Range", "bytes=3-4"), next: sends(200, page, "Content-Type", "text/event-stream", "Etag", `"r"`, "Content-Length", "12")},
		{name: "no media type, and not its beginning", fields: pairs("Range", "bytes=3-4"), next: sends(200, page, "Etag", `"r"`, "Content-Length", "12"), status: 206, body: "lo", want: pairs("Content-Type", "")},
		{name: "a strong date, no tag", handler: off, fields: pairs("Range", "bytes=3-4", "If-Range", modified), next: untagged, status: 206, body: "lo", want: pairs("Last-Modified", modified)},
		{name: "a strong date, but a coding may follow", handler: off, fields: pairs("Range", "bytes=3-4", "Accept-Encoding", "gzip"), next: untagged, want: pairs("Accept-Ranges", "")},
		{name: "no validator", handler: off, fields: pairs("Range", "bytes=3-4"), next: sendsPage("Content-Length", "12"), want: pairs("Accept-Ranges", "")},
		{name: "longer than max_body", handler: small("on"), fields: pairs("Range", "bytes=3-4"), next: tagged, reason: "range_length", want: pairs("Accept-Ranges", "")},
		{name: "longer than max_body, and none of it", handler: small("on"), fields: pairs("Range", "bytes=12-"), next: tagged, status: 416},
		{name: "just as long as max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 12}}, fields: pairs("Range", "bytes=3-4"), next: tagged, status: 206, body: "lo"},
		{name: "a strong date, and coded already", handler: off, fields: pairs("Range", "bytes=3-4", "Accept-Encoding", "gzip"), next: sendsPage("Last-Modified", modified, "Content-Length", "12", "Content-Encoding", "gzip"), status: 206, body: "lo"},
		{name: "stream", handler: small("stream"), fields: pairs("Range", "bytes=3-4"), next: tagged, status: 206, body: "lo"},
		{name: "stream, several", handler: small("stream"), fields: pairs("Range", "bytes=0-1,10-11"), next: tagged, reason: "range_length"},
		{name: "malformed", fields: pairs("Range", "bytes=4-3"), next: tagged, reason: "range_unusable"},
		{name: "what the upstream says of ranges", fields: pairs("Range", "bytes=3-4"), next: sendsPage("Etag", `"r"`, "Content-Length", "12", "Accept-Ranges", "none"), status: 206, body: "lo", want: pairs("Accept-Ranges", "bytes")},
		{name: "stream, the whole", handler: small("stream"), next: tagged, want: pairs("Accept-Ranges", "bytes")},
		{name: "off", handler: &Handler{Ranges: "off"}, fields: pairs("Range", "bytes=3-4"), next: tagged, want: pairs("Accept-Ranges", "")},
		{name: "off leaves what the upstream says", handler: &Handler{Ranges: "off"}, next: sendsPage("Etag", `"r"`, "Accept-Ranges", "none"), want: pairs("Accept-Ranges", "none")},
		{
			name: "existing replace takes back what the upstream says", handler: &Handler{ETag: &ETag{Mode: "weak", Existing: "replace"}},
			next: sendsPage("Etag", `"r"`, "Accept-Ranges", "bytes"), want: pairs("Accept-Ranges", ""),
		},
		{
			name: "existing replace answers it here", handler: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("Range", "bytes=0-4"),
			next: sendsPage("Etag", `"r"`, "Accept-Ranges", "bytes"), status: 206, body: "hello", want: pairs("Etag", strongTag),
		},
		{name: "HEAD", method: "HEAD", fields: pairs("Range", "bytes=3-4"), next: sends(200, "", "Etag", `"r"`, "Content-Length", "12"), want: pairs("Accept-Ranges", "bytes", "Content-Length", "12", "Content-Range", "")},
		{
			name: "the 206 has the policy of the 200", handler: &Handler{CacheControl: []CacheControl{{MediaType: "text/plain", Directives: []string{"max-age=60"}}}, ContentLocation: true},
			fields: pairs("Range", "bytes=3-4"), next: tagged, status: 206, body: "lo", want: pairs("Cache-Control", "max-age=60", "Content-Location", "/"),
		},
	})
}

// Several ranges come as multipart/byteranges (RFC 9110 §14.6), put together from the whole.
func TestMultipart(t *testing.T) {
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"held":                         sendsPage(),
		"passing":                      sendsPage("Etag", `"r"`, "Content-Length", "12"),
		"in two goes":                  slowly(0, "hello,", " world"),
		"a 200 that says it is a part": sendsPage("Content-Range", "bytes 0-49/100"),
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t, http.MethodGet, "/", "Range", "bytes=0-1, -2").to(provisioned(t, nil), next)
			mediaType := v.rec.Header().Get("Content-Type")
			boundary, found := strings.CutPrefix(mediaType, "multipart/byteranges; boundary=")
			if v.rec.Code != http.StatusPartialContent || !found {
				t.Fatalf("status %d, Content-Type %q", v.rec.Code, mediaType)
			}
			if want := twoParts(boundary, "text/plain"); v.rec.Body.String() != want {
				t.Errorf("the body is %q, want %q", v.rec.Body, want)
			}
			wantPairs(t, "the response", v.rec.Header(), pairs("Content-Length", strconv.Itoa(v.rec.Body.Len()), "Content-Range", ""))
			if v.said("outcome") != "partial" {
				t.Errorf("outcome %q", v.said("outcome"))
			}
		})
	}
}

// Parts that need the whole, which does not come in time.
func TestMultipartTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, http.MethodGet, "/", "Range", "bytes=0-1, -2")
		v.to(provisioned(t, &Handler{ContentLocation: true}), func(w http.ResponseWriter, r *http.Request) error {
			addPairs(w.Header(), pairs("Etag", `"r"`, "Content-Length", "12", "Content-Type", "text/plain"))
			return slowly(time.Second, "hello,", " world")(w, r)
		})
		if v.rec.Code != http.StatusOK || v.rec.Body.String() != page || v.said("reason") != "max_delay" {
			t.Errorf("status %d, %q, %s", v.rec.Code, v.rec.Body, v.said("reason"))
		}
		wantPairs(t, "the response", v.rec.Header(), pairs("Content-Location", "/", "Accept-Ranges", "bytes", "Content-Length", "12"))
	})
}

// A part of a long body is cut out of it as it passes, and the transfer ends with its last byte.
func TestSliceEndsTheTransfer(t *testing.T) {
	const length = 100 << 20
	for _, tt := range []struct {
		name, asked string
		want, most  int
	}{
		{"at the beginning", "bytes=0-9", 10, 1 << 20},
		{"behind a megabyte", "bytes=1048576-1048585", 10, 2 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			taken := 0
			v := newVisit(t, http.MethodGet, "/", "Range", tt.asked)
			v.to(provisioned(t, &Handler{Ranges: "stream"}), func(w http.ResponseWriter, _ *http.Request) error {
				addPairs(w.Header(), pairs("Content-Type", "video/mp4", "Etag", `"v"`, "Content-Length", strconv.Itoa(length)))
				if err := hauls(w, length, &taken); err != nil {
					panic(http.ErrAbortHandler) // as reverse_proxy does
				}
				return nil
			})
			if v.panicked != nil || v.err != nil {
				t.Errorf("panic %v, error %v", v.panicked, v.err)
			}
			if v.rec.Code != http.StatusPartialContent || v.rec.Body.Len() != tt.want {
				t.Errorf("status %d, %d bytes", v.rec.Code, v.rec.Body.Len())
			}
			if taken > tt.most {
				t.Errorf("%d bytes were hauled", taken)
			}
		})
	}
}

// An upstream that breaks off inside the part must not look like one that has ended.
func TestSliceBrokenOff(t *testing.T) {
	for asked, complete := range map[string]bool{"bytes=0-9": true, "bytes=0-11": true, "bytes=0-12": false} {
		v := newVisit(t, http.MethodGet, "/", "Range", asked)
		v.to(provisioned(t, nil), aborting(sendsPage("Etag", `"r"`, "Content-Length", "99"), http.ErrAbortHandler))
		if swallowed := v.panicked == nil; swallowed != complete || v.rec.Code != http.StatusPartialContent {
			t.Errorf("%s: status %d, panic %v", asked, v.rec.Code, v.panicked)
		}
	}
}

// What the upstream sees of Range: nothing that it would have to ignore, and nothing it could misread.
func TestWhatTheUpstreamSeesOfRange(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler *Handler
		method  string
		fields  []string
		want    []string
	}{
		{name: "a plain one", fields: pairs("Range", "bytes=0-4"), want: pairs("Range", "bytes=0-4")},
		{name: "in capitals", fields: pairs("Range", "BYTES=0-4"), want: pairs("Range", "bytes=0-4")},
		{name: "more than 63 bits", fields: pairs("Range", "bytes=5-99999999999999999999"), want: pairs("Range", "bytes=5-")},
		{name: "a unit of its own", fields: pairs("Range", "items=0-4"), want: pairs("Range", "items=0-4")},
		{name: "malformed, as some APIs page with it", fields: pairs("Range", "0-24"), want: pairs("Range", "0-24")},
		{name: "no bytes", fields: pairs("Range", "bytes=-0")},
		{name: "HEAD", method: "HEAD", fields: pairs("Range", "bytes=0-4", "If-Range", `"x"`)},
		{name: "a tag", fields: pairs("Range", "bytes=0-4", "If-Range", `"x"`), want: pairs("Range", "bytes=0-4", "If-Range", `"x"`)},
		{name: "a weak tag", fields: pairs("Range", "bytes=0-4", "If-Range", `W/"x"`)},
		{name: "no tag, no date", fields: pairs("Range", "bytes=0-4", "If-Range", "x")},
		{name: "a date", fields: pairs("Range", "bytes=0-4", "If-Range", modified), want: pairs("Range", "bytes=0-4", "If-Range", modified)},
		{name: "a date that is not over", fields: pairs("Range", "bytes=0-4", "If-Range", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))},
		{name: "off", handler: &Handler{Ranges: "off"}, fields: pairs("Range", "BYTES=0-4", "If-Range", `W/"x"`), want: pairs("Range", "BYTES=0-4", "If-Range", `W/"x"`)},
		{name: "If-Range of ours", fields: pairs("Range", "bytes=0-4", "If-Range", strongTag)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			newVisit(t, method, "/", tt.fields...).to(provisioned(t, tt.handler), sendsPage()).wantSeen(tt.want...)
		})
	}
}

// An upstream that falls silent behind an answer is told so by the end of the request's context.
func TestSilentUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		v := newVisit(t, http.MethodGet, "/", "If-None-Match", `"a"`)
		v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
			addPairs(w.Header(), pairs("Etag", `"a"`))
			w.WriteHeader(http.StatusOK)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
		if v.rec.Code != http.StatusNotModified || v.panicked != nil {
			t.Errorf("status %d, panic %v", v.rec.Code, v.panicked)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if v.r.Context().Err() != nil {
			t.Error("the request is left with a context that has ended")
		}
	})
}

// misreadTrial is a trial whose upstream answers Range in one way, and without it in another.
type misreadTrial struct {
	trial
	first caddyhttp.HandlerFunc
	calls int
}

func misreadTrials() []misreadTrial {
	part := sends(206, "{{so", "Content-Range", "bytes 3-6/14", "Content-Type", "text/plain")
	// As http.Error writes them.
	refuses := sends(416, "invalid range", "Content-Type", "text/plain; charset=utf-8", "X-Content-Type-Options", "nosniff")
	beyond := func(size string) caddyhttp.HandlerFunc { return withField(refuses, "Content-Range", "bytes */"+size) }
	dated := sends(206, "lo", "Content-Range", "bytes 3-4/12", "Last-Modified", modified)
	return []misreadTrial{
		{trial{name: "a part without validator", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo", outcome: "partial", want: pairs("Etag", strongTag, "Content-Range", "bytes 3-4/12")}, part, 2},
		{trial{name: "and the whole has changed", fields: pairs("Range", "bytes=3-4", "If-Range", `"x"`), outcome: "tagged", reason: "if_range"}, part, 2},
		{trial{name: "conditions are judged, too", fields: pairs("Range", "bytes=3-4", "If-Match", `"x"`), status: 412}, part, 2},
		{trial{name: "one with a date is usable", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo", outcome: "streamed"}, dated, 1},
		{trial{name: "one with a tag is usable", fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, withField(part, "Etag", `W/"x"`), 1},
		{trial{name: "a part in a unit of its own", fields: pairs("Range", "lines=0-1"), status: 206, body: "two"}, sends(206, "two", "Content-Range", "lines 0-1/64"), 1},
		{trial{name: "longer than max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 13}}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "ranges off", handler: &Handler{Ranges: "off"}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "no Range was sent on", fields: pairs("Range", "bytes=-0"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "a unit that it does not know", fields: pairs("Range", "items=3-4"), outcome: "tagged", reason: "range_unusable"}, refuses, 2},
		{trial{name: "416 of a length", fields: pairs("Range", "bytes=10-"), status: 206, body: "ld", want: pairs("Content-Range", "bytes 10-11/12")}, beyond("9"), 2},
		{trial{name: "416 that is true", fields: pairs("Range", "bytes=99-"), status: 416, outcome: "range_unsatisfiable", want: pairs("Content-Range", "bytes */12")}, beyond("12"), 2},
		{trial{name: "416 of another server", fields: pairs("Range", "bytes=99-"), status: 416, body: "no"}, sends(416, "no", "Content-Range", "bytes */12"), 1},
		{trial{name: "416 of an API that pages with a unit of its own", fields: pairs("Range", "items=900-999"), status: 416, body: "[]"}, sends(416, "[]", "Content-Type", "application/json"), 1},
		{trial{name: "a part that says parts can be had", fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, withField(part, "Accept-Ranges", "bytes"), 1},
		{trial{name: "a part of what nobody knows the length of", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, sends(206, "lo", "Content-Range", "bytes 3-4/*"), 1},
		{trial{name: "several parts", fields: pairs("Range", "bytes=3-4,6-7"), status: 206, body: "--x"}, sends(206, "--x", "Content-Type", "multipart/byteranges; boundary=x"), 1},
		{trial{name: "no-store", fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, withField(part, "Cache-Control", "no-store"), 1},
		{trial{name: "last_modified remove", handler: &Handler{LastModified: &LastModified{Mode: "remove"}}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, dated, 1},
		{trial{name: "a coding may follow: the whole is right", fields: pairs("Range", "bytes=3-4", "Accept-Encoding", "gzip"), outcome: "tagged", reason: "weak_validator"}, part, 2},
		{trial{name: "416 of a length over max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 13}}, fields: pairs("Range", "bytes=99-"), status: 416, body: "invalid range"}, beyond("14"), 1},
		{trial{name: "416 of what has a tag", fields: pairs("Range", "bytes=99-"), status: 416, body: "invalid range"}, withField(beyond("12"), "Etag", `"x"`), 1},
		{trial{name: "416 without a length", fields: pairs("Range", "bytes=99-"), status: 416, body: "invalid range"}, refuses, 1},
		{trial{name: "a handler fails", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, failing(sendsNothing, errors.New("unclosed action")), 2},
		{trial{name: "a handler fails behind its head", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, failing(sendsPage(), caddyhttp.Error(500, nil)), 2},
		{trial{name: "an upstream out of reach", fields: pairs("Range", "bytes=3-4"), status: 502}, failing(sendsNothing, caddyhttp.Error(502, nil)), 1},
		{trial{name: "a file is not there", fields: pairs("Range", "bytes=3-4"), status: 404}, failing(sendsNothing, caddyhttp.Error(404, nil)), 1},
		{trial{name: "what has been sent stays", fields: pairs("Range", "bytes=3-4"), status: 500, body: "part"}, failing(sends(203, "part"), errors.New("late")), 1},
		{trial{name: "416 of a unit that it knows", fields: pairs("Range", "items=99-"), status: 416, body: "no"}, sends(416, "no", "Content-Range", "items */12"), 1},
	}
}

// An upstream that answers Range with what no client can use is asked for the whole (see misreads). A route's
// group, a rewrite and a variable of the first time must not show the second time.
func TestRangeMisread(t *testing.T) {
	for _, tt := range misreadTrials() {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			tt.next = func(w http.ResponseWriter, r *http.Request) error {
				groups, _ := r.Context().Value(caddy.CtxKey("route_group")).(map[string]struct{})
				if _, used := groups["used"]; used || r.URL.Path != "/" || caddyhttp.GetVar(r.Context(), "used") != nil || w.Header()["X-Used"] != nil {
					t.Error("the second request has something of the first")
				}
				groups["used"] = struct{}{}
				caddyhttp.SetVar(r.Context(), "used", true)
				w.Header().Set("X-Used", "1")
				r.URL.Path = "/rewritten"
				if calls++; calls == 1 {
					return tt.first(w, r)
				}
				if fields := upstream.Snapshot(r.Header); fields.Any() {
					t.Errorf("the second request has %v", fields.Header())
				}
				return sendsPage()(w, r)
			}
			tt.run(t)
			if calls != tt.calls {
				t.Errorf("the upstream was asked %d times, want %d", calls, tt.calls)
			}
		})
	}
}

// The first answer's timers have nothing to say of the second.
func TestRangeMisreadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
			if calls++; calls == 1 {
				addPairs(w.Header(), pairs("Content-Range", "bytes 3-6/14"))
				w.WriteHeader(http.StatusPartialContent)
				return nil
			}
			select {
			case <-time.After(150 * time.Millisecond):
				return sendsPage()(w, r)
			case <-r.Context().Done():
				return r.Context().Err()
			}
		})
		if v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != "lo" || v.err != nil {
			t.Errorf("status %d, %q, error %v", v.rec.Code, v.rec.Body, v.err)
		}
	})
}

// A handler inside sees the deadline that one outside has set.
func TestDeadlineOfTheRequest(t *testing.T) {
	v := newVisit(t, http.MethodGet, "/", "If-None-Match", `"a"`)
	ctx, cancel := context.WithTimeout(v.r.Context(), time.Hour)
	defer cancel()
	v.r = v.r.WithContext(ctx)
	want, _ := ctx.Deadline()
	v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
		if got, ok := r.Context().Deadline(); !ok || !got.Equal(want) {
			t.Errorf("the deadline is %v, want %v", got, want)
		}
		return sendsPage()(w, r)
	})
}

// What is held for Range only has no more of a tag than the whole has.
func TestNoTagForRangeAlone(t *testing.T) {
	dated := sendsPage("Last-Modified", modified)
	runTrials(t, []trial{
		{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, fields: pairs("Range", "bytes=3-4"), next: dated, status: 206, body: "lo", want: pairs("Etag", "", "Last-Modified", modified)},
		{name: "no-store", fields: pairs("Range", "bytes=3-4"), next: withField(dated, "Cache-Control", "no-store"), status: 206, body: "lo", want: pairs("Etag", "")},
		{name: "our weak tag takes no parts, whatever the upstream says", fields: pairs("Accept-Encoding", "gzip"), next: sendsPage("Accept-Ranges", "bytes"), want: pairs("Etag", weakTag, "Accept-Ranges", "")},
	})
}

// The instances inside act the second time as they did the first.
func TestRangeMisreadOfNested(t *testing.T) {
	inner := provisioned(t, &Handler{Block: "inner", CacheControl: []CacheControl{{Directives: []string{"max-age=60"}}}, ETag: &ETag{Mode: "off"}})
	calls := 0
	v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(provisioned(t, &Handler{Block: "outer"}), within(inner, func(w http.ResponseWriter, r *http.Request) error {
		if calls++; calls == 1 {
			return sends(206, "{{", "Content-Range", "bytes 3-4/12")(w, r)
		}
		return sendsPage()(w, r)
	}))
	if v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != "lo" || calls != 2 {
		t.Errorf("status %d, %q, %d calls", v.rec.Code, v.rec.Body, calls)
	}
	wantPairs(t, "the response", v.rec.Header(), pairs("Cache-Control", "max-age=60", "Etag", strongTag))
}

// Who has a 304 may leave before the upstream is done: that is no abort. Before there is an answer it is.
func TestClientLeaves(t *testing.T) {
	for name, tt := range map[string]struct {
		answered bool
		fields   []string
		want     error
	}{
		"with a 304":               {true, pairs("If-None-Match", `"a"`), nil},
		"before the head":          {false, pairs("If-None-Match", `"a"`), context.Canceled},
		"in the middle of a 200":   {true, pairs("If-None-Match", `"b"`), context.Canceled},
		"in the middle of its own": {true, nil, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVisit(t, http.MethodGet, "/", tt.fields...)
				ctx, leave := context.WithCancel(v.r.Context())
				v.r = v.r.WithContext(ctx)
				v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
					addPairs(w.Header(), pairs("Etag", `"a"`))
					if tt.answered {
						w.WriteHeader(http.StatusOK)
					}
					leave()
					synctest.Wait()
					if got := r.Context().Err(); !errors.Is(got, tt.want) {
						t.Errorf("the upstream's context: %v, want %v", got, tt.want)
					}
					return nil
				})
			})
		})
	}
}

// strong is a handler that guards writes.
func strong(methods ...string) *Handler {
	return &Handler{ETag: &ETag{Mode: "strong"}, GuardWrites: &GuardWrites{Methods: methods}}
}

// requiring guards writes, and wants a condition of each.
func requiring() *Handler {
	return &Handler{ETag: &ETag{Mode: "strong"}, GuardWrites: &GuardWrites{Require: true}}
}

// resource is an upstream with something to read and to write.
type resource struct {
	get, put caddyhttp.HandlerFunc // sendsPage, and 204
	calls    []string              // the methods that it was asked with
	written  http.Header           // the write's fields as it saw them
	asked    *http.Request         // the GET as it saw it
}

func (u *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	u.calls = append(u.calls, r.Method)
	next := u.put
	if r.Method == http.MethodGet {
		u.asked = r
		if next = u.get; next == nil {
			next = sendsPage()
		}
	} else {
		u.written = r.Header.Clone()
		if next == nil {
			next = sends(http.StatusNoContent, "")
		}
	}
	return next(w, r)
}

// wantIdle: whatever became of the writes, nobody waits and nothing is held.
func wantIdle(t *testing.T) {
	t.Helper()
	if n := exchanges.Writes.Len(); n != 0 {
		t.Errorf("the queue still has %d keys", n)
	}
	if held := exchanges.Budget.Held(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// guardTrial is one write, what the upstream has, and what becomes of it.
type guardTrial struct {
	name    string
	handler *Handler // strong()
	method  string   // PUT
	fields  []string
	get     caddyhttp.HandlerFunc // sendsPage
	put     caddyhttp.HandlerFunc // 204
	status  int
	outcome string
	reason  string
	calls   string   // what the upstream is asked, "GET PUT"
	passed  []string // the conditional fields that go on with the write
	want    []string // fields of the response
	body    string
}

func (row *guardTrial) run(t *testing.T) {
	h, method := row.handler, row.method
	if h == nil {
		h = strong()
	}
	if method == "" {
		method = http.MethodPut
	}
	u := &resource{get: row.get, put: row.put}
	v := newVisit(t, method, "/", row.fields...)
	v.to(provisioned(t, h), u.ServeHTTP)
	if v.status() != row.status || v.panicked != nil {
		t.Errorf("status %d, want %d (error %v, panic %v)", v.status(), row.status, v.err, v.panicked)
	}
	if got := strings.Join(u.calls, " "); got != row.calls {
		t.Errorf("the upstream was asked %q, want %q", got, row.calls)
	}
	if outcome, reason := v.said("outcome"), v.said("reason"); outcome != row.outcome || reason != row.reason {
		t.Errorf("outcome %q with reason %q, want %q with %q", outcome, reason, row.outcome, row.reason)
	}
	if u.written != nil {
		v.seen = u.written
		v.wantSeen(row.passed...)
	}
	wantPairs(t, "the response", v.rec.Header(), row.want)
	if v.err == nil && v.rec.Body.String() != row.body {
		t.Errorf("the body is %q, want %q", v.rec.Body, row.body)
	}
	if row.status >= 400 && row.outcome != "streamed" && row.calls != "" {
		// Nothing of the GET shows in an answer that is not its own.
		wantPairs(t, "the response", v.rec.Header(), pairs("Etag", "", "Last-Modified", "", "Cache-Control", "", "Expires", ""))
	}
	wantIdle(t)
}

func runGuardTrials(t *testing.T, rows []guardTrial) {
	t.Helper()
	for i := range rows {
		t.Run(rows[i].name, rows[i].run)
	}
}

// guardTrials are the rows of a table.
type guardTrials []guardTrial

// fill changes every row.
func (rows guardTrials) fill(change func(*guardTrial)) guardTrials {
	for i := range rows {
		change(&rows[i])
	}
	return rows
}

// withDefaults fills in what rows have in common: a row without a status has that of defaults.
func withDefaults(rows guardTrials, defaults guardTrial) guardTrials {
	for i := range rows {
		row := &rows[i]
		if row.status == 0 {
			row.status, row.outcome, row.calls = defaults.status, defaults.outcome, defaults.calls
		}
		if row.reason == "" {
			row.reason = defaults.reason
		}
	}
	return rows
}

// What is none of the guard's business passes at once, and as it is.
func TestUnguardedWrites(t *testing.T) {
	unset := &Handler{}
	foreign := pairs("If-Match", `"abc"`)
	ours := pairs("If-Match", staleTag)
	rows := []guardTrial{
		{name: "no condition"},
		{name: "no condition, nothing configured", handler: unset},
		{name: "a foreign If-Match, nothing configured", handler: unset, fields: foreign, passed: foreign},
		{name: "If-None-Match with a tag of ours, nothing configured", handler: unset, fields: pairs("If-None-Match", staleTag), passed: pairs("If-None-Match", staleTag)},
		{name: "POST by default", method: "POST", fields: foreign, passed: foreign},
		{name: "PATCH, only PUT configured", handler: strong("PUT"), method: "PATCH", fields: foreign, passed: foreign},
		{name: "If-Modified-Since alone", fields: pairs("If-Modified-Since", modified), passed: pairs("If-Modified-Since", modified)},
		{name: "Range alone", fields: pairs("Range", "bytes=0-1"), passed: pairs("Range", "bytes=0-1")},
		{name: "If-Range with a tag of ours", fields: pairs("If-Range", staleTag), passed: pairs("If-Range", staleTag)},
		{name: "require speaks of the configured methods", handler: requiring(), method: "POST"},
	}
	for i := range rows {
		rows[i].status, rows[i].outcome, rows[i].reason = 204, "streamed", "method"
		rows[i].calls = rows[i].method
		if rows[i].method == "" {
			rows[i].calls = "PUT"
		}
	}
	runGuardTrials(t, rows)
	for _, method := range pairs("OPTIONS", "TRACE", "CONNECT") {
		t.Run(method, func(t *testing.T) {
			u := new(resource)
			v := newVisit(t, method, "/", ours...).to(provisioned(t, requiring()), u.ServeHTTP)
			if v.status() != 204 || strings.Join(u.calls, " ") != method || u.written.Get("If-Match") != staleTag {
				t.Errorf("%d after %q with %v", v.status(), u.calls, u.written)
			}
		})
	}
}

// Design §3: a write whose If-Match names a tag of ours is always guarded, whatever the configuration.
func TestAlwaysGuarded(t *testing.T) {
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "the current tag"},
		{name: "with a date", fields: pairs("If-Match", datedTag)},
		{name: "with a coding's suffix", fields: pairs("If-Match", strings.TrimSuffix(strongTag, `"`)+`-gzip"`)},
		{name: "among others", fields: pairs("If-Match", `"abc", `+staleTag+`, `+strongTag)},
		{name: "on a second line", fields: pairs("If-Match", `"abc"`, "If-Match", strongTag)},
		{name: "weak towards this client", fields: pairs("If-Match", strongTag, "Accept-Encoding", "gzip")},
		{name: "of any method", method: "POST"},
		{name: "weak configuration", handler: &Handler{ETag: &ETag{Mode: "weak"}}},
		{name: "replaced", handler: &Handler{ETag: &ETag{Existing: "replace"}}, get: sendsPage("Etag", `"abc"`)},
		{name: "an upstream that has our tag from another instance", get: sendsPage("Etag", weakTag)},
		{name: "with all other conditions", fields: pairs("If-Match", strongTag, "If-None-Match", `"abc"`, "If-Unmodified-Since", dayBefore, "If-Modified-Since", modified), reason: "none_matched"},
		{name: "Range stays", fields: pairs("If-Match", strongTag, "Range", "bytes=0-1"), passed: pairs("Range", "bytes=0-1")},
		{name: "stale", fields: pairs("If-Match", staleTag), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "stale, beside a date that holds", fields: pairs("If-Match", staleTag, "If-Unmodified-Since", dayAfter), get: sendsPage("Last-Modified", modified), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "stale, among foreign ones", fields: pairs("If-Match", `"abc", `+staleTag), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "If-None-Match is false", fields: pairs("If-Match", strongTag, "If-None-Match", "*"), status: 412, outcome: "precondition_failed", reason: "if_none_match", calls: "GET"},
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}).fill(func(row *guardTrial) {
		if row.fields == nil {
			row.fields = pairs("If-Match", strongTag)
		}
		if row.handler == nil {
			row.handler = new(Handler)
		}
		if row.method != "" {
			row.calls = "GET " + row.method
		}
	}))
}

// A response without a tag has none for If-Match to name: it is false (RFC 9110 §13.1.1).
func TestGuardWithoutTag(t *testing.T) {
	small := &Handler{ETag: &ETag{Mode: "strong"}, Buffer: &Buffer{MaxBody: 11}}
	rows := []guardTrial{
		{name: "no-store", get: sendsPage("Cache-Control", "no-store")},
		{name: "a streamed type", get: sends(200, page, "Content-Type", "text/event-stream")},
		{name: "trailers", get: sendsPage("Trailer", "X-Sum")},
		{name: "a longer body", handler: small},
		{name: "a longer body, of which nothing is held", handler: small, fields: pairs("If-Match", new(tag.Maker).Digest(tag.Metadata{ContentType: pairs("text/plain")}, nil).Field(false, time.Time{}))},
		{name: "a longer declared length", handler: small, get: sendsPage("Content-Length", "12")},
		{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}},
		{name: "existing remove", handler: &Handler{ETag: &ETag{Existing: "remove"}}, get: sendsPage("Etag", strongTag)},
		{name: "a foreign tag", get: sendsPage("Etag", `"abc"`)},
		{name: "a malformed tag", get: sendsPage("Etag", "abc")},
		{name: "204", get: sends(204, "")},
		{name: "404", get: sends(404, "gone", "Etag", strongTag)},
		{name: "410", get: sends(410, "gone")},
		{name: "an error of 404", get: failing(nil, caddyhttp.Error(404, errors.New("x")))},
		{name: "an error of 410", get: failing(nil, caddyhttp.Error(410, errors.New("x")))},
	}
	for i := range rows {
		if rows[i].fields == nil {
			rows[i].fields = pairs("If-Match", strongTag)
		}
		rows[i].status, rows[i].outcome, rows[i].reason, rows[i].calls = 412, "precondition_failed", "if_match", "GET"
	}
	runGuardTrials(t, rows)
}

// Design §3: `guard_writes` judges every condition of its methods.
func TestGuardWrites(t *testing.T) {
	foreign, failed := sendsPage("Etag", `"abc"`), failedBy
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "our tag", fields: pairs("If-Match", strongTag)},
		{name: "*", fields: pairs("If-Match", "*")},
		{name: "PATCH", method: "PATCH", fields: pairs("If-Match", `"abc"`), get: foreign},
		{name: "DELETE", method: "DELETE", fields: pairs("If-Match", `"abc"`), get: foreign},
		{name: "POST, configured", handler: strong("POST"), method: "POST", fields: pairs("If-Match", `"abc"`), get: foreign},
		{name: "an upstream's tag", fields: pairs("If-Match", `"abc"`), get: foreign},
		{name: "as encode renames it", fields: pairs("If-Match", `"abc-gzip"`), get: foreign},
		{name: "… zstd", fields: pairs("If-Match", `"abc-zstd"`), get: foreign},
		{name: "… br", fields: pairs("If-Match", `"abc-br"`), get: foreign},
		failed("if_match", guardTrial{name: "but not the other way", fields: pairs("If-Match", `"abc"`), get: sendsPage("Etag", `"abc-gzip"`)}),
		failed("if_match", guardTrial{name: "nor with two suffixes", fields: pairs("If-Match", `"abc-br-gzip"`), get: foreign}),
		failed("if_match", guardTrial{name: "another upstream's tag", fields: pairs("If-Match", `"def"`), get: foreign}),
		failed("if_match", guardTrial{name: "a weak tag of the upstream", fields: pairs("If-Match", `W/"abc"`), get: sendsPage("Etag", `W/"abc"`)}),
		failed("if_match", guardTrial{name: "… named as if it were strong", fields: pairs("If-Match", `"abc"`), get: sendsPage("Etag", `W/"abc"`)}),
		failed("if_match", guardTrial{name: "a strong one, named weakly", fields: pairs("If-Match", `W/"abc"`), get: foreign}),
		failed("if_match", guardTrial{name: "rubbish", fields: pairs("If-Match", "abc"), get: foreign}),
		failed("if_match", guardTrial{name: "an empty If-Match", fields: pairs("If-Match", ""), get: foreign}),
		failed("if_match", guardTrial{name: "* where nothing is", fields: pairs("If-Match", "*"), get: sends(404, "")}),
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}).fill(func(row *guardTrial) {
		if row.method != "" {
			row.calls = "GET " + row.method
		}
	}))
}

// failedBy is a row that ends with 412.
func failedBy(reason string, row guardTrial) guardTrial {
	row.status, row.outcome, row.reason, row.calls = 412, "precondition_failed", reason, "GET"
	return row
}

// The conditions besides If-Match, and what has to be ignored of them.
func TestGuardWritesByOtherConditions(t *testing.T) {
	dated, undated := sendsPage("Last-Modified", modified), sendsPage()
	failed := failedBy
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "a repaired tag", handler: guardedRepair(), fields: pairs("If-Match", `"abc"`), get: sendsPage("Etag", "abc")},
		failed("if_match", guardTrial{name: "another repaired tag", handler: guardedRepair(), fields: pairs("If-Match", `"def"`), get: sendsPage("Etag", "abc")}),

		{name: "If-None-Match: * where nothing is", fields: pairs("If-None-Match", "*"), get: sends(404, ""), reason: "none_matched"},
		{name: "… and an error says so", fields: pairs("If-None-Match", "*"), get: failing(nil, caddyhttp.Error(404, errors.New("x"))), reason: "none_matched"},
		failed("if_none_match", guardTrial{name: "… where something is", fields: pairs("If-None-Match", "*")}),
		failed("if_none_match", guardTrial{name: "… without a tag", fields: pairs("If-None-Match", "*"), get: sendsPage("Cache-Control", "no-store")}),
		failed("if_none_match", guardTrial{name: "… and no content", fields: pairs("If-None-Match", "*"), get: sends(204, "")}),
		failed("if_none_match", guardTrial{name: "If-None-Match, weakly", fields: pairs("If-None-Match", weakTag)}),
		{name: "If-None-Match with another tag", fields: pairs("If-None-Match", staleTag), reason: "none_matched"},
		{name: "If-None-Match, no tag", fields: pairs("If-None-Match", staleTag), get: sendsPage("Cache-Control", "no-store"), reason: "no_entity_tag"},
		{name: "If-None-Match with rubbish", fields: pairs("If-None-Match", "abc"), reason: "if_none_match_unusable"},

		{name: "If-Unmodified-Since, not modified", fields: pairs("If-Unmodified-Since", modified), get: dated},
		failed("if_unmodified_since", guardTrial{name: "If-Unmodified-Since, modified", fields: pairs("If-Unmodified-Since", dayBefore), get: dated}),
		failed("if_unmodified_since", guardTrial{name: "… with a tag that differs", fields: pairs("If-Unmodified-Since", dayBefore, "If-None-Match", staleTag), get: dated}),
		{
			name: "no Last-Modified: ignored, and the upstream's to judge", fields: pairs("If-Unmodified-Since", dayBefore), get: undated,
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", dayBefore),
		},
		{
			name: "no date: the same", fields: pairs("If-Unmodified-Since", "yesterday"), get: dated,
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", "yesterday"),
		},
		{
			name: "nothing there: the same", fields: pairs("If-Unmodified-Since", dayBefore), get: sends(404, ""),
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", dayBefore),
		},
		{name: "overruled by If-Match", fields: pairs("If-Match", strongTag, "If-Unmodified-Since", dayBefore), get: dated},
		{name: "a date in another form, lenient", handler: lenient(strong()), fields: pairs("If-Unmodified-Since", "2023-11-14T22:13:20Z"), get: dated},
		failed("if_unmodified_since", guardTrial{name: "… and it is older", handler: lenient(strong()), fields: pairs("If-Unmodified-Since", "2023-11-13T22:13:20Z"), get: dated}),
		{name: "If-Modified-Since does not stay alone", fields: pairs("If-None-Match", staleTag, "If-Modified-Since", modified), get: dated, reason: "none_matched"},
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}))
}

func guardedRepair() *Handler {
	return &Handler{ETag: &ETag{Mode: "strong", Existing: "repair"}, GuardWrites: new(GuardWrites)}
}

func lenient(h *Handler) *Handler {
	h.LastModified = &LastModified{Lenient: true}
	return h
}

// A weak tag of ours is what a client has that accepts content codings. With the current digest the
// write goes on, with its field.
func TestGuardWeakTag(t *testing.T) {
	both := `"abc", ` + weakTag
	suffixed := strings.TrimSuffix(weakTag, `"`) + `-gzip"`
	row := guardTrial{status: 204, outcome: "guarded", reason: "guard_weak_tag", calls: "GET PUT"}
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "current", fields: pairs("If-Match", weakTag), passed: pairs("If-Match", weakTag)},
		{name: "current, nothing configured", handler: new(Handler), fields: pairs("If-Match", weakTag), passed: pairs("If-Match", weakTag)},
		{name: "current, with a suffix", fields: pairs("If-Match", suffixed), passed: pairs("If-Match", suffixed)},
		{name: "current, among others", fields: pairs("If-Match", both), passed: pairs("If-Match", both)},
		{
			name: "current, with other conditions", fields: pairs("If-Match", weakTag, "If-None-Match", `"abc"`, "If-Unmodified-Since", dayBefore),
			get: sendsPage("Last-Modified", modified), passed: pairs("If-Match", weakTag, "If-None-Match", `"abc"`, "If-Unmodified-Since", dayBefore),
		},
		{name: "beside the strong one, it is not needed", fields: pairs("If-Match", weakTag+", "+strongTag), reason: "matched"},
		{name: "with another digest", fields: pairs("If-Match", "W/"+staleTag), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "where nothing is", fields: pairs("If-Match", weakTag), get: sends(404, ""), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "where the tag is malformed", fields: pairs("If-Match", weakTag), get: sendsPage("Etag", strongTag+" x"), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "where there is no tag", fields: pairs("If-Match", weakTag), get: sendsPage("Cache-Control", "no-store"), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "but If-None-Match is false", fields: pairs("If-Match", weakTag, "If-None-Match", "*"), status: 412, outcome: "precondition_failed", reason: "if_none_match", calls: "GET"},
	}, row))
}

// RFC 6585 §3: under `require` a write without a condition, or with none that counts, is answered 428.
func TestGuardRequires(t *testing.T) {
	dated := sendsPage("Last-Modified", modified, "Access-Control-Allow-Origin", "*")
	demanded := guardTrial{status: 428, outcome: "precondition_required", reason: "guard_required"}
	asked := demanded
	asked.calls = "GET"
	of := func(row guardTrial, name string, fields []string, get caddyhttp.HandlerFunc) guardTrial {
		row.name, row.fields, row.get = name, fields, get
		return row
	}
	guarded := guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}
	rows := []guardTrial{
		of(demanded, "no condition", nil, nil),
		of(demanded, "If-Modified-Since only", pairs("If-Modified-Since", modified), nil),
		of(demanded, "Range only", pairs("Range", "bytes=0-1"), nil),
		of(demanded, "a date that is none", pairs("If-Unmodified-Since", "yesterday"), nil),
		of(demanded, "If-None-Match without a tag", pairs("If-None-Match", "abc"), nil),
		of(demanded, "both", pairs("If-None-Match", "", "If-Unmodified-Since", "yesterday"), nil),
		of(asked, "a date and no Last-Modified", pairs("If-Unmodified-Since", modified), sendsPage()),
		of(guarded, "a date and a Last-Modified", pairs("If-Unmodified-Since", modified), dated),
		of(guarded, "If-Match", pairs("If-Match", strongTag), nil),
	}
	exists := of(guarded, "a date where nothing is", pairs("If-Unmodified-Since", modified), sends(404, ""))
	exists.reason, exists.passed = "condition_ignored", pairs("If-Unmodified-Since", modified)
	creates := of(guarded, "If-None-Match: *", pairs("If-None-Match", "*"), sends(404, ""))
	creates.reason = "none_matched"
	weak := of(guarded, "a weak tag of ours", pairs("If-Match", weakTag), nil)
	weak.reason, weak.passed = "guard_weak_tag", pairs("If-Match", weakTag)
	unusable := of(guardTrial{status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"}, "an unusable If-Match is false", pairs("If-Match", "abc"), nil)
	rows = append(rows, exists, creates, weak, unusable)
	for i := range rows {
		rows[i].handler = requiring()
	}
	runGuardTrials(t, rows)
}

// Design §3: what a browser needs to read an answer stays on it; of the GET's, nothing else does.
func TestGuardErrorFields(t *testing.T) {
	cors := pairs("Access-Control-Allow-Origin", "https://a.example", "Access-Control-Expose-Headers", "ETag", "Vary", "Origin", "X-Any", "x",
		"Set-Cookie", "a=b", "Etag", `"abc"`, "Last-Modified", modified, "Cache-Control", "max-age=60", "Expires", modified, "Content-Type", "text/plain")
	kept := pairs("Access-Control-Allow-Origin", "https://a.example", "Access-Control-Expose-Headers", "ETag", "Vary", "Origin",
		"X-Any", "", "Set-Cookie", "", "Content-Type", "", "Content-Length", "")
	row := guardTrial{fields: pairs("If-Match", `"def"`), want: kept, calls: "GET"}
	failed, required, broken := row, row, row
	failed.name, failed.get, failed.status, failed.outcome, failed.reason = "412", sends(200, page, cors...), 412, "precondition_failed", "if_match"
	required.name, required.get = "428", sends(200, page, "Access-Control-Allow-Origin", "https://a.example", "Access-Control-Expose-Headers", "ETag", "Vary", "Origin")
	required.fields, required.handler = pairs("If-Unmodified-Since", modified), requiring()
	required.status, required.outcome, required.reason = 428, "precondition_required", "guard_required"
	broken.name, broken.get, broken.status, broken.outcome, broken.reason = "503", sends(502, page, cors...), 503, "failed", "guard_unavailable"
	runGuardTrials(t, []guardTrial{failed, required, broken})

	t.Run("fields of handlers outside stay", func(t *testing.T) {
		v := newVisit(t, "PUT", "/", "If-Match", `"def"`)
		addPairs(v.rec.Header(), pairs("X-Outer", "x", "Vary", "Accept-Encoding", "Cache-Control", "no-cache"))
		v.to(provisioned(t, strong()), func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Add("Vary", "Origin")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Del("X-Outer")
			return nil
		})
		wantPairs(t, "the response", v.rec.Header(), pairs("X-Outer", "x", "Vary", "Accept-Encoding | Origin", "Cache-Control", "no-cache"))
	})
}

// Design §3: what the probe cannot tell is 503, before the upstream sees the write.
func TestGuardUnavailable(t *testing.T) {
	rows := []guardTrial{
		{name: "500", get: sends(500, "oops")},
		{name: "an error of 500", get: failing(nil, caddyhttp.Error(500, errors.New("x")))},
		{name: "an error without a status", get: failing(nil, errors.New("x"))},
		{name: "an error behind a head", get: failing(sendsPage(), caddyhttp.Error(404, errors.New("x")))},
		{name: "301", get: sends(301, "", "Location", "/x")},
		{name: "304", get: sends(304, "")},
		{name: "206", get: sends(206, "ell")},
		{name: "400", get: sends(400, "")},
		{name: "405", get: sends(405, "", "Allow", "PUT")},
		{name: "429", get: sends(429, "", "Retry-After", "7"), want: pairs("Retry-After", "7")},
		{name: "an abort before the head", get: aborting(nil, http.ErrAbortHandler)},
		{name: "an abort in the body", get: aborting(sendsPage(), http.ErrAbortHandler)},
		{name: "a body cut short", get: sendsPage("Content-Length", "13")},
		{name: "a body over its length", get: sendsPage("Content-Length", "11")},
		{name: "no response", get: func(http.ResponseWriter, *http.Request) error { return nil }},
		{name: "an upgrade", get: sends(101, "")},
	}
	for i := range rows {
		row := &rows[i]
		row.fields = pairs("If-Match", strongTag)
		row.status, row.outcome, row.reason, row.calls = 503, "failed", "guard_unavailable", "GET"
		if row.want == nil {
			row.want = pairs("Retry-After", "1", "Allow", "", "Location", "")
		}
	}
	runGuardTrials(t, rows)
}

// With max_total used up nothing is known of what does not fit.
func TestGuardMaxTotal(t *testing.T) {
	h := provisioned(t, strong())
	h.policy.Bounds.MaxTotal = 1
	u := new(resource)
	v := newVisit(t, "PUT", "/", "If-Match", strongTag).to(h, u.ServeHTTP)
	if v.status() != 503 || v.said("reason") != "guard_unavailable" || len(u.calls) != 1 {
		t.Errorf("%d, %s, %q", v.status(), v.said("reason"), u.calls)
	}
	u = &resource{get: sendsPage("Etag", `"abc"`)}
	if v = newVisit(t, "PUT", "/", "If-Match", `"abc"`).to(h, u.ServeHTTP); v.status() != 204 {
		t.Errorf("what need not be held: %d", v.status())
	}
	wantIdle(t)
}

// What is known from the head stays known, whatever becomes of the body that nobody needs.
func TestGuardKnownFromTheHead(t *testing.T) {
	foreign := sendsPage("Etag", `"abc"`)
	row := guardTrial{fields: pairs("If-Match", `"abc"`), status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}
	aborted, failed, missing := row, row, row
	aborted.name, aborted.get = "an abort", aborting(foreign, http.ErrAbortHandler)
	failed.name, failed.get = "an error", failing(foreign, errors.New("x"))
	missing.name, missing.get, missing.fields, missing.reason = "404", aborting(sends(404, page), http.ErrAbortHandler), pairs("If-None-Match", "*"), "none_matched"
	runGuardTrials(t, []guardTrial{aborted, failed, missing})

	for mediaType, enough := range map[string]int{"video/mp4": 64 << 10, "text/event-stream": 0} {
		var taken int
		u := &resource{get: endless(mediaType, &taken)}
		v := newVisit(t, "PUT", "/", "If-None-Match", `"x"`).to(provisioned(t, &Handler{
			ETag: &ETag{Mode: "strong"}, GuardWrites: new(GuardWrites), Buffer: &Buffer{MaxBody: 1 << 10},
		}), u.ServeHTTP)
		if v.status() != 204 || taken > enough {
			t.Errorf("%s: %d after %d bytes that nobody needed", mediaType, v.status(), taken)
		}
	}
	wantIdle(t)
}

// 401 and 403 of the GET are the answer to the write: as they are, but for what a GET alone has.
func TestGuardForbidden(t *testing.T) {
	fields := pairs("Www-Authenticate", "Basic", "Content-Type", "text/plain", "Cache-Control", "max-age=60", "Etag", `"abc"`, "Last-Modified", modified,
		"Expires", modified, "Accept-Ranges", "bytes", "Access-Control-Allow-Origin", "*")
	want := pairs("Www-Authenticate", "Basic", "Access-Control-Allow-Origin", "*", "Accept-Ranges", "")
	withBody := append(pairs("Content-Type", "text/plain", "Content-Length", "4"), want...)
	without := append(pairs("Content-Type", "", "Content-Length", ""), want...)
	small := strong()
	small.Buffer = &Buffer{MaxBody: 3}
	asError := func(status int) caddyhttp.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) error {
			addPairs(w.Header(), fields)
			return caddyhttp.Error(status, errors.New("who are you?"))
		}
	}
	rows := []guardTrial{
		{name: "401", get: sends(401, "who?", fields...), status: 401, body: "who?", want: withBody},
		{name: "403", get: sends(403, "no.", fields...), status: 403, body: "no.", want: want},
		{name: "a longer body than max_body", handler: small, get: sends(401, "who?", fields...), status: 401, want: without},
		{name: "a body cut short", get: sends(401, "who?", append(pairs("Content-Length", "5"), fields...)...), status: 401, want: without},
		{name: "an error of 401", get: asError(401), status: 401, want: without},
		{name: "an error of 403", get: asError(403), status: 403, want: without},
	}
	for i := range rows {
		rows[i].fields = pairs("If-Match", strongTag)
		rows[i].outcome, rows[i].reason, rows[i].calls = "failed", "guard_forbidden", "GET"
	}
	runGuardTrials(t, rows)
}

// What handlers inside take off an answer is not on it either when it goes to the write.
func TestGuardForbiddenTakesFieldsOff(t *testing.T) {
	v := newVisit(t, "PUT", "/", "If-Match", strongTag)
	addPairs(v.rec.Header(), pairs("X-Outer", "x", "Cache-Control", "no-cache"))
	v.to(provisioned(t, strong()), func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Del("X-Outer")
		w.Header().Del("Cache-Control")
		w.WriteHeader(http.StatusForbidden)
		return nil
	})
	wantPairs(t, "the response", v.rec.Header(), pairs("X-Outer", "", "Cache-Control", "no-cache"))
}

// The tag is that of a client's GET, also where the type has to be found out.
func TestGuardMakesTheTagOfTheGET(t *testing.T) {
	for name, get := range map[string]caddyhttp.HandlerFunc{
		"no type": sends(200, page), "a type": sendsPage(), "a coding": sendsPage("Content-Encoding", "gzip"), "empty": sends(200, ""),
	} {
		h, u := provisioned(t, strong()), &resource{get: get}
		read := newVisit(t, "GET", "/").to(h, u.ServeHTTP).rec.Header().Get("Etag")
		if v := newVisit(t, "PUT", "/", "If-Match", read).to(h, u.ServeHTTP); read == "" || v.status() != 204 {
			t.Errorf("%s: %d with %q", name, v.status(), read)
		}
	}
}

// A client's GET whose method is rewritten inside is no write of the client's.
func TestGuardLeavesRewrittenMethods(t *testing.T) {
	u := new(resource)
	v := newVisit(t, "GET", "/")
	v.serve(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
		r.Method = http.MethodPut
		return provisioned(t, requiring()).ServeHTTP(w, r, u)
	})
	if v.status() != 204 || strings.Join(u.calls, " ") != "PUT" {
		t.Errorf("%d after %q", v.status(), u.calls)
	}
}

// The probe asks in the client's name, without what belongs to the write; the write itself is untouched.
func TestGuardProbe(t *testing.T) {
	v := newVisit(t, "PUT", "/a?b", "If-Match", strongTag, "Authorization", "Basic x", "Cookie", "a=b", "Content-Type", "text/plain",
		"Expect", "100-continue", "Accept-Encoding", "gzip", "Origin", "https://a.example", "Cache-Control", "no-store")
	body := &unread{Reader: strings.NewReader("the new text")}
	v.r.Body, v.r.ContentLength = body, 12
	groups := v.r.Context().Value(caddy.CtxKey("route_group")).(map[string]struct{})
	u := &resource{}
	u.get = func(w http.ResponseWriter, r *http.Request) error {
		if body.touched {
			t.Error("the body was read before the write was allowed")
		}
		r.Context().Value(caddy.CtxKey("route_group")).(map[string]struct{})["group"] = struct{}{}
		r.URL.Path = "/rewritten"
		r.Header.Set("Cookie", "changed")
		return sendsPage()(w, r)
	}
	u.put = func(_ http.ResponseWriter, r *http.Request) error {
		text, err := io.ReadAll(r.Body)
		if string(text) != "the new text" || err != nil || r.ContentLength != 12 || r.URL.Path != "/a" || len(groups) != 0 {
			t.Errorf("the write is %q (%v, %d) for %s, with groups %v", text, err, r.ContentLength, r.URL, groups)
		}
		return nil
	}
	v.to(provisioned(t, strong()), u.ServeHTTP)
	want := http.Header{}
	addPairs(want, pairs("Authorization", "Basic x", "Cookie", "changed", "Accept-Encoding", "gzip", "Origin", "https://a.example", "Cache-Control", "no-cache"))
	if !reflect.DeepEqual(u.asked.Header, want) || u.asked.Method != "GET" {
		t.Errorf("the probe is %s with %v, want %v", u.asked.Method, u.asked.Header, want)
	}
	wantPairs(t, "the write", u.written, pairs("Cookie", "a=b", "Expect", "100-continue", "Cache-Control", "no-store"))
	wantIdle(t)
}

// unread is a body that knows whether somebody has looked at it.
type unread struct {
	io.Reader
	touched bool
}

func (b *unread) Read(p []byte) (int, error) {
	b.touched = true
	return b.Reader.Read(p)
}

func (b *unread) Close() error {
	b.touched = true
	return nil
}

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
		release, err := exchanges.Writes.Acquire(t.Context(), "example.com/?")
		if err != nil {
			t.Fatal(err)
		}
		defer release()
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

// What looks like a way round the guard.
func TestNoWayRoundTheGuard(t *testing.T) {
	many := strings.Repeat(`"foreign", `, 100) + staleTag
	for _, tt := range []struct {
		name, method string
		handler      *Handler
		fields       []string
		status       int
	}{
		{"an upgrade with a stale tag", "PUT", nil, pairs("Upgrade", "foo/1", "If-Match", staleTag), 412},
		{"an upgrade without a condition", "PUT", requiring(), pairs("Upgrade", "foo/1"), 428},
		{"a method in lower case", "patch", requiring(), nil, 428},
		{"a method in place of POST", "POST", requiring(), pairs("X-Http-Method-Override", "put"), 428},
		{"another in place of POST", "POST", requiring(), pairs("X-Http-Method-Override", "search"), 204},
		{"a tag of ours past the bounds of the list", "PUT", nil, pairs("If-Match", many), 412},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := new(resource)
			v := newVisit(t, tt.method, "/", tt.fields...).to(provisioned(t, tt.handler), u.ServeHTTP)
			if v.status() != tt.status || (tt.status == 204) != strings.Contains(strings.Join(u.calls, " "), tt.method) {
				t.Errorf("%d after %q", v.status(), u.calls)
			}
		})
	}
}

// Instances inside demand what the outer one has not found, and do not wait for the turn it has.
func TestGuardNestedRequires(t *testing.T) {
	u := new(resource)
	inner := provisioned(t, requiring())
	v := newVisit(t, http.MethodPut, "/", "If-Unmodified-Since", modified).to(provisioned(t, strong()), within(inner, u.ServeHTTP))
	if v.status() != http.StatusPreconditionRequired {
		t.Errorf("%d after %q", v.status(), u.calls)
	}
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

// A client that takes its time with the body keeps others waiting for MaxTurn, and only if there are any.
func TestGuardHurriesSlowBodies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		others bool
		status int
	}{{"nobody waits", false, 204}, {"another one waits", true, 408}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := provisioned(t, strong())
				slow := newVisit(t, http.MethodPut, "/", "If-Match", strongTag)
				slow.r.Body = &slowBody{left: 60}
				done := make(chan struct{})
				go func() {
					defer close(done)
					slow.serve(h, readsBody)
				}()
				time.Sleep(5 * time.Second) //nolint:forbidigo // in a bubble of synctest
				if second := newVisit(t, http.MethodPut, "/", "If-Match", strongTag); tt.others {
					second.serve(h, readsBody)
					wantStatus(t, second, http.StatusNoContent)
				}
				<-done
				wantStatus(t, slow, tt.status)
				time.Sleep(time.Minute) //nolint:forbidigo // until the slow body has come
				wantIdle(t)
			})
		})
	}
}

func wantStatus(t *testing.T, v *visit, status int) {
	t.Helper()
	if got := v.status(); got != status {
		t.Errorf("status %d, want %d", got, status)
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
				release, err := exchanges.Writes.Acquire(t.Context(), "example.com/a?b")
				if err != nil {
					t.Fatal(err)
				}
				u := new(resource)
				v := newVisit(t, "PUT", tt.target, "If-Match", strongTag)
				if tt.rewritten {
					v.r.URL.Path, v.r.RequestURI = "/index.php", "/index.php?b"
				}
				v.serve(provisioned(t, strong()), u.ServeHTTP)
				release()
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
	if got := exchanges.Writes.Len() == 1; got != taken {
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

func sendsNothing(http.ResponseWriter, *http.Request) error { return nil }

func hijacks(w http.ResponseWriter, _ *http.Request) error {
	_, _, err := http.NewResponseController(w).Hijack()
	return err
}

// hijackable is a recorder that gives a connection away.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return new(net.TCPConn), nil, nil }

// The answer to a write that was let through is the upstream's, to the letter.
func TestGuardedAnswerPasses(t *testing.T) {
	row := guardTrial{fields: pairs("If-Match", strongTag), outcome: "guarded", reason: "matched", calls: "GET PUT"}
	answer, refused, failed, silent := row, row, row, row
	answer.name, answer.put, answer.status, answer.body = "an answer", sends(200, "done", "Etag", `"new"`, "Last-Modified", "x", "Cache-Control", "y"), 200, "done"
	answer.want = pairs("Etag", `"new"`, "Last-Modified", "x", "Cache-Control", "y", "Vary", "")
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

// An error's answer is under no condition, a write's as little as a read's.
func TestGuardInErrorRoute(t *testing.T) {
	u := new(resource)
	v := newVisit(t, "PUT", "/", "If-Match", staleTag).with(caddyhttp.ErrorCtxKey, errors.New("an error"))
	v.serve(provisioned(t, requiring()), u.ServeHTTP)
	if v.status() != 204 || strings.Join(u.calls, " ") != "PUT" || u.written.Get("If-Match") != "" {
		t.Errorf("%d after %q with %v", v.status(), u.calls, u.written)
	}
}

// Design §2: of siblings the outermost acts, of nested instances the outer judges first, and once.
func TestGuardOfSeveral(t *testing.T) {
	off, bare := &Handler{ETag: &ETag{Mode: "off"}}, new(Handler)
	for _, tt := range []struct {
		name         string
		outer, inner *Handler
		nested       bool
		method       string // PUT
		fields       []string
		get          caddyhttp.HandlerFunc
		status       int
		calls        string
		outcome      string
	}{
		{name: "a sibling with etag off keeps require away", outer: off, inner: requiring(), status: 204, calls: "PUT", outcome: "streamed"},
		{name: "… and the guard", outer: off, inner: strong(), fields: pairs("If-Match", `"abc"`), status: 204, calls: "PUT", outcome: "streamed"},
		{name: "… where a tag of ours matches nothing", outer: off, inner: strong(), fields: pairs("If-Match", strongTag), status: 412, calls: "GET", outcome: "precondition_failed"},
		{name: "the outermost sibling guards", outer: strong(), inner: requiring(), status: 204, calls: "PUT", outcome: "streamed"},
		{name: "a nested instance requires", outer: bare, inner: requiring(), nested: true, status: 428, outcome: "precondition_required"},
		{name: "a nested instance guards", outer: bare, inner: strong(), nested: true, fields: pairs("If-Match", `"abc"`), status: 412, calls: "GET", outcome: "precondition_failed"},
		{name: "the outer judges, the inner demands nothing", outer: bare, inner: requiring(), nested: true, fields: pairs("If-Match", strongTag), status: 204, calls: "GET PUT", outcome: "guarded"},
		{name: "… nor for a weak tag", outer: bare, inner: requiring(), nested: true, fields: pairs("If-Match", weakTag), status: 204, calls: "GET PUT", outcome: "guarded"},
		{name: "the outer's 412 is the only one", outer: strong(), inner: requiring(), nested: true, fields: pairs("If-Match", staleTag), status: 412, calls: "GET", outcome: "precondition_failed"},
		{name: "the inner's tags count, with the outer's off", outer: off, inner: strong(), nested: true, fields: pairs("If-Match", strongTag), status: 204, calls: "GET PUT", outcome: "guarded"},
		{name: "the inner makes the tag of a slow upstream", outer: off, inner: strong(), nested: true, fields: pairs("If-Match", strongTag), get: slowly(time.Second, page[:6], page[6:]), status: 204, calls: "GET PUT", outcome: "guarded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block := "a"
				if tt.nested {
					block = "b"
				}
				outer, inner := inBlock(t, "a", tt.outer), inBlock(t, block, tt.inner)
				u := &resource{get: tt.get}
				v := newVisit(t, "PUT", "/", tt.fields...).to(outer, within(inner, u.ServeHTTP))
				if got := strings.Join(u.calls, " "); v.status() != tt.status || got != tt.calls || v.said("outcome") != tt.outcome {
					t.Errorf("%d (%s) after %q, want %d (%s) after %q", v.status(), v.said("outcome"), got, tt.status, tt.outcome, tt.calls)
				}
				wantIdle(t)
			})
		})
	}
}

// A sibling of the guard does not act on its probe either: the tag is that of the client's GET.
func TestGuardProbeMeetsSiblings(t *testing.T) {
	first := inBlock(t, "a", strong())
	sibling := inBlock(t, "a", &Handler{ETag: &ETag{Epoch: "another"}})
	between := inBlock(t, "c", &Handler{ETag: &ETag{Mode: "off"}})
	chain := func(u *resource) caddyhttp.HandlerFunc { return within(between, within(sibling, u.ServeHTTP)) }
	if v := newVisit(t, "GET", "/").to(first, chain(new(resource))); v.rec.Header().Get("Etag") != strongTag {
		t.Fatalf("the GET has %v", v.rec.Header())
	}
	if v := newVisit(t, "PUT", "/", "If-Match", strongTag).to(first, chain(new(resource))); v.status() != 204 {
		t.Errorf("status %d", v.status())
	}
	// Nor do siblings of instances further out, which have let the write pass.
	outer := inBlock(t, "a", new(Handler))
	first = inBlock(t, "b", strong())
	v := newVisit(t, "PUT", "/", "If-None-Match", strongTag).to(outer, within(first, chain(new(resource))))
	if v.status() != 412 {
		t.Errorf("status %d", v.status())
	}
	wantIdle(t)
}

// Under existing repair an unguarded write's conditions still reach the upstream as it knows them.
func TestGuardLeavesRepairedTags(t *testing.T) {
	h := provisioned(t, guardedRepair())
	newVisit(t, "GET", "/").to(h, sendsPage("Etag", "abc"))
	u := new(resource)
	newVisit(t, "POST", "/", "If-Match", `"abc"`).to(h, u.ServeHTTP)
	if got := u.written.Get("If-Match"); got != "abc" {
		t.Errorf("the upstream sees If-Match: %s", got)
	}
}

// Each decision about a write is one line at level DEBUG.
func TestGuardLog(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	h := provisioned(t, strong())
	h.logger = zap.New(core)
	u := new(resource)
	newVisit(t, "PUT", "/", "If-Match", strongTag).to(h, u.ServeHTTP)
	newVisit(t, "PUT", "/", "If-Match", staleTag).to(h, u.ServeHTTP)
	newVisit(t, "PUT", "/").to(h, u.ServeHTTP)
	var got []string
	for _, entry := range logs.All() {
		got = append(got, fmt.Sprint(entry.Message, " ", entry.ContextMap()["reason"], " ", entry.ContextMap()["method"]))
	}
	if want := pairs("guarded matched PUT", "precondition_failed if_match PUT", "streamed method PUT"); !reflect.DeepEqual(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
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

// FuzzGuard: whatever a write says and the upstream answers, a write that was refused has not reached
// the upstream, a stale tag of ours alone never gets through, what was judged is not sent on, a list over
// two lines is the same list, and nothing is left behind.
func FuzzGuard(f *testing.F) {
	for _, seed := range []struct{ match, none, since, etag, lastModified string }{
		{strongTag, "", "", "", ""},
		{staleTag + `, ` + weakTag, "", modified, "", modified},
		{`"abc-gzip"`, "*", dayBefore, `"abc"`, dayAfter},
		{"", `W/"abc"`, "", `W/"abc"`, "x"},
		{"*", "abc,,", "yesterday", "abc", ""},
	} {
		f.Add(seed.match, seed.none, seed.since, seed.etag, seed.lastModified, uint8(0))
	}
	statuses := []int{200, 200, 404, 204, 500, 403, 302}
	handlers := [2]*Handler{provisioned(f, strong()), provisioned(f, requiring())}
	f.Fuzz(func(t *testing.T, match, none, since, etag, lastModified string, dice uint8) {
		fields := http.Header{}
		for name, line := range map[string]string{"If-Match": match, "If-None-Match": none, "If-Unmodified-Since": since} {
			if line != "" {
				fields[name] = []string{line}
			}
		}
		serve := func(fields http.Header) (*visit, *resource) {
			u := &resource{get: func(w http.ResponseWriter, _ *http.Request) error {
				addPairs(w.Header(), pairs("Content-Type", "text/plain", "Etag", etag, "Last-Modified", lastModified))
				w.WriteHeader(statuses[int(dice>>1)%len(statuses)])
				_, err := io.WriteString(w, page)
				return err
			}}
			v := newVisit(t, "PUT", "/")
			v.r.Header = fields.Clone()
			return v.to(handlers[dice&1], u.ServeHTTP), u
		}
		v, u := serve(fields)
		if through := u.written != nil; through != (v.status() == 204) {
			t.Errorf("status %d after %q", v.status(), u.calls)
		}
		if match == staleTag && u.written != nil && !strings.Contains(etag, "cc1.") {
			t.Errorf("a stale tag got through")
		}
		if v.said("reason") != "guard_weak_tag" && u.written != nil && u.written["If-Match"] != nil && len(u.calls) == 2 {
			t.Errorf("sent on: %v", u.written)
		}
		split := fields.Clone()
		if lines := split["If-Match"]; lines != nil && !strings.ContainsAny(match, "*\"") {
			split["If-Match"] = append(lines, "")
		}
		if again, _ := serve(split); again.status() != v.status() {
			t.Errorf("%d, and %d with an empty line more", v.status(), again.status())
		}
		wantIdle(t)
	})
}

// ignoring is a handler with `ignore`.
func ignoring(words ...string) *Handler { return &Handler{ETag: &ETag{Ignore: words}} }

// sendsHTML answers with a page, and fields.
func sendsHTML(page string, fields ...string) caddyhttp.HandlerFunc {
	return sends(http.StatusOK, page, append(pairs("Content-Type", "text/html"), fields...)...)
}

// tagOf is the tag that a handler gives a response.
func tagOf(t *testing.T, h *Handler, next caddyhttp.HandlerFunc, fields ...string) string {
	t.Helper()
	v := newVisit(t, "GET", "/", fields...).to(provisioned(t, h), next)
	return v.rec.Header().Get("Etag")
}

// djangoForm is a form with a token: a secret of 32 times the letter, under a mask of 32 times another.
func djangoForm(secret, mask int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	letter := func(i int) string { return strings.Repeat(letters[i%62:i%62+1], 32) }
	return `<form><input type="hidden" name="csrfmiddlewaretoken" value="` + letter(mask) + letter(secret+mask) + `"></form>`
}

// Design §3, "ignore": what is left out is no change, all else is, and the body that is sent is the upstream's.
func TestIgnore(t *testing.T) {
	cookie := func(value string) []string { return pairs("Cookie", "__RequestVerificationToken="+value) }
	protected := func(letter string) string {
		return `<input name="__RequestVerificationToken" type="hidden" value="` + strings.Repeat(letter, 100) + `">`
	}
	for _, tt := range []struct {
		name          string
		words         []string
		first, second string
		before, after []string // fields of the requests
		same          bool
	}{
		{"csrf: another mask", pairs("csrf"), djangoForm(1, 2), djangoForm(1, 3), nil, nil, true},
		{"csrf: another secret", pairs("csrf"), djangoForm(1, 2), djangoForm(2, 2), nil, nil, false},
		{"csrf: a visible letter", pairs("csrf"), djangoForm(1, 2), djangoForm(1, 3) + "!", nil, nil, false},
		{"csrf: it moves", pairs("csrf"), djangoForm(1, 2) + "!", "!" + djangoForm(1, 3), nil, nil, false},
		{"csrf: it goes", pairs("csrf"), "a" + djangoForm(1, 2), "a", nil, nil, false},
		{"csrf is not nonce", pairs("nonce"), djangoForm(1, 2), djangoForm(1, 3), nil, nil, false},
		{"csrf: another token of ASP.NET", pairs("csrf"), protected("a"), protected("b"), cookie("a"), cookie("a"), true},
		{"csrf: another cookie of ASP.NET", pairs("csrf"), protected("a"), protected("a"), cookie("a"), cookie("b"), false},
		{"csrf: no cookie of ASP.NET", pairs("csrf"), protected("a"), protected("b"), nil, nil, false},
		{"nonce", pairs("nonce"), `<script nonce="a">`, `<script nonce="bb">`, nil, nil, true},
		{"nonce is not csrf", pairs("csrf"), `<script nonce="a">`, `<script nonce="b">`, nil, nil, false},
		{"an expression", pairs("csrf", `in \d+ ms`), "made in 7 ms", "made in 12 ms", nil, nil, true},
		{"an expression, and more", pairs(`in \d+ ms`), "made in 7 ms", "Made in 7 ms", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := provisioned(t, ignoring(tt.words...))
			first := newVisit(t, "GET", "/", tt.before...).to(h, sendsHTML(tt.first))
			etag := first.rec.Header().Get("Etag")
			if !strings.HasPrefix(etag, `W/"cc1.`) || first.rec.Body.String() != tt.first {
				t.Errorf("the first answer has the tag %s and the body %q", etag, first.rec.Body)
			}
			row := trial{fields: append(pairs("If-None-Match", etag), tt.after...), next: sendsHTML(tt.second), body: tt.second, reason: "none_matched"}
			if tt.same {
				row.status, row.body, row.reason, row.want = 304, "", "if_none_match", pairs("Etag", etag)
			}
			row.against(t, h)
		})
	}
}

// Under ignore every tag is weak, whatever the mode and the client; its digest is the usual one if nothing is left out.
func TestIgnoreTag(t *testing.T) {
	plain := strings.TrimPrefix(weakTag, "W/")
	for name, h := range map[string]*Handler{"auto": ignoring("csrf"), "weak": {ETag: &ETag{Mode: "weak", Ignore: pairs("a+b", "nonce")}}} {
		for _, coding := range []string{"identity", "gzip"} {
			if got := tagOf(t, h, sendsPage(), "Accept-Encoding", coding); got != "W/"+plain {
				t.Errorf("%s, %s: the tag is %s, want W/%s", name, coding, got, plain)
			}
		}
	}
	// What is left out, decoded or said by a policy is not what a body alone could be.
	seen := make(map[string]string)
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"with a gap": sendsHTML("a1b"), "without": sendsHTML("ab"),
		"with a policy":   sendsHTML("ab", "Content-Security-Policy", "script-src 'nonce-a'"),
		"its canonical":   sendsHTML("ab\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x03"),
		"no longer coded": sends(200, zipped(t, "ab"), "Content-Type", "text/html", "Content-Encoding", "gzip"),
		"never coded":     sends(200, "ab", "Content-Type", "text/html", "Content-Encoding", "gzip"),
	} {
		etag := tagOf(t, ignoring("nonce", "1"), next)
		if other, twice := seen[etag]; twice {
			t.Errorf("%s has the tag of %s", name, other)
		}
		seen[etag] = name
	}
	// A mark is no line of Content-Type that the rest of a form could be mistaken for.
	if header := newVisit(t, "GET", "/").to(provisioned(t, ignoring("1")), sendsHTML("a1b")).rec.Header(); header.Get("Content-Type") != "text/html" || len(header["Content-Type"]) != 1 {
		t.Errorf("Content-Type: %q", header["Content-Type"])
	}
	runTrials(t, []trial{{
		name: "Range gets the whole: parts of two bodies with one tag do not fit", handler: ignoring("csrf"),
		fields: pairs("Range", "bytes=0-1"), reason: "weak_validator", want: pairs("Accept-Ranges", ""),
	}, {
		name: "head get", handler: &Handler{Head: "get", ETag: &ETag{Ignore: pairs("csrf")}}, method: "HEAD", want: pairs("Etag", weakTag),
	}, {
		name: "translated back, the tag is weak", handler: ignoring("csrf"), fields: pairs("If-None-Match", datedTag), status: 304,
		next: sends(304, ""), want: pairs("Etag", "W/"+datedTag), reason: "upstream",
	}, {
		name: "the upstream's own tag stands", handler: ignoring("csrf"), next: sendsPage("Etag", `"abc"`), want: pairs("Etag", `"abc"`),
	}})
}

// zipped is a text in gzip, padded with a random name.
func zipped(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	w.Name = rand.Text()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A body that arrives in gzip is decoded for its digest, within max_body and the budget, and sent as it came.
func TestIgnoreGzip(t *testing.T) {
	sendsZipped := func(page string) (caddyhttp.HandlerFunc, string) {
		body := zipped(t, page)
		return sendsHTML(body, "Content-Encoding", "gzip"), body
	}
	h := provisioned(t, ignoring("csrf"))
	next, body := sendsZipped(djangoForm(1, 2))
	v := newVisit(t, "GET", "/").to(h, next)
	etag := v.rec.Header().Get("Etag")
	if v.rec.Body.String() != body {
		t.Error("the body that was sent is another one")
	}
	again, _ := sendsZipped(djangoForm(1, 3))
	other, otherBody := sendsZipped(djangoForm(1, 3) + "!")
	for _, row := range []trial{
		{name: "another mask and padding", next: again, status: 304},
		{name: "another letter", next: other, body: otherBody},
	} {
		row.fields = pairs("If-None-Match", etag)
		t.Run(row.name, func(t *testing.T) { row.against(t, h) })
	}
	// The coded bytes count where the decoded ones are too many, or have no room.
	long := strings.Repeat("a", 100_000)
	for name, buffer := range map[string]*Buffer{"within max_body": {MaxBody: 100_000}, "over max_body": {MaxBody: 99_999}} {
		bounded := &Handler{ETag: &ETag{Ignore: pairs("csrf")}, Buffer: buffer}
		first, _ := sendsZipped(long)
		second, _ := sendsZipped(long)
		same := tagOf(t, bounded, first) == tagOf(t, bounded, second)
		if name == "over max_body" && same || name == "within max_body" && !same {
			t.Errorf("%s: one tag for two paddings: %t", name, same)
		}
	}
	crowded := provisioned(t, ignoring("csrf"))
	crowded.policy.Bounds.MaxTotal = 20_000 // room for the coded body
	first, body := sendsZipped(long)
	v = newVisit(t, "GET", "/").to(crowded, first)
	meta := tag.Metadata{ContentType: pairs("text/html"), ContentEncoding: pairs("gzip")}
	if got, want := v.rec.Header().Get("Etag"), new(tag.Maker).Digest(meta, []byte(body)).Field(true, time.Time{}); got != want {
		t.Errorf("without room the tag is %s, want %s", got, want)
	}
}

// A 304 without the policy of the page's own nonce leaves the client's page with the policy it came with.
func TestIgnoreNoncePolicy(t *testing.T) {
	const csp, reportOnly = "Content-Security-Policy", "Content-Security-Policy-Report-Only"
	page := func(nonce string, fields ...string) caddyhttp.HandlerFunc {
		return sendsHTML(`<script nonce="`+nonce+`">`, append(pairs(csp, "script-src 'nonce-"+nonce+"'"), fields...)...)
	}
	etag := tagOf(t, ignoring("nonce"), page("abc"))
	plain := tagOf(t, ignoring("nonce"), sendsPage())
	matching := pairs("If-None-Match", etag)
	dated := &Handler{ETag: &ETag{Ignore: pairs("nonce")}, NotModified: &NotModified{Keep: pairs(reportOnly)}}
	runTrials(t, []trial{
		{name: "the 200 has it", handler: ignoring("nonce"), next: page("def"), body: `<script nonce="def">`, want: pairs(csp, "script-src 'nonce-def'")},
		{name: "the 304 has not", handler: ignoring("nonce"), next: page("def"), fields: matching, status: 304, want: pairs(csp, "", "Etag", etag)},
		{name: "another policy is a change", handler: ignoring("nonce"), next: sendsHTML(`<script nonce="def">`, csp, "script-src 'nonce-def' 'self'"), fields: matching, body: `<script nonce="def">`},
		{
			name: "nor the other field", handler: ignoring("nonce"), fields: pairs("If-None-Match", "*"), status: 304,
			next: page("def", reportOnly, "default-src 'self'"), want: pairs(csp, "", reportOnly, ""),
		},
		{name: "kept by name", handler: dated, fields: pairs("If-None-Match", "*"), status: 304, next: page("def", reportOnly, "x"), want: pairs(csp, "", reportOnly, "x")},
		{name: "a policy without a nonce stays", handler: ignoring("nonce"), next: sendsPage(csp, "default-src 'self'"), fields: pairs("If-None-Match", plain), status: 304, want: pairs(csp, "default-src 'self'")},
		{name: "without the rule it stays", handler: ignoring("csrf"), next: page("def"), fields: pairs("If-None-Match", "*"), status: 304, want: pairs(csp, "script-src 'nonce-def'")},
		{name: "a 304 of the upstream", handler: ignoring("nonce"), next: sends(304, "", csp, "script-src 'nonce-def'"), fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs(csp, "")},
		{
			name: "a 304 by date", handler: ignoring("nonce"), fields: pairs("If-Modified-Since", modified), status: 304,
			next: page("def", "Last-Modified", modified), want: pairs(csp, ""),
		},
	})
}

// A tag made under ignore does not say that nothing has changed: a write that names it is let through when it is
// current, with its field, and never by a strong comparison.
func TestIgnoreGuardsWrites(t *testing.T) {
	h := provisioned(t, ignoring("csrf"))
	next := func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return sendsHTML(djangoForm(1, int(time.Now().UnixNano()%62)))(w, r)
	}
	etag := newVisit(t, "GET", "/").to(h, next).rec.Header().Get("Etag")
	for _, row := range []trial{
		{name: "current", fields: pairs("If-Match", etag), status: 204, outcome: "guarded", reason: "guard_weak_tag"},
		{name: "of other content", fields: pairs("If-Match", "W/"+staleTag), status: 412},
		{name: "its strong form, which was never sent", fields: pairs("If-Match", strings.TrimPrefix(etag, "W/")), status: 412},
	} {
		row.method, row.next = "PUT", next
		t.Run(row.name, func(t *testing.T) { row.against(t, h) })
	}
}

// datedBy is a handler that finds dates.
func datedBy(sources ...LastModifiedSource) *Handler {
	return &Handler{LastModified: &LastModified{From: sources}}
}

// sendsJSON answers with a JSON body of 12 bytes and more, and fields.
func sendsJSON(body string, fields ...string) caddyhttp.HandlerFunc {
	return sends(http.StatusOK, body, append(pairs("Content-Type", "application/json"), fields...)...)
}

// modifiedJSON is a body whose date is `modified`.
const modifiedJSON = `{"at":1700000000}`

var (
	byHeader = LastModifiedSource{Header: "X-Updated"}
	byJSON   = LastModifiedSource{JSON: "at"}
)

// Design §3, "Last-Modified": sources apply where the upstream has sent none that can be used.
func TestLastModifiedFrom(t *testing.T) {
	header, json, both := datedBy(byHeader), datedBy(byJSON), datedBy(byHeader, byJSON)
	off := &Handler{LastModified: &LastModified{Mode: "off", From: pairsOf(byHeader)}}
	updated := pairs("X-Updated", "1700000000")
	page := func(fields ...string) caddyhttp.HandlerFunc { return sendsPage(append(updated, fields...)...) }
	found := pairs("Last-Modified", modified, "Cache-Control", "no-cache", "Etag", strongTag)
	runTrials(t, []trial{
		{name: "a field", handler: header, next: page(), want: found},
		{name: "none", handler: header, want: pairs("Last-Modified", "", "Cache-Control", "", "Etag", strongTag)},
		{name: "no sources", next: page(), want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "the upstream's stands", handler: header, next: page("Last-Modified", dayBefore), want: pairs("Last-Modified", dayBefore, "Cache-Control", "")},
		{name: "the upstream's is a build tool's", handler: header, next: page("Last-Modified", epochDate), want: found},
		{name: "the upstream's is not understood", handler: header, next: page("Last-Modified", "yesterday"), want: found},
		{
			name: "it is understood with a layout", next: sendsPage("Last-Modified", "2023-11-14 22:13:20"),
			handler: datedBy(LastModifiedSource{Header: "Last-Modified", Layout: "2006-01-02 15:04:05"}), want: found,
		},
		{name: "off: where there is none", handler: off, next: page(), want: found},
		{name: "off: the upstream's is left as it is", handler: off, next: page("Last-Modified", "yesterday"), want: pairs("Last-Modified", "yesterday", "Cache-Control", "")},
		{name: "later than Date", handler: header, next: page("Date", dayBefore), want: pairs("Last-Modified", "", "Etag", strongTag)},
		{name: "no 200", handler: header, next: sends(404, "gone", updated...), status: 404, body: "gone", want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "another 2xx", handler: header, next: sends(203, "x", updated...), status: 203, body: "x", want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "the upstream's 304", handler: header, fields: pairs("If-None-Match", `"x"`), next: sends(304, "", updated...), status: 304, want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "HEAD", handler: header, method: "HEAD", next: sends(200, "", updated...), want: pairs("Last-Modified", modified, "Cache-Control", "no-cache")},
		{name: "what is streamed", handler: header, next: page("X-Accel-Buffering", "no"), reason: "accel_buffering", want: pairs("Last-Modified", modified, "Cache-Control", "no-cache")},
		{name: "beside the upstream's tag", handler: header, next: page("Etag", `"abc"`), reason: "existing_tag", want: pairs("Last-Modified", modified, "Cache-Control", "no-cache", "Etag", `"abc"`)},

		{name: "JSON", handler: json, next: sendsJSON(modifiedJSON), body: modifiedJSON, want: pairs("Last-Modified", modified, "Cache-Control", "no-cache")},
		{name: "the latest of field and JSON", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayBefore), body: modifiedJSON, want: pairs("Last-Modified", modified)},
		{name: "… and the other way round", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayAfter), body: modifiedJSON, want: pairs("Last-Modified", dayAfter)},
		{name: "JSON, gzip-coded", handler: both, next: sendsJSON(gzipped(modifiedJSON), "X-Updated", dayBefore, "Content-Encoding", "gzip"), body: gzipped(modifiedJSON), want: pairs("Last-Modified", modified)},
		{name: "not JSON", handler: both, next: page(), want: found},
		{name: "JSON that is streamed", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayBefore, "Etag", `"x"`), body: modifiedJSON, want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "JSON, cut off", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayBefore, "Content-Length", "99"), body: modifiedJSON, reason: "short_body", want: pairs("Last-Modified", "")},
		{name: "JSON of a HEAD that passes", handler: both, method: "HEAD", next: sendsJSON("", "X-Updated", dayBefore), want: pairs("Last-Modified", "")},
		{
			name: "JSON of a HEAD that is asked as GET", method: "HEAD", next: sendsJSON(modifiedJSON),
			handler: &Handler{Head: "get", LastModified: &LastModified{From: pairsOf(byJSON)}}, want: pairs("Last-Modified", modified, "Content-Length", "17"),
		},
		{
			name: "JSON over max_body", next: sendsJSON(modifiedJSON, "X-Updated", dayBefore), body: modifiedJSON, reason: "max_body",
			handler: &Handler{Buffer: &Buffer{MaxBody: 16}, LastModified: &LastModified{From: pairsOf(byHeader, byJSON)}}, want: pairs("Last-Modified", ""),
		},
	})
}

func gzipped(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func pairsOf(sources ...LastModifiedSource) []LastModifiedSource { return sources }

// A date that was found is judged at the head like the upstream's, unless the body may name a later one, and matches
// itself only.
func TestConditionsWithADateFound(t *testing.T) {
	header, json, both := datedBy(byHeader), datedBy(byJSON), datedBy(byHeader, byJSON)
	undated := &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}}
	updated := sendsPage("X-Updated", modified)
	older := sendsJSON(modifiedJSON, "X-Updated", dayBefore)
	notModified := pairs("Last-Modified", modified, "Cache-Control", "no-cache", "Etag", "")
	runTrials(t, []trial{
		{name: "If-Modified-Since", handler: header, fields: pairs("If-Modified-Since", modified), next: updated, status: 304, reason: "if_modified_since", want: notModified},
		{name: "… later", handler: header, fields: pairs("If-Modified-Since", dayAfter), next: updated, outcome: "tagged", reason: "modified_since"},
		{name: "… earlier", handler: header, fields: pairs("If-Modified-Since", dayBefore), next: updated, outcome: "tagged", reason: "modified_since"},
		{name: "… under etag off", handler: undated, fields: pairs("If-Modified-Since", modified), next: updated, status: 304, want: notModified},
		{name: "… of a HEAD", handler: header, method: "HEAD", fields: pairs("If-Modified-Since", modified), next: updated, status: 304, want: notModified},
		{name: "If-None-Match comes first", handler: header, fields: pairs("If-None-Match", staleTag, "If-Modified-Since", dayAfter), next: updated, reason: "none_matched"},
		{name: "If-None-Match", handler: header, fields: pairs("If-None-Match", strongTag), next: updated, status: 304, want: pairs("Etag", strongTag, "Last-Modified", "", "Cache-Control", "no-cache")},
		{name: "If-Unmodified-Since", handler: header, fields: pairs("If-Unmodified-Since", dayBefore), next: updated, status: 412, want: pairs("Cache-Control", "", "Last-Modified", "")},
		{name: "… the same", handler: header, fields: pairs("If-Unmodified-Since", modified), next: updated, reason: "matched"},
		{name: "JSON: If-Modified-Since", handler: json, fields: pairs("If-Modified-Since", modified), next: sendsJSON(modifiedJSON), status: 304, reason: "if_modified_since", want: pairs("Cache-Control", "no-cache")},
		{name: "… earlier", handler: json, fields: pairs("If-Modified-Since", dayBefore), next: sendsJSON(modifiedJSON), body: modifiedJSON, reason: "modified_since"},
		{name: "JSON: the field's date is not yet the latest", handler: both, fields: pairs("If-Modified-Since", dayBefore), next: older, body: modifiedJSON, reason: "modified_since"},
		{name: "… and confirms nothing of what is streamed", handler: both, fields: pairs("If-Modified-Since", dayBefore), next: sendsJSON(modifiedJSON, "X-Updated", dayBefore, "Etag", `"x"`), body: modifiedJSON},
		{name: "JSON: If-Unmodified-Since", handler: both, fields: pairs("If-Unmodified-Since", dayBefore), next: older, status: 412},
		{name: "JSON: the fields of a 304 to a tag", handler: json, fields: pairs("If-None-Match", "*"), next: sendsJSON(modifiedJSON), status: 304, want: pairs("Cache-Control", "no-cache")},
	})
}

// The upstream knows nothing of a date that was found: no tag carries it, and no condition with it is the upstream's
// to judge. It speaks of a part of what a response is made from, so that no bytes are put together by it.
func TestADateFoundIsWeak(t *testing.T) {
	header := datedBy(byHeader)
	updated := sendsPage("X-Updated", modified)
	for _, tt := range []struct {
		name         string
		fields, seen []string
	}{
		{"If-Modified-Since", pairs("If-Modified-Since", modified), nil},
		{"beside a tag", pairs("If-Modified-Since", modified, "If-None-Match", `"x"`), pairs("If-None-Match", `"x"`)},
		{"a dated tag", pairs("If-None-Match", datedTag), pairs("If-Modified-Since", modified)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newVisit(t, "GET", "/", tt.fields...).to(provisioned(t, header), updated).wantSeen(tt.seen...)
		})
	}
	tagged := &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}}
	runTrials(t, []trial{
		{name: "If-Range", handler: header, fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: updated, reason: "if_range"},
		{name: "If-Range under etag off", handler: tagged, fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: sendsPage("X-Updated", modified, "Content-Length", "12")},
		{name: "… the upstream's is strong", handler: tagged, fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: sendsPage("Last-Modified", modified, "Content-Length", "12"), status: 206, body: "hello"},
		{name: "Accept-Ranges", handler: tagged, next: sendsPage("X-Updated", modified, "Content-Length", "12"), want: pairs("Accept-Ranges", "")},
		{name: "… the upstream's is strong", handler: tagged, next: sendsPage("Last-Modified", modified, "Content-Length", "12"), want: pairs("Accept-Ranges", "bytes", "Cache-Control", "")},
		{name: "Range by our tag", handler: header, fields: pairs("Range", "bytes=0-4", "If-Range", strongTag), next: updated, status: 206, body: "hello", want: pairs("Cache-Control", "no-cache")},
	})
}

// A response that got its date here is not cached by a guess; whoever says how long, is heard.
func TestFreshnessOfADateFound(t *testing.T) {
	with := func(row CacheControl) *Handler {
		return &Handler{LastModified: &LastModified{From: pairsOf(byHeader)}, CacheControl: []CacheControl{row}}
	}
	updated := sendsPage("X-Updated", modified)
	runTrials(t, []trial{
		{name: "a row", handler: with(CacheControl{Directives: pairs("max-age=60")}), next: updated, want: pairs("Cache-Control", "max-age=60")},
		{name: "a row without a lifetime", handler: with(CacheControl{Directives: pairs("private")}), next: updated, want: pairs("Cache-Control", "private, no-cache")},
		{name: "a row for others", handler: with(CacheControl{MediaType: "image/*", Directives: pairs("max-age=60")}), next: updated, want: pairs("Cache-Control", "no-cache")},
		{name: "the upstream", handler: datedBy(byHeader), next: sendsPage("X-Updated", modified, "Cache-Control", "max-age=5"), want: pairs("Cache-Control", "max-age=5")},
		{name: "the upstream's Expires", handler: datedBy(byHeader), next: sendsPage("X-Updated", modified, "Expires", dayAfter), want: pairs("Cache-Control", "", "Expires", dayAfter)},
		{name: "on the 304 as on the 200", handler: with(CacheControl{Directives: pairs("must-revalidate")}), fields: pairs("If-Modified-Since", modified), next: updated, status: 304, want: pairs("Cache-Control", "must-revalidate, no-cache")},
		{name: "the same for Expires", handler: datedBy(byHeader), fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", modified, "Expires", dayAfter), status: 304, want: pairs("Cache-Control", "", "Expires", dayAfter)},
	})
}

// An outer instance takes a date that an inner one has found neither for the upstream's nor for a strong one.
func TestADateFoundByAnInner(t *testing.T) {
	inner := provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}, Ranges: "off"})
	for _, tt := range []struct {
		name, mode string
		fields     []string
		status     int
		etag       string
	}{
		{name: "no dated tag", status: 200, etag: strongTag},
		{name: "If-Modified-Since", fields: pairs("If-Modified-Since", modified), status: 304},
		{name: "If-Range", mode: "off", fields: pairs("Range", "bytes=0-4", "If-Range", modified), status: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outer := provisioned(t, &Handler{ETag: &ETag{Mode: tt.mode}})
			v := newVisit(t, "GET", "/", tt.fields...).to(outer, within(inner, sendsPage("X-Updated", modified, "Content-Length", "12")))
			if v.rec.Code != tt.status {
				t.Errorf("status %d, want %d", v.rec.Code, tt.status)
			}
			wantPairs(t, "the response", v.rec.Header(), pairs("Etag", tt.etag, "Last-Modified", modified, "Cache-Control", "no-cache"))
		})
	}
}

// A guarded write's date is compared with the one that a reader has got.
func TestGuardByADateFound(t *testing.T) {
	found := strong()
	found.LastModified = &LastModified{From: pairsOf(byHeader, byJSON)}
	runGuardTrials(t, withDefaults([]guardTrial{
		{handler: found, name: "not modified", fields: pairs("If-Unmodified-Since", modified), get: sendsPage("X-Updated", modified)},
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "modified", fields: pairs("If-Unmodified-Since", dayBefore), get: sendsPage("X-Updated", modified)}),
		{handler: found, name: "JSON, not modified", fields: pairs("If-Unmodified-Since", modified), get: sendsJSON(modifiedJSON)},
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "JSON, modified", fields: pairs("If-Unmodified-Since", dayBefore), get: sendsJSON(modifiedJSON)}),
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}))
}

// Files are asked when the head comes, by what the request's placeholders say then. Those that give no date are
// named in the debug line, and are no error.
func TestLastModifiedFromFiles(t *testing.T) {
	dir := t.TempDir()
	mtime := time.Unix(1_700_000_000, 999)
	if err := os.WriteFile(filepath.Join(dir, "page"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "page"), mtime, mtime); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	h := provisioned(t, datedBy(LastModifiedSource{File: pairs("{http.vars.root}{http.request.uri.path}")}))
	h.logger = zap.New(core)
	ask := func(target string) (lastModified, missed string) {
		t.Helper()
		v := newVisit(t, "GET", target)
		caddyhttp.SetVar(v.r.Context(), "root", dir)
		v.to(h, sendsPage())
		return v.rec.Header().Get("Last-Modified"), fmt.Sprint(logs.TakeAll()[0].ContextMap()["no_date"])
	}
	if got, missed := ask("/page"); got != modified || missed != "<nil>" {
		t.Errorf("got %q, want %q; missed %s", got, modified, missed)
	}
	if got, missed := ask("/none"); got != "" || !strings.Contains(missed, "file {http.vars.root}{http.request.uri.path}: stat ") {
		t.Errorf("of a missing file: %q, missed %s", got, missed)
	}
	if err := os.Remove(filepath.Join(dir, "page")); err != nil {
		t.Fatal(err)
	}
	if got, _ := ask("/page"); got != "" {
		t.Errorf("of a file that has vanished: %q", got)
	}
}

// Without Caddy's server around it there are no placeholders of a request, which is no reason to panic.
func TestLastModifiedFromFilesWithoutReplacer(t *testing.T) {
	for name, found := range map[string]bool{"handler.go": true, "{http.vars.root}/page": false} {
		h := provisioned(t, datedBy(LastModifiedSource{File: pairs(name)}))
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, make(map[string]any)), "GET", "/", http.NoBody)
		if err := h.ServeHTTP(rec, r, sendsPage()); err != nil || found != (rec.Header().Get("Last-Modified") != "") {
			t.Errorf("%s: error %v, fields %v", name, err, rec.Header())
		}
	}
}

// A date that was found may move backwards: the newest file is gone, an older release is back. Only the very date
// that the client has is that of what the client has. The upstream's own keeps its order (RFC 9110 §13.1.3).
func TestADateFoundThatMovesBackwards(t *testing.T) {
	header, both := datedBy(byHeader), datedBy(byHeader, byJSON)
	older := sendsPage("X-Updated", dayBefore)
	noJSON := sendsJSON(page, "X-Updated", modified)
	runTrials(t, []trial{
		{name: "If-Modified-Since", handler: header, fields: pairs("If-Modified-Since", modified), next: older, reason: "modified_since", want: pairs("Last-Modified", dayBefore)},
		{name: "… of a HEAD", handler: header, method: "HEAD", fields: pairs("If-Modified-Since", modified), next: sends(200, "", "X-Updated", dayBefore)},
		{name: "… of what is streamed", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", dayBefore, "X-Accel-Buffering", "no")},
		{name: "… beside the upstream's tag", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", dayBefore, "Etag", `"x"`)},
		{name: "… the upstream's own", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("Last-Modified", dayBefore), status: 304},
		{name: "If-Unmodified-Since", handler: header, fields: pairs("If-Unmodified-Since", modified), next: older, status: 412},
		{name: "… the upstream's own", handler: header, fields: pairs("If-Unmodified-Since", modified), next: sendsPage("Last-Modified", dayBefore)},
		{name: "no JSON any more: the field's date", handler: both, fields: pairs("If-Modified-Since", modified), next: noJSON, want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "a date that is none any more", handler: both, fields: pairs("If-Modified-Since", modified), next: sendsJSON(`{"at":"soon"}`, "X-Updated", modified), body: `{"at":"soon"}`, want: pairs("Last-Modified", "")},
		{name: "no date, beside one", handler: both, fields: pairs("If-Modified-Since", modified), next: sendsJSON(`{"at":null}`, "X-Updated", modified), body: "", status: 304},
	})
	for _, inner := range []bool{false, true} {
		h, next := caddyhttp.MiddlewareHandler(provisioned(t, header)), older
		if inner {
			next = within(provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}}), older)
			h = provisioned(t, nil)
		}
		if v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(h, next); v.rec.Code != http.StatusOK {
			t.Errorf("found further in: %t: status %d, want 200", inner, v.rec.Code)
		}
	}
}

// What cannot be asked now may be the newest: the others' date would confirm what a client has from before.
func TestADateFoundInPart(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, mtime := range map[string]int64{"page": 1_700_000_000, "built": 1} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path(name), time.Time{}, time.Unix(mtime, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", path("loop")); err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct {
		name, other string
		status      int
	}{
		{"not there", "none", 304},
		{"below a file", "page/none", 304},
		{"cannot be asked", "loop", 200},
		{"a folder", "folder", 200},
		{"a build tool's", "built", 200},
		{"an empty placeholder", "{http.vars.none}", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := provisioned(t, datedBy(LastModifiedSource{File: pairs(path("page"), path(tt.other))}))
			if v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(h, sendsPage()); v.rec.Code != tt.status {
				t.Errorf("status %d with Last-Modified %q, want %d", v.rec.Code, v.rec.Header()["Last-Modified"], tt.status)
			}
		})
	}
}

// Where a page may be somebody's own, or says more than its date knows of, the date is sent beside a tag only, and
// confirms nothing by itself: a form's dead token, or the page of the user before.
func TestADateFoundWithoutATag(t *testing.T) {
	header := func() *Handler { return &Handler{LastModified: &LastModified{From: pairsOf(byHeader)}} }
	tokens := header()
	tokens.ETag = &ETag{Ignore: pairs("csrf")}
	for _, tt := range []struct {
		name           string
		handler        *Handler
		request, sends []string
		safe           bool
	}{
		{name: "nothing of that", safe: true},
		{name: "Vary: Accept-Encoding", sends: pairs("Vary", "accept-encoding"), safe: true},
		{name: "Vary", sends: pairs("Vary", "Accept-Encoding, Accept-Language")},
		{name: "Set-Cookie", sends: pairs("Set-Cookie", "a=b")},
		{name: "private", sends: pairs("Cache-Control", "private, max-age=5")},
		{name: "Cookie", request: pairs("Cookie", "a=b")},
		{name: "Authorization", request: pairs("Authorization", "Basic eDp5")},
		{name: "ignore", handler: tokens},
	} {
		held := append(pairs("X-Updated", modified), tt.sends...)
		streamed := append(pairs("X-Accel-Buffering", "no"), held...)
		h := tt.handler
		if h == nil {
			h = header()
		}
		since := append(pairs("If-Modified-Since", modified), tt.request...)
		status, lm := 200, ""
		if tt.safe {
			status, lm = 304, modified
		}
		spills := *h
		spills.Buffer = &Buffer{MaxBody: 5}
		outer := provisioned(t, &Handler{ETag: h.ETag})
		runTrials(t, []trial{
			{name: tt.name + ": held", handler: h, fields: tt.request, next: sendsPage(held...), want: pairs("Last-Modified", modified)},
			{name: tt.name + ": held, If-Modified-Since", handler: h, fields: since, next: sendsPage(held...), status: status},
			{name: tt.name + ": held, If-Unmodified-Since", handler: h, fields: append(pairs("If-Unmodified-Since", modified), tt.request...), next: sendsPage(held...)},
			{name: tt.name + ": the upstream's tag", handler: h, fields: tt.request, next: sendsPage(append(held, "Etag", `"x"`)...), want: pairs("Last-Modified", modified)},
			{name: tt.name + ": streamed", handler: h, fields: tt.request, next: sendsPage(streamed...), want: pairs("Last-Modified", lm)},
			{name: tt.name + ": streamed, If-Modified-Since", handler: h, fields: since, next: sendsPage(streamed...), status: status},
			{name: tt.name + ": HEAD", handler: h, method: "HEAD", fields: tt.request, next: sends(200, "", held...), want: pairs("Last-Modified", lm)},
			{name: tt.name + ": spilled", handler: &spills, fields: tt.request, next: sendsPage(held...), reason: "max_body", want: pairs("Last-Modified", lm, "Etag", "")},
			{name: tt.name + ": cut off", handler: h, fields: tt.request, next: sendsPage(append(held, "Content-Length", "99")...), reason: "short_body", want: pairs("Last-Modified", lm)},
			{name: tt.name + ": the upstream's own date", handler: h, fields: since, next: sendsPage(append(streamed, "Last-Modified", modified)...), status: 304},
		})
		t.Run(tt.name+": found further in", func(t *testing.T) {
			inner := provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}})
			v := newVisit(t, "GET", "/", since...).to(outer, within(inner, sendsPage(streamed...)))
			tagged := newVisit(t, "GET", "/", since...).to(provisioned(t, nil), within(provisioned(t, h), sendsPage(held...)))
			if v.rec.Code != status || tagged.rec.Code != status {
				t.Errorf("status %d, with a tag %d, want %d", v.rec.Code, tagged.rec.Code, status)
			}
		})
	}
}

// A second change within the second of the first would not show, so that the date of this very second is not sent
// (RFC 9110 §8.8.2.2), and confirms nothing; but it stops a write that rests on an older one.
func TestADateFoundOfThisSecond(t *testing.T) {
	header := datedBy(byHeader)
	runTrials(t, []trial{
		{name: "the second of Date", handler: header, next: sendsPage("X-Updated", modified, "Date", modified), want: pairs("Last-Modified", "", "Cache-Control", "no-cache", "Etag", strongTag)},
		{name: "… If-Modified-Since", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", modified, "Date", modified)},
		{name: "… If-Unmodified-Since", handler: header, fields: pairs("If-Unmodified-Since", dayBefore), next: sendsPage("X-Updated", modified, "Date", modified), status: 412},
		{name: "the second before", handler: header, next: sendsPage("X-Updated", modified, "Date", "Tue, 14 Nov 2023 22:13:21 GMT"), want: pairs("Last-Modified", modified)},
	})
	found := strong()
	found.LastModified = &LastModified{From: pairsOf(byHeader)}
	runGuardTrials(t, withDefaults([]guardTrial{
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "a write", fields: pairs("If-Unmodified-Since", dayBefore), get: sendsPage("X-Updated", modified, "Date", modified)}),
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "a write, of a date that is later", fields: pairs("If-Unmodified-Since", dayAfter), get: sendsPage("X-Updated", modified)}),
	}, guardTrial{}))
}

// The page may be from before a change that comes while it is made, and is younger than the date that is found then.
func TestADateFoundWhileThePageIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(500 * time.Millisecond) //nolint:forbidigo // of a synctest bubble's clock
		next := func(w http.ResponseWriter, r *http.Request) error {
			updated := httpcond.FormatDate(time.Now())
			time.Sleep(time.Minute) //nolint:forbidigo // the same
			return sendsPage("X-Updated", updated)(w, r)
		}
		h := provisioned(t, datedBy(byHeader))
		if got := newVisit(t, "GET", "/").to(h, next).rec.Header()["Last-Modified"]; got != nil {
			t.Errorf("Last-Modified %q, want none", got)
		}
	})
}

// A write that rests on a date is not let through where the date cannot be told.
func TestGuardByADateThatFails(t *testing.T) {
	found := strong()
	found.LastModified = &LastModified{From: pairsOf(byHeader)}
	broken := sendsPage("X-Updated", "soon")
	runGuardTrials(t, withDefaults([]guardTrial{
		{handler: found, name: "If-Unmodified-Since", fields: pairs("If-Unmodified-Since", modified), get: broken, status: 503, outcome: "failed", reason: "guard_unavailable", calls: "GET"},
		{handler: found, name: "a tag beside it", fields: pairs("If-Unmodified-Since", modified, "If-Match", strongTag), get: broken, reason: "matched"},
		{
			handler: found, name: "no date at all", fields: pairs("If-Unmodified-Since", modified), get: sendsPage(),
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", modified),
		},
	}, guardTrial{status: 204, outcome: "guarded", calls: "GET PUT"}))
}

// headWatch tells when the head goes out.
type headWatch struct {
	http.ResponseWriter
	sent chan struct{}
}

func (w *headWatch) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	close(w.sent)
}

// When an inner instance stops waiting, the head comes to the outer ones while the handler still runs, and still
// writes into the request's variables, which have no lock, and its URL.
func TestSourcesOfAnOuterWhileTheHandlerRuns(t *testing.T) {
	file := LastModifiedSource{File: pairs("{http.vars.root}{http.request.uri.path}")}
	outer := datedBy(file)
	outer.CacheControl = []CacheControl{{Path: "/handler.*", Directives: pairs("max-age=600"), Jitter: 10}}
	outer, inner := provisioned(t, outer), provisioned(t, &Handler{Buffer: &Buffer{MaxDelay: caddy.Duration(time.Millisecond)}})
	v := newVisit(t, "GET", "/handler.go")
	caddyhttp.SetVar(v.r.Context(), "root", ".")
	w := &headWatch{v.rec, make(chan struct{})}
	next := func(to http.ResponseWriter, r *http.Request) error {
		_, _ = io.WriteString(to, "some")
		for i := 0; ; i++ {
			select {
			case <-w.sent:
				return nil
			case <-t.Context().Done():
				return t.Context().Err()
			default:
				caddyhttp.SetVar(r.Context(), "root", ".")
				r.URL.RawQuery = strconv.Itoa(i)
			}
		}
	}
	err := outer.ServeHTTP(w, v.r, within(inner, next))
	if err != nil || v.rec.Header()["Last-Modified"] != nil || !strings.HasPrefix(v.rec.Header().Get("Cache-Control"), "max-age=") {
		t.Errorf("error %v, fields %v; want a lifetime and no date", err, v.rec.Header())
	}
}

// What a JSON body is decoded to is part of what is held.
func TestDecodedJSONInTheBudget(t *testing.T) {
	body := gzipped(modifiedJSON + strings.Repeat(" ", 500_000))
	for room, want := range map[int64]string{200_000: "", 3_000_000: modified} {
		h := provisioned(t, datedBy(byJSON))
		h.policy.Bounds.MaxTotal = room
		v := newVisit(t, "GET", "/").to(h, sendsJSON(body, "Content-Encoding", "gzip"))
		if got := v.rec.Header().Get("Last-Modified"); got != want || v.rec.Body.String() != body || v.rec.Header().Get("Etag") == "" {
			t.Errorf("with %d bytes: Last-Modified %q, want %q; %d of %d bytes", room, got, want, v.rec.Body.Len(), len(body))
		}
	}
}

// remembering is a handler that remembers, with records of its own.
func remembering(t *testing.T, change func(*Handler)) *Handler {
	t.Helper()
	h := &Handler{Remember: &Remember{TTL: caddy.Duration(time.Hour)}, Block: t.Name()}
	if change != nil {
		change(h)
	}
	return provisioned(t, h)
}

// step is one request to a handler that remembers, and what becomes of it.
type step struct {
	method string // GET
	target string // "/"
	fields []string
	next   caddyhttp.HandlerFunc // sendsPage
	asked  bool                  // next is called
	status int                   // 200
	reason string                // empty: any
	want   []string
}

func (s *step) run(t *testing.T, h caddyhttp.MiddlewareHandler, i int) {
	t.Helper()
	method, target, next, status := cmp.Or(s.method, http.MethodGet), cmp.Or(s.target, "/"), s.next, cmp.Or(s.status, http.StatusOK)
	if next == nil {
		next = sendsPage()
	}
	v := newVisit(t, method, target, s.fields...).to(h, next)
	if asked := v.seen != nil; asked != s.asked {
		t.Errorf("step %d: the upstream was asked: %v, want %v", i, asked, s.asked)
	}
	if got := v.status(); got != status {
		t.Errorf("step %d: status %d, want %d (error %v, panic %v)", i, got, status, v.err, v.panicked)
	}
	if got := v.said("reason"); s.reason != "" && got != s.reason {
		t.Errorf("step %d: reason %q, want %q", i, got, s.reason)
	}
	if status == http.StatusNotModified && v.rec.Body.Len() > 0 {
		t.Errorf("step %d: a 304 with a body", i)
	}
	wantPairs(t, fmt.Sprintf("the response of step %d", i), v.rec.Header(), s.want)
}

func runSteps(t *testing.T, h caddyhttp.MiddlewareHandler, steps ...step) {
	t.Helper()
	for i := range steps {
		steps[i].run(t, h, i+1)
	}
}

// first and revalidation are the steps that most scripts begin with.
var (
	firstVisit   = step{asked: true}
	revalidation = step{fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered", want: pairs("Etag", strongTag)}
)

func changed() step { return step{fields: pairs("If-None-Match", strongTag), status: 304, asked: true} }

func TestRememberedNotModified(t *testing.T) { //nolint:funlen // a table
	suffixed := strings.TrimSuffix(strongTag, `"`) + `-gzip"` // as encode writes it
	cases := map[string]struct {
		handler func(*Handler)
		steps   []step
	}{
		"a tag of ours": {nil, []step{firstVisit, revalidation, {
			fields: pairs("If-None-Match", staleTag), asked: true,
		}, {asked: true}, revalidation}},
		"in the form the client named": {nil, []step{
			firstVisit,
			{fields: pairs("If-None-Match", weakTag), status: 304, want: pairs("Etag", weakTag)},
			{fields: pairs("If-None-Match", datedTag), status: 304, want: pairs("Etag", datedTag)},
			{fields: pairs("If-None-Match", suffixed), status: 304, want: pairs("Etag", suffixed)},
			{fields: pairs("If-None-Match", `"x", `+strongTag), status: 304, want: pairs("Etag", strongTag)},
			{fields: pairs("If-None-Match", "*"), status: 304, want: pairs("Etag", strongTag)},
		}},
		"HEAD from a GET's record": {nil, []step{
			firstVisit, {method: http.MethodHead, fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered"},
		}},
		"other conditions": {nil, []step{
			firstVisit,
			{fields: pairs("If-None-Match", strongTag, "If-Match", strongTag), asked: true, status: 304},
			{fields: pairs("If-None-Match", strongTag, "If-Unmodified-Since", modified), asked: true, status: 304},
			{fields: pairs("If-Modified-Since", modified), asked: true},
			{fields: pairs("Range", "bytes=0-0", "If-None-Match", strongTag), status: 304},
		}},
		"If-Modified-Since": {nil, []step{
			{next: sendsPage("Last-Modified", modified), asked: true},
			{fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered"},
			{fields: pairs("If-Modified-Since", dayAfter), status: 304, reason: "remembered"},
			{fields: pairs("If-Modified-Since", dayBefore), asked: true},
			{fields: pairs("If-None-Match", `"x"`, "If-Modified-Since", dayAfter), asked: true},
		}},
		"fields of RFC 9110 §15.4.5": {nil, []step{
			{next: sendsPage("Cache-Control", "public, max-age=9", "Vary", "Accept", "Content-Location", "/p", "X-Own", "1"), asked: true},
			{
				fields: pairs("If-None-Match", strongTag), status: 304,
				want: pairs("Cache-Control", "public, max-age=9", "Vary", "Accept", "Content-Location", "/p", "X-Own", "", "Content-Type", "", "Age", "0"),
			},
		}},
		"not_modified keep": {
			func(h *Handler) { h.NotModified = &NotModified{Keep: pairs("x-own", "Last-Modified")} }, []step{
				{next: sendsPage("X-Own", "1", "Last-Modified", modified), asked: true},
				{fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered", want: pairs("X-Own", "1", "Last-Modified", modified)},
			},
		},
		"an upstream's tag, streamed": {nil, []step{
			{next: sendsPage("Etag", `"u"`), asked: true},
			{fields: pairs("If-None-Match", `"u"`), status: 304, reason: "remembered", want: pairs("Etag", `"u"`)},
		}},
		"a body that is too long for a tag, with a date": {
			func(h *Handler) { h.Buffer = &Buffer{MaxBody: 2} }, []step{
				{next: sendsPage("Last-Modified", modified), asked: true},
				{fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered", want: pairs("Last-Modified", modified)},
			},
		},
		"no validator": {
			func(h *Handler) { h.ETag = &ETag{Mode: "off"} },
			[]step{firstVisit, {fields: pairs("If-None-Match", "*"), asked: true, status: 304}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, c.handler), c.steps...) })
	}
}

// cutOff declares more than it sends.
func cutOff(fields ...string) caddyhttp.HandlerFunc {
	return sendsPage(append(fields, "Content-Length", strconv.Itoa(len(page)+1))...)
}

func TestNotRemembered(t *testing.T) {
	asked := step{fields: pairs("If-None-Match", strongTag), asked: true, status: 304}
	askedForU := step{fields: pairs("If-None-Match", `"u"`), next: sendsPage("Etag", `"u"`), asked: true, status: 304}
	cases := map[string][]step{
		"a body that is cut off": {{next: cutOff(), asked: true}, asked},
		"a streamed body that is cut off": {
			{next: cutOff("Etag", `"u"`), asked: true}, askedForU,
		},
		"an abort": {{next: aborting(sendsPage(), http.ErrAbortHandler), asked: true, status: 502}, asked},
		"an error": {{next: failing(sendsPage(), errors.New("x")), asked: true, status: 500}, asked},
		"a 404":    {{next: sends(404, page, "Etag", `"u"`), asked: true, status: 404}, askedForU},
		"a 206":    {{next: sends(206, page, "Etag", `"u"`, "Content-Range", "bytes 0-4/5"), asked: true, status: 206}, askedForU},
		"what a client named": {
			{fields: pairs("If-None-Match", `"u"`), next: sends(304, "", "Etag", `"u"`), asked: true, status: 304},
			askedForU,
		},
		"what a verdict at the head said": {askedForU, askedForU},
		"private":                         {{next: sendsPage("Cache-Control", "private"), asked: true}, asked},
		"a cookie":                        {{next: sendsPage("Set-Cookie", "a=1"), asked: true}, asked},
		"for a session":                   {{fields: pairs("Cookie", "a=1"), asked: true}, asked},
		"with credentials":                {{fields: pairs("Authorization", "x"), asked: true}, asked},
		"a HEAD":                          {{method: http.MethodHead, next: sends(200, "", "Etag", `"u"`), asked: true}, askedForU},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, nil), steps...) })
	}
}

func TestForgetting(t *testing.T) {
	post := func(next caddyhttp.HandlerFunc, status int) step {
		return step{method: http.MethodPost, next: next, asked: true, status: status}
	}
	at := func(target string, s step) step { s.target = target; return s }
	cases := map[string][]step{
		"a write":                   {firstVisit, revalidation, post(sends(204, ""), 204), changed()},
		"one that writes no status": {firstVisit, post(func(http.ResponseWriter, *http.Request) error { return nil }, 200), changed()},
		"one that redirects":        {firstVisit, post(sends(303, "", "Location", "/elsewhere"), 303), changed()},
		"one that is refused":       {firstVisit, post(sends(403, ""), 403), revalidation},
		"one that is refused by an error": {
			firstVisit, post(failing(nil, caddyhttp.Error(405, errors.New("x"))), 405), revalidation,
		},
		"one that fails":  {firstVisit, post(sends(500, ""), 500), changed()},
		"one that aborts": {firstVisit, post(aborting(nil, http.ErrAbortHandler), 200), changed()},
		"Location of a write elsewhere": {
			firstVisit, at("/form", post(sends(201, "", "Location", "/"), 201)), changed(),
		},
		"Content-Location of a write elsewhere": {
			firstVisit, at("/form", post(sends(200, "", "Content-Location", "http://example.com/"), 200)), changed(),
		},
		"Location on another server": {
			firstVisit, at("/form", post(sends(201, "", "Location", "http://other.example/"), 201)), revalidation,
		},
		"another query": {firstVisit, at("/?q", post(sends(204, ""), 204)), revalidation},
		"OPTIONS":       {firstVisit, {method: http.MethodOptions, next: sends(204, ""), asked: true, status: 204}, revalidation},
		"PROPFIND":      {firstVisit, {method: "PROPFIND", next: sends(207, ""), asked: true, status: 207}, revalidation},
		"a method of its own": {
			firstVisit, {method: "BREW", next: sends(200, ""), asked: true}, changed(),
		},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, nil), steps...) })
	}
}

// TestForgottenBeforeTheAnswer: who has seen a write's answer must not be answered from before it.
func TestForgottenBeforeTheAnswer(t *testing.T) {
	h := remembering(t, nil)
	runSteps(t, h, firstVisit, revalidation)
	v := newVisit(t, http.MethodPut, "/")
	asked := false
	rec := httptest.NewRecorder()
	err := h.ServeHTTP(headWatcher{rec, func() {
		newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag).serve(h, func(w http.ResponseWriter, r *http.Request) error {
			asked = true
			return sendsPage()(w, r)
		})
	}}, v.r, sends(204, ""))
	if err != nil || !asked {
		t.Errorf("error %v; at the time of the head the page was answered from memory: %v", err, !asked)
	}
}

// headWatcher calls a function when the head comes.
type headWatcher struct {
	*httptest.ResponseRecorder
	then func()
}

func (w headWatcher) WriteHeader(status int) {
	w.then()
	w.ResponseRecorder.WriteHeader(status)
}

func TestRecordsAreCorrected(t *testing.T) {
	tagU := step{next: sendsPage("Etag", `"u"`), asked: true}
	namesU := step{fields: pairs("If-None-Match", `"u"`), status: 304, reason: "remembered"}
	namesUAsked := step{fields: pairs("If-None-Match", `"u"`), next: sendsPage("Etag", `"u"`), asked: true, status: 304}
	cases := map[string][]step{
		"another tag in a 304": {
			tagU, namesU, {fields: pairs("If-None-Match", `"v"`), next: sends(304, "", "Etag", `"v"`), asked: true, status: 304}, namesUAsked,
		},
		"the same tag in a 304": {
			tagU,
			{fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), next: sends(304, "", "Etag", `"u"`, "Cache-Control", "public"), asked: true, status: 304},
			{fields: pairs("If-None-Match", `"u"`), status: 304, want: pairs("Cache-Control", "public")},
		},
		"a 304 that is private": {
			tagU,
			{fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), next: sends(304, "", "Etag", `"u"`, "Cache-Control", "private"), asked: true, status: 304},
			namesUAsked,
		},
		"another tag at the head": {
			tagU, {fields: pairs("If-None-Match", `"v"`), next: sendsPage("Etag", `"v"`), asked: true, status: 304}, namesUAsked,
		},
		"the same tag at the head": {
			tagU,
			{fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), next: sendsPage("Etag", `"u"`, "Cache-Control", "max-age=3"), asked: true, status: 304},
			{fields: pairs("If-None-Match", `"u"`), status: 304, want: pairs("Cache-Control", "max-age=3")},
		},
		"another length of a HEAD":  {firstVisit, {method: http.MethodHead, next: sends(200, "", "Content-Length", "1"), asked: true}, changed()},
		"a HEAD's own tag":          {firstVisit, {method: http.MethodHead, next: sends(200, "", "Etag", `"u"`), asked: true}, changed()},
		"the same length of a HEAD": {firstVisit, {method: http.MethodHead, next: sends(200, "", "Content-Length", strconv.Itoa(len(page))), asked: true, want: pairs("Etag", strongTag)}, revalidation},
		"a HEAD that says nothing":  {firstVisit, {method: http.MethodHead, next: sends(200, ""), asked: true, want: pairs("Etag", strongTag)}, revalidation},
		"gone":                      {firstVisit, {next: sends(410, ""), asked: true, status: 410}, changed()},
		"gone, by an error":         {firstVisit, {next: failing(nil, caddyhttp.Error(404, errors.New("x"))), asked: true, status: 404}, changed()},
		"a failure":                 {firstVisit, {next: sends(503, ""), asked: true, status: 503}, revalidation},
		"another page":              {firstVisit, {next: sends(200, "other"), asked: true}, changed()},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, nil), steps...) })
	}
}

// TestTranslatedConfirmation: an upstream's 304 to the date in a tag of ours confirms the record of that tag with that
// date, and no other.
func TestTranslatedConfirmation(t *testing.T) {
	dated := step{next: sendsPage("Last-Modified", modified, "Cache-Control", "max-age=60"), asked: true}
	reload := pairs("If-None-Match", datedTag, "Cache-Control", "max-age=0")
	runSteps(t, remembering(t, func(h *Handler) { h.Remember.TTL = 0 }), dated,
		step{fields: reload, next: sends(304, "", "Cache-Control", "max-age=70"), asked: true, status: 304, want: pairs("Etag", datedTag)},
		step{fields: pairs("If-None-Match", datedTag), status: 304, reason: "remembered", want: pairs("Cache-Control", "max-age=70")},
		step{fields: pairs("If-None-Match", staleDated), next: sends(304, "", "Cache-Control", "max-age=80"), asked: true, status: 304, want: pairs("Etag", staleDated)},
		step{fields: pairs("If-None-Match", datedTag), status: 304, reason: "remembered", want: pairs("Cache-Control", "max-age=70")},
	)
}

func TestFailureCoveredByARecord(t *testing.T) {
	reload := pairs("If-None-Match", strongTag, "Cache-Control", "max-age=0")
	fresh := step{next: sendsPage("Cache-Control", "max-age=60"), asked: true}
	covered := func(next caddyhttp.HandlerFunc) step {
		return step{fields: reload, next: next, asked: true, status: 304, reason: "stale_if_error", want: pairs("Etag", strongTag, "Retry-After", "", "Cache-Control", "max-age=60")}
	}
	covering := func(h *Handler) { h.Remember.TTL, h.Remember.StaleIfError = 0, caddy.Duration(time.Hour) }
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"a 503":                sends(503, "sorry", "Retry-After", "9"),
		"an error":             failing(nil, caddyhttp.Error(502, errors.New("x"))),
		"another error":        failing(nil, errors.New("x")),
		"an abort in the body": aborting(sendsPage("Retry-After", "9"), http.ErrAbortHandler),
	} {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, covering), fresh, covered(next)) })
	}
	t.Run("not of another tag", func(t *testing.T) {
		runSteps(t, remembering(t, covering), fresh, step{fields: pairs("If-None-Match", staleTag), next: sends(503, ""), asked: true, status: 503})
	})
	t.Run("not of a refusal", func(t *testing.T) {
		runSteps(t, remembering(t, covering), fresh, step{fields: reload, next: sends(403, ""), asked: true, status: 403})
	})
	t.Run("not unless it is configured", func(t *testing.T) {
		runSteps(t, remembering(t, func(h *Handler) { h.Remember.TTL = 0 }), fresh, step{fields: reload, next: sends(503, ""), asked: true, status: 503})
	})
	t.Run("not without a condition", func(t *testing.T) {
		runSteps(t, remembering(t, covering), fresh, step{fields: pairs("Cache-Control", "max-age=0"), next: sends(503, ""), asked: true, status: 503})
	})
}

func TestRememberedUnderRewrites(t *testing.T) {
	h := remembering(t, nil)
	inside := func(w http.ResponseWriter, r *http.Request) error {
		r.URL.Path, r.URL.RawQuery = "/index.php", "q="+r.URL.Path
		r.Header.Set("Cookie", "made=inside")
		return sendsPage()(w, r)
	}
	for _, target := range []string{"/a", "/b"} {
		v := newVisit(t, http.MethodGet, target)
		v.serve(h, inside)
	}
	for _, target := range []string{"/a", "/b"} {
		runSteps(t, h, step{target: target, fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered"})
	}
	runSteps(t, h, step{target: "/index.php?q=/a", fields: pairs("If-None-Match", strongTag), asked: true, status: 304})
}

func TestKeyOfRemember(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.Remember.Key = "{http.request.header.X-Api-Key}" })
	runSteps(t, h, step{fields: pairs("X-Api-Key", "a"), asked: true},
		step{fields: pairs("X-Api-Key", "a", "If-None-Match", strongTag), status: 304, reason: "remembered"},
		step{fields: pairs("X-Api-Key", "b", "If-None-Match", strongTag), asked: true, status: 304})
}

func TestUserOfCaddyIsNotRemembered(t *testing.T) {
	h := remembering(t, nil)
	for range 2 {
		v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag)
		v.repl.Set("http.auth.user.id", "ada")
		if v.to(h, sendsPage()); v.seen == nil {
			t.Error("answered from memory")
		}
	}
	runSteps(t, h, firstVisit, revalidation)
}

func TestInnerInstanceRemembers(t *testing.T) {
	inner := remembering(t, nil)
	outer := provisioned(t, &Handler{ContentLocation: true})
	runSteps(t, nestedIn{outer, inner}, firstVisit, step{fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Etag", strongTag, "Content-Location", "/")})
}

// nestedIn is two instances on one request.
type nestedIn struct{ outer, inner *Handler }

func (n nestedIn) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return n.outer.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return n.inner.ServeHTTP(w, r, next)
	}))
}

func TestErrorRouteRemembersNothing(t *testing.T) {
	h := remembering(t, nil)
	runSteps(t, h, firstVisit)
	v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag).with(caddyhttp.ErrorCtxKey, errors.New("x"))
	if v.serve(h, sends(404, "sorry")); v.seen == nil || v.rec.Code != 404 {
		t.Errorf("got %d", v.rec.Code)
	}
}

func TestRememberedAnswerAllocations(t *testing.T) {
	h := remembering(t, nil)
	runSteps(t, h, step{next: sendsPage("Cache-Control", "max-age=60"), asked: true})
	v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag)
	w := &discarding{header: make(http.Header)}
	allocs := testing.AllocsPerRun(200, func() {
		clear(w.header)
		if err := h.ServeHTTP(w, v.r, sendsPage()); err != nil || w.status != 304 {
			t.Fatal(err, w.status)
		}
	})
	t.Logf("%v allocations", allocs)
	// Date and Age are texts, one block has the lists, and what placeholders are asked costs a closure; the
	// replacer's list of these grows only because this test asks it again and again.
	if allocs > 5 {
		t.Errorf("%v allocations for one answer", allocs)
	}
}

// discarding is a response writer without any costs.
type discarding struct {
	header http.Header
	status int
}

func (w *discarding) Header() http.Header         { return w.header }
func (w *discarding) WriteHeader(status int)      { w.status = status }
func (w *discarding) Write(p []byte) (int, error) { return len(p), nil }

// digestOf is that of a configuration with a change.
func digestOf(t *testing.T, change func(*Handler)) [32]byte {
	t.Helper()
	h := &Handler{ETag: &ETag{Secret: "one"}, Remember: &Remember{TTL: caddy.Duration(time.Minute)}, Block: "1"}
	change(h)
	return provisioned(t, h).digest
}

// secretFromFile has the secret in a file.
func secretFromFile(t *testing.T, secret string) func(*Handler) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(h *Handler) { h.ETag.Secret = "{file." + path + "}" }
}

// Nodes with one configuration share records.
func TestConfigDigestIsTheSameOnEveryNode(t *testing.T) {
	t.Setenv("CONDITIONAL_CACHE_SECRET", "one")
	want := digestOf(t, func(*Handler) {})
	if want == [32]byte{} {
		t.Error("there is no digest")
	}
	for name, change := range map[string]func(*Handler){
		"another store":        func(h *Handler) { h.Remember.StoreRaw = []byte(`{"name": "memory", "max_entries": 10}`) },
		"the secret elsewhere": func(h *Handler) { h.ETag.Secret = "{env.CONDITIONAL_CACHE_SECRET}" },
		"the secret in a file": secretFromFile(t, "one"),
	} {
		if digestOf(t, change) != want {
			t.Errorf("%s: the digest is another one", name)
		}
	}
}

// What may change an answer makes the records of before worthless.
func TestConfigDigestTellsConfigurationsApart(t *testing.T) {
	matcher := func(m caddyhttp.ResponseMatcher) func(*Handler) {
		return func(h *Handler) { h.ResponseMatchers = map[string]caddyhttp.ResponseMatcher{"a": m} }
	}
	seen := map[[32]byte]string{digestOf(t, func(*Handler) {}): "no change"}
	for name, change := range map[string]func(*Handler){
		"secret":            func(h *Handler) { h.ETag.Secret = "two" },
		"no secret":         func(h *Handler) { h.ETag.Secret = "" },
		"octet FF":          secretFromFile(t, "\xff"),
		"octet FE":          secretFromFile(t, "\xfe"),
		"epoch":             func(h *Handler) { h.ETag.Epoch = "2" },
		"epoch for secret":  func(h *Handler) { h.ETag.Secret, h.ETag.Epoch = "", "one" },
		"mode":              func(h *Handler) { h.ETag.Mode = "weak" },
		"ignore":            func(h *Handler) { h.ETag.Ignore = []string{"nonce"} },
		"block":             func(h *Handler) { h.Block = "2" },
		"ttl":               func(h *Handler) { h.Remember.TTL *= 2 },
		"grace":             func(h *Handler) { h.Remember.Grace = caddy.Duration(time.Minute) },
		"stale_if_error":    func(h *Handler) { h.Remember.StaleIfError = caddy.Duration(time.Minute) },
		"key":               func(h *Handler) { h.Remember.Key = "{http.request.host}" },
		"ignore_cookies":    func(h *Handler) { h.Remember.IgnoreCookies = []string{"_ga*"} },
		"no remember":       func(h *Handler) { h.Remember = nil },
		"row":               func(h *Handler) { h.CacheControl = []CacheControl{{Directives: []string{"max-age=1"}}} },
		"row with a path":   func(h *Handler) { h.CacheControl = []CacheControl{{Path: "/a", Directives: []string{"max-age=1"}}} },
		"not_modified keep": func(h *Handler) { h.NotModified = &NotModified{Keep: []string{"Link"}} },
		"not_modified drop": func(h *Handler) { h.NotModified = &NotModified{Drop: []string{"Link"}} },
		"first_seen":        func(h *Handler) { h.LastModified = &LastModified{From: []LastModifiedSource{{FirstSeen: true}}} },
		"response matcher":  matcher(caddyhttp.ResponseMatcher{StatusCode: []int{404}}),
		"absent field":      matcher(caddyhttp.ResponseMatcher{Headers: http.Header{"Link": nil}}),
	} {
		got := digestOf(t, change)
		if other, twice := seen[got]; twice {
			t.Errorf("%s: the digest is that of %s", name, other)
		}
		seen[got] = name
	}
}

func TestStoreIsThereWhereItIsNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		h    *Handler
		want string
	}{
		"bare":       {new(Handler), ""},
		"remember":   {&Handler{Remember: new(Remember)}, "memory"},
		"first_seen": {&Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}}, "memory"},
		"its own":    {&Handler{Remember: &Remember{StoreRaw: []byte(`{"name": "memory", "max_entries": 7}`)}}, "memory"},
	} {
		h := provisioned(t, c.h)
		if (h.store != nil) != (c.want != "") || h.store != nil && h.store.Name() != c.want {
			t.Errorf("%s: store %v, want %q", name, h.store, c.want)
		}
		if h.policy.Dates.From != nil {
			t.Errorf("%s: first_seen is asked for as if it were a date of the response", name)
		}
		for range 2 { // Caddy may clean up what was cleaned up
			if err := h.Cleanup(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := new(Handler).Cleanup(); err != nil {
		t.Errorf("without Provision: %v", err)
	}
}

// TestConfigHasEveryField: what is published is what package config checks and compiles, field by field.
func TestConfigHasEveryField(t *testing.T) {
	h := new(Handler)
	setAll(reflect.ValueOf(h).Elem())
	read := reflect.ValueOf(h.config()).Elem()
	published := reflect.VisibleFields(reflect.TypeFor[Handler]())
	published = slices.DeleteFunc(published, func(field reflect.StructField) bool { return !field.IsExported() })
	if len(published) != read.NumField() {
		t.Errorf("%d fields are published, and package config has %d", len(published), read.NumField())
	}
	for i, field := range published[:min(len(published), read.NumField())] {
		if name := read.Type().Field(i).Name; name != field.Name {
			t.Errorf("field %d is %s, and in package config %s", i, field.Name, name)
		}
	}
	if !allSet(read) {
		t.Errorf("something is lost on the way to package config: %+v", read)
	}
}

// setAll gives every field a value other than its default.
func setAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setAll(v.Elem())
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				setAll(field)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setAll(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.New(v.Type().Elem()).Elem())
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.Set(reflect.ValueOf(1).Convert(v.Type()))
	}
}

// allSet reports whether setAll has been at work everywhere.
func allSet(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && allSet(v.Elem())
	case reflect.Struct:
		for _, field := range v.Fields() {
			if !allSet(field) {
				return false
			}
		}
		return true
	case reflect.Slice:
		return v.Len() > 0 && allSet(v.Index(0))
	default:
		return !v.IsZero()
	}
}

// TestFirstSeen: a tag is dated by when it became the current one. The date never goes back, also when the old page does.
func TestFirstSeen(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}, Block: t.Name()})
	dated := func(next caddyhttp.HandlerFunc, fields ...string) (date time.Time, v *visit) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // until a second is over
			// A second one within a second is not sent before its time has come.
			v = newVisit(t, http.MethodGet, "/", fields...).to(h, next)
			if date, err := http.ParseTime(v.rec.Header().Get("Last-Modified")); err == nil {
				return date, v
			}
		}
		t.Fatalf("no date: %v", v.rec.Header())
		return date, v
	}
	other := sends(200, "other", "Content-Type", "text/plain")
	first, v := dated(sendsPage())
	if age := time.Since(first); age < 0 || age > time.Minute {
		t.Errorf("first seen %v ago", age)
	}
	wantPairs(t, "the response", v.rec.Header(), pairs("Cache-Control", "no-cache"))
	if again, _ := dated(sendsPage()); !again.Equal(first) {
		t.Errorf("the same page was dated %v, then %v", first, again)
	}
	second, _ := dated(other)
	third, _ := dated(sendsPage())
	if !second.After(first) || !third.After(second) {
		t.Errorf("dated %v, %v, %v", first, second, third)
	}
	for date, want := range map[time.Time]int{third: 304, first: 200, third.Add(time.Second): 200} {
		v := newVisit(t, http.MethodGet, "/", "If-Modified-Since", httpcond.FormatDate(date)).to(h, sendsPage())
		if v.status() != want {
			t.Errorf("If-Modified-Since %v: %d, want %d", date, v.status(), want)
		}
	}
}

func TestFirstSeenOfOtherDatesAndTags(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}, Block: t.Name()})
	v := newVisit(t, http.MethodGet, "/", "Cookie", "a=1").to(h, sendsPage("Last-Modified", modified))
	wantPairs(t, "a response with a date", v.rec.Header(), pairs("Last-Modified", modified, "Cache-Control", ""))
	v = newVisit(t, http.MethodGet, "/u").to(h, sendsPage("Etag", `"u"`))
	if v.rec.Header().Get("Last-Modified") == "" {
		t.Error("an upstream's tag is not dated")
	}
	v = newVisit(t, http.MethodGet, "/long").to(h, endlessPage())
	wantPairs(t, "a response without a tag", v.rec.Header(), pairs("Last-Modified", ""))
}

// endlessPage is too long to be tagged.
func endlessPage() caddyhttp.HandlerFunc {
	return sends(200, strings.Repeat("x", config.DefaultMaxBody+1), "Content-Type", "text/plain")
}

// TestFirstSeenIsRemembered: the date goes into the record, and matches itself only.
func TestFirstSeenIsRemembered(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.LastModified = &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}
		h.NotModified = &NotModified{Keep: pairs("Last-Modified")}
	})
	v := newVisit(t, http.MethodGet, "/").to(h, sendsPage())
	date := v.rec.Header().Get("Last-Modified")
	seen, err := http.ParseTime(date)
	if err != nil {
		t.Fatal(err)
	}
	runSteps(t, h,
		step{fields: pairs("If-Modified-Since", date), status: 304, reason: "remembered", want: pairs("Last-Modified", date)},
		step{fields: pairs("If-Modified-Since", httpcond.FormatDate(seen.Add(time.Hour))), asked: true},
	)
}

func TestWhatAnInnerHandlerAuthenticatesIsNotRemembered(t *testing.T) {
	h := remembering(t, nil)
	v := newVisit(t, http.MethodGet, "/", "X-Token", "ada")
	v.to(h, func(w http.ResponseWriter, r *http.Request) error {
		v.repl.Set("http.auth.user.id", "ada")
		return sendsPage()(w, r)
	})
	runSteps(t, h, step{fields: pairs("If-None-Match", strongTag), asked: true, status: 304})
}

func TestReplacingInPlaceInsideChangesNoKey(t *testing.T) {
	h := remembering(t, nil)
	v := newVisit(t, http.MethodGet, "/", "X-Tenant", "x")
	v.serve(h, func(w http.ResponseWriter, r *http.Request) error {
		r.Header["X-Tenant"][0] = "t-x" // as request_header does with a replacement
		return sendsPage("Vary", "X-Tenant")(w, r)
	})
	runSteps(t, h, step{fields: pairs("X-Tenant", "t-x", "If-None-Match", strongTag), next: sendsPage("Vary", "X-Tenant"), asked: true, status: 304},
		step{fields: pairs("X-Tenant", "x", "If-None-Match", strongTag), status: 304})
}

func TestHeadConfirmsWithTheFieldsThatGoOut(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.CacheControl = []CacheControl{{Directives: pairs("max-age=60"), Existing: "replace"}}
	})
	next := sendsPage("Etag", `"u"`, "Cache-Control", "public, max-age=86400")
	out := pairs("Cache-Control", "max-age=60")
	runSteps(t, h, step{next: next, asked: true, want: out},
		step{fields: pairs("If-None-Match", `"u"`), status: 304, want: out},
		step{method: http.MethodHead, next: next, asked: true, want: out},
		step{fields: pairs("If-None-Match", `"u"`), status: 304, reason: "remembered", want: out})
}

func TestVaryOnWhatCaddyAddsItself(t *testing.T) {
	h := remembering(t, nil)
	next := sendsPage("Vary", "X-Forwarded-For")
	runSteps(t, h, step{next: next, asked: true}, step{fields: pairs("If-None-Match", strongTag), next: next, asked: true, status: 304})
}

func TestADateAloneIsRenewedByItsOwn304(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.ETag = &ETag{Mode: "off"}; h.Remember.TTL = 0 })
	runSteps(t, h, step{next: sendsPage("Last-Modified", modified, "Cache-Control", "max-age=60", "Age", "55"), asked: true},
		step{fields: pairs("If-Modified-Since", modified, "Cache-Control", "max-age=0"), next: sends(304, "", "Last-Modified", modified, "Cache-Control", "max-age=60"), asked: true, status: 304},
		step{fields: pairs("If-Modified-Since", modified, "Cache-Control", "max-age=10"), status: 304, reason: "remembered"})
}

func TestGetWithContentIsNotRemembered(t *testing.T) {
	h := remembering(t, nil)
	search := func(content string) *visit {
		v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag)
		v.r.Body, v.r.ContentLength = io.NopCloser(strings.NewReader(content)), int64(len(content))
		v.serve(h, sendsPage())
		return v
	}
	search("a")
	if search("b").seen == nil {
		t.Error("another content was answered from memory")
	}
}

// TestFirstSeenLeavesRowsAlone: the no-cache that stands beside a found date comes behind the rows, so that it takes nothing
// from them, wherever the tag comes from.
func TestFirstSeenLeavesRowsAlone(t *testing.T) {
	seen := &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}
	rows := provisioned(t, &Handler{LastModified: seen, CacheControl: []CacheControl{{Directives: pairs("max-age=1h")}}, Block: t.Name()})
	modified := provisioned(t, &Handler{LastModified: seen, Expires: "modified", ExpiresModified: caddy.Duration(time.Hour), Block: t.Name()})
	for name, fields := range map[string][]string{"our tag": nil, "the upstream's tag": pairs("Etag", `"u"`)} {
		v := newVisit(t, http.MethodGet, "/row?"+strings.ReplaceAll(name, " ", "+")).to(rows, sendsPage(fields...))
		wantPairs(t, "a row, "+name, v.rec.Header(), pairs("Cache-Control", "max-age=3600"))
		v = newVisit(t, http.MethodGet, "/modified?"+strings.ReplaceAll(name, " ", "+")).to(modified, sendsPage(fields...))
		if got := v.rec.Header().Get("Cache-Control"); !strings.HasPrefix(got, "max-age=3") {
			t.Errorf("expires modified, %s: Cache-Control: %s, want some max-age", name, got)
		}
	}
}

// TestFirstSeenBesideAnotherSource: the other source's date says nothing of when the tag was first seen, so that it cannot
// confirm a page by itself.
func TestFirstSeenBesideAnotherSource(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{byHeader, {FirstSeen: true}}}, Block: t.Name()})
	v := newVisit(t, http.MethodGet, "/", "If-Modified-Since", modified).to(h, sendsPage("X-Updated", "1700000000"))
	if v.status() != http.StatusOK || v.rec.Header().Get("Last-Modified") == modified {
		t.Errorf("%d, Last-Modified: %s; the tag is newer than that", v.status(), v.rec.Header().Get("Last-Modified"))
	}
	// Of two tags in one second, the second one's date is still to come: until then there is none.
	v = newVisit(t, http.MethodGet, "/", "If-Modified-Since", modified).to(h, sends(200, "other", "X-Updated", "1700000000"))
	if v.status() != http.StatusOK || v.rec.Header().Get("Last-Modified") == modified {
		t.Errorf("another tag: %d, Last-Modified: %s", v.status(), v.rec.Header().Get("Last-Modified"))
	}
	if date, err := http.ParseTime(v.rec.Header().Get("Last-Modified")); err == nil && date.After(time.Now()) {
		t.Errorf("another tag: Last-Modified: %v, which is to come", date)
	}
	v = newVisit(t, http.MethodGet, "/unclear").to(h, sendsPage("X-Updated", "yesterday"))
	wantPairs(t, "beside a source that does not tell", v.rec.Header(), pairs("Last-Modified", ""))
}

// TestExpiresModifiedOfAFutureDate: what is later than Date is not sent, and no lifetime is counted from it.
func TestExpiresModifiedOfAFutureDate(t *testing.T) {
	h := datedBy(byHeader)
	h.Expires, h.ExpiresModified = "modified", caddy.Duration(time.Hour)
	v := newVisit(t, http.MethodGet, "/").to(provisioned(t, h), sendsPage("X-Updated", "Mon, 01 Jan 2085 00:00:00 GMT"))
	wantPairs(t, "a date to come", v.rec.Header(), pairs("Last-Modified", "", "Expires", "", "Cache-Control", "no-cache"))
}

// TestFoundDateUnderARowThatIsPrivate: private is private, whoever says so.
func TestFoundDateUnderARowThatIsPrivate(t *testing.T) {
	for _, next := range []caddyhttp.HandlerFunc{sendsPage("X-Updated", "1700000000"), sendsJSON(modifiedJSON)} {
		h := datedBy(byHeader, byJSON)
		h.CacheControl = []CacheControl{{Directives: pairs("private", "no-cache")}}
		v := newVisit(t, http.MethodGet, "/", "If-Modified-Since", modified).to(provisioned(t, h), next)
		if v.status() != http.StatusOK {
			t.Errorf("%d, want 200", v.status())
		}
	}
}

// TestRememberedFoundDateAndCookies: whose page it is, a found date does not know, not in a record either.
func TestRememberedFoundDateAndCookies(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.LastModified = &LastModified{From: []LastModifiedSource{byHeader}} })
	page := sendsPage("X-Updated", "1700000000", "Cache-Control", "public, max-age=60")
	runSteps(t, h,
		step{next: page, asked: true},
		step{next: page, fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered"},
		step{next: page, fields: pairs("If-Modified-Since", modified, "Cookie", "a=b"), asked: true},
	)
}

// TestFirstSeenGuardsWrites: a write that rests on the time when the tag was first seen is judged by it. While the time of
// another tag is still to come, it is not known, and the write does not go on either.
func TestFirstSeenGuardsWrites(t *testing.T) {
	h := provisioned(t, &Handler{
		ETag: &ETag{Mode: "strong"}, GuardWrites: new(GuardWrites), Block: t.Name(),
		LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}},
	})
	for target, tags := range map[string][2][]string{
		"/ours":     {},
		"/upstream": {pairs("Etag", `"a"`), pairs("Etag", `"b"`)},
	} {
		page, other := sendsPage(tags[0]...), sends(200, "another one", append(pairs("Content-Type", "text/plain"), tags[1]...)...)
		date := newVisit(t, http.MethodGet, target).to(h, page).rec.Header().Get("Last-Modified")
		for i, current := range []caddyhttp.HandlerFunc{page, other} {
			written := false
			v := newVisit(t, http.MethodPut, target, "If-Unmodified-Since", date).to(h, func(w http.ResponseWriter, r *http.Request) error {
				if r.Method != http.MethodPut {
					return current(w, r)
				}
				written = true
				return nil
			})
			if written != (i == 0) {
				t.Errorf("%s, page %d: written %t (%d, %v)", target, i, written, v.status(), v.err)
			}
		}
	}
}

// TestRememberedDateWorthNothingAlone: under ignore a date that was found confirms nothing, in a record as elsewhere.
func TestRememberedDateWorthNothingAlone(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.ETag, h.LastModified = &ETag{Ignore: pairs("csrf")}, &LastModified{From: pairsOf(byHeader)}
	})
	runSteps(t, h,
		step{next: sendsPage("X-Updated", modified), asked: true},
		step{next: sendsPage("X-Updated", modified), fields: pairs("If-Modified-Since", modified), asked: true},
	)
}

// TestConfirmedRecordKeepsWhereItsDateIsFrom: after the upstream has confirmed the tag, the date still matches itself only.
func TestConfirmedRecordKeepsWhereItsDateIsFrom(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.LastModified = &LastModified{From: pairsOf(byHeader)} })
	page := sendsPage("X-Updated", modified, "Etag", `"u"`, "Cache-Control", "max-age=60")
	runSteps(t, h,
		step{next: page, asked: true},
		step{next: page, fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), asked: true, status: 304},
		step{next: page, fields: pairs("If-Modified-Since", dayAfter), asked: true},
		step{next: page, fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered"},
	)
}

// TestFormsForWhomNobodyKnows: a form with a token, of a page that does not say that it depends on the cookie, is not
// remembered: its tag has the token's secret in it, the key has not.
func TestFormsForWhomNobodyKnows(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.ETag = &ETag{Ignore: pairs("csrf")} })
	token := strings.Repeat("a", 32) + strings.Repeat("b", 32)
	form := sends(200, `<input type="hidden" name="csrfmiddlewaretoken" value="`+token+`">`, "Content-Type", "text/html")
	tag := newVisit(t, http.MethodGet, "/").to(h, form).rec.Header().Get("Etag")
	runSteps(t, h, step{next: form, fields: pairs("If-None-Match", tag), asked: true, status: 304})
}

// TestPagesWithTokensAreNotRemembered: whether a form's token is still good only the upstream knows. A session may have
// ended there though the cookie is the same.
func TestPagesWithTokensAreNotRemembered(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.ETag = &ETag{Ignore: pairs("csrf", "nonce")} })
	form := func(secret string) caddyhttp.HandlerFunc {
		input := `<input type="hidden" name="csrfmiddlewaretoken" value="` + strings.Repeat("a", 32) + strings.Repeat(secret, 32) + `">`
		return sends(200, input, "Content-Type", "text/html", "Vary", "Cookie")
	}
	etag := newVisit(t, http.MethodGet, "/", "Cookie", "id=1").to(h, form("b")).rec.Header().Get("Etag")
	runSteps(t, h, step{fields: pairs("Cookie", "id=1", "If-None-Match", etag), next: form("c"), asked: true, status: 200})
	// What only has nonces is.
	page := sends(200, `<script nonce="abc">`, "Content-Type", "text/html")
	etag = newVisit(t, http.MethodGet, "/nonce").to(h, page).rec.Header().Get("Etag")
	runSteps(t, h, step{target: "/nonce", fields: pairs("If-None-Match", etag), status: 304, reason: "remembered"})
}

// TestFirstSeenUnderFieldsReplacedInside: a handler further in that edits a field in place does not change which
// representation is meant.
func TestFirstSeenUnderFieldsReplacedInside(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}, Block: t.Name()})
	for _, language := range []string{"de", "en"} {
		v := newVisit(t, http.MethodGet, "/", "Accept-Language", language)
		v.serve(h, func(w http.ResponseWriter, r *http.Request) error {
			r.Header["Accept-Language"][0] = "replaced"
			return sends(200, language, "Content-Type", "text/plain", "Vary", "Accept-Language")(w, r)
		})
		// As another version of the first, the second would be dated a second later, and not be sent a date yet.
		if v.rec.Header().Get("Last-Modified") == "" {
			t.Errorf("%s has no date, as if it were another version of the same", language)
		}
	}
}
