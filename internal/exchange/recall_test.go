package exchange_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestRememberedNotModified(t *testing.T) { //nolint:funlen // a table
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat)
	suffixed := strings.TrimSuffix(strongTag, `"`) + `-gzip"` // as encode writes it
	cases := map[string]struct {
		handler func(*Handler)
		steps   []step
	}{
		"a tag of ours": {nil, []step{firstVisit, revalidation, {
			fields: pairs("If-None-Match", staleTag), asked: true,
		}, {asked: true}, revalidation}},
		"in the form the client named": {nil, []step{
			firstVisit,
			{fields: pairs("If-None-Match", weakTag), status: 304, want: pairs("Etag", weakTag)},
			{fields: pairs("If-None-Match", datedTag), status: 304, want: pairs("Etag", datedTag)},
			{fields: pairs("If-None-Match", suffixed), status: 304, want: pairs("Etag", suffixed)},
			{fields: pairs("If-None-Match", `"x", `+strongTag), status: 304, want: pairs("Etag", strongTag)},
			{fields: pairs("If-None-Match", "*"), status: 304, want: pairs("Etag", strongTag)},
		}},
		"HEAD from a GET's record": {nil, []step{
			firstVisit, {method: http.MethodHead, fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered"},
		}},
		"other conditions": {nil, []step{
			firstVisit,
			{fields: pairs("If-None-Match", strongTag, "If-Match", strongTag), asked: true, status: 304},
			{fields: pairs("If-None-Match", strongTag, "If-Unmodified-Since", modified), asked: true, status: 304},
			{fields: pairs("If-Modified-Since", modified), asked: true},
			{fields: pairs("Range", "bytes=0-0", "If-None-Match", strongTag), status: 304},
		}},
		"If-Modified-Since": {nil, []step{
			{next: sendsPage("Last-Modified", modified), asked: true},
			{fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered", want: pairs("Etag", datedTag)},
			{fields: pairs("If-Modified-Since", dayAfter), status: 304, reason: "remembered", want: pairs("Etag", "", "Last-Modified", "")},
			{next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", tomorrow), status: 304, asked: true},
			{fields: pairs("If-Modified-Since", dayBefore), asked: true},
			{fields: pairs("If-None-Match", `"x"`, "If-Modified-Since", dayAfter), asked: true},
		}},
		"fields of RFC 9110 §15.4.5": {nil, []step{
			{next: sendsPage("Cache-Control", "public, max-age=9", "Vary", "Accept", "Content-Location", "/p", "X-Own", "1"), asked: true},
			{
				fields: pairs("If-None-Match", strongTag), status: 304,
				want: pairs("Cache-Control", "public, max-age=9", "Vary", "Accept", "Content-Location", "/p", "X-Own", "", "Content-Type", "", "Age", "0"),
			},
		}},
		"not_modified keep": {
			func(h *Handler) { h.NotModified = &NotModified{Keep: pairs("x-own", "Last-Modified")} }, []step{
				{next: sendsPage("X-Own", "1", "Last-Modified", modified), asked: true},
				{fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered", want: pairs("X-Own", "1", "Last-Modified", modified)},
			},
		},
		"an upstream's tag, streamed": {nil, []step{
			{next: sendsPage("Etag", `"u"`), asked: true},
			{fields: pairs("If-None-Match", `"u"`), status: 304, reason: "remembered", want: pairs("Etag", `"u"`)},
		}},
		"a body that is too long for a tag, with a date": {
			func(h *Handler) { h.Buffer = &Buffer{MaxBody: 2} }, []step{
				{next: sendsPage("Last-Modified", modified), asked: true},
				{fields: pairs("If-Modified-Since", modified), status: 304, reason: "remembered", want: pairs("Last-Modified", modified)},
			},
		},
		"no validator": {
			func(h *Handler) { h.ETag = &ETag{Mode: "off"} },
			[]step{firstVisit, {fields: pairs("If-None-Match", "*"), asked: true, status: 304}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, c.handler), c.steps...) })
	}
}

// cutOff declares more than it sends.
func cutOff(fields ...string) caddyhttp.HandlerFunc {
	return sendsPage(append(fields, "Content-Length", strconv.Itoa(len(page)+1))...)
}

func TestNotRemembered(t *testing.T) {
	asked := step{fields: pairs("If-None-Match", strongTag), asked: true, status: 304}
	askedForU := step{fields: pairs("If-None-Match", `"u"`), next: sendsPage("Etag", `"u"`), asked: true, status: 304}
	cases := map[string][]step{
		"a body that is cut off": {{next: cutOff(), asked: true}, asked},
		"a streamed body that is cut off": {
			{next: cutOff("Etag", `"u"`), asked: true}, askedForU,
		},
		"an abort": {{next: aborting(sendsPage(), http.ErrAbortHandler), asked: true, status: 502}, asked},
		"an error": {{next: failing(sendsPage(), errors.New("x")), asked: true, status: 500}, asked},
		"a 404":    {{next: sends(404, page, "Etag", `"u"`), asked: true, status: 404}, askedForU},
		"a 206":    {{next: sends(206, page, "Etag", `"u"`, "Content-Range", "bytes 0-4/5"), asked: true, status: 206}, askedForU},
		"what a client named": {
			{fields: pairs("If-None-Match", `"u"`), next: sends(304, "", "Etag", `"u"`), asked: true, status: 304},
			askedForU,
		},
		"private":          {{next: sendsPage("Cache-Control", "private"), asked: true}, asked},
		"a cookie":         {{next: sendsPage("Set-Cookie", "a=1"), asked: true}, asked},
		"for a session":    {{fields: pairs("Cookie", "a=1"), asked: true}, asked},
		"with credentials": {{fields: pairs("Authorization", "x"), asked: true}, asked},
		"a HEAD":           {{method: http.MethodHead, next: sends(200, "", "Etag", `"u"`), asked: true}, askedForU},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, nil), steps...) })
	}
}

