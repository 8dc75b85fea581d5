package exchange

import (
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// compareWithRecord drops what is remembered where the upstream says something else, and gives the answer to a
// HEAD the tag that its GET has had.
func (x *Exchange) compareWithRecord(status int, header http.Header) {
	if x.visit == nil {
		return
	}
	record, _ := x.visit.Record()
	if record.Received.IsZero() {
		return
	}
	switch {
	case status == http.StatusNotModified, status == http.StatusPartialContent, status >= 500:
	case status != http.StatusOK:
		x.visit.Drop()
	case x.headPasses():
		x.compareHead(header)
	case x.selected.ETag.Usable && !x.visit.Names(x.selected.ETag.Tag.String()):
		x.visit.Drop()
	}
}

// compareHead compares the head of a GET's answer with the one that is remembered (RFC 9111 §4.3.5).
func (x *Exchange) compareHead(header http.Header) {
	s := x.selected
	switch {
	case x.visit.Differs(header, s.LastModified):
		x.visit.Drop()
	case x.visit.Names(first(header["Etag"])):
		x.dress(header) // what goes out is what is remembered
		x.visit.Confirm(header)
	case header["Etag"] == nil && !s.ETag.Present && x.svc.Policy.Tags.Mode != policy.Off && x.visit.Fresh(s.now):
		if record, _ := x.visit.Record(); record.ETag != "" {
			header["Etag"] = x.one(record.ETag)
			s.ETag, s.madeHere = upstream.ReadETag(header["Etag"]), true
		}
	}
}

// covers reports whether what is remembered may answer for a next handler that fails.
func (x *Exchange) covers() bool {
	c := x.shown.cond
	if c == nil || !x.visit.MayCover(time.Now()) || c.pre.IfMatch.Present || c.pre.IfUnmodifiedSince.Present {
		return false
	}
	x.verdict.result = c.pre.Evaluate(x.asked.method, x.visit.Representation())
	return x.verdict.result.Verdict == httpcond.NotModified
}

// cover answers from memory in place of a failure.
func (x *Exchange) cover() capture.Decision {
	x.fillFromMemory()
	return capture.Decision{Action: capture.Answer, Status: http.StatusNotModified, Declared: x.unread()}
}

func (x *Exchange) fillFromMemory() {
	x.kept.shared.set(made304)
	x.resp.Restore()
	header := x.resp.OuterHeader()
	x.visit.Fill(header, x.svc.formOf(x.verdict.result.Matched, x.visit), time.Now(), new(remember.Space))
	x.decide(journal.NotModified, journal.StaleIfError, header)
}

// prepare makes the record of a 200 to GET as it goes out, to be saved when it is complete.
func (x *Exchange) prepare(header http.Header, size int64) {
	if x.visit == nil || x.headPasses() {
		return
	}
	x.visit.Prepare(remember.Response{Header: header, LastModified: x.selected.LastModified, Trust: x.trust(), Size: size})
}

// recalling says why the answer is not from memory.
func (x *Exchange) recalling() zap.Field {
	if x.visit == nil || x.visit.Why == "" {
		return zap.Skip()
	}
	return zap.String("memory", x.visit.Why)
}
