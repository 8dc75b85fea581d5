package exchange

import (
	"cmp"
	"math"
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// rowState is what the rows of cache_control say of a response. It is set by chooseRow.
type rowState struct {
	choice    *policy.Row // the one that applies; nil: none does; set by takeRow
	silenced  *policy.Row // the one that has applied to the 200 that a 304 stands for, and says nothing now; set by takeRow
	uncertain bool        // the media type, and with it the row, is known with the body only; cleared by sniff
	hidden    bool        // for an upstream's 304: a row that replaces or merges may have applied to its 200; set by hideRow
	silent    bool        // a row applies, or may have, but sets nothing now, and nothing takes its place; set by takeRow or hideRow
	dated     bool        // for such a 304: its 200 may have a lifetime that counts from Last-Modified; set by hideRow
	applied   bool        // what was made of an upstream's word is not that word; set by applyRow
	number    uint8       // of the row that was found, from 1 on; 0: none, or one past the 255th; set by chooseRow
}

// chooseRow finds the row of cache_control that applies to the response: the first that matches. Where
// that cannot be known, none does, and what the client has stored stands (RFC 9111 §3.2).
func (x *Exchange) chooseRow(status int, header http.Header) {
	rows := x.svc.Policy.Freshness.Rows
	if len(rows) == 0 {
		return
	}
	x.selected.row = rowState{applied: x.selected.row.applied}
	_, typed := header["Content-Type"]
	typed = typed || x.selected.coded // net/http finds out the type of what is neither
	contentType := first(header["Content-Type"])
	for i := range rows {
		row := &rows[i]
		if row.SpeaksNotOf(status) {
			continue
		}
		if row.Unknowable(status, contentType) {
			x.hideRow(i)
			return
		}
		if row.Typed() && !typed {
			x.selected.row.uncertain = true
		}
		if row.Matches(x.asSentAtHead, status, header, contentType) {
			x.takeRow(row, status, header)
			x.selected.row.number = numberOf(i)
			return
		}
	}
}

func numberOf(i int) uint8 {
	if i >= math.MaxUint8 {
		return 0
	}
	return uint8(i + 1) //nolint:gosec // it is less
}

// takeRow takes the row that applies. For a 304 that was not made here it counts only if it replaces, if it has something
// to merge with, or if it counts from Last-Modified (RFC 9110 §15.4.5). Else what it said in the 200 stands.
func (x *Exchange) takeRow(row *policy.Row, status int, header http.Header) {
	dated := x.svc.Policy.Freshness.AfterModified != 0 && row.Dated()
	if status != http.StatusNotModified || row.Replaces() || dated || row.Merges() && freshness.Explicit(header) {
		x.selected.row.choice = row
	} else {
		x.selected.row.silent, x.selected.row.silenced = true, row
	}
}

// hideRow notes what the row may have said that cannot be known: one from the i-th on.
func (x *Exchange) hideRow(i int) {
	state, rows := &x.selected.row, x.svc.Policy.Freshness.Rows
	state.silent = true
	for ; i < len(rows); i++ {
		row := &rows[i]
		hides := row.Unknowable(http.StatusNotModified, "")
		if row.SpeaksNotOf(http.StatusNotModified) || !hides && !row.Matches(x.asSentAtHead, http.StatusNotModified, nil, "") {
			continue
		}
		state.hidden = state.hidden || row.Replaces() || row.Merges()
		state.dated = state.dated || row.Dated()
		if !hides {
			return
		}
	}
	state.dated = true // it may have been none
}

// goesUnstored reports whether the response will go out with no-store: what the row makes of the upstream's word decides.
// It is asked before dress. A row that is known with the body only changes nothing until then.
func (x *Exchange) goesUnstored(header http.Header) bool {
	if row := &x.selected.row; row.choice != nil && !row.uncertain {
		return row.choice.NoStore(header)
	}
	return httpcond.HasDirective(x.selected.cacheControl, "no-store")
}

// dress sets the fields that depend on the configuration: Cache-Control, Expires, Content-Location.
func (x *Exchange) dress(header http.Header) {
	status := x.resp.Status()
	if x.selected.row.hidden && status == http.StatusNotModified {
		// A row that replaces or merges may have spoken in the 200: what is stored then stands, which
		// the upstream's own word in its 304 would write over (RFC 9111 §3.2).
		delete(header, "Cache-Control")
		delete(header, "Expires")
		delete(header, "Pragma")
	}
	if x.svc.Policy.Freshness.Any() {
		x.applyRow(header)
	}
	if x.dates.looked() && !x.selected.LastModified.IsZero() {
		freshness.NoHeuristic(header)
	}
	if x.asked.location != "" && header["Content-Location"] == nil && (status == http.StatusOK || status == http.StatusNotModified) {
		header["Content-Location"] = x.one(x.asked.location)
	}
}

// applyRow applies the row of cache_control, once, and `expires modified` to what no row speaks to.
func (x *Exchange) applyRow(header http.Header) {
	state, says := &x.selected.row, &x.svc.Policy.Freshness
	if len(says.Rows) > 0 && !state.applied {
		x.kept.said.Dressed(state.dresses(header), state.number)
	}
	if state.uncertain || state.applied {
		return
	}
	state.applied = true
	resp := freshness.Response{
		Personal: x.asked.personal || header["Set-Cookie"] != nil,
		Expires:  says.Expires,
		Now:      x.selected.now,
		URL:      x.asked.urlHash,
	}
	switch status := x.resp.Status(); status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusPartialContent, http.StatusNotModified:
		if resp.AfterModified = says.AfterModified; resp.AfterModified != 0 {
			resp.LastModified = x.modified(status, header)
		}
	}
	if x.visit != nil {
		x.visit.ForCookie = header["Set-Cookie"] != nil && !x.asked.personal && !freshness.Explicit(header) &&
			(state.choice == nil || !state.choice.Personal())
	}
	switch {
	case state.choice != nil:
		state.choice.Apply(header, resp)
	case state.dated && x.resp.Status() == http.StatusNotModified:
		resp.LastModified = longAgo
		freshness.ApplyWithoutRow(header, resp)
	case !state.silent:
		freshness.ApplyWithoutRow(header, resp)
	}
}

