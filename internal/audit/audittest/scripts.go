package audittest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

// Good is a server without any fault.
var Good = Script{}

// edit changes the fields of all answers; an empty value takes one away.
func edit(name, value string) func(int, *http.Request, *httptest.ResponseRecorder) {
	return func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) { set(answer, name, value) }
}

func set(answer *httptest.ResponseRecorder, name, value string) {
	if value == "" {
		answer.Header().Del(name)
		return
	}
	answer.Header().Set(name, value)
}

// on304 changes the fields of 304s.
func on304(name, value string) func(int, *http.Request, *httptest.ResponseRecorder) {
	return func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Code == http.StatusNotModified {
			set(answer, name, value)
		}
	}
}

// unconditional takes the conditions away where when says so.
func unconditional(when func(r *http.Request) bool) func(*http.Request) {
	return func(r *http.Request) {
		if when(r) {
			r.Header.Del("If-None-Match")
			r.Header.Del("If-Modified-Since")
		}
	}
}

func always(*http.Request) bool { return true }

func noneMatch(r *http.Request) string { return r.Header.Get("If-None-Match") }

// tracked reports whether a request has a parameter of trackers.
func tracked(r *http.Request) bool { return r.URL.RawQuery != "" }

func numbered(format string) func(int, *http.Request) string {
	return func(n int, _ *http.Request) string { return fmt.Sprintf(format, n) }
}

func fixed(text string) func(int, *http.Request) string {
	return func(int, *http.Request) string { return text }
}

// apart gives each request a time of its own: no two answers are of one second.
func apart(n int) time.Time { return Modified.Add(time.Duration(n) * time.Minute) }

// Tags are scripts of servers whose tags are wrong.
var Tags = []Script{
	{Kind: audit.NoValidator, Edit: func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) {
		set(answer, "Etag", "")
		set(answer, "Last-Modified", "")
	}},
	{Kind: audit.NoTag, Edit: edit("Etag", "")},
	{Kind: audit.MalformedTag, Edit: edit("Etag", "unquoted")},
	{Kind: audit.UnstableTag, Tag: numbered(`"v%d"`), Before: unconditional(always)},
	{
		Kind: audit.UnstableBody, Body: numbered(Page + "<script nonce=\"%020d\">go()</script>\n"),
		Edit: edit("Last-Modified", ""),
	},
	{Kind: audit.StaleTag, Body: numbered(Page + "<p>Version %d</p>\n"), Tag: fixed(`"v1"`)},
	{Kind: audit.ReplicaTag, Replica: &Script{Tag: fixed(`"other"`)}},
	{Kind: audit.ReplicaDate, Replica: &Script{Modified: func(int) time.Time { return Modified.Add(time.Hour) }}},
	{Kind: audit.ReplicaBody, Replica: &Script{Body: fixed(Page + "other")}},
}

// Codings are scripts of servers that compress wrongly.
var Codings = []Script{
	{Kind: audit.CodingForced, Before: func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }},
	{Kind: audit.CodingDropsTag, Edit: func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Header().Get("Content-Encoding") != "" {
			set(answer, "Etag", "")
		}
	}},
	{Kind: audit.CodingSharesTag, Tag: fixed(`"v1"`), CodedTag: fixed(`"v1"`)},
	{Kind: audit.CodingUnstableTag, CodedTag: numbered(`"v%d-gzip"`)},
	{Kind: audit.CodingNotConfirmed, Before: unconditional(func(r *http.Request) bool { return strings.HasSuffix(noneMatch(r), `-gzip"`) })},
	{Kind: audit.VaryMissing, Edit: edit("Vary", "")},
	{Kind: audit.VaryStar, Edit: edit("Vary", "*")},
}

