package exchange

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/ignore"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// complete makes the tag of what was held, judges the preconditions with it and sends the answer. A
// failed write is the client's leaving, which is no error of the site.
func (x *Exchange) complete() error {
	x.enter(whole)
	header, body := x.resp.OuterHeader(), x.resp.Body()
	switch cut := x.selected.declared > int64(len(body)); {
	case cut && x.selected.labelling:
		x.confirm()
		return nil
	case cut:
		// Cut off, though nobody said so: the client has to see that as well.
		x.dropDate(header)
		x.dress(header)
		x.decide(journal.Streamed, journal.ShortBody, header)
		x.send()
		return nil
	}
	x.readBody(header, body)
	x.sniff(header, body)
	switch {
	case x.selected.untagged:
	case x.goesUnstored(header):
		x.selected.untagged, x.selected.unstored = true, true
	case x.selected.labelling:
		x.selected.untagged = !x.mayLabel(header) // the row is known now
	}
	x.tagAndDress(header, body)
	x.judgeCoding(header, len(body))
	x.prepare(header, int64(len(body)))
	x.visit.Save(true)
	switch x.evaluate(http.StatusOK); x.verdict.result.Verdict {
	case httpcond.NotModified:
		x.confirm()
	case httpcond.PreconditionFailed:
		x.decide(journal.PreconditionFailed, x.because(), header)
		return x.refused()
	case httpcond.Proceed:
		return x.proceed(header, body)
	}
	return nil
}

// confirm answers 304, with the validators that there are.
func (x *Exchange) confirm() {
	x.notModified(x.resp.OuterHeader(), false)
	x.resp.SendHead(http.StatusNotModified)
	flushHTTP3(x.resp.Outer(), x.asked.r)
}

// tagAndDress makes the tag of what was held. A date may need the tag's digest, the rows that date, and whether the tag
// is weak what the rows say of no-transform.
func (x *Exchange) tagAndDress(header http.Header, body []byte) {
	if x.selected.ETag.Present || x.selected.untagged {
		x.takeFirstSeen(header, x.selected.opaque())
		x.dress(header)
		return
	}
	digest, ok := x.countDigest(header, body)
	if !ok {
		x.dropDate(header)
		x.dress(header)
		return
	}
	x.watchDate(header, digest)
	if x.svc.Policy.Dates.FirstSeen {
		x.takeFirstSeen(header, hex.EncodeToString(digest[:]))
	}
	x.dress(header)
	x.setTag(header, digest)
}

// proceed sends what was held: the part of it that Range asks for, or the whole.
func (x *Exchange) proceed(header http.Header, body []byte) error {
	size := int64(len(body))
	part := &x.verdict.part
	switch x.judgeRange(header, size) {
	case httpcond.RangeUnsatisfiable:
		x.decide(journal.RangeUnsatisfiable, journal.Because(part.Reason), nil)
		return x.refused()
	case httpcond.RangePartial:
		x.sendParts(header, body)
		return nil
	case httpcond.RangeWhole:
	}
	x.acceptRanges(header, size)
	coded := x.coded(header, body)
	switch reason := x.because(); {
	case x.selected.unstored:
		x.decide(journal.Streamed, journal.NoStore, header)
	case x.selected.forgone != journal.NoReason:
		x.decide(journal.Streamed, x.selected.forgone, header)
	case part.Reason != "":
		x.decide(journal.Tagged, journal.Because(part.Reason), header)
	case reason == journal.NoneMatched && x.selected.tokenCounts:
		x.decide(journal.Tagged, journal.TokenCounts, header) // no tag will ever match
	default:
		x.decide(journal.Tagged, reason, header)
	}
	switch {
	case coded != nil:
		x.sendCoded(coded)
		return nil
	case !x.selected.framed && !x.resp.LateTrailers():
		x.declare(header, size) // at once, as encode looks at it; trailers that nobody announced need a message without
	}
	x.send()
	return nil
}

// declare says how long the body is, unless the upstream has said so already, in the same words.
func (x *Exchange) declare(header http.Header, size int64) {
	var space [20]byte
	length := strconv.AppendInt(space[:0], size, 10)
	if said := header["Content-Length"]; len(said) != 1 || said[0] != string(length) {
		header["Content-Length"] = x.one(string(length))
	}
}

// send sends what is held, or of it what belongs into the answer to HEAD.
func (x *Exchange) send() {
	if x.asked.method == http.MethodHead {
		x.resp.SendHead(x.resp.Status())
		return
	}
	_ = x.resp.Release()
}

