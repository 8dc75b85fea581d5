package exchange_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// longPage is long enough for several parts of it to be worth their heads.
var longPage = page + strings.Repeat(".", 300) + page

func sendsLongPage(fields ...string) caddyhttp.HandlerFunc {
	return sends(http.StatusOK, longPage, append(pairs("Content-Type", "text/plain"), fields...)...)
}

// twoParts is the long page's "he" and "ld", as multipart/byteranges; the boundary is any.
func twoParts(boundary, contentType string) string {
	if contentType != "" {
		contentType = "Content-Type: " + contentType + "\r\n"
	}
	part := func(contentRange, content string) string {
		return "\r\n--" + boundary + "\r\n" + contentType + "Content-Range: " + contentRange + "\r\n\r\n" + content
	}
	return part("bytes 0-1/324", "he") + part("bytes 322-323/324", "ld") + "\r\n--" + boundary + "--\r\n"
}

// Range of what is held (RFC 9110 §14.2, design §3 "Ranges"): the tag is ours.
func TestRangeOfHeld(t *testing.T) {
	runTrials(t, []trial{
		{
			name: "the whole says that parts can be had", outcome: "tagged",
			want: pairs("Accept-Ranges", "bytes", "Etag", strongTag, "Content-Length", "12"),
		},
		{
			name: "first bytes", fields: pairs("Range", "bytes=0-4"), status: 206, body: "hello", outcome: "partial", reason: "range",
			want: pairs("Content-Range", "bytes 0-4/12", "Content-Length", "5", "Etag", strongTag, "Content-Type", "text/plain", "Vary", "Accept-Encoding"),
		},
		{
			name: "to the end", fields: pairs("Range", "bytes=7-"), status: 206, body: "world",
			want: pairs("Content-Range", "bytes 7-11/12"),
		},
		{
			name: "a suffix", fields: pairs("Range", "bytes=-3"), status: 206, body: "rld",
			want: pairs("Content-Range", "bytes 9-11/12"),
		},
		{
			name: "one that can be had of two is sent as one", fields: pairs("Range", "bytes=3-4, 99-"), status: 206, body: "lo",
			want: pairs("Content-Range", "bytes 3-4/12", "Content-Type", "text/plain"),
		},
		{
			name: "none can be had", fields: pairs("Range", "bytes=12-"), next: sendsPage("Cache-Control", "max-age=60", "Access-Control-Allow-Origin", "*"),
			status: 416, outcome: "range_unsatisfiable", reason: "range_unsatisfiable",
			want: pairs("Content-Range", "bytes */12", "Cache-Control", "", "Etag", "", "Content-Length", "", "Access-Control-Allow-Origin", "*"),
		},
		{name: "another unit", fields: pairs("Range", "items=0-4"), outcome: "tagged", reason: "range_unusable", want: pairs("Content-Range", "")},
		{name: "HEAD has none", handler: &Handler{Head: "get"}, method: "HEAD", fields: pairs("Range", "bytes=0-4"), want: pairs("Content-Length", "12", "Accept-Ranges", "bytes")},
		{
			name: "a coding may follow: the tag is weak", fields: pairs("Range", "bytes=0-4", "Accept-Encoding", "gzip"), reason: "weak_validator",
			want: pairs("Etag", weakTag, "Accept-Ranges", ""),
		},
		{
			name: "etag strong", handler: &Handler{ETag: &ETag{Mode: "strong"}}, fields: pairs("Range", "bytes=0-4", "Accept-Encoding", "gzip"), status: 206, body: "hello",
			want: pairs("Vary", "Accept-Encoding"),
		},
		{name: "etag weak", handler: &Handler{ETag: &ETag{Mode: "weak"}}, fields: pairs("Range", "bytes=0-4"), want: pairs("Accept-Ranges", "")},
		{name: "ranges off", handler: &Handler{Ranges: &Ranges{Mode: "off"}}, fields: pairs("Range", "bytes=0-4"), reason: "no_condition", want: pairs("Accept-Ranges", "")},
		{
			name: "Vary is not repeated", fields: pairs("Range", "bytes=0-4"), next: sendsPage("Vary", "Cookie, accept-encoding"), status: 206, body: "hello",
			want: pairs("Vary", "Cookie, accept-encoding"),
		},
		{
			name: "Vary of another field", fields: pairs("Range", "bytes=0-4"), next: sendsPage("Vary", "Cookie"), status: 206, body: "hello",
			want: pairs("Vary", "Cookie | Accept-Encoding"),
		},
		{
			name: "the media type is that of the whole", fields: pairs("Range", "bytes=6-8"), next: sends(200, "<html>"+page), status: 206, body: "hel",
			want: pairs("Content-Type", "text/html; charset=utf-8"),
		},
		{
			name: "fields of the 200 (§15.3.7)", fields: pairs("Range", "bytes=0-4"), status: 206, body: "hello",
			next: sendsPage("Cache-Control", "max-age=60", "Expires", dayAfter, "Content-Location", "/alt", "Date", dayAfter, "X-Other", "kept", "Content-Language", "en", "Last-Modified", modified, "Content-Digest", "sha-256=:x:", "Content-Md5", "x", "Repr-Digest", "sha-256=:x:"),
			want: pairs("Cache-Control", "max-age=60", "Expires", dayAfter, "Content-Location", "/alt", "X-Other", "kept", "Content-Language", "en", "Last-Modified", modified, "Content-Digest", "", "Content-Md5", "", "Repr-Digest", "sha-256=:x:"),
		},
		{name: "a short body", fields: pairs("Range", "bytes=0-4"), next: sendsPage("Content-Length", "99"), reason: "short_body", want: pairs("Content-Range", "", "Accept-Ranges", "")},
		{name: "another status", fields: pairs("Range", "bytes=0-4"), next: sends(203, page), status: 203, body: page, reason: "status", want: pairs("Accept-Ranges", "")},
	})
}

