package exchange_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestRecordsAreCorrected(t *testing.T) {
	tagU := step{next: sendsPage("Etag", `"u"`), asked: true}
	namesU := step{fields: pairs("If-None-Match", `"u"`), status: 304, reason: "remembered"}
	namesUAsked := step{fields: pairs("If-None-Match", `"u"`), next: sendsPage("Etag", `"u"`), asked: true, status: 304}
	cases := map[string][]step{
		"another tag in a 304": {
			tagU, namesU, {fields: pairs("If-None-Match", `"v"`), next: sends(304, "", "Etag", `"v"`), asked: true, status: 304}, namesUAsked,
		},
		"the same tag in a 304": {
			tagU,
			{fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), next: sends(304, "", "Etag", `"u"`, "Cache-Control", "public"), asked: true, status: 304},
			{fields: pairs("If-None-Match", `"u"`), status: 304, want: pairs("Cache-Control", "public")},
		},
		"a 304 that is private": {
			tagU,
			{fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), next: sends(304, "", "Etag", `"u"`, "Cache-Control", "private"), asked: true, status: 304},
			namesUAsked,
		},
		"another tag at the head": {
			tagU, {fields: pairs("If-None-Match", `"v"`), next: sendsPage("Etag", `"v"`), asked: true, status: 304}, namesUAsked,
		},
		"the same tag at the head": {
			tagU,
			{fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), next: sendsPage("Etag", `"u"`, "Cache-Control", "max-age=3"), asked: true, status: 304},
			{fields: pairs("If-None-Match", `"u"`), status: 304, want: pairs("Cache-Control", "max-age=3")},
		},
		"another length of a HEAD":  {firstVisit, {method: http.MethodHead, next: sends(200, "", "Content-Length", "1"), asked: true}, changed()},
		"a HEAD's own tag":          {firstVisit, {method: http.MethodHead, next: sends(200, "", "Etag", `"u"`), asked: true}, changed()},
		"the same length of a HEAD": {firstVisit, {method: http.MethodHead, next: sends(200, "", "Content-Length", strconv.Itoa(len(page))), asked: true, want: pairs("Etag", strongTag)}, revalidation},
		"a HEAD that says nothing":  {firstVisit, {method: http.MethodHead, next: sends(200, ""), asked: true, want: pairs("Etag", strongTag)}, revalidation},
		"gone":                      {firstVisit, {next: sends(410, ""), asked: true, status: 410}, changed()},
		"gone, by an error":         {firstVisit, {next: failing(nil, caddyhttp.Error(404, errors.New("x"))), asked: true, status: 404}, changed()},
		"a failure":                 {firstVisit, {next: sends(503, ""), asked: true, status: 503}, revalidation},
		"another page":              {firstVisit, {next: sends(200, "other"), asked: true}, changed()},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, nil), steps...) })
	}
}

// TestTranslatedConfirmation: an upstream's 304 to the date in a tag of ours confirms the record of that tag with that
// date, and no other.
func TestTranslatedConfirmation(t *testing.T) {
	dated := step{next: sendsPage("Last-Modified", modified, "Cache-Control", "max-age=60"), asked: true}
	reload := pairs("If-None-Match", datedTag, "Cache-Control", "max-age=0")
	runSteps(t, remembering(t, func(h *Handler) { h.Remember.TTL = 0 }), dated,
		step{fields: reload, next: sends(304, "", "Cache-Control", "max-age=70"), asked: true, status: 304, want: pairs("Etag", datedTag)},
		step{fields: pairs("If-None-Match", datedTag), status: 304, reason: "remembered", want: pairs("Cache-Control", "max-age=70")},
		step{fields: pairs("If-None-Match", staleDated), next: sends(304, "", "Cache-Control", "max-age=80"), asked: true, status: 304, want: pairs("Etag", staleDated)},
		step{fields: pairs("If-None-Match", datedTag), status: 304, reason: "remembered", want: pairs("Cache-Control", "max-age=70")},
	)
}