// sniff says the media type that net/http would find out by itself, as it is part of what is tagged
// and selects the row. A nil list is how a handler asks for none.
func (x *Exchange) sniff(header http.Header, body []byte) {
	row := &x.selected.row
	if s := x.selected; !s.typed && len(body) > 0 && !s.coded {
		header["Content-Type"] = x.one(http.DetectContentType(body))
		if row.uncertain {
			x.chooseRow(http.StatusOK, header)
		}
	}
	row.uncertain = false // what has no type now will have none
}

// setTag makes the entity tag. Under auto it is weak where a coding may still change the bytes on their
// way out: encode alters a strong tag on the 200 but not on the 304, and leaves weak ones alone. It is weak, too, where
// it does not speak for every octet of a coded body (see digest).
func (x *Exchange) setTag(header http.Header, digest tag.Digest) {
	s := x.selected
	weak := x.svc.Policy.Tags.Mode == policy.Weak || s.recoded || x.asked.codable && x.tagDependsOnCoding(header)
	s.madeHere, s.stamp = true, max(1, binary.LittleEndian.Uint64(digest[:]))
	x.noteMade()
	value := x.fieldOf(header, digest, weak)
	header["Etag"] = x.one(value)
	s.ETag = upstream.MadeETag(value, weak)
}

// tagDependsOnCoding reports whether auto has looked, or would look, at the codings that the client accepts.
func (x *Exchange) tagDependsOnCoding(header http.Header) bool {
	return x.svc.Policy.Tags.Mode == policy.Auto && x.mayBeCoded(header)
}

// digest makes the digest of what counts of a held body. Marks of another form than the body's own go with the lines
// of Content-Type. ok is false where it is too much work to find out what counts.
func (x *Exchange) digest(header http.Header, body []byte) (digest tag.Digest, ok bool) {
	tags := &x.svc.Policy.Tags
	meta := tag.Metadata{ContentType: header["Content-Type"], ContentEncoding: header["Content-Encoding"]}
	switch {
	case tags.Ignore != nil:
		return x.digestIgnoring(meta, header, body)
	case x.selected.coded && tags.Mode != policy.Strong:
		// Each answer may be compressed anew, with the time of that in its gzip header. It is no change of the content, but
		// one of octets: the tag is weak.
		content, mark, varies := ignore.WithoutGzipHeader(meta.ContentEncoding, body)
		if x.selected.recoded = varies; mark != "" {
			meta.ContentType = append(slices.Clip(meta.ContentType), mark)
		}
		return tags.Maker.Digest(meta, content), true
	}
	return tags.Maker.Digest(meta, body), true
}

// digestIgnoring is digest under `ignore`.
func (x *Exchange) digestIgnoring(meta tag.Metadata, header http.Header, body []byte) (digest tag.Digest, ok bool) {
	tags := &x.svc.Policy.Tags
	spaces := scratches{limit: x.svc.Policy.Bounds.MaxTotal}
	defer spaces.free()
	resp := &ignore.Response{
		Request: x.asked.r.Header, Identified: x.asked.identified(), Header: header, MediaType: httpcond.MediaType(first(header["Content-Type"])),
		Body: body, MaxDecoded: x.svc.Policy.Bounds.MaxBody, Memory: &spaces,
		Late: x.late,
	}
	content, marks, err := tags.Ignore.Content(resp)
	if err != nil {
		x.leaveUntagged(err)
		return tag.Digest{}, false
	}
	x.selected.tokenCounts = resp.Counts
	if resp.Tokens {
		x.visit.Forbid(remember.UnkeptTokens) // only the upstream knows whether the session that a token is good for is still there
	}
	if len(marks) > 0 {
		meta.ContentType = slices.Concat(meta.ContentType, marks)
	}
	return tags.Maker.Digest(meta, content), true
}

// leaveUntagged gives up to make a tag. Nobody knows then whether the body is another one than what is remembered, nor
// whether it has tokens.
func (x *Exchange) leaveUntagged(err error) {
	s, shared := x.selected, x.kept.shared
	s.untagged = true
	if errors.Is(err, ignore.ErrLate) {
		s.forgone = journal.MaxDelay
		x.visit.Withhold(remember.UnkeptMaxDelay)
		shared.set(gaveUp) // the client has waited once, that is enough
	} else {
		s.forgone = journal.IgnoreWork
		x.visit.Withhold(remember.UnkeptIgnoreWork)
		shared.set(overworked)
	}
}

// scratches is memory for forms of a body, for as long as its digest is made.
type scratches struct {
	limit int64
	all   []*capture.Scratch
}

// Space implements ignore.Memory.
func (s *scratches) Space() ignore.Space {
	space := capture.NewScratch(&Budget, s.limit)
	s.all = append(s.all, space)
	return space
}

func (s *scratches) free() {
	for _, space := range s.all {
		space.Free()
	}
}
