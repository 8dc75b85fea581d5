package exchange

import (
	"encoding/binary"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/lastmodified"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// dates looks for a Last-Modified that the upstream has not sent. There is one where the configuration has sources.
type dates struct {
	asked     time.Time            // when the request came; set by show
	cookied   bool                 // the request is somebody's, or has a cookie that may tell whose; set by show
	asSeen    remember.Request     // for first_seen; set by show
	search    *lastmodified.Search // set by the head of a 200 without a date; nil: none is looked for
	firstSeen bool                 // LastModified is when the tag was first seen; set by takeFirstSeen
	unseen    bool                 // when it was, could not be told, or is still to come; set by takeFirstSeen
}

// beginDates notes what has to be known of the request before handlers inside may change it.
func (x *Exchange) beginDates() {
	sources := &x.svc.Policy.Dates
	if !sources.Any() {
		return
	}
	x.dates = &x.room.dates
	x.dates.asked, x.dates.cookied = time.Now(), x.asked.claims.cookie.any() || x.asked.identified()
	if sources.FirstSeen {
		x.dates.asSeen = x.asRemembered()
		x.dates.asSeen.Header = x.asked.r.Header.Clone() // and the lists, as with a visit
		x.dates.asSeen.Origin = nil                      // a page has one date, whatever a script's origin is told of it
	}
}

// searchErr is why the search was not conclusive; nil: what it found, or did not find, is certain.
func (d *dates) searchErr() error {
	if d == nil || d.search == nil {
		return nil
	}
	return d.search.Err()
}

// looked reports whether the date of the response, if it has one, may come from a source.
func (d *dates) looked() bool { return d != nil && (d.search != nil || d.firstSeen) }

// missed says which sources of a date gave none.
func (d *dates) missed() zap.Field {
	if d == nil || d.search == nil || len(d.search.Missed) == 0 {
		return zap.Skip()
	}
	return zap.Strings("no_date", d.search.Missed)
}

// searchDate looks for a date at the head of a 200 that has none. Its own Last-Modified may be off already.
func (x *Exchange) searchDate(header http.Header) {
	from := x.svc.Policy.Dates.From
	if from == nil || header["Last-Modified"] != nil {
		return
	}
	x.dates.search = from.Begin(header, x.selected.lastModified, x.sourceRequest(), x.selected.now, x.svc.Log.Core().Enabled(zap.DebugLevel))
	x.takeDate(header)
}

// sourceRequest is what of the request the sources go by. When an inner instance has stopped waiting, this may be the
// goroutine of its deadline, while the handler still writes the variables.
func (x *Exchange) sourceRequest() lastmodified.Request {
	if x.kept.shared.is(gaveUp) {
		return lastmodified.Request{Elsewhere: true}
	}
	return lastmodified.Request{Replacer: x.asked.replacer}
}

// readBody looks for a date in what was held.
func (x *Exchange) readBody(header http.Header, body []byte) {
	if x.dates == nil || x.dates.search == nil || !x.dates.search.Unread() {
		return
	}
	bounds := &x.svc.Policy.Bounds
	space := capture.NewScratch(&Budget, bounds.MaxTotal)
	defer space.Free()
	x.dates.search.Body(header, body, lastmodified.Reading{MaxBody: bounds.MaxBody, Space: space, Late: x.late})
	x.takeDate(header)
}

// takeDate makes the date that was found the response's, if it is known by now. While it may still change without
// showing, it is not sent: it can only stop what rests on another one.
func (x *Exchange) takeDate(header http.Header) {
	date, ok := x.dates.search.Date()
	if !ok {
		return
	}
	settled := x.dates.search.Settled(x.dates.asked, x.selected.Date)
	x.foundDate(date, settled && x.worthAlone(header))
	if settled {
		header["Last-Modified"] = x.one(httpcond.FormatDate(date))
	}
}

func (x *Exchange) foundDate(date time.Time, alone bool) {
	x.selected.LastModified = date
	x.kept.shared.set(dateFound)
	x.kept.shared.put(dateAlone, alone)
}

// takeFirstSeen makes the response's date the time when its tag was first seen, unless it has a later one. No two
// tags have the same, so that it need not be settled; but it is not sent before it has come.
//
// It goes before the rows, which may count from it. Where it is not known or still to come, there is no date at all:
// the other sources need not know of the change.
func (x *Exchange) takeFirstSeen(header http.Header, opaque string) {
	shared := x.kept.shared
	if !x.svc.Policy.Dates.FirstSeen || opaque == "" || header["Last-Modified"] != nil && !shared.is(dateFound) ||
		x.dates.searchErr() != nil {
		return
	}
	if own, ours := tag.Parse(opaque); ours {
		opaque = own.Digest
	}
	began := time.Now()
	date, ok := x.svc.Dates.FirstSeen(&x.dates.asSeen, header["Vary"], opaque, x.selected.now, x.visit.Waited())
	x.visit.Wait(time.Since(began))
	if !ok || date.After(x.selected.Date) {
		x.dates.unseen = true
		shared.put(dateAlone, false)
		delete(header, "Last-Modified")
		return
	}
	if date.Before(x.selected.LastModified) {
		return
	}
	x.foundDate(date, x.worthAlone(header))
	x.dates.firstSeen = true
	header["Last-Modified"] = x.one(httpcond.FormatDate(date))
}

// worthAlone reports whether a date that was found is as good as a tag. It knows what the page is made from. It does not
// know for whom, nor what `ignore` leaves out: by such a date alone, a 304 could bring back a form's dead token, or
// another user's page. The upstream's own date is trusted.
func (x *Exchange) worthAlone(header http.Header) bool {
	row := x.selected.row.choice
	return !x.kept.shared.is(ignoring) && (x.dates == nil || !x.dates.cookied) && header["Set-Cookie"] == nil && !(row != nil && row.Private()) &&
		httpcond.OnlyVariesOn(header["Vary"], "Accept-Encoding") && !httpcond.HasDirective(header["Cache-Control"], "private")
}

// narrowDate takes back that a date is worth something alone, where it is not here.
func (x *Exchange) narrowDate(header http.Header) {
	if x.kept.shared.is(dateAlone) && !x.worthAlone(header) {
		x.kept.shared.put(dateAlone, false)
	}
}

// dropDate takes a date that was found off a response that has no tag beside it, if it is worth nothing alone.
func (x *Exchange) dropDate(header http.Header) {
	if x.kept.shared.is(dateFound) && !x.kept.shared.is(dateAlone) && !x.selected.ETag.Usable {
		x.selected.LastModified = time.Time{}
		delete(header, "Last-Modified")
	}
}

// trust is how far the date can be compared. One that was found may move backwards.
func (x *Exchange) trust() httpcond.DateTrust {
	switch {
	case !x.kept.shared.is(dateFound):
		return httpcond.TrustOrder
	case !x.kept.shared.is(dateAlone):
		return httpcond.TrustDifference
	}
	return httpcond.TrustEqual
}

// strongDate is the Last-Modified where it may be one as well: the upstream's. One that was found speaks of a
// part of what the response is made from.
func (x *Exchange) strongDate() time.Time {
	if x.kept.shared.is(dateFound) {
		return time.Time{}
	}
	return x.selected.LastModified
}

// watchDate compares the content and the upstream's date with what they were. Where the one changes and the other does
// not, clients that ask by the date keep what is old, which nobody notices but by the log.
func (x *Exchange) watchDate(header http.Header, digest tag.Digest) {
	if s := x.selected; s.coded || x.svc.unmoved.Found() || !x.speaksForAll(header) || x.asked.identified() {
		return // of coded bodies, gzip's are different each time with some upstreams
	}
	sent, date := sentURL(x.asked.r), x.selected.LastModified
	uri := freshness.HashURL(x.asked.r.Host, sent.Path, sent.RawQuery)
	if x.svc.unmoved.See(uri, date, binary.LittleEndian.Uint64(digest[:])) {
		x.svc.Log.Warn("Last-Modified stays the same while the content changes, so that clients which ask by it alone keep old content; "+
			"where it is a constant of the build, use last_modified remove", zap.String("uri", sentURI(x.asked.r)), zap.Time("last_modified", date))
	}
}
