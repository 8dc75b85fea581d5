package exchange_test

import (
	"net/http"
	"testing"
)

// codingRow is a page without a tag, passing, and a Range of it.
type codingRow struct {
	name   string
	accept string   // Accept-Encoding; empty: none
	fields []string // more of the request's
	page   []string // more of the response's
	row    string   // of cache_control, replacing
	reason string   // why the whole is sent; empty: a part
}

// run asks for it of a handler that makes no tag, so that another validator counts, or none.
func (row *codingRow) run(t *testing.T, mode string) {
	t.Helper()
	h := &Handler{ETag: &ETag{Mode: "off"}, Ranges: &Ranges{Mode: mode}}
	if row.row != "" {
		h.CacheControl = []CacheControl{{Directives: []string{row.row}, Existing: "replace"}}
	}
	fields := append(pairs("Range", "bytes=3-4"), row.fields...)
	if row.accept != "" {
		fields = append(fields, "Accept-Encoding", row.accept)
	}
	tt := trial{
		handler: h, fields: fields, next: sendsPage(append(pairs("Content-Length", "12"), row.page...)...),
		outcome: "streamed", reason: row.reason,
	}
	if row.reason == "" {
		tt.status, tt.body, tt.outcome, tt.reason = http.StatusPartialContent, "lo", "partial", "range"
	}
	tt.run(t)
}

// A date is the same for coded and plain bytes. For If-Range, it tells nothing where there may be both; for Range, where
// the client may have got coded ones (RFC 9110 §8.8.1, §13.1.5).
func TestADateAndCodings(t *testing.T) {
	dated := pairs("Last-Modified", modified)
	ifRange := pairs("If-Range", modified)
	plain, coded, vary := pairs("Cache-Control", "max-age=9, no-transform"), pairs("Content-Encoding", "gzip"), pairs("Vary", "Cookie, accept-encoding")
	with := func(lists ...[]string) (all []string) {
		for _, list := range append(lists, dated) {
			all = append(all, list...)
		}
		return all
	}
	for _, row := range []codingRow{
		{name: "no coding is accepted (wget -c)", page: with()},
		{name: "identity alone is", accept: "identity", page: with()},
		{name: "identity before all others (Chromium's media)", accept: "identity;q=1, *;q=0", page: with()},
		{name: "no coding is accepted, and Vary", page: with(vary)},
		{name: "a coding may follow", accept: "gzip", page: with(), reason: "range_coding"},
		{name: "any coding may follow", accept: "*", page: with(), reason: "range_coding"},
		{name: "no-transform", accept: "gzip", page: with(plain)},
		{name: "no-transform, and Vary", accept: "gzip", page: with(plain, vary), reason: "range_coding"},
		{name: "coded already", accept: "gzip", page: with(coded)},
		{name: "coded already, and Vary", accept: "gzip", page: with(coded, vary), reason: "range_coding"},
		{name: "coded already, and Vary of all", accept: "gzip", page: with(coded, pairs("Vary", "*")), reason: "range_coding"},
		{name: "Vary of another field", accept: "gzip", page: with(coded, pairs("Vary", "Origin"))},
		{name: "a row says no-transform", accept: "gzip", page: with(), row: "no-transform"},
		{name: "a row takes no-transform back", accept: "gzip", page: with(plain), row: "max-age=60", reason: "range_coding"},

		{name: "If-Range: a coding may follow for others", fields: ifRange, page: with(), reason: "range_coding"},
		{name: "If-Range: a coding may follow", fields: ifRange, accept: "gzip", page: with(), reason: "range_coding"},
		{name: "If-Range: no-transform", fields: ifRange, accept: "gzip", page: with(plain)},
		{name: "If-Range: no-transform, and Vary", fields: ifRange, page: with(plain, vary), reason: "range_coding"},
		{name: "If-Range: coded already", fields: ifRange, page: with(coded)},
		{name: "If-Range: coded already, and Vary", fields: ifRange, page: with(coded, vary), reason: "range_coding"},
		{name: "If-Range: another date", fields: pairs("If-Range", dayBefore), page: with(plain), reason: "if_range"},
		{name: "If-Range beside a strong tag: a coding may follow", fields: ifRange, page: with(pairs("Etag", `"r"`)), reason: "if_range"},
		{name: "If-Range beside a strong tag: no-transform", fields: ifRange, page: with(pairs("Etag", `"r"`), plain)},

		{name: "no date either", page: nil, reason: "no_validator"},
		{name: "no date either, and a coding may follow", accept: "gzip", reason: "no_validator"},
		{name: "a malformed tag", page: with(pairs("Etag", "r")), reason: "no_validator"},
		{name: "a date of this very second", page: pairs("Last-Modified", modified, "Date", modified), reason: "weak_validator"},
		{name: "a weak tag", page: with(pairs("Etag", `W/"r"`)), reason: "weak_validator"},
	} {
		t.Run(row.name, func(t *testing.T) { row.run(t, "on") })
	}
}

