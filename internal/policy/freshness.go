package policy

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Freshness says how long responses last.
type Freshness struct {
	// Rows of Cache-Control directives, of which the first that matches applies.
	Rows []Row
	// Expires: a row that says how long sets Expires, too.
	Expires bool
	// AfterModified is how long a response lasts after its Last-Modified, where nothing else says how long; 0: nothing
	// counts from that.
	AfterModified time.Duration
	// Spreads: a row's lifetimes depend on the URL.
	Spreads bool
}

// Any reports whether anything is said of freshness at all.
func (f *Freshness) Any() bool { return len(f.Rows) > 0 || f.AfterModified != 0 }

// Row is a row of `cache_control`, and what it speaks of: of Path, MediaTypes and Response at most one is set; none
// is every response.
type Row struct {
	*freshness.Row
	// Path are patterns of the URI as the client sent it, readied for use.
	Path caddyhttp.MatchPath
	// MediaTypes are media types, or ranges of them, in lower case.
	MediaTypes []string
	// Response matches a status and fields.
	Response *caddyhttp.ResponseMatcher
}

// SpeaksNotOf reports whether a status decides by itself that the row does not apply. Without a response matcher a
// row speaks of 200, 203 and 206; a 304 stands for a 200. One that is off speaks of every status: it says nothing to it.
func (row *Row) SpeaksNotOf(status int) bool {
	if status == http.StatusNotModified {
		status = http.StatusOK
	}
	if row.Response != nil {
		return !caddyhttp.ResponseMatcher{StatusCode: row.Response.StatusCode}.Match(status, nil)
	}
	return !row.Off() && status != http.StatusOK && status != http.StatusNonAuthoritativeInfo && status != http.StatusPartialContent
}

// Typed reports whether the media type decides whether the row applies.
func (row *Row) Typed() bool { return row.MediaTypes != nil }

// Unknowable reports whether a response hides what the row asks for: a 304 that was made elsewhere says nothing of
// the 200 it stands for, and an upstream's multipart/byteranges not of which type its parts are.
func (row *Row) Unknowable(status int, contentType string) bool {
	switch status {
	case http.StatusNotModified:
		return row.Response != nil || row.Typed()
	case http.StatusPartialContent:
		return row.Typed() && httpcond.MediaType(contentType) == "multipart/byteranges"
	}
	return false
}

// Matches reports whether the row applies to a response. sent makes the request with the URI as the client sent it;
// it is called where a path is compared.
func (row *Row) Matches(sent func() *http.Request, status int, header http.Header, contentType string) bool {
	switch {
	case row.Path != nil:
		matched, err := row.Path.MatchWithError(sent())
		return matched && err == nil
	case row.Typed():
		return slices.ContainsFunc(row.MediaTypes, func(r string) bool { return httpcond.MatchMediaType(r, contentType) })
	case row.Response != nil:
		return row.Response.Match(status, header)
	}
	return true
}
