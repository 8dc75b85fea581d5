package exchange

import (
	"crypto/rand"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// reasonRangeLength: too long to be answered in parts. It is a result of this package, beside those of httpcond.
var reasonRangeLength = httpcond.Reason(journal.RangeLength.String())

// rangeAtHead answers Range out of a passing response; ok is false when that one is to go out whole.
func (x *Exchange) rangeAtHead(header http.Header) (d capture.Decision, ok bool) {
	if !x.asksParts() {
		return d, false
	}
	v, s, bounds := &x.verdict, x.selected, &x.svc.Policy.Bounds
	if s.declared < 0 {
		// Its length shows at its end, if that comes within the bounds.
		longest := x.judgeRange(header, math.MaxInt64)
		v.part.Verdict = httpcond.RangeWhole
		if longest != httpcond.RangeWhole {
			v.part.Reason = reasonRangeLength // unless it ends in time
		}
		return x.holdPassing(), longest != httpcond.RangeWhole && !s.spilled
	}
	fits := s.declared <= bounds.MaxBody
	switch found := x.judgeRange(header, s.declared); {
	case found == httpcond.RangeUnsatisfiable:
		x.decide(journal.RangeUnsatisfiable, journal.Because(v.part.Reason), nil)
		return capture.Decision{Action: capture.Answer, Declared: x.unread()}, true
	case found != httpcond.RangePartial:
		return capture.Decision{}, false
	case len(v.part.Ranges) == 1 && (fits || x.svc.Policy.Ranges == policy.RangesStream):
		return x.slice(header, v.part.Ranges[0]), true
	case fits && !s.spilled:
		// Several are put together from the whole, as they need not come in its order.
		return x.holdPassing(), true
	}
	v.part = httpcond.RangeResult{Reason: reasonRangeLength}
	return capture.Decision{}, false
}

// slice cuts a part out of the passing body.
func (x *Exchange) slice(header http.Header, part httpcond.ByteRange) capture.Decision {
	x.dress(header)
	x.partial(header)
	x.decide(journal.Partial, journal.Because(x.verdict.part.Reason), header)
	return capture.Decision{
		Action: capture.Slice, Status: http.StatusPartialContent, Declared: x.selected.declared,
		Offset: part.Start, Length: part.Length,
	}
}

// asksParts reports whether Range was sent, and is ours to answer.
func (x *Exchange) asksParts() bool {
	return x.svc.Policy.Ranges != policy.RangesOff && x.shown.cond != nil && x.shown.cond.ranges.Range.Present
}

// judgeRange applies the last step of RFC 9110 §13.2.2 to a 200 of size bytes.
func (x *Exchange) judgeRange(header http.Header, size int64) httpcond.RangeVerdict {
	v := &x.verdict
	v.part, v.size = httpcond.RangeResult{}, size
	if x.asksParts() && x.divisible(header) {
		rep := x.representation()
		rep.Same, rep.LastModified = tag.SameOctets, x.strongDate()
		v.part = x.shown.cond.ranges.Evaluate(x.asked.method, rep, x.selected.Date, size)
	}
	return v.part.Verdict
}

// divisible reports whether a part of a 200's body is a part of what every client gets under the same
// validator.
func (x *Exchange) divisible(header http.Header) bool {
	switch s := x.selected; {
	case s.trailed || s.framed || s.incremental != journal.NoReason:
		return false
	case s.ETag.Usable:
		return true
	case header["Etag"] != nil:
		return false // nothing that is compared with it can match
	}
	// A coding gives a tag another form, which a date has not.
	return !x.asked.codable || x.selected.coded
}

// acceptRanges says in a 200 whether Range of its kind is answered. What an upstream says of itself does
// not hold where it is not asked.
func (x *Exchange) acceptRanges(header http.Header, size int64) {
	p, s := x.svc.Policy, x.selected
	answers := p.Ranges != policy.RangesOff
	strong := s.ETag.Usable && !s.ETag.Tag.Weak || !s.ETag.Usable && httpcond.StrongDate(x.strongDate(), s.Date)
	switch {
	case answers && strong && size >= 0 && (size <= p.Bounds.MaxBody || p.Ranges == policy.RangesStream) && x.divisible(header):
		header["Accept-Ranges"] = x.one("bytes")
	case p.Shown.WithholdAll, answers && s.madeHere:
		delete(header, "Accept-Ranges")
	}
}

// partial turns the fields of the 200 into those of the 206 (RFC 9110 §15.3.7), and returns the layout of
// its content when that has several parts. What a client that sent If-Range has stored with its part
// already is left out, but for what describes the content itself.
func (x *Exchange) partial(header http.Header) *httpcond.Multipart {
	v, s := &x.verdict, x.selected
	if x.shown.cond.byRange() {
		delete(header, "Content-Language")
		if s.ETag.Usable {
			delete(header, "Last-Modified")
		}
	}
	if header["Accept-Ranges"] != nil {
		header["Accept-Ranges"] = x.one("bytes") // whatever the upstream says of itself
	}
	// Digests of the message's content, which is another one now.
	delete(header, "Content-Digest")
	delete(header, "Content-Md5")
	if s.madeHere && x.tagDependsOnCoding(header) && !httpcond.VariesOn(header["Vary"], "Accept-Encoding") {
		header["Vary"] = append(slices.Clip(header["Vary"]), "Accept-Encoding")
	}
	if _, typed := header["Content-Type"]; !typed {
		header["Content-Type"] = nil // or net/http would guess at it from the part
	}
	if len(v.part.Ranges) == 1 {
		part := v.part.Ranges[0]
		header["Content-Range"] = x.one(part.ContentRange(v.size))
		header["Content-Length"] = x.one(strconv.FormatInt(part.Length, 10))
		return nil
	}
	parts := &httpcond.Multipart{
		Boundary: rand.Text(), ContentType: first(header["Content-Type"]), Size: v.size, Ranges: v.part.Ranges,
	}
	header["Content-Type"] = x.one(parts.MediaType())
	header["Content-Length"] = x.one(strconv.FormatInt(parts.Length(), 10))
	delete(header, "Content-Range")
	return parts
}

// sendParts answers Range out of what was held. A failed write is the client's leaving.
func (x *Exchange) sendParts(header http.Header, body []byte) {
	parts := x.partial(header)
	x.decide(journal.Partial, journal.Because(x.verdict.part.Reason), header)
	x.resp.SendHead(http.StatusPartialContent)
	w := x.resp.Outer()
	for i, part := range x.verdict.part.Ranges {
		if parts != nil {
			if _, err := w.Write(parts.AppendPartHead(nil, i)); err != nil {
				return
			}
		}
		if _, err := w.Write(body[part.Start : part.Start+part.Length]); err != nil {
			return
		}
	}
	if parts != nil {
		_, _ = w.Write(parts.AppendEnd(nil))
	}
}
