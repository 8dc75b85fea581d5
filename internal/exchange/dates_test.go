package exchange_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// datedBy is a handler that finds dates.
func datedBy(sources ...LastModifiedSource) *Handler {
	return &Handler{LastModified: &LastModified{From: sources}}
}

// modifiedJSON is a body whose date is `modified`.
const modifiedJSON = `{"at":1700000000}`

var (
	byHeader = LastModifiedSource{Header: "X-Updated"}
	byJSON   = LastModifiedSource{JSON: "at"}
)

// Design §3, "Last-Modified": sources apply where the upstream has sent none that can be used.
func TestLastModifiedFrom(t *testing.T) {
	header, json, both := datedBy(byHeader), datedBy(byJSON), datedBy(byHeader, byJSON)
	off := &Handler{LastModified: &LastModified{Mode: "off", From: pairsOf(byHeader)}}
	updated := pairs("X-Updated", "1700000000")
	page := func(fields ...string) caddyhttp.HandlerFunc { return sendsPage(append(updated, fields...)...) }
	found := pairs("Last-Modified", modified, "Cache-Control", "no-cache", "Etag", strongTag)
	runTrials(t, []trial{
		{name: "a field", handler: header, next: page(), want: found},
		{name: "none", handler: header, want: pairs("Last-Modified", "", "Cache-Control", "", "Etag", strongTag)},
		{name: "no sources", next: page(), want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "the upstream's stands", handler: header, next: page("Last-Modified", dayBefore), want: pairs("Last-Modified", dayBefore, "Cache-Control", "")},
		{name: "the upstream's is a build tool's", handler: header, next: page("Last-Modified", epochDate), want: found},
		{name: "the upstream's is not understood", handler: header, next: page("Last-Modified", "yesterday"), want: found},
		{
			name: "it is understood with a layout", next: sendsPage("Last-Modified", "2023-11-14 22:13:20"),
			handler: datedBy(LastModifiedSource{Header: "Last-Modified", Layout: "2006-01-02 15:04:05"}), want: found,
		},
		{name: "off: where there is none", handler: off, next: page(), want: found},
		{name: "off: the upstream's is left as it is", handler: off, next: page("Last-Modified", "yesterday"), want: pairs("Last-Modified", "yesterday", "Cache-Control", "")},
		{name: "later than Date", handler: header, next: page("Date", dayBefore), want: pairs("Last-Modified", "", "Etag", strongTag)},
		{name: "no 200", handler: header, next: sends(404, "gone", updated...), status: 404, body: "gone", want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "another 2xx", handler: header, next: sends(203, "x", updated...), status: 203, body: "x", want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "the upstream's 304", handler: header, fields: pairs("If-None-Match", `"x"`), next: sends(304, "", updated...), status: 304, want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "HEAD", handler: header, method: "HEAD", next: sends(200, "", updated...), want: pairs("Last-Modified", modified, "Cache-Control", "no-cache")},
		{name: "what is streamed", handler: header, next: page("X-Accel-Buffering", "no"), reason: "accel_buffering", want: pairs("Last-Modified", modified, "Cache-Control", "no-cache")},
		{name: "beside the upstream's tag", handler: header, next: page("Etag", `"abc"`), reason: "first_visit", want: pairs("Last-Modified", modified, "Cache-Control", "no-cache", "Etag", `"abc"`)},

		{name: "JSON", handler: json, next: sendsJSON(modifiedJSON), body: modifiedJSON, want: pairs("Last-Modified", modified, "Cache-Control", "no-cache")},
		{name: "the latest of field and JSON", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayBefore), body: modifiedJSON, want: pairs("Last-Modified", modified)},
		{name: "… and the other way round", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayAfter), body: modifiedJSON, want: pairs("Last-Modified", dayAfter)},
		{name: "JSON, gzip-coded", handler: both, next: sendsJSON(gzipped(modifiedJSON), "X-Updated", dayBefore, "Content-Encoding", "gzip"), body: gzipped(modifiedJSON), want: pairs("Last-Modified", modified)},
		{name: "not JSON", handler: both, next: page(), want: found},
		{name: "JSON that is streamed", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayBefore, "Etag", `"x"`), body: modifiedJSON, want: pairs("Last-Modified", "", "Cache-Control", "")},
		{name: "JSON, cut off", handler: both, next: sendsJSON(modifiedJSON, "X-Updated", dayBefore, "Content-Length", "99"), body: modifiedJSON, reason: "short_body", want: pairs("Last-Modified", "")},
		{name: "JSON of a HEAD that passes", handler: both, method: "HEAD", next: sendsJSON("", "X-Updated", dayBefore), want: pairs("Last-Modified", "")},
		{
			name: "JSON of a HEAD that is asked as GET", method: "HEAD", next: sendsJSON(modifiedJSON),
			handler: &Handler{Head: "get", LastModified: &LastModified{From: pairsOf(byJSON)}}, want: pairs("Last-Modified", modified, "Content-Length", "17"),
		},
		{
			name: "JSON over max_body", next: sendsJSON(modifiedJSON, "X-Updated", dayBefore), body: modifiedJSON, reason: "max_body",
			handler: &Handler{Buffer: &Buffer{MaxBody: 16}, LastModified: &LastModified{From: pairsOf(byHeader, byJSON)}}, want: pairs("Last-Modified", ""),
		},
	})
}