// Conditions are scripts of servers that answer If-None-Match and If-Modified-Since wrongly.
var Conditions = []Script{
	{Kind: audit.NotConfirmed, Before: unconditional(func(r *http.Request) bool { return noneMatch(r) != "" })},
	{Kind: audit.ListNotConfirmed, Before: unconditional(func(r *http.Request) bool { return strings.Contains(noneMatch(r), ", ") })},
	{Kind: audit.WeakNotConfirmed, Before: unconditional(func(r *http.Request) bool { return strings.HasPrefix(noneMatch(r), "W/") })},
	{Kind: audit.AlwaysNotModified, Before: func(r *http.Request) {
		if noneMatch(r) != "" {
			r.Header.Set("If-None-Match", "*")
		}
	}},
	{Kind: audit.DateBeforeTag, Before: func(r *http.Request) {
		if r.Header.Get("If-Modified-Since") != "" {
			r.Header.Del("If-None-Match")
		}
	}},
	{Kind: audit.DateNotConfirmed, Before: func(r *http.Request) { r.Header.Del("If-Modified-Since") }},
	{Kind: audit.DateAlwaysNotModified, Before: func(r *http.Request) {
		if r.Header.Get("If-Modified-Since") != "" {
			r.Header.Set("If-Modified-Since", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		}
	}},
	{Kind: audit.NotModifiedWithout, Edit: on304("Cache-Control", "")},
	{Kind: audit.NotModifiedChanges, Edit: on304("Cache-Control", "max-age=5")},
	{Kind: audit.NotModifiedDescribes, Edit: on304("Content-Language", "de")},
	{Kind: audit.NotModifiedNonce, Edit: func(n int, _ *http.Request, answer *httptest.ResponseRecorder) {
		set(answer, "Content-Security-Policy", fmt.Sprintf("script-src 'nonce-%d'", n))
	}},
	{Kind: audit.NotModifiedCORS, Edit: func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Code == http.StatusOK {
			set(answer, "Access-Control-Allow-Origin", "*")
		}
	}},
}

// Others are scripts of servers that answer HEAD and Range wrongly.
var Others = []Script{
	{Kind: audit.HeadStatus, Edit: func(_ int, r *http.Request, answer *httptest.ResponseRecorder) {
		if r.Method == http.MethodHead {
			answer.Code = http.StatusMethodNotAllowed
		}
	}},
	{Kind: audit.HeadDiffers, Edit: func(_ int, r *http.Request, answer *httptest.ResponseRecorder) {
		if r.Method == http.MethodHead {
			set(answer, "Content-Type", "text/plain")
		}
	}},
	{Kind: audit.HeadWithout, Edit: func(_ int, r *http.Request, answer *httptest.ResponseRecorder) {
		if r.Method == http.MethodHead {
			set(answer, "Etag", "")
		}
	}},
	{Kind: audit.HeadBody, Raw: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead {
			return false
		}
		conn, stream, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return false
		}
		defer conn.Close() //nolint:errcheck // what was to be sent is sent
		_, _ = stream.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + Page)
		return stream.Flush() == nil
	}},
	{Kind: audit.IfRangeNotConfirmed, Before: func(r *http.Request) { r.Header.Del("Range") }},
	{Kind: audit.IfRangeIgnored, Before: func(r *http.Request) { r.Header.Del("If-Range") }},
	{Kind: audit.IfRangeWeak, Before: func(r *http.Request) {
		r.Header.Set("If-Range", strings.TrimPrefix(r.Header.Get("If-Range"), "W/"))
	}},
	{Kind: audit.RangeWrong, Edit: func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Code == http.StatusPartialContent {
			answer.Body.Reset()
			answer.Body.WriteString("0123456789")
		}
	}},
}

