package exchange

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
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
		if !x.gone() { // else it is a proxy's word about its client
			x.visit.Drop()
		}
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
			x.labelRecalled(x.resp.Outer(), header)
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
	return confirmed(&c.pre, &x.verdict.result, x.visit)
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
	x.labelRecalled(x.resp.Outer(), header)
	x.decide(journal.NotModified, journal.StaleIfError, header)
}

// prepare makes the record of a 200 to GET as it goes out, to be saved when it is complete. Where the row that is for it
// is known with the body only, and that passes, nobody knows whether it forbids that.
func (x *Exchange) prepare(header http.Header, size int64) {
	switch {
	case x.visit == nil:
		return
	case x.headPasses():
		x.visit.Unfit(remember.UnkeptHead)
		return
	case x.selected.row.uncertain:
		x.visit.Unfit(remember.UnkeptRow)
		x.visit.Drop()
		return
	}
	if _, ours := tag.Parse(x.selected.opaque()); ours && x.endUntold(header) {
		x.visit.Withhold(remember.UnkeptEndUntold) // what the tag was made of may be the beginning of the page
	}
	x.visit.Prepare(remember.Response{Header: header, LastModified: x.selected.LastModified, Trust: x.trust(), Size: size, Codable: x.selected.codable})
}

// forbidFurtherIn tells instances further in that nothing is to be remembered of this response: they have seen what they
// send on, and not what a row makes of it out here.
func (x *Exchange) forbidFurtherIn(header http.Header) {
	if !x.inner() && x.kept.shared.is(nested) && x.rowForbids(header) {
		x.kept.shared.set(forbidden)
	}
}

// rowForbids reports whether a row makes a response private or no-store, or has done so with the one that it stands for.
func (x *Exchange) rowForbids(header http.Header) bool {
	state := &x.selected.row
	switch row := cmp.Or(state.choice, state.silenced); {
	case state.uncertain:
		return slices.ContainsFunc(x.svc.Policy.Freshness.Rows, func(row policy.Row) bool { return row.Personal() })
	case row == nil || freshness.Explicit(header) && !row.Replaces() && !row.Merges():
		return false
	default:
		return row.Personal()
	}
}

// dropForbidden drops what was remembered, if the outermost instance forbids it. That is known when it has seen the head.
func (x *Exchange) dropForbidden() {
	if x.inner() && x.kept.shared.is(forbidden) {
		x.visit.Withdraw()
	}
}

// endUntold reports whether a body that breaks off would look like a whole one: over HTTP/1.0, without a length, the end
// of the connection is its end (RFC 9112 §6.3). reverse_proxy says in Via over which protocol a response has come.
func (x *Exchange) endUntold(header http.Header) bool {
	if x.selected.declared >= 0 {
		return false
	}
	for _, line := range header["Via"] {
		for hop := range strings.SplitSeq(line, ",") {
			hop = strings.TrimPrefix(strings.TrimLeft(hop, " \t"), "HTTP/")
			if strings.HasPrefix(hop, "1.0 ") {
				return true
			}
		}
	}
	return false
}

// learnFromHead makes the record of a 200 that goes out as a 304, as its own tag has decided at its head: what an upstream
// says of itself is as good as in a 200 that goes out. Where the row that applies is known with the body only, it is not.
func (x *Exchange) learnFromHead(header http.Header) bool {
	if x.visit == nil || x.headPasses() || !x.selected.ETag.Usable || x.selected.row.uncertain {
		return false
	}
	x.dress(header)
	x.prepare(header, x.selected.declared)
	x.visit.Save(true)
	return true
}

// learnFrom304 makes a record of an upstream's 304, where that says of itself what its 200 would say.
func (x *Exchange) learnFrom304(header http.Header) {
	switch {
	case x.visit == nil:
	case !x.speaksOf200():
		x.visit.Unfit(remember.UnkeptNotModified)
	default:
		x.visit.Prepare(remember.Response{Header: header, Size: -1, Named: true})
		x.visit.Save(true)
	}
}

// speaksOf200 reports whether an upstream's 304 has its tag, and says how long it lasts, by a word of its own. No tag may come
// from the client: an upstream that is asked by a date as well may answer to that one, and then sends back whatever tag it was
// asked by; of several, it may send back any.
func (x *Exchange) speaksOf200() bool {
	c, s := x.shown.cond, x.selected
	switch {
	case c == nil || c.view != upstream.Unchanged || x.headPasses() || !s.ETag.Usable:
		return false
	case !c.asksByOneTag(s.ETag.Tag.Opaque):
		return false
	case s.row.hidden || s.row.uncertain || x.svc.Policy.Freshness.AfterModified != 0:
		return false // the 200 may have had another lifetime
	}
	return x.visit.MayLearn(s.vary)
}

// asksByOneTag reports whether there is no condition but an If-None-Match of this tag alone.
func (c *conditions) asksByOneTag(opaque string) bool {
	f := &c.original
	if f[upstream.IfModifiedSince] != nil || f[upstream.IfMatch] != nil || f[upstream.IfUnmodifiedSince] != nil || len(f[upstream.IfNoneMatch]) != 1 {
		return false
	}
	named, ok := httpcond.ParseEntityTag(f[upstream.IfNoneMatch][0])
	return ok && named.Opaque == opaque
}