func pairsOf(sources ...LastModifiedSource) []LastModifiedSource { return sources }

// A response that got its date here is not cached by a guess; whoever says how long, is heard.
func TestFreshnessOfADateFound(t *testing.T) {
	with := func(row CacheControl) *Handler {
		return &Handler{LastModified: &LastModified{From: pairsOf(byHeader)}, CacheControl: []CacheControl{row}}
	}
	updated := sendsPage("X-Updated", modified)
	runTrials(t, []trial{
		{name: "a row", handler: with(CacheControl{Directives: pairs("max-age=60")}), next: updated, want: pairs("Cache-Control", "max-age=60")},
		{name: "a row without a lifetime", handler: with(CacheControl{Directives: pairs("private")}), next: updated, want: pairs("Cache-Control", "private, no-cache")},
		{name: "a row for others", handler: with(CacheControl{MediaType: OneOrMore{"image/*"}, Directives: pairs("max-age=60")}), next: updated, want: pairs("Cache-Control", "no-cache")},
		{name: "the upstream", handler: datedBy(byHeader), next: sendsPage("X-Updated", modified, "Cache-Control", "max-age=5"), want: pairs("Cache-Control", "max-age=5")},
		{name: "the upstream's Expires", handler: datedBy(byHeader), next: sendsPage("X-Updated", modified, "Expires", dayAfter), want: pairs("Cache-Control", "", "Expires", dayAfter)},
		{name: "on the 304 as on the 200", handler: with(CacheControl{Directives: pairs("must-revalidate")}), fields: pairs("If-Modified-Since", modified), next: updated, status: 304, want: pairs("Cache-Control", "must-revalidate, no-cache")},
		{name: "the same for Expires", handler: datedBy(byHeader), fields: pairs("If-Modified-Since", modified), next: sendsPage("X-Updated", modified, "Expires", dayAfter), status: 304, want: pairs("Cache-Control", "", "Expires", dayAfter)},
	})
}

// Files are asked when the head comes, by what the request's placeholders say then. Those that give no date are
// named in the debug line, and are no error.
func TestLastModifiedFromFiles(t *testing.T) {
	dir := t.TempDir()
	mtime := time.Unix(1_700_000_000, 999)
	if err := os.WriteFile(filepath.Join(dir, "page"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "page"), mtime, mtime); err != nil {
		t.Fatal(err)
	}
	h := provisioned(t, datedBy(LastModifiedSource{File: pairs("{http.vars.root}{http.request.uri.path}")}))
	logs := watched(t)
	ask := func(target string) (lastModified, missed string) {
		t.Helper()
		v := newVisit(t, "GET", target)
		caddyhttp.SetVar(v.r.Context(), "root", dir)
		v.to(h, sendsPage())
		return v.rec.Header().Get("Last-Modified"), fmt.Sprint(logs.TakeAll()[0].ContextMap()["no_date"])
	}
	if got, missed := ask("/page"); got != modified || missed != "<nil>" {
		t.Errorf("got %q, want %q; missed %s", got, modified, missed)
	}
	if got, missed := ask("/none"); got != "" || !strings.Contains(missed, "file {http.vars.root}{http.request.uri.path}: stat ") {
		t.Errorf("of a missing file: %q, missed %s", got, missed)
	}
	if err := os.Remove(filepath.Join(dir, "page")); err != nil {
		t.Fatal(err)
	}
	if got, _ := ask("/page"); got != "" {
		t.Errorf("of a file that has vanished: %q", got)
	}
}

