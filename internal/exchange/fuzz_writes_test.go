package exchange_test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"slices"
)

// What becomes of a write (RFC 9110 §13.2, RFC 6585 §3).

// checkWrite: a write is answered by the upstream, once, or is refused before that has seen it.
func (x *handlerTrial) checkWrite(a *answered) {
	written := a.written()
	if written > 1 {
		x.t.Errorf("it was sent on %d times", written)
	}
	if written == 1 {
		if a.code() != x.bare.code() || !bytes.Equal(a.body, x.bare.body) {
			x.t.Errorf("the answer is a %d, %q; the upstream's a %d, %q", a.code(), a.body, x.bare.code(), x.bare.body)
		}
		if why := x.mustRefuse(a); why != "" {
			x.t.Errorf("the upstream has seen a write with %s", why)
		}
		return
	}
	conditional := isConditional(a.fields)
	switch code := a.code(); {
	case code == http.StatusPreconditionRequired && x.config.requires && !mustCount(a.fields):
	case conditional && a.err != nil && (code == http.StatusPreconditionFailed || code == http.StatusServiceUnavailable):
	case conditional && (code == http.StatusUnauthorized || code == http.StatusForbidden) && code == x.script.status:
	case a.err != nil && code == http.StatusServiceUnavailable:
	case x.cut == io.ErrUnexpectedEOF && code == 499: //nolint:errorlint // as net/http has it; its client is gone
	case x.cut != nil && x.cut != io.ErrUnexpectedEOF && a.err != nil && code == http.StatusBadRequest: //nolint:errorlint // as above
	default:
		x.t.Errorf("a %d, and the upstream has not seen it: %v", code, a.err)
	}
}

// isConditional reports whether a write has a condition that could stop it.
func isConditional(h http.Header) bool {
	return h["If-Match"] != nil || h["If-None-Match"] != nil || h["If-Unmodified-Since"] != nil
}

// mustCount reports whether a write has a condition by tags that does not have to be ignored.
func mustCount(h http.Header) bool {
	return h["If-Match"] != nil || isAny(h["If-None-Match"]) || len(certainTagsIn(h["If-None-Match"])) > 0
}

// mustRefuse says why a write should not have been sent on: it was to be judged, and by what a GET gets its condition is
// false (RFC 9110 §13.1). Of what was cut off, or is no 200, nothing is said.
func (x *handlerTrial) mustRefuse(a *answered) (why string) {
	guarded := x.config.requires && slices.Contains([]string{http.MethodPut, http.MethodPatch, http.MethodDelete}, a.method)
	match, none := a.fields["If-Match"], a.fields["If-None-Match"]
	if guarded && !isConditional(a.fields) {
		return "no condition"
	}
	guarded = guarded || slices.ContainsFunc(certainTagsIn(match), func(named quoted) bool { return ourForm.MatchString(named.opaque) })
	if !guarded || !isUnsafe(a.method) || x.script.end != 0 || !x.whole.complete() || x.whole.status != http.StatusOK {
		return ""
	}
	current := append(tagsIn(x.whole.sent["Etag"]), tagsIn(x.script.header["Etag"])...) // the upstream knows its own as well
	named := func(tag quoted) bool { return names(match, tag) || namesCoded(match, tag) }
	modified, dated := dateIn(x.whole.sent["Last-Modified"])
	since, ok := dateIn(a.fields["If-Unmodified-Since"])
	switch {
	case match != nil && !isAny(match) && !slices.ContainsFunc(current, named):
		return "an If-Match that names another tag"
	case x.config.requires && isAny(none):
		return "If-None-Match: *"
	case x.config.requires && match == nil && ok && dated && modified.After(since):
		return "an If-Unmodified-Since before Last-Modified"
	}
	return ""
}

// ourForm is an entity tag of this module's, without a date.
var ourForm = regexp.MustCompile(`^cc1\.[0-9a-f]{32}$`)

func isUnsafe(method string) bool {
	return slices.Contains([]string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodPost}, method)
}
