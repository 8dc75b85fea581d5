package httpcond

import (
	"net/http"
	"strings"
	"testing"
)

func TestDroppedFromNotModified(t *testing.T) {
	const kept = "Cache-Control Content-Location Date Etag Expires Vary Last-Modified " + // §15.4.5, MUST
		"Content-Security-Policy Content-Security-Policy-Report-Only Set-Cookie Link " +
		"Access-Control-Allow-Origin Access-Control-Expose-Headers Strict-Transport-Security " +
		"Server-Timing Want-Repr-Digest Want-Content-Digest Age Server X-Custom X-Content-Type-Options " +
		"Contentment Connection"
	const dropped = "Content-Type Content-Length Content-Encoding Content-Language Content-Range " +
		"Content-Disposition Content-Digest Content-Md5 Content-Security Transfer-Encoding Trailer " +
		"Accept-Ranges Repr-Digest Digest"
	for names, want := range map[string]bool{kept: false, dropped: true} {
		for name := range strings.FieldsSeq(names) {
			if http.CanonicalHeaderKey(name) != name {
				t.Fatalf("%s is not in canonical form", name)
			}
			if got := DroppedFromNotModified(name); got != want {
				t.Errorf("DroppedFromNotModified(%q) = %v", name, got)
			}
		}
	}
}

// A cache writes the fields of a 304 over the stored ones (RFC 9111 §3.2), line for line: a policy with a nonce would
// block the scripts of the stored page, and what is left of its lines would replace all that are stored.
func TestDropNonces(t *testing.T) {
	const csp, reportOnly = "Content-Security-Policy", "Content-Security-Policy-Report-Only"
	for name, tt := range map[string]struct {
		lines []string
		drops bool
	}{
		"a nonce":                        {[]string{"script-src 'nonce-abc'"}, true},
		"in any case":                    {[]string{"script-src 'Nonce-abc'"}, true},
		"on the second line":             {[]string{"default-src 'self'", "script-src 'nonce-abc'"}, true},
		"in the second policy of a line": {[]string{"default-src 'self', style-src 'self' 'NONCE-abc'"}, true},
		"behind another quoted word":     {[]string{"script-src 'strict-dynamic''nonce-abc'"}, true},
		"without its end":                {[]string{"script-src 'nonce-a"}, true},
		"none":                           {[]string{"default-src 'self'"}, false},
		"a host":                         {[]string{"script-src nonce-abc.example"}, false},
		"no quotes":                      {[]string{"script-src nonce-abc"}, false},
		"empty":                          {[]string{""}, false},
		"no line":                        {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, field := range []string{csp, reportOnly} {
				header := http.Header{csp: {"default-src 'self'"}, reportOnly: {"default-src 'none'"}, "X-Content-Security-Policy": tt.lines}
				header[field] = tt.lines
				DropNonces(header)
				if _, there := header[field]; there == tt.drops {
					t.Errorf("%s: %v leaves %v", field, tt.lines, header)
				}
				if len(header) < 2 || len(header) < 3 && !tt.drops {
					t.Errorf("%s: %v takes another field with it: %v", field, tt.lines, header)
				}
			}
		})
	}
	for name, want := range map[string]bool{csp: true, reportOnly: true, "X-Content-Security-Policy": false} {
		if IsPolicy(name) != want {
			t.Errorf("IsPolicy(%q) = %v", name, !want)
		}
	}
}

func TestCheckedOnNotModified(t *testing.T) {
	const checked = "Access-Control-Allow-Origin Access-Control-Allow-Credentials Access-Control-Expose-Headers " +
		"Timing-Allow-Origin Cross-Origin-Resource-Policy"
	for name := range strings.FieldsSeq(checked) {
		if http.CanonicalHeaderKey(name) != name || !CheckedOnNotModified(name) || DroppedFromNotModified(name) {
			t.Errorf("%s is not checked", name)
		}
	}
	for name := range strings.FieldsSeq("Access-Control Cross-Origin-Opener-Policy Content-Type Etag Set-Cookie") {
		if CheckedOnNotModified(name) {
			t.Errorf("%s is checked", name)
		}
	}
}
