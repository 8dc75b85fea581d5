package exchange_test

import (
	"cmp"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Design §3, "Freshness": `modified` counts from Last-Modified, for proxied content too.
func TestExpiresModified(t *testing.T) {
	after := func(d time.Duration, rows ...CacheControl) *Handler {
		return &Handler{Expires: "modified", ExpiresModified: caddy.Duration(d), CacheControl: rows}
	}
	const day = 24 * time.Hour
	next := sendsPage("Last-Modified", dayBefore, "Date", modified)
	is := func(control, expires string) []string { return pairs("Cache-Control", control, "Expires", expires) }
	typed := CacheControl{MediaType: OneOrMore{"text/plain"}, Directives: pairs("public")}
	lasting := CacheControl{MediaType: OneOrMore{"text/plain"}, Directives: pairs("public max-age=60")}
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
		{name: "a row for another type", handler: after(2*day, CacheControl{MediaType: OneOrMore{"image/*"}, Directives: pairs("max-age=60")}), next: next, want: is("max-age=86400", dayAfter)},
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
	typed, byPath := CacheControl{MediaType: OneOrMore{"text/plain"}}, CacheControl{Path: OneOrMore{"/*"}}
	replacing, merging := CacheControl{Existing: "replace"}, CacheControl{Existing: "merge"}
	typedReplacing := CacheControl{MediaType: OneOrMore{"text/plain"}, Existing: "replace"}
	stale, minute := is("max-age=0", modified), is("max-age=60", "Tue, 14 Nov 2023 22:14:20 GMT")
	behind := row(CacheControl{Path: OneOrMore{"/*"}}, "public max-age=60")
	trials := []trial{
		{name: "a row that replaces", handler: lastsAfter(2*day, row(replacing, "public")), next: dated, want: is("public, max-age=86400", dayAfter)},
		{name: "a row that replaces, translated", handler: lastsAfter(2*day, row(replacing, "public")), next: undated, fields: pairs("If-None-Match", datedOf(dayBefore)), want: is("public, max-age=86400", dayAfter)},
		{name: "a row that replaces, no date", handler: lastsAfter(2*day, row(replacing, "public")), next: says304("Cache-Control", "max-age=1"), want: is("public, max-age=0", modified)},
		{name: "a row that replaces, with a lifetime", handler: lastsAfter(2*day, row(CacheControl{Path: OneOrMore{"/*"}, Existing: "replace"}, "max-age=60")), next: undated, want: minute},
		{name: "a row that keeps", handler: lastsAfter(2*day, row(byPath, "public")), next: dated, want: is("public, max-age=86400", dayAfter)},
		{name: "a row that keeps, no date", handler: lastsAfter(2*day, row(byPath, "public")), next: undated, want: is("public, max-age=0", modified)},
		{name: "a row that keeps what the 304 says", handler: lastsAfter(2*day, row(byPath, "public")), next: theirs, want: is("max-age=1", dayAfter)},
		{name: "a row that keeps, with a lifetime: what is stored stands", handler: lastsAfter(2*day, row(byPath, "max-age=60")), next: dated, want: is("", "")},
		{name: "a row that merges", handler: lastsAfter(2*day, row(merging, "public")), next: theirs, want: is("public, max-age=1", "Tue, 14 Nov 2023 22:13:21 GMT")},
		{name: "a row that merges what lasts longer", handler: lastsAfter(2*day, row(merging, "public")), next: says304("Cache-Control", "max-age=999999", "Last-Modified", dayBefore), want: is("public, max-age=86400", dayAfter)},
		{name: "a row that merges what lasts longer, no date", handler: lastsAfter(2*day, row(merging, "public")), next: says304("Cache-Control", "max-age=999999"), want: is("public, max-age=0", modified)},
		{name: "a row that merges, with nothing", handler: lastsAfter(2*day, row(merging, "public")), next: dated, want: is("public, max-age=86400", dayAfter)},
		{name: "a row that merges, with a lifetime and nothing: what is stored stands", handler: lastsAfter(2*day, row(CacheControl{Path: OneOrMore{"/*"}, Existing: "merge"}, "max-age=60")), next: dated, want: is("", "")},
		{name: "a type that hides its row", handler: lastsAfter(2*day, row(typed, "no-cache")), next: dated, want: stale},
		{name: "a type that hides its row, the 304 says so itself", handler: lastsAfter(2*day, row(typed, "no-cache")), next: theirs, want: is("max-age=1", dayAfter)},
		{name: "a type that hides a row that replaces", handler: lastsAfter(2*day, row(typedReplacing, "no-cache")), next: theirs, want: stale},
		{name: "a type that hides one of two rows with a lifetime: what is stored stands", handler: lastsAfter(2*day, row(typed, "no-cache"), behind), next: dated, want: is("", "")},
		{name: "a type that hides a row without a lifetime", handler: lastsAfter(2*day, row(typed, "public"), behind), next: dated, want: stale},
		{name: "a type that hides its row, and a path of others", handler: lastsAfter(2*day, row(typed, "no-cache"), row(CacheControl{Path: OneOrMore{"/other"}}, "max-age=60")), next: dated, want: stale},
	}
	for i := range trials {
		trials[i].status = 304
	}
	runTrials(t, trials)
}

// TestExpiresModifiedOfAFutureDate: what is later than Date is not sent, and no lifetime is counted from it.
func TestExpiresModifiedOfAFutureDate(t *testing.T) {
	h := datedBy(byHeader)
	h.Expires, h.ExpiresModified = "modified", caddy.Duration(time.Hour)
	v := newVisit(t, http.MethodGet, "/").to(provisioned(t, h), sendsPage("X-Updated", "Mon, 01 Jan 2085 00:00:00 GMT"))
	wantPairs(t, "a date to come", v.rec.Header(), pairs("Last-Modified", "", "Expires", "", "Cache-Control", "no-cache"))
}
