package truth

import (
	"fmt"
	"slices"
	"strings"
)

// ours is how the digest of a tag begins that the handler has made, and digestLength how long it is with that.
const (
	ours         = "cc1."
	digestLength = len(ours) + 32
)

// nameOf is what stays the same of a tag in whatever form it is written: weak or strong, with the suffix of a coding, with
// another date behind the digest.
func nameOf(tag string) string {
	name := strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	name = strings.TrimSuffix(name, "-gzip")
	if strings.HasPrefix(name, ours) && len(name) > digestLength {
		name = name[:digestLength]
	}
	return name
}

// name notes which version a tag is of; one that is of two is a problem.
func (p *Place) name(s Stored) string {
	if s.Tag == "" {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known, found := p.tags[nameOf(s.Tag)]
	switch {
	case !found:
		p.tags[nameOf(s.Tag)] = s
	case known.Page != s.Page || known.Version != s.Version:
		return fmt.Sprintf("one tag, %s, for version %d of user %q and version %d of user %q",
			s.Tag, known.Version, known.Page.User, s.Version, s.Page.User)
	}
	return ""
}

// named is what a tag was given to.
func (p *Place) named(tag string) (s Stored, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok = p.tags[nameOf(tag)]
	return s, ok
}

// members are those of the lines of If-None-Match.
func members(lines []string) []string {
	all := strings.Split(strings.Join(lines, ","), ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return slices.DeleteFunc(all, func(tag string) bool { return !strings.HasSuffix(tag, `"`) || !strings.Contains(tag[:len(tag)-1], `"`) })
}

// isNamed reports whether a list names a tag in any form.
func isNamed(tag string, lines []string) bool {
	return slices.ContainsFunc(members(lines), func(member string) bool { return nameOf(member) == nameOf(tag) })
}

// isAmong reports whether a list names a tag by the weak comparison of RFC 9110 §8.8.3.2.
func isAmong(tag string, lines []string) bool {
	return slices.ContainsFunc(members(lines), func(member string) bool {
		return strings.TrimPrefix(member, "W/") == strings.TrimPrefix(tag, "W/")
	})
}
