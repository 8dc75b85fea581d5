package exchange_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestRowsAndWhatIsRemembered: what the upstream says and what goes out are judged, with a ttl as without.
func TestRowsAndWhatIsRemembered(t *testing.T) {
	cookie, authorized := pairs("Cookie", "id=1"), pairs("Authorization", "x")
	all := func(directives ...string) CacheControl { return CacheControl{Directives: directives} }
	replacing := func(directives ...string) CacheControl {
		return CacheControl{Directives: directives, Existing: "replace"}
	}
	merging := func(directives ...string) CacheControl {
		return CacheControl{Directives: directives, Existing: "merge"}
	}
	cases := map[string]struct {
		row        CacheControl
		own        bool     // the response's lifetime counts, and no ttl
		request    []string // fields of both requests
		response   []string
		remembered bool
	}{
		"no word at all":                    {row: CacheControl{Path: OneOrMore{"/other"}, Directives: pairs("private")}, remembered: true},
		"private":                           {row: all("private")},
		"no-store":                          {row: all("no-store")},
		"private and no-store":              {row: all("private", "no-store")},
		"private of a field":                {row: all(`private="X-User"`)},
		"private of cookies":                {row: all(`private="Set-Cookie"`), remembered: true},
		"private that replaces":             {row: replacing("private", "max-age=60"), response: pairs("Cache-Control", "public, max-age=60")},
		"private that is joined":            {row: merging("private"), response: pairs("Cache-Control", "public, max-age=60")},
		"private that is not said":          {row: all("private"), response: pairs("Cache-Control", "public, max-age=60"), remembered: true},
		"private of a type":                 {row: CacheControl{MediaType: OneOrMore{"text/*"}, Directives: pairs("private")}},
		"no-cache":                          {row: all("no-cache"), remembered: true},
		"no-cache of a field":               {row: all(`no-cache="X-User"`), remembered: true},
		"no-cache, by its own lifetime":     {row: all("no-cache", "max-age=60"), own: true},
		"max-age, by its own lifetime":      {row: all("max-age=60"), own: true, remembered: true},
		"the upstream's no-store, replaced": {row: replacing("public", "max-age=60"), response: pairs("Cache-Control", "no-store", "Etag", strongTag)},
		"the upstream's private, replaced":  {row: replacing("public", "max-age=60"), response: pairs("Cache-Control", "private")},
		"the upstream's no-cache, replaced": {row: replacing("public", "max-age=60"), response: pairs("Cache-Control", "no-cache")},
		"for surrogates, and a row":         {row: replacing("public", "max-age=60"), response: pairs("Surrogate-Control", `private="x"`)},

		"a cookie":                        {row: all("max-age=60"), request: cookie},
		"a cookie, and public":            {row: all("public", "max-age=60"), request: cookie, remembered: true},
		"a cookie, and public replaces":   {row: replacing("public", "max-age=60"), request: cookie, response: pairs("Cache-Control", "max-age=5"), remembered: true},
		"a cookie, and s-maxage":          {row: all("s-maxage=60"), request: cookie},
		"a cookie that is set":            {row: replacing("public", "max-age=60"), request: cookie, response: pairs("Set-Cookie", "a=1")},
		"credentials, and public":         {row: replacing("public", "s-maxage=60", "must-revalidate"), request: authorized},
		"credentials, cookie, and public": {row: replacing("public", "max-age=60"), request: append(cookie, authorized...)},
		"credentials, the upstream's":     {row: replacing("public", "max-age=60"), request: authorized, response: pairs("Cache-Control", "public"), remembered: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := remembering(t, func(h *Handler) {
				h.CacheControl = []CacheControl{c.row}
				if c.own {
					h.Remember.TTL = 0
				}
			})
			next := sendsPage(c.response...)
			again := step{fields: append(pairs("If-None-Match", strongTag), c.request...), next: next, asked: !c.remembered, status: 304}
			if slices.Contains(c.row.Directives, "no-store") {
				again.status = 200 // what is not to be stored has no tag
			}
			runSteps(t, h, step{fields: c.request, next: next, asked: true}, again, again)
		})
	}
}

// TestRowsThatAreNeverKnown: what passes has no type, and a row for a type may have forbidden to remember it.
func TestRowsThatAreNeverKnown(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.CacheControl = []CacheControl{{MediaType: OneOrMore{"text/html"}, Directives: pairs("private", "no-store")}}
		h.Buffer = &Buffer{MaxBody: 20}
	})
	date := pairs("If-Modified-Since", modified)
	long := sends(200, "<html>longer than what is held", "Last-Modified", modified)
	typed := sendsPage("Last-Modified", modified)
	runSteps(t, h,
		step{next: long, asked: true}, step{fields: date, next: long, asked: true, status: 304},
		step{next: typed, asked: true}, step{fields: date, status: 304, reason: "remembered"},
		step{next: long, asked: true}, step{fields: date, next: long, asked: true, status: 304})
}

