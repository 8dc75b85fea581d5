package exchange_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
)

// policy is one with every kind of selector.
func rowsOfEveryKind() *Handler {
	return &Handler{
		Expires: "off",
		CacheControl: []CacheControl{
			{ResponseMatcher: "errors", Directives: pairs("no-cache"), Existing: "replace"},
			{Path: OneOrMore{"/assets/*"}, Directives: pairs("public max-age=30d immutable")},
			{MediaType: OneOrMore{"text/html"}, Directives: pairs("max-age=0, must-revalidate")},
			{MediaType: OneOrMore{"image/*"}, Directives: pairs("max-age=1h")},
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
	typed := row(CacheControl{MediaType: OneOrMore{"text/plain"}, Directives: pairs("public"), Existing: "replace"})
	hidden := &Handler{CacheControl: append(typed.CacheControl, CacheControl{Directives: pairs("no-cache"), Existing: "replace"})}
	behindErrors := &Handler{
		Expires: "off", ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"missing": {StatusCode: []int{404, 410}}},
		CacheControl: []CacheControl{{ResponseMatcher: "missing", Directives: pairs("max-age=60")}, {Directives: pairs("public"), Existing: "replace"}},
	}
	byPath := row(CacheControl{Path: OneOrMore{"/*"}, Directives: pairs("public"), Existing: "replace"})
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
		{name: "a foreign 304, keep by type: it says what it says", handler: row(CacheControl{MediaType: OneOrMore{"text/plain"}, Directives: pairs("public")}), next: theirs, status: 304, want: is("max-age=5")},
		{name: "a foreign 304, a matcher of errors hides nothing", handler: behindErrors, next: theirs, status: 304, want: is("public")},
		{name: "a foreign 304, keep", handler: shared, next: theirs, status: 304, want: is("max-age=5")},
		{name: "a foreign 304 without any, keep without a lifetime", handler: row(CacheControl{Directives: pairs("public")}), next: sends(304, ""), status: 304, want: is("")},
		{name: "a foreign 304 without any, keep", handler: shared, next: sends(304, ""), status: 304, want: is("")},
		{name: "a 412 has none", handler: replacing, fields: pairs("If-Match", staleTag), status: 412, want: is("")},
		{name: "late: max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 1}, CacheControl: shared.CacheControl, Expires: "off"}, want: is("public, s-maxage=3600, max-age=60")},
		{name: "cut off", handler: shared, next: sendsPage("Content-Length", "13"), reason: "short_body", want: is("public, s-maxage=3600, max-age=60")},
	})
}

// A row that is off leaves what it selects as it is, whatever would speak to it else.
func TestCacheControlOff(t *testing.T) {
	off := func(row CacheControl, below ...CacheControl) *Handler {
		row.Off = true
		return &Handler{
			Expires: "modified", ExpiresModified: caddy.Duration(time.Hour), CacheControl: append([]CacheControl{row}, below...),
			ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"missing": {StatusCode: []int{404}}, "page": {StatusCode: []int{200}}},
		}
	}
	replacing := CacheControl{Path: OneOrMore{"/*"}, Directives: pairs("public max-age=60"), Existing: "replace"}
	missing := CacheControl{ResponseMatcher: "missing", Directives: pairs("max-age=60")}
	byPath, typed := CacheControl{Path: OneOrMore{"/other", "/"}}, CacheControl{MediaType: OneOrMore{"image/*", "text/plain"}}
	dated := sendsPage("Last-Modified", modified)
	is := func(s string) []string { return pairs("Cache-Control", s, "Expires", "") }
	match := pairs("If-None-Match", strongTag)
	runTrials(t, []trial{
		{name: "by path", handler: off(byPath, replacing), want: is("")},
		{name: "by path, with a date: nothing counts from it", handler: off(byPath), next: dated, want: is("")},
		{name: "by path, the upstream's word stands", handler: off(byPath, replacing), next: sendsPage("Cache-Control", "max-age=5"), want: is("max-age=5")},
		{name: "by path, an error", handler: off(byPath, missing), next: sends(404, "b"), status: 404, body: "b", want: is("")},
		{name: "by another path", handler: off(CacheControl{Path: OneOrMore{"/other"}}, replacing), want: pairs("Cache-Control", "public, max-age=60")},
		{name: "by type", handler: off(typed, replacing), want: is("")},
		{name: "by another type", handler: off(CacheControl{MediaType: OneOrMore{"image/*"}}, replacing), want: pairs("Cache-Control", "public, max-age=60")},
		{name: "by a matcher", handler: off(CacheControl{ResponseMatcher: "page"}, replacing), want: is("")},
		{name: "our 304", handler: off(byPath, replacing), fields: match, status: 304, want: is("")},
		{name: "a foreign 304", handler: off(byPath, replacing), next: sends(304, "", "Cache-Control", "max-age=5"), status: 304, want: is("max-age=5")},
		{name: "a foreign 304, by type: a row below may have replaced", handler: off(typed, replacing), next: sends(304, "", "Cache-Control", "max-age=5"), status: 304, want: is("")},
	})
}

