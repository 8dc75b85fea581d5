package exchange_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// announcing says all that it can.
func announcing(h *Handler) { h.CacheStatus, h.ServerTiming, h.DebugHeaders = "edge", true, true }

// TestAnnounced: 200, 206, 304 and 412 say what was decided, and so does who is answered from memory.
func TestAnnounced(t *testing.T) { synctest.Test(t, testAnnounced) } // no time passes

func testAnnounced(t *testing.T) {
	t.Helper()
	h := remembering(t, func(h *Handler) {
		announcing(h)
		h.ETag = &ETag{Mode: "strong"}
	})
	revalidates := pairs("If-None-Match", strongTag, "Cache-Control", "no-cache")
	for _, c := range []struct {
		fields         []string
		next           caddyhttp.HandlerFunc
		status         int
		says, timing   string
		hit, withField string
	}{
		{nil, sendsPage("Cache-Status", "origin; hit"), 200, `edge;fwd=miss;fwd-status=200;stored;ttl=3600;detail="tagged no_condition"`, `cc;desc="tagged no_condition", cc-mem;desc="miss: conditions"`, "false", "origin; hit"},
		{pairs("If-None-Match", strongTag), nil, 304, `edge;hit;ttl=3600;detail="not_modified remembered"`, `cc;desc="not_modified remembered", cc-mem;desc="hit"`, "true", ""},
		{revalidates, sendsPage(), 304, `edge;fwd=request;fwd-status=200;stored;ttl=3600;detail="not_modified if_none_match"`, `cc;desc="not_modified if_none_match", cc-mem;desc="miss: request"`, "false", ""},
		{pairs("Range", "bytes=0-1"), sendsPage(), 206, `edge;fwd=miss;fwd-status=200;stored;ttl=3600;detail="partial range"`, `cc;desc="partial range", cc-mem;desc="miss: conditions"`, "false", ""},
		{pairs("If-Match", staleTag), sendsPage(), 412, `edge;fwd=miss;fwd-status=200;stored;ttl=3600;detail="precondition_failed if_match"`, `cc;desc="precondition_failed if_match", cc-mem;desc="miss: conditions"`, "false", ""},
		{pairs("Range", "bytes=9999-"), sendsPage(), 416, `edge;fwd=miss;fwd-status=200;stored;ttl=3600;detail="range_unsatisfiable range_unsatisfiable"`, `cc;desc="range_unsatisfiable range_unsatisfiable", cc-mem;desc="miss: conditions"`, "false", ""},
		{nil, sends(404, "none"), 404, `edge;fwd=miss;fwd-status=404;detail="streamed status"`, `cc;desc="streamed status", cc-mem;desc="miss: conditions, not remembered: status"`, "false", ""},
		{pairs("Cookie", "id=1"), sendsPage(), 200, `edge;fwd=miss;fwd-status=200;detail="tagged no_condition"`, `cc;desc="tagged no_condition", cc-mem;desc="miss: conditions, not remembered: cookie"`, "false", ""},
	} {
		v := newVisit(t, "GET", "/", c.fields...)
		v.serve(h, c.next)
		header := v.rec.Header()
		if v.status() != c.status {
			t.Errorf("%v: %d, want %d", c.fields, v.status(), c.status)
		}
		lines := header["Cache-Status"]
		if len(lines) == 0 || lines[len(lines)-1] != c.says || c.withField != "" && lines[0] != c.withField {
			t.Errorf("%v: Cache-Status %q, want %q behind %q", c.fields, lines, c.says, c.withField)
		}
		if got := header["Server-Timing"]; len(got) != 1 || got[0] != c.timing {
			t.Errorf("%v: Server-Timing %q, want %q", c.fields, got, c.timing)
		}
		if hit, key := header.Get("X-Cache-Hit"), header.Get("X-Cache-Key"); hit != c.hit || !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(key) {
			t.Errorf("%v: X-Cache-Hit %q, X-Cache-Key %q", c.fields, hit, key)
		}
	}
}

