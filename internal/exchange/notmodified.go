package exchange

import (
	"net/http"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// notModified turns the fields of the 200 into those of the 304 that stands for it (RFC 9110 §15.4.5). known: it confirms what
// is remembered.
func (x *Exchange) notModified(header http.Header, known bool) {
	x.kept.shared.set(made304)
	x.dress(header)
	matched := x.verdict.result.Matched
	if _, ours := tag.Parse(matched.Opaque); ours && matched.Opaque != x.selected.ETag.Tag.Opaque {
		// A tag of ours goes back in the form the client knows it by, as another date in it is no change;
		// whether it is weak, the 200 would say.
		named := httpcond.EntityTag{Weak: x.selected.ETag.Tag.Weak, Opaque: matched.Opaque}
		header["Etag"] = x.one(named.String())
	}
	switch { // while the media type is there
	case x.selected.codable:
		x.labelCoded(x.resp.Outer(), header)
	case x.selected.uncoded == journal.NoReason:
		x.variesAsGet(header) // the content was not looked at
	}
	x.trim(header)
	if known {
		x.visit.Confirm(header)
	}
	x.visit.Unfit(remember.UnkeptNotModified) // unless there is more to say
	x.decide(journal.NotModified, x.because(), header)
}

// trim leaves out what a 304 does not carry. What one from memory has is up to remember.Visit, in its carries.
func (x *Exchange) trim(header http.Header) {
	set := &x.svc.Policy.NotModified
	for name := range header {
		dropped := httpcond.DroppedFromNotModified(name) && !set.Keep[name] || len(set.Drop) > 0 && set.Drop[name] ||
			strings.HasPrefix(name, http.TrailerPrefix)
		if dropped {
			delete(header, name)
		}
	}
	if header["Etag"] != nil && !set.Keep["Last-Modified"] {
		delete(header, "Last-Modified")
	}
	httpcond.DropNonces(header) // whatever is to be kept
}

// relayNotModified passes a 304 on that was not made here: an inner instance's as it is, an upstream's
// with the client's own tag if it answers a translated condition.
func (x *Exchange) relayNotModified(header http.Header) capture.Decision {
	reason := journal.Inner
	confirmed, relayed := false, false
	if !x.kept.shared.is(made304) {
		reason = journal.Upstream
		x.kept.shared.set(made304)
		confirmed, relayed = x.takeUpstreams304(header), true
		x.trim(header)
	}
	httpcond.DropNonces(header) // a handler in between may have set one
	x.dress(header)
	switch {
	case confirmed:
		x.visit.Confirm(header)
	case relayed:
		x.learnFrom304(header)
	default:
		x.visit.Unfit(remember.UnkeptNotModified)
	}
	x.decide(journal.NotModified, reason, header)
	return capture.Decision{Action: capture.Answer, Status: http.StatusNotModified}
}

// takeUpstreams304 gives a 304 of the upstream the client's own tag, where the upstream was asked by the date in that,
// and reports whether it confirms what is remembered.
func (x *Exchange) takeUpstreams304(header http.Header) (confirmed bool) {
	if c := x.shown.cond; c != nil && c.view == upstream.Translated {
		matching := c.pre.IfNoneMatch.Tags[0]
		header["Etag"] = x.one(x.svc.namedForm(matching).String())
		return x.visit.NamesDated(matching.Opaque)
	}
	if lines := header["Etag"]; lines != nil {
		if confirmed = x.visit.Names(first(lines)); !confirmed {
			x.visit.Drop()
		}
		return confirmed
	}
	date, ok := httpcond.ParseDate(first(header["Last-Modified"]), x.selected.now)
	return ok && x.visit.NamesDate(date)
}

// formOf is the tag in the form that the client knows it by, or empty if that is the remembered one.
func (s *Service) formOf(matched httpcond.EntityTag, visit *remember.Visit) string {
	_, ours := tag.Parse(matched.Opaque)
	switch {
	case visit.Is(matched.String()):
		return ""
	case ours:
		return s.namedForm(matched).String()
	case visit.Named():
		return matched.String()
	}
	return ""
}

// namedForm is a client's tag of ours as a 304 returns it. Under auto it stays as weak as the client knows it:
// how the 200 would be coded, is not known where there is none.
func (s *Service) namedForm(named httpcond.EntityTag) httpcond.EntityTag {
	if mode := s.Policy.Tags.Mode; mode != policy.Auto {
		named.Weak = mode == policy.Weak
	}
	return named
}

// flushHTTP3 flushes a 304: Caddy's HTTP/3 server gives what is not flushed a Content-Length of 0, which a 304
// must not have unless the 200 does (RFC 9110 §8.6).
func flushHTTP3(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 3 {
		_ = http.NewResponseController(w).Flush()
	}
}
