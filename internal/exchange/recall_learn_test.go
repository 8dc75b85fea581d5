package exchange_test

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const fresh = "public, max-age=600"

// TestWhatConditionalRequestsTeach: clients that only ever revalidate reach the upstream once, where it says of itself
// what it has.
func TestWhatConditionalRequestsTeach(t *testing.T) { //nolint:funlen // a table
	named := pairs("If-None-Match", `"u"`)
	asks := func(next caddyhttp.HandlerFunc, fields ...string) step {
		return step{fields: fields, next: next, asked: true, status: 304}
	}
	namesU := func(next caddyhttp.HandlerFunc) step { return asks(next, named...) }
	learned := step{fields: named, status: 304, reason: "remembered", want: pairs("Etag", `"u"`, "Cache-Control", fresh)}
	whole := sendsPage("Etag", `"u"`, "Cache-Control", fresh)
	own := says304("Etag", `"u"`, "Cache-Control", fresh)
	varying := says304("Etag", `"u"`, "Cache-Control", fresh, "Vary", "Accept-Language")
	row := func(r CacheControl) func(*Handler) {
		return func(h *Handler) { h.CacheControl = []CacheControl{r} }
	}
	cases := map[string]struct {
		handler func(*Handler)
		steps   []step
	}{
		"the head of a 200":                      {nil, []step{namesU(whole), learned, learned}},
		"the head of a 200, by its own lifetime": {func(h *Handler) { h.Remember.TTL = 0 }, []step{namesU(whole), learned}},
		"the head of a 200, beside a date":       {nil, []step{asks(whole, append(named, "If-Modified-Since", modified)...), learned}},
		"the head of a 200 that says nothing of caches": {nil, []step{
			namesU(sendsPage("Etag", `"u"`)), {fields: named, status: 304, reason: "remembered"},
		}},
		"the head of a 200 that is private":    {nil, []step{namesU(sendsPage("Etag", `"u"`, "Cache-Control", "private")), namesU(whole)}},
		"the head of a 200 that sets a cookie": {nil, []step{namesU(withField(whole, "Set-Cookie", "a=1")), namesU(whole)}},
		"the head of a 200 whose type is not known": {
			row(CacheControl{MediaType: OneOrMore{"text/plain"}, Directives: pairs("no-store"), Existing: "replace"}),
			[]step{namesU(sends(200, page, "Etag", `"u"`, "Cache-Control", fresh)), namesU(whole)},
		},
		"the head of another 200": {nil, []step{
			namesU(withField(whole, "Timing-Allow-Origin", "*")),
			asks(whole, append(named, "Cache-Control", "no-cache")...),
			{fields: named, status: 304, reason: "remembered", want: pairs("Timing-Allow-Origin", "")},
		}},
		"a date alone decides at the head": {nil, []step{
			asks(sendsPage("Last-Modified", modified, "Vary", "X-A"), "If-Modified-Since", modified),
			asks(sendsPage("Last-Modified", modified, "Vary", "X-A"), "If-Modified-Since", modified),
		}},
		"a date alone decides, and the body is read for its tag": {nil, []step{
			asks(sendsPage("Last-Modified", modified), "If-Modified-Since", modified), {fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered"},
		}},
		"a HEAD": {nil, []step{{method: http.MethodHead, fields: named, next: sends(200, "", "Etag", `"u"`, "Cache-Control", fresh), asked: true, status: 304}, namesU(whole)}},

		"the upstream's 304":                             {nil, []step{namesU(own), learned, learned}},
		"the upstream's 304, by its own lifetime":        {func(h *Handler) { h.Remember.TTL = 0 }, []step{namesU(sends(304, "", "Etag", `"u"`, "Cache-Control", fresh)), learned}},
		"the upstream's 304 with Expires":                {nil, []step{namesU(says304("Etag", `"u"`, "Expires", dayAfter)), {fields: named, status: 304, reason: "remembered"}}},
		"the upstream's 304 without either":              {nil, []step{namesU(says304("Etag", `"u"`)), namesU(own)}},
		"the upstream's 304 that is private":             {nil, []step{namesU(says304("Etag", `"u"`, "Cache-Control", "private")), namesU(own)}},
		"the upstream's 304 without its tag":             {nil, []step{namesU(says304("Cache-Control", fresh)), namesU(own)}},
		"the upstream's 304 to a HEAD":                   {nil, []step{{method: http.MethodHead, fields: named, next: own, asked: true, status: 304}, namesU(own)}},
		"the upstream's 304, asked by a date as well":    {nil, []step{asks(own, append(named, "If-Modified-Since", modified)...), namesU(own)}},
		"the upstream's 304, asked by what is no date":   {nil, []step{asks(own, append(named, "If-Modified-Since", "x")...), namesU(own)}},
		"the upstream's 304 to one of two":               {nil, []step{asks(own, "If-None-Match", `"u", "w"`), namesU(own)}},
		"the upstream's 304 to one of two, on two lines": {nil, []step{asks(own, "If-None-Match", `"w"`, "If-None-Match", `"u"`), namesU(own)}},
		"the upstream's 304 to a tag and junk":           {nil, []step{asks(own, "If-None-Match", `"u", x`), namesU(own)}},
		"the upstream's 304 to a star":                   {nil, []step{asks(own, "If-None-Match", "*"), namesU(own)}},
		"the upstream's 304 of another tag":              {nil, []step{asks(own, "If-None-Match", `"v"`), namesU(own)}},
		"the upstream's 304 of two tags":                 {nil, []step{namesU(withField(own, "Etag", `"v"`)), namesU(own)}},
		"the upstream's 304 to a date alone":             {nil, []step{asks(own, "If-Modified-Since", modified), namesU(own)}},
		"the upstream's 304 to a tag of ours":            {nil, []step{asks(says304("Etag", strongTag, "Cache-Control", fresh), "If-None-Match", strongTag), asks(nil, "If-None-Match", strongTag)}},
		"the upstream's 304 to a dated tag of ours":      {nil, []step{asks(says304("Cache-Control", fresh), "If-None-Match", datedTag), asks(nil, "If-None-Match", datedTag)}},
		"the upstream's 304 for a session":               {nil, []step{asks(says304("Etag", `"u"`, "Cache-Control", "max-age=9"), append(named, "Cookie", "a=1")...), namesU(own)}},
		"the upstream's 304 for credentials":             {nil, []step{asks(says304("Etag", `"u"`, "Cache-Control", "max-age=9"), append(named, "Authorization", "x")...), namesU(own)}},
		"the upstream's 304, and a row that keeps":       {row(CacheControl{MediaType: OneOrMore{"text/*"}, Directives: pairs("no-store")}), []step{namesU(own), learned}},
		"the upstream's 304, and a row that may replace": {row(CacheControl{MediaType: OneOrMore{"text/*"}, Directives: pairs("no-store"), Existing: "replace"}), []step{namesU(own), namesU(own)}},
		"the upstream's 304, and a row that may merge":   {row(CacheControl{MediaType: OneOrMore{"text/*"}, Directives: pairs("private"), Existing: "merge"}), []step{namesU(own), namesU(own)}},
		"the upstream's 304, and a lifetime from a date": {func(h *Handler) {
			h.Expires, h.ExpiresModified = "modified", h.Remember.TTL
			row(CacheControl{MediaType: OneOrMore{"text/*"}, Directives: pairs("public")})(h)
		}, []step{namesU(own), namesU(own)}},
		"the upstream's 304 that varies":                 {nil, []step{asks(varying, append(named, "Accept-Language", "de")...), {fields: append(named, "Accept-Language", "de"), status: 304, reason: "remembered"}, asks(varying, append(named, "Accept-Language", "en")...)}},
		"the upstream's 304 that does not vary, but did": {nil, []step{{next: sendsPage("Vary", "Accept-Language"), asked: true}, asks(own, append(named, "Accept-Language", "de")...), asks(own, append(named, "Accept-Language", "de")...)}},
		"the upstream's 304 that varies by more":         {nil, []step{{next: sendsPage("Vary", "Accept-Language"), asked: true}, asks(says304("Etag", `"u"`, "Cache-Control", fresh, "Vary", "X-A, Accept-Language"), append(named, "X-A", "1")...), {fields: append(named, "X-A", "1"), status: 304, reason: "remembered"}}},
		"the upstream's 304 that varies by anything":     {nil, []step{namesU(withField(own, "Vary", "*")), namesU(own)}},
		"in another form":                                {nil, []step{namesU(own), {fields: pairs("If-None-Match", `W/"u"`), status: 304, reason: "remembered", want: pairs("Etag", `W/"u"`)}, learned}},
		"in the form that a 200 has":                     {nil, []step{asks(says304("Etag", `W/"u"`, "Cache-Control", fresh), "If-None-Match", `W/"u"`), {next: whole, asked: true}, {fields: pairs("If-None-Match", `W/"u"`), status: 304, reason: "remembered", want: pairs("Etag", `"u"`)}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, c.handler), c.steps...) })
	}
}

// TestWordsOfHandlersOutsideTeachNothing: that an upstream's 304 has a Cache-Control of a handler outside, says nothing of
// what the upstream has said in its 200.
func TestWordsOfHandlersOutsideTeachNothing(t *testing.T) {
	h := remembering(t, nil)
	for range 2 {
		v := newVisit(t, http.MethodGet, "/", "If-None-Match", `"u"`)
		v.rec.Header()["Cache-Control"] = pairs(fresh)
		if v.serve(h, says304("Etag", `"u"`)); v.seen == nil || v.rec.Code != 304 {
			t.Errorf("answered from memory: %d", v.rec.Code)
		}
	}
}