func TestFailureCoveredByARecord(t *testing.T) {
	reload := pairs("If-None-Match", strongTag, "Cache-Control", "max-age=0")
	fresh := step{next: sendsPage("Cache-Control", "max-age=60"), asked: true}
	covered := func(next caddyhttp.HandlerFunc) step {
		return step{fields: reload, next: next, asked: true, status: 304, reason: "stale_if_error", want: pairs("Etag", strongTag, "Retry-After", "", "Cache-Control", "max-age=60")}
	}
	covering := func(h *Handler) { h.Remember.TTL, h.Remember.StaleIfError = 0, caddy.Duration(time.Hour) }
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"a 503":                sends(503, "sorry", "Retry-After", "9"),
		"an error":             failing(nil, caddyhttp.Error(502, errors.New("x"))),
		"another error":        failing(nil, errors.New("x")),
		"an abort in the body": aborting(sendsPage("Retry-After", "9"), http.ErrAbortHandler),
	} {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, covering), fresh, covered(next)) })
	}
	t.Run("not of another tag", func(t *testing.T) {
		runSteps(t, remembering(t, covering), fresh, step{fields: pairs("If-None-Match", staleTag), next: sends(503, ""), asked: true, status: 503})
	})
	t.Run("not of a date after it", func(t *testing.T) {
		later := step{next: sendsPage("Last-Modified", modified, "Cache-Control", "max-age=60"), asked: true}
		runSteps(t, remembering(t, covering), later,
			step{fields: pairs("If-Modified-Since", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), next: sends(503, ""), asked: true, status: 503},
			step{fields: pairs("If-Modified-Since", dayAfter, "Cache-Control", "max-age=0"), next: sends(503, ""), asked: true, status: 304, reason: "stale_if_error", want: pairs("Etag", "", "Last-Modified", "")},
			step{fields: pairs("If-Modified-Since", modified, "Cache-Control", "max-age=0"), next: sends(503, ""), asked: true, status: 304, reason: "stale_if_error"})
	})
	t.Run("not of a refusal", func(t *testing.T) {
		runSteps(t, remembering(t, covering), fresh, step{fields: reload, next: sends(403, ""), asked: true, status: 403})
	})
	t.Run("not unless it is configured", func(t *testing.T) {
		runSteps(t, remembering(t, func(h *Handler) { h.Remember.TTL = 0 }), fresh, step{fields: reload, next: sends(503, ""), asked: true, status: 503})
	})
	t.Run("not without a condition", func(t *testing.T) {
		runSteps(t, remembering(t, covering), fresh, step{fields: pairs("Cache-Control", "max-age=0"), next: sends(503, ""), asked: true, status: 503})
	})
}

func TestHeadConfirmsWithTheFieldsThatGoOut(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.CacheControl = []CacheControl{{Directives: pairs("max-age=60"), Existing: "replace"}}
	})
	next := sendsPage("Etag", `"u"`, "Cache-Control", "public, max-age=86400")
	out := pairs("Cache-Control", "max-age=60")
	runSteps(t, h, step{next: next, asked: true, want: out},
		step{fields: pairs("If-None-Match", `"u"`), status: 304, want: out},
		step{method: http.MethodHead, next: next, asked: true, want: out},
		step{fields: pairs("If-None-Match", `"u"`), status: 304, reason: "remembered", want: out})
}

func TestADateAloneIsRenewedByItsOwn304(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.ETag = &ETag{Mode: "off"}; h.Remember.TTL = 0 })
	runSteps(t, h, step{next: sendsPage("Last-Modified", modified, "Cache-Control", "max-age=60", "Age", "55"), asked: true},
		step{fields: pairs("If-Modified-Since", modified, "Cache-Control", "max-age=0"), next: sends(304, "", "Last-Modified", modified, "Cache-Control", "max-age=60"), asked: true, status: 304},
		step{fields: pairs("If-Modified-Since", modified, "Cache-Control", "max-age=10"), status: 304, reason: "remembered"})
}

// TestRememberedFoundDateAndCookies: whose page it is, a found date does not know, not in a record either.
func TestRememberedFoundDateAndCookies(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.LastModified = &LastModified{From: []LastModifiedSource{byHeader}} })
	page := sendsPage("X-Updated", "1700000000", "Cache-Control", "public, max-age=60")
	runSteps(t, h,
		step{next: page, asked: true},
		step{next: page, fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered"},
		step{next: page, fields: pairs("If-Modified-Since", modified, "Cookie", "a=b"), asked: true},
	)
}

// TestRememberedDateWorthNothingAlone: under ignore a date that was found confirms nothing, in a record as elsewhere.
func TestRememberedDateWorthNothingAlone(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.ETag, h.LastModified = &ETag{Ignore: pairs("csrf")}, &LastModified{From: pairsOf(byHeader)}
	})
	runSteps(t, h,
		step{next: sendsPage("X-Updated", modified), asked: true},
		step{next: sendsPage("X-Updated", modified), fields: pairs("If-Modified-Since", modified), asked: true},
	)
}

// TestConfirmedRecordKeepsWhereItsDateIsFrom: after the upstream has confirmed the tag, the date still matches itself only.
func TestConfirmedRecordKeepsWhereItsDateIsFrom(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.LastModified = &LastModified{From: pairsOf(byHeader)} })
	page := sendsPage("X-Updated", modified, "Etag", `"u"`, "Cache-Control", "max-age=60")
	runSteps(t, h,
		step{next: page, asked: true},
		step{next: page, fields: pairs("If-None-Match", `"u"`, "Cache-Control", "no-cache"), asked: true, status: 304},
		step{next: page, fields: pairs("If-Modified-Since", dayAfter), asked: true},
		step{next: page, fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered"},
	)
}
