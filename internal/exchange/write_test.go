package exchange_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// What is none of the guard's business passes at once, and as it is.
func TestUnguardedWrites(t *testing.T) {
	unset := &Handler{}
	foreign := pairs("If-Match", `"abc"`)
	ours := pairs("If-Match", staleTag)
	rows := []guardTrial{
		{name: "no condition"},
		{name: "no condition, nothing configured", handler: unset},
		{name: "a foreign If-Match, nothing configured", handler: unset, fields: foreign, passed: foreign},
		{name: "If-None-Match with a tag of ours, nothing configured", handler: unset, fields: pairs("If-None-Match", staleTag), passed: pairs("If-None-Match", staleTag)},
		{name: "POST by default", method: "POST", fields: foreign, passed: foreign},
		{name: "PATCH, only PUT configured", handler: strong("PUT"), method: "PATCH", fields: foreign, passed: foreign},
		{name: "If-Modified-Since alone", fields: pairs("If-Modified-Since", modified), passed: pairs("If-Modified-Since", modified)},
		{name: "Range alone", fields: pairs("Range", "bytes=0-1"), passed: pairs("Range", "bytes=0-1")},
		{name: "If-Range with a tag of ours", fields: pairs("If-Range", staleTag), passed: pairs("If-Range", staleTag)},
		{name: "require speaks of the configured methods", handler: requiring(), method: "POST"},
	}
	for i := range rows {
		rows[i].status, rows[i].outcome, rows[i].reason = 204, "streamed", "method"
		rows[i].calls = rows[i].method
		if rows[i].method == "" {
			rows[i].calls = "PUT"
		}
	}
	runGuardTrials(t, rows)
	for _, method := range pairs("OPTIONS", "TRACE", "CONNECT") {
		t.Run(method, func(t *testing.T) {
			u := new(resource)
			v := newVisit(t, method, "/", ours...).to(provisioned(t, requiring()), u.ServeHTTP)
			if v.status() != 204 || strings.Join(u.calls, " ") != method || u.written.Get("If-Match") != staleTag {
				t.Errorf("%d after %q with %v", v.status(), u.calls, u.written)
			}
		})
	}
}

// Design §3: a write whose If-Match names a tag of ours is always guarded, whatever the configuration.
func TestAlwaysGuarded(t *testing.T) {
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "the current tag"},
		{name: "with a date", fields: pairs("If-Match", datedTag)},
		{name: "with a coding's suffix", fields: pairs("If-Match", strings.TrimSuffix(strongTag, `"`)+`-gzip"`)},
		{name: "among others", fields: pairs("If-Match", `"abc", `+staleTag+`, `+strongTag)},
		{name: "on a second line", fields: pairs("If-Match", `"abc"`, "If-Match", strongTag)},
		{name: "weak towards this client", fields: pairs("If-Match", strongTag, "Accept-Encoding", "gzip")},
		{name: "of any method", method: "POST"},
		{name: "weak configuration", handler: &Handler{ETag: &ETag{Mode: "weak"}}},
		{name: "replaced", handler: &Handler{ETag: &ETag{Existing: "replace"}}, get: sendsPage("Etag", `"abc"`)},
		{name: "an upstream that has our tag from another instance", get: sendsPage("Etag", weakTag)},
		{name: "with all other conditions", fields: pairs("If-Match", strongTag, "If-None-Match", `"abc"`, "If-Unmodified-Since", dayBefore, "If-Modified-Since", modified), reason: "none_matched"},
		{name: "Range stays", fields: pairs("If-Match", strongTag, "Range", "bytes=0-1"), passed: pairs("Range", "bytes=0-1")},
		{name: "stale", fields: pairs("If-Match", staleTag), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "stale, beside a date that holds", fields: pairs("If-Match", staleTag, "If-Unmodified-Since", dayAfter), get: sendsPage("Last-Modified", modified), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "stale, among foreign ones", fields: pairs("If-Match", `"abc", `+staleTag), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "If-None-Match is false", fields: pairs("If-Match", strongTag, "If-None-Match", "*"), status: 412, outcome: "precondition_failed", reason: "if_none_match", calls: "GET"},
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}).fill(func(row *guardTrial) {
		if row.fields == nil {
			row.fields = pairs("If-Match", strongTag)
		}
		if row.handler == nil {
			row.handler = new(Handler)
		}
		if row.method != "" {
			row.calls = "GET " + row.method
		}
	}))
}

