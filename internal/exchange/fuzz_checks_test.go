package exchange_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// check is what holds of every answer.
func (x *handlerTrial) check(a *answered) {
	x.wantLeft(a)
	if a.panicked != nil && (a.panicked != http.ErrAbortHandler || x.script.end != markAbort) { //nolint:errorlint // as net/http
		x.t.Errorf("a panic: %v\n%s", a.panicked, a.stack)
	}
	if a.heads+a.refused+a.excess > 0 {
		x.t.Errorf("%d heads too many, %d octets where there is no content, %d past the declared length", a.heads, a.refused, a.excess)
	}
	if a.method == http.MethodHead && len(a.body) > 0 {
		x.t.Errorf("HEAD has content: %q", a.body)
	}
	x.checkLength(a)
	x.checkVary(a)
	if len(a.calls) == 1 && !writes(a.method) && !reflect.DeepEqual(a.interim, x.plain.interim) {
		x.t.Errorf("interim responses %v, want %v", a.interim, x.plain.interim)
	}
	if a.panicked != nil {
		x.checkCut(a)
		return
	}
	x.checkStatus(a)
}

// checkStatus is what holds of an answer with its status.
func (x *handlerTrial) checkStatus(a *answered) {
	switch code := a.code(); {
	case writes(a.method):
		x.checkWrite(a)
	case code == http.StatusNotModified:
		x.check304(a)
	case code == http.StatusPartialContent:
		x.check206(a)
	case code == http.StatusRequestedRangeNotSatisfiable:
		x.check416(a)
	case code == http.StatusPreconditionFailed:
		x.check412(a)
	case code == http.StatusOK:
		x.check200(a)
	case code == http.StatusBadGateway && a.err != nil:
		if x.script.end != markAbort && x.script.end != markFail {
			x.t.Errorf("it failed, and the upstream did not: %v", a.err)
		}
	case code != x.script.status:
		x.t.Errorf("status %d, and the upstream says %d", code, x.script.status)
	case !bytes.Equal(a.body, x.script.content) && a.method == http.MethodGet && bodyAllowed(code):
		x.t.Errorf("the content of the %d is %q", code, a.body)
	}
}

// checkLength: Content-Length is that of the content, unless the upstream has announced more than it sent.
func (x *handlerTrial) checkLength(a *answered) {
	if !a.complete() || a.method == http.MethodHead || a.length < 0 || !bodyAllowed(a.status) || x.script.end == markEnd {
		return
	}
	if int64(len(a.body)) != a.length {
		x.t.Errorf("Content-Length: %d, and there are %d octets", a.length, len(a.body))
	}
}

// checkVary: Vary has all that the upstream has in it.
func (x *handlerTrial) checkVary(a *answered) {
	if a.upstream() == 0 || x.script.end == markAbort || x.script.end == markFail {
		return
	}
	has := listOf(a.header["Vary"])
	for member := range listOf(x.script.header["Vary"]) {
		if !has[member] {
			x.t.Errorf("Vary: %q lacks %q", a.header["Vary"], member)
		}
	}
}

// checkCut is what holds of a response that broke off: what came is the beginning, and nothing says that it is the whole.
func (x *handlerTrial) checkCut(a *answered) {
	if a.status == http.StatusOK && !bytes.HasPrefix(x.script.content, a.body) {
		x.t.Errorf("what came before the end is %q", a.body)
	}
	x.wantUntagged(a)
}

// wantUntagged: what breaks off has no tag that was made of it.
func (x *handlerTrial) wantUntagged(a *answered) {
	if a.status == http.StatusOK && a.method == http.MethodGet && x.script.header["Etag"] == nil &&
		strings.Contains(a.sent.Get("Etag"), `"cc1.`) {
		x.t.Errorf("what broke off has the tag %s", a.sent.Get("Etag"))
	}
}

// check304: a 304 was asked for, has the fields of the 200, and no content.
func (x *handlerTrial) check304(a *answered) {
	for name, lines := range a.sent {
		if isPolicyWithNonce(name, lines) {
			x.t.Errorf("a 304 has %s: %q", name, lines)
		}
	}
	if len(a.calls) == 0 {
		x.checkRecalled(a)
	}
	switch relayed := a.upstream() == http.StatusNotModified; {
	case relayed && x.script.status == http.StatusNotModified:
		x.wantFieldsOf304(a)
	case !asksForChange(a.fields):
		x.t.Errorf("a 304 without a condition")
	case relayed:
		x.wantFieldsOf304(a)
	case x.script.status != http.StatusOK:
		x.t.Errorf("a 304 in place of a %d", x.script.status)
	case !x.agrees(a.fields):
		x.t.Errorf("a 304, and the content is another one")
	case x.whole.complete() && x.whole.status == http.StatusOK:
		x.wantFieldsOf200(a)
	}
}

