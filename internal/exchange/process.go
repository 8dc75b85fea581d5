package exchange

import (
	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
)

// What there is once in a process. It outlives configurations: requests of the old one still run when the new one
// starts.
var (
	// Budget counts the bytes that are held of bodies.
	Budget capture.Budget
	// Writes serialises the guarded writes to one URI.
	Writes guard.Queue
)