// A response without a tag has none for If-Match to name: it is false (RFC 9110 §13.1.1).
func TestGuardWithoutTag(t *testing.T) {
	small := &Handler{ETag: &ETag{Mode: "strong"}, Buffer: &Buffer{MaxBody: 11}}
	rows := []guardTrial{
		{name: "no-store", get: sendsPage("Cache-Control", "no-store")},
		{name: "a streamed type", get: sends(200, page, "Content-Type", "text/event-stream")},
		{name: "trailers", get: sendsPage("Trailer", "X-Sum")},
		{name: "a longer body", handler: small},
		{name: "a longer body, of which nothing is held", handler: small, fields: pairs("If-Match", new(tag.Maker).Digest(tag.Metadata{ContentType: pairs("text/plain")}, nil).Field(false, time.Time{}))},
		{name: "a longer declared length", handler: small, get: sendsPage("Content-Length", "12")},
		{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}},
		{name: "existing remove", handler: &Handler{ETag: &ETag{Existing: "remove"}}, get: sendsPage("Etag", `"abc"`)},
		{name: "a foreign tag", get: sendsPage("Etag", `"abc"`)},
		{name: "a malformed tag", get: sendsPage("Etag", "abc")},
		{name: "204", get: sends(204, "")},
		{name: "404", get: sends(404, "gone", "Etag", strongTag)},
		{name: "410", get: sends(410, "gone")},
		{name: "an error of 404", get: failing(nil, caddyhttp.Error(404, errors.New("x")))},
		{name: "an error of 410", get: failing(nil, caddyhttp.Error(410, errors.New("x")))},
	}
	for i := range rows {
		if rows[i].fields == nil {
			rows[i].fields = pairs("If-Match", strongTag)
		}
		rows[i].status, rows[i].outcome, rows[i].reason, rows[i].calls = 412, "precondition_failed", "if_match", "GET"
	}
	runGuardTrials(t, rows)
}

// Design §3: `guard_writes` judges every condition of its methods.
func TestGuardWrites(t *testing.T) {
	foreign, failed := sendsPage("Etag", `"abc"`), failedBy
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "our tag", fields: pairs("If-Match", strongTag)},
		{name: "*", fields: pairs("If-Match", "*")},
		{name: "PATCH", method: "PATCH", fields: pairs("If-Match", `"abc"`), get: foreign, passed: pairs("If-Match", `"abc"`)},
		{name: "DELETE", method: "DELETE", fields: pairs("If-Match", `"abc"`), get: foreign, passed: pairs("If-Match", `"abc"`)},
		{name: "POST, configured", handler: strong("POST"), method: "POST", fields: pairs("If-Match", `"abc"`), get: foreign, passed: pairs("If-Match", `"abc"`)},
		{name: "an upstream's tag", fields: pairs("If-Match", `"abc"`), get: foreign, passed: pairs("If-Match", `"abc"`)},
		{name: "… among others", fields: pairs("If-Match", `"def", "abc"`), get: foreign, passed: pairs("If-Match", `"abc"`)},
		{name: "… made of a whole second", fields: pairs("If-Match", `"6553f100-c"`), get: sendsPage("Etag", `"6553f100-c"`, "Last-Modified", modified)},
		{name: "as encode renames it", fields: pairs("If-Match", `"abc-gzip"`), get: foreign},
		{name: "… zstd", fields: pairs("If-Match", `"abc-zstd"`), get: foreign},
		{name: "… br", fields: pairs("If-Match", `"abc-br"`), get: foreign},
		failed("if_match", guardTrial{name: "but not the other way", fields: pairs("If-Match", `"abc"`), get: sendsPage("Etag", `"abc-gzip"`)}),
		failed("if_match", guardTrial{name: "nor with two suffixes", fields: pairs("If-Match", `"abc-br-gzip"`), get: foreign}),
		failed("if_match", guardTrial{name: "another upstream's tag", fields: pairs("If-Match", `"def"`), get: foreign}),
		failed("if_match", guardTrial{name: "a weak tag of the upstream", fields: pairs("If-Match", `W/"abc"`), get: sendsPage("Etag", `W/"abc"`)}),
		failed("if_match", guardTrial{name: "… named as if it were strong", fields: pairs("If-Match", `"abc"`), get: sendsPage("Etag", `W/"abc"`)}),
		failed("if_match", guardTrial{name: "a strong one, named weakly", fields: pairs("If-Match", `W/"abc"`), get: foreign}),
		failed("if_match_unusable", guardTrial{name: "rubbish", fields: pairs("If-Match", "abc"), get: foreign}),
		failed("if_match_unusable", guardTrial{name: "an empty If-Match", fields: pairs("If-Match", ""), get: foreign}),
		failed("if_match", guardTrial{name: "* where nothing is", fields: pairs("If-Match", "*"), get: sends(404, "")}),
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}).fill(func(row *guardTrial) {
		if row.method != "" {
			row.calls = "GET " + row.method
		}
	}))
}