// Under stream the operator's word takes the place of a validator, where no coding can follow. If-Range never matches.
func TestRangeWithoutValidator(t *testing.T) {
	for _, row := range []codingRow{
		{name: "no coding is accepted"},
		{name: "identity", accept: "identity;q=1, *;q=0"},
		{name: "a coding may follow", accept: "gzip", reason: "range_coding"},
		{name: "coded already", accept: "gzip", page: pairs("Content-Encoding", "br")},
		{name: "no-transform", accept: "gzip", page: pairs("Cache-Control", "no-transform")},
		{name: "a row says no-transform", accept: "gzip", row: "no-transform"},
		{name: "a row takes no-transform back", accept: "gzip", page: pairs("Cache-Control", "no-transform"), row: "max-age=60", reason: "range_coding"},
		{name: "If-Range with a tag", fields: pairs("If-Range", `"r"`), reason: "if_range"},
		{name: "If-Range with a tag of ours", fields: pairs("If-Range", strongTag), reason: "if_range"},
		{name: "If-Range with a date", fields: pairs("If-Range", modified), reason: "if_range"},
		{name: "If-Range with a date, and a coding may follow", fields: pairs("If-Range", modified), page: pairs("Last-Modified", modified), reason: "if_range"},
		{name: "If-Range with a date that is strong", fields: pairs("If-Range", modified), page: pairs("Last-Modified", modified, "Content-Encoding", "br")},
		{name: "a date, coded already, and Vary", accept: "gzip", page: pairs("Last-Modified", modified, "Content-Encoding", "br", "Vary", "Accept-Encoding")},
		{name: "a date of this very second", page: pairs("Last-Modified", modified, "Date", modified)},
		{name: "a malformed tag", page: pairs("Etag", "r")},
		{name: "a weak tag", page: pairs("Etag", `W/"r"`), reason: "weak_validator"},
		{name: "no-store", page: pairs("Cache-Control", "no-store")},
		{name: "the upstream says that it has no parts", page: pairs("Accept-Ranges", "none")},
	} {
		t.Run(row.name, func(t *testing.T) { row.run(t, "stream") })
	}
}

// What says that parts can be had, and what of it is the upstream's to say.
func TestAcceptRanges(t *testing.T) {
	off := func(mode string) *Handler { return &Handler{ETag: &ETag{Mode: "off"}, Ranges: &Ranges{Mode: mode}} }
	stream := &Handler{Ranges: &Ranges{Mode: "stream"}, Buffer: &Buffer{MaxBody: 11}}
	untagged := sendsPage("Content-Length", "12")
	none := withField(untagged, "Accept-Ranges", "none")
	tagged := withField(none, "Etag", `"r"`)
	gzip := pairs("Accept-Encoding", "gzip")
	runTrials(t, []trial{
		{name: "no validator", handler: off("on"), next: untagged, want: pairs("Accept-Ranges", "")},
		{name: "no validator, stream", handler: off("stream"), next: untagged, want: pairs("Accept-Ranges", "bytes")},
		{name: "no validator, stream, over max_body", handler: stream, next: untagged, want: pairs("Accept-Ranges", "bytes")},
		{name: "no validator, stream, and a coding may follow", handler: off("stream"), fields: gzip, next: untagged, want: pairs("Accept-Ranges", "")},
		{name: "a date", handler: off("on"), next: withField(untagged, "Last-Modified", modified), want: pairs("Accept-Ranges", "bytes")},
		{name: "a date, and a coding may follow", handler: off("on"), fields: gzip, next: withField(untagged, "Last-Modified", modified), want: pairs("Accept-Ranges", "")},
		{name: "a date, gzip and no-transform", handler: off("on"), fields: gzip, next: withField(withField(untagged, "Last-Modified", modified), "Cache-Control", "no-transform"), want: pairs("Accept-Ranges", "bytes")},
		{name: "none stands", next: tagged, want: pairs("Accept-Ranges", "none")},
		{name: "none stands beside a tag of ours", next: none, outcome: "tagged", want: pairs("Accept-Ranges", "none", "Etag", strongTag)},
		{name: "none stands under existing replace", handler: &Handler{ETag: &ETag{Existing: "replace"}}, next: tagged, want: pairs("Accept-Ranges", "none", "Etag", strongTag)},
		{name: "none of HEAD", method: "HEAD", next: sends(200, "", "Etag", `"r"`, "Content-Length", "12", "Accept-Ranges", "none"), want: pairs("Accept-Ranges", "none")},
		{name: "none under stream", handler: stream, next: tagged, want: pairs("Accept-Ranges", "bytes")},
		{name: "none under stream, with a weak tag", handler: stream, next: withField(none, "Etag", `W/"r"`), want: pairs("Accept-Ranges", "none")},
		{name: "none, and a part", fields: pairs("Range", "bytes=3-4"), next: tagged, reason: "accept_ranges", want: pairs("Accept-Ranges", "none", "Content-Range", "")},
		{name: "none, and a part of what is held", fields: pairs("Range", "bytes=3-4"), next: none, outcome: "tagged", reason: "accept_ranges"},
		{name: "none, and nothing at that place", fields: pairs("Range", "bytes=99-"), next: tagged, reason: "accept_ranges"},
		{name: "none, and If-Range of another", fields: pairs("Range", "bytes=3-4", "If-Range", `"s"`), next: tagged, reason: "if_range"},
		{name: "none beside bytes is none of both", fields: pairs("Range", "bytes=3-4"), next: withField(tagged, "Accept-Ranges", "bytes"), status: 206, body: "lo", want: pairs("Accept-Ranges", "bytes")},
		{name: "none under stream, and a part", handler: stream, fields: pairs("Range", "bytes=3-4"), next: tagged, status: 206, body: "lo", want: pairs("Accept-Ranges", "bytes")},
		{name: "none of a part of the upstream's", fields: pairs("Range", "bytes=3-4"), next: sends(206, "lo", "Content-Range", "bytes 3-4/12", "Accept-Ranges", "none"), status: 206, body: "lo", want: pairs("Accept-Ranges", "none")},
	})
}