// wantFieldsOf304: what the upstream's own 304 has and a 304 carries stays, but for what rows of the configuration say.
func (x *handlerTrial) wantFieldsOf304(a *answered) {
	for name, lines := range x.script.header {
		switch {
		case describesContent(name), isPolicyWithNonce(name, lines), isNoDate(name, lines), name == "Etag", name == "Last-Modified", name == "Vary":
		case x.config.rows && (name == "Cache-Control" || name == "Expires"):
		case !reflect.DeepEqual(a.sent[name], lines):
			x.t.Errorf("the upstream's 304 has %s: %q, this one %q", name, lines, a.sent[name])
		}
	}
}

// isNoDate reports whether a field is a Date that may be none: Expires needs one to be counted from.
func isNoDate(name string, lines []string) bool {
	date, ok := dateIn(lines)
	return name == "Date" && (!ok || date.Format(http.TimeFormat) != lines[0])
}

func isPolicyWithNonce(name string, lines []string) bool {
	return (name == "Content-Security-Policy" || name == "Content-Security-Policy-Report-Only") &&
		slices.ContainsFunc(lines, nonceSource.MatchString)
}

func asksForChange(h http.Header) bool {
	return h["If-None-Match"] != nil || h["If-Modified-Since"] != nil
}

// agrees reports whether the conditions may be taken to say that the client has the content.
func (x *handlerTrial) agrees(h http.Header) bool {
	// What broke off behind its head has said in that what it was. What broke off before has not said how it would be read.
	validators, said := x.whole.sent, x.whole.sent != nil
	if !said {
		validators = x.script.header
	}
	current := tagsIn(validators["Etag"])
	modified, dated := dateIn(validators["Last-Modified"])
	if match := h["If-Match"]; match != nil && !isAny(match) && (len(current) == 0 || !names(match, current[0])) {
		return false
	}
	if since, ok := dateIn(h["If-Unmodified-Since"]); ok && dated && h["If-Match"] == nil && modified.After(since) {
		return false
	}
	if none := h["If-None-Match"]; none != nil {
		return isAny(none) || len(current) > 0 && names(none, current[0])
	}
	since, ok := dateIn(h["If-Modified-Since"])
	if x.config.found && x.script.header["Last-Modified"] == nil && said {
		return ok && dated && modified.Equal(since) // it may move backwards
	}
	return x.config.lenient || !said || ok && dated && !modified.After(since)
}

// wantFieldsOf200: a 304 has what the 200 would have (RFC 9110 §15.4.5).
func (x *handlerTrial) wantFieldsOf200(a *answered) {
	for name, lines := range x.whole.sent {
		got := a.sent[name]
		switch {
		case name == "Etag":
			x.wantTagOf200(a, got, lines)
		case (name == "Expires" || name == "Date") && within5s(got, lines):
		case describesContent(name):
			if got != nil && !x.config.keeps {
				x.t.Errorf("a 304 has %s: %q", name, got)
			}
		case isPolicyWithNonce(name, lines), name == "Last-Modified" && got == nil:
		case len(a.calls) == 0 && !isRemembered(name):
		case !reflect.DeepEqual(got, lines):
			x.t.Errorf("the 304 has %s: %q, the 200 %q", name, got, lines)
		}
	}
}

