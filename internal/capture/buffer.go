package capture

import (
	"sync"
	"sync/atomic"
)

// slack is spare room at the end of every size class: a reader that has delivered a body of exactly a
// class's round size still needs room for the read that tells it the end.
const slack = 512

// classes are the capacities of pooled buffers. Larger ones are made and dropped.
var classes = [...]int{
	4<<10 + slack, 16<<10 + slack, 64<<10 + slack, 256<<10 + slack, 1<<20 + slack, 4<<20 + slack, 16<<20 + slack,
}

var pools [len(classes)]sync.Pool

// Budget counts the bytes that are held at one time. The limit comes with each request for bytes, so
// that one counter can outlive changes of configuration.
type Budget struct {
	held atomic.Int64
	trim trim
}

// Held returns the bytes held now.
func (b *Budget) Held() int64 { return b.held.Load() }

// acquire takes n bytes, unless that would exceed the limit; limit 0 or less is no limit.
func (b *Budget) acquire(n, limit int64) bool {
	for {
		held := b.held.Load()
		if limit > 0 && held+n > limit {
			return false
		}
		// Checked before it is taken: a request in vain must not turn away another one that fits.
		if b.held.CompareAndSwap(held, held+n) {
			b.trim.taken(held + n)
			return true
		}
	}
}

func (b *Budget) release(n int64) { b.trim.released(b, b.held.Add(-n)) }

// buffer is one growing slice out of the pools, charged to a budget by its capacity. It is contiguous,
// so that a body is hashed and written in one piece.
type buffer struct {
	bytes  []byte
	box    *[]byte // what the pool handed out, kept so that handing it back allocates nothing
	budget *Budget
	limit  int64
	charge int64 // what it has taken of the budget, in bytes
}

// reserve makes room for at least n more bytes; false when the budget does not allow it, and then
// nothing has changed.
func (b *buffer) reserve(n int) bool {
	want := len(b.bytes) + n
	if want <= cap(b.bytes) {
		return true
	}
	class, size := classFor(want)
	if !b.budget.acquire(int64(size), b.limit) {
		return false
	}
	box := take(class, size)
	grown := (*box)[:len(b.bytes)]
	copy(grown, b.bytes)
	b.giveBack()
	b.bytes, b.box, b.charge = grown, box, int64(size)
	return true
}

// spare is the room behind the bytes.
func (b *buffer) spare() []byte { return b.bytes[len(b.bytes):cap(b.bytes)] }

// release gives the memory back to its pool, or only its charge to the budget when somebody may still
// be reading into it.
func (b *buffer) release(inUse bool) {
	if inUse {
		b.box = nil
	}
	b.giveBack()
	b.bytes, b.box, b.charge = nil, nil, 0
}

func (b *buffer) giveBack() {
	if b.charge == 0 {
		return
	}
	b.budget.release(b.charge)
	if b.box == nil {
		return
	}
	if class, size := classFor(cap(*b.box)); class >= 0 && size == cap(*b.box) {
		pools[class].Put(b.box)
	}
}

// classFor returns the smallest class that holds n bytes, or class -1 and a size of its own.
func classFor(n int) (class, size int) {
	for i, c := range classes {
		if n <= c {
			return i, c
		}
	}
	return -1, n + n/4 // growth by a quarter keeps copying linear beyond the classes
}

func take(class, size int) *[]byte {
	if class >= 0 {
		if box, ok := pools[class].Get().(*[]byte); ok {
			return box
		}
	}
	fresh := make([]byte, 0, size)
	return &fresh
}
