package capture

import (
	"errors"
	"io"
)

// ErrBudget says that the budget has no room.
var ErrBudget = errors.New("the memory for buffered bodies (max_total) is used up")

// Scratch is memory for work upon a held body, out of the pools and charged to the budget like the body itself. It is
// not for concurrent use.
type Scratch struct{ buffer }

// NewScratch returns an empty one; limit 0 or less is no limit. It takes nothing before it is written to. The caller
// calls Free.
func NewScratch(budget *Budget, limit int64) *Scratch {
	return &Scratch{buffer{budget: budget, limit: limit}}
}

// Write appends p, all of it or, with ErrBudget, nothing.
func (s *Scratch) Write(p []byte) (int, error) {
	if !s.reserve(len(p)) {
		return 0, ErrBudget
	}
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}

// ReadFrom appends what r gives, up to its end or an error.
func (s *Scratch) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		if !s.reserve(slack) {
			return total, ErrBudget
		}
		n, err := r.Read(s.spare())
		s.bytes = s.bytes[:len(s.bytes)+n]
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Bytes is what was written. It is valid until the next write, or Free.
func (s *Scratch) Bytes() []byte { return s.bytes }

// Free gives the memory back.
func (s *Scratch) Free() { s.release(false) }

// Abandon gives the memory up, to the garbage collector, as somebody may still be reading it.
func (s *Scratch) Abandon() { s.release(true) }
