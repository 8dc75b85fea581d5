package ignore

import (
	"errors"
	"math"
)

// Why there is nothing that a tag could be made from. Both stand for a body, not for a part of it.
var (
	// ErrWork: what the rules ask for is more work than is done for one body. It is for each that has the same body, the
	// same fields and the same bounds.
	ErrWork = errors.New("more work than is done for one body")
	// ErrLate: Response.Late has said so.
	ErrLate = errors.New("not done in time")
)

// The unit of work is one octet read by a short expression. It takes some 20 to 60 ns, and a large one of few threads
// no longer.
const (
	// maxWork is what all expressions may do for one body: as much as to read the longest that they are run on twelve times.
	maxWork = maxPasses * maxExpression
	// interval is how much is done before somebody looks at the clock: some ms.
	interval = 1 << 15
	// perCoded is an octet of gzip that is read. One that gives nothing for it, as a block with a code and no data does, takes
	// that long.
	perCoded = 4
	// perGap is a part that is left out: it is put in its place among all others when the work is over.
	perGap = 128
	// scanned is how many octets are one unit where a text is gone through for a word, or written by the decoder.
	scanned = 16
)

// work is what is done for one body. Every part of it is spent before, or while, it is done: by octets alone, so that a
// body is always treated alike.
type work struct {
	left int64       // units
	next int64       // how many are left when it is time to look at the clock
	late func() bool // nil: it is never late
	err  error       // ErrWork or ErrLate, once it is over
}

// workOn is the work upon a body that may be decoded to some length. What takes time by its length alone, decoding and
// looking for tokens, is never too much by itself.
func workOn(maxDecoded int64, late func() bool) work {
	return work{left: maxWork + max(maxDecoded, 0), next: math.MaxInt64, late: late}
}

// spend takes so many units. It reports false when the work is over, and then for ever.
func (w *work) spend(units int64) bool {
	if w.left -= units; w.left > w.next {
		return true
	}
	return w.look()
}

// look looks at what is left, and at the clock.
func (w *work) look() bool {
	switch {
	case w.err != nil:
	case w.left < 0:
		w.err = ErrWork
	case w.late != nil && w.late():
		w.err = ErrLate
	default:
		w.next = w.left - min(interval, w.left)
		return true
	}
	w.next = math.MaxInt64
	return false
}

// atMost leaves no more than so many units.
func (w *work) atMost(units int64) {
	w.left = min(w.left, units)
	w.next = min(w.next, w.left)
}
