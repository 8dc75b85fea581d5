package exchange_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

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

// Design §3: a response is held until it ends or max_delay, counted from its head, has passed.
func TestMaxDelay(t *testing.T) {
	for _, row := range []trial{
		{name: "default, in time", next: slowly(90*time.Millisecond, "hello,", " world"), outcome: "tagged", want: pairs("Etag", strongTag)},
		{name: "default, too late", next: slowly(110*time.Millisecond, "hello,", " world"), outcome: "streamed", reason: "max_delay", want: pairs("Etag", "")},
		{name: "nothing but a head in time", next: slowly(time.Second, page), outcome: "streamed", reason: "max_delay"},
		{
			name: "as configured", handler: &Handler{Buffer: &Buffer{MaxDelay: Delay(time.Minute)}},
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
			row.against(t, bounded(t, 1, nil))
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
