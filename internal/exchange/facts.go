package exchange

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// facts are what the head of a response says. They are noted while it is copied, and never changed after that. The lists
// are those that the next handler has sent; what goes out is in the header map.
type facts struct {
	etag            []string
	lastModified    []string
	date            []string
	vary            []string
	cacheControl    []string
	contentType     string
	length          []string       // Content-Length
	declared        int64          // … as a number, or -1 when there is none that can be used; set by conclude
	incremental     journal.Reason // why the response is to be read while it is written, if it is; set by conclude
	saysIncremental bool           // … in the field Incremental
	saysUnbuffered  bool           // … or in X-Accel-Buffering
	typed           bool           // there is a Content-Type, be it an empty list
	coded           bool           // the response says of itself that it is content-coded; an empty field says nothing
	trailed         bool           // it announces trailers
	framed          bool           // it has a Transfer-Encoding
}

// note takes in one field.
func (f *facts) note(name string, lines []string) {
	switch name {
	case "Etag":
		f.etag = lines
	case "Last-Modified":
		f.lastModified = lines
	case "Date":
		f.date = lines
	case "Vary":
		f.vary = lines
	case "Cache-Control":
		f.cacheControl = lines
	case "Content-Type":
		f.typed, f.contentType = true, first(lines)
	case "Content-Length":
		f.length = lines
	case "Content-Encoding":
		f.coded = contentCoded(lines)
	case "Trailer":
		f.trailed = lines != nil
	case "Transfer-Encoding":
		f.framed = lines != nil
	case "Incremental":
		f.saysIncremental = caddyhttp.IsIncremental(http.Header{name: lines})
	case "X-Accel-Buffering":
		f.saysUnbuffered = strings.EqualFold(strings.TrimSpace(first(lines)), "no")
	}
}

// conclude makes of the fields what is not in one of them alone.
func (f *facts) conclude() {
	f.declared = lengthIn(f.length)
	f.incremental = incremental(f.contentType, f.saysIncremental, f.saysUnbuffered)
}

// incremental names the reason why a response is to be read while it is written, if there is one.
func incremental(contentType string, asked, unbuffered bool) journal.Reason {
	switch {
	case streamedType(contentType):
		return journal.MediaType
	case asked:
		return journal.Incremental
	case unbuffered:
		return journal.AccelBuffering
	}
	return journal.NoReason
}

// streamedType reports whether bodies of a media type are made to be read while they are written.
func streamedType(contentType string) bool {
	if !mayBeStreamed(contentType) {
		return false
	}
	switch mediaType := httpcond.MediaType(contentType); mediaType {
	case "text/event-stream", "multipart/x-mixed-replace", "application/x-ndjson", "application/grpc":
		return true
	default:
		return strings.HasPrefix(mediaType, "application/grpc+") || strings.HasPrefix(mediaType, "application/grpc-")
	}
}

// mayBeStreamed tells most others at a glance: by the first letter of the subtype, which is that of no page, script,
// style or picture.
func mayBeStreamed(contentType string) bool {
	_, subtype, found := strings.Cut(contentType, "/")
	if !found || subtype == "" {
		return false
	}
	switch subtype[0] | 0x20 { // in lower case
	case 'e', 'x', 'g', ' ' | 0x20, '\t' | 0x20:
		return true
	}
	return false
}

// contentCoded reports whether lines of Content-Encoding name a coding.
func contentCoded(lines []string) bool {
	for _, line := range lines {
		if line != "" {
			return true
		}
	}
	return false
}

// lengthIn reads Content-Length; -1 when it cannot be used.
func lengthIn(lines []string) int64 {
	n, err := strconv.ParseInt(first(lines), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
