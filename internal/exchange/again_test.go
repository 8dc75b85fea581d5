package exchange_test

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/templates"

	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// rendered is next behind Caddy's templates, which render plain text.
func rendered(t *testing.T, next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc {
	t.Helper()
	under, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	h := new(templates.Templates)
	if err := h.Provision(under); err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) }
}

// rangeTrial is a trial whose upstream answers Range in one way, and without it with the page.
type rangeTrial struct {
	trial
	first caddyhttp.HandlerFunc
	calls int
}

// run checks that nothing of the first time shows the second time: a route's group, a rewrite, a variable. around is
// what stands between the upstream and the handler.
func (tt *rangeTrial) run(t *testing.T, around func(*testing.T, caddyhttp.HandlerFunc) caddyhttp.HandlerFunc) {
	t.Helper()
	calls := 0
	tt.next = around(t, func(w http.ResponseWriter, r *http.Request) error {
		groups, _ := r.Context().Value(caddy.CtxKey("route_group")).(map[string]struct{})
		if _, used := groups["used"]; used || r.URL.Path != "/" || caddyhttp.GetVar(r.Context(), "used") != nil || w.Header()["X-Used"] != nil {
			t.Error("the second request has something of the first")
		}
		groups["used"] = struct{}{}
		caddyhttp.SetVar(r.Context(), "used", true)
		w.Header().Set("X-Used", "1")
		r.URL.Path = "/rewritten"
		if calls++; calls == 1 {
			return tt.first(w, r)
		}
		if fields := upstream.Snapshot(r.Header); fields.Any() {
			t.Errorf("the second request has %v", fields.Header())
		}
		return sendsPage()(w, r)
	})
	tt.trial.run(t)
	if calls != tt.calls {
		t.Errorf("the upstream was asked %d times, want %d", calls, tt.calls)
	}
}

// fileServed is as file_server answers for a file of plain text.
func fileServed(content string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Etag", `"file"`)
		http.ServeContent(w, r, "file.txt", time.Unix(1_700_000_000, 0), strings.NewReader(content))
		return nil
	}
}

// text is a part of a file of plain text.
func text(content string, fields ...string) caddyhttp.HandlerFunc {
	return sends(206, content, append(pairs("Content-Type", "text/plain"), fields...)...)
}

func asks(set string, more ...string) []string { return append(pairs("Range", set), more...) }