// A part is of the plain bytes, and a client that accepts a coding may get coded ones under the same URI.
func TestVaryOfAPart(t *testing.T) {
	strong, weakly, off := &Handler{ETag: &ETag{Mode: "strong"}}, &Handler{}, &Handler{ETag: &ETag{Mode: "off"}, Ranges: &Ranges{Mode: "stream"}}
	part, gzip := pairs("Range", "bytes=3-4"), pairs("Range", "bytes=3-4", "Accept-Encoding", "gzip")
	tagged := sendsPage("Etag", `"r"`, "Content-Length", "12")
	for _, tt := range []trial{
		{name: "strong", handler: strong, fields: gzip, want: pairs("Vary", "Accept-Encoding")},
		{name: "strong, no coding", handler: strong, fields: part, want: pairs("Vary", "")},
		{name: "auto, no coding", handler: weakly, fields: part, want: pairs("Vary", "Accept-Encoding")},
		{name: "the upstream's tag", fields: gzip, next: tagged, want: pairs("Vary", "Accept-Encoding")},
		{name: "the upstream's tag, no coding", fields: part, next: tagged, want: pairs("Vary", "")},
		{name: "the upstream's tag, coded already", fields: gzip, next: withField(tagged, "Content-Encoding", "br"), want: pairs("Vary", "Accept-Encoding")},
		{name: "said already", fields: gzip, next: withField(tagged, "Vary", "Cookie, Accept-Encoding"), want: pairs("Vary", "Cookie, Accept-Encoding")},
		{name: "beside another", fields: gzip, next: withField(tagged, "Vary", "Cookie"), want: pairs("Vary", "Cookie | Accept-Encoding")},
		{name: "a date, no coding", handler: off, fields: part, next: sendsPage("Last-Modified", modified, "Content-Length", "12"), want: pairs("Vary", "Accept-Encoding")},
		{name: "no validator, no coding", handler: off, fields: part, next: sendsPage("Content-Length", "12"), want: pairs("Vary", "Accept-Encoding")},
		{name: "no validator, no-transform", handler: off, fields: part, next: sendsPage("Content-Length", "12", "Cache-Control", "no-transform"), want: pairs("Vary", "")},
	} {
		tt.status, tt.body = http.StatusPartialContent, "lo"
		t.Run(tt.name, tt.run)
	}
}

// Several parts are put together under the operator's word as under a validator, if the body is held for it.
func TestSeveralWithoutValidator(t *testing.T) {
	h := provisioned(t, &Handler{ETag: &ETag{Mode: "off"}, Ranges: &Ranges{Mode: "stream", Max: 2}})
	v := newVisit(t, http.MethodGet, "/", "Range", "bytes=0-1, -2").to(h, sendsLongPage())
	boundary := v.rec.Header().Get("Content-Type")
	if i := len("multipart/byteranges; boundary="); len(boundary) > i {
		boundary = boundary[i:]
	}
	if want := twoParts(boundary, "text/plain"); v.rec.Code != http.StatusPartialContent || v.rec.Body.String() != want {
		t.Errorf("status %d, %q, want %q", v.rec.Code, v.rec.Body, want)
	}
}
