package exchange_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// what a response has besides its content.
var manyFields = pairs(
	"Content-Language", "en", "Content-Disposition", "inline", "Content-Range", "bytes 0-11/12", "Accept-Ranges", "bytes",
	"Repr-Digest", "x", "Content-Digest", "y", "Cache-Control", "max-age=60", "Content-Location", "/page", "Date", dayAfter,
	"Expires", dayAfter, "Vary", "Accept", "Content-Security-Policy", "default-src 'self'", "Content-Security-Policy-Report-Only", "x",
	"Access-Control-Allow-Origin", "*", "Set-Cookie", "a=1", "Set-Cookie", "b=2", "Strict-Transport-Security", "max-age=1",
	"Server-Timing", "db;dur=1", "Last-Modified", modified, "X-Any", "x",
)

// RFC 9110 §15.4.5, and design §3, "The 304": what of the 200 is sent with a 304.
func TestNotModifiedFields(t *testing.T) {
	match := pairs("If-None-Match", strongTag)
	kept := pairs(
		"Cache-Control", "max-age=60", "Content-Location", "/page", "Date", dayAfter, "Expires", dayAfter, "Vary", "Accept",
		"Content-Security-Policy", "default-src 'self'", "Content-Security-Policy-Report-Only", "x", "Access-Control-Allow-Origin", "*",
		"Set-Cookie", "a=1 | b=2", "Strict-Transport-Security", "max-age=1", "Server-Timing", "db;dur=1", "X-Any", "x",
	)
	dropped := pairs(
		"Content-Type", "", "Content-Length", "", "Content-Encoding", "", "Content-Language", "", "Content-Disposition", "",
		"Content-Range", "", "Accept-Ranges", "", "Repr-Digest", "", "Content-Digest", "",
	)
	withTag := append(append(pairs("Etag", strongTag, "Last-Modified", ""), kept...), dropped...)
	upstreams := append(append(pairs("Etag", `"abc"`, "Last-Modified", ""), kept...), dropped...)
	withDate := append(append(pairs("Etag", "", "Last-Modified", modified), kept...), dropped...)
	abc := append(pairs("Etag", `"abc"`), manyFields...)
	changed := &Handler{NotModified: &NotModified{Keep: pairs("content-language", "Last-Modified"), Drop: pairs("Set-Cookie", "x-any")}}
	runTrials(t, []trial{
		{name: "our tag", fields: match, next: sendsPage(manyFields...), status: 304, outcome: "not_modified", reason: "if_none_match", want: withTag},
		{name: "our tag, declared length", fields: match, next: sendsPage(append(pairs("Content-Length", "12"), manyFields...)...), status: 304, want: withTag},
		{name: "the upstream's tag, judged here", fields: pairs("If-None-Match", `"abc"`), next: sendsPage(abc...), status: 304, reason: "if_none_match", want: upstreams},
		{name: "the upstream's 304", fields: pairs("If-None-Match", `"abc"`), next: sends(304, "", abc...), status: 304, reason: "upstream", want: upstreams},
		{name: "a date, judged here", fields: pairs("If-Modified-Since", modified), next: sendsPage(manyFields...), status: 304, reason: "if_modified_since", want: withDate},
		{name: "the upstream's 304 to a date", fields: pairs("If-Modified-Since", modified), next: sends(304, "", manyFields...), status: 304, reason: "upstream", want: withDate},
		{name: "the upstream's 304 without a date", fields: pairs("If-Modified-Since", modified), next: sends(304, ""), status: 304, want: pairs("Etag", "", "Last-Modified", "")},
		{
			name: "keep and drop", handler: changed, fields: match, next: sendsPage(manyFields...), status: 304,
			want: pairs("Content-Language", "en", "Last-Modified", modified, "Set-Cookie", "", "X-Any", "", "Content-Type", "", "Vary", "Accept"),
		},
		{
			name: "keep and drop of the upstream's 304", handler: changed, fields: pairs("If-None-Match", `"abc"`), next: sends(304, "", abc...), status: 304,
			want: pairs("Content-Language", "en", "Last-Modified", modified, "Set-Cookie", "", "X-Any", "", "Vary", "Accept"),
		},
		{
			name: "a 200 keeps what a 304 drops", handler: changed, next: sendsPage(manyFields...),
			want: pairs("Set-Cookie", "a=1 | b=2", "X-Any", "x", "Content-Language", "en", "Last-Modified", modified),
		},
	})
}