// What templates has rendered of a part is no part of the page, whatever the part had to say for itself.
func TestRangeThatWasRendered(t *testing.T) {
	part := text("{{1}}", "Content-Range", "bytes 3-6/14")
	off, small := &Handler{ETag: &ETag{Mode: "off"}}, &Handler{Buffer: &Buffer{MaxBody: 11}}
	for _, tt := range []rangeTrial{
		{trial{name: "a part", fields: asks("bytes=3-4"), status: 206, body: "lo", outcome: "partial", want: pairs("Etag", strongTag, "Content-Range", "bytes 3-4/12")}, part, 2},
		{trial{name: "of a file", fields: asks("bytes=10-11"), status: 206, body: "ld", want: pairs("Etag", strongTag)}, fileServed("{{if true}}hello, world{{end}}"), 2},
		{trial{name: "and the whole has changed", fields: asks("bytes=3-4", "If-Range", `"x"`), outcome: "tagged", reason: "if_range"}, part, 2},
		{trial{name: "conditions are judged, too", fields: asks("bytes=3-4", "If-Match", `"x"`), status: 412}, part, 2},
		{trial{name: "with a date", fields: asks("bytes=3-4"), status: 206, body: "lo"}, withField(part, "Last-Modified", modified), 2},
		{trial{name: "with a tag", fields: asks("bytes=3-4"), status: 206, body: "lo"}, withField(part, "Etag", `"x"`), 2},
		{trial{name: "of what nobody knows the length of", fields: asks("bytes=3-4"), status: 206, body: "lo"}, text("{{1}}", "Content-Range", "bytes 3-4/*"), 2},
		{trial{name: "no-store", fields: asks("bytes=3-4", "Cache-Control", "no-store"), outcome: "streamed", reason: "no_validator"}, part, 2},
		{trial{name: "longer than max_body", handler: small, fields: asks("bytes=3-4"), outcome: "streamed", reason: "no_validator"}, part, 2},
		{trial{name: "etag off", handler: off, fields: asks("bytes=3-4"), outcome: "streamed", reason: "no_validator"}, part, 2},
		{trial{name: "a coding may follow: the whole is right", fields: asks("bytes=3-4", "Accept-Encoding", "gzip"), outcome: "tagged", reason: "weak_validator"}, part, 2},
		{trial{name: "ranges off", handler: &Handler{Ranges: &Ranges{Mode: "off"}}, fields: asks("bytes=3-4"), status: 206, body: "1"}, part, 1},
		{trial{name: "416 about the length of the file", fields: asks("bytes=10-"), status: 206, body: "ld", want: pairs("Content-Range", "bytes 10-11/12")}, fileServed("{{range}}"), 2},
		{trial{name: "416 that is true", fields: asks("bytes=99-"), status: 416, outcome: "range_unsatisfiable", want: pairs("Content-Range", "bytes */12")}, fileServed("hello, world"), 2},
		{trial{name: "a part that cannot be rendered", fields: asks("bytes=3-4"), status: 206, body: "lo"}, text("{{so", "Content-Range", "bytes 3-6/14"), 2},
		{trial{name: "a part that fails without its condition", fields: asks("bytes=3-4"), status: 206, body: "lo"}, text("{{httpError 403}}", "Content-Range", "bytes 3-6/14"), 2},
		{trial{name: "a type that is not rendered", fields: asks("bytes=3-4"), status: 206, body: "{{1}}", outcome: "streamed"}, sends(206, "{{1}}", "Content-Type", "image/png"), 1},
		{trial{name: "several parts, which are not rendered", fields: asks("bytes=3-4,6-7", "If-Range", `"x"`), outcome: "tagged", reason: "if_range"}, sends(206, "--x", "Content-Type", "multipart/byteranges; boundary=x"), 2},
		{trial{name: "416 of an API", fields: asks("items=900-999"), status: 416, body: "[]"}, sends(416, "[]", "Content-Type", "application/json"), 1},
		{trial{name: "an error of who stands behind it", fields: asks("bytes=3-4"), status: 500}, failing(sendsNothing, errors.New("mine")), 1},
		{trial{name: "an upstream out of reach", fields: asks("bytes=3-4"), status: 502}, failing(sendsNothing, caddyhttp.Error(502, nil)), 1},
		{trial{name: "no Range was sent on", fields: asks("bytes=-0"), status: 416}, fileServed("hello, world"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, rendered) })
	}
}

