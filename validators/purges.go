package validators

import "slices"

// MaxPurges is how many purges by scope a store has to keep. What is older than these counts as purged
// wherever it lies.
const MaxPurges = 256

// Stamp says how much had been forgotten in a store when a request began. The record of its response carries
// it, and is worth nothing once more has been: so what a slow response says cannot outlive the write that
// overtook it, on any node, and nothing has to be looked for to be purged. Both halves are the store's own.
type Stamp struct {
	// Forgotten changes whenever the URI, or one that shares its place, is forgotten.
	Forgotten uint64
	// Purged is the Last of the store's Purges.
	Purged uint64
}

// Purge is one entry of Purges.
type Purge struct {
	// Number is greater than that of every earlier purge.
	Number uint64
	Scope
}

// Purges are the latest purges by scope, the oldest first. A value is not changed once it is shared; the
// zero value has none.
type Purges struct {
	// Base is the number up to which every record counts as purged unless it is newer.
	Base uint64
	List []Purge
}

// Last is the number of the latest purge.
func (p *Purges) Last() uint64 {
	if len(p.List) == 0 {
		return p.Base
	}
	return p.List[len(p.List)-1].Number
}

// With is p and one purge more, whose number has to be greater than p.Last. Of more than MaxPurges the oldest
// is dropped, and what it may have meant counts as purged.
func (p *Purges) With(purge Purge) *Purges {
	next := &Purges{Base: p.Base, List: append(slices.Clip(p.List), purge)}
	if purge.Scope == (Scope{}) {
		return &Purges{Base: purge.Number} // everything is purged, so the rest need not be kept
	}
	if over := len(next.List) - MaxPurges; over > 0 {
		next.Base = next.List[over-1].Number
		next.List = next.List[over:]
	}
	return next
}

// Cover reports whether a record of the URI, whose request began when the latest purge was number since, has
// been purged in the meantime. A number greater than the latest is one of another store, and counts as purged.
func (p *Purges) Cover(since uint64, uri URI) bool {
	if since == p.Last() {
		return false
	}
	if since < p.Base || since > p.Last() {
		return true
	}
	first, _ := slices.BinarySearchFunc(p.List, since+1, func(purge Purge, number uint64) int {
		switch {
		case purge.Number < number:
			return -1
		case purge.Number > number:
			return 1
		}
		return 0
	})
	return slices.ContainsFunc(p.List[first:], func(purge Purge) bool { return purge.Covers(uri) })
}
