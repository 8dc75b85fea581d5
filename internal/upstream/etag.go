package upstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// ETag is what an upstream's ETag field says.
type ETag struct {
	Tag     httpcond.EntityTag
	Present bool // there is a field with a value
	Usable  bool // the value is one well-formed entity tag
}

// ReadETag reads the ETag field lines of a response. More than one line is no entity tag (RFC 9110
// §8.8.3 is not a list), and an empty value none at all.
func ReadETag(lines []string) ETag {
	switch {
	case len(lines) == 0 || len(lines) == 1 && strings.TrimSpace(lines[0]) == "":
		return ETag{}
	case len(lines) > 1:
		return ETag{Present: true}
	}
	t, ok := httpcond.ParseEntityTag(lines[0])
	return ETag{Tag: t, Present: true, Usable: ok}
}

// MadeETag is what ReadETag reads of the value of a tag that was made here.
func MadeETag(value string, weak bool) ETag {
	opaque := value[1 : len(value)-1]
	if weak {
		opaque = opaque[len("W/"):]
	}
	return ETag{Tag: httpcond.EntityTag{Weak: weak, Opaque: opaque}, Present: true, Usable: true}
}

// zeroTimePrefix begins the tags that Caddy's file server makes of files without a modification time,
// such as those of an embedded file system: the time in nanoseconds is a constant (it wraps), so the
// tag depends on the size only.
var zeroTimePrefix = strconv.FormatInt(time.Time{}.UnixNano(), 36) + "-"

// Untrusted reports whether an upstream's tag is known to say nothing of the content: it comes with a
// Last-Modified that is a build tool's constant (lastModified; zero when there is none), or it is the
// file server's "<mtime in ns, base 36>-<size, base 36>" of no time or of such a constant. The same
// tag would stand for different content, and a 304 would pin the old one.
func Untrusted(opaque string, lastModified time.Time) bool {
	if !lastModified.IsZero() && httpcond.BuildEpoch(lastModified) {
		return true
	}
	if strings.HasPrefix(opaque, zeroTimePrefix) {
		return true
	}
	dash := strings.LastIndexByte(opaque, '-') // a time before 1970 begins with one, too
	if dash < 0 || !isBase36(strings.TrimPrefix(opaque[:dash], "-")) || !isBase36(opaque[dash+1:]) {
		return false
	}
	mtime := opaque[:dash]
	ns, err := strconv.ParseInt(mtime, 36, 64)
	return err == nil && httpcond.BuildEpoch(time.Unix(0, ns)) && buildTool(ns)
}

// Unfounded reports whether a 304 with these lines of ETag and Last-Modified rests on nothing: on a tag that is not
// trusted, or on a build tool's date, which is earlier than any date that a client may have named. It may stand for any
// content.
func Unfounded(etag, lastModified []string, now time.Time) bool {
	date := sentDate(lastModified, now)
	if !date.IsZero() && httpcond.BuildEpoch(date) {
		return true
	}
	read := ReadETag(etag)
	return read.Usable && Untrusted(read.Tag.Opaque, date)
}

// buildTool tells the constants of build tools from small numbers: "1-1" or "v2-3f" are tags that some
// application made by itself and are none of the file server's, whose times are whole seconds then.
func buildTool(ns int64) bool { return ns%int64(time.Second) == 0 }

func isBase36(s string) bool {
	if s == "" || len(s) > 13 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// Repair makes an entity tag of a value that lacks its quotes, or has its weakness mark in lower case.
// ok is false when nothing certain can be made of it.
func Repair(line string) (t httpcond.EntityTag, ok bool) {
	line = strings.Trim(line, " \t")
	mark := ""
	if rest, found := strings.CutPrefix(line, "W/"); found {
		mark, line = "W/", rest
	} else if rest, found := strings.CutPrefix(line, "w/"); found {
		mark, line = "W/", rest
	}
	if t, ok = httpcond.ParseEntityTag(mark + line); ok {
		return t, true
	}
	if line == "" || strings.ContainsAny(line, "\", \t") {
		return httpcond.EntityTag{}, false
	}
	return httpcond.ParseEntityTag(mark + `"` + line + `"`)
}

// SameCoded reports whether an opaque tag that a client names in If-Match stands for the current
// representation: as tag.Same has it, or an upstream's tag with the suffix of a content coding. Caddy's
// encode adds one ("abc-gzip") and takes it off If-None-Match only, so that no If-Match would ever match.
func SameCoded(named, current string) bool {
	return tag.Same(named, current) || withoutSuffix(named) == current
}

// withoutSuffix takes the suffix off that Caddy's encode puts on a strong tag.
func withoutSuffix(opaque string) string {
	for _, suffix := range [...]string{"-gzip", "-zstd", "-br"} {
		if plain, found := strings.CutSuffix(opaque, suffix); found {
			return plain
		}
	}
	return opaque
}
