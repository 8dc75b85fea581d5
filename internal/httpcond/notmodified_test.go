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