func TestRememberedUnderRewrites(t *testing.T) {
	h := remembering(t, nil)
	inside := func(w http.ResponseWriter, r *http.Request) error {
		r.URL.Path, r.URL.RawQuery = "/index.php", "q="+r.URL.Path
		r.Header.Set("Cookie", "made=inside")
		return sendsPage()(w, r)
	}
	for _, target := range []string{"/a", "/b"} {
		v := newVisit(t, http.MethodGet, target)
		v.serve(h, inside)
	}
	for _, target := range []string{"/a", "/b"} {
		runSteps(t, h, step{target: target, fields: pairs("If-None-Match", strongTag), status: 304, reason: "remembered"})
	}
	runSteps(t, h, step{target: "/index.php?q=/a", fields: pairs("If-None-Match", strongTag), asked: true, status: 304})
}

func TestKeyOfRemember(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.Remember.Key = "{http.request.header.X-Api-Key}" })
	runSteps(t, h, step{fields: pairs("X-Api-Key", "a"), asked: true},
		step{fields: pairs("X-Api-Key", "a", "If-None-Match", strongTag), status: 304, reason: "remembered"},
		step{fields: pairs("X-Api-Key", "b", "If-None-Match", strongTag), asked: true, status: 304})
}

func TestUserOfCaddyIsNotRemembered(t *testing.T) {
	h := remembering(t, nil)
	for range 2 {
		v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag)
		v.repl.Set("http.auth.user.id", "ada")
		if v.to(h, sendsPage()); v.seen == nil {
			t.Error("answered from memory")
		}
	}
	runSteps(t, h, firstVisit, revalidation)
}

func TestWhatAnInnerHandlerAuthenticatesIsNotRemembered(t *testing.T) {
	h := remembering(t, nil)
	v := newVisit(t, http.MethodGet, "/", "X-Token", "ada")
	v.to(h, func(w http.ResponseWriter, r *http.Request) error {
		v.repl.Set("http.auth.user.id", "ada")
		return sendsPage()(w, r)
	})
	runSteps(t, h, step{fields: pairs("If-None-Match", strongTag), asked: true, status: 304})
}

func TestReplacingInPlaceInsideChangesNoKey(t *testing.T) {
	h := remembering(t, nil)
	v := newVisit(t, http.MethodGet, "/", "X-Tenant", "x")
	v.serve(h, func(w http.ResponseWriter, r *http.Request) error {
		r.Header["X-Tenant"][0] = "t-x" // as request_header does with a replacement
		return sendsPage("Vary", "X-Tenant")(w, r)
	})
	runSteps(t, h, step{fields: pairs("X-Tenant", "t-x", "If-None-Match", strongTag), next: sendsPage("Vary", "X-Tenant"), asked: true, status: 304},
		step{fields: pairs("X-Tenant", "x", "If-None-Match", strongTag), status: 304})
}

func TestVaryOnWhatCaddyAddsItself(t *testing.T) {
	h := remembering(t, nil)
	next := sendsPage("Vary", "X-Forwarded-For")
	runSteps(t, h, step{next: next, asked: true}, step{fields: pairs("If-None-Match", strongTag), next: next, asked: true, status: 304})
}

func TestGetWithContentIsNotRemembered(t *testing.T) {
	h := remembering(t, nil)
	search := func(content string) *visit {
		v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag)
		v.r.Body, v.r.ContentLength = io.NopCloser(strings.NewReader(content)), int64(len(content))
		v.serve(h, sendsPage())
		return v
	}
	search("a")
	if search("b").seen == nil {
		t.Error("another content was answered from memory")
	}
}

