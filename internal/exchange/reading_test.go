package exchange_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

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
	h := bounded(t, 1, strong())
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
	row := guardTrial{fields: pairs("If-Match", `"abc"`), status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT", passed: pairs("If-Match", `"abc"`)}
	aborted, failed, missing := row, row, row
	aborted.name, aborted.get = "an abort", aborting(foreign, http.ErrAbortHandler)
	failed.name, failed.get = "an error", failing(foreign, errors.New("x"))
	missing.name, missing.get, missing.fields, missing.passed, missing.reason = "404", aborting(sends(404, page), http.ErrAbortHandler), pairs("If-None-Match", "*"), nil, "none_matched"
	runGuardTrials(t, []guardTrial{aborted, failed, missing})

	for mediaType, enough := range map[string]int{"video/mp4": 1 << 20, "text/event-stream": 0} {
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

// The GET before a write ends with the write's client, though its own answer be known: the turn must not be held for a
// handler that is busy behind it.
func TestGuardProbeEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, "PUT", "/", "If-Match", `"v1"`)
		client, leave := context.WithCancel(v.r.Context())
		v.r = v.r.WithContext(client)
		began := time.Now()
		v.to(provisioned(t, strong()), func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "page")
			leave()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
			return nil
		})
		if took := time.Since(began); took > time.Second {
			t.Errorf("the write's turn was held for %v", took)
		}
		wantIdle(t)
	})
}
