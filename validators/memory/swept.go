package memory

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// A value tells, besides its record, by what that is forgotten and purged: so those that are out of date can be counted out
// without their URIs, which are in no record. Marks are hashes, and only what is counted goes by them.

// maxMarks is how many prefixes of a path have a mark. A purge of one further down does not count its records out before
// they are looked for.
const maxMarks = 8

// mark stands for a host and a prefix of a path that ends at a segment.
type mark uint32

func markOf(host uint64, prefix string) mark { return mark(xxh3.HashStringSeed(prefix, host)) } //nolint:gosec // half of a hash

// appendMarks appends the place of a URI, and the marks of all prefixes of its path, each of which may be purged.
func (r *records) appendMarks(b []byte, uri validators.URI) []byte {
	b = binary.LittleEndian.AppendUint16(b, r.place(uri))
	count := len(b)
	b = append(b, 0)
	host := xxh3.HashStringSeed(uri.Host, r.seed)
	for end := 0; b[count] < maxMarks; {
		b = binary.LittleEndian.AppendUint32(b, uint32(markOf(host, uri.Path[:end])))
		b[count]++
		if end == len(uri.Path) {
			break
		}
		if next := strings.IndexByte(uri.Path[end+1:], '/'); next >= 0 {
			end += 1 + next
		} else {
			end = len(uri.Path)
		}
	}
	return b
}

// marked is what a value tells of its URI, and the record that comes after it.
func marked(value string) (place uint16, marks, record string) {
	const head = deadlineSize + 3
	place = uint16(value[deadlineSize]) | uint16(value[deadlineSize+1])<<8
	end := head + 4*int(value[head-1])
	return place, value[head:end], value[end:]
}

// A sweep that took longer than this has none after it for so many times as long: with 100,000 records it takes some 80 ms.
const (
	longSweep = 20 * time.Millisecond
	idleFor   = 100
)

// sweepIfDue sweeps if there may be something to drop.
func (r *records) sweepIfDue() {
	begun := r.clock.NowNano()
	if !r.unswept.Load() || begun < r.sweepAt.Load() {
		return
	}
	r.unswept.Store(false) // before it: what is forgotten meanwhile may be missed
	r.sweep()
	if took := r.clock.NowNano() - begun; took > int64(longSweep) {
		r.sweepAt.Store(begun + idleFor*took)
	}
}

// sweep drops all records that are out of date, and with that they are counted no longer.
func (r *records) sweep() {
	purges := r.purges.Load()
	scopes := make([]mark, len(purges.List))
	for i, purge := range purges.List {
		scopes[i] = markOf(xxh3.HashStringSeed(purge.Host, r.seed), strings.TrimSuffix(purge.Path, "/"))
	}
	for sum, value := range r.cache.All() {
		place, marks, encoded := marked(value)
		record, err := validators.Decode(encoded)
		forgotten := err != nil || record.Stamp.Forgotten != r.base+r.counts[place].Load()
		if forgotten || purgedByMarks(purges, scopes, record.Stamp.Purged, marks) {
			r.drop(sum, value)
		}
	}
}

// purgedByMarks is Purges.Cover for who knows the marks only. What is newer than the purges was saved meanwhile.
func purgedByMarks(purges *validators.Purges, scopes []mark, since uint64, marks string) bool {
	if since < purges.Base {
		return true
	}
	for i, purge := range purges.List {
		if purge.Number > since && hasMark(marks, scopes[i]) {
			return true
		}
	}
	return false
}

func hasMark(marks string, wanted mark) bool {
	for ; marks != ""; marks = marks[4:] {
		if mark(marks[0])|mark(marks[1])<<8|mark(marks[2])<<16|mark(marks[3])<<24 == wanted {
			return true
		}
	}
	return false
}
