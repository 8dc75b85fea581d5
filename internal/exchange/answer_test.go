package exchange_test

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// waysToAnswer are those in which a handler can send fields.
func waysToAnswer(sent []string) map[string]caddyhttp.HandlerFunc {
	return map[string]caddyhttp.HandlerFunc{
		"a head": sends(201, "", sent...), "a body": func(w http.ResponseWriter, _ *http.Request) error {
			addPairs(w.Header(), sent)
			_, err := io.WriteString(w, "x")
			return err
		},
		"a copy": func(w http.ResponseWriter, _ *http.Request) error {
			addPairs(w.Header(), sent)
			_, err := io.Copy(w, strings.NewReader("x"))
			return err
		},
		"a flush": func(w http.ResponseWriter, _ *http.Request) error {
			addPairs(w.Header(), sent)
			return http.NewResponseController(w).Flush()
		},
		"no head":  func(w http.ResponseWriter, _ *http.Request) error { addPairs(w.Header(), sent); return nil },
		"an error": failing(func(w http.ResponseWriter, _ *http.Request) error { addPairs(w.Header(), sent); return nil }, caddyhttp.Error(409, errors.New("x"))),
		"a 412":    sends(412, "", sent...),
		"early hints": func(w http.ResponseWriter, r *http.Request) error {
			w.WriteHeader(103)
			return sends(200, "", sent...)(w, r)
		},
	}
}

// RFC 9110 §9.3.4: the answer to a write has no validators but those that a GET would have.
func TestAnswersToWrites(t *testing.T) {
	existing := func(word string) *Handler { return &Handler{ETag: &ETag{Existing: word}} }
	dating := func(word string) *Handler { return &Handler{LastModified: &LastModified{Mode: word}} }
	both := pairs("Etag", `"abc"`, "Last-Modified", modified)
	for _, tt := range []struct {
		name    string
		handler *Handler
		target  string // "/"
		sent    []string
		want    []string
	}{
		{name: "bare", sent: both, want: both},
		{name: "replaced", handler: existing("replace"), sent: both, want: pairs("Etag", "", "Last-Modified", modified)},
		{name: "removed", handler: existing("remove"), sent: both, want: pairs("Etag", "", "Last-Modified", modified)},
		{name: "weakened", handler: existing("weaken"), sent: both, want: pairs("Etag", `W/"abc"`)},
		{name: "repaired", handler: existing("repair"), sent: pairs("Etag", "abc"), want: pairs("Etag", `"abc"`)},
		{name: "malformed, kept", sent: pairs("Etag", "abc"), want: pairs("Etag", "abc")},
		{name: "untrusted", sent: pairs("Etag", embeddedTag), want: pairs("Etag", "")},
		{name: "untrusted for its date", sent: pairs("Etag", `"abc"`, "Last-Modified", epochDate), want: pairs("Etag", "", "Last-Modified", "")},
		{name: "undated", handler: dating("remove"), sent: both, want: pairs("Etag", `"abc"`, "Last-Modified", "")},
		{name: "a date in another form", sent: pairs("Last-Modified", "2023-11-14T22:13:20Z"), want: pairs("Last-Modified", modified)},
		{name: "… as it is", handler: dating("off"), sent: pairs("Last-Modified", "2023-11-14T22:13:20Z"), want: pairs("Last-Modified", "2023-11-14T22:13:20Z")},
		{name: "one part of an upload", handler: existing("replace"), target: "/?uploadId=x&partNumber=1", sent: both, want: both},
		{name: "something like it", handler: existing("replace"), target: "/?q=partNumber", sent: both, want: pairs("Etag", "")},
	} {
		for way, answer := range waysToAnswer(tt.sent) {
			t.Run(tt.name+", "+way, func(t *testing.T) {
				v := newVisit(t, http.MethodPost, cmp.Or(tt.target, "/")).to(provisioned(t, tt.handler), answer)
				wantPairs(t, "the answer", v.rec.Header(), tt.want)
			})
		}
	}
}

// A sibling that has acted keeps the other's rules away.
func TestAnswerOfSiblings(t *testing.T) {
	off, replacing := &Handler{ETag: &ETag{Mode: "off"}}, &Handler{ETag: &ETag{Existing: "replace"}}
	v := newVisit(t, http.MethodPost, "/").to(inBlock(t, "a", off), within(inBlock(t, "a", replacing), sends(201, "", "Etag", `"abc"`)))
	wantPairs(t, "the answer", v.rec.Header(), pairs("Etag", `"abc"`))
}

