package exchange_test

import (
	"compress/gzip"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// ignoring is a handler with `ignore`.
func ignoring(words ...string) *Handler { return &Handler{ETag: &ETag{Ignore: words}} }

// tagOf is the tag that a handler gives a response.
func tagOf(t *testing.T, h *Handler, next caddyhttp.HandlerFunc, fields ...string) string {
	t.Helper()
	v := newVisit(t, "GET", "/", fields...).to(provisioned(t, h), next)
	return v.rec.Header().Get("Etag")
}

// djangoForm is a form with a token: a secret of 32 times the letter, under a mask of 32 times another.
func djangoForm(secret, mask int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	letter := func(i int) string { return strings.Repeat(letters[i%62:i%62+1], 32) }
	return `<form><input type="hidden" name="csrfmiddlewaretoken" value="` + letter(mask) + letter(secret+mask) + `"></form>`
}

// Design §3, "ignore": what is left out is no change, all else is, and the body that is sent is the upstream's.
func TestIgnore(t *testing.T) {
	cookie := func(value string) []string { return pairs("Cookie", "__RequestVerificationToken="+value) }
	protected := func(letter string) string {
		return `<input name="__RequestVerificationToken" type="hidden" value="` + strings.Repeat(letter, 100) + `">`
	}
	for _, tt := range []struct {
		name          string
		words         []string
		first, second string
		before, after []string // fields of the requests
		same          bool
	}{
		{"csrf: another mask", pairs("csrf"), djangoForm(1, 2), djangoForm(1, 3), nil, nil, true},
		{"csrf: another secret", pairs("csrf"), djangoForm(1, 2), djangoForm(2, 2), nil, nil, false},
		{"csrf: a visible letter", pairs("csrf"), djangoForm(1, 2), djangoForm(1, 3) + "!", nil, nil, false},
		{"csrf: it moves", pairs("csrf"), djangoForm(1, 2) + "!", "!" + djangoForm(1, 3), nil, nil, false},
		{"csrf: it goes", pairs("csrf"), "a" + djangoForm(1, 2), "a", nil, nil, false},
		{"csrf is not nonce", pairs("nonce"), djangoForm(1, 2), djangoForm(1, 3), nil, nil, false},
		{"csrf: another token of ASP.NET", pairs("csrf"), protected("a"), protected("b"), cookie("a"), cookie("a"), true},
		{"csrf: another cookie of ASP.NET", pairs("csrf"), protected("a"), protected("a"), cookie("a"), cookie("b"), false},
		{"csrf: no cookie of ASP.NET", pairs("csrf"), protected("a"), protected("b"), nil, nil, false},
		{"nonce", pairs("nonce"), `<script nonce="a">`, `<script nonce="bb">`, nil, nil, true},
		{"nonce is not csrf", pairs("csrf"), `<script nonce="a">`, `<script nonce="b">`, nil, nil, false},
		{"an expression", pairs("csrf", `in \d+ ms`), "made in 7 ms", "made in 12 ms", nil, nil, true},
		{"an expression, and more", pairs(`in \d+ ms`), "made in 7 ms", "Made in 7 ms", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := provisioned(t, ignoring(tt.words...))
			first := newVisit(t, "GET", "/", tt.before...).to(h, sendsHTML(tt.first))
			etag := first.rec.Header().Get("Etag")
			if !strings.HasPrefix(etag, `W/"cc1.`) || first.rec.Body.String() != tt.first {
				t.Errorf("the first answer has the tag %s and the body %q", etag, first.rec.Body)
			}
			row := trial{fields: append(pairs("If-None-Match", etag), tt.after...), next: sendsHTML(tt.second), body: tt.second, reason: "none_matched"}
			if tt.same {
				row.status, row.body, row.reason, row.want = 304, "", "if_none_match", pairs("Etag", etag)
			}
			row.against(t, h)
		})
	}
}

// Under ignore every tag is weak, whatever the mode and the client; its digest is the usual one if nothing is left out.
func TestIgnoreTag(t *testing.T) {
	plain := strings.TrimPrefix(weakTag, "W/")
	for name, h := range map[string]*Handler{"auto": ignoring("csrf"), "weak": {ETag: &ETag{Mode: "weak", Ignore: pairs("a+b", "nonce")}}} {
		for _, coding := range []string{"identity", "gzip"} {
			if got := tagOf(t, h, sendsPage(), "Accept-Encoding", coding); got != "W/"+plain {
				t.Errorf("%s, %s: the tag is %s, want W/%s", name, coding, got, plain)
			}
		}
	}
	// What is left out, decoded or said by a policy is not what a body alone could be.
	seen := make(map[string]string)
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"with a gap": sendsHTML("a1b"), "without": sendsHTML("ab"),
		"with a policy":   sendsHTML("ab", "Content-Security-Policy", "script-src 'nonce-a'"),
		"its canonical":   sendsHTML("ab\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x03"),
		"no longer coded": sends(200, zipped(t, "ab"), "Content-Type", "text/html", "Content-Encoding", "gzip"),
		"never coded":     sends(200, "ab", "Content-Type", "text/html", "Content-Encoding", "gzip"),
	} {
		etag := tagOf(t, ignoring("nonce", "1"), next)
		if other, twice := seen[etag]; twice {
			t.Errorf("%s has the tag of %s", name, other)
		}
		seen[etag] = name
	}
	// A mark is no line of Content-Type that the rest of a form could be mistaken for.
	if header := newVisit(t, "GET", "/").to(provisioned(t, ignoring("1")), sendsHTML("a1b")).rec.Header(); header.Get("Content-Type") != "text/html" || len(header["Content-Type"]) != 1 {
		t.Errorf("Content-Type: %q", header["Content-Type"])
	}
	runTrials(t, []trial{{
		name: "Range gets the whole: parts of two bodies with one tag do not fit", handler: ignoring("csrf"),
		fields: pairs("Range", "bytes=0-1"), reason: "weak_validator", want: pairs("Accept-Ranges", ""),
	}, {
		name: "head get", handler: &Handler{Head: "get", ETag: &ETag{Ignore: pairs("csrf")}}, method: "HEAD", want: pairs("Etag", weakTag),
	}, {
		name: "translated back, the tag is weak", handler: ignoring("csrf"), fields: pairs("If-None-Match", datedTag), status: 304,
		next: sends(304, ""), want: pairs("Etag", "W/"+datedTag), reason: "upstream",
	}, {
		name: "the upstream's own tag stands", handler: ignoring("csrf"), next: sendsPage("Etag", `"abc"`), want: pairs("Etag", `"abc"`),
	}})
}