// dresses is what becomes of a row, given the fields as the upstream has sent them.
func (s *rowState) dresses(header http.Header) journal.Reason {
	switch row := cmp.Or(s.choice, s.silenced); {
	case row != nil && row.Off() && !s.uncertain:
		return journal.RowOff
	case s.uncertain || s.silent && s.silenced == nil:
		return journal.RowHidden
	case s.silent:
		return journal.RowStands
	case s.choice == nil:
		return journal.NoMatch
	case !freshness.Explicit(header):
		return journal.RowAdded
	case s.choice.Replaces():
		return journal.RowReplaced
	case s.choice.Merges():
		return journal.RowMerged
	}
	return journal.RowKept
}

// saysNoTransform reports whether the response goes out with no-transform. The row that says so, or takes it back, may be
// still to come.
func (x *Exchange) saysNoTransform(header http.Header) bool {
	if state := &x.selected.row; state.choice != nil && !state.applied && !state.uncertain {
		dressed := http.Header{"Cache-Control": header["Cache-Control"], "Expires": header["Expires"], "Pragma": header["Pragma"]}
		state.choice.Apply(dressed, freshness.Response{Now: x.selected.now})
		header = dressed
	}
	return httpcond.HasDirective(header["Cache-Control"], "no-transform")
}

// longAgo stands for a Last-Modified that nobody knows: what counts from it has ended.
var longAgo = time.Unix(0, 0)

// modified is the Last-Modified that `expires modified` counts from; zero is none.
//
// A 304 that was not made here need not have that of its 200 (RFC 9110 §15.4.5), nor a 206 in answer to If-Range
// (§15.3.7). But they renew the Date of what is stored (RFC 9111 §3.2), and with it any max-age that they do not
// write over. So the date in a tag of ours counts instead, and where there is none, the lifetime has ended: that
// costs a client a question, not a stale page.
func (x *Exchange) modified(status int, header http.Header) time.Time {
	s := x.selected
	relayed := status == http.StatusNotModified || status == http.StatusPartialContent && x.shown.cond.byRange()
	if x.kept.shared.is(dateFound) && s.LastModified.After(s.Date) {
		return time.Time{} // it is not sent either, and may be any number of years ahead
	}
	if !s.LastModified.IsZero() || !relayed {
		return s.LastModified
	}
	own, _ := tag.Parse(upstream.ReadETag(header["Etag"]).Tag.Opaque)
	switch {
	case own.Date.IsZero() || !x.who().Has(own.Who):
		return longAgo
	case own.Date.After(s.Date):
		return s.Date // a client has made it up
	}
	return own.Date
}
