package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
)

// GuardWrites is `guard_writes`.
type GuardWrites struct {
	Methods []string
	Require bool
}

// Check refuses methods that are none, or no writes.
func (g GuardWrites) Check() error {
	for i, method := range g.Methods {
		switch inBlock, capitals := CureOfArgument(method, "guard_writes"), strings.ToUpper(method); {
		case inBlock != "":
			return fmt.Errorf("guard_writes: %q is not a method; %s", method, inBlock)
		case !httpcond.IsToken(method):
			return fmt.Errorf("guard_writes: %q is not a method such as PUT%s", method, spaced(method))
		case method != capitals && policy.IsWrite(capitals):
			return fmt.Errorf("guard_writes: %q is not a method, as these are in capitals; write %s (options such as require go in a block)", method, capitals)
		case !policy.IsWrite(capitals):
			return fmt.Errorf("guard_writes: %s is no write, so there is nothing to guard; remove it", method)
		case slices.Contains(g.Methods[:i], method):
			return fmt.Errorf("guard_writes: %s is named twice; name it once", method)
		}
	}
	return nil
}

// spaced says how several are separated that come with commas; empty: there is none.
func spaced(words string) string {
	if !strings.Contains(words, ",") {
		return ""
	}
	return "; separate several by spaces, not commas"
}

// checkGuard refuses guards that could not hold.
func (h *Handler) checkGuard() error {
	switch mode := cmp.Or(valueOr(h.ETag).Mode, "auto"); {
	case h.GuardWrites == nil || mode == "strong":
		return nil
	case valueOr(h.ETag).ignores():
		return errors.New("guard_writes needs etag strong, and ignore makes every tag weak; keep one of the two")
	case mode == "off":
		return errors.New("guard_writes needs etag strong: etag off makes no tags that a write could name; write etag strong, or remove guard_writes")
	default:
		return fmt.Errorf("guard_writes needs etag strong: etag %s makes weak tags, and If-Match matches none of these (RFC 9110 §13.1.1); write etag strong beside it", mode)
	}
}
