package audit

import (
	"fmt"
	"strings"
)

// checkTag looks for validators, and whether the tag is one (RFC 9110 §8.8.3). What is not stored needs none.
func checkTag(o *Observation) []Finding {
	page := o.page()
	if page == nil || !o.stored() {
		return nil
	}
	lines := page.Header["Etag"]
	_, ok := page.tag()
	switch {
	case ok:
		return nil
	case len(lines) > 0:
		return []Finding{found(MalformedTag, "ETag: "+strings.Join(lines, " | "))}
	case len(page.Header["Last-Modified"]) == 0 && changes(o) == nil:
		return []Finding{found(NoValidator, fmt.Sprintf("%d octets are sent each time", page.Size))}
	case !page.modified().IsZero():
		return []Finding{found(NoTag, "Last-Modified: "+page.Header.Get("Last-Modified"))}
	}
	return nil
}
