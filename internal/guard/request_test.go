package guard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// routeGroup is the context key of the groups of routes that a request has used up (caddyhttp's own).
const routeGroup = caddy.CtxKey("route_group")

// untouchable is a body that nobody may read.
type untouchable struct{ t *testing.T }

func (b untouchable) Read([]byte) (int, error) {
	b.t.Error("the body of the write was read")
	return 0, io.EOF
}

func (b untouchable) Close() error {
	b.t.Error("the body of the write was closed")
	return nil
}

// newWrite is a PUT as Caddy's server hands it to handlers.
func newWrite(t *testing.T) (*http.Request, *caddy.Replacer) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://user@example.com/a?b=c", untouchable{t})
	r.ContentLength, r.TransferEncoding, r.Trailer = 42, []string{"chunked"}, http.Header{"X-Sum": nil}
	repl := caddy.NewReplacer()
	return caddyhttp.PrepareRequest(r, repl, httptest.NewRecorder(), nil), repl
}

func requestFor(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	probe, cancel := Request(r, NewSink(http.Header{}))
	t.Cleanup(cancel)
	return probe
}

func TestRequestIsAPlainGET(t *testing.T) {
	r, _ := newWrite(t)
	got := requestFor(t, r)
	if got.Method != http.MethodGet || got.Body != http.NoBody || got.ContentLength != 0 || got.TransferEncoding != nil || got.Trailer != nil {
		t.Errorf("%s with %v, %d bytes, %q, %v", got.Method, got.Body, got.ContentLength, got.TransferEncoding, got.Trailer)
	}
	if r.Method != http.MethodPut || r.ContentLength != 42 || r.TransferEncoding == nil || r.Trailer == nil {
		t.Errorf("the write is now %s with %d bytes", r.Method, r.ContentLength)
	}
	got.URL.Path, got.URL.RawQuery = "/rewritten", ""
	if r.URL.String() != "http://user@example.com/a?b=c" {
		t.Errorf("the write is now about %s", r.URL)
	}
}

func TestRequestFields(t *testing.T) {
	kept := []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cookie", "Origin", "Referer", "User-Agent",
		"X-Forwarded-For", "X-Csrftoken", "Sec-Fetch-Mode", "Ifx",
	}
	removed := []string{
		"Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Content-Md5", "Content-Digest", "Digest", "Repr-Digest",
		"Expect", "Trailer", "Transfer-Encoding", "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since",
		"If-Unmodified-Since", "If-Schedule-Tag-Match", "If", "Prefer", "Idempotency-Key", "X-Idempotency-Key",
		"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	}
	r, _ := newWrite(t)
	for _, name := range append(kept, removed...) {
		r.Header.Set(name, "x")
	}
	r.Header["Cache-Control"] = []string{"only-if-cached", "max-stale"}
	before := r.Header.Clone()
	got := requestFor(t, r).Header
	want := http.Header{"Cache-Control": {"no-cache"}}
	for _, name := range kept {
		want.Set(name, "x")
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got.Set("Cookie", "changed")
	got["Accept"][0] = "changed"
	if !reflect.DeepEqual(r.Header, before) {
		t.Errorf("the write now has %v", r.Header)
	}
}

// What handlers inside do to the context of the GET, the write does not feel.
func TestRequestHasAContextOfItsOwn(t *testing.T) {
	r, _ := newWrite(t)
	groups := r.Context().Value(routeGroup).(map[string]struct{})
	groups["outer"] = struct{}{}
	caddyhttp.SetVar(r.Context(), "set", "outside")
	extra := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey)

	ctx := requestFor(t, r).Context()
	own := ctx.Value(routeGroup).(map[string]struct{})
	if _, used := own["outer"]; !used {
		t.Error("a group that is used up is free again")
	}
	own["inner"] = struct{}{}
	if len(groups) != 1 {
		t.Errorf("the write's groups are %v", groups)
	}
	if got := caddyhttp.GetVar(ctx, "set"); got != "outside" {
		t.Errorf("the variable is %v", got)
	}
	caddyhttp.SetVar(ctx, "set", "inside")
	caddyhttp.SetVar(ctx, "new", "inside")
	if caddyhttp.GetVar(r.Context(), "set") != "outside" || caddyhttp.GetVar(r.Context(), "new") != nil {
		t.Error("the write's variables have changed")
	}
	if fields := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey); fields == nil || fields == extra {
		t.Error("the GET writes into the write's line of the log")
	}
	if sent, _ := ctx.Value(caddyhttp.OriginalRequestCtxKey).(http.Request); sent.Method != http.MethodGet || sent.URL.Path != "/a" {
		t.Errorf("as sent, it was %s %v", sent.Method, sent.URL)
	}
}

func TestRequestPlaceholders(t *testing.T) {
	r, outer := newWrite(t)
	outer.Set("http.auth.user.id", "ada")
	caddyhttp.SetVar(r.Context(), "set", "outside")
	outer.Map(func(key string) (any, bool) { return "mapped", key == "map.key" })
	got := requestFor(t, r)
	got.URL.Path = "/rewritten"
	repl := got.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	for text, want := range map[string]string{
		"{http.request.method}":      "GET",
		"{http.request.orig_method}": "GET",
		"{http.request.uri.path}":    "/rewritten",
		"{http.request.body}":        "",
		"{http.auth.user.id}":        "ada",
		"{http.vars.set}":            "outside",
		"{map.key}":                  "mapped",
	} {
		if got := repl.ReplaceAll(text, ""); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
	repl.Set("inner", "x")
	if _, known := outer.Get("inner"); known {
		t.Error("the write's replacer has changed")
	}
	if got := outer.ReplaceAll("{http.request.method} {http.request.uri.path}", ""); got != "PUT /a" {
		t.Errorf("the write is now %s", got)
	}
}

func TestRequestEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newWrite(t)
		probe := requestFor(t, r)
		<-probe.Context().Done()
		if err := probe.Context().Err(); !errors.Is(err, context.DeadlineExceeded) || r.Context().Err() != nil {
			t.Errorf("the check ends with %v, the write with %v", err, r.Context().Err())
		}
	})
}

func TestSinkThrowsAway(t *testing.T) {
	outer := http.Header{"X-Outer": {"x"}}
	s := NewSink(outer)
	s.Header().Set("X-Inner", "x")
	s.Header()["X-Outer"][0] = "y"
	s.WriteHeader(http.StatusTeapot)
	n, err := io.Copy(s, strings.NewReader("text"))
	if n != 4 || err != nil || outer.Get("X-Outer") != "x" || len(outer) != 1 {
		t.Errorf("%d, %v, %v", n, err, outer)
	}
}
