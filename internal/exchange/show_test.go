package exchange_test

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

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
		{name: "IE's form", fields: pairs("If-Modified-Since", modified+"; length=12"), want: pairs("If-Modified-Since", modified+"; length=12")},
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

// What lenient understands, the upstream sees in HTTP's form.
func TestWhatTheUpstreamSeesUnderLenient(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{Lenient: true}})
	for _, tt := range []struct {
		name         string
		fields, want []string
	}{
		{name: "a build tool's date", fields: pairs("If-Modified-Since", "1970-01-01T00:00:01Z")},
		{
			name: "dates of other forms", fields: pairs("If-Modified-Since", `"`+modified+`; length=12"`, "If-Unmodified-Since", "1700000000.5"),
			want: pairs("If-Modified-Since", modified, "If-Unmodified-Since", modified),
		},
		{
			name: "beside a foreign tag", fields: pairs("If-None-Match", `"abc"`, "If-Modified-Since", "Tue, 14 Nov 2023 23:13:20 +0100"),
			want: pairs("If-None-Match", `"abc"`, "If-Modified-Since", modified),
		},
		{name: "If-Range", fields: pairs("Range", "bytes=0-4", "If-Range", "1700000000"), want: pairs("Range", "bytes=0-4", "If-Range", modified)},
		{name: "an HTTP-date", fields: pairs("If-Modified-Since", "Tuesday, 14-Nov-23 22:13:20 GMT"), want: pairs("If-Modified-Since", "Tuesday, 14-Nov-23 22:13:20 GMT")},
		{name: "no date", fields: pairs("If-Modified-Since", "yesterday"), want: pairs("If-Modified-Since", "yesterday")},
		{name: "two dates", fields: pairs("If-Modified-Since", "1700000000", "If-Modified-Since", "1700000000"), want: pairs("If-Modified-Since", "1700000000", "If-Modified-Since", "1700000000")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newVisit(t, "GET", "/", tt.fields...).to(h, sends(404, "")).wantSeen(tt.want...)
		})
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
		{name: "no bytes beside some, to which net/http gives an empty part", fields: pairs("Range", "bytes=-9,-0,-9"), want: pairs("Range", "bytes=-9,-9")},
		{name: "HEAD", method: "HEAD", fields: pairs("Range", "bytes=0-4", "If-Range", `"x"`)},
		{name: "a tag", fields: pairs("Range", "bytes=0-4", "If-Range", `"x"`), want: pairs("Range", "bytes=0-4", "If-Range", `"x"`)},
		{name: "a weak tag", fields: pairs("Range", "bytes=0-4", "If-Range", `W/"x"`)},
		{name: "no tag, no date", fields: pairs("Range", "bytes=0-4", "If-Range", "x")},
		{name: "a date", fields: pairs("Range", "bytes=0-4", "If-Range", modified), want: pairs("Range", "bytes=0-4", "If-Range", modified)},
		{name: "a date that is not over", fields: pairs("Range", "bytes=0-4", "If-Range", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))},
		{name: "off", handler: &Handler{Ranges: &Ranges{Mode: "off"}}, fields: pairs("Range", "BYTES=0-4", "If-Range", `W/"x"`), want: pairs("Range", "BYTES=0-4", "If-Range", `W/"x"`)},
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

// Design §3, "HEAD": `get` answers with the fields that GET has, and without a body.
func TestHeadAsGet(t *testing.T) {
	rows := []CacheControl{{MediaType: OneOrMore{"text/*"}, Directives: pairs("public")}}
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

// RFC 9110 §14.2: Range is for GET only, so a HEAD that is asked as a GET must not ask for a part.
func TestHeadAsGetWithRange(t *testing.T) {
	h := provisioned(t, &Handler{Head: "get"})
	v := newVisit(t, "HEAD", "/", "Range", "bytes=0-1", "If-Range", `"abc"`).to(h, sendsPage("Etag", `"abc"`))
	v.wantSeen()
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
