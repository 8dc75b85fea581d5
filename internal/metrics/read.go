package metrics

import (
	"cmp"
	"slices"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// Count is how often something was the reason.
type Count struct {
	Outcome journal.Outcome // Undecided: of memory, which has none
	Reason  journal.Reason
	N       uint64
	Line    uint8 // of cache_control, from 1 on; 0: it is of none
}

// Begun is since when a Tally counts.
func (t *Tally) Begun() time.Time { return t.begun }

// Against are the reasons why an answer was no 304, the most frequent first. What could never have been one is left out: writes,
// and other protocols.
func (t *Tally) Against() (all []Count) {
	for _, outcome := range [...]journal.Outcome{journal.Streamed, journal.Tagged} {
		all = t.responses[outcome].read(all, outcome)
	}
	return sorted(slices.DeleteFunc(all, func(c Count) bool { return c.Reason == journal.Method || c.Reason == journal.Upgrade }))
}

// MemoryMisses are the reasons why an answer was not from memory, the most frequent first.
func (t *Tally) MemoryMisses() []Count { return sorted(t.memory.read(nil, journal.Undecided)) }

// NotRemembered are the reasons why a response was not remembered, the most frequent first.
func (t *Tally) NotRemembered() []Count { return sorted(t.notRemembered.read(nil, journal.Undecided)) }

// Lines say what became of each line of cache_control, of whichever handler, the most frequent first.
func (t *Tally) Lines() (all []Count) {
	for line := range t.lines {
		for reason := range t.lines[line] {
			if n := t.lines[line][reason].Load(); n > 0 {
				all = append(all, Count{Reason: journal.RowAdded + journal.Reason(reason), N: n, Line: uint8(line)})
			}
		}
	}
	return sorted(all)
}

// Conditional is how many requests had If-None-Match or If-Modified-Since.
func (t *Tally) Conditional() uint64 { return t.conditional.Load() }

// NotModified is how many answers were 304, whoever made them.
func (t *Tally) NotModified() (n uint64) {
	for _, c := range t.responses[journal.NotModified].read(nil, journal.NotModified) {
		n += c.N
	}
	return n
}

// FromMemory is how many of these came from memory.
func (t *Tally) FromMemory() uint64 { return t.callsSaved.Load() }

func (b *byReason) read(into []Count, outcome journal.Outcome) []Count {
	for reason := range b {
		if n := b[reason].Load(); n > 0 {
			into = append(into, Count{Outcome: outcome, Reason: journal.Reason(reason), N: n})
		}
	}
	return into
}

func sorted(all []Count) []Count {
	slices.SortStableFunc(all, func(a, b Count) int { return cmp.Compare(b.N, a.N) })
	return all
}