// A GET that a handler inside makes a write of is none of the client's, and its answer that to a GET.
func TestAnswerToARewrittenMethod(t *testing.T) {
	inner := provisioned(t, &Handler{ETag: &ETag{Existing: "remove"}})
	v := newVisit(t, "GET", "/").to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
		r.Method = http.MethodPost
		defer func() { r.Method = http.MethodGet }()
		return inner.ServeHTTP(w, r, sendsPage("Etag", `"abc"`))
	})
	wantPairs(t, "the answer", v.rec.Header(), pairs("Etag", `"abc"`))
}

// The tag of what a refused client has to look at again is there for the error's page, and goes nowhere else.
func TestCurrentTagOfARefusal(t *testing.T) {
	own := sendsPage("Etag", `"abc"`)
	nobody := failing(nil, caddyhttp.Error(401, errors.New("x")))
	for name, tt := range map[string]struct {
		handler, inner *Handler
		method         string
		fields         []string
		get            caddyhttp.HandlerFunc
		status         int
		want           string
	}{
		"a write's 412":                {strong(), nil, "PUT", pairs("If-Match", staleTag), nil, 412, strongTag},
		"… of the upstream's tag":      {strong(), nil, "PUT", pairs("If-Match", staleTag), own, 412, `"abc"`},
		"… of a replaced one":          {&Handler{ETag: &ETag{Mode: "strong", Existing: "replace"}, GuardWrites: new(GuardWrites)}, nil, "PUT", pairs("If-Match", `"def"`), own, 412, strongTag},
		"… where nothing is":           {strong(), nil, "PUT", pairs("If-Match", staleTag), sends(404, ""), 412, ""},
		"… without a tag":              {strong(), nil, "PUT", pairs("If-Match", staleTag), sendsPage("Cache-Control", "no-store"), 412, ""},
		"a 428":                        {requiring(), nil, "PUT", nil, nil, 428, strongTag},
		"a 428 of who may not read":    {requiring(), nil, "PUT", nil, nobody, 428, ""},
		"a 428 of what has failed":     {requiring(), nil, "PUT", nil, sends(500, ""), 428, ""},
		"a 428 for want of a date":     {requiring(), nil, "PUT", pairs("If-Unmodified-Since", modified), nil, 428, strongTag},
		"a 503":                        {strong(), nil, "PUT", pairs("If-Match", staleTag), sends(500, "", "Etag", `"abc"`), 503, ""},
		"a 401":                        {strong(), nil, "PUT", pairs("If-Match", staleTag), nobody, 401, ""},
		"a GET's 412":                  {nil, nil, "GET", pairs("If-Match", staleTag), nil, 412, strongTag},
		"… at the head":                {nil, nil, "GET", pairs("If-Match", `"def"`), own, 412, `"abc"`},
		"a HEAD's":                     {nil, nil, "HEAD", pairs("If-Match", staleTag), nil, 412, strongTag},
		"a nested write's":             {nil, strong(), "PUT", pairs("If-Match", `"def"`), nil, 412, strongTag},
		"a GET's, with etag off":       {&Handler{ETag: &ETag{Mode: "off"}}, nil, "GET", pairs("If-Match", `"def"`), own, 412, `"abc"`},
		"a nested GET's":               {&Handler{ETag: &ETag{Mode: "off"}}, new(Handler), "GET", pairs("If-Match", `"def"`), own, 412, `"abc"`},
		"a write that is let through":  {strong(), nil, "PUT", pairs("If-Match", strongTag), nil, 204, ""},
		"a GET that is answered":       {nil, nil, "GET", nil, own, 200, ""},
		"an error of the next handler": {nil, nil, "GET", nil, failing(nil, caddyhttp.Error(412, errors.New("x"))), 412, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := &resource{get: tt.get}
			next := u.ServeHTTP
			if tt.inner != nil {
				next = within(provisioned(t, tt.inner), u.ServeHTTP)
			}
			if tt.method == "HEAD" {
				next = func(w http.ResponseWriter, r *http.Request) error { return sendsPage()(w, r) }
			}
			v := newVisit(t, tt.method, "/", tt.fields...).to(provisioned(t, tt.handler), next)
			if got := v.said("current_etag"); got != tt.want || v.status() != tt.status {
				t.Errorf("%d, and the current tag is %q, want %d and %q", v.status(), got, tt.status, tt.want)
			}
			if tt.status >= 400 && (v.said("etag") != "" || v.rec.Header()["Etag"] != nil) {
				t.Errorf("it was sent: %q, %q", v.said("etag"), v.rec.Header()["Etag"])
			}
		})
	}
}
