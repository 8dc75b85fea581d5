package exchange_test

import (
	"testing"
)

// Design §3: what `existing` does to an upstream's tag.
func TestExistingTag(t *testing.T) {
	existing := func(how string) *Handler { return &Handler{ETag: &ETag{Existing: how}} }
	abc, unquoted := sendsPage("Etag", `"abc"`), sendsPage("Etag", "abc")
	runTrials(t, []trial{
		{name: "keep", next: abc, want: pairs("Etag", `"abc"`), reason: "first_visit"},
		{name: "keep, weak", next: sendsPage("Etag", `W/"abc"`), want: pairs("Etag", `W/"abc"`)},
		{name: "keep under etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, next: abc, want: pairs("Etag", `"abc"`)},
		{name: "keep under etag off: it still counts", handler: &Handler{ETag: &ETag{Mode: "off"}}, next: abc, fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs("Etag", `"abc"`)},
		{name: "keep: a malformed one never matches", next: unquoted, fields: pairs("If-None-Match", `abc`), want: pairs("Etag", "abc")},
		{name: "repair quotes it", handler: existing("repair"), next: unquoted, want: pairs("Etag", `"abc"`)},
		{name: "repair, weak", handler: existing("repair"), next: sendsPage("Etag", `w/abc`), want: pairs("Etag", `W/"abc"`)},
		{name: "repaired, it matches", handler: existing("repair"), next: unquoted, fields: pairs("If-None-Match", `"abc"`), status: 304, want: pairs("Etag", `"abc"`)},
		{name: "repair leaves a good one", handler: existing("repair"), next: abc, want: pairs("Etag", `"abc"`), reason: "first_visit"},
		{name: "repair puts ours for a hopeless one", handler: existing("repair"), next: sendsPage("Etag", `"a" b`), want: pairs("Etag", strongTag), outcome: "tagged"},
		{name: "repair puts ours for two lines", handler: existing("repair"), next: sendsPage("Etag", `"a"`, "Etag", `"b"`), want: pairs("Etag", strongTag), outcome: "tagged"},
		{name: "weaken", handler: existing("weaken"), next: abc, want: pairs("Etag", `W/"abc"`)},
		{name: "weaken leaves a weak one", handler: existing("weaken"), next: sendsPage("Etag", `W/"abc"`), want: pairs("Etag", `W/"abc"`)},
		{name: "weaken leaves a malformed one", handler: existing("weaken"), next: unquoted, want: pairs("Etag", "abc")},
		{name: "weakened, it never matches If-Match (RFC 9110 §13.1.1)", handler: existing("weaken"), next: abc, fields: pairs("If-Match", `"abc"`), status: 412},
		{name: "weaken tags what has no tag", handler: existing("weaken"), want: pairs("Etag", strongTag)},
		{name: "replace", handler: existing("replace"), next: abc, want: pairs("Etag", strongTag), outcome: "tagged"},
		{name: "replace, and match", handler: existing("replace"), next: abc, fields: pairs("If-None-Match", strongTag), status: 304, want: pairs("Etag", strongTag)},
		{name: "replaced, the upstream's matches no more", handler: existing("replace"), next: abc, fields: pairs("If-None-Match", `"abc"`), want: pairs("Etag", strongTag)},
		{name: "replace on what is not held", handler: existing("replace"), next: sendsPage("Etag", `"abc"`, "Cache-Control", "no-store"), want: pairs("Etag", ""), reason: "no_store"},
		{name: "remove", handler: existing("remove"), next: abc, want: pairs("Etag", ""), reason: "existing_tag"},
		{name: "remove tags what has no tag", handler: existing("remove"), want: pairs("Etag", strongTag)},
	})
}

// Design §3: a tag that says nothing of the content is not trusted even under keep, and never sent on.
func TestUntrustedTag(t *testing.T) {
	off, repair := &Handler{LastModified: &LastModified{Mode: "off"}}, &Handler{ETag: &ETag{Existing: "repair"}}
	runTrials(t, []trial{
		{name: "of an embedded file", next: sendsPage("Etag", embeddedTag), outcome: "tagged", want: pairs("Etag", strongTag)},
		{name: "of the second 1", next: sendsPage("Etag", `"gjdgxs-c"`), outcome: "tagged", want: pairs("Etag", strongTag)},
		{name: "beside a build tool's date", next: sendsPage("Etag", `"abc"`, "Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "beside a build tool's date, left as it is", handler: off, next: sendsPage("Etag", `"abc"`, "Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", epochDate)},
		{
			name: "beside a build tool's date, removed", handler: &Handler{LastModified: &LastModified{Mode: "remove"}},
			next: sendsPage("Etag", `"abc"`, "Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", ""),
		},
		{name: "beside the year 1, the zero of .NET and Go", next: sendsPage("Etag", `"abc"`, "Last-Modified", "Mon, 01 Jan 0001 00:00:00 GMT"), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "with a 404", next: sends(404, "gone", "Etag", embeddedTag), status: 404, body: "gone", want: pairs("Etag", "")},
		{name: "with a 206", next: sends(206, "h", "Etag", embeddedTag), status: 206, body: "h", want: pairs("Etag", "")},
		{name: "with a 304", next: sends(304, "", "Etag", embeddedTag), status: 304, want: pairs("Etag", "")},
		{name: "on HEAD", method: "HEAD", next: sends(200, "", "Etag", embeddedTag), want: pairs("Etag", "")},
		{name: "on what is not held", next: sendsPage("Etag", embeddedTag, "Cache-Control", "no-store"), reason: "no_store", want: pairs("Etag", "")},
		{name: "under etag off", handler: &Handler{ETag: &ETag{Mode: "off"}}, next: sendsPage("Etag", embeddedTag), reason: "etag_off", want: pairs("Etag", "")},
		{name: "it matches nothing", next: sendsPage("Etag", embeddedTag), fields: pairs("If-None-Match", embeddedTag), want: pairs("Etag", strongTag)},
		{name: "repaired, beside a build tool's date", handler: repair, next: sendsPage("Etag", "abc", "Last-Modified", epochDate), want: pairs("Etag", strongTag)},
		{name: "repaired, of the second 1", handler: repair, next: sendsPage("Etag", "gjdgxs-c"), want: pairs("Etag", strongTag)},
		{name: "beside a real date it is trusted", next: sendsPage("Etag", `"abc"`, "Last-Modified", modified), want: pairs("Etag", `"abc"`, "Last-Modified", modified)},
	})
}

// Where no tag of ours would take its place, one that cannot be repaired stays as it is.
func TestHopelessTagStaysUnderETagOff(t *testing.T) {
	off := &Handler{ETag: &ETag{Mode: "off", Existing: "repair"}}
	runTrials(t, []trial{
		{name: "half a tag", handler: off, next: sendsPage("Etag", `"half`), want: pairs("Etag", `"half`)},
		{name: "two lines", handler: off, next: sendsPage("Etag", "a", "Etag", "b"), want: pairs("Etag", "a | b")},
	})
}

// Design §3, "Last-Modified".
func TestLastModified(t *testing.T) {
	off, remove := &Handler{LastModified: &LastModified{Mode: "off"}}, &Handler{LastModified: &LastModified{Mode: "remove"}}
	lenient := &Handler{LastModified: &LastModified{Lenient: true}}
	is := func(name string, handler *Handler, want string, sent ...string) trial {
		next := sendsPage()
		for _, line := range sent {
			next = withField(next, "Last-Modified", line)
		}
		return trial{name: name, handler: handler, next: next, want: pairs("Last-Modified", want)}
	}
	runTrials(t, []trial{
		is("IMF-fixdate", nil, modified, modified),
		is("RFC 850", nil, modified, "Tuesday, 14-Nov-23 22:13:20 GMT"),
		is("asctime", nil, modified, "Tue Nov 14 22:13:20 2023"),
		is("RFC 5322 zone", nil, modified, "Tue, 14 Nov 2023 23:13:20 +0100"),
		is("RFC 3339", nil, modified, "2023-11-14T22:13:20.5Z"),
		is("Unix seconds", nil, modified, "1700000000"),
		is("several lines: the latest valid", nil, modified, dayBefore, "yesterday", modified, dayBefore),
		is("not understood", nil, "", "yesterday"),
		is("the epoch", nil, "", "Thu, 01 Jan 1970 00:00:00 GMT"),
		is("1980-01-01", nil, "", "Tue, 01 Jan 1980 00:00:00 GMT"),
		is("1980-01-02", nil, "Wed, 02 Jan 1980 00:00:00 GMT", "Wed, 02 Jan 1980 00:00:00 GMT"),
		is("none", nil, ""),
		is("off", off, "yesterday", "yesterday"),
		is("off: several lines", off, modified+" | "+dayBefore, dayBefore, modified),
		is("off: the epoch", off, epochDate, epochDate),
		is("remove", remove, "", modified),
		is("lenient is about requests", lenient, modified, "1700000000"),
		{name: "later than Date becomes Date (RFC 9110 §8.8.2.1)", next: sendsPage("Last-Modified", dayAfter, "Date", modified), want: pairs("Last-Modified", modified, "Date", modified)},
		{name: "later than Date, off", handler: off, next: sendsPage("Last-Modified", dayAfter, "Date", modified), want: pairs("Last-Modified", dayAfter)},
		{name: "of an error", next: sends(404, "gone", "Last-Modified", epochDate), status: 404, body: "gone", want: pairs("Last-Modified", "")},
		{name: "of what is streamed", next: sendsPage("Last-Modified", "1700000000", "Cache-Control", "no-store"), want: pairs("Last-Modified", modified)},
		{name: "removed, it decides nothing", handler: remove, next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", modified)},
		{name: "off, it still decides", handler: off, next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", modified), status: 304},
		{name: "off, a build tool's decides nothing", handler: off, next: sendsPage("Last-Modified", epochDate), fields: pairs("If-Modified-Since", dayAfter)},
		{name: "an invalid condition is ignored (§13.1.3)", next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", `"`+modified+`"`)},
		{name: "lenient: it is not", handler: lenient, next: sendsPage("Last-Modified", modified), fields: pairs("If-Modified-Since", `"`+modified+`"`), status: 304},
		{name: "lenient: Unix seconds", handler: lenient, next: sendsPage("Last-Modified", modified), fields: pairs("If-Unmodified-Since", "1699999999"), status: 412},
	})
}
