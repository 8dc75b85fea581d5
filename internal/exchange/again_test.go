package exchange_test

import (
	"cmp"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// misreadTrial is a trial whose upstream answers Range in one way, and without it in another.
type misreadTrial struct {
	trial
	first caddyhttp.HandlerFunc
	calls int
}

func misreadTrials() []misreadTrial {
	part := sends(206, "{{so", "Content-Range", "bytes 3-6/14", "Content-Type", "text/plain")
	// As http.Error writes them.
	refuses := sends(416, "invalid range", "Content-Type", "text/plain; charset=utf-8", "X-Content-Type-Options", "nosniff")
	beyond := func(size string) caddyhttp.HandlerFunc { return withField(refuses, "Content-Range", "bytes */"+size) }
	dated := sends(206, "lo", "Content-Range", "bytes 3-4/12", "Last-Modified", modified)
	return []misreadTrial{
		{trial{name: "a part without validator", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo", outcome: "partial", want: pairs("Etag", strongTag, "Content-Range", "bytes 3-4/12")}, part, 2},
		{trial{name: "and the whole has changed", fields: pairs("Range", "bytes=3-4", "If-Range", `"x"`), outcome: "tagged", reason: "if_range"}, part, 2},
		{trial{name: "conditions are judged, too", fields: pairs("Range", "bytes=3-4", "If-Match", `"x"`), status: 412}, part, 2},
		{trial{name: "one with a date is usable", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo", outcome: "streamed"}, dated, 1},
		{trial{name: "one with a tag is usable", fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, withField(part, "Etag", `W/"x"`), 1},
		{trial{name: "a part in a unit of its own", fields: pairs("Range", "lines=0-1"), status: 206, body: "two"}, sends(206, "two", "Content-Range", "lines 0-1/64"), 1},
		{trial{name: "longer than max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 13}}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "ranges off", handler: &Handler{Ranges: "off"}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "no Range was sent on", fields: pairs("Range", "bytes=-0"), status: 206, body: "{{so"}, part, 1},
		{trial{name: "a unit that it does not know", fields: pairs("Range", "items=3-4"), outcome: "tagged", reason: "range_unusable"}, refuses, 2},
		{trial{name: "416 of a length", fields: pairs("Range", "bytes=10-"), status: 206, body: "ld", want: pairs("Content-Range", "bytes 10-11/12")}, beyond("9"), 2},
		{trial{name: "416 that is true", fields: pairs("Range", "bytes=99-"), status: 416, outcome: "range_unsatisfiable", want: pairs("Content-Range", "bytes */12")}, beyond("12"), 2},
		{trial{name: "416 of another server", fields: pairs("Range", "bytes=99-"), status: 416, body: "no"}, sends(416, "no", "Content-Range", "bytes */12"), 1},
		{trial{name: "416 of an API that pages with a unit of its own", fields: pairs("Range", "items=900-999"), status: 416, body: "[]"}, sends(416, "[]", "Content-Type", "application/json"), 1},
		{trial{name: "a part that says parts can be had", fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, withField(part, "Accept-Ranges", "bytes"), 1},
		{trial{name: "a part of what nobody knows the length of", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, sends(206, "lo", "Content-Range", "bytes 3-4/*"), 1},
		{trial{name: "several parts", fields: pairs("Range", "bytes=3-4,6-7"), status: 206, body: "--x"}, sends(206, "--x", "Content-Type", "multipart/byteranges; boundary=x"), 1},
		{trial{name: "no-store", fields: pairs("Range", "bytes=3-4"), status: 206, body: "{{so"}, withField(part, "Cache-Control", "no-store"), 1},
		{trial{name: "last_modified remove", handler: &Handler{LastModified: &LastModified{Mode: "remove"}}, fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, dated, 1},
		{trial{name: "a coding may follow: the whole is right", fields: pairs("Range", "bytes=3-4", "Accept-Encoding", "gzip"), outcome: "tagged", reason: "weak_validator"}, part, 2},
		{trial{name: "416 of a length over max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 13}}, fields: pairs("Range", "bytes=99-"), status: 416, body: "invalid range"}, beyond("14"), 1},
		{trial{name: "416 of what has a tag", fields: pairs("Range", "bytes=99-"), status: 416, body: "invalid range"}, withField(beyond("12"), "Etag", `"x"`), 1},
		{trial{name: "416 without a length", fields: pairs("Range", "bytes=99-"), status: 416, body: "invalid range"}, refuses, 1},
		{trial{name: "a handler fails", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, failing(sendsNothing, errors.New("unclosed action")), 2},
		{trial{name: "a handler fails behind its head", fields: pairs("Range", "bytes=3-4"), status: 206, body: "lo"}, failing(sendsPage(), caddyhttp.Error(500, nil)), 2},
		{trial{name: "an upstream out of reach", fields: pairs("Range", "bytes=3-4"), status: 502}, failing(sendsNothing, caddyhttp.Error(502, nil)), 1},
		{trial{name: "a file is not there", fields: pairs("Range", "bytes=3-4"), status: 404}, failing(sendsNothing, caddyhttp.Error(404, nil)), 1},
		{trial{name: "what has been sent stays", fields: pairs("Range", "bytes=3-4"), status: 500, body: "part"}, failing(sends(203, "part"), errors.New("late")), 1},
		{trial{name: "416 of a unit that it knows", fields: pairs("Range", "items=99-"), status: 416, body: "no"}, sends(416, "no", "Content-Range", "items */12"), 1},
	}
}

// An upstream that answers Range with what no client can use is asked for the whole (see misreads). A route's
// group, a rewrite and a variable of the first time must not show the second time.
func TestRangeMisread(t *testing.T) {
	for _, tt := range misreadTrials() {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			tt.next = func(w http.ResponseWriter, r *http.Request) error {
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
			}
			tt.run(t)
			if calls != tt.calls {
				t.Errorf("the upstream was asked %d times, want %d", calls, tt.calls)
			}
		})
	}
}

// The first answer's timers have nothing to say of the second.
func TestRangeMisreadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
			if calls++; calls == 1 {
				addPairs(w.Header(), pairs("Content-Range", "bytes 3-6/14"))
				w.WriteHeader(http.StatusPartialContent)
				return nil
			}
			select {
			case <-time.After(150 * time.Millisecond):
				return sendsPage()(w, r)
			case <-r.Context().Done():
				return r.Context().Err()
			}
		})
		if v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != "lo" || v.err != nil {
			t.Errorf("status %d, %q, error %v", v.rec.Code, v.rec.Body, v.err)
		}
	})
}

// The instances inside act the second time as they did the first.
func TestRangeMisreadOfNested(t *testing.T) {
	inner := provisioned(t, &Handler{Block: "inner", CacheControl: []CacheControl{{Directives: []string{"max-age=60"}}}, ETag: &ETag{Mode: "off"}})
	calls := 0
	v := newVisit(t, http.MethodGet, "/", "Range", "bytes=3-4").to(provisioned(t, &Handler{Block: "outer"}), within(inner, func(w http.ResponseWriter, r *http.Request) error {
		if calls++; calls == 1 {
			return sends(206, "{{", "Content-Range", "bytes 3-4/12")(w, r)
		}
		return sendsPage()(w, r)
	}))
	if v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != "lo" || calls != 2 {
		t.Errorf("status %d, %q, %d calls", v.rec.Code, v.rec.Body, calls)
	}
	wantPairs(t, "the response", v.rec.Header(), pairs("Cache-Control", "max-age=60", "Etag", strongTag))
}

// A 304 whose own date is a build tool's, or whose tag is not trusted, says nothing of the content: the next handler is
// asked again without conditions, and that answer goes out, whatever it is.
func TestNotModifiedThatRestsOnNothing(t *testing.T) {
	const zipTag = `"2eav1j7kiyo0-5"` // of file_server, of 1980-01-01
	ofEpoch, ofTag := says304("Last-Modified", epochDate), says304("Etag", zipTag)
	byDate := pairs("If-Modified-Since", modified)
	mode := func(word string) *Handler { return &Handler{LastModified: &LastModified{Mode: word}} }
	small := &Handler{Buffer: &Buffer{MaxBody: 11}}
	for _, tt := range []misreadTrial{
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
