package exchange_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// TestWhyNotRemembered: each reason has a response that it is told of, and what is remembered has none.
func TestWhyNotRemembered(t *testing.T) {
	ignoring := func(h *Handler) { h.ETag = &ETag{Ignore: []string{"csrf"}} }
	byOwnLifetime := func(h *Handler) { h.Remember.TTL = 0 }
	row := func(r CacheControl) func(*Handler) {
		return func(h *Handler) { h.CacheControl = []CacheControl{r} }
	}
	var many []string
	for letter := range strings.SplitSeq("abcdefghijklmnopq", "") {
		many = append(many, "X-"+letter)
	}
	cases := map[string]struct {
		handler func(*Handler)
		method  string
		fields  []string
		next    caddyhttp.HandlerFunc
		want    string
	}{
		"it is":              {next: sendsPage()},
		"no-store":           {next: sendsPage("Cache-Control", "no-store"), want: "no_store"},
		"no-store asked for": {fields: pairs("Cache-Control", "no-store"), next: sendsPage(), want: "no_store"},
		"private":            {next: sendsPage("Cache-Control", "private"), want: "private"},
		"no-cache":           {next: sendsPage("Cache-Control", "no-cache"), want: "no_cache"},
		"surrogates":         {next: sendsPage("Surrogate-Control", "no-store"), want: "surrogate"},
		"a row":              {handler: row(CacheControl{Directives: pairs("private")}), next: sendsPage(), want: "withdrawn"},
		"a row for a type":   {handler: row(CacheControl{MediaType: OneOrMore{"text/html"}, Directives: pairs("private")}), next: sends(200, page, "Etag", `"u"`), want: "row_unknown"},
		"no lifetime":        {handler: byOwnLifetime, next: sendsPage(), want: "no_lifetime"},
		"a lifetime":         {handler: byOwnLifetime, next: sendsPage("Cache-Control", "max-age=9")},
		"Set-Cookie":         {next: sendsPage("Set-Cookie", "csrftoken=1"), want: "set_cookie"},
		"Cookie":             {fields: pairs("Cookie", "id=1"), next: sendsPage(), want: "cookie"},
		"Authorization":      {fields: pairs("Authorization", "Basic eA=="), next: sendsPage(), want: "authorization"},
		"a token":            {handler: ignoring, next: sendsHTML(`<form><input type="hidden" name="csrfmiddlewaretoken" value="` + strings.Repeat("aB3x", 16) + `"></form>`), want: "tokens"},
		"Vary: *":            {next: sendsPage("Vary", "*"), want: "vary_star"},
		"a long Vary":        {next: sendsPage("Vary", strings.Join(many, ",")), want: "vary_many"},
		"long fields":        {next: sendsPage("Content-Location", "/"+strings.Repeat("x", 4096)), want: "too_large"},
		"no validator":       {handler: func(h *Handler) { h.ETag = &ETag{Mode: "off"} }, next: sendsPage(), want: "no_validator"},
		"content of a GET":   {next: sendsPage(), fields: pairs("Content-Length", "1"), want: "personal"},
		"HTTP/1.0":           {next: sendsPage("Via", "1.0 Caddy"), want: "end_untold"},
		"HEAD":               {method: http.MethodHead, next: sendsPage(), want: "head"},
		"an error":           {next: sends(500, ""), want: "status"},
		"the upstream's 304": {fields: pairs("If-None-Match", `"u"`), next: says304(), want: "not_modified"},
		"a body that is cut": {next: cutBehind(3), want: "incomplete"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := remembering(t, c.handler)
			v := newVisit(t, "GET", "/", c.fields...)
			if c.method != "" {
				v.r.Method = c.method
			}
			if name == "content of a GET" {
				v.r.Body, v.r.ContentLength = io.NopCloser(strings.NewReader("x")), 1
			}
			v.serve(h, c.next)
			if got := v.said("not_remembered"); got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}

// cutBehind streams some octets with a tag of its own, and fails.
func cutBehind(octets int) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header()["Etag"] = pairs(`"u"`)
		if _, err := io.WriteString(w, page[:octets]); err != nil {
			return err
		}
		return errors.New("no more")
	}
}

