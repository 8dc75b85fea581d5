package exchange_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A date that was found is judged at the head like the upstream's, unless the body may name a later one, and matches
// itself only.
func TestConditionsWithADateFound(t *testing.T) {
	header, json, both := datedBy(byHeader), datedBy(byJSON), datedBy(byHeader, byJSON)
	undated := &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}}
	updated := sendsPage("X-Updated", modified)
	older := sendsJSON(modifiedJSON, "X-Updated", dayBefore)
	notModified := pairs("Last-Modified", modified, "Cache-Control", "no-cache", "Etag", "")
	runTrials(t, []trial{
		{name: "If-Modified-Since", handler: header, fields: pairs("If-Modified-Since", modified), next: updated, status: 304, reason: "if_modified_since", want: notModified},
		{name: "… later", handler: header, fields: pairs("If-Modified-Since", dayAfter), next: updated, outcome: "tagged", reason: "modified_since"},
		{name: "… earlier", handler: header, fields: pairs("If-Modified-Since", dayBefore), next: updated, outcome: "tagged", reason: "modified_since"},
		{name: "… under etag off", handler: undated, fields: pairs("If-Modified-Since", modified), next: updated, status: 304, want: notModified},
		{name: "… of a HEAD", handler: header, method: "HEAD", fields: pairs("If-Modified-Since", modified), next: updated, status: 304, want: notModified},
		{name: "If-None-Match comes first", handler: header, fields: pairs("If-None-Match", staleTag, "If-Modified-Since", dayAfter), next: updated, reason: "none_matched"},
		{name: "If-None-Match", handler: header, fields: pairs("If-None-Match", strongTag), next: updated, status: 304, want: pairs("Etag", strongTag, "Last-Modified", "", "Cache-Control", "no-cache")},
		{name: "If-Unmodified-Since", handler: header, fields: pairs("If-Unmodified-Since", dayBefore), next: updated, status: 412, want: pairs("Cache-Control", "", "Last-Modified", "")},
		{name: "… the same", handler: header, fields: pairs("If-Unmodified-Since", modified), next: updated, reason: "matched"},
		{name: "JSON: If-Modified-Since", handler: json, fields: pairs("If-Modified-Since", modified), next: sendsJSON(modifiedJSON), status: 304, reason: "if_modified_since", want: pairs("Cache-Control", "no-cache")},
		{name: "… earlier", handler: json, fields: pairs("If-Modified-Since", dayBefore), next: sendsJSON(modifiedJSON), body: modifiedJSON, reason: "modified_since"},
		{name: "JSON: the field's date is not yet the latest", handler: both, fields: pairs("If-Modified-Since", dayBefore), next: older, body: modifiedJSON, reason: "modified_since"},
		{name: "… and confirms nothing of what is streamed", handler: both, fields: pairs("If-Modified-Since", dayBefore), next: sendsJSON(modifiedJSON, "X-Updated", dayBefore, "Etag", `"x"`), body: modifiedJSON},
		{name: "JSON: If-Unmodified-Since", handler: both, fields: pairs("If-Unmodified-Since", dayBefore), next: older, status: 412},
		{name: "JSON: the fields of a 304 to a tag", handler: json, fields: pairs("If-None-Match", "*"), next: sendsJSON(modifiedJSON), status: 304, want: pairs("Cache-Control", "no-cache")},
	})
}