// TestRowsOfInstancesFurtherOut: what goes out counts, whichever instance has said it.
func TestRowsOfInstancesFurtherOut(t *testing.T) {
	named := pairs("If-None-Match", strongTag)
	for name, c := range map[string]struct {
		row        CacheControl
		response   []string
		remembered bool
	}{
		"private":                  {row: CacheControl{Directives: pairs("private")}},
		"private of a path":        {row: CacheControl{Path: OneOrMore{"/*"}, Directives: pairs("private")}},
		"private of another path":  {row: CacheControl{Path: OneOrMore{"/x"}, Directives: pairs("private")}, remembered: true},
		"private that is not said": {row: CacheControl{Directives: pairs("private")}, response: pairs("Cache-Control", "public, max-age=60"), remembered: true},
		"private that replaces":    {row: CacheControl{Directives: pairs("private"), Existing: "replace"}, response: pairs("Cache-Control", "public, max-age=60")},
		"private that is joined":   {row: CacheControl{Directives: pairs("private"), Existing: "merge"}, response: pairs("Cache-Control", "public, max-age=60")},
		"public":                   {row: CacheControl{Directives: pairs("public", "max-age=60")}, remembered: true},
		"no-cache":                 {row: CacheControl{Directives: pairs("no-cache")}, remembered: true},
	} {
		next := sendsPage(c.response...)
		again := step{fields: named, next: next, asked: !c.remembered, status: 304}
		for first, s := range map[string]step{"200": {next: next, asked: true}, "304": {fields: named, next: next, asked: true, status: 304}} {
			t.Run(name+", "+first, func(t *testing.T) {
				outer := &Handler{CacheControl: []CacheControl{c.row}, Block: "outer"}
				runSteps(t, nestedIn{provisioned(t, outer), remembering(t, nil)}, s, again, again)
			})
		}
	}
	t.Run("private of a type, once the type is known", func(t *testing.T) {
		outer := &Handler{CacheControl: []CacheControl{{MediaType: OneOrMore{"application/json"}, Directives: pairs("private")}}, Block: "outer"}
		again := step{fields: named, status: 304}
		runSteps(t, nestedIn{provisioned(t, outer), remembering(t, nil)}, step{fields: named, asked: true, status: 304}, again, step{asked: true}, again)
	})
}

// TestPublicRowsAreForOnePersonEach: a row that is public lets requests with cookies be remembered, and each is answered
// with what was made for the same person.
func TestPublicRowsAreForOnePersonEach(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.CacheControl = []CacheControl{{Directives: pairs("public", "max-age=60")}} })
	next := func(w http.ResponseWriter, r *http.Request) error {
		return sendsPage("Etag", `"`+r.Header.Get("Cookie")[:4]+`"`)(w, r)
	}
	of := func(cookies, tag string, asked bool, status int) step {
		s := step{fields: pairs("Cookie", cookies), next: next, asked: asked, status: status}
		if tag != "" {
			s.fields = append(s.fields, "If-None-Match", tag)
		}
		return s
	}
	runSteps(t, h,
		of("id=1; theme=dark", "", true, 200),
		of("theme=dark; id=1", `"id=1"`, false, 304), // the order is the browser's
		of("id=1; theme=dark; _ga=GA1.2.3", `"id=1"`, false, 304),
		of("id=2; theme=dark", `"id=1"`, true, 200),
		of("id=2; theme=dark", `"id=2"`, false, 304),
		of("id=1; theme=dark", `"id=2"`, true, 200),
		of("id=1; theme=dark", `"id=1"`, false, 304),
		of("id=1; theme=light", `"id=1"`, true, 304),
		// Nobody is one more.
		step{next: sendsPage(), asked: true}, revalidation,
		of("id=1; theme=dark", `"id=1"`, false, 304),
	)
}

// TestPublicRowsBesideVary: who asks selects besides what Vary names.
func TestPublicRowsBesideVary(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.CacheControl = []CacheControl{{Directives: pairs("public", "max-age=60")}} })
	for i, field := range []string{"Accept-Language", "3g"} { // whose names are sorted with others, digits before most
		next := sendsPage("Vary", field)
		of := func(cookie, value string, remembered bool) step {
			return step{target: "/" + strconv.Itoa(i), fields: pairs("Cookie", cookie, field, value, "If-None-Match", strongTag), next: next, asked: !remembered, status: 304}
		}
		runSteps(t, h, of("id=1", "de", false), of("id=1", "de", true), of("id=2", "de", false), of("id=1", "en", false), of("id=2", "de", true), of("id=1", "de", true))
	}
}

