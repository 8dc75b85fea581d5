package audit

import (
	"fmt"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// checkStable compares two fetches of the plain page.
func checkStable(o *Observation) []Finding {
	first, again := o.twice()
	if first == nil || !o.stored() {
		return nil
	}
	tag, ok := first.tag()
	tagAgain, okAgain := again.tag()
	same := ok && okAgain && httpcond.WeakMatch(tag, tagAgain, nil)
	if first.Digest != again.Digest {
		switch {
		case same && !tag.Weak && !tagAgain.Weak:
			return []Finding{found(StaleTag, "ETag: "+tag.String()+" with "+differs(changes(o)))}
		case same:
			return nil // a weak tag says that both are as good as each other
		}
		return []Finding{unstableBody(o)}
	}
	switch {
	case ok && okAgain && !same:
		return []Finding{found(UnstableTag, tag.String()+", then "+tagAgain.String())}
	case ok != okAgain:
		return []Finding{found(UnstableTag, "one of two answers has a tag")}
	}
	return nil
}

// changes are the parts in which two fetches differ, nil if they do not.
func changes(o *Observation) []Part {
	first, again := o.twice()
	if first == nil || first.Digest == again.Digest {
		return nil
	}
	parts := compare(first.Body, again.Body)
	classify(first.Body, again.Body, parts)
	return parts
}

func unstableBody(o *Observation) Finding {
	first, again := o.twice()
	parts := changes(o)
	f := Finding{Kind: UnstableBody, Evidence: differs(parts), Cure: cureBody(first, again, parts, o.Echoes), Parts: parts}
	for i := range parts {
		if !o.Echoes {
			parts[i].Before = string(lineBefore(first.Body, parts[i].From, maxShown))
		}
	}
	return f
}

// maxShown is how much is shown of what stands before a part.
const maxShown = 32

// differs counts parts by what they look like.
func differs(parts []Part) string {
	var counts [len(looks)]int
	octets := 0
	for i := range parts {
		counts[parts[i].Looks]++
		octets += parts[i].To - parts[i].From
	}
	var words []string
	for l, n := range counts {
		if n > 0 {
			words = append(words, fmt.Sprintf("%d × %s", n, looks[l]))
		}
	}
	return fmt.Sprintf("%d octets that differ: %s", octets, strings.Join(words, ", "))
}