// Several ranges of what is held, of which one part or the whole is made.
func TestSeveralRangesOfHeld(t *testing.T) {
	runTrials(t, []trial{
		{name: "overlapping ones are one", fields: pairs("Range", "bytes=0-4,3-5"), status: 206, body: "hello,", outcome: "partial", reason: "range", want: pairs("Content-Range", "bytes 0-5/12")},
		{name: "with their heads they are longer than the whole", fields: pairs("Range", "bytes=0-0,-1"), outcome: "tagged", reason: "range_excessive"},
		{name: "more than max", handler: &Handler{Ranges: &Ranges{Max: 2}}, fields: pairs("Range", "bytes=0-0,2-2,4-4"), outcome: "tagged", reason: "range_many"},
		{name: "more than max, but one", handler: &Handler{Ranges: &Ranges{Max: 1}}, fields: pairs("Range", "bytes=0-0,1-1,2-2"), status: 206, body: "hel"},
	})
}

// What the upstream has answered itself.
func TestRangeAnsweredByTheUpstream(t *testing.T) {
	runTrials(t, []trial{
		{name: "an upstream's 206 passes", fields: pairs("Range", "bytes=0-4"), next: sends(206, "hello", "Content-Range", "bytes 0-4/12"), status: 206, body: "hello", outcome: "streamed", want: pairs("Content-Range", "bytes 0-4/12", "Vary", "", "Accept-Ranges", "")},
		{name: "an upstream's 416 passes", fields: pairs("Range", "bytes=90-"), next: sends(416, "no", "Content-Range", "bytes */12"), status: 416, body: "no", outcome: "streamed", want: pairs("Content-Range", "bytes */12")},
	})
}

