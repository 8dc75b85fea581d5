package exchange_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Requests that are none of the handler's business pass it as if it were not there.
func TestPassed(t *testing.T) {
	conditional := pairs("If-None-Match", strongTag, "Range", "bytes=0-1")
	for _, tt := range []struct {
		name, method, reason string
		fields               []string
		with                 caddy.CtxKey
		seen                 []string
	}{
		{name: "POST", method: "POST", reason: "method", fields: conditional, seen: conditional},
		{name: "OPTIONS", method: "OPTIONS", reason: "method", fields: conditional, seen: conditional},
		{name: "CONNECT", method: "CONNECT", reason: "method"},
		{name: "an upgrade", method: "GET", reason: "upgrade", fields: pairs("Upgrade", "websocket"), seen: pairs()},
		{
			name: "an upgrade with conditions", method: "GET", reason: "upgrade",
			fields: append(pairs("Upgrade", "websocket"), conditional...), seen: conditional,
		},
		// RFC 9110 §13.2.1: an error's answer is under no condition.
		{name: "an error route", method: "GET", reason: "error_route", fields: conditional, with: caddyhttp.ErrorCtxKey, seen: pairs()},
		{name: "a write's error route", method: "PUT", reason: "error_route", fields: conditional, with: caddyhttp.ErrorCtxKey, seen: pairs()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := provisioned(t, &Handler{ContentLocation: true, CacheControl: []CacheControl{{Directives: pairs("public")}}})
			logs := watched(t)
			v := newVisit(t, tt.method, "/", tt.fields...)
			if tt.with != "" {
				v.with(tt.with, errors.New("an error"))
			}
			date := "x"
			if tt.reason == "method" && tt.method == "POST" {
				date = modified // of a write, a GET would have to say it, too: answer_test.go
			}
			v.serve(h, sendsPage("Last-Modified", date))
			v.wantSeen(tt.seen...)
			wantPairs(t, "the response", v.rec.Header(), pairs("Etag", "", "Cache-Control", "", "Content-Location", "", "Last-Modified", date))
			if v.rec.Body.String() != page || v.rec.Code != 200 {
				t.Errorf("%d with %q", v.rec.Code, v.rec.Body)
			}
			if got := v.said("reason"); tt.with == "" && got != tt.reason {
				t.Errorf("the placeholder says %q", got)
			}
			if all := logs.All(); len(all) != 1 || all[0].ContextMap()["reason"] != tt.reason {
				t.Errorf("logged %v, want the reason %s", all, tt.reason)
			}
		})
	}
}

// Design §3, "HEAD": `pass` leaves HEAD alone, but for what the head says.
func TestHeadPasses(t *testing.T) {
	rows := []trial{
		{name: "bare", next: sends(200, "", "Content-Length", "12"), want: pairs("Etag", "", "Content-Length", "12")},
		{name: "the upstream's tag", next: sends(200, "", "Etag", `"abc"`), fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs("Etag", `"abc"`)},
		{name: "a date", next: sends(200, "", "Last-Modified", modified), fields: pairs("If-Modified-Since", modified), status: 304},
		{name: "a translated condition", next: sends(304, "", "Last-Modified", modified), fields: pairs("If-None-Match", datedTag), status: 304, want: pairs("Etag", datedTag)},
		{name: "a row", handler: &Handler{CacheControl: []CacheControl{{Directives: pairs("public")}}}, next: sends(200, ""), want: pairs("Cache-Control", "public")},
	}
	for i := range rows {
		rows[i].method = "HEAD"
	}
	runTrials(t, rows)
	if v := newVisit(t, "HEAD", "/").to(provisioned(t, nil), sends(200, "")); v.seenMethod != "HEAD" {
		t.Errorf("the upstream sees %s", v.seenMethod)
	}
}

// A handler inside may rewrite the method (Caddy's `method`). That is no HEAD, and its response is whole.
func TestMethodRewrittenInside(t *testing.T) {
	for _, next := range []caddyhttp.HandlerFunc{sendsPage(), sends(404, page), sendsPage("Cache-Control", "no-store")} {
		v := newVisit(t, "GET", "/")
		v.serve(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
			r.Method = "POST"
			return next(w, r)
		})
		if v.err != nil || v.rec.Body.String() != page {
			t.Errorf("%d with %q, error %v", v.rec.Code, v.rec.Body, v.err)
		}
	}
}

// Design §2: of siblings in one block that match the same request, only the outermost acts.
func TestSiblings(t *testing.T) {
	off := provisioned(t, &Handler{Block: "a", ETag: &ETag{Mode: "off"}})
	bare := provisioned(t, &Handler{Block: "a"})
	nested := provisioned(t, &Handler{Block: "b"})
	v := newVisit(t, "GET", "/", "If-None-Match", strongTag).to(off, within(bare, sendsPage()))
	wantPairs(t, "off beside a bare one", v.rec.Header(), pairs("Etag", ""))
	v = newVisit(t, "GET", "/").to(off, within(nested, within(bare, sendsPage())))
	wantPairs(t, "a bare one inside another block", v.rec.Header(), pairs("Etag", strongTag))
	v = newVisit(t, "GET", "/").to(nested, within(off, within(bare, sendsPage("Cache-Control", "x"))))
	wantPairs(t, "siblings inside another block", v.rec.Header(), pairs("Etag", strongTag))
}

// RFC 9111 §3.5 speaks of Authorization; whom Caddy has authenticated is as much one user.
func TestIdentifiedIsNotShared(t *testing.T) {
	shared := &Handler{CacheControl: []CacheControl{{Directives: pairs("public", "s-maxage=1h", "max-age=1m")}}}
	for name, mark := range map[string]func(*visit){
		"an authenticated user": func(v *visit) { v.repl.Set("http.auth.user.id", "somebody") },
		"a client certificate":  func(v *visit) { v.r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}} },
	} {
		v := newVisit(t, "GET", "/")
		mark(v)
		wantPairs(t, name, v.to(provisioned(t, shared), sendsPage()).rec.Header(), pairs("Cache-Control", "private, max-age=60"))
	}
}

// Handlers inside may change the request; what they do to the conditions in it is undone.
func TestRequestIsAsItWas(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"removed":         func(r *http.Request) { delete(r.Header, "If-None-Match") },
		"set":             func(r *http.Request) { r.Header.Set("If-None-Match", `"x"`); r.Header.Set("Range", "bytes=0-") },
		"edited in place": func(r *http.Request) { r.Header["If-None-Match"][0] = `"x"` }, // as request_header does
	} {
		for _, field := range []string{`"abc"`, strongTag} {
			t.Run(name+" "+field, func(t *testing.T) {
				newVisit(t, "GET", "/", "If-None-Match", field).to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
					change(r)
					return sendsPage()(w, r)
				})
			})
		}
	}
}
