package upstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// Own is the entity tag by which an upstream knows what it has sent, whatever clients get in its place.
type Own struct {
	// Tag is zero where there is none that can be used and says something of the content.
	Tag httpcond.EntityTag
	// Uncoded is Tag without the suffix of a coding, where the upstream has coded its answer: so it names the same version
	// elsewhere, and wants it named (Apache). Zero: none.
	Uncoded httpcond.EntityTag
	// OfWholeSecond: see there. As a name of one version it is as good as a weak one.
	OfWholeSecond bool
}

// ReadOwn reads it out of the fields as the upstream has sent them. coded tells that they say so of the content.
func ReadOwn(etag, lastModified []string, coded bool, now time.Time) (own Own) {
	sent := ReadETag(etag)
	date := sentDate(lastModified, now)
	if !sent.Usable || Untrusted(sent.Tag.Opaque, date) {
		return Own{}
	}
	own = Own{Tag: sent.Tag, OfWholeSecond: OfWholeSecond(sent.Tag.Opaque, date)}
	if plain := tag.WithoutCoding(sent.Tag.Opaque); coded && plain != sent.Tag.Opaque {
		own.Uncoded = httpcond.EntityTag{Weak: sent.Tag.Weak, Opaque: plain}
	}
	return own
}

// Weaken makes the tags weak.
func (o *Own) Weaken() { o.Tag.Weak, o.Uncoded.Weak = true, true }

// OfWholeSecond reports whether an opaque tag is made of a time in whole seconds, that of lastModified: then two versions
// of one second may share it. nginx makes "<seconds, hex>-<length, hex>"; others write the seconds in decimal or base 36.
// Of a file whose time is a whole second by itself, so do tags of milli-, micro- and nanoseconds. A zero lastModified is
// none, and tells nothing.
func OfWholeSecond(opaque string, lastModified time.Time) bool {
	seconds := lastModified.Unix()
	if lastModified.IsZero() || seconds <= 0 {
		return false
	}
	if inDecimal(opaque, strconv.FormatInt(seconds, 10)) {
		return true
	}
	opaque = strings.ToLower(opaque)
	for _, base := range [...]int{16, 36} {
		for _, unit := range [...]int64{1, 1e3, 1e6, 1e9} {
			if strings.Contains(opaque, strconv.FormatInt(seconds*unit, base)) {
				return true
			}
		}
	}
	return false
}

// inDecimal reports whether seconds stand in a tag, and no fraction of one behind them: three, six or nine digits, or any
// behind a point, of which one is not zero.
func inDecimal(opaque, seconds string) bool {
	for {
		_, rest, found := strings.Cut(opaque, seconds)
		if !found {
			return false
		}
		digits, point := strings.CutPrefix(rest, ".")
		end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
		if end >= 0 {
			digits = digits[:end]
		}
		fraction := point || len(digits) == 3 || len(digits) == 6 || len(digits) == 9
		if !fraction || strings.Trim(digits, "0") == "" {
			return true
		}
		opaque = rest
	}
}
