package memory

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// A value tells, besides its record, by what that is forgotten and purged: so those that are out of date can be counted out
// without their URIs, which are in no record. Marks are hashes, and only what is counted goes by them.

// maxMarks is how many prefixes of a path have a mark. A purge of one further down does not count its records out before
// they are looked for.
const maxMarks = 8

// mark stands for a host and a prefix of a path that ends at a segment.
type mark uint32

func markOf(host uint64, prefix string) mark { return mark(3*host ^ maphash.String(marks, prefix)) } //nolint:gosec // half of a hash

func markOfHost(host string) uint64 { return maphash.String(marks, host) }

// marks is what they are made with: they are no longer than a process.
var marks = maphash.MakeSeed()

// appendMarks appends the place of a URI, and the marks of all prefixes of its path, each of which may be purged.
func (r *records) appendMarks(b []byte, uri validators.URI) []byte {
	b = binary.LittleEndian.AppendUint16(b, r.place(uri))
	count := len(b)
	b = append(b, 0)
	host := markOfHost(uri.Host)
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
func marked(value string) (place uint16, prefixes, record string) {
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
		scopes[i] = markOf(markOfHost(purge.Host), strings.TrimSuffix(purge.Path, "/"))
	}
	for sum, value := range r.cache.All() {
		place, prefixes, encoded := marked(value)
		record, err := validators.Decode(encoded)
		forgotten := err != nil || record.Stamp.Forgotten != r.base+r.counts[place].Load()
		if forgotten || purgedByMarks(purges, scopes, record.Stamp.Purged, prefixes) {
			r.drop(sum, value)
		}
	}
}

// purgedByMarks is Purges.Cover for who knows the marks only. What is newer than the purges was saved meanwhile.
func purgedByMarks(purges *validators.Purges, scopes []mark, since uint64, prefixes string) bool {
	if since < purges.Base {
		return true
	}
	for i, purge := range purges.List {
		if purge.Number > since && hasMark(prefixes, scopes[i]) {
			return true
		}
	}
	return false
}

func hasMark(all string, wanted mark) bool {
	for ; all != ""; all = all[4:] {
		if mark(all[0])|mark(all[1])<<8|mark(all[2])<<16|mark(all[3])<<24 == wanted {
			return true
		}
	}
	return false
}
