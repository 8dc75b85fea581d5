// Package footing tells what a process has in use, and whether it has given all of it back.
package footing

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	inuse "github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
)

// Footing is what a process has in use.
type Footing struct {
	goroutines, descriptors int
	heap, held              int64
	writes                  int
}

// heapRoom is what the heap may grow by: pools, records, what the tests themselves keep.
const heapRoom = 16 << 20

// Take looks at this process.
func Take() Footing {
	var memory runtime.MemStats
	runtime.GC()
	runtime.GC() // the first leaves what is in pools
	runtime.ReadMemStats(&memory)
	open, _ := os.ReadDir("/proc/self/fd") // none where there is no such folder
	return Footing{
		goroutines: runtime.NumGoroutine(), descriptors: len(open), heap: int64(memory.HeapAlloc), //nolint:gosec // far from that
		held: inuse.Budget.Held(), writes: inuse.Writes.Len(),
	}
}

// String implements fmt.Stringer.
func (f Footing) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB of heap, %d bytes held, %d writes in line",
		f.goroutines, f.descriptors, f.heap>>10, f.held, f.writes)
}

// Sparing is the same with some connections more, which an upstream may be kept for.
func (f Footing) Sparing(connections int) Footing {
	f.goroutines += 4 * connections // two of the client's side, one of the server's, and one to spare
	f.descriptors += 2 * connections
	return f
}

// Settled waits until for some time no goroutine and no descriptor more is given back, or until there is no more patience.
func Settled(quiet, patience time.Duration) Footing {
	least, since := Take(), time.Now()
	poll := time.NewTicker(250 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end) && time.Since(since) < quiet; <-poll.C {
		now := Take()
		if now.goroutines < least.goroutines || now.descriptors < least.descriptors {
			since = time.Now()
		}
		if now.goroutines <= least.goroutines && now.descriptors <= least.descriptors {
			least = now
		}
	}
	return least
}

// Regained waits until no more is in use than was, and says what still is, with all goroutines if these are too many; empty:
// nothing.
func (f Footing) Regained(patience time.Duration) string {
	var now Footing
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-poll.C {
		now = Take()
		if now.goroutines <= f.goroutines && now.descriptors <= f.descriptors && now.heap <= f.heap+heapRoom &&
			now.held == 0 && now.writes == 0 {
			return ""
		}
	}
	problem := fmt.Sprintf("in use are %v; it was %v", now, f)
	if now.goroutines > f.goroutines {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		problem += "\n" + stacks.String()
	}
	return problem
}
