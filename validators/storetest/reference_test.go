package storetest_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// hub is a store in the plainest form: maps and a lock, shared by nodes that hear of each other's Forgets and Purges
// late. With a fault, the nodes break one promise.
type hub struct {
	fault string
	most  int // dates of a site

	mu      sync.Mutex
	records map[validators.Digest]kept
	firsts  map[validators.Digest]first
	floor   time.Time // no date up to it is given
	events  []event
	late    func() // a Save that has not happened yet
}

type kept struct {
	record validators.Record
	until  time.Time
}

type first struct {
	tag   string
	seen  time.Time
	saved time.Time
	site  uint64
}

// event is a Forget, or a Purge.
type event struct {
	uri   validators.Digest
	purge *validators.Purge
}

// node is a validators.Store. Of what other nodes have done it hears at every third Load.
type node struct {
	*hub
	told      int // how many events
	loads     int
	forgotten map[validators.Digest]uint64
	purges    *validators.Purges
	stats     validators.Stats
	closed    bool
}

func newHub(fault string) *hub {
	return &hub{fault: fault, most: 1 << 30, records: make(map[validators.Digest]kept), firsts: make(map[validators.Digest]first)}
}

func (h *hub) node() *node {
	return &node{
		hub: h, forgotten: make(map[validators.Digest]uint64), purges: new(validators.Purges),
		stats: validators.Stats{Available: true, Entries: -1},
	}
}

func (n *node) is(fault string) bool { return n.fault == fault }

// listen hears of all events.
func (n *node) listen() {
	for ; n.told < len(n.events); n.told++ {
		switch e := n.events[n.told]; {
		case e.purge == nil:
			n.forgotten[e.uri]++
		case n.is("purges are dropped when there are many") && len(n.purges.List) == validators.MaxPurges:
			n.purges = &validators.Purges{List: append(n.purges.List[1:], *e.purge)}
		default:
			n.purges = n.purges.With(*e.purge)
		}
	}
}

func (n *node) stamp(uri validators.URI) validators.Stamp {
	return validators.Stamp{Forgotten: n.forgotten[uri.Sum], Purged: n.purges.Last()}
}

func (n *node) Name() string {
	if n.is("a password in the name") {
		return "redis user:pass@cache.example:6379"
	}
	return "reference"
}

func (n *node) Load(ctx context.Context, key validators.Key) (validators.Record, validators.Stamp, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed && n.is("a panic when closed") {
		panic("closed")
	}
	if ctx.Err() != nil && n.is("an ended context waits") {
		<-context.WithoutCancel(ctx).Done() // for good
	}
	if n.loads++; n.loads%3 == 0 && !n.is("never told") {
		n.listen()
	}
	k, found := n.records[n.recordKey(key)]
	stamp := n.stamp(key.URI)
	found = found && (time.Now().Before(k.until) || n.is("no ttl"))
	if found && !n.is("Save stamps again") {
		found = k.record.Stamp.Forgotten == stamp.Forgotten && !n.purges.Cover(k.record.Stamp.Purged, key.URI)
	}
	n.count(found)
	switch {
	case found && n.is("used up by one Load"):
		delete(n.records, key.Sum)
	case !found && n.is("a record of nothing"):
		return validators.Record{Size: -1}, stamp, nil
	}
	if !found {
		return validators.Record{}, stamp, nil
	}
	return k.record, stamp, nil
}

func (n *node) count(found bool) {
	if found || n.is("misses count as hits") {
		n.stats.Hits++
	} else {
		n.stats.Misses++
	}
}

func (n *node) recordKey(key validators.Key) validators.Digest {
	if n.is("one record a URI") {
		return validators.Digest([]byte(key.URI.Host + "0123456789abcdef")[:16])
	}
	return key.Sum
}

func (n *node) Save(_ context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum, until := n.recordKey(key), time.Now().Add(ttl)
	before, found := n.records[sum]
	switch {
	case n.is("Save stamps again"), n.is("late Saves are stamped again"):
		record.Stamp = n.stamp(key.URI)
	case n.is("the first record stays") && found:
		return nil
	case n.is("the first ttl stays") && found && n.stamp(key.URI) == before.record.Stamp:
		until = before.until
	case n.is("Size is lost"):
		record.Size = 0
	case n.is("Variants are lost"):
		record.Variants = ""
	case n.is("large records are cut"):
		if b, _ := record.AppendBinary(nil); len(b) > 32<<10 {
			return nil
		}
	}
	if n.is("Save drops what FirstSeen keeps") {
		delete(n.firsts, sum)
	}
	if n.late != nil {
		n.late()
	}
	if n.is("Saves are late") {
		n.late = func() { n.records[sum] = kept{record, until} }
		return nil
	}
	n.records[sum] = kept{record, until}
	return nil
}