// Dates are scripts of servers whose dates are wrong.
var Dates = []Script{
	{Kind: audit.DateMalformed, Edit: edit("Last-Modified", "2026-03-04T05:06:07Z")},
	{Kind: audit.DateFuture, Modified: func(int) time.Time { return time.Now().Add(time.Hour) }},
	{Kind: audit.DateEpoch, Modified: func(int) time.Time { return time.Unix(1, 0) }},
	{Kind: audit.DateNow, Edit: func(n int, _ *http.Request, answer *httptest.ResponseRecorder) {
		set(answer, "Date", apart(n).Format(http.TimeFormat))
		set(answer, "Last-Modified", apart(n).Format(http.TimeFormat))
	}},
	{Kind: audit.DateUnstable, Edit: func(n int, _ *http.Request, answer *httptest.ResponseRecorder) {
		set(answer, "Last-Modified", apart(n).Format(http.TimeFormat))
	}},
	{Kind: audit.DateConstant, Also: []audit.Kind{audit.UnstableBody}, Body: numbered(Page + "<p>Version %d</p>\n")},
	{Kind: audit.DateEverywhere, Paths: []string{"/a", "/b", "/c"}},
	{Kind: audit.NoDate, Edit: func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) {
		answer.Header()["Date"] = nil // or the server would set one
	}},
}

// Freshness are scripts of servers whose Cache-Control is wrong.
var Freshness = []Script{
	{Kind: audit.NoStore, Edit: edit("Cache-Control", "no-store")},
	{Kind: audit.Heuristic, Edit: edit("Cache-Control", "")},
	{Kind: audit.Contradiction, Edit: edit("Cache-Control", "public, private, max-age=60")},
	{Kind: audit.MalformedCacheControl, Edit: edit("Cache-Control", "max-age=60; public")},
	{Kind: audit.ExpiresContradicts, Edit: func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) {
		set(answer, "Cache-Control", "max-age=60")
		set(answer, "Expires", time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat))
	}},
	{Kind: audit.PublicSetCookie, Edit: func(n int, _ *http.Request, answer *httptest.ResponseRecorder) {
		set(answer, "Cache-Control", "public, max-age=60")
		set(answer, "Set-Cookie", fmt.Sprintf("visit=%d", n))
	}},
	{Kind: audit.TrackingTag, Tag: func(_ int, r *http.Request) string { return fmt.Sprintf(`"v1-%d"`, len(r.URL.RawQuery)) }},
	{Kind: audit.TrackingBody, Body: func(_ int, r *http.Request) string { return Page + "<!-- " + r.URL.RequestURI() + " -->\n" }},
	{Kind: audit.TrackingMiss, Edit: func(_ int, r *http.Request, answer *httptest.ResponseRecorder) {
		if set(answer, "X-Cache", "HIT"); tracked(r) {
			set(answer, "X-Cache", "MISS")
		}
	}},
}

// Reach are scripts of servers of which not all can be seen.
var Reach = []Script{
	{Kind: audit.ProbeFailed, Before: func(r *http.Request) {
		if r.Method == http.MethodHead {
			panic(http.ErrAbortHandler)
		}
	}},
	{Kind: audit.SlowDown, Edit: func(n int, _ *http.Request, answer *httptest.ResponseRecorder) {
		if n > 5 {
			answer.Code = http.StatusTooManyRequests
		}
	}},
	{Kind: audit.NotOK, Edit: func(_ int, _ *http.Request, answer *httptest.ResponseRecorder) { answer.Code = http.StatusForbidden }},
	{Kind: audit.Redirected, Edit: func(_ int, r *http.Request, answer *httptest.ResponseRecorder) {
		if r.URL.Path == "/" {
			set(answer, "Location", "/there")
			answer.Code = http.StatusMovedPermanently
		}
	}},
	{Kind: audit.BodyLimit, Body: fixed(strings.Repeat(Page, int(Limit)/len(Page)+1))},
}

// Limit is how much of a body an audit of these servers is to read.
const Limit = 64 << 10

// Scripts are all of them.
func Scripts() (all []*Script) {
	for _, some := range [...][]Script{Reach, Tags, Codings, Conditions, Others, Dates, Freshness} {
		for i := range some {
			all = append(all, &some[i])
		}
	}
	return all
}