// The conditions besides If-Match, and what has to be ignored of them.
func TestGuardWritesByOtherConditions(t *testing.T) {
	dated, undated := sendsPage("Last-Modified", modified), sendsPage()
	failed := failedBy
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "a repaired tag", handler: guardedRepair(), fields: pairs("If-Match", `"abc"`), get: sendsPage("Etag", "abc")},
		failed("if_match", guardTrial{name: "another repaired tag", handler: guardedRepair(), fields: pairs("If-Match", `"def"`), get: sendsPage("Etag", "abc")}),

		{name: "If-None-Match: * where nothing is", fields: pairs("If-None-Match", "*"), get: sends(404, ""), reason: "none_matched"},
		{name: "… and an error says so", fields: pairs("If-None-Match", "*"), get: failing(nil, caddyhttp.Error(404, errors.New("x"))), reason: "none_matched"},
		failed("if_none_match", guardTrial{name: "… where something is", fields: pairs("If-None-Match", "*")}),
		failed("if_none_match", guardTrial{name: "… without a tag", fields: pairs("If-None-Match", "*"), get: sendsPage("Cache-Control", "no-store")}),
		failed("if_none_match", guardTrial{name: "… and no content", fields: pairs("If-None-Match", "*"), get: sends(204, "")}),
		failed("if_none_match", guardTrial{name: "If-None-Match, weakly", fields: pairs("If-None-Match", weakTag)}),
		{name: "If-None-Match with another tag", fields: pairs("If-None-Match", staleTag), reason: "none_matched"},
		{name: "If-None-Match, no tag", fields: pairs("If-None-Match", staleTag), get: sendsPage("Cache-Control", "no-store"), reason: "no_entity_tag"},
		{name: "If-None-Match with rubbish", fields: pairs("If-None-Match", "abc"), reason: "if_none_match_unusable"},

		{name: "If-Unmodified-Since, not modified", fields: pairs("If-Unmodified-Since", modified), get: dated},
		failed("if_unmodified_since", guardTrial{name: "If-Unmodified-Since, modified", fields: pairs("If-Unmodified-Since", dayBefore), get: dated}),
		failed("if_unmodified_since", guardTrial{name: "… with a tag that differs", fields: pairs("If-Unmodified-Since", dayBefore, "If-None-Match", staleTag), get: dated}),
		{
			name: "no Last-Modified: ignored, and the upstream's to judge", fields: pairs("If-Unmodified-Since", dayBefore), get: undated,
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", dayBefore),
		},
		{
			name: "no date: the same", fields: pairs("If-Unmodified-Since", "yesterday"), get: dated,
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", "yesterday"),
		},
		failed("if_unmodified_since", guardTrial{name: "deleted since", fields: pairs("If-Unmodified-Since", dayBefore), get: sends(404, "")}),
		failed("if_unmodified_since", guardTrial{name: "… for good", fields: pairs("If-Unmodified-Since", dayBefore), get: sends(410, "")}),
		failed("if_unmodified_since", guardTrial{name: "… whatever is to be made", fields: pairs("If-Unmodified-Since", dayBefore, "If-None-Match", "*"), get: sends(404, "")}),
		{
			name: "no date, and nothing there", fields: pairs("If-Unmodified-Since", "yesterday"), get: sends(404, ""),
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", "yesterday"),
		},
		{name: "overruled by If-Match", fields: pairs("If-Match", strongTag, "If-Unmodified-Since", dayBefore), get: dated},
		{name: "a date in another form, lenient", handler: lenient(strong()), fields: pairs("If-Unmodified-Since", "2023-11-14T22:13:20Z"), get: dated},
		failed("if_unmodified_since", guardTrial{name: "… and it is older", handler: lenient(strong()), fields: pairs("If-Unmodified-Since", "2023-11-13T22:13:20Z"), get: dated}),
		{name: "If-Modified-Since does not stay alone", fields: pairs("If-None-Match", staleTag, "If-Modified-Since", modified), get: dated, reason: "none_matched"},
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}))
}