func (n *node) Delete(_ context.Context, key validators.Key) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.is("Delete does nothing"):
		return nil
	case n.is("Delete drops the URI"):
		clear(n.records)
	case n.is("Delete drops what FirstSeen keeps"):
		delete(n.firsts, key.Sum)
	}
	delete(n.records, n.recordKey(key))
	return nil
}

func (n *node) Forget(ctx context.Context, uri validators.URI) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case ctx.Err() != nil && n.is("an ended context forgets nothing"):
		return ctx.Err()
	case n.is("Forget does nothing"):
		return nil
	case n.is("Save stamps again"):
		clear(n.records) // so that only what comes late is wrong
		return nil
	case n.is("FirstSeen is forgotten"):
		clear(n.firsts)
	case n.is("Forget waits to be told"):
		n.events = append(n.events, event{uri: uri.Sum})
		return nil
	}
	n.events = append(n.events, event{uri: uri.Sum})
	n.listen()
	return nil
}

func (n *node) Purge(_ context.Context, scope validators.Scope) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.is("Purge does nothing"):
		return nil
	case n.is("Purge of everything does nothing") && scope == (validators.Scope{}):
		return nil
	case n.is("Purge takes all hosts"):
		scope.Host = ""
	case n.is("Purge takes the host"):
		scope.Path = ""
	case n.is("Purge knows no hosts alone") && scope.Path == "":
		return nil
	case n.is("Purge needs a host") && scope.Host == "":
		return nil
	case n.is("Purge spares what lies below"):
		scope.Path += "/."
	case n.is("Purge takes the segment's beginning"):
		scope.Path = strings.TrimSuffix(scope.Path, "/b")
	case n.is("FirstSeen is purged"):
		clear(n.firsts)
	}
	if everything := scope == (validators.Scope{}); everything && !n.is("Purge of everything spares FirstSeen") {
		for _, f := range n.firsts {
			if f.seen.After(n.floor) && !n.is("dates come again after a purge") {
				n.floor = f.seen
			}
		}
		clear(n.firsts)
	}
	n.events = append(n.events, event{purge: &validators.Purge{Number: uint64(len(n.events) + 1), Scope: scope}})
	n.listen()
	return nil
}

func (n *node) FirstSeen(_ context.Context, key validators.Key, tag string, now time.Time, _ time.Duration) (time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.is("long tags are cut") {
		tag = tag[:min(len(tag), 128)]
	}
	if !n.is("parts of seconds") {
		now = now.Truncate(time.Second)
	}
	seen := n.seen(key, tag, now)
	switch ahead := seen.After(now); {
	case seen.IsZero(), ahead && !n.is("FirstSeen tells what is to come") && !n.is("FirstSeen runs ahead"):
		return time.Time{}, validators.ErrNoDate
	}
	return seen, nil
}

// seen is zero where the tag has no date.
func (n *node) seen(key validators.Key, tag string, now time.Time) time.Time {
	sum := key.Sum
	f, found := n.firsts[sum]
	switch {
	case n.is("FirstSeen is always now"):
		return now
	case found && n.is("FirstSeen forgets early") && time.Since(f.saved) > 50*time.Millisecond:
	case found && (f.tag == tag || n.is("tags do not matter")):
		return f.seen
	case found && !now.After(f.seen) && n.is("FirstSeen runs ahead"):
		now = f.seen.Add(time.Second)
	case found && !now.After(f.seen) && !n.is("FirstSeen goes back"):
		if n.is("no date for a tag that is kept") {
			n.firsts[sum] = first{tag, f.seen, time.Now(), key.Site}
		}
		return time.Time{}
	}
	if !found {
		if !n.makeRoom(key.Site) {
			return time.Time{}
		}
		if !now.After(n.floor) {
			now = n.floor.Add(time.Second)
		}
	}
	if n.is("FirstSeen has no lock") {
		n.mu.Unlock()
		runtime.Gosched()
		n.mu.Lock()
	}
	n.firsts[sum] = first{tag, now, time.Now(), key.Site}
	if n.is("FirstSeen is kept as a record") {
		n.records[sum] = kept{validators.Record{Received: now}, now.Add(1000 * time.Hour)}
	}
	return now
}

// makeRoom reports whether there is room for one more date of a site.
func (n *node) makeRoom(site uint64) bool {
	var kept int
	for sum, f := range n.firsts {
		switch {
		case f.site != site && !n.is("sites share their room"):
			continue
		case n.is("dates give way") && len(n.firsts) >= n.most:
			delete(n.firsts, sum)
			return true
		}
		kept++
	}
	return kept < n.most || n.is("dates without end")
}

func (n *node) Stats() validators.Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stats.FirstSeen = int64(len(n.firsts)); n.is("dates are not counted") {
		n.stats.FirstSeen = 0
	}
	return n.stats
}
