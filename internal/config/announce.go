package config

import (
	"fmt"

	"github.com/conditionalcache/caddy-conditional-cache/internal/announce"
)

// CacheName is the name in Cache-Status where the configuration has none.
const CacheName = "conditional_cache"

// CheckCacheStatus refuses a name that Cache-Status cannot have (RFC 9211 §2): it is of printable ASCII.
func CheckCacheStatus(name string) error {
	if _, err := announce.Name(name); err != nil {
		return fmt.Errorf("cache_status: %q cannot be a name there; use printable ASCII, such as %s", name, CacheName)
	}
	return nil
}

func (h *Handler) announces() announce.Fields {
	fields := announce.Fields{Timing: h.ServerTiming, Debug: h.DebugHeaders}
	if h.CacheStatus != "" {
		fields.CacheStatus, _ = announce.Name(h.CacheStatus) // it has been checked
	}
	return fields
}
