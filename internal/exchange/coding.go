package exchange

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// negotiate finds the format that the client gets, before handlers inside may change the request.
func (x *Exchange) negotiate() {
	if x.svc.Coder != nil && x.asked.codable {
		x.asked.format = x.svc.Coder.Negotiate(x.asked.r)
	}
}

// judgeCoding finds out whether what is held may be coded, for whomever. It comes when the fields are those that go out.
func (x *Exchange) judgeCoding(header http.Header, size int) {
	c, s := x.svc.Coder, x.selected
	if c == nil {
		return
	}
	switch s.uncoded = journal.Because(c.Bars(x.resp.Status(), header, size)); {
	case s.unstored:
		s.uncoded = journal.NoStore
	case s.framed:
		s.uncoded = journal.HeldNot
	case x.resp.LateTrailers():
		s.uncoded = journal.Trailer
	}
	s.codable = s.uncoded == journal.NoReason
}

// noteUncoded notes why a response that passes is not coded here.
func (x *Exchange) noteUncoded(status int, header http.Header) {
	switch {
	case x.svc.Coder == nil || status != http.StatusOK:
	case x.headPasses():
		x.variesAsGet(header)
	case x.selected.coded:
		x.kept.said.Coding(journal.AlreadyCoded)
	default:
		x.kept.said.Coding(journal.HeldNot)
	}
}

// coded makes what is held a coded response, and returns its content; nil: it goes out as it is.
func (x *Exchange) coded(header http.Header, body []byte) []byte {
	if !x.selected.codable {
		x.kept.said.Coding(x.selected.uncoded)
		return nil
	}
	variesByCoding(header)
	format := x.asked.format
	if format == nil {
		x.kept.said.Coding(journal.Accept)
		return nil
	}
	coded, why := x.svc.Coder.Get(x.asked.r.Host, format, body)
	x.kept.said.Coding(journal.Because(why))
	if coded == nil {
		return nil
	}
	header["Content-Encoding"] = x.one(format.Name)
	header["Content-Length"] = x.one(strconv.Itoa(len(coded)))
	for _, name := range [...]string{"Accept-Ranges", "Repr-Digest", "Content-Digest", "Digest", "Content-Md5"} {
		delete(header, name) // they speak of the content as it was
	}
	x.suffix(header, format.Name)
	return coded
}

// sendCoded sends it, in one piece.
func (x *Exchange) sendCoded(coded []byte) {
	x.resp.SendHead(http.StatusOK)
	if x.asked.method != http.MethodHead {
		_, _ = x.resp.Outer().Write(coded)
	}
}

// variesByCoding says that the response depends on Accept-Encoding.
func variesByCoding(header http.Header) {
	if !httpcond.VariesOn(header["Vary"], "Accept-Encoding") {
		header["Vary"] = append(slices.Clip(header["Vary"]), "Accept-Encoding")
	}
}

// suffix tells a strong tag of coded octets from the one of plain ones (RFC 9110 §8.8.3.3), as encode does.
func (x *Exchange) suffix(header http.Header, format string) {
	if lines := header["Etag"]; len(lines) > 0 && lines[0] != "" && !strings.HasPrefix(lines[0], "W/") {
		header["Etag"] = x.one(strings.TrimSuffix(lines[0], `"`) + "-" + format + `"`)
	}
}

// variesAsGet says so where the content is not known, and the 200 to GET would be held and may be coded for who accepts that.
// Without a type nobody knows yet.
func (x *Exchange) variesAsGet(header http.Header) {
	c, s := x.svc.Coder, x.selected
	if c == nil || x.resp.Status() != http.StatusOK || s.coded || s.ETag.Present {
		return
	}
	if why := c.Bars(http.StatusOK, header, int(s.declared)); why == "" || why == coding.Type && !s.typed {
		variesByCoding(header)
	}
}

// labelCoded gives a 304, or the head of a 200, what the 200 to GET has for being coded: Vary, and the suffix of a strong tag.
// encode has taken that off the condition, and does not put it on the 304. Without encode the client has named the tag as it
// is, if it has named one.
func (x *Exchange) labelCoded(w http.ResponseWriter, header http.Header) {
	variesByCoding(header)
	named, ok := httpcond.ParseEntityTag(first(header["Etag"]))
	if !ok || named.Weak || x.svc.Policy.Tags.Mode != policy.Strong || tag.HasCodingSuffix(named.Opaque) {
		return
	}
	switch format, encodes := encodingOf(w); {
	case encodes && format != "":
		x.suffix(header, format)
	case !encodes && x.asked.format != nil && !x.namesTags():
		x.suffix(header, x.asked.format.Name)
	}
}

// namesTags reports whether the client has named tags in If-None-Match.
func (x *Exchange) namesTags() bool {
	original := x.original()
	lines := original[upstream.IfNoneMatch]
	return len(lines) > 0 && strings.TrimSpace(lines[0]) != "*"
}

// labelRecalled does so with a 304 from memory.
func (x *Exchange) labelRecalled(w http.ResponseWriter, header http.Header) {
	if x.svc.Coder == nil || !x.visit.Codable() {
		return
	}
	if x.shown == nil {
		x.asked.codable = httpcond.AcceptsCoding(x.asked.r.Header["Accept-Encoding"])
		x.negotiate()
	}
	x.labelCoded(w, header)
}

// encodingOf is the coding that Caddy's encode has negotiated with the client, empty if there is none, and whether encode
// stands further out at all. Its writer has no name for others.
func encodingOf(w http.ResponseWriter) (format string, encodes bool) {
	for range 32 { // deeper than any chain of handlers
		if of := reflect.TypeOf(w); of.String() == "*encode.responseWriter" {
			if name := reflect.ValueOf(w).Elem().FieldByName("encodingName"); name.Kind() == reflect.String {
				return name.String(), true
			}
			return "", true
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return "", false
		}
		w = inner.Unwrap()
	}
	return "", false
}