// TestAnnouncedWhenCovered: the upstream was asked, and has failed.
func TestAnnouncedWhenCovered(t *testing.T) {
	for name, c := range map[string]struct {
		fails caddyhttp.HandlerFunc
		says  string
	}{
		"with a response": {sends(503, "down"), `edge;fwd=stale;fwd-status=503;detail="not_modified stale_if_error"`},
		"with an error":   {func(http.ResponseWriter, *http.Request) error { return errors.New("down") }, `edge;fwd=stale;detail="not_modified stale_if_error"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := remembering(t, func(h *Handler) {
				announcing(h)
				h.Remember.TTL, h.Remember.StaleIfError = 0, caddy.Duration(time.Hour)
			})
			newVisit(t, "GET", "/").serve(h, sendsPage("Cache-Control", "max-age=60"))
			v := newVisit(t, "GET", "/", "If-None-Match", strongTag, "Cache-Control", "max-age=0")
			v.serve(h, c.fails)
			if got := v.rec.Header()["Cache-Status"]; v.status() != 304 || len(got) != 1 || got[0] != c.says {
				t.Errorf("%d with Cache-Status %q, want %q", v.status(), got, c.says)
			}
		})
	}
}

// TestAnnouncedByEach: nested instances are caches of their own, the one nearest to the origin first.
func TestAnnouncedByEach(t *testing.T) {
	outer := provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, CacheStatus: "outer"})
	inner := provisioned(t, &Handler{CacheStatus: "inner", Block: "inner"})
	v := newVisit(t, "GET", "/")
	v.serve(nestedIn{outer, inner}, sendsPage())
	got := strings.Join(v.rec.Header()["Cache-Status"], ", ")
	if want := `inner;fwd=bypass;fwd-status=200;detail="tagged no_condition", outer;fwd=bypass;fwd-status=200;detail="tagged inner"`; got != want {
		t.Errorf("Cache-Status: %s, want %s", got, want)
	}
}

// TestNothingIsAnnounced where nobody has asked for it, nor on an error's answer.
func TestNothingIsAnnounced(t *testing.T) {
	fails := func(http.ResponseWriter, *http.Request) error {
		return caddyhttp.Error(404, errors.New("no such page"))
	}
	for name, c := range map[string]struct {
		change func(*Handler)
		next   caddyhttp.HandlerFunc
		status int
		method string
	}{
		"not asked for": {nil, sendsPage(), 200, "GET"}, "an error": {announcing, fails, 404, "GET"}, "no answer": {announcing, sendsNothing, 200, "GET"},
		"a write": {announcing, sendsPage(), 200, "PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t, c.method, "/")
			v.serve(remembering(t, c.change), c.next)
			if v.status() != c.status || v.panicked != nil {
				t.Errorf("status %d, want %d; panic %v", v.status(), c.status, v.panicked)
			}
			wantPairs(t, "the response", v.rec.Header(), pairs("Cache-Status", "", "Server-Timing", "", "X-Cache-Hit", "", "X-Cache-Key", ""))
		})
	}
}

// TestStoredIsTrue: what says that it is stored is answered from memory the next time, and what does not is not.
func TestStoredIsTrue(t *testing.T) {
	named := pairs("If-None-Match", strongTag)
	byOwnLifetime := func(h *Handler) { announcing(h); h.Remember.TTL = 0 }
	for name, c := range map[string]struct {
		change func(*Handler)
		method string
		fields []string
		next   caddyhttp.HandlerFunc
		before caddyhttp.HandlerFunc // a 200 before it; nil: none
	}{
		"a page":                {announcing, "GET", nil, sendsPage(), nil},
		"no lifetime":           {byOwnLifetime, "GET", nil, sendsPage(), nil},
		"Vary: *":               {announcing, "GET", nil, sendsPage("Vary", "*"), nil},
		"Vary: *, streamed":     {announcing, "GET", nil, sendsPage("Vary", "*", "Etag", strongTag), nil},
		"a HEAD":                {announcing, "HEAD", nil, sendsPage(), nil},
		"a HEAD as a GET":       {func(h *Handler) { announcing(h); h.Head = "get" }, "HEAD", nil, sendsPage("Etag", strongTag), nil},
		"a 304 that ends it":    {byOwnLifetime, "GET", append(pairs("Cache-Control", "no-cache"), named...), says304("Etag", strongTag, "Cache-Control", "max-age=0"), sendsPage("Etag", strongTag, "Cache-Control", "max-age=60")},
		"a 304 that renews it":  {byOwnLifetime, "GET", append(pairs("Cache-Control", "no-cache"), named...), says304("Etag", strongTag, "Cache-Control", "max-age=60"), sendsPage("Etag", strongTag, "Cache-Control", "max-age=60")},
		"the head of a 200":     {announcing, "GET", named, sendsPage("Etag", strongTag), nil},
		"a part of what passes": {func(h *Handler) { announcing(h); h.ETag = &ETag{Mode: "off"} }, "GET", pairs("Range", "bytes=0-1"), sendsPage("Etag", strongTag, "Content-Length", "25"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := remembering(t, func(h *Handler) {
				h.ETag = &ETag{Mode: "strong"}
				c.change(h)
			})
			if c.before != nil {
				newVisit(t, "GET", "/").serve(h, c.before)
			}
			v := newVisit(t, c.method, "/", c.fields...)
			v.serve(h, c.next)
			said := v.rec.Header().Get("Cache-Status")
			stored := strings.Contains(said, ";stored;")
			after := newVisit(t, "GET", "/", named...)
			after.serve(h, c.next)
			if found := after.seen == nil; found != stored {
				t.Errorf("%s, and the next one is answered from memory: %t", said, found)
			}
			if stored != (v.said("not_remembered") == "") {
				t.Errorf("%s, and not_remembered is %q", said, v.said("not_remembered"))
			}
			if stored && v.rec.Header().Get("X-Cache-Key") != after.rec.Header().Get("X-Cache-Key") {
				t.Errorf("it is remembered under %q, and found under %q", v.rec.Header().Get("X-Cache-Key"), after.rec.Header().Get("X-Cache-Key"))
			}
		})
	}
}

// TestHitOfAnInnerInstance: an outer one without a memory leaves what it says.
func TestHitOfAnInnerInstance(t *testing.T) {
	inner := remembering(t, func(h *Handler) { announcing(h); h.ETag = &ETag{Mode: "strong"} })
	outer := provisioned(t, &Handler{DebugHeaders: true, ETag: &ETag{Mode: "off"}})
	for _, hit := range []string{"false", "true"} {
		v := newVisit(t, "GET", "/", "If-None-Match", strongTag)
		v.serve(nestedIn{outer, inner}, sendsPage("Vary", "Accept-Language"))
		if got := v.rec.Header(); got.Get("X-Cache-Hit") != hit || got.Get("X-Cache-Key") == "" {
			t.Errorf("X-Cache-Hit %q, want %s; X-Cache-Key %q", got.Get("X-Cache-Hit"), hit, got.Get("X-Cache-Key"))
		}
	}
}