// isRemembered reports whether a record has a field of the 200: a 304 must have it, or a browser looks for it there.
func isRemembered(name string) bool {
	switch name {
	case "Cache-Control", "Content-Location", "Date", "Expires", "Vary", "Timing-Allow-Origin", "Cross-Origin-Resource-Policy":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}

// wantTagOf200: a 304 has the tag of the 200, in one form or the other. It has none if the 200
// has none that could be in a record, if it is to be made of the content and only a date was asked by, or if the 200 to the same request, a HEAD, would have none: there is no content that
// one could be made of.
func (x *handlerTrial) wantTagOf200(a *answered, got, of200 []string) {
	current, tags := tagsIn(of200), tagsIn(got)
	switch {
	case got != nil:
		if len(current) > 0 && (len(tags) != 1 || !sameContent(tags[0].opaque, current[0].opaque)) {
			x.t.Errorf("the 304 has ETag: %q, the 200 %q", got, of200)
		}
	case a.fields["If-None-Match"] == nil && (len(current) == 0 || isOurs(current[0])), !isTag(of200[0]):
	case len(a.calls) > 0 && a.calls[len(a.calls)-1].method == http.MethodHead && isOurs(current[0]):
	default:
		x.t.Errorf("the 304 has no ETag, the 200 %q", of200)
	}
}

// check206: the parts are those that were asked for, octet by octet.
func (x *handlerTrial) check206(a *answered) {
	if a.upstream() == http.StatusPartialContent && x.script.status == http.StatusPartialContent {
		if a.method == http.MethodGet && !bytes.Equal(a.body, x.script.content) {
			x.t.Errorf("the upstream's 206 became %q", a.body)
		}
		return
	}
	sent := x.parts(a)
	if a.upstream() == http.StatusPartialContent {
		return
	}
	asked, ok := spansIn(a.fields["Range"], x.script.size())
	if !ok || a.method != http.MethodGet || x.script.status != http.StatusOK {
		x.t.Errorf("a 206 to %s of %q in place of a %d", a.method, a.fields["Range"], x.script.status)
		return
	}
	if !covers(sent, asked) || !covers(asked, sent) {
		x.t.Errorf("the parts are %v, asked for were %v", sent, asked)
	}
	if !x.mayContinue(a) {
		x.t.Errorf("a 206 under If-Range: %q", a.fields["If-Range"])
	}
	x.checkFieldsOf206(a)
}

// checkFieldsOf206: what was made here has the tag of the whole, which is a strong one, and its freshness (RFC 9110
// §15.3.7). With a weak one nobody could put parts together.
func (x *handlerTrial) checkFieldsOf206(a *answered) {
	tags, whole := tagsIn(a.sent["Etag"]), tagsIn(x.whole.header["Etag"])
	if len(tags) > 0 && tags[0].weak || x.whole.complete() && len(tags) > 0 && len(whole) > 0 && !sameContent(tags[0].opaque, whole[0].opaque) {
		x.t.Errorf("a 206 with ETag: %q, the 200 has %q", a.sent["Etag"], x.whole.header["Etag"])
	}
	// Of a row for a media type that only the content tells, a 200 that passes has nothing.
	got, want := a.sent["Cache-Control"], x.whole.header["Cache-Control"]
	if x.whole.complete() && !reflect.DeepEqual(got, want) && !(x.config.rows && want == nil) {
		x.t.Errorf("a 206 with Cache-Control: %q, the 200 has %q", got, want)
	}
}

// parts reads a 206, and compares it with the content.
func (x *handlerTrial) parts(a *answered) (sent []span) {
	kind, params, err := mime.ParseMediaType(a.sent.Get("Content-Type"))
	if a.sent.Get("Content-Range") != "" || err != nil || kind != "multipart/byteranges" {
		return []span{x.part(a, a.sent.Get("Content-Range"), a.body)}
	}
	r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for {
		part, err := r.NextRawPart()
		if err != nil {
			if err != io.EOF { //nolint:errorlint // as it is documented
				x.t.Errorf("%v in %q", err, a.body)
			}
			return sent
		}
		content, err := io.ReadAll(part)
		if err != nil {
			x.t.Errorf("%v in %q", err, a.body)
		}
		sent = append(sent, x.part(a, part.Header.Get("Content-Range"), content))
	}
}

func (x *handlerTrial) part(a *answered, contentRange string, content []byte) (s span) {
	if a.upstream() == http.StatusPartialContent && x.script.size() == 0 && len(content) == 0 && contentRange == "bytes 0--1/0" {
		return s // as net/http says of the last octets of an empty file; an upstream's 206 passes untouched
	}
	text, size, _ := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "/")
	from, to, _ := strings.Cut(text, "-")
	var errs [2]error
	s.from, errs[0] = strconv.Atoi(from)
	s.to, errs[1] = strconv.Atoi(to)
	s.to++
	// Of what breaks off there is no more than came.
	whole := x.script.content
	came := whole[min(max(s.from, 0), len(whole)):min(max(s.to, s.from, 0), len(whole))]
	switch {
	case errs != [2]error{} || size != strconv.Itoa(x.script.size()) || s.from >= s.to || s.to > x.script.size():
		x.t.Errorf("Content-Range: %q of %d octets", contentRange, len(whole))
	case !bytes.Equal(content, came):
		x.t.Errorf("%s is %q", contentRange, content)
	}
	return s
}

