package exchange

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// facts are what the head of a response says, read in one go and never changed. The lists are those that the next
// handler has sent; what goes out is in the header map.
type facts struct {
	etag         []string
	lastModified []string
	date         []string
	vary         []string
	cacheControl []string
	contentType  string
	declared     int64          // Content-Length, or -1 when there is none that can be used
	incremental  journal.Reason // why the response is to be read while it is written; NoReason: it need not be
	typed        bool           // there is a Content-Type, be it an empty list
	coded        bool           // the response says of itself that it is content-coded; an empty field says nothing
	trailed      bool           // it announces trailers
	framed       bool           // it has a Transfer-Encoding
}

// readFacts reads the head of a response.
func readFacts(f *facts, header http.Header) {
	f.declared = -1
	asked, unbuffered := false, false
	for name, lines := range header {
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
			f.declared = lengthIn(lines)
		case "Content-Encoding":
			f.coded = contentCoded(lines)
		case "Trailer":
			f.trailed = lines != nil
		case "Transfer-Encoding":
			f.framed = lines != nil
		case "Incremental":
			asked = caddyhttp.IsIncremental(header)
		case "X-Accel-Buffering":
			unbuffered = strings.EqualFold(strings.TrimSpace(first(lines)), "no")
		}
	}
	f.incremental = incremental(f.contentType, asked, unbuffered)
}

// incremental names the reason why a response is to be read while it is written, if there is one.
func incremental(contentType string, asked, unbuffered bool) journal.Reason {
	switch {
	case contentType != "" && streamedType(httpcond.MediaType(contentType)):
		return journal.MediaType
	case asked:
		return journal.Incremental
	case unbuffered:
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
