package exchange_test

import (
	"testing"
)

// Design §3, "Which responses are held": each reason for streaming. What is streamed is untouched.
func TestStreamed(t *testing.T) {
	rows := []trial{
		{name: "status 404", next: sends(404, "gone"), status: 404, body: "gone", reason: "status"},
		{name: "status 500", next: sends(500, "oops"), status: 500, body: "oops", reason: "status"},
		{name: "status 201", next: sends(201, "made"), status: 201, body: "made", reason: "status"},
		{name: "status 206", next: sends(206, "ell", "Content-Range", "bytes 1-3/12"), status: 206, body: "ell", reason: "status"},
		{name: "status 302", next: sends(302, "", "Location", "/x"), status: 302, reason: "status", want: pairs("Location", "/x")},
		{name: "no-store of the request", fields: pairs("Cache-Control", "max-age=0, No-Store"), reason: "no_store"},
		{name: "no-store of the response", next: sendsPage("Cache-Control", "no-store"), reason: "no_store"},
		{name: "no-store on a second line", next: sendsPage("Cache-Control", "private", "Cache-Control", "no-store"), reason: "no_store"},
		{name: "event-stream", next: sends(200, page, "Content-Type", "text/event-stream; charset=utf-8"), reason: "media_type"},
		{name: "event-stream in another case", next: sends(200, page, "Content-Type", "Text/Event-Stream"), reason: "media_type"},
		{name: "grpc", next: sends(200, page, "Content-Type", "application/grpc"), reason: "media_type"},
		{name: "grpc with a suffix", next: sends(200, page, "Content-Type", "application/grpc+proto"), reason: "media_type"},
		{name: "grpc-web", next: sends(200, page, "Content-Type", "application/grpc-web-text"), reason: "media_type"},
		{name: "x-mixed-replace", next: sends(200, page, "Content-Type", `multipart/x-mixed-replace; boundary="a"`), reason: "media_type"},
		{name: "ndjson", next: sends(200, page, "Content-Type", "application/x-ndjson"), reason: "media_type"},
		{name: "trailers announced", next: sendsPage("Trailer", "X-Sum"), reason: "trailer", want: pairs("Trailer", "X-Sum")},
		{name: "Incremental: ?1", next: sendsPage("Incremental", "?1"), reason: "incremental"},
		{name: "X-Accel-Buffering: no", next: sendsPage("X-Accel-Buffering", "No"), reason: "accel_buffering"},
		{
			name: "declared length over max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 11}},
			next: sendsPage("Content-Length", "12"), reason: "declared_length", want: pairs("Content-Length", "12"),
		},
		{name: "body over max_body", handler: &Handler{Buffer: &Buffer{MaxBody: 11}}, reason: "max_body", want: pairs("Content-Length", "")},
		{name: "etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, reason: "etag_off"},
		{name: "existing tag", next: sendsPage("Etag", `"abc"`), reason: "first_visit", want: pairs("Etag", `"abc"`)},
		{
			name: "existing tag, malformed", next: sendsPage("Etag", "abc"), fields: pairs("If-None-Match", `"abc"`),
			reason: "existing_tag", want: pairs("Etag", "abc"),
		},
		{name: "existing tag on two lines", next: sendsPage("Etag", `"a"`, "Etag", `"b"`), reason: "existing_tag", want: pairs("Etag", `"a" | "b"`)},
		{name: "body shorter than declared", next: sendsPage("Content-Length", "13"), reason: "short_body", want: pairs("Content-Length", "13")},
		{name: "HEAD", method: "HEAD", next: sends(200, "", "Content-Length", "12"), reason: "head", want: pairs("Content-Length", "12")},
	}
	for i := range rows {
		rows[i].outcome = "streamed"
		if rows[i].want == nil {
			rows[i].want = pairs("Etag", "", "Content-Length", "")
		}
	}
	runTrials(t, rows)
}