// mayContinue reports whether If-Range lets the client go on with what it has (RFC 9110 §13.1.5).
func (x *handlerTrial) mayContinue(a *answered) bool {
	lines := a.fields["If-Range"]
	if len(lines) == 0 || !x.whole.complete() || x.script.way == wayContent {
		return true
	}
	current := tagsIn(x.whole.header["Etag"])
	if named := tagsIn(lines); len(named) > 0 {
		return len(current) > 0 && !named[0].weak && !current[0].weak && sameContent(named[0].opaque, current[0].opaque)
	}
	modified, _ := dateIn(x.whole.header["Last-Modified"])
	since, ok := dateIn(lines)
	return x.config.lenient || ok && since.Equal(modified)
}

// check416: there is nothing of what was asked for.
func (x *handlerTrial) check416(a *answered) {
	if a.err == nil && a.upstream() == http.StatusRequestedRangeNotSatisfiable {
		return
	}
	asked, ok := spansIn(a.fields["Range"], x.script.size())
	want := "bytes */" + strconv.Itoa(x.script.size())
	if !ok || len(asked) > 0 || a.method != http.MethodGet || x.script.status != http.StatusOK || a.header.Get("Content-Range") != want || !x.mayContinue(a) {
		x.t.Errorf("a 416 with Content-Range: %q to %q", a.header["Content-Range"], a.fields["Range"])
	}
}

// check412: a condition is false that stops a request.
func (x *handlerTrial) check412(a *answered) {
	if a.err == nil && a.upstream() == http.StatusPreconditionFailed {
		return
	}
	match := a.fields["If-Match"]
	current := tagsIn(x.whole.header["Etag"])
	modified, dated := dateIn(x.whole.header["Last-Modified"])
	since, ok := dateIn(a.fields["If-Unmodified-Since"])
	switch {
	case x.script.status > 299:
		x.t.Errorf("a 412 in place of a %d", x.script.status)
	case match == nil && a.fields["If-Unmodified-Since"] == nil, isAny(match):
		x.t.Errorf("a 412 without a condition that is false")
	case !x.whole.complete():
	case len(match) == 1 && len(current) == 1 && !current[0].weak && match[0] == x.whole.header.Get("Etag"):
		x.t.Errorf("a 412, and If-Match names the current tag")
	case match == nil && !x.config.lenient && (!ok || dated && modified.Equal(since)):
		x.t.Errorf("a 412, and nothing has changed since If-Unmodified-Since")
	}
}

// check200: the content is the upstream's, octet by octet, and its fields are.
func (x *handlerTrial) check200(a *answered) {
	content := x.script.content
	if a.method == http.MethodGet && !bytes.Equal(a.body, content) {
		x.t.Errorf("the content is %q, want %q", a.body, content)
	}
	if end := x.script.end; a.method == http.MethodGet && end != 0 {
		x.wantUntagged(a)
		if end != markEnd && a.complete() {
			x.t.Errorf("the upstream has failed, and this is a 200")
		}
	}
	if x.script.status != http.StatusOK {
		x.t.Errorf("a 200 in place of a %d", x.script.status)
	}
	if a.complete() && a.method == http.MethodGet && x.plain.complete() {
		x.checkFields(a)
	}
	if x.mustConfirm(a) {
		x.t.Errorf("a 200, and If-None-Match names its tag %s", x.whole.sent.Get("Etag"))
	}
	if x.mustFail(a) {
		x.t.Errorf("a 200, and If-Match does not name its tag %s", x.whole.sent.Get("Etag"))
	}
}

// checkFields: what the upstream has sent, and is not ours to treat, is there, trailers too.
func (x *handlerTrial) checkFields(a *answered) {
	treated := []string{
		"Etag", "Last-Modified", "Cache-Control", "Expires", "Accept-Ranges", "Content-Length", "Vary", "Content-Location", "Content-Type",
	}
	for name, lines := range x.plain.sent {
		if !slices.Contains(treated, name) && !isNoDate(name, lines) && !reflect.DeepEqual(a.sent[name], lines) && !(a.coding != "" && slices.Contains(digestFields, name)) {
			x.t.Errorf("%s: %q became %q", name, lines, a.sent[name])
		}
	}
	for name, lines := range a.sent {
		if !slices.Contains(treated, name) && name != "Date" && x.plain.sent[name] == nil {
			x.t.Errorf("nobody has said %s: %q", name, lines)
		}
	}
	if x.script.way != wayContent && !reflect.DeepEqual(a.trailers, x.plain.trailers) {
		x.t.Errorf("the trailers %v became %v", x.plain.trailers, a.trailers)
	}
}