// A part of the upstream's passes, whatever it lacks, and the upstream is asked once.
func TestRangeOfTheUpstreamPasses(t *testing.T) {
	part := text("lo", "Content-Range", "bytes 3-4/12")
	refuses := sends(416, "invalid range", "Content-Type", "text/plain; charset=utf-8", "X-Content-Type-Options", "nosniff") // as http.Error does
	for _, tt := range []rangeTrial{
		{trial{name: "no validator", fields: asks("bytes=3-4"), want: pairs("Content-Range", "bytes 3-4/12", "Etag", "", "Vary", "")}, part, 1},
		{trial{name: "no validator, and a client that accepts gzip", fields: asks("bytes=3-4", "Accept-Encoding", "gzip")}, part, 1},
		{trial{name: "If-Range", fields: asks("bytes=3-4", "If-Range", `"x"`)}, part, 1},
		{trial{name: "a date", fields: asks("bytes=3-4"), want: pairs("Last-Modified", modified)}, withField(part, "Last-Modified", modified), 1},
		{trial{name: "last_modified remove", handler: &Handler{LastModified: &LastModified{Mode: "remove"}}, fields: asks("bytes=3-4"), want: pairs("Last-Modified", "")}, withField(part, "Last-Modified", modified), 1},
		{trial{name: "a weak tag", fields: asks("bytes=3-4"), want: pairs("Etag", `W/"x"`)}, withField(part, "Etag", `W/"x"`), 1},
		{trial{name: "a tag that says nothing", fields: asks("bytes=3-4"), want: pairs("Etag", "")}, withField(part, "Etag", embeddedTag), 1},
		{trial{name: "no Content-Range", fields: asks("bytes=3-4")}, text("lo"), 1},
		{trial{name: "a unit of its own", fields: asks("lines=0-1")}, text("lo", "Content-Range", "lines 0-1/64"), 1},
		{trial{name: "a malformed set", fields: asks("bytes=4-3")}, part, 1},
		{trial{name: "of a file", fields: asks("bytes=3-4"), want: pairs("Etag", `"file"`)}, fileServed(page), 1},
		{trial{name: "416", fields: asks("bytes=99-"), status: 416, body: "invalid range"}, withField(refuses, "Content-Range", "bytes */12"), 1},
		{trial{name: "416 without a length", fields: asks("bytes=99-"), status: 416, body: "invalid range"}, refuses, 1},
		{trial{name: "416 to a unit that it may know", fields: asks("items=3-4"), status: 416, body: "invalid range"}, refuses, 1},
		{trial{name: "416 of a file", fields: asks("bytes=99-"), status: 416, body: "invalid range: failed to overlap\n"}, fileServed(page), 1},
		{trial{name: "416 of a file, to a unit that nobody knows", fields: asks("items=3-4"), status: 200, body: page, outcome: "tagged", reason: "range_unusable"}, fileServed(page), 2},
		{trial{name: "416 of a file, to a malformed set", fields: asks("bytes=4-3"), status: 200, body: page, outcome: "tagged", reason: "range_unusable"}, fileServed(page), 2},
		{trial{name: "an error", fields: asks("bytes=3-4"), status: 500}, failing(sendsNothing, errors.New("mine")), 1},
		{trial{name: "an error of the same status", fields: asks("bytes=3-4"), status: 500}, failing(sendsNothing, caddyhttp.Error(500, nil)), 1},
		{trial{name: "an error behind the head", fields: asks("bytes=3-4"), status: 500}, failing(sendsPage(), caddyhttp.Error(500, nil)), 1},
		{trial{name: "what has been sent stays", fields: asks("bytes=3-4"), status: 500, body: "part"}, failing(sends(203, "part"), errors.New("late")), 1},
	} {
		if tt.status == 0 {
			tt.status, tt.body, tt.outcome = 206, "lo", "streamed"
		}
		direct := func(_ *testing.T, next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc { return next }
		t.Run(tt.name, func(t *testing.T) { tt.run(t, direct) })
	}
}

// A page that cannot be rendered as a whole either is tried twice, and then fails.
func TestRangeOfABrokenPage(t *testing.T) {
	calls := 0
	v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(provisioned(t, nil), rendered(t, func(w http.ResponseWriter, r *http.Request) error {
		calls++
		return fileServed("{{end}}")(w, r)
	}))
	if wantStatus(t, v, 500); calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

// The first answer's timers have nothing to say of the second.
func TestRangeMisreadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(provisioned(t, nil), rendered(t, func(w http.ResponseWriter, r *http.Request) error {
			if calls++; calls == 1 {
				return text("{{1}}", "Content-Range", "bytes 3-6/14")(w, r)
			}
			select {
			case <-time.After(150 * time.Millisecond):
				return sendsPage()(w, r)
			case <-r.Context().Done():
				return r.Context().Err()
			}
		}))
		if v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != "lo" || v.err != nil {
			t.Errorf("status %d, %q, error %v", v.rec.Code, v.rec.Body, v.err)
		}
	})
}

// Who stands next to templates asks again, and those further out get a right part; or if it answers no Range itself, they
// ask, and those inside act the second time as they did the first.
func TestRangeThatWasRenderedInside(t *testing.T) {
	for _, mode := range []string{"on", "off"} {
		inner := provisioned(t, &Handler{Block: "inner", CacheControl: []CacheControl{{Directives: []string{"max-age=60"}}}, ETag: &ETag{Mode: "off"}, Ranges: &Ranges{Mode: mode}})
		calls := 0
		next := rendered(t, func(w http.ResponseWriter, r *http.Request) error {
			calls++
			w.Header().Set("Content-Type", "text/plain")
			return fileServed("{{if true}}hello, world{{end}}")(w, r)
		})
		v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(provisioned(t, &Handler{Block: "outer"}), within(inner, next))
		if v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != "lo" || calls != 2 {
			t.Errorf("ranges %s inside: status %d, %q, %d calls", mode, v.rec.Code, v.rec.Body, calls)
		}
		wantPairs(t, "the response", v.rec.Header(), pairs("Cache-Control", "max-age=60", "Etag", strongTag))
	}
}

