package tokens

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// Sibling is a directive as those beside it have to know it.
type Sibling struct {
	// Block is the name of the block that it stands in.
	Block string
	// Matcher is its matcher as it is written; empty: it has none, and is for all requests.
	Matcher string
	// Remembers: it has remember. SaysRemember: it has the word, with which off was chosen if it does not.
	Remembers, SaysRemember bool
	// Line is where it stands.
	Line int

	site uintptr // see siteOf; set by Meet
}

// Matcher is the matcher of a directive, as it is written. The helper stands before the directive's name, and stays there.
func Matcher(helper httpcaddyfile.Helper) string {
	d := *helper.Dispenser
	d.Next()
	if !d.NextArg() || d.Val() == "*" || !strings.HasPrefix(d.Val(), "/") && !strings.HasPrefix(d.Val(), "@") {
		return ""
	}
	return d.Val()
}

// Meet notes a directive for the siblings that come after it, and warns of what does not count beside those before it, or
// by itself.
func Meet(helper httpcaddyfile.Helper, s Sibling) (warnings []string) {
	if strings.HasPrefix(s.Matcher, "/") {
		if text := config.OnePathOnly(s.Matcher); text != "" {
			warnings = append(warnings, fmt.Sprintf("conditional_cache %s: %s", s.Matcher, text))
		}
	}
	const key = "conditional_cache.siblings"
	if s.site = siteOf(helper); s.site == 0 || helper.State == nil {
		return warnings
	}
	siblings, _ := helper.State[key].([]Sibling)
	for _, other := range siblings {
		if other.Block != s.Block || other.site != s.site {
			continue
		}
		if text := s.beside(other); text != "" {
			warnings = append(warnings, text)
		}
	}
	helper.State[key] = append(siblings, s)
	return warnings
}

// siteOf tells one site block from another, which have the name of a block in common: by where its addresses are kept. Caddy
// v2.11.9 has no other way to say it; 0: not this one either.
func siteOf(helper httpcaddyfile.Helper) uintptr {
	keys := ofParentBlock(helper, "Keys")
	if keys.Kind() != reflect.Slice || keys.Len() == 0 {
		return 0
	}
	return keys.Pointer()
}

// ofParentBlock is a list that Caddy keeps of the site block which a directive stands in; the zero Value: it keeps none of that
// name.
func ofParentBlock(helper httpcaddyfile.Helper, list string) reflect.Value {
	block := reflect.ValueOf(helper).FieldByName("parentBlock")
	if block.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return block.FieldByName(list)
}

// beside is what is to be said of a directive that stands after another one. Of siblings only the most specific acts, and of
// those that are equally so the first.
func (s Sibling) beside(other Sibling) string {
	switch {
	case s.Matcher == other.Matcher:
		return fmt.Sprintf("%s: it never acts, as the one of line %d is for the same requests; put both into one", s, other.Line)
	case other.Matcher == "" && other.Remembers && !s.SaysRemember:
		return notRemembered(s, other)
	case s.Matcher == "" && s.Remembers && !other.SaysRemember:
		return notRemembered(other, s)
	}
	return ""
}

func notRemembered(narrow, wide Sibling) string {
	return fmt.Sprintf("%s: on line %d, acts alone on what it matches, so remember of line %d does not count there; "+
		"say remember in its block as well, or remember off", narrow, narrow.Line, wide.Line)
}

// String is the directive as it begins.
func (s Sibling) String() string { return strings.TrimSpace("conditional_cache " + s.Matcher) }
