package exchange

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// The answer to a write names what a GET will say, or nothing (RFC 9110 §9.3.4): a client takes an entity tag out of it,
// and sends it with its next write.

// amends reports whether this instance puts the answer to an unsafe request in order.
func (s *Service) amends(r *http.Request) bool {
	return !s.leavesAlone(varsOf(r.Context())) && !withinRead(r) && !s.isSibling(sharedWriteOf(r)) && !uploadsPart(sentURL(r))
}

// uploadsPart reports whether a request is one part of an upload to an object store. The tag of the part is what the
// client has to name in the end, and no GET says it.
func uploadsPart(uri *url.URL) bool {
	return strings.Contains(uri.RawQuery, "partNumber") && uri.Query().Has("partNumber")
}

// amend treats the validators of an answer, whatever its status, as it would those of the answer to a GET: a 412 that
// names another current tag than a GET would is as wrong as a 204.
func (s *Service) amend(r *http.Request, status int, header http.Header) {
	if header["Etag"] == nil && header["Last-Modified"] == nil {
		return
	}
	if m := sharedWriteOf(r); m != nil && m.learned.Ours {
		delete(header, "Etag") // a GET has just been answered with one of ours
	}
	s.Policy.Treatment.Read(&upstream.Head{
		Status: status, ETag: header["Etag"], LastModified: header["Last-Modified"], Date: header["Date"], Now: time.Now(),
		Repaired: s.rules.Repaired,
	}, header)
}
