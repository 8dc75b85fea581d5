package exchange

import (
	"bufio"
	"crypto/rand"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// Results of this package, beside those of httpcond.
var (
	// reasonRangeLength: too long to be answered in parts.
	reasonRangeLength = httpcond.Reason(journal.RangeLength.String())
	// reasonRangeCoding: parts of what may be coded on its way out, and has no tag that would show it.
	reasonRangeCoding = httpcond.Reason(journal.RangeCoding.String())
	// reasonAcceptRanges: the upstream says that it has no parts to give.
	reasonAcceptRanges = httpcond.Reason(journal.AcceptRanges.String())
)

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
	case len(v.part.Ranges) == 1 && (fits || x.svc.Policy.Ranges.Mode == policy.RangesStream):
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
	x.visit.Unfit(remember.UnkeptStatus)
	x.decide(journal.Partial, journal.Because(x.verdict.part.Reason), header)
	return capture.Decision{
		Action: capture.Slice, Status: http.StatusPartialContent, Declared: x.selected.declared,
		Offset: part.Start, Length: part.Length,
	}
}

// asksParts reports whether Range was sent, and is ours to answer.
func (x *Exchange) asksParts() bool {
	return x.svc.Policy.Ranges.Mode != policy.RangesOff && x.shown.cond != nil && x.shown.cond.ranges.Range.Present
}

// judgeRange applies the last step of RFC 9110 §13.2.2 to a 200 of size bytes.
func (x *Exchange) judgeRange(header http.Header, size int64) httpcond.RangeVerdict {
	v := &x.verdict
	v.part, v.size = httpcond.RangeResult{}, size
	if !x.asksParts() || !x.divisible() {
		return v.part.Verdict
	}
	rep, ranges := x.representation(), &x.shown.cond.ranges
	date, lost := x.dateOfOctets(header)
	rep.Same, rep.LastModified = tag.SameOctets, date
	terms := httpcond.RangeTerms{
		Max: x.svc.Policy.Ranges.Max, Unvalidated: x.servesUnvalidated(header), ContentType: first(header["Content-Type"]),
	}
	v.part = ranges.Evaluate(x.asked.method, rep, x.selected.Date, size, terms)
	switch {
	case v.part.Verdict != httpcond.RangeWhole && x.refusesRanges(header):
		v.part = httpcond.RangeResult{Reason: reasonAcceptRanges}
	case v.part.Reason == httpcond.ReasonNoValidator && (lost || x.streamsRanges()):
		v.part.Reason = reasonRangeCoding
	}
	return v.part.Verdict
}

// streamsRanges reports whether the operator says that parts may be served, whatever the upstream says.
func (x *Exchange) streamsRanges() bool { return x.svc.Policy.Ranges.Mode == policy.RangesStream }

// refusesRanges reports whether the upstream says that it has no parts to give, and that stands.
func (x *Exchange) refusesRanges(header http.Header) bool {
	return !x.streamsRanges() && httpcond.AcceptsNoRanges(header["Accept-Ranges"])
}

// servesUnvalidated reports whether parts are served even where nothing tells one version from the next. But a client
// that has so many bytes of a coded body must not get plain ones from there on.
func (x *Exchange) servesUnvalidated(header http.Header) bool {
	return x.streamsRanges() && !(x.asked.codable && x.mayBeCoded(header))
}

// divisible reports whether a 200 has a body of which there may be parts.
func (x *Exchange) divisible() bool {
	s := x.selected
	return !s.trailed && !s.framed && s.incremental == journal.NoReason
}

// dateOfOctets is the Last-Modified where that can stand for the very octets of a response, and zero elsewhere. A coding
// gives a tag another form, which a date has not: N coded bytes and the rest of the plain ones would have the same. So
// where there may be both, it is lost. It is not for a client that accepts no coding, and so has no coded bytes, unless
// that makes If-Range of a date: it may have got both with an Accept-Encoding that it does not repeat.
func (x *Exchange) dateOfOctets(header http.Header) (date time.Time, lost bool) {
	if header["Etag"] != nil && !x.selected.ETag.Usable {
		return time.Time{}, false // nothing that is compared with such a tag can match
	}
	date = x.strongDate()
	if (x.asked.codable || x.shown.cond.byRangeDate()) && !date.IsZero() && x.codingsDiffer(header) {
		return time.Time{}, true
	}
	return date, false
}