// If-Range (RFC 9110 §13.1.5), and Range behind other preconditions (§13.2.2).
func TestIfRange(t *testing.T) {
	dated := sendsPage("Last-Modified", modified, "Content-Language", "en")
	runTrials(t, []trial{
		{
			name: "our tag", fields: pairs("Range", "bytes=0-4", "If-Range", strongTag), status: 206, body: "hello",
			want: pairs("Etag", strongTag, "Content-Type", "text/plain"),
		},
		{
			name: "our tag, with another date in it", fields: pairs("Range", "bytes=0-4", "If-Range", strongTag), next: dated, status: 206, body: "hello",
			want: pairs("Etag", strongTag, "Last-Modified", "", "Content-Language", ""),
		},
		{name: "a stale tag of ours", fields: pairs("Range", "bytes=0-4", "If-Range", staleTag), outcome: "tagged", reason: "if_range"},
		{name: "another tag", fields: pairs("Range", "bytes=0-4", "If-Range", `"x"`), reason: "if_range"},
		{name: "our tag, of the octets that encode made", fields: pairs("Range", "bytes=0-4", "If-Range", strings.TrimSuffix(strongTag, `"`)+`-gzip"`), reason: "if_range"},
		{name: "our tag, weak", fields: pairs("Range", "bytes=0-4", "If-Range", weakTag), reason: "if_range"},
		{name: "the date", fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: withField(dated, "Cache-Control", "no-transform"), status: 206, body: "hello"},
		{name: "the date, and a coding may follow", fields: pairs("Range", "bytes=0-4", "If-Range", modified), next: dated, reason: "if_range"},
		{name: "a later date", fields: pairs("Range", "bytes=0-4", "If-Range", dayAfter), next: dated, reason: "if_range"},
		{name: "false and out of range", fields: pairs("Range", "bytes=99-", "If-Range", staleTag), reason: "if_range"},
		{name: "true and out of range", fields: pairs("Range", "bytes=99-", "If-Range", strongTag), status: 416},
		{name: "If-Range alone", fields: pairs("If-Range", strongTag), reason: "no_condition"},
		{name: "If-None-Match comes first", fields: pairs("Range", "bytes=0-4", "If-None-Match", strongTag), status: 304, outcome: "not_modified", want: pairs("Content-Range", "", "Accept-Ranges", "")},
		{name: "If-None-Match of another", fields: pairs("Range", "bytes=0-4", "If-None-Match", staleTag), status: 206, body: "hello"},
		{name: "If-Match comes first", fields: pairs("Range", "bytes=99-", "If-Match", staleTag), status: 412, outcome: "precondition_failed", want: pairs("Content-Range", "")},
		{name: "If-Match is true", fields: pairs("Range", "bytes=0-4", "If-Match", strongTag), status: 206, body: "hello"},
	})
}

