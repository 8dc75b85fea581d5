package exchange_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

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

var errInner = caddyhttp.Error(http.StatusServiceUnavailable, errors.New("no upstream"))

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