// A part that an instance has cut out is right, also where templates is still writing the page that it is cut out of. It
// is not where templates stands outside of that instance, and renders it.
func TestRangeThatWasCutInside(t *testing.T) {
	inner := provisioned(t, &Handler{Block: "inner", Buffer: &Buffer{MaxBody: 11}, Ranges: &Ranges{Mode: "stream"}})
	outer := provisioned(t, &Handler{Block: "outer"})
	for name, tt := range map[string]struct {
		around func(caddyhttp.HandlerFunc) caddyhttp.HandlerFunc
		calls  int
	}{
		"outside of templates": {func(next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc { return within(inner, rendered(t, next)) }, 1},
		"inside of templates":  {func(next caddyhttp.HandlerFunc) caddyhttp.HandlerFunc { return rendered(t, within(inner, next)) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			next := tt.around(func(w http.ResponseWriter, r *http.Request) error {
				calls++
				return sendsPage("Content-Length", "12")(w, r)
			})
			v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(outer, next)
			if v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != "lo" || calls != tt.calls {
				t.Errorf("status %d, %q, %d calls", v.rec.Code, v.rec.Body, calls)
			}
		})
	}
}

// secondTrial is a trial whose upstream answers in one way at first, and in another when it is asked again.
type secondTrial struct {
	trial
	first caddyhttp.HandlerFunc
	calls int
}

// A 304 whose own date is a build tool's, or whose tag is not trusted, says nothing of the content: the next handler is
// asked again without conditions, and that answer goes out, whatever it is.
func TestNotModifiedThatRestsOnNothing(t *testing.T) {
	const zipTag = `"2eav1j7kiyo0-5"` // of file_server, of 1980-01-01
	ofEpoch, ofTag := says304("Last-Modified", epochDate), says304("Etag", zipTag)
	byDate := pairs("If-Modified-Since", modified)
	mode := func(word string) *Handler { return &Handler{LastModified: &LastModified{Mode: word}} }
	small := &Handler{Buffer: &Buffer{MaxBody: 11}}
	for _, tt := range []secondTrial{
		{trial{name: "a build tool's date", fields: byDate, outcome: "tagged", reason: "condition_ignored", want: pairs("Etag", strongTag, "Last-Modified", "")}, ofEpoch, 2},
		{trial{name: "the year 1", fields: byDate, want: pairs("Etag", strongTag)}, says304("Last-Modified", "Mon, 01 Jan 0001 00:00:00 GMT"), 2},
		{trial{name: "file_server's tag of such a date", fields: byDate, want: pairs("Etag", strongTag)}, ofTag, 2},
		{trial{name: "file_server's tag of no date", fields: byDate, want: pairs("Etag", strongTag)}, says304("Etag", embeddedTag), 2},
		{trial{name: "a tag beside such a date", fields: byDate, want: pairs("Etag", strongTag)}, says304("Etag", `"12cea601-26c"`, "Last-Modified", "Tue, 01 Jan 1980 00:00:01 GMT"), 2},
		{trial{name: "last_modified remove", handler: mode("remove"), fields: byDate, want: pairs("Etag", strongTag)}, ofEpoch, 2},
		{trial{name: "last_modified off", handler: mode("off"), fields: byDate, want: pairs("Etag", strongTag)}, ofEpoch, 2},
		{trial{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, fields: byDate, want: pairs("Etag", "")}, ofEpoch, 2},
		{trial{name: "to the date in a tag of ours", fields: pairs("If-None-Match", staleDated), reason: "none_matched", want: pairs("Etag", strongTag)}, ofEpoch, 2},
		{trial{name: "… and the content is the same", fields: pairs("If-None-Match", datedTag), status: 304, reason: "if_none_match", want: pairs("Etag", datedTag)}, ofEpoch, 2},
		{trial{name: "to the upstream's own tag", fields: pairs("If-None-Match", `"12cea601-26c"`), reason: "none_matched", want: pairs("Etag", strongTag)}, says304("Etag", `"12cea601-26c"`, "Last-Modified", "Tue, 01 Jan 1980 00:00:01 GMT"), 2},
		{trial{name: "a HEAD", method: "HEAD", fields: byDate, body: page, outcome: "streamed", reason: "head", want: pairs("Etag", "", "Content-Type", "text/plain")}, ofEpoch, 2},
		{trial{name: "a HEAD as GET", handler: &Handler{Head: "get"}, method: "HEAD", fields: byDate, want: pairs("Etag", strongTag, "Content-Length", "12")}, ofEpoch, 2},
		{trial{name: "longer than what is held", handler: small, fields: byDate, outcome: "streamed", reason: "max_body"}, ofEpoch, 2},
		{trial{name: "Range is answered out of it", fields: append(byDate, "Range", "bytes=3-4"), status: 206, body: "lo", outcome: "partial"}, ofEpoch, 2},
		{trial{name: "a failure of Range is not meant", fields: byDate, status: 500}, failing(sendsNothing, errors.New("down")), 1},
		{trial{name: "a real date", fields: byDate, status: 304, reason: "upstream", want: pairs("Last-Modified", modified)}, says304("Last-Modified", modified), 1},
		{trial{name: "a real tag", fields: byDate, status: 304, reason: "upstream", want: pairs("Etag", `"abc"`)}, says304("Etag", `"abc"`), 1},
		{trial{name: "nothing beside it", fields: byDate, status: 304, reason: "upstream"}, says304(), 1},
		{trial{name: "a 200 of such a date", fields: byDate, want: pairs("Etag", strongTag, "Last-Modified", "")}, sendsPage("Last-Modified", epochDate), 1},
		{trial{name: "to nobody's question", status: 304, reason: "upstream"}, ofEpoch, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			tt.next = func(w http.ResponseWriter, r *http.Request) error {
				if r.URL.Path != "/" || r.Header.Get("X-Used") != "" || r.Method != cmp.Or(tt.method, http.MethodGet) && tt.handler == nil {
					t.Error("the second request has something of the first, or another method")
				}
				r.URL.Path, r.Header["X-Used"] = "/rewritten", pairs("1")
				defer r.Header.Del("X-Used")
				if calls++; calls == 1 {
					return tt.first(w, r)
				}
				if fields := upstream.Snapshot(r.Header); fields.Any() {
					t.Errorf("the second request has %v", fields.Header())
				}
				return sendsPage("Last-Modified", epochDate)(w, r)
			}
			tt.run(t)
			if calls != tt.calls {
				t.Errorf("the upstream was asked %d times, want %d", calls, tt.calls)
			}
		})
	}
}

