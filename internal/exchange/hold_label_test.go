package exchange_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
)

// RFC 9110 §15.4.5: a 304 has the tag that the 200 would have. One that a date decides has it where the body is read anyway,
// and the date is sure to be that of the version that the client has.
func TestTagOfNotModifiedByDate(t *testing.T) {
	byDate := pairs("If-Modified-Since", modified)
	dated := func(fields ...string) caddyhttp.HandlerFunc {
		return sendsPage(append(fields, "Last-Modified", modified)...)
	}
	with := func(etag string) []string { return pairs("Etag", etag, "Last-Modified", "", "Content-Length", "") }
	weak := "W/" + datedTag
	undated := &Handler{ETag: &ETag{Existing: "replace"}}
	rows := []trial{
		{name: "bare", want: with(datedTag)},
		{name: "a later date of the client's", fields: pairs("If-Modified-Since", dayAfter), want: with(datedTag)},
		{name: "a declared length", next: dated("Content-Length", "12"), want: with(datedTag)},
		{name: "a coding may follow", fields: append(byDate, "Accept-Encoding", "gzip"), want: with(weak)},
		{name: "another tag is replaced", handler: undated, next: dated("Etag", `"abc"`), want: with(strongTag)},
		{name: "Vary: Accept-Encoding", next: dated("Vary", "Accept-Encoding"), want: with(datedTag)},
		{name: "a minute before Date", next: dated("Date", "Tue, 14 Nov 2023 22:14:20 GMT"), want: with(datedTag)},
		{name: "a HEAD as GET", handler: &Handler{Head: "get"}, method: "HEAD", want: with(datedTag)},
		{name: "the upstream's own tag", next: dated("Etag", `"abc"`), want: with(`"abc"`)},
	}
	for i := range rows {
		rows[i].status, rows[i].outcome, rows[i].reason = 304, "not_modified", "if_modified_since"
		if rows[i].fields == nil {
			rows[i].fields = byDate
		}
		if rows[i].next == nil {
			rows[i].next = dated()
		}
	}
	runTrials(t, rows)
}

// Else it goes without, at once: the client may have stored another version of the same date, and would get the name of
// this one for it.
func TestNotModifiedByDateWithoutATag(t *testing.T) {
	byDate := pairs("If-Modified-Since", modified)
	dated := func(fields ...string) caddyhttp.HandlerFunc {
		return sendsPage(append(fields, "Last-Modified", modified)...)
	}
	keyed := func(key string) *Handler { return &Handler{Remember: &Remember{Key: key}, Block: t.Name()} }
	private := &Handler{CacheControl: []CacheControl{{Directives: pairs("private", "max-age=60")}}}
	rows := []trial{
		{name: "a cookie", fields: append(byDate, "Cookie", "a=1")},
		{name: "credentials", fields: append(byDate, "Authorization", "Basic x")},
		{name: "what key tells apart", handler: keyed("{http.request.header.X-Api-Key}"), fields: append(byDate, "X-Api-Key", "1")},
		{name: "a key that cannot be made", handler: keyed("{no.such.placeholder}")},
		{name: "Set-Cookie", next: dated("Set-Cookie", "a=1")},
		{name: "private", next: dated("Cache-Control", "private")},
		{name: "private by a row", handler: private},
		{name: "Vary on another field", next: dated("Vary", "Accept-Language")},
		{name: "ignore", handler: ignoring("csrf")},
		{name: "less than a minute before Date", next: dated("Date", "Tue, 14 Nov 2023 22:14:19 GMT")},
		{name: "a date that was found", handler: &Handler{LastModified: &LastModified{From: []LastModifiedSource{{Header: "X-Date"}}}}, next: sendsPage("X-Date", modified)},
		{name: "a declared length over what is read anyway", next: dated("Content-Length", strconv.Itoa(capture.DiscardLimit+1))},
		{name: "a body that grows over it", next: sends(200, strings.Repeat("a", capture.DiscardLimit+1), "Last-Modified", modified)},
		{name: "a body over its declared length", next: dated("Content-Length", "11")},
		{name: "a body that is cut off", next: dated("Content-Length", "13")},
		{name: "a body that is aborted", next: aborting(dated("Content-Length", "13"), http.ErrAbortHandler)},
		{name: "an abort behind the whole", next: aborting(dated(), http.ErrAbortHandler)},
		{name: "an error behind the head", next: failing(dated(), errors.New("late"))},
		{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}},
		{name: "no-store", next: dated("Cache-Control", "no-store")},
		{name: "a HEAD", method: "HEAD"},
		{name: "a row that the body brings", handler: &Handler{CacheControl: []CacheControl{{MediaType: OneOrMore{"text/html"}, Directives: pairs("private"), Existing: "replace"}}}, next: sends(200, "<html>", "Last-Modified", modified)},
		{name: "no-store that the body brings", handler: &Handler{CacheControl: []CacheControl{{MediaType: OneOrMore{"text/html"}, Directives: pairs("no-store")}}}, next: sends(200, "<html>", "Last-Modified", modified)},
	}
	for i := range rows {
		rows[i].status, rows[i].outcome, rows[i].reason = 304, "not_modified", "if_modified_since"
		rows[i].want = pairs("Etag", "", "Last-Modified", modified)
		if rows[i].fields == nil {
			rows[i].fields = byDate
		}
		if rows[i].next == nil {
			rows[i].next = dated()
		}
	}
	runTrials(t, rows)
	t.Run("no room", func(t *testing.T) {
		(&trial{fields: byDate, next: dated(), status: 304, want: pairs("Etag", "")}).against(t, bounded(t, 1, nil))
	})
	t.Run("a user who is found out further in", func(t *testing.T) {
		v := newVisit(t, "GET", "/", byDate...)
		v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
			v.repl.Set("http.auth.user.id", "eve")
			return dated()(w, r)
		})
		wantStatus(t, v, 304)
		wantPairs(t, "the response", v.rec.Header(), pairs("Etag", ""))
	})
}