// A weak tag of ours is what a client has that accepts content codings, or one behind a proxy that applies them. It is made
// of every octet: with the current digest the write goes on, and without its field, as the upstream cannot know it.
func TestGuardWeakTag(t *testing.T) {
	both := `"abc", ` + weakTag
	suffixed := strings.TrimSuffix(weakTag, `"`) + `-gzip"`
	row := guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}
	runGuardTrials(t, withDefaults([]guardTrial{
		{name: "current", fields: pairs("If-Match", weakTag)},
		{name: "current, nothing configured", handler: new(Handler), fields: pairs("If-Match", weakTag)},
		{name: "current, all weak", handler: &Handler{ETag: &ETag{Mode: "weak"}}, fields: pairs("If-Match", weakTag)},
		{name: "current, replaced", handler: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("If-Match", weakTag, "Accept-Encoding", "gzip"), get: sendsPage("Etag", `"abc"`)},
		{name: "current, with a suffix", fields: pairs("If-Match", suffixed)},
		{name: "current, among others", fields: pairs("If-Match", both)},
		{
			name: "current, with other conditions", fields: pairs("If-Match", weakTag, "If-None-Match", `"abc"`, "If-Unmodified-Since", dayBefore),
			get: sendsPage("Last-Modified", modified), reason: "none_matched",
		},
		{name: "beside the strong one, it is not needed", fields: pairs("If-Match", weakTag+", "+strongTag)},
		{name: "with another digest", fields: pairs("If-Match", "W/"+staleTag), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "where nothing is", fields: pairs("If-Match", weakTag), get: sends(404, ""), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "where the tag is malformed", fields: pairs("If-Match", weakTag), get: sendsPage("Etag", strongTag+" x"), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "where there is no tag", fields: pairs("If-Match", weakTag), get: sendsPage("Cache-Control", "no-store"), status: 412, outcome: "precondition_failed", reason: "if_match", calls: "GET"},
		{name: "but If-None-Match is false", fields: pairs("If-Match", weakTag, "If-None-Match", "*"), status: 412, outcome: "precondition_failed", reason: "if_none_match", calls: "GET"},
	}, row))
}

// An upstream that has sent it knows it, and judges the write itself: another instance of this handler stands behind.
func TestGuardWeakTagOfTheUpstream(t *testing.T) {
	row := guardTrial{get: sendsPage("Etag", weakTag), status: 204, outcome: "guarded", reason: "guard_weak_tag", calls: "GET PUT"}
	current, others, refused := row, row, row
	current.name, current.fields, current.passed = "current", pairs("If-Match", weakTag), pairs("If-Match", weakTag)
	others.name, others.fields = "with others", pairs("If-Match", weakTag, "If-None-Match", `"abc"`)
	others.passed = others.fields
	refused.name, refused.fields = "but If-None-Match is false", pairs("If-Match", weakTag, "If-None-Match", "*")
	refused.status, refused.outcome, refused.reason, refused.calls = 412, "precondition_failed", "if_none_match", "GET"
	runGuardTrials(t, []guardTrial{current, others, refused})
}

