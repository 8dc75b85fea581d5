package exchange

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
)

// stream lets the response pass, with its head put in order. Of a GET that stands for a HEAD, only the
// head goes out.
func (x *Exchange) stream(status int, header http.Header, reason journal.Reason) capture.Decision {
	x.dress(header)
	if status == http.StatusOK {
		x.prepare(header, x.selected.declared)
	}
	if part := x.verdict.part.Reason; part != "" && !x.selected.spilled {
		reason = journal.Because(part) // who asks for a part wants to know why it is the whole
	}
	if status == http.StatusOK {
		x.acceptRanges(header, x.selected.declared)
	}
	x.decide(journal.Streamed, reason, header)
	if !x.shown.asGet {
		return capture.Decision{Action: capture.Stream}
	}
	return capture.Decision{Action: capture.Answer, Status: status, Declared: x.unread(header)}
}

// streams names the reason why a 200 is not held.
func (x *Exchange) streams(header http.Header) journal.Reason {
	p, s := x.svc.Policy, x.selected
	switch {
	case x.headPasses():
		return journal.Head
	case p.Tags.Mode == policy.Off:
		return journal.ETagOff
	case s.ETag.Present:
		return journal.ExistingTag
	case x.asked.noStore || httpcond.HasDirective(header["Cache-Control"], "no-store"):
		return journal.NoStore
	case header["Trailer"] != nil:
		return journal.Trailer
	case x.kept.shared.is(gaveUp):
		return journal.MaxDelay
	}
	if reason := incremental(header); reason != journal.NoReason {
		return reason
	}
	if s.declared > p.Bounds.MaxBody {
		return journal.DeclaredLength
	}
	return journal.NoReason
}

// incremental names the reason why a response is to be read while it is written, if there is one.
func incremental(header http.Header) journal.Reason {
	switch {
	case streamedType(httpcond.MediaType(first(header["Content-Type"]))):
		return journal.MediaType
	case caddyhttp.IsIncremental(header):
		return journal.Incremental
	case strings.EqualFold(strings.TrimSpace(first(header["X-Accel-Buffering"])), "no"):
		return journal.AccelBuffering
	}
	return journal.NoReason
}

// streamedType reports whether bodies of a media type are made to be read while they are written.
func streamedType(mediaType string) bool {
	switch mediaType {
	case "text/event-stream", "multipart/x-mixed-replace", "application/x-ndjson", "application/grpc":
		return true
	}
	return strings.HasPrefix(mediaType, "application/grpc+") || strings.HasPrefix(mediaType, "application/grpc-")
}