// The upstream knows nothing of a date that was found: no tag carries it, and no condition with it is the upstream's
// to judge. It speaks of a part of what a response is made from, so that no bytes are put together by it.
func TestADateFoundIsWeak(t *testing.T) {
	header := datedBy(byHeader)
	updated := sendsPage("X-Updated", modified)
	for _, tt := range []struct {
		name         string
		fields, seen []string
	}{
		{"If-Modified-Since", pairs("If-Modified-Since", modified), nil},
		{"beside a tag", pairs("If-Modified-Since", modified, "If-None-Match", `"x"`), pairs("If-None-Match", `"x"`)},
		{"a dated tag", pairs("If-None-Match", datedTag), pairs("If-Modified-Since", modified)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newVisit(t, "GET", "/", tt.fields...).to(provisioned(t, header), updated).wantSeen(tt.seen...)
		})
	}
	tagged := &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}}
	runTrials(t, []trial{
		{name: "If-Range", handler: header, fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: updated, reason: "if_range"},
		{name: "If-Range under etag off", handler: tagged, fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: sendsPage("X-Updated", modified, "Content-Length", "12")},
		{name: "… the upstream's is strong", handler: tagged, fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: sendsPage("Last-Modified", modified, "Content-Length", "12", "Cache-Control", "no-transform"), status: 206, body: "hello"},
		{name: "Accept-Ranges", handler: tagged, next: sendsPage("X-Updated", modified, "Content-Length", "12"), want: pairs("Accept-Ranges", "")},
		{name: "… the upstream's is strong", handler: tagged, next: sendsPage("Last-Modified", modified, "Content-Length", "12"), want: pairs("Accept-Ranges", "bytes", "Cache-Control", "")},
		{name: "Range by our tag", handler: header, fields: pairs("Range", "bytes=0-4", "If-Range", strongTag), next: updated, status: 206, body: "hello", want: pairs("Cache-Control", "no-cache")},
	})
}

// An outer instance takes a date that an inner one has found neither for the upstream's nor for a strong one.
func TestADateFoundByAnInner(t *testing.T) {
	inner := provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}, Ranges: &Ranges{Mode: "off"}})
	for _, tt := range []struct {
		name, mode string
		fields     []string
		status     int
		etag       string
	}{
		{name: "no dated tag", status: 200, etag: strongTag},
		{name: "If-Modified-Since", fields: pairs("If-Modified-Since", modified), status: 304},
		{name: "If-Range", mode: "off", fields: pairs("Range", "bytes=0-4", "If-Range", modified), status: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outer := provisioned(t, &Handler{ETag: &ETag{Mode: tt.mode}})
			v := newVisit(t, "GET", "/", tt.fields...).to(outer, within(inner, sendsPage("X-Updated", modified, "Content-Length", "12")))
			if v.rec.Code != tt.status {
				t.Errorf("status %d, want %d", v.rec.Code, tt.status)
			}
			wantPairs(t, "the response", v.rec.Header(), pairs("Etag", tt.etag, "Last-Modified", modified, "Cache-Control", "no-cache"))
		})
	}
}

// A guarded write's date is compared with the one that a reader has got.
func TestGuardByADateFound(t *testing.T) {
	found := strong()
	found.LastModified = &LastModified{From: pairsOf(byHeader, byJSON)}
	runGuardTrials(t, withDefaults([]guardTrial{
		{handler: found, name: "not modified", fields: pairs("If-Unmodified-Since", modified), get: sendsPage("X-Updated", modified)},
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "modified", fields: pairs("If-Unmodified-Since", dayBefore), get: sendsPage("X-Updated", modified)}),
		{handler: found, name: "JSON, not modified", fields: pairs("If-Unmodified-Since", modified), get: sendsJSON(modifiedJSON)},
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "JSON, modified", fields: pairs("If-Unmodified-Since", dayBefore), get: sendsJSON(modifiedJSON)}),
	}, guardTrial{status: 204, outcome: "guarded", reason: "matched", calls: "GET PUT"}))
}

// A date that was found may move backwards: the newest file is gone, an older release is back. Only the very date
// that the client has is that of what the client has. The upstream's own keeps its order (RFC 9110 §13.1.3).
func TestADateFoundThatMovesBackwards(t *testing.T) {
	header, both := datedBy(byHeader), datedBy(byHeader, byJSON)
	older := sendsPage("X-Updated", dayBefore)
	noJSON := sendsJSON(page, "X-Updated", modified)
	runTrials(t, []trial{
		{name: "If-Modified-Since", handler: header, fields: pairs("If-Modified-Since", modified), next: older, reason: "modified_since", want: pairs("Last-Modified", dayBefore)},
		{name: "… of a HEAD", handler: header, method: "HEAD", fields: pairs("If-Modified-Since", modified), next: sends(200, "", "X-Updated", dayBefore)},
		{name: "… of what is streamed", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", dayBefore, "X-Accel-Buffering", "no")},
		{name: "… beside the upstream's tag", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", dayBefore, "Etag", `"x"`)},
		{name: "… the upstream's own", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("Last-Modified", dayBefore), status: 304},
		{name: "If-Unmodified-Since", handler: header, fields: pairs("If-Unmodified-Since", modified), next: older, status: 412},
		{name: "… the upstream's own", handler: header, fields: pairs("If-Unmodified-Since", modified), next: sendsPage("Last-Modified", dayBefore)},
		{name: "no JSON any more: the field's date", handler: both, fields: pairs("If-Modified-Since", modified), next: noJSON, want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "a date that is none any more", handler: both, fields: pairs("If-Modified-Since", modified), next: sendsJSON(`{"at":"soon"}`, "X-Updated", modified), body: `{"at":"soon"}`, want: pairs("Last-Modified", "")},
		{name: "no date, beside one", handler: both, fields: pairs("If-Modified-Since", modified), next: sendsJSON(`{"at":null}`, "X-Updated", modified), body: "", status: 304},
	})
	for _, inner := range []bool{false, true} {
		h, next := caddyhttp.MiddlewareHandler(provisioned(t, header)), older
		if inner {
			next = within(provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}}), older)
			h = provisioned(t, nil)
		}
		if v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(h, next); v.rec.Code != http.StatusOK {
			t.Errorf("found further in: %t: status %d, want 200", inner, v.rec.Code)
		}
	}
}