// RFC 6585 §3: under `require` a write without a condition, or with none that counts, is answered 428.
func TestGuardRequires(t *testing.T) {
	dated := sendsPage("Last-Modified", modified, "Access-Control-Allow-Origin", "*")
	demanded := guardTrial{status: 428, outcome: "precondition_required", reason: "guard_required", calls: "GET"}
	of := func(row guardTrial, name string, fields []string, get caddyhttp.HandlerFunc) guardTrial {
		row.name, row.fields, row.get = name, fields, get
		return row
	}
	guarded := guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}
	rows := []guardTrial{
		of(demanded, "no condition", nil, nil),
		of(demanded, "If-Modified-Since only", pairs("If-Modified-Since", modified), nil),
		of(demanded, "Range only", pairs("Range", "bytes=0-1"), nil),
		of(demanded, "a date that is none", pairs("If-Unmodified-Since", "yesterday"), nil),
		of(demanded, "If-None-Match without a tag", pairs("If-None-Match", "abc"), nil),
		of(demanded, "both", pairs("If-None-Match", "", "If-Unmodified-Since", "yesterday"), nil),
		of(demanded, "a date and no Last-Modified", pairs("If-Unmodified-Since", modified), sendsPage()),
		of(guarded, "a date and a Last-Modified", pairs("If-Unmodified-Since", modified), dated),
		of(guarded, "If-Match", pairs("If-Match", strongTag), nil),
	}
	deleted := of(guardTrial{status: 412, outcome: "precondition_failed", reason: "if_unmodified_since", calls: "GET"}, "a date where nothing is", pairs("If-Unmodified-Since", modified), sends(404, ""))
	creates := of(guarded, "If-None-Match: *", pairs("If-None-Match", "*"), sends(404, ""))
	creates.reason = "none_matched"
	weak := of(guarded, "a weak tag of ours", pairs("If-Match", weakTag), nil)
	unusable := of(guardTrial{status: 412, outcome: "precondition_failed", reason: "if_match_unusable", calls: "GET"}, "an unusable If-Match is false", pairs("If-Match", "abc"), nil)
	rows = append(rows, deleted, creates, weak, unusable)
	for i := range rows {
		rows[i].handler = requiring()
	}
	runGuardTrials(t, rows)
}

// Design §3: what a browser needs to read an answer stays on it; of the GET's, nothing else does.
func TestGuardErrorFields(t *testing.T) {
	cors := pairs("Access-Control-Allow-Origin", "https://a.example", "Access-Control-Expose-Headers", "ETag", "Vary", "Origin", "X-Any", "x",
		"Set-Cookie", "a=b", "Etag", `"abc"`, "Last-Modified", modified, "Cache-Control", "max-age=60", "Expires", modified, "Content-Type", "text/plain")
	kept := pairs("Access-Control-Allow-Origin", "https://a.example", "Access-Control-Expose-Headers", "ETag", "Vary", "Origin",
		"X-Any", "", "Set-Cookie", "", "Content-Type", "", "Content-Length", "")
	row := guardTrial{fields: pairs("If-Match", `"def"`), want: kept, calls: "GET"}
	failed, required, broken := row, row, row
	failed.name, failed.get, failed.status, failed.outcome, failed.reason = "412", sends(200, page, cors...), 412, "precondition_failed", "if_match"
	required.name, required.get = "428", sends(200, page, "Access-Control-Allow-Origin", "https://a.example", "Access-Control-Expose-Headers", "ETag", "Vary", "Origin")
	required.fields, required.handler = pairs("If-Unmodified-Since", modified), requiring()
	required.status, required.outcome, required.reason = 428, "precondition_required", "guard_required"
	broken.name, broken.get, broken.status, broken.outcome, broken.reason = "503", sends(502, page, cors...), 503, "failed", "guard_unavailable"
	runGuardTrials(t, []guardTrial{failed, required, broken})

	t.Run("fields of handlers outside stay", func(t *testing.T) {
		v := newVisit(t, "PUT", "/", "If-Match", `"def"`)
		addPairs(v.rec.Header(), pairs("X-Outer", "x", "Vary", "Accept-Encoding", "Cache-Control", "no-cache"))
		v.to(provisioned(t, strong()), func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Add("Vary", "Origin")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Del("X-Outer")
			return nil
		})
		wantPairs(t, "the response", v.rec.Header(), pairs("X-Outer", "x", "Vary", "Accept-Encoding | Origin", "Cache-Control", "no-cache"))
	})
}

