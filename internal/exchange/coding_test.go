package exchange_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip" // encoders of encode_once
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"
)

// wordy is long enough to be compressed.
var wordy = strings.Repeat("<p>A page that is long enough.</p>\n", 40)

// once is a handler with encode_once that shares what it keeps with no other test.
func once(t *testing.T, kept int64, also ...func(*Handler)) *Handler {
	t.Helper()
	h := &Handler{EncodeOnce: &EncodeOnce{MaxBytes: 1<<20 + kept}}
	for _, change := range also {
		change(h)
	}
	t.Cleanup(func() {
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return provisioned(t, h)
}

func strongTags(h *Handler) { h.ETag = &ETag{Mode: "strong"} }

// gunzipped is what a response stands for.
func gunzipped(t *testing.T, body []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestEncodeOnce: what comes again goes out compressed, with what belongs to that, and what comes once does not.
func TestEncodeOnce(t *testing.T) {
	h := once(t, 1, strongTags)
	html := sends(200, wordy, "Content-Type", "text/html", "Repr-Digest", "sha-256=:x:", "Content-Digest", "sha-256=:x:", "Accept-Ranges", "bytes")
	var plainTag string
	for i, want := range []string{"first_sight", "coded", "coded"} {
		v := newVisit(t, "GET", "/", "Accept-Encoding", "gzip").to(h, html)
		wantStatus(t, v, 200)
		header, body := v.rec.Header(), v.rec.Body.Bytes()
		if got := v.placeholder("http.conditional_cache.encode_once"); got != want {
			t.Errorf("request %d: %s, want %s", i, got, want)
		}
		wantPairs(t, "the response", header, pairs("Vary", "Accept-Encoding"))
		if i == 0 {
			plainTag = header.Get("Etag")
			wantPairs(t, "the first response", header, pairs("Content-Encoding", "", "Repr-Digest", "sha-256=:x:", "Accept-Ranges", "bytes", "Content-Length", strconv.Itoa(len(wordy))))
			continue
		}
		wantPairs(t, "a compressed response", header, pairs("Content-Encoding", "gzip", "Repr-Digest", "", "Content-Digest", "", "Accept-Ranges", "",
			"Content-Length", strconv.Itoa(len(body)), "Etag", strings.TrimSuffix(plainTag, `"`)+`-gzip"`))
		if gunzipped(t, body) != wordy {
			t.Error("another content")
		}
	}
}

func (v *visit) placeholder(name string) string {
	value, _ := v.repl.GetString(name)
	return value
}

// TestEncodeOnceReasons: what is not compressed says why, and goes out as it is.
func TestEncodeOnceReasons(t *testing.T) {
	html := func(fields ...string) caddyhttp.HandlerFunc {
		return sends(200, wordy, append(pairs("Content-Type", "text/html"), fields...)...)
	}
	accepts := pairs("Accept-Encoding", "gzip")
	for i, tt := range []struct {
		want   string
		fields []string
		next   caddyhttp.HandlerFunc
		varies bool
	}{
		{"accept", nil, html(), true},
		{"accept", pairs("Accept-Encoding", "br;q=1, gzip;q=0"), html(), true},
		{"type", accepts, sends(200, wordy, "Content-Type", "image/png"), false},
		{"short", accepts, sends(200, wordy[:512], "Content-Type", "text/html"), false},
		{"no_transform", accepts, html("Cache-Control", "no-transform"), false},
		{"already_coded", accepts, html("Content-Encoding", "br"), false},
		{"already_coded", accepts, html("Content-Encoding", "br", "Etag", `"a"`), false},
		{"held_not", accepts, html("Etag", `"a"`), false},
		{"held_not", accepts, html("Cache-Control", "no-store"), false},
		{"large", accepts, sends(200, strings.Repeat(wordy, 300), "Content-Type", "text/html"), false},
		{"", accepts, sends(404, wordy, "Content-Type", "text/html"), false},
	} {
		h := once(t, int64(i)+10)
		for range 2 {
			v := newVisit(t, "GET", "/", tt.fields...).to(h, tt.next)
			header := v.rec.Header()
			if got := v.placeholder("http.conditional_cache.encode_once"); got != tt.want {
				t.Errorf("%d: %q, want %q", i, got, tt.want)
			}
			if varies := header.Get("Vary") == "Accept-Encoding"; varies != tt.varies || header.Get("Content-Encoding") == "gzip" {
				t.Errorf("%s: %v", tt.want, header)
			}
		}
	}
}

// TestEncodeOnceRow: a cache_control line says no-transform, or that nothing is to be stored, before it is compressed.
func TestEncodeOnceRow(t *testing.T) {
	for i, tt := range []struct{ directive, want string }{{"no-transform", "no_transform"}, {"no-store", "no_store"}, {"max-age=60", "coded"}} {
		h := once(t, int64(i)+30, func(h *Handler) {
			h.CacheControl = []CacheControl{{MediaType: OneOrMore{"text/html"}, Directives: pairs(tt.directive)}}
		})
		var v *visit
		for range 2 { // the type, and with it the line, is known when the body is here
			v = newVisit(t, "GET", "/", "Accept-Encoding", "gzip").to(h, sends(200, "<!DOCTYPE html>"+wordy))
		}
		if got := v.placeholder("http.conditional_cache.encode_once"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.directive, got, tt.want)
		}
	}
}

// TestEncodeOnce304: a client that stored the page before or after its second time gets its 304, with the tag that it has
// named and the Vary of the 200; from memory as well.
func TestEncodeOnce304(t *testing.T) {
	html := sends(200, wordy, "Content-Type", "text/html")
	for name, also := range map[string]func(*Handler){
		"asking": func(*Handler) {}, "remembering": func(h *Handler) {
			h.Remember = &Remember{TTL: 3600e9, StoreRaw: []byte(`{"name": "memory", "max_entries": 77}`)}
		},
	} {
		h := once(t, int64(len(name))+40, strongTags, also)
		for range 2 {
			var tags []string
			for range 2 {
				v := newVisit(t, "GET", "/"+name, "Accept-Encoding", "gzip").to(h, html)
				tags = append(tags, v.rec.Header().Get("Etag"))
			}
			for _, etag := range tags {
				v := newVisit(t, "GET", "/"+name, "Accept-Encoding", "gzip", "If-None-Match", etag).to(h, html)
				wantStatus(t, v, 304)
				wantPairs(t, name, v.rec.Header(), pairs("Etag", etag, "Vary", "Accept-Encoding", "Content-Encoding", ""))
				if asked := v.seen != nil; asked != (name == "asking") {
					t.Errorf("%s: the upstream was asked: %t", name, asked)
				}
			}
			wantStatus(t, newVisit(t, "GET", "/"+name, "If-None-Match", tags[1]).to(h, html), 304) // without a coding, too
		}
	}
}

// TestEncodeOnceHead: HEAD as GET has the fields of that, and no content.
func TestEncodeOnceHead(t *testing.T) {
	h := once(t, 60, func(h *Handler) { h.Head = "get" })
	html := sends(200, wordy, "Content-Type", "text/html")
	var fields [3]http.Header
	for i, method := range []string{"GET", "GET", "HEAD"} {
		v := newVisit(t, method, "/", "Accept-Encoding", "gzip").to(h, html)
		fields[i] = v.rec.Header()
		if method == "HEAD" && v.rec.Body.Len() > 0 {
			t.Error("HEAD has content")
		}
	}
	for _, name := range []string{"Content-Encoding", "Content-Length", "Etag", "Vary", "Content-Type"} {
		if get, head := fields[1].Get(name), fields[2].Get(name); get != head || get == "" {
			t.Errorf("%s: GET %q, HEAD %q", name, get, head)
		}
	}
}

// TestEncodeOnceRange: parts are of the plain page, and If-Range with the tag of the compressed one brings the whole of that.
func TestEncodeOnceRange(t *testing.T) {
	h := once(t, 70, strongTags)
	html := sends(200, wordy, "Content-Type", "text/html")
	var tags []string
	for range 2 {
		tags = append(tags, newVisit(t, "GET", "/", "Accept-Encoding", "gzip").to(h, html).rec.Header().Get("Etag"))
	}
	for _, tt := range []struct {
		ifRange string
		status  int
	}{{"", 206}, {tags[0], 206}, {tags[1], 200}} {
		fields := pairs("Accept-Encoding", "gzip", "Range", "bytes=3-9")
		if tt.ifRange != "" {
			fields = append(fields, "If-Range", tt.ifRange)
		}
		v := newVisit(t, "GET", "/", fields...).to(h, html)
		wantStatus(t, v, tt.status)
		if coded := v.rec.Header().Get("Content-Encoding") == "gzip"; coded != (tt.status == 200) {
			t.Errorf("If-Range %q: %v", tt.ifRange, v.rec.Header())
		}
		if tt.status == 206 && v.rec.Body.String() != wordy[3:10] {
			t.Errorf("the part is %q", v.rec.Body)
		}
	}
}

// behindEncode is a handler with Caddy's encode outside of it.
type behindEncode struct {
	encode *encode.Encode
	inner  *Handler
}

func (b behindEncode) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return b.encode.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return b.inner.ServeHTTP(w, r, next)
	}))
}

