package exchange_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

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
		{name: "If-Match malformed", fields: pairs("If-Match", "abc"), next: held, reason: "if_match_unusable"},
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
		{name: "If-Match of the upstream's", fields: pairs("If-Match", `"abc"`), next: sendsPage("Etag", `"abc"`), reason: "matched"},
		{name: "If-Match of the upstream's with encode's suffix", fields: pairs("If-Match", `"abc-zstd"`), next: sendsPage("Etag", `"abc"`), reason: "matched"},
		{name: "If-Match of the upstream's, which ends so itself", fields: pairs("If-Match", `"abc-gzip"`), next: sendsPage("Etag", `"abc-gzip"`), reason: "matched"},
		{name: "If-None-Match of another that ends so", fields: pairs("If-None-Match", `"abc-gzip"`), next: sendsPage("Etag", `"abc"`), reason: "none_matched"},
		{name: "If-Match `*` of the upstream's", fields: pairs("If-Match", "*"), next: sendsPage("Etag", `W/"abc"`), reason: "matched"},
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

// errNotNeeded is what reverse_proxy takes for a client that went away, and no reason to warn.
var errNotNeeded error = &http3.Error{Remote: true, ErrorCode: http3.ErrCodeRequestCanceled}

// Design §3: a verdict that is known at the head hauls no bytes to throw them away. A short rest is
// read, for the connection's sake; a long one is cancelled.
func TestVerdictAtTheHead(t *testing.T) {
	const long = 4 << 20
	for _, tt := range []struct {
		name         string
		handler      *Handler
		fields, head []string
		status, most int // bytes that are taken
	}{
		{name: "the upstream's tag", fields: pairs("If-None-Match", `"abc"`), head: pairs("Etag", `"abc"`), status: 304, most: 1 << 20},
		{name: "the upstream's tag, declared length", fields: pairs("If-None-Match", `"abc"`), head: pairs("Etag", `"abc"`, "Content-Length", strconv.Itoa(long)), status: 304},
		{name: "a date", fields: pairs("If-Modified-Since", modified), head: pairs("Last-Modified", modified), status: 304, most: 1 << 20},
		{name: "a date, declared length", fields: pairs("If-Modified-Since", modified), head: pairs("Last-Modified", modified, "Content-Length", strconv.Itoa(long)), status: 304},
		{name: "a date of a write", fields: pairs("If-Unmodified-Since", dayBefore), head: pairs("Last-Modified", modified), status: 412, most: 1 << 20},
		{name: "the upstream's tag is another", fields: pairs("If-Match", `"def"`), head: pairs("Etag", `"abc"`), status: 412, most: 1 << 20},
		{name: "no tag of ours can match", fields: pairs("If-Match", `"def"`), status: 412, most: 1 << 20},
		{name: "no tag can be made", handler: &Handler{Buffer: &Buffer{MaxBody: 1 << 10}}, fields: pairs("If-Match", strongTag), status: 412, most: 1 << 20},
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