// What looks like a way round the guard.
func TestNoWayRoundTheGuard(t *testing.T) {
	many := strings.Repeat(`"foreign", `, 100) + staleTag
	for _, tt := range []struct {
		name, method string
		handler      *Handler
		fields       []string
		status       int
	}{
		{"an upgrade with a stale tag", "PUT", nil, pairs("Upgrade", "foo/1", "If-Match", staleTag), 412},
		{"an upgrade without a condition", "PUT", requiring(), pairs("Upgrade", "foo/1"), 428},
		{"a method in lower case", "patch", requiring(), nil, 428},
		{"a method in place of POST", "POST", requiring(), pairs("X-Http-Method-Override", "put"), 428},
		{"another in place of POST", "POST", requiring(), pairs("X-Http-Method-Override", "search"), 204},
		{"a tag of ours past the bounds of the list", "PUT", nil, pairs("If-Match", many), 412},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := new(resource)
			v := newVisit(t, tt.method, "/", tt.fields...).to(provisioned(t, tt.handler), u.ServeHTTP)
			if v.status() != tt.status || (tt.status == 204) != strings.Contains(strings.Join(u.calls, " "), tt.method) {
				t.Errorf("%d after %q", v.status(), u.calls)
			}
		})
	}
}

// Instances inside demand what the outer one has not found, and do not wait for the turn it has.
func TestGuardNestedRequires(t *testing.T) {
	u := new(resource)
	inner := provisioned(t, requiring())
	v := newVisit(t, http.MethodPut, "/", "If-Unmodified-Since", modified).to(provisioned(t, strong()), within(inner, u.ServeHTTP))
	if v.status() != http.StatusPreconditionRequired {
		t.Errorf("%d after %q", v.status(), u.calls)
	}
}

// A client's GET whose method is rewritten inside is no write of the client's.
func TestGuardLeavesRewrittenMethods(t *testing.T) {
	u := new(resource)
	v := newVisit(t, "GET", "/")
	v.serve(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
		r.Method = http.MethodPut
		return provisioned(t, requiring()).ServeHTTP(w, r, u)
	})
	if v.status() != 204 || strings.Join(u.calls, " ") != "PUT" {
		t.Errorf("%d after %q", v.status(), u.calls)
	}
}

// An error's answer is under no condition, a write's as little as a read's.
func TestGuardInErrorRoute(t *testing.T) {
	u := new(resource)
	v := newVisit(t, "PUT", "/", "If-Match", staleTag).with(caddyhttp.ErrorCtxKey, errors.New("an error"))
	v.serve(provisioned(t, requiring()), u.ServeHTTP)
	if v.status() != 204 || strings.Join(u.calls, " ") != "PUT" || u.written.Get("If-Match") != "" {
		t.Errorf("%d after %q with %v", v.status(), u.calls, u.written)
	}
}