// What the next handler may have read of a request is not there a second time.
func TestRequestWithContentIsNotAskedAgain(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"a length":                      func(r *http.Request) { r.ContentLength = 3 },
		"chunks":                        func(r *http.Request) { r.TransferEncoding = pairs("chunked") },
		"HTTP/2, no length":             func(r *http.Request) { r.ContentLength, r.ProtoMajor = -1, 2 },
		"none":                          func(*http.Request) {},
		"HTTP/3, where it is not known": func(r *http.Request) { r.ContentLength, r.ProtoMajor = -1, 3 },
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			v := newVisit(t, http.MethodGet, "/", "If-Modified-Since", modified)
			change(v.r)
			v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
				if calls++; calls == 1 {
					return says304("Last-Modified", epochDate)(w, r)
				}
				return sendsPage()(w, r)
			})
			if want := map[bool]int{true: 200, false: 304}[name == "none" || name == "HTTP/3, where it is not known"]; v.status() != want {
				t.Errorf("status %d after %d calls, want %d", v.status(), calls, want)
			}
		})
	}
}

// The answer to the second question is one like any other: it is tagged, remembered, and of nested instances the inner
// one asks.
func TestAnswerToASecondQuestion(t *testing.T) {
	calls := 0
	next := func(w http.ResponseWriter, r *http.Request) error {
		calls++
		if r.Header["If-Modified-Since"] != nil {
			return says304("Last-Modified", epochDate)(w, r)
		}
		return sendsPage("Last-Modified", epochDate)(w, r)
	}
	t.Run("remembered", func(t *testing.T) {
		h := remembering(t, nil)
		runSteps(t, h, step{fields: pairs("If-Modified-Since", modified), next: next, asked: true, want: pairs("Etag", strongTag)}, revalidation)
	})
	t.Run("nested", func(t *testing.T) {
		calls = 0
		inner, outer := inBlock(t, "inner", &Handler{ETag: &ETag{Mode: "off"}}), inBlock(t, "outer", new(Handler))
		v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(outer, within(inner, next))
		wantStatus(t, v, 200)
		wantPairs(t, "the response", v.rec.Header(), pairs("Etag", strongTag, "Last-Modified", ""))
		if calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}
