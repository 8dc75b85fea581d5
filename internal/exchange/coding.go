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
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// negotiate finds the format that the client gets, before handlers inside may change the request.
func (x *Exchange) negotiate() {
	if x.svc.Coder != nil && x.asked.format == nil && httpcond.AcceptsCoding(x.asked.r.Header["Accept-Encoding"]) {
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
func (x *Exchange) noteUncoded(status int) {
	switch {
	case x.svc.Coder == nil || status != http.StatusOK || x.headPasses():
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
	coded, why := x.svc.Coder.Get(format, body)
	x.kept.said.Coding(journal.Because(why))
	if coded == nil {
		return nil
	}
	header["Content-Encoding"] = x.one(format.Name)
	header["Content-Length"] = x.one(strconv.Itoa(len(coded)))
	for _, name := range [...]string{"Accept-Ranges", "Repr-Digest", "Content-Digest", "Digest", "Content-Md5"} {
		delete(header, name) // they speak of the content as it was
	}
	x.suffix(header, format)
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
func (x *Exchange) suffix(header http.Header, format *coding.Format) {
	if lines := header["Etag"]; len(lines) > 0 && lines[0] != "" && !strings.HasPrefix(lines[0], "W/") {
		header["Etag"] = x.one(strings.TrimSuffix(lines[0], `"`) + "-" + format.Name + `"`)
	}
}

// labelCoded gives a 304 what its 200 has for being coded: Vary, and the suffix of a strong tag, which encode has taken off
// the condition and does not put on the 304. Without encode the client has named the tag as it is.
func (x *Exchange) labelCoded(w http.ResponseWriter, header http.Header) {
	variesByCoding(header)
	x.negotiate()
	named, ok := httpcond.ParseEntityTag(first(header["Etag"]))
	if ok && !named.Weak && !tag.HasCodingSuffix(named.Opaque) && x.asked.format != nil && encodes(w) {
		x.suffix(header, x.asked.format)
	}
}

// labelRecalled does so with a 304 from memory.
func (x *Exchange) labelRecalled(w http.ResponseWriter, header http.Header) {
	if x.svc.Coder != nil && x.visit.Codable() {
		x.labelCoded(w, header)
	}
}

// encodes reports whether Caddy's encode stands further out. It has no name for others: its writer tells.
func encodes(w http.ResponseWriter) bool {
	for range 32 { // deeper than any chain of handlers
		if reflect.TypeOf(w).String() == "*encode.responseWriter" {
			return true
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = inner.Unwrap()
	}
	return false
}