// What cannot be asked now may be the newest: the others' date would confirm what a client has from before.
func TestADateFoundInPart(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, mtime := range map[string]int64{"page": 1_700_000_000, "built": 1} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path(name), time.Time{}, time.Unix(mtime, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", path("loop")); err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct {
		name, other string
		status      int
	}{
		{"not there", "none", 304},
		{"below a file", "page/none", 304},
		{"cannot be asked", "loop", 200},
		{"a folder", "folder", 200},
		{"a build tool's", "built", 200},
		{"an empty placeholder", "{http.vars.none}", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := provisioned(t, datedBy(LastModifiedSource{File: pairs(path("page"), path(tt.other))}))
			if v := newVisit(t, "GET", "/", "If-Modified-Since", modified).to(h, sendsPage()); v.rec.Code != tt.status {
				t.Errorf("status %d with Last-Modified %q, want %d", v.rec.Code, v.rec.Header()["Last-Modified"], tt.status)
			}
		})
	}
}

// Where a page may be somebody's own, or says more than its date knows of, the date is sent beside a tag only, and
// confirms nothing by itself: a form's dead token, or the page of the user before.
func TestADateFoundWithoutATag(t *testing.T) {
	header := func() *Handler { return &Handler{LastModified: &LastModified{From: pairsOf(byHeader)}} }
	tokens := header()
	tokens.ETag = &ETag{Ignore: pairs("csrf")}
	for _, tt := range []struct {
		name           string
		handler        *Handler
		request, sends []string
		safe           bool
	}{
		{name: "nothing of that", safe: true},
		{name: "Vary: Accept-Encoding", sends: pairs("Vary", "accept-encoding"), safe: true},
		{name: "Vary", sends: pairs("Vary", "Accept-Encoding, Accept-Language")},
		{name: "Set-Cookie", sends: pairs("Set-Cookie", "a=b")},
		{name: "private", sends: pairs("Cache-Control", "private, max-age=5")},
		{name: "Cookie", request: pairs("Cookie", "a=b")},
		{name: "Authorization", request: pairs("Authorization", "Basic eDp5")},
		{name: "ignore", handler: tokens},
	} {
		held := append(pairs("X-Updated", modified), tt.sends...)
		streamed := append(pairs("X-Accel-Buffering", "no"), held...)
		h := tt.handler
		if h == nil {
			h = header()
		}
		since := append(pairs("If-Modified-Since", modified), tt.request...)
		status, lm := 200, ""
		if tt.safe {
			status, lm = 304, modified
		}
		spills := *h
		spills.Buffer = &Buffer{MaxBody: 5}
		outer := provisioned(t, &Handler{ETag: h.ETag})
		runTrials(t, []trial{
			{name: tt.name + ": held", handler: h, fields: tt.request, next: sendsPage(held...), want: pairs("Last-Modified", modified)},
			{name: tt.name + ": held, If-Modified-Since", handler: h, fields: since, next: sendsPage(held...), status: status},
			{name: tt.name + ": held, If-Unmodified-Since", handler: h, fields: append(pairs("If-Unmodified-Since", modified), tt.request...), next: sendsPage(held...)},
			{name: tt.name + ": the upstream's tag", handler: h, fields: tt.request, next: sendsPage(append(held, "Etag", `"x"`)...), want: pairs("Last-Modified", modified)},
			{name: tt.name + ": streamed", handler: h, fields: tt.request, next: sendsPage(streamed...), want: pairs("Last-Modified", lm)},
			{name: tt.name + ": streamed, If-Modified-Since", handler: h, fields: since, next: sendsPage(streamed...), status: status},
			{name: tt.name + ": HEAD", handler: h, method: "HEAD", fields: tt.request, next: sends(200, "", held...), want: pairs("Last-Modified", lm)},
			{name: tt.name + ": spilled", handler: &spills, fields: tt.request, next: sendsPage(held...), reason: "max_body", want: pairs("Last-Modified", lm, "Etag", "")},
			{name: tt.name + ": cut off", handler: h, fields: tt.request, next: sendsPage(append(held, "Content-Length", "99")...), reason: "short_body", want: pairs("Last-Modified", lm)},
			{name: tt.name + ": the upstream's own date", handler: h, fields: since, next: sendsPage(append(streamed, "Last-Modified", modified)...), status: 304},
		})
		t.Run(tt.name+": found further in", func(t *testing.T) {
			inner := provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, LastModified: &LastModified{From: pairsOf(byHeader)}})
			v := newVisit(t, "GET", "/", since...).to(outer, within(inner, sendsPage(streamed...)))
			tagged := newVisit(t, "GET", "/", since...).to(provisioned(t, nil), within(provisioned(t, h), sendsPage(held...)))
			if v.rec.Code != status || tagged.rec.Code != status {
				t.Errorf("status %d, with a tag %d, want %d", v.rec.Code, tagged.rec.Code, status)
			}
		})
	}
}

