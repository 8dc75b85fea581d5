package integration

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	inuse "github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
)

// footing is what a process has in use.
type footing struct {
	goroutines, descriptors int
	heap, held              int64
	writes                  int
}

// heapRoom is what the heap may grow by: pools, records, what the tests themselves keep.
const heapRoom = 16 << 20

func takeFooting() footing {
	var memory runtime.MemStats
	runtime.GC()
	runtime.GC() // the first leaves what is in pools
	runtime.ReadMemStats(&memory)
	open, _ := os.ReadDir("/proc/self/fd") // none where there is no such folder
	return footing{
		goroutines: runtime.NumGoroutine(), descriptors: len(open), heap: int64(memory.HeapAlloc),
		held: inuse.Budget.Held(), writes: inuse.Writes.Len(),
	}
}

func (f footing) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB of heap, %d bytes held, %d writes in line",
		f.goroutines, f.descriptors, f.heap>>10, f.held, f.writes)
}

// regained wants what is in use to be what it was, after some time to settle.
func (f footing) regained(t *testing.T) {
	t.Helper()
	var now footing
	for end := time.Now().Add(3 * patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		now = takeFooting()
		if now.goroutines <= f.goroutines && now.descriptors <= f.descriptors && now.heap <= f.heap+heapRoom &&
			now.held == 0 && now.writes == 0 {
			return
		}
	}
	t.Errorf("in use are %v; it was %v", now, f)
	if now.goroutines > f.goroutines {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Log(stacks.String())
	}
}