// mustConfirm reports whether a 200 should have been a 304: the one tag that the client names is the current one.
func (x *handlerTrial) mustConfirm(a *answered) bool {
	lines, current := a.fields["If-None-Match"], x.whole.sent["Etag"]
	named := len(lines) == 1 && len(current) == 1 && lines[0] == current[0] && isTag(current[0])
	return (named || isAny(lines) && x.script.end == 0) &&
		a.fields["If-Match"] == nil && a.fields["If-Unmodified-Since"] == nil && a.fields["Upgrade"] == nil &&
		a.method == http.MethodGet && x.whole.complete() && x.whole.status == http.StatusOK &&
		x.config.delay == 0 && a.complete() && x.script.way != wayContent
}

// mustFail reports whether a 200 should have been a 412: nothing that the client names is the current tag. Of what is cut
// off there is no tag, and the client is to see that it is cut off.
func (x *handlerTrial) mustFail(a *answered) bool {
	match, current := a.fields["If-Match"], tagsIn(x.whole.sent["Etag"])
	if match == nil || isAny(match) || a.fields["Upgrade"] != nil || x.script.end != 0 || !a.complete() || !x.whole.complete() {
		return false
	}
	return len(current) != 1 || current[0].weak || !names(match, current[0]) && !namesCoded(match, current[0])
}

// namesCoded reports whether a field names a tag as encode has it in a coded response: it takes its suffix off
// If-None-Match only.
func namesCoded(lines []string, current quoted) bool {
	return slices.ContainsFunc([]string{"-gzip", "-zstd", "-br"}, func(suffix string) bool {
		return names(lines, quoted{opaque: current.opaque + suffix})
	})
}

func isTag(value string) bool { return value != "" && entityTag.FindString(value) == value }

// compare is what holds of an answer beside that to an unconditional GET.
func (x *handlerTrial) compare() {
	if x.answer.method != http.MethodHead || !x.answer.complete() || !x.whole.complete() || x.answer.status != 200 || x.whole.status != 200 {
		return
	}
	if x.config.name != "head get, ranges stream" || x.script.way == wayContent || x.script.end != 0 {
		return
	}
	for _, name := range []string{"Etag", "Content-Length", "Content-Type", "Last-Modified", "Cache-Control", "Vary"} {
		if got, want := x.answer.sent[name], x.whole.sent[name]; !reflect.DeepEqual(got, want) {
			x.t.Errorf("HEAD has %s: %q, GET %q", name, got, want)
		}
	}
}

// wantSame: the same response has the same tag again.
func (x *handlerTrial) wantSame(again *answered) {
	before, after := tagsIn(x.whole.header["Etag"]), tagsIn(again.header["Etag"])
	if x.config.delay > 0 && x.script.end != 0 {
		return // what of it has gone out before it ends, depends on the time
	}
	if again.code() != x.whole.code() || !bytes.Equal(again.body, x.whole.body) {
		x.t.Errorf("%d, %q at first, then %d, %q", x.whole.code(), x.whole.body, again.code(), again.body)
	}
	if x.config.delay > 0 {
		return
	}
	if len(before) != len(after) || len(before) > 0 && !sameContent(before[0].opaque, after[0].opaque) {
		x.t.Errorf("the tag is %v at first, then %v", before, after)
	}
}

// wantChanged: what has another content has another tag, where that is made of all of it. Parts of a coded one may not
// count, nor parts that are to be ignored.
func (x *handlerTrial) wantChanged(after *answered) {
	before := tagsIn(x.whole.sent["Etag"])
	now := tagsIn(after.sent["Etag"])
	if len(before) != 1 || len(now) != 1 || !isOurs(now[0]) || x.script.header["Content-Encoding"] != nil || x.config.ignores {
		return
	}
	if sameContent(before[0].opaque, now[0].opaque) && !bytes.Equal(x.whole.body, after.body) {
		x.t.Errorf("%q and %q have the same tag %v", x.whole.body, after.body, now[0])
	}
}