// A second change within the second of the first would not show, so that the date of this very second is not sent
// (RFC 9110 §8.8.2.2), and confirms nothing; but it stops a write that rests on an older one.
func TestADateFoundOfThisSecond(t *testing.T) {
	header := datedBy(byHeader)
	runTrials(t, []trial{
		{name: "the second of Date", handler: header, next: sendsPage("X-Updated", modified, "Date", modified), want: pairs("Last-Modified", "", "Cache-Control", "no-cache", "Etag", strongTag)},
		{name: "… If-Modified-Since", handler: header, fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", modified, "Date", modified)},
		{name: "… If-Unmodified-Since", handler: header, fields: pairs("If-Unmodified-Since", dayBefore), next: sendsPage("X-Updated", modified, "Date", modified), status: 412},
		{name: "the second before", handler: header, next: sendsPage("X-Updated", modified, "Date", "Tue, 14 Nov 2023 22:13:21 GMT"), want: pairs("Last-Modified", modified)},
	})
	found := strong()
	found.LastModified = &LastModified{From: pairsOf(byHeader)}
	runGuardTrials(t, withDefaults([]guardTrial{
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "a write", fields: pairs("If-Unmodified-Since", dayBefore), get: sendsPage("X-Updated", modified, "Date", modified)}),
		failedBy("if_unmodified_since", guardTrial{handler: found, name: "a write, of a date that is later", fields: pairs("If-Unmodified-Since", dayAfter), get: sendsPage("X-Updated", modified)}),
	}, guardTrial{}))
}

// A write that rests on a date is not let through where the date cannot be told.
func TestGuardByADateThatFails(t *testing.T) {
	found := strong()
	found.LastModified = &LastModified{From: pairsOf(byHeader)}
	broken := sendsPage("X-Updated", "soon")
	runGuardTrials(t, withDefaults([]guardTrial{
		{handler: found, name: "If-Unmodified-Since", fields: pairs("If-Unmodified-Since", modified), get: broken, status: 503, outcome: "failed", reason: "guard_unavailable", calls: "GET"},
		{handler: found, name: "a tag beside it", fields: pairs("If-Unmodified-Since", modified, "If-Match", strongTag), get: broken, reason: "matched"},
		{
			handler: found, name: "no date at all", fields: pairs("If-Unmodified-Since", modified), get: sendsPage(),
			reason: "condition_ignored", passed: pairs("If-Unmodified-Since", modified),
		},
	}, guardTrial{status: 204, outcome: "guarded", calls: "GET PUT"}))
}