// Of several types, each has the row.
func TestCacheControlOfSeveralTypes(t *testing.T) {
	several := &Handler{Expires: "off", CacheControl: []CacheControl{{MediaType: OneOrMore{"Image/*", "Text/Plain"}, Directives: pairs("no-cache")}}}
	runTrials(t, []trial{
		{name: "the second", handler: several, want: pairs("Cache-Control", "no-cache")},
		{name: "the first", handler: several, next: sends(200, page, "Content-Type", "image/png"), want: pairs("Cache-Control", "no-cache")},
		{name: "none of them", handler: several, next: sends(200, page, "Content-Type", "text/html"), want: pairs("Cache-Control", "")},
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
	byPath := row(CacheControl{Path: OneOrMore{"/*"}, Directives: pairs("public max-age=1d"), Existing: "merge"})
	typed := row(CacheControl{MediaType: OneOrMore{"text/plain"}, Directives: pairs("public max-age=1d"), Existing: "merge"})
	off := &Handler{Expires: "off", CacheControl: typed.CacheControl}
	behind := &Handler{CacheControl: []CacheControl{{MediaType: OneOrMore{"text/html"}, Directives: pairs("public")}, merging.CacheControl[0]}}
	missing := &Handler{
		CacheControl:     []CacheControl{{ResponseMatcher: "missing", Directives: pairs("max-age=60"), Existing: "merge"}, {Directives: pairs("public")}},
		ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"missing": {StatusCode: []int{404}}},
	}
	html := CacheControl{MediaType: OneOrMore{"text/html"}, Directives: pairs("public")}
	hidesErrors := &Handler{CacheControl: []CacheControl{html, missing.CacheControl[0]}, ResponseMatchers: missing.ResponseMatchers}
	hidesOther := &Handler{CacheControl: []CacheControl{html, {Path: OneOrMore{"/other"}, Directives: pairs("public"), Existing: "merge"}}}
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

// What goes out decides whether a response may be stored, and so whether it has a tag: a row may lift the upstream's
// no-store, or bring one. A row that is known with the body only lifts nothing.
func TestNoStoreThatGoesOut(t *testing.T) {
	rows := func(rows ...CacheControl) *Handler { return &Handler{CacheControl: rows} }
	html := func(existing string, directives ...string) CacheControl {
		return CacheControl{MediaType: OneOrMore{"text/html"}, Directives: directives, Existing: existing}
	}
	all := func(existing string, directives ...string) CacheControl {
		return CacheControl{Directives: directives, Existing: existing}
	}
	htmlTag := tagOf(t, nil, sendsHTML(page))
	refused := pairs("Cache-Control", "no-cache, no-store", "Pragma", "no-cache", "Expires", "Thu, 19 Nov 1981 08:52:00 GMT")
	lifted := pairs("Cache-Control", "private, no-cache", "Pragma", "", "Etag", htmlTag)
	lifting := rows(html("replace", "private", "no-cache"))
	untyped := func(fields ...string) caddyhttp.HandlerFunc { return sends(200, "<html>"+page, fields...) }
	runTrials(t, []trial{
		{name: "lifted", handler: lifting, next: sendsHTML(page, refused...), outcome: "tagged", reason: "no_condition", want: lifted},
		{name: "lifted, and nothing has changed", handler: lifting, fields: pairs("If-None-Match", htmlTag), next: sendsHTML(page, refused...), status: 304, reason: "if_none_match", want: lifted},
		{name: "lifted, and a part is asked for", handler: lifting, fields: pairs("Range", "bytes=0-4"), next: sendsHTML(page, refused...), status: 206, body: "hello", outcome: "partial"},
		{name: "lifted, of a HEAD as GET", handler: &Handler{Head: "get", CacheControl: lifting.CacheControl}, method: "HEAD", next: sendsHTML(page, refused...), want: lifted},
		{name: "the request's own counts", handler: lifting, fields: pairs("Cache-Control", "no-store"), next: sendsHTML(page), outcome: "streamed", reason: "no_store", want: pairs("Etag", "")},
		{name: "of another type", handler: lifting, next: sendsPage(refused...), outcome: "streamed", reason: "no_store", want: pairs("Etag", "")},
		{name: "a row that keeps", handler: rows(html("", "no-cache")), next: sendsHTML(page, refused...), outcome: "streamed", reason: "no_store", want: pairs("Etag", "")},
		{name: "a row that merges", handler: rows(html("merge", "no-cache")), next: sendsHTML(page, refused...), outcome: "streamed", reason: "no_store", want: pairs("Etag", "")},
		{name: "of a type that is found out", handler: rows(html("replace", "no-cache")), next: untyped("Cache-Control", "no-store"), body: "<html>" + page, outcome: "streamed", reason: "no_store", want: pairs("Etag", "", "Cache-Control", "no-store")},
		{name: "of a type that is found out, before a row for the rest", handler: rows(html("", "no-cache"), all("replace", "no-cache")), next: untyped("Cache-Control", "no-store"), body: "<html>" + page, outcome: "streamed", reason: "no_store", want: pairs("Etag", "")},
		{name: "… which is only known to apply with the body", handler: rows(html("", "no-cache"), all("replace", "no-cache")), next: sends(200, page, "Cache-Control", "no-store"), outcome: "streamed", reason: "no_store", want: pairs("Etag", "", "Cache-Control", "no-store")},
		{name: "brought in place of another word", handler: rows(all("replace", "no-store")), next: sendsPage("Cache-Control", "max-age=60"), outcome: "streamed", reason: "no_store", want: pairs("Etag", "", "Cache-Control", "no-store")},
		{name: "brought where there is no word", handler: rows(all("", "no-store")), outcome: "streamed", reason: "no_store", want: pairs("Etag", "", "Cache-Control", "no-store")},
		{name: "brought by merging", handler: rows(all("merge", "no-store")), next: sendsPage("Cache-Control", "max-age=60"), outcome: "streamed", reason: "no_store", want: pairs("Etag", "")},
		{name: "not brought where another word is kept", handler: rows(all("", "no-store")), next: sendsPage("Cache-Control", "max-age=60"), outcome: "tagged", want: pairs("Etag", strongTag)},
		{name: "brought for a type that is found out", handler: rows(html("replace", "no-store")), next: untyped(), body: "<html>" + page, outcome: "streamed", reason: "no_store", want: pairs("Etag", "", "Cache-Control", "no-store", "Content-Length", "18")},
		{name: "… and a tag matches nothing", handler: rows(html("replace", "no-store")), fields: pairs("If-None-Match", tagOf(t, nil, untyped())), next: untyped(), body: "<html>" + page, outcome: "streamed", reason: "no_store"},
		{name: "… and for none", handler: rows(html("replace", "no-store")), next: sends(200, page), outcome: "tagged"},
		{name: "the upstream's own tag stands", handler: rows(all("replace", "no-store")), fields: pairs("If-None-Match", `"abc"`), next: sendsPage("Etag", `"abc"`), status: 304, want: pairs("Etag", `"abc"`)},
	})
	t.Run("nested", func(t *testing.T) {
		inner, outer := inBlock(t, "inner", lifting), inBlock(t, "outer", new(Handler))
		v := newVisit(t, "GET", "/").to(outer, within(inner, sendsHTML(page, refused...)))
		wantPairs(t, "the response of both", v.rec.Header(), lifted)
		inner, outer = inBlock(t, "inner", new(Handler)), inBlock(t, "outer", lifting)
		v = newVisit(t, "GET", "/").to(outer, within(inner, sendsHTML(page, refused...)))
		wantPairs(t, "the response of the outer", v.rec.Header(), lifted)
	})
	t.Run("nothing is remembered", func(t *testing.T) {
		h := remembering(t, func(h *Handler) { h.CacheControl = []CacheControl{html("replace", "public", "max-age=60")} })
		again := step{fields: pairs("If-None-Match", htmlTag), status: 304, asked: true, next: sendsHTML(page, refused...), want: pairs("Etag", htmlTag)}
		runSteps(t, h, step{asked: true, next: sendsHTML(page, refused...), want: pairs("Etag", htmlTag)}, again, again)
	})
	t.Run("writes are guarded by what a GET would get", func(t *testing.T) {
		for _, row := range []guardTrial{
			{name: "lifted", handler: &Handler{CacheControl: lifting.CacheControl}, get: sendsHTML(page, refused...), status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"},
			{name: "brought", handler: rows(html("replace", "no-store")), get: sendsHTML(page), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
			{name: "brought for a type that is found out", handler: rows(html("replace", "no-store")), fields: pairs("If-Match", tagOf(t, nil, untyped())), get: untyped(), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		} {
			if row.fields == nil {
				row.fields = pairs("If-Match", htmlTag)
			}
			t.Run(row.name, row.run)
		}
	})
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

// Design §3, "Freshness": jitter is stable per URL as the client sent it, and different between URLs.
func TestJitter(t *testing.T) {
	h := provisioned(t, &Handler{CacheControl: []CacheControl{
		{Path: OneOrMore{"/plain"}, Directives: pairs("max-age=1000000")},
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
		{"our 304 of a date", "GET", pairs("If-Modified-Since", modified), sends(200, html, "Last-Modified", modified), "max-age=0, must-revalidate"},
		{"our 304 of a date, to somebody", "GET", pairs("If-Modified-Since", modified, "Cookie", "a=1"), sends(200, html, "Last-Modified", modified), "max-age=0, must-revalidate"},
		{"our 304 of a date that is new", "GET", pairs("If-Modified-Since", modified), sends(200, html, "Last-Modified", modified, "Date", modified), "max-age=0, must-revalidate"},
		{"our 304 of a date at the head", "GET", pairs("If-Modified-Since", modified), sends(200, html, "Last-Modified", modified, "Content-Length", strconv.Itoa(capture.DiscardLimit+1)), ""},
		{"our 304 of a date, of much", "GET", pairs("If-Modified-Since", modified), sends(200, html+strings.Repeat(" ", capture.DiscardLimit), "Last-Modified", modified), ""},
		{"our 304 of a date, cut off", "GET", pairs("If-Modified-Since", modified), sends(200, html, "Last-Modified", modified, "Content-Length", "100"), ""},
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
