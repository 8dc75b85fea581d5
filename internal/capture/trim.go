package capture

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	// trimAbove is how much has to have been held at one time, in bytes, for its memory to be given back: that takes two
	// runs of the garbage collector, which are not worth less.
	trimAbove = 64 << 20
	// trimAfter is how long less than a quarter of that has to be held before.
	trimAfter = 10 * time.Second
)

// trim gives the memory of a burst back to the system. The pools keep it for the next one otherwise, until the garbage
// collector has run twice, and an idle process does not run it for minutes.
type trim struct {
	most    atomic.Int64 // held at one time since the last trim, in bytes
	waiting atomic.Bool  // it is being looked whether the burst is over
	free    func()       // nil: freeMemory; for tests
}

// taken notes that so much is held.
func (t *trim) taken(held int64) {
	if most := t.most.Load(); held > most {
		t.most.CompareAndSwap(most, held) // another one may have noted more, or about as much
	}
}

// released is told how much is held still.
func (t *trim) released(b *Budget, held int64) {
	if most := t.most.Load(); most >= trimAbove && held < most/4 && t.waiting.CompareAndSwap(false, true) {
		time.AfterFunc(trimAfter, func() { t.after(b) })
	}
}

// after gives the memory back, if the burst is over.
func (t *trim) after(b *Budget) {
	held, most := b.Held(), t.most.Load()
	if held < most/4 {
		t.most.Store(held)
		if t.free != nil {
			t.free()
		} else {
			freeMemory()
		}
	}
	t.waiting.Store(false)
	t.released(b, b.Held())
}

// freeMemory empties the pools and gives what is free back to the system.
func freeMemory() {
	runtime.GC() // what is in the pools is theirs until the second run
	debug.FreeOSMemory()
}
