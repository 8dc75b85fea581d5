package audit

import (
	"fmt"
	"slices"
	"strings"
)

// checkHead compares HEAD with GET (RFC 9110 §9.3.2). A field that is only known with the content may be missing there,
// but one with another value is wrong.
func checkHead(o *Observation) []Finding {
	page, head := o.page(), o.answer(Head)
	if page == nil || head == nil {
		return nil
	}
	if head.Surplus {
		return []Finding{found(HeadBody, "octets behind the fields")}
	}
	if head.Status != page.Status {
		return []Finding{found(HeadStatus, fmt.Sprintf("%d to HEAD, %d to GET", head.Status, page.Status))}
	}
	names := []string{"Cache-Control", "Content-Encoding", "Content-Type", "Vary"}
	if o.steady() {
		names = append(names, "Content-Length", "Etag", "Last-Modified")
	}
	again := o.ok(IdentityAgain)
	var differ, lack []string
	for _, name := range names {
		get, got := strings.Join(page.Header[name], ", "), strings.Join(head.Header[name], ", ")
		switch {
		case get == "" || get == got || again != nil && strings.Join(again.Header[name], ", ") != get:
		case got != "":
			differ = append(differ, fieldName(name)+": "+got)
		case (name == "Etag" || name == "Last-Modified") && o.stored():
			lack = append(lack, fieldName(name))
		}
	}
	var all []Finding
	if len(differ) > 0 {
		slices.Sort(differ)
		all = append(all, found(HeadDiffers, strings.Join(differ, "; ")))
	}
	if len(lack) > 0 {
		all = append(all, found(HeadWithout, "no "+strings.Join(lack, ", ")))
	}
	return all
}