// TestPublicByAHandlerOutside: it is the operator's word, as a row's is.
func TestPublicByAHandlerOutside(t *testing.T) {
	h := remembering(t, nil)
	asked := func(fields ...string) bool {
		v := newVisit(t, http.MethodGet, "/", append(fields, "If-None-Match", strongTag)...)
		v.rec.Header()["Cache-Control"] = pairs("public, max-age=60")
		v.serve(h, sendsPage())
		return v.seen != nil
	}
	for i, c := range []struct {
		fields []string
		asked  bool
	}{
		{pairs("Cookie", "id=1"), true},
		{pairs("Cookie", "id=1"), false},
		{pairs("Cookie", "id=2"), true},
		{pairs("Authorization", "x"), true},
		{pairs("Authorization", "x"), true},
		{nil, true},
		{nil, false},
	} {
		if got := asked(c.fields...); got != c.asked {
			t.Errorf("step %d: asked: %v", i+1, got)
		}
	}
}

// TestWordsOfTheUpstreamBesideAHandlerOutside: that says what goes out in Cache-Control, and the upstream's other fields about
// caches count as before.
func TestWordsOfTheUpstreamBesideAHandlerOutside(t *testing.T) {
	for name, response := range map[string][]string{
		"":                          nil,
		"private to CDNs":           pairs("Cdn-Cache-Control", "private"),
		"private to surrogates":     pairs("Surrogate-Control", `private="x"`),
		"no-cache, as of long ago":  pairs("Pragma", "no-cache"),
		"what selects it is hidden": pairs("Vary", "*"),
	} {
		t.Run(name, func(t *testing.T) {
			h := remembering(t, nil)
			asked := func() bool {
				v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag)
				v.rec.Header()["Cache-Control"] = pairs("public, max-age=60")
				v.serve(h, sendsPage(response...))
				wantStatus(t, v, 304)
				return v.seen != nil
			}
			if first, second := asked(), asked(); !first || second != (response != nil) {
				t.Errorf("asked at first: %t, then: %t", first, second)
			}
		})
	}
}

// TestRowsOfConfirmedRecords: what goes out with a 304 is judged as well.
func TestRowsOfConfirmedRecords(t *testing.T) {
	page := sendsPage("Etag", `"u"`, "Cache-Control", "max-age=60")
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"a 304": says304("Etag", `"u"`, "Cache-Control", "max-age=60", "X-Private", "1"), "the head of a 200": sendsPage("Etag", `"u"`, "X-Private", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			secret := func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Cache-Control", "private")
				return next(w, r)
			}
			runSteps(t, remembering(t, nil), step{next: page, asked: true},
				step{fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), next: secret, asked: true, status: 304},
				step{fields: pairs("If-None-Match", `"u"`), next: page, asked: true, status: 304})
		})
	}
	t.Run("of who asks", func(t *testing.T) {
		h := remembering(t, func(h *Handler) {
			h.CacheControl = []CacheControl{{Directives: pairs("public", "max-age=60"), Existing: "replace"}}
		})
		named := pairs("Cookie", "id=1", "If-None-Match", `"u"`)
		runSteps(t, h, step{fields: named[:2], next: page, asked: true},
			step{fields: append(pairs("Cache-Control", "no-cache"), named...), next: says304("Etag", `"u"`, "Cache-Control", "max-age=9"), asked: true, status: 304},
			step{fields: named, status: 304, reason: "remembered"},
			step{fields: pairs("Cookie", "id=2", "If-None-Match", `"u"`), next: page, asked: true, status: 304})
	})
}

// TestCookiesOfGuestsAndRows: a row's private that is there only for a cookie of guests keeps caches from sharing that
// cookie, and not this memory from the page.
func TestCookiesOfGuestsAndRows(t *testing.T) {
	for directives, remembered := range map[string]bool{"s-maxage=1h max-age=1h": true, "private max-age=1h": false, "no-store": false} {
		h := remembering(t, func(h *Handler) {
			h.Remember.IgnoreCookies, h.Remember.IgnoreSetCookie = pairs("t"), pairs("t")
			h.CacheControl = []CacheControl{{Directives: pairs(directives)}}
			h.Block += directives
		})
		next := sendsPage("Set-Cookie", "t=1")
		again := step{fields: pairs("Cookie", "t=2", "If-None-Match", strongTag), next: next, asked: !remembered, status: 304}
		if directives == "no-store" {
			again.status = 200 // what is not to be stored has no tag
		}
		runSteps(t, h, step{next: next, asked: true}, again)
	}
}
