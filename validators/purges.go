package validators

import "slices"

// MaxPurges is the number of purges by scope that a store has to keep. A record that is older than all of these counts as
// purged, whatever its URI.
const MaxPurges = 256

// Stamp says how much a store had forgotten when a request began. The record of its response carries the stamp, and counts
// no longer once the store has forgotten more. So a slow response cannot bring back what a write has made outdated
// meanwhile, on any node, and a purge does not have to look for records. Both numbers have a meaning for the store only.
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

// Purges are the latest purges by scope, the oldest first. The zero value has none. A value that is shared must not be
// changed; With makes a new one.
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

// With returns p with one purge more, whose number has to be greater than p.Last. Past MaxPurges the oldest one is dropped,
// and every record that is older counts as purged. A purge of everything replaces all others.
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

// Cover reports whether a record of the URI has been purged since its request began. since is the number of the latest
// purge at that time. A number greater than p.Last comes from another store, and counts as purged.
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