// TestFormsForWhomNobodyKnows: a form with a token, of a page that does not say that it depends on the cookie, is not
// remembered: its tag has the token's secret in it, the key has not.
func TestFormsForWhomNobodyKnows(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.ETag = &ETag{Ignore: pairs("csrf")} })
	token := strings.Repeat("a", 32) + strings.Repeat("b", 32)
	form := sends(200, `<input type="hidden" name="csrfmiddlewaretoken" value="`+token+`">`, "Content-Type", "text/html")
	tag := newVisit(t, http.MethodGet, "/").to(h, form).rec.Header().Get("Etag")
	runSteps(t, h, step{next: form, fields: pairs("If-None-Match", tag), asked: true, status: 304})
}

// TestPagesWithTokensAreNotRemembered: whether a form's token is still good only the upstream knows. A session may have
// ended there though the cookie is the same.
func TestPagesWithTokensAreNotRemembered(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.ETag = &ETag{Ignore: pairs("csrf", "nonce")} })
	form := func(secret string) caddyhttp.HandlerFunc {
		input := `<input type="hidden" name="csrfmiddlewaretoken" value="` + strings.Repeat("a", 32) + strings.Repeat(secret, 32) + `">`
		return sends(200, input, "Content-Type", "text/html", "Vary", "Cookie")
	}
	etag := newVisit(t, http.MethodGet, "/", "Cookie", "id=1").to(h, form("b")).rec.Header().Get("Etag")
	runSteps(t, h, step{fields: pairs("Cookie", "id=1", "If-None-Match", etag), next: form("c"), asked: true, status: 200})
	// Nor is one whose token is in an attribute, or in a script, where it counts.
	for target, place := range map[string]string{"/attribute": `<p data-csrf="TOKEN">`, "/script": `<script>csrf = "TOKEN"</script>`} {
		page := strings.ReplaceAll(place, "TOKEN", strings.Repeat("a", 32)+strings.Repeat("b", 31)+"c")
		next := sends(200, page, "Content-Type", "text/html", "Vary", "Cookie")
		etag := newVisit(t, http.MethodGet, target, "Cookie", "id=1").to(h, next).rec.Header().Get("Etag")
		runSteps(t, h, step{target: target, fields: pairs("Cookie", "id=1", "If-None-Match", etag), next: next, asked: true, status: 304})
	}
	// What only has nonces is.
	page := sends(200, `<script nonce="abc">`, "Content-Type", "text/html")
	etag = newVisit(t, http.MethodGet, "/nonce").to(h, page).rec.Header().Get("Etag")
	runSteps(t, h, step{target: "/nonce", fields: pairs("If-None-Match", etag), status: 304, reason: "remembered"})
}

func TestInnerInstanceRemembers(t *testing.T) {
	inner := remembering(t, nil)
	outer := provisioned(t, &Handler{ContentLocation: true})
	runSteps(t, nestedIn{outer, inner}, firstVisit, step{fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Etag", strongTag, "Content-Location", "/")})
}

func TestErrorRouteRemembersNothing(t *testing.T) {
	h := remembering(t, nil)
	runSteps(t, h, firstVisit)
	v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag).with(caddyhttp.ErrorCtxKey, errors.New("x"))
	if v.serve(h, sends(404, "sorry")); v.seen == nil || v.rec.Code != 404 {
		t.Errorf("got %d", v.rec.Code)
	}
}

func TestRememberedAnswerAllocations(t *testing.T) {
	h := remembering(t, nil)
	runSteps(t, h, step{next: sendsPage("Cache-Control", "max-age=60"), asked: true})
	v := newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag)
	w := &discarding{header: make(http.Header)}
	allocs := testing.AllocsPerRun(200, func() {
		clear(w.header)
		if err := h.ServeHTTP(w, v.r, sendsPage()); err != nil || w.status != 304 {
			t.Fatal(err, w.status)
		}
	})
	t.Logf("%v allocations", allocs)
	// Date and Age are texts, one block has the lists, and what placeholders are asked costs a closure; the
	// replacer's list of these grows only because this test asks it again and again.
	if allocs > 5 {
		t.Errorf("%v allocations for one answer", allocs)
	}
}

// discarding is a response writer without any costs.
type discarding struct {
	header http.Header
	status int
}

func (w *discarding) Header() http.Header         { return w.header }
func (w *discarding) WriteHeader(status int)      { w.status = status }
func (w *discarding) Write(p []byte) (int, error) { return len(p), nil }
