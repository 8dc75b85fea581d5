package upstream

import (
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// CodedOf reports whether an opaque tag is another one with the suffix that compressors put at the end of strong tags:
// "-gzip" (Apache, Caddy's encode), "--gzip" (Jetty), ";gzip", and the same of other codings.
func CodedOf(coded, plain string) bool {
	suffix, found := strings.CutPrefix(coded, plain)
	return found && plain != "" && tag.IsCodingSuffix(suffix)
}

// NamesCodedForm reports whether one of the tags is strong and may be another one with such a suffix. It may as well be
// one that ends so by itself.
func NamesCodedForm(tags []httpcond.EntityTag) bool {
	return slices.ContainsFunc(tags, func(t httpcond.EntityTag) bool { return !t.Weak && tag.HasCodingSuffix(t.Opaque) })
}

// SameInWrite reports whether an opaque tag that a write names stands for the current representation: as SameCoded has
// it, and with the suffixes of other compressors than Caddy's.
func SameInWrite(named, current string) bool {
	return SameCoded(named, current) || CodedOf(named, current)
}
