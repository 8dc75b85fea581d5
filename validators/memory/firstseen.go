package memory

import (
	"container/heap"
	"context"
	"math"
	"sync"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// dates are what is kept for FirstSeen: so many of each site, of which none gives way to another one. A date that was
// dropped before its second is over could be given once more, to another tag.
type dates struct {
	clock clock
	max   int // of one site

	mu    sync.RWMutex
	kept  map[validators.Digest]*date
	order byEnd
	sites map[uint64]int // how many are kept of each; none is not in it
	// latest is the greatest date there ever was, and floor what it was when everything was purged: no date up to it is
	// given to what is new.
	latest, floor int64
}

// date is when a tag was first seen.
type date struct {
	sum   validators.Digest
	site  uint64
	tag   string
	seen  int64 // in seconds since 1970
	end   int64 // of being kept, by the clock
	place int   // in the order
}

// cleared is how many dates whose time is over one call clears away at most. It adds one at most, so that there are
// never more than may be.
const cleared = 64

func newDates(clock clock, perSite int) *dates {
	return &dates{clock: clock, max: perSite, kept: make(map[validators.Digest]*date), sites: make(map[uint64]int), latest: math.MinInt64, floor: math.MinInt64}
}

// FirstSeen implements validators.Store.
func (d *dates) FirstSeen(
	_ context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration,
) (time.Time, error) {
	tag, second := validators.ShortTag(tag), now.Unix()
	seen, ok := d.known(&key.Sum, tag, second, ttl)
	if !ok {
		seen, ok = d.see(&key, tag, second, ttl)
		if !ok {
			return time.Time{}, validators.ErrNoDate
		}
	}
	if seen > second {
		return time.Time{}, validators.ErrNoDate
	}
	return time.Unix(seen, 0).UTC(), nil
}

// known is a date that needs no change: that of this tag, or of another one if this one can have none now, as the date
// has not gone by.
func (d *dates) known(sum *validators.Digest, tag string, second int64, ttl time.Duration) (seen int64, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	kept, found := d.kept[*sum]
	now := d.clock.NowNano()
	switch {
	case !found || kept.end <= now:
		return 0, false
	case kept.tag == tag:
		return kept.seen, kept.end-now >= int64(ttl)
	}
	return math.MaxInt64, second <= kept.seen
}

// see keeps a date, or keeps one for longer.
func (d *dates) see(key *validators.Key, tag string, second int64, ttl time.Duration) (seen int64, ok bool) {
	first, again := validators.DateLives(ttl)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	kept, found := d.kept[key.Sum]
	if found && kept.end <= d.clock.NowNano() {
		d.remove(kept)
		found = false
	}
	switch {
	case found && kept.tag == tag:
		kept.end = max(kept.end, d.clock.after(again))
	case found && second <= kept.seen:
		return 0, false
	case found:
		kept.tag, kept.seen, kept.end = tag, second, d.clock.after(first)
	case d.sites[key.Site] >= d.max:
		return 0, false
	default:
		kept = &date{sum: key.Sum, site: key.Site, tag: tag, seen: max(second, d.floor+1), end: d.clock.after(first)}
		d.kept[key.Sum] = kept
		d.sites[key.Site]++
		heap.Push(&d.order, kept)
	}
	heap.Fix(&d.order, kept.place)
	d.latest = max(d.latest, kept.seen)
	return kept.seen, true
}

// clear removes what is over. The caller holds mu.
func (d *dates) clear() {
	now := d.clock.NowNano()
	for range cleared {
		if len(d.order) == 0 || d.order[0].end > now {
			return
		}
		d.remove(d.order[0])
	}
}

func (d *dates) remove(gone *date) {
	heap.Remove(&d.order, gone.place)
	delete(d.kept, gone.sum)
	if d.sites[gone.site]--; d.sites[gone.site] == 0 {
		delete(d.sites, gone.site)
	}
}

// purge drops all dates.
func (d *dates) purge() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.floor = d.latest
	d.order = nil
	clear(d.sites)
	d.kept = make(map[validators.Digest]*date) // one that was cleared would keep its room
}

func (d *dates) len() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return int64(len(d.order))
}

// byEnd has first what is over first.
type byEnd []*date

// Len, Less, Swap, Push and Pop are for package heap.
func (b *byEnd) Len() int { return len(*b) }

// Less is for package heap.
func (b *byEnd) Less(i, j int) bool { return (*b)[i].end < (*b)[j].end }

// Swap is for package heap.
func (b *byEnd) Swap(i, j int) {
	list := *b
	list[i], list[j] = list[j], list[i]
	list[i].place, list[j].place = i, j
}

// Push is for package heap.
func (b *byEnd) Push(x any) {
	added := x.(*date)
	added.place = len(*b)
	*b = append(*b, added)
}

// Pop is for package heap.
func (b *byEnd) Pop() any {
	last := len(*b) - 1
	gone := (*b)[last]
	(*b)[last] = nil // or it would be kept from the garbage collector
	*b = (*b)[:last]
	return gone
}