func encoding(t *testing.T, format string) *encode.Encode {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	e := &encode.Encode{EncodingsRaw: caddy.ModuleMap{format: []byte(`{}`)}}
	if err := e.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEncodeOnceTags: a 304, and the head of a page that is remembered, have the tag that the 200 has for the same client.
func TestEncodeOnceTags(t *testing.T) {
	remembering := func(h *Handler) {
		h.Remember = &Remember{TTL: 3600e9, StoreRaw: []byte(`{"name": "memory", "max_entries": 78}`)}
	}
	html := sends(200, wordy, "Content-Type", "text/html", "Last-Modified", modified)
	gzips := pairs("Accept-Encoding", "gzip")
	for i, tt := range []struct {
		name    string
		outside string // the format of encode; empty: there is none
		strong  bool
		method  string
		fields  []string
		names   string // PLAIN or CODED: the tag in If-None-Match
		want    string
	}{
		{"no encode, any tag", "", true, "GET", append(gzips, "If-None-Match", "*"), "", "CODED"},
		{"no encode, a date", "", true, "GET", append(gzips, "If-Modified-Since", modified), "", "CODED"},
		{"no encode, the plain tag", "", true, "GET", gzips, "PLAIN", "PLAIN"},
		{"no encode, no coding", "", true, "GET", nil, "PLAIN", "PLAIN"},
		{"no encode, HEAD", "", true, "HEAD", gzips, "", "CODED"},
		{"no encode, HEAD without a coding", "", true, "HEAD", nil, "", "PLAIN"},
		{"encode, the coded tag", "gzip", true, "GET", gzips, "CODED", "CODED"},
		{"encode, no coding", "gzip", true, "GET", nil, "PLAIN", "PLAIN"},
		{"encode of another format", "zstd", true, "GET", gzips, "PLAIN", "PLAIN"},
		{"auto, of one who takes no coding", "gzip", false, "GET", nil, "PLAIN", "PLAIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := func(*Handler) {}
			if tt.strong {
				change = strongTags
			}
			h := once(t, int64(i)+100, change, remembering)
			var handler caddyhttp.MiddlewareHandler = h
			if tt.outside != "" {
				handler = behindEncode{encoding(t, tt.outside), h}
			}
			target := "/" + strconv.Itoa(i)
			plain := newVisit(t, "GET", target).to(handler, html).rec.Header().Get("Etag")
			coded := strings.TrimSuffix(plain, `"`) + `-gzip"`
			newVisit(t, "GET", target, "Accept-Encoding", "gzip").to(handler, html)
			forms := strings.NewReplacer("PLAIN", plain, "CODED", coded)
			fields := tt.fields
			if tt.names != "" {
				fields = append(slices.Clip(fields), "If-None-Match", forms.Replace(tt.names))
			}
			for _, also := range [][]string{nil, pairs("Cache-Control", "no-cache")} { // from memory, and not
				if tt.method == "HEAD" && also != nil {
					continue // of a HEAD that is asked the upstream sends no tag
				}
				v := newVisit(t, tt.method, target, append(slices.Clip(fields), also...)...)
				v.serve(handler, html) // encode leaves the condition without its suffix
				wantPairs(t, "the answer", v.rec.Header(), pairs("Etag", forms.Replace(tt.want), "Vary", "Accept-Encoding"))
			}
		})
	}
}