// codingsDiffer reports whether there may be differently coded forms of a response: by Caddy's encode, or the upstream's.
func (x *Exchange) codingsDiffer(header http.Header) bool {
	return x.mayBeCoded(header) || httpcond.VariesOn(header["Vary"], "Accept-Encoding")
}

// mayBeCoded reports whether a response can still be content-coded on its way out, if its client accepts that.
func (x *Exchange) mayBeCoded(header http.Header) bool {
	return !x.selected.coded && !x.saysNoTransform(header)
}

// acceptRanges says in a 200 whether Range of its kind is answered. What an upstream says of itself does
// not hold where it is not asked, unless that is that it has no parts to give.
func (x *Exchange) acceptRanges(header http.Header, size int64) {
	p, s := x.svc.Policy, x.selected
	answers := p.Ranges.Mode != policy.RangesOff
	fits := size >= 0 && (size <= p.Bounds.MaxBody || x.streamsRanges())
	switch {
	case answers && fits && x.divisible() && x.tellsOctets(header) && !x.refusesRanges(header):
		header["Accept-Ranges"] = x.one("bytes")
	case httpcond.AcceptsNoRanges(header["Accept-Ranges"]):
	case p.Shown.WithholdAll, answers && s.madeHere:
		delete(header, "Accept-Ranges")
	}
}

// tellsOctets reports whether parts of a response can be told to be of the same octets, or need not.
func (x *Exchange) tellsOctets(header http.Header) bool {
	if s := x.selected; s.ETag.Usable {
		return !s.ETag.Tag.Weak
	}
	date, _ := x.dateOfOctets(header)
	return x.servesUnvalidated(header) || httpcond.StrongDate(date, x.selected.Date)
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
			header["Etag"] = x.one(x.shown.cond.storedForm(s.ETag.Tag))
		}
	}
	if header["Accept-Ranges"] != nil {
		header["Accept-Ranges"] = x.one("bytes") // whatever the upstream says of itself
	}
	// Digests of the message's content, which is another one now.
	delete(header, "Content-Digest")
	delete(header, "Content-Md5")
	if x.partDependsOnCoding(header) {
		variesByCoding(header)
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

// storedForm is the tag of a part in the form that If-Range has named, if it has: a tag of ours may have another date by
// now, or another one asks, and parts are put together only where their tags are the same to the letter (RFC 9110
// §15.3.7.3).
func (c *conditions) storedForm(current httpcond.EntityTag) string {
	if named := &c.ranges.IfRange; named.HasTag {
		return named.Tag.String()
	}
	return current.String()
}

// partDependsOnCoding reports whether clients that accept other codings may get another answer to the same Range. To one
// that accepts any, a part is always of the plain octets, while encode would have coded the whole.
func (x *Exchange) partDependsOnCoding(header http.Header) bool {
	s := x.selected
	return x.asked.codable || s.madeHere && x.tagDependsOnCoding(header) || !s.ETag.Usable && x.mayBeCoded(header)
}

// gathered is how many bytes of a multipart answer are put together for one write. There may be a thousand parts of a byte
// each, and a write costs more than a part.
const gathered = 32 << 10

// sendParts answers Range out of what was held. A failed write is the client's leaving.
func (x *Exchange) sendParts(header http.Header, body []byte) {
	parts := x.partial(header)
	x.decide(journal.Partial, journal.Because(x.verdict.part.Reason), header)
	x.resp.SendHead(http.StatusPartialContent)
	if parts == nil {
		part := x.verdict.part.Ranges[0]
		_, _ = x.resp.Outer().Write(body[part.Start : part.Start+part.Length])
		return
	}
	sendMultipart(x.resp.Outer(), parts, body)
}

// sendMultipart sends the parts of a body.
func sendMultipart(to io.Writer, parts *httpcond.Multipart, body []byte) {
	w := bufio.NewWriterSize(to, min(len(body), gathered)) // the answer is no longer than the whole
	var head []byte
	for i, part := range parts.Ranges {
		head = parts.AppendPartHead(head[:0], i)
		_, _ = w.Write(head)
		if _, err := w.Write(body[part.Start : part.Start+part.Length]); err != nil {
			return
		}
	}
	_, _ = w.Write(parts.AppendEnd(head[:0]))
	_ = w.Flush()
}