// Without Caddy's server around it there are no placeholders of a request, which is no reason to panic.
func TestLastModifiedFromFilesWithoutReplacer(t *testing.T) {
	for name, found := range map[string]bool{"dates_test.go": true, "{http.vars.root}/page": false} {
		h := provisioned(t, datedBy(LastModifiedSource{File: pairs(name)}))
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, make(map[string]any)), "GET", "/", http.NoBody)
		if err := h.ServeHTTP(rec, r, sendsPage()); err != nil || found != (rec.Header().Get("Last-Modified") != "") {
			t.Errorf("%s: error %v, fields %v", name, err, rec.Header())
		}
	}
}

// The page may be from before a change that comes while it is made, and is younger than the date that is found then.
func TestADateFoundWhileThePageIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(500 * time.Millisecond) //nolint:forbidigo // of a synctest bubble's clock
		next := func(w http.ResponseWriter, r *http.Request) error {
			updated := httpcond.FormatDate(time.Now())
			time.Sleep(time.Minute) //nolint:forbidigo // the same
			return sendsPage("X-Updated", updated)(w, r)
		}
		h := provisioned(t, datedBy(byHeader))
		if got := newVisit(t, "GET", "/").to(h, next).rec.Header()["Last-Modified"]; got != nil {
			t.Errorf("Last-Modified %q, want none", got)
		}
	})
}

// headWatch tells when the head goes out.
type headWatch struct {
	http.ResponseWriter
	sent chan struct{}
}

func (w *headWatch) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	close(w.sent)
}

// When an inner instance stops waiting, the head comes to the outer ones while the handler still runs, and still
// writes into the request's variables, which have no lock, and its URL.
func TestSourcesOfAnOuterWhileTheHandlerRuns(t *testing.T) {
	file := LastModifiedSource{File: pairs("{http.vars.root}{http.request.uri.path}")}
	outer := datedBy(file)
	outer.CacheControl = []CacheControl{{Path: OneOrMore{"/handler.*"}, Directives: pairs("max-age=600"), Jitter: 10}}
	outer, inner := provisioned(t, outer), provisioned(t, &Handler{Buffer: &Buffer{MaxDelay: Delay(time.Millisecond)}})
	v := newVisit(t, "GET", "/handler.go")
	caddyhttp.SetVar(v.r.Context(), "root", ".")
	w := &headWatch{v.rec, make(chan struct{})}
	next := func(to http.ResponseWriter, r *http.Request) error {
		_, _ = io.WriteString(to, "some")
		for i := 0; ; i++ {
			select {
			case <-w.sent:
				return nil
			case <-t.Context().Done():
				return t.Context().Err()
			default:
				caddyhttp.SetVar(r.Context(), "root", ".")
				r.URL.RawQuery = strconv.Itoa(i)
			}
		}
	}
	err := outer.ServeHTTP(w, v.r, within(inner, next))
	if err != nil || v.rec.Header()["Last-Modified"] != nil || !strings.HasPrefix(v.rec.Header().Get("Cache-Control"), "max-age=") {
		t.Errorf("error %v, fields %v; want a lifetime and no date", err, v.rec.Header())
	}
}

// What a JSON body is decoded to is part of what is held.
func TestDecodedJSONInTheBudget(t *testing.T) {
	body := gzipped(modifiedJSON + strings.Repeat(" ", 500_000))
	for room, want := range map[int64]string{200_000: "", 3_000_000: modified} {
		h := bounded(t, room, datedBy(byJSON))
		v := newVisit(t, "GET", "/").to(h, sendsJSON(body, "Content-Encoding", "gzip"))
		if got := v.rec.Header().Get("Last-Modified"); got != want || v.rec.Body.String() != body || v.rec.Header().Get("Etag") == "" {
			t.Errorf("with %d bytes: Last-Modified %q, want %q; %d of %d bytes", room, got, want, v.rec.Body.Len(), len(body))
		}
	}
}

// TestFoundDateUnderARowThatIsPrivate: private is private, whoever says so.
func TestFoundDateUnderARowThatIsPrivate(t *testing.T) {
	for _, next := range []caddyhttp.HandlerFunc{sendsPage("X-Updated", "1700000000"), sendsJSON(modifiedJSON)} {
		h := datedBy(byHeader, byJSON)
		h.CacheControl = []CacheControl{{Directives: pairs("private", "no-cache")}}
		v := newVisit(t, http.MethodGet, "/", "If-Modified-Since", modified).to(provisioned(t, h), next)
		if v.status() != http.StatusOK {
			t.Errorf("%d, want 200", v.status())
		}
	}
}
