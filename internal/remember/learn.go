package remember

import (
	"net/http"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// MayLearn reports whether a 304 of the upstream, with this Vary, tells enough for a record: how long its 200 lasts, or
// that nobody is to keep it, and by all that the records of the URI are selected by. One without a word of its own may
// stand for a 200 that is private.
func (v *Visit) MayLearn(vary []string) bool {
	if v.idle() || !v.judged.itself {
		return false
	}
	nominated, why := nominate(vary, "")
	if why != "" || v.nominated == "" {
		return why == ""
	}
	names := strings.Split(nominated, ",")
	for name := range strings.SplitSeq(v.nominated, ",") {
		if name != byWho && !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

// Named reports whether the remembered tag may be as weak or as strong as a client has named it. Then each client gets it
// in its own form.
func (v *Visit) Named() bool { return v.record.Flags.Has(validators.NamedTag) }

// says reports whether a response has a value of a field that is not from a handler outside.
func (v *Visit) says(h http.Header, name string) bool {
	lines := h[name]
	return slices.ContainsFunc(lines, func(line string) bool { return strings.TrimSpace(line) != "" }) && !v.setOutside(name, lines)
}