// Design §3: the 304 returns a tag of ours in the form the client named.
func TestNotModifiedTag(t *testing.T) {
	strong, weak := &Handler{ETag: &ETag{Mode: "strong"}}, &Handler{ETag: &ETag{Mode: "weak"}}
	gzip := strings.TrimSuffix(strongTag, `"`) + `-gzip"`
	dated := sendsPage("Last-Modified", modified)
	match := func(name, field, etag string, next caddyhttp.HandlerFunc) trial {
		return trial{name: name, fields: pairs("If-None-Match", field), next: next, status: 304, want: pairs("Etag", etag, "Last-Modified", "")}
	}
	rows := []trial{
		match("as it is", strongTag, strongTag, nil),
		match("weak (§8.8.3.2: weak comparison), where the 200 is strong", weakTag, strongTag, nil),
		{name: "strong, where the 200 is weak", fields: pairs("If-None-Match", strongTag, "Accept-Encoding", "br"), status: 304, want: pairs("Etag", weakTag)},
		match("with encode's suffix", gzip, gzip, nil),
		match("with another date", strings.Replace(datedTag, ".s44we8", ".s44we9", 1), strings.Replace(datedTag, ".s44we8", ".s44we9", 1), dated),
		match("without the date", strongTag, strongTag, dated),
		match("with a date that the response has no more", datedTag, datedTag, nil),
		match("in a list", `"abc", `+staleTag+", "+strongTag, strongTag, nil),
		match("behind a malformed member", `abc, `+strongTag, strongTag, nil),
		match("`*` names no form (§13.1.2)", "*", datedTag, dated),
		match("the upstream's in its own form", `W/"abc"`, `"abc"`, sendsPage("Etag", `"abc"`)),
		match("the upstream's tag is one of ours", strongTag, weakTag, sendsPage("Etag", weakTag)),
		// The upstream confirms a date that only a tag of ours can have told it.
		match("the upstream's 304 to a translated condition", datedTag, datedTag, sends(304, "")),
		match("… which has a tag of its own", "W/"+datedTag, "W/"+datedTag, sends(304, "", "Etag", `"abc"`)),
		match("the upstream's 304 to a tag of ours", strongTag, weakTag, sends(304, "", "Etag", weakTag)),
		{name: "… where every tag of ours is strong", handler: strong, fields: pairs("If-None-Match", "W/"+datedTag), next: sends(304, ""), status: 304, want: pairs("Etag", datedTag)},
		{name: "… where every tag of ours is weak", handler: weak, fields: pairs("If-None-Match", datedTag), next: sends(304, ""), status: 304, want: pairs("Etag", "W/"+datedTag)},
		{name: "two lines (RFC 9110 §5.3)", fields: pairs("If-None-Match", staleTag, "If-None-Match", strongTag), status: 304, want: pairs("Etag", strongTag)},
		{name: "another content", fields: pairs("If-None-Match", staleTag), outcome: "tagged", reason: "none_matched", want: pairs("Etag", strongTag)},
		{name: "another content with the same date", fields: pairs("If-None-Match", staleDated), next: dated, reason: "none_matched", want: pairs("Etag", datedTag)},
		{name: "the date does not count beside a tag (§13.1.3)", fields: pairs("If-None-Match", staleTag, "If-Modified-Since", modified), next: dated, reason: "none_matched"},
		{name: "… not even an unusable one", fields: pairs("If-None-Match", "abc", "If-Modified-Since", modified), next: dated, reason: "if_none_match_unusable"},
		{name: "a date", fields: pairs("If-Modified-Since", dayAfter), next: dated, status: 304, reason: "if_modified_since", want: pairs("Etag", datedTag, "Last-Modified", "")},
		{name: "an earlier date", fields: pairs("If-Modified-Since", dayBefore), next: dated, outcome: "tagged", reason: "modified_since", want: pairs("Etag", datedTag)},
		{name: "a 304 stands for a 200 only (§15.4.5)", fields: pairs("If-None-Match", `"abc"`), next: sends(203, "b", "Etag", `"abc"`), status: 203, body: "b"},
		{name: "an error is under no condition (§13.2.1)", fields: pairs("If-None-Match", `"abc"`), next: sends(404, "b", "Etag", `"abc"`), status: 404, body: "b"},
	}
	runTrials(t, rows)
}

