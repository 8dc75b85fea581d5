package upstream

import (
	"hash/maphash"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Repaired remembers which tags an upstream has sent without quotes. They go out with quotes and come
// back with them, and have to reach that upstream as it knows them; another tag, of a part of the site
// that does it right, must not lose its quotes.
//
// It is a fixed table of digests: what was seen long ago makes room, and is then forgotten, which costs
// a 304 or fails a write's precondition, and never lets a wrong one through. The zero value is ready and
// may be used concurrently; nil knows nothing.
type Repaired struct {
	slots [1024]atomic.Uint64
}

var repairedSeed = maphash.MakeSeed()

func (r *Repaired) slot(opaque string) (*atomic.Uint64, uint64) {
	digest := maphash.String(repairedSeed, opaque)
	return &r.slots[digest%uint64(len(r.slots))], digest
}

// Remember notes an opaque tag that got its quotes here.
func (r *Repaired) Remember(opaque string) {
	if slot, digest := r.slot(opaque); slot.Load() != digest {
		slot.Store(digest)
	}
}

func (r *Repaired) knows(opaque string) bool {
	slot, digest := r.slot(opaque)
	return slot.Load() == digest
}

func (r *Repaired) knowsAny(tags []httpcond.EntityTag) bool {
	if r == nil {
		return false
	}
	for _, t := range tags {
		if r.knows(t.Opaque) {
			return true
		}
	}
	return false
}

// Unquote changes a write's conditions to what the upstream knows.
func (r *Repaired) Unquote(h http.Header) {
	for _, name := range [...]string{names[IfMatch], names[IfNoneMatch]} {
		if lines := h[name]; lines != nil {
			r.unquoteField(h, name, httpcond.ParseTagCondition(lines))
		}
	}
}

// unquoteField writes a condition's repaired tags without quotes, in one line. What is not a list of
// entity tags stays as it is.
func (r *Repaired) unquoteField(h http.Header, name string, c httpcond.TagCondition) {
	if c.Malformed > 0 || c.Truncated || !r.knowsAny(c.Tags) {
		return
	}
	members := make([]string, 0, len(c.Tags))
	for _, t := range c.Tags {
		member := t.String()
		if r.knows(t.Opaque) {
			member = strings.Replace(member, `"`+t.Opaque+`"`, t.Opaque, 1)
		}
		members = append(members, member)
	}
	h[name] = []string{strings.Join(members, ", ")}
}