// TestWhatBecameOfRows: which row applies, and what it has done.
func TestWhatBecameOfRows(t *testing.T) {
	rows := func(existing string) *Handler {
		return &Handler{CacheControl: []CacheControl{
			{MediaType: OneOrMore{"text/css"}, Directives: pairs("max-age=1")}, {Path: OneOrMore{"/p*"}, Directives: pairs("max-age=2"), Existing: existing},
		}}
	}
	off := func(h *Handler) *Handler {
		h.CacheControl = append([]CacheControl{{Path: OneOrMore{"/pages", "/other"}, Off: true}}, h.CacheControl...)
		return h
	}
	says := pairs("Cache-Control", "max-age=9")
	for name, c := range map[string]struct {
		handler  *Handler
		target   string
		fields   []string
		next     caddyhttp.HandlerFunc
		what, of string
	}{
		"no rows":                {handler: new(Handler), target: "/page", next: sendsPage()},
		"none matches":           {handler: rows(""), target: "/", next: sendsPage(), what: "no_match"},
		"nothing said":           {handler: rows(""), target: "/page", next: sendsPage(), what: "added", of: "2"},
		"said before":            {handler: rows(""), target: "/page", next: sendsPage(says...), what: "kept", of: "2"},
		"said before, merged":    {handler: rows("merge"), target: "/page", next: sendsPage(says...), what: "merged", of: "2"},
		"said before, replaced":  {handler: rows("replace"), target: "/page", next: sendsPage(says...), what: "replaced", of: "2"},
		"a 304 without a type":   {handler: rows("replace"), target: "/page", fields: pairs("If-None-Match", `"u"`), next: says304("Etag", `"u"`), what: "hidden"},
		"a 304 of a row":         {handler: &Handler{CacheControl: rows("").CacheControl[1:]}, target: "/page", fields: pairs("If-None-Match", `"u"`), next: says304("Etag", `"u"`), what: "stands", of: "1"},
		"a row that is off":      {handler: off(rows("replace")), target: "/pages", next: sendsPage(says...), what: "off", of: "1"},
		"off, nothing said":      {handler: off(rows("")), target: "/pages", next: sendsPage(), what: "off", of: "1"},
		"off, a 404":             {handler: off(rows("")), target: "/pages", next: sends(404, page), what: "off", of: "1"},
		"off, a 304":             {handler: off(rows("")), target: "/pages", fields: pairs("If-None-Match", `"u"`), next: says304("Etag", `"u"`), what: "off", of: "1"},
		"off, of another path":   {handler: off(rows("")), target: "/page", next: sendsPage(), what: "added", of: "3"},
		"a type that is unknown": {handler: rows(""), target: "/page", next: sends(200, page, "Etag", `"u"`), what: "hidden", of: "2"},
	} {
		t.Run(name, func(t *testing.T) {
			logs := watched(t)
			v := newVisit(t, "GET", c.target, c.fields...)
			v.serve(provisioned(t, c.handler), c.next)
			if got := v.said("cache_control"); got != c.what {
				t.Errorf("it says %q, want %q", got, c.what)
			}
			var line map[string]any
			for _, entry := range logs.All() {
				line = entry.ContextMap()
			}
			if what, _ := line["cache_control"].(string); what != c.what {
				t.Errorf("the debug line says %v", line)
			}
			if row := line["row"]; c.of == "" && row != nil || c.of != "" && (row == nil || row.(uint8) != c.of[0]-'0') {
				t.Errorf("the debug line names row %v, want %s", row, c.of)
			}
		})
	}
}

// TestWhoMadeIt: of nested instances the outermost says what the client gets, and that another one has made it.
func TestWhoMadeIt(t *testing.T) {
	gone := func(http.ResponseWriter, *http.Request) error {
		return caddyhttp.Error(http.StatusNotFound, errors.New("no such file"))
	}
	off := &Handler{ETag: &ETag{Mode: "off"}}
	strong := &Handler{ETag: &ETag{Mode: "strong"}, Block: "inner"}
	for name, c := range map[string]struct {
		fields  []string
		next    caddyhttp.HandlerFunc
		outcome journal.Outcome
		reason  journal.Reason
	}{
		"a tag":             {nil, sendsPage(), journal.Tagged, journal.Inner},
		"a tag, named":      {pairs("If-None-Match", strongTag), sendsPage(), journal.NotModified, journal.Inner},
		"a part":            {pairs("Range", "bytes=0-1"), sendsPage(), journal.Partial, journal.Inner},
		"no part":           {pairs("Range", "bytes=9999-"), sendsPage(), journal.RangeUnsatisfiable, journal.Inner},
		"a refusal":         {pairs("If-Match", staleTag), sendsPage(), journal.PreconditionFailed, journal.Inner},
		"the upstream's":    {nil, sendsPage("Etag", `"u"`), journal.Streamed, journal.ETagOff},
		"what is not there": {nil, gone, journal.Streamed, journal.ErrorRoute},
		"a failure":         {nil, func(http.ResponseWriter, *http.Request) error { return errors.New("broken") }, journal.Failed, journal.Error},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t, "GET", "/", c.fields...)
			v.serve(nestedIn{provisioned(t, off), provisioned(t, strong)}, c.next)
			if outcome, reason := v.said("outcome"), v.said("reason"); outcome != c.outcome.String() || reason != c.reason.String() {
				t.Errorf("it says %s, %s; want %s, %s", outcome, reason, c.outcome, c.reason)
			}
		})
	}
}

// TestReasonsBesideATag: where the upstream has a tag, the reason is what that has made of the request.
func TestReasonsBesideATag(t *testing.T) {
	ignoring := &Handler{ETag: &ETag{Ignore: []string{"csrf"}}}
	own := sendsPage("Etag", `"u"`)
	for name, c := range map[string]struct {
		handler *Handler
		fields  []string
		next    caddyhttp.HandlerFunc
		reason  string
	}{
		"the first visit":              {nil, nil, own, "first_visit"},
		"another version":              {nil, pairs("If-None-Match", `"v"`), own, "none_matched"},
		"another date":                 {nil, pairs("If-Modified-Since", modified), sendsPage("Etag", `"u"`, "Last-Modified", dayAfter), "modified_since"},
		"a tag of ours":                {nil, pairs("If-None-Match", strongTag), own, "existing_tag"},
		"none that can be used":        {nil, nil, sendsPage("Etag", "u"), "existing_tag"},
		"nothing for ignore to do":     {ignoring, nil, own, "ignore_idle"},
		"the same, of another version": {ignoring, pairs("If-None-Match", `"v"`), own, "ignore_idle"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t, "GET", "/", c.fields...)
			v.serve(provisioned(t, c.handler), c.next)
			if got := v.said("reason"); got != c.reason || v.said("outcome") != "streamed" {
				t.Errorf("it says %s, %s; want streamed, %s", v.said("outcome"), got, c.reason)
			}
		})
	}
}