// A policy with a nonce is on no 304, whoever has made it and whatever is configured: it would be written over the one
// that the stored page came with, and block its scripts. The field for reports is one of its own.
func TestNoNonceOnNotModified(t *testing.T) {
	const csp, reportOnly, nonced, plain = "Content-Security-Policy", "Content-Security-Policy-Report-Only", "script-src 'nonce-abc'", "default-src 'self'"
	none := pairs(csp, "", reportOnly, plain)
	policies := pairs(csp, plain, csp, nonced, reportOnly, plain)
	tagged := sendsPage(append(pairs("Etag", `"abc"`), policies...)...)
	dated := sendsPage(append(pairs("Last-Modified", modified), policies...)...)
	names := pairs("If-None-Match", `"abc"`)
	kept := &Handler{NotModified: &NotModified{Keep: pairs(csp, reportOnly)}}
	off := &Handler{ETag: &ETag{Mode: "off"}}
	runTrials(t, []trial{
		{name: "the 200 has it", next: tagged, want: pairs(csp, plain+" | "+nonced, reportOnly, plain)},
		{name: "the upstream's tag", fields: names, next: tagged, status: 304, want: none},
		{name: "of a HEAD", method: "HEAD", fields: names, next: tagged, status: 304, want: none},
		{name: "our tag", fields: pairs("If-None-Match", strongTag), next: sendsPage(policies...), status: 304, want: none},
		{name: "a date", fields: pairs("If-Modified-Since", modified), next: dated, status: 304, want: none},
		{name: "kept by name", handler: kept, fields: names, next: tagged, status: 304, want: none},
		{name: "etag off", handler: off, fields: names, next: tagged, status: 304, want: none},
		{name: "another tag is replaced", handler: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("If-None-Match", strongTag), next: tagged, status: 304, want: none},
		{name: "the upstream's 304", fields: names, next: says304(policies...), status: 304, want: none},
		{name: "… to a date in a tag of ours", fields: pairs("If-None-Match", datedTag), next: says304(policies...), status: 304, want: none},
		{name: "… kept by name", handler: kept, fields: names, next: says304(policies...), status: 304, want: none},
		{name: "… that nobody asked for", handler: off, next: says304(policies...), status: 304, want: none},
		{name: "… to no-store", fields: pairs("Cache-Control", "no-store"), next: says304(policies...), status: 304, want: none},
		{name: "only for reports", fields: names, next: says304(csp, plain, reportOnly, nonced), status: 304, want: pairs(csp, plain, reportOnly, "")},
		{name: "none has a nonce", fields: names, next: says304(csp, plain, reportOnly, plain), status: 304, want: pairs(csp, plain, reportOnly, plain)},
	})
	t.Run("an inner instance's", func(t *testing.T) {
		inner := provisioned(t, &Handler{Block: "inner", NotModified: &NotModified{Keep: pairs(csp)}})
		// What a handler in between sets when the head is written comes after the inner instance.
		between := func(w http.ResponseWriter, r *http.Request) error {
			return inner.ServeHTTP(&settingField{w, csp, nonced}, r, tagged)
		}
		for _, outer := range []*Handler{{Block: "outer"}, {Block: "outer", ETag: &ETag{Mode: "off"}}} {
			v := newVisit(t, "GET", "/", names...).to(provisioned(t, outer), between)
			wantStatus(t, v, 304)
			wantPairs(t, "the response", v.rec.Header(), none)
		}
	})
}

// settingField is a writer that sets a field when the head is written, as a deferred header operation does.
type settingField struct {
	http.ResponseWriter
	name, line string
}

func (w *settingField) WriteHeader(status int) {
	w.Header()[w.name] = []string{w.line}
	w.ResponseWriter.WriteHeader(status)
}

func (w *settingField) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// What is remembered does not bring the policy back, neither what the 200 had nor what is in the map already.
func TestNoNonceFromMemory(t *testing.T) {
	const csp, nonced, plain = "Content-Security-Policy", "script-src 'nonce-abc'", "default-src 'self'"
	h := remembering(t, func(h *Handler) {
		h.NotModified = &NotModified{Keep: pairs(csp)}
		h.Remember.TTL, h.Remember.StaleIfError = 0, caddy.Duration(time.Hour)
	})
	const lasts = "max-age=60"
	remembered := func(target, policy string) step {
		return step{target: target, fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered", want: pairs("Etag", strongTag, csp, policy)}
	}
	runSteps(t, h,
		step{target: "/nonce", asked: true, next: sendsPage("Cache-Control", lasts, csp, plain, csp, nonced), want: pairs(csp, plain+" | "+nonced)},
		remembered("/nonce", ""),
		step{target: "/plain", asked: true, next: sendsPage("Cache-Control", lasts, csp, plain)},
		remembered("/plain", plain),
	)
	for reason, fields := range map[string][]string{"remembered": nil, "stale_if_error": pairs("Cache-Control", "max-age=0")} {
		v := newVisit(t, "GET", "/nonce", append(fields, "If-None-Match", strongTag)...)
		v.rec.Header()[csp] = pairs(nonced) // a handler outside has set it
		v.to(h, sends(503, "down"))
		if got := v.said("reason"); v.status() != 304 || got != reason {
			t.Errorf("%d, %s; want 304, %s", v.status(), got, reason)
		}
		wantPairs(t, reason, v.rec.Header(), pairs(csp, "", "Etag", strongTag))
	}
}
