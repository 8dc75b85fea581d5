package audit

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

func partial(e *Exchange) bool { return e != nil && e.Status == http.StatusPartialContent }

// checkRanges looks at what If-Range gets (RFC 9110 §13.1.5).
func checkRanges(o *Observation) (all []Finding) {
	page := o.page()
	if page == nil || !o.steady() {
		return nil
	}
	right := o.answer(RangeRight)
	if full(right) && offersRanges(page) && page.Size > int64(len("0123456789")) {
		all = append(all, found(IfRangeNotConfirmed, "200 to "+condition(right)))
	}
	if partial(right) && !page.Cut {
		all = append(all, checkPart(right, page)...)
	}
	for _, wrong := range [...]Probe{RangeOther, RangeDate} {
		if e := o.answer(wrong); partial(e) {
			all = append(all, found(IfRangeIgnored, "206 to "+condition(e)))
			break
		}
	}
	// A server that ignores If-Range does so with weak tags, too.
	if e := o.answer(RangeWeak); partial(e) && !partial(o.answer(RangeOther)) {
		all = append(all, found(IfRangeWeak, "206 to "+condition(e)))
	}
	return all
}

func offersRanges(e *Exchange) bool {
	return strings.EqualFold(strings.TrimSpace(e.Header.Get("Accept-Ranges")), "bytes")
}

// checkPart compares a part with the whole.
func checkPart(part, page *Exchange) []Finding {
	first := page.Body[:min(len(page.Body), 10)]
	want := httpcond.ByteRange{Start: 0, Length: int64(len(first))}
	says := part.Header.Get("Content-Range")
	switch {
	case len(first) == 0:
		return nil
	case says != want.ContentRange(page.Size):
		return []Finding{found(RangeWrong, fmt.Sprintf("Content-Range: %s of %d octets", says, page.Size))}
	case !bytes.Equal(part.Body, first):
		return []Finding{found(RangeWrong, fmt.Sprintf("%d octets that are not those of the whole", len(part.Body)))}
	}
	return nil
}