// Design §2: of siblings the outermost acts, of nested instances the outer judges first, and once.
func TestGuardOfSeveral(t *testing.T) {
	off, bare := &Handler{ETag: &ETag{Mode: "off"}}, new(Handler)
	for _, tt := range []struct {
		name         string
		outer, inner *Handler
		nested       bool
		method       string // PUT
		fields       []string
		get          caddyhttp.HandlerFunc
		status       int
		calls        string
		outcome      string
	}{
		{name: "a sibling with etag off keeps require away", outer: off, inner: requiring(), status: 204, calls: "PUT", outcome: "streamed"},
		{name: "… and the guard", outer: off, inner: strong(), fields: pairs("If-Match", `"abc"`), status: 204, calls: "PUT", outcome: "streamed"},
		{name: "… where a tag of ours matches nothing", outer: off, inner: strong(), fields: pairs("If-Match", strongTag), status: 412, calls: "GET", outcome: "precondition_failed"},
		{name: "the outermost sibling guards", outer: strong(), inner: requiring(), status: 204, calls: "PUT", outcome: "streamed"},
		{name: "a nested instance requires", outer: bare, inner: requiring(), nested: true, status: 428, calls: "GET", outcome: "precondition_required"},
		{name: "a nested instance guards", outer: bare, inner: strong(), nested: true, fields: pairs("If-Match", `"abc"`), status: 412, calls: "GET", outcome: "precondition_failed"},
		{name: "the outer judges, the inner demands nothing", outer: bare, inner: requiring(), nested: true, fields: pairs("If-Match", strongTag), status: 204, calls: "GET PUT", outcome: "guarded"},
		{name: "… nor for a weak tag", outer: bare, inner: requiring(), nested: true, fields: pairs("If-Match", weakTag), status: 204, calls: "GET PUT", outcome: "guarded"},
		{name: "the outer's 412 is the only one", outer: strong(), inner: requiring(), nested: true, fields: pairs("If-Match", staleTag), status: 412, calls: "GET", outcome: "precondition_failed"},
		{name: "the inner's tags count, with the outer's off", outer: off, inner: strong(), nested: true, fields: pairs("If-Match", strongTag), status: 204, calls: "GET PUT", outcome: "guarded"},
		{name: "the inner makes the tag of a slow upstream", outer: off, inner: strong(), nested: true, fields: pairs("If-Match", strongTag), get: slowly(time.Second, page[:6], page[6:]), status: 204, calls: "GET PUT", outcome: "guarded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block := "a"
				if tt.nested {
					block = "b"
				}
				outer, inner := inBlock(t, "a", tt.outer), inBlock(t, block, tt.inner)
				u := &resource{get: tt.get}
				v := newVisit(t, "PUT", "/", tt.fields...).to(outer, within(inner, u.ServeHTTP))
				if got := strings.Join(u.calls, " "); v.status() != tt.status || got != tt.calls || v.said("outcome") != tt.outcome {
					t.Errorf("%d (%s) after %q, want %d (%s) after %q", v.status(), v.said("outcome"), got, tt.status, tt.outcome, tt.calls)
				}
				wantIdle(t)
			})
		})
	}
}

// Under existing repair an unguarded write's conditions still reach the upstream as it knows them.
func TestGuardLeavesRepairedTags(t *testing.T) {
	h := provisioned(t, guardedRepair())
	newVisit(t, "GET", "/").to(h, sendsPage("Etag", "abc"))
	u := new(resource)
	newVisit(t, "POST", "/", "If-Match", `"abc"`).to(h, u.ServeHTTP)
	if got := u.written.Get("If-Match"); got != "abc" {
		t.Errorf("the upstream sees If-Match: %s", got)
	}
}

// Each decision about a write is one line at level DEBUG.
func TestGuardLog(t *testing.T) {
	h := provisioned(t, strong())
	logs := watched(t)
	u := new(resource)
	newVisit(t, "PUT", "/", "If-Match", strongTag).to(h, u.ServeHTTP)
	newVisit(t, "PUT", "/", "If-Match", staleTag).to(h, u.ServeHTTP)
	newVisit(t, "PUT", "/").to(h, u.ServeHTTP)
	var got []string
	for _, entry := range logs.All() {
		got = append(got, fmt.Sprint(entry.Message, " ", entry.ContextMap()["reason"], " ", entry.ContextMap()["method"]))
	}
	if want := pairs("guarded matched PUT", "precondition_failed if_match PUT", "streamed method PUT"); !reflect.DeepEqual(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}