// zipped is a text in gzip, padded with a random name.
func zipped(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	w.Name = rand.Text()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A body that arrives in gzip is decoded for its digest, within max_body and the budget, and sent as it came.
func TestIgnoreGzip(t *testing.T) {
	sendsZipped := func(page string) (caddyhttp.HandlerFunc, string) {
		body := zipped(t, page)
		return sendsHTML(body, "Content-Encoding", "gzip"), body
	}
	h := provisioned(t, ignoring("csrf"))
	next, body := sendsZipped(djangoForm(1, 2))
	v := newVisit(t, "GET", "/").to(h, next)
	etag := v.rec.Header().Get("Etag")
	if v.rec.Body.String() != body {
		t.Error("the body that was sent is another one")
	}
	again, _ := sendsZipped(djangoForm(1, 3))
	other, otherBody := sendsZipped(djangoForm(1, 3) + "!")
	for _, row := range []trial{
		{name: "another mask and padding", next: again, status: 304},
		{name: "another letter", next: other, body: otherBody},
	} {
		row.fields = pairs("If-None-Match", etag)
		t.Run(row.name, func(t *testing.T) { row.against(t, h) })
	}
	// The coded bytes count where the decoded ones are too many, or have no room.
	long := strings.Repeat("a", 100_000)
	for name, buffer := range map[string]*Buffer{"within max_body": {MaxBody: 100_000}, "over max_body": {MaxBody: 99_999}} {
		bounded := &Handler{ETag: &ETag{Ignore: pairs("csrf")}, Buffer: buffer}
		first, _ := sendsZipped(long)
		second, _ := sendsZipped(long)
		same := tagOf(t, bounded, first) == tagOf(t, bounded, second)
		if name == "over max_body" && same || name == "within max_body" && !same {
			t.Errorf("%s: one tag for two paddings: %t", name, same)
		}
	}
	crowded := bounded(t, 20_000, ignoring("csrf")) // room for the coded body
	first, body := sendsZipped(long)
	v = newVisit(t, "GET", "/").to(crowded, first)
	meta := tag.Metadata{ContentType: pairs("text/html"), ContentEncoding: pairs("gzip")}
	if got, want := v.rec.Header().Get("Etag"), new(tag.Maker).Digest(meta, []byte(body)).Field(true, time.Time{}); got != want {
		t.Errorf("without room the tag is %s, want %s", got, want)
	}
}

// A 304 has no policy with the nonce of a page that was not sent (see notmodified_test.go). Any other change of the
// policy is one of the page.
func TestIgnoreNoncePolicy(t *testing.T) {
	const csp = "Content-Security-Policy"
	page := func(nonce string) caddyhttp.HandlerFunc {
		return sendsHTML(`<script nonce="`+nonce+`">`, csp, "script-src 'nonce-"+nonce+"'")
	}
	matching := pairs("If-None-Match", tagOf(t, ignoring("nonce"), page("abc")))
	runTrials(t, []trial{
		{name: "the 200 has it", handler: ignoring("nonce"), next: page("def"), body: `<script nonce="def">`, want: pairs(csp, "script-src 'nonce-def'")},
		{name: "the 304 has not", handler: ignoring("nonce"), next: page("def"), fields: matching, status: 304, want: pairs(csp, "", "Etag", matching[1])},
		{name: "another policy is a change", handler: ignoring("nonce"), next: sendsHTML(`<script nonce="def">`, csp, "script-src 'nonce-def' 'self'"), fields: matching, body: `<script nonce="def">`},
	})
}

// A tag made under ignore does not say that nothing has changed: a write that names it is let through when it is
// current, with its field, and never by a strong comparison.
func TestIgnoreGuardsWrites(t *testing.T) {
	h := provisioned(t, ignoring("csrf"))
	next := func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return sendsHTML(djangoForm(1, int(time.Now().UnixNano()%62)))(w, r)
	}
	etag := newVisit(t, "GET", "/").to(h, next).rec.Header().Get("Etag")
	for _, row := range []trial{
		{name: "current", fields: pairs("If-Match", etag), status: 204, outcome: "guarded", reason: "guard_weak_tag"},
		{name: "of other content", fields: pairs("If-Match", "W/"+staleTag), status: 412},
		{name: "its strong form, which was never sent", fields: pairs("If-Match", strings.TrimPrefix(etag, "W/")), status: 412},
	} {
		row.method, row.next = "PUT", next
		t.Run(row.name, func(t *testing.T) { row.against(t, h) })
	}
}