// Range of what passes because the upstream has tagged or dated it, but not looked at Range.
func TestRangeOfPassing(t *testing.T) {
	tagged := sendsPage("Etag", `"r"`, "Content-Length", "12")
	untagged := sendsPage("Last-Modified", modified, "Content-Length", "12")
	off := &Handler{ETag: &ETag{Mode: "off"}}
	small := func(ranges string) *Handler {
		return &Handler{Ranges: &Ranges{Mode: ranges}, Buffer: &Buffer{MaxBody: 11}}
	}
	runTrials(t, []trial{
		{name: "the whole", next: tagged, outcome: "streamed", want: pairs("Accept-Ranges", "bytes")},
		{
			name: "a part", fields: pairs("Range", "bytes=3-4", "Accept-Encoding", "gzip"), next: tagged, status: 206, body: "lo", outcome: "partial", reason: "range",
			want: pairs("Content-Range", "bytes 3-4/12", "Content-Length", "2", "Etag", `"r"`, "Vary", "Accept-Encoding", "Content-Type", "text/plain"),
		},
		{name: "the last byte", fields: pairs("Range", "bytes=-1"), next: tagged, status: 206, body: "d"},
		{name: "all of it", fields: pairs("Range", "bytes=0-"), next: tagged, status: 206, body: page, want: pairs("Content-Range", "bytes 0-11/12")},
		{name: "none", fields: pairs("Range", "bytes=12-"), next: tagged, status: 416, outcome: "range_unsatisfiable", want: pairs("Content-Range", "bytes */12", "Etag", "")},
		{name: "If-Range", fields: pairs("Range", "bytes=3-4", "If-Range", `"r"`), next: tagged, status: 206, body: "lo"},
		{name: "If-Range of another", fields: pairs("Range", "bytes=3-4", "If-Range", `"s"`), next: tagged, outcome: "streamed"},
		{name: "a weak tag", fields: pairs("Range", "bytes=3-4"), next: sendsPage("Etag", `W/"r"`, "Content-Length", "12", "Last-Modified", modified), want: pairs("Accept-Ranges", "")},
		{name: "a malformed tag", fields: pairs("Range", "bytes=3-4"), next: sendsPage("Etag", "r", "Content-Length", "12", "Last-Modified", modified), want: pairs("Accept-Ranges", "")},
		{name: "no length", next: sendsPage("Etag", `"r"`), outcome: "streamed", want: pairs("Accept-Ranges", "")},
		{name: "no length, and a part of it", fields: pairs("Range", "bytes=-2"), next: sendsPage("Etag", `"r"`), status: 206, body: "ld", want: pairs("Etag", `"r"`, "Content-Range", "bytes 10-11/12")},
		{name: "no length, and none of it", fields: pairs("Range", "bytes=12-"), next: sendsPage("Etag", `"r"`), status: 416, want: pairs("Content-Range", "bytes */12")},
		{name: "no length, and If-Range of another", fields: pairs("Range", "bytes=-2", "If-Range", `"s"`), next: sendsPage("Etag", `"r"`), outcome: "streamed", reason: "if_range"},
		{name: "no length, longer than max_body", handler: small("on"), fields: pairs("Range", "bytes=-2"), next: sendsPage("Etag", `"r"`), outcome: "streamed", reason: "max_body"},
		{name: "trailers", fields: pairs("Range", "bytes=3-4"), next: sendsPage("Etag", `"r"`, "Content-Length", "12", "Trailer", "X-Sum"), want: pairs("Accept-Ranges", "")},
		{name: "made to be read as it comes", fields: pairs("Range", "bytes=3-4"), next: sends(200, page, "Content-Type", "text/event-stream", "Etag", `"r"`, "Content-Length", "12")},
		{name: "no media type, and not its beginning", fields: pairs("Range", "bytes=3-4"), next: sends(200, page, "Etag", `"r"`, "Content-Length", "12"), status: 206, body: "lo", want: pairs("Content-Type", "")},
		{name: "a strong date, no tag", handler: off, fields: pairs("Range", "bytes=3-4"), next: untagged, status: 206, body: "lo", want: pairs("Last-Modified", modified, "Vary", "Accept-Encoding")},
		{name: "longer than max_body", handler: small("on"), fields: pairs("Range", "bytes=3-4"), next: tagged, reason: "range_length", want: pairs("Accept-Ranges", "")},
		{name: "longer than max_body, and none of it", handler: small("on"), fields: pairs("Range", "bytes=12-"), next: tagged, status: 416},
		{name: "just as long as max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 12}}, fields: pairs("Range", "bytes=3-4"), next: tagged, status: 206, body: "lo"},
		{name: "stream", handler: small("stream"), fields: pairs("Range", "bytes=3-4"), next: tagged, status: 206, body: "lo"},
		{name: "stream, several", handler: small("stream"), fields: pairs("Range", "bytes=0-1,-2"), next: sendsLongPage("Etag", `"r"`, "Content-Length", "324"), body: longPage, reason: "range_length"},
		{name: "malformed", fields: pairs("Range", "bytes=4-3"), next: tagged, reason: "range_unusable"},
		{name: "stream, the whole", handler: small("stream"), next: tagged, want: pairs("Accept-Ranges", "bytes")},
		{name: "off", handler: &Handler{Ranges: &Ranges{Mode: "off"}}, fields: pairs("Range", "bytes=3-4"), next: tagged, want: pairs("Accept-Ranges", "")},
		{name: "off leaves what the upstream says", handler: &Handler{Ranges: &Ranges{Mode: "off"}}, next: sendsPage("Etag", `"r"`, "Accept-Ranges", "none"), want: pairs("Accept-Ranges", "none")},
		{
			name: "existing replace takes back what the upstream says", handler: &Handler{ETag: &ETag{Mode: "weak", Existing: "replace"}},
			next: sendsPage("Etag", `"r"`, "Accept-Ranges", "bytes"), want: pairs("Accept-Ranges", ""),
		},
		{
			name: "existing replace answers it here", handler: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("Range", "bytes=0-4"),
			next: sendsPage("Etag", `"r"`, "Accept-Ranges", "bytes"), status: 206, body: "hello", want: pairs("Etag", strongTag),
		},
		{name: "HEAD", method: "HEAD", fields: pairs("Range", "bytes=3-4"), next: sends(200, "", "Etag", `"r"`, "Content-Length", "12"), want: pairs("Accept-Ranges", "bytes", "Content-Length", "12", "Content-Range", "")},
		{
			name: "the 206 has the policy of the 200", handler: &Handler{CacheControl: []CacheControl{{MediaType: OneOrMore{"text/plain"}, Directives: []string{"max-age=60"}}}, ContentLocation: true},
			fields: pairs("Range", "bytes=3-4"), next: tagged, status: 206, body: "lo", want: pairs("Cache-Control", "max-age=60", "Content-Location", "/"),
		},
	})
}

// Several ranges come as multipart/byteranges (RFC 9110 §14.6), put together from the whole.
func TestMultipart(t *testing.T) {
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"held":                         sendsLongPage(),
		"passing":                      sendsLongPage("Etag", `"r"`, "Content-Length", "324"),
		"in two goes":                  slowly(0, longPage[:100], longPage[100:]),
		"a 200 that says it is a part": sendsLongPage("Content-Range", "bytes 0-49/100"),
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t, http.MethodGet, "/", "Range", "bytes=0-1, -2").to(provisioned(t, nil), next)
			mediaType := v.rec.Header().Get("Content-Type")
			boundary, found := strings.CutPrefix(mediaType, "multipart/byteranges; boundary=")
			if v.rec.Code != http.StatusPartialContent || !found {
				t.Fatalf("status %d, Content-Type %q", v.rec.Code, mediaType)
			}
			if want := twoParts(boundary, "text/plain"); v.rec.Body.String() != want {
				t.Errorf("the body is %q, want %q", v.rec.Body, want)
			}
			wantPairs(t, "the response", v.rec.Header(), pairs("Content-Length", strconv.Itoa(v.rec.Body.Len()), "Content-Range", ""))
			if v.said("outcome") != "partial" {
				t.Errorf("outcome %q", v.said("outcome"))
			}
		})
	}
}