// The client does not wait for the tag for longer than the body would be read anyway, whatever max_delay says.
func TestNotModifiedByDateIsNotLate(t *testing.T) {
	for name, h := range map[string]*Handler{"by default": nil, "without max_delay": {Buffer: &Buffer{MaxDelay: -1}}, "with a longer one": {Buffer: &Buffer{MaxDelay: Delay(time.Minute)}}} {
		for late, want := range map[time.Duration]string{40 * time.Millisecond: datedTag, 60 * time.Millisecond: ""} {
			t.Run(name+", "+late.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(provisioned(t, h), func(w http.ResponseWriter, r *http.Request) error {
						addPairs(w.Header(), pairs("Content-Type", "text/plain", "Last-Modified", modified, "Date", dayAfter)) // a bubble begins in 2000
						w.WriteHeader(http.StatusOK)
						select {
						case <-time.After(late):
							_, _ = io.WriteString(w, page)
						case <-r.Context().Done():
						}
						return nil
					})
					wantStatus(t, v, 304)
					wantPairs(t, "the response", v.rec.Header(), pairs("Etag", want))
					if waited := time.Since(began); waited > 110*time.Millisecond {
						t.Errorf("it took %v", waited)
					}
				})
			})
		}
	}
}

// Of nested instances the outer one takes what the inner one has said; and what the 304 names is remembered.
func TestTagOfNotModifiedByDateTravels(t *testing.T) {
	dated := sendsPage("Last-Modified", modified)
	v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(inBlock(t, "outer", new(Handler)), within(inBlock(t, "inner", new(Handler)), dated))
	wantStatus(t, v, 304)
	wantPairs(t, "the response", v.rec.Header(), pairs("Etag", datedTag))
	runSteps(t, remembering(t, nil),
		step{fields: pairs("If-Modified-Since", modified), next: dated, asked: true, status: 304, want: pairs("Etag", datedTag)},
		step{fields: pairs("If-None-Match", datedTag), status: 304, reason: "remembered", want: pairs("Etag", datedTag)})
}

// unmoved counts the warnings of a date that stays while the content changes.
func unmoved(logs *observer.ObservedLogs) int {
	return logs.FilterMessageSnippet("stays the same while the content changes").Len()
}

// sees is one version of a page after another.
func sees(t *testing.T, h *Handler, target string, fields []string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_ = newVisit(t, "GET", target).to(h, sends(200, body, append(fields, "Content-Type", "text/plain")...))
	}
}

// A date that stays while the content changes is told of, once, and 304s by it get no tag from then on.
func TestConstantDate(t *testing.T) {
	logs := watched(t)
	constant := pairs("Last-Modified", modified)
	for name, h := range map[string]*Handler{"bare": nil, "existing replace": {ETag: &ETag{Existing: "replace"}}} {
		t.Run(name, func(t *testing.T) {
			before := unmoved(logs)
			h := provisioned(t, h)
			sees(t, h, "/page?q", constant, "a", "a", "b")
			if n := unmoved(logs) - before; n != 0 {
				t.Errorf("%d warnings of one change", n)
			}
			sees(t, h, "/page?q", constant, "c", "d", "e")
			if n := unmoved(logs) - before; n != 1 {
				t.Errorf("%d warnings, want 1", n)
			}
			v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(h, sendsPage("Last-Modified", modified))
			wantStatus(t, v, 304)
			wantPairs(t, "the response", v.rec.Header(), pairs("Etag", ""))
		})
	}
}

// Nothing is told of dates that may be right, and of those that no client gets.
func TestDatesThatAreNotConstant(t *testing.T) {
	logs := watched(t)
	constant := func(fields ...string) []string { return append(fields, "Last-Modified", modified) }
	remove := &Handler{LastModified: &LastModified{Mode: "remove"}}
	for _, tt := range []struct {
		name    string
		handler *Handler
		fields  []string
	}{
		{name: "no date"},
		{name: "less than a minute old", fields: constant("Date", "Tue, 14 Nov 2023 22:14:19 GMT")},
		{name: "a coded body", fields: constant("Content-Encoding", "gzip")},
		{name: "Vary", fields: constant("Vary", "Cookie")},
		{name: "Set-Cookie", fields: constant("Set-Cookie", "a=1")},
		{name: "private", fields: constant("Cache-Control", "private")},
		{name: "the upstream's own tag", fields: constant("Etag", `"abc"`)},
		{name: "a build tool's, not sent", fields: pairs("Last-Modified", epochDate)},
		{name: "last_modified remove", handler: remove, fields: constant()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sees(t, provisioned(t, tt.handler), "/", tt.fields, "a", "b", "c", "d")
			if n := unmoved(logs); n != 0 {
				t.Errorf("%d warnings", n)
			}
		})
	}
	t.Run("changed with the content", func(t *testing.T) {
		h := provisioned(t, nil)
		for i := range 20 {
			body := strings.Repeat("y", i)
			sees(t, h, "/", pairs("Last-Modified", time.Unix(1_700_000_000+int64(i), 0).UTC().Format(http.TimeFormat)), body)
			sees(t, h, "/"+body, constant(), body, body) // one date for many pages
		}
		if n := unmoved(logs); n != 0 {
			t.Errorf("%d warnings", n)
		}
	})
}