// TestEncodeOnceVaries: a 304 that a date decides before there is content, and HEAD, have the Vary of the 200.
func TestEncodeOnceVaries(t *testing.T) {
	for name, tt := range map[string]struct {
		method string
		fields []string
		head   []string
		want   string
	}{
		"a 304":                  {"GET", pairs("If-Modified-Since", modified, "Cookie", "a=1"), pairs("Content-Type", "text/html", "Last-Modified", modified), "Accept-Encoding"},
		"a 304 of an image":      {"GET", pairs("If-Modified-Since", modified, "Cookie", "a=1"), pairs("Content-Type", "image/png", "Last-Modified", modified), ""},
		"a 304 that is streamed": {"GET", pairs("If-Modified-Since", modified), pairs("Content-Type", "text/html", "Last-Modified", modified, "Etag", `"a"`), ""},
		"HEAD":                   {"HEAD", nil, pairs("Content-Type", "text/html"), "Accept-Encoding"},
		"HEAD of an image":       {"HEAD", nil, pairs("Content-Type", "image/png"), ""},
		"HEAD of a stream":       {"HEAD", nil, pairs("Content-Type", "text/html", "Etag", `"a"`), ""},
	} {
		v := newVisit(t, tt.method, "/", tt.fields...).to(once(t, 90), sends(200, wordy, tt.head...))
		wantPairs(t, name, v.rec.Header(), pairs("Vary", tt.want))
	}
}
