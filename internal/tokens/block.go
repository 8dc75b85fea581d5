package tokens

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// namedBlock begins the names of blocks in named routes.
const namedBlock = "named "

// BlockName names the block of directives that a directive stands in. Siblings share it; a nested
// block has another one, though Caddy hands the parent's state down to it. Site blocks have one name
// in common, which does not matter: no request is in two of them.
func BlockName(helper httpcaddyfile.Helper) string {
	const key = "conditional_cache.blocks"
	if helper.State == nil {
		return ""
	}
	// The map itself is what tells one block from another; holding on to it keeps its address its own.
	type block struct{ state map[string]any }
	blocks, _ := helper.State[key].([]block)
	address := reflect.ValueOf(helper.BlockState).Pointer()
	i := slices.IndexFunc(blocks, func(b block) bool { return reflect.ValueOf(b.state).Pointer() == address })
	if i < 0 {
		i = len(blocks)
		helper.State[key] = append(blocks, block{helper.BlockState})
	}
	name := strconv.Itoa(i + 1)
	if helper.IsNamedRoute() {
		return namedBlock + name // all named routes of a configuration are adapted with one count of their own
	}
	return name
}

// IsNumbered reports whether a block has no name but the number that the Caddyfile adapter has given it, or none at all. It
// is another one when a block is added above: it tells siblings, and is no place.
func IsNumbered(block string) bool {
	return strings.Trim(strings.TrimPrefix(block, namedBlock), "0123456789") == ""
}