// Parts that need the whole, which does not come in time.
func TestMultipartTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, http.MethodGet, "/", "Range", "bytes=0-1, -2")
		v.to(provisioned(t, &Handler{ContentLocation: true}), func(w http.ResponseWriter, r *http.Request) error {
			addPairs(w.Header(), pairs("Etag", `"r"`, "Content-Length", "324", "Content-Type", "text/plain"))
			return slowly(time.Second, longPage[:100], longPage[100:])(w, r)
		})
		if v.rec.Code != http.StatusOK || v.rec.Body.String() != longPage || v.said("reason") != "max_delay" {
			t.Errorf("status %d, %q, %s", v.rec.Code, v.rec.Body, v.said("reason"))
		}
		wantPairs(t, "the response", v.rec.Header(), pairs("Content-Location", "/", "Accept-Ranges", "bytes", "Content-Length", "324"))
	})
}

// An upstream that breaks off inside the part must not look like one that has ended.
func TestSliceBrokenOff(t *testing.T) {
	for asked, complete := range map[string]bool{"bytes=0-9": true, "bytes=0-11": true, "bytes=0-12": false} {
		v := newVisit(t, http.MethodGet, "/", "Range", asked)
		v.to(provisioned(t, nil), aborting(sendsPage("Etag", `"r"`, "Content-Length", "99"), http.ErrAbortHandler))
		if swallowed := v.panicked == nil; swallowed != complete || v.rec.Code != http.StatusPartialContent {
			t.Errorf("%s: status %d, panic %v", asked, v.rec.Code, v.panicked)
		}
	}
}

// What is held for Range only has no more of a tag than the whole has.
func TestNoTagForRangeAlone(t *testing.T) {
	dated := sendsPage("Last-Modified", modified)
	runTrials(t, []trial{
		{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, fields: pairs("Range", "bytes=3-4"), next: dated, status: 206, body: "lo", want: pairs("Etag", "", "Last-Modified", modified)},
		{name: "no-store", fields: pairs("Range", "bytes=3-4"), next: withField(dated, "Cache-Control", "no-store"), status: 206, body: "lo", want: pairs("Etag", "")},
		{name: "our weak tag takes no parts, whatever the upstream says", fields: pairs("Accept-Encoding", "gzip"), next: sendsPage("Accept-Ranges", "bytes"), want: pairs("Etag", weakTag, "Accept-Ranges", "")},
	})
}

// countedWrites counts what is written at once.
type countedWrites struct {
	http.ResponseWriter
	writes int
}

func (c *countedWrites) Write(p []byte) (int, error) {
	c.writes++
	return c.ResponseWriter.Write(p)
}

// A write costs more than a small part: a thousand parts are written in a few.
func TestPartsAreWrittenTogether(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1<<14)
	var set []string
	for i := range 1000 {
		set = append(set, strconv.Itoa(3*i)+"-"+strconv.Itoa(3*i))
	}
	v := newVisit(t, http.MethodGet, "/", "Range", "bytes="+strings.Join(set, ","))
	w := &countedWrites{ResponseWriter: v.rec}
	if err := provisioned(t, &Handler{Ranges: &Ranges{Max: 1000}}).ServeHTTP(w, v.r, sends(200, body, "Content-Type", "text/plain")); err != nil {
		t.Fatal(err)
	}
	length := v.rec.Body.Len()
	if v.rec.Code != http.StatusPartialContent || v.rec.Header().Get("Content-Length") != strconv.Itoa(length) {
		t.Fatalf("status %d with %v, and %d bytes", v.rec.Code, v.rec.Header(), length)
	}
	if most := length/(32<<10) + 2; w.writes > most {
		t.Errorf("%d bytes are written in %d goes, want %d at most", length, w.writes, most)
	}
}
