// Package top knows at which URLs the entity tag is another one each time: the pages of a site that never get a 304,
// however often they are asked for.
//
// A Table counts for some 1,000 URLs, whatever is asked for and for how long. It never grows: texts are kept in place,
// and cut where they are long. A URL that is not in the table takes the place of one that is asked for seldom, so that
// what is asked for often stays, and pages whose tag changes stay longer than those whose tag repeats.
package top

import (
	"cmp"
	"hash/maphash"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const (
	sets = 128
	ways = 8
	// Size is how many URLs a Table counts for.
	Size = sets * ways
	// maxText is how much of a host and a path is kept, in octets.
	maxText = 200

	// A URL may miss so many turns, at most, before another one takes its place.
	maxWeight, maxWeightSteady = 255, 8
)

// Table counts by URL. The zero value is ready; it must not be copied. All methods may be called concurrently, and those
// of a nil Table count nothing. Note does not allocate, and holds one of many locks for less than a microsecond.
type Table struct{ sets [sets]set }

// seed makes it impossible to choose URLs that meet in one set.
var seed = maphash.MakeSeed()

// set is where the URLs are that have some bits of their hash in common.
type set struct {
	mu     sync.Mutex
	hashes [ways]uint64 // 0: nothing is there
	places [ways]place
}

// place is one URL and what is counted for it.
type place struct {
	last                              uint64 // the latest tag
	tagged, again, changed, unmatched uint64
	weight                            uint8
	host, length                      uint8 // of text
	cut                               bool
	text                              [maxText]byte
}

// Answer is what was answered with a tag that was made for it.
type Answer struct {
	// Tag stands for the content; two of one URL are the same if their tags match.
	Tag uint64
	// NotModified: it was a 304, as the client had that tag.
	NotModified bool
	// Unmatched: the client has sent If-None-Match, and none of its tags matched.
	Unmatched bool
}

// Note counts an answer for a host and a path, as the client has sent them.
func (t *Table) Note(host, path string, a Answer) {
	if t == nil {
		return
	}
	hash := max(1, maphash.String(seed, host)*31^maphash.String(seed, path))
	s := &t.sets[hash%sets]
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.find(hash, host, path); p != nil {
		p.count(a)
	}
}

// find is the place of a URL, a new one if need be; nil: others are asked for more often.
func (s *set) find(hash uint64, host, path string) *place {
	least := 0
	for i, h := range s.hashes {
		switch {
		case h == hash:
			return &s.places[i]
		case h == 0:
			return s.take(i, hash, host, path)
		case s.places[i].weight < s.places[least].weight:
			least = i
		}
	}
	if p := &s.places[least]; p.weight > 0 {
		p.weight--
		return nil
	}
	return s.take(least, hash, host, path)
}

func (s *set) take(i int, hash uint64, host, path string) *place {
	p := &s.places[i]
	s.hashes[i], *p = hash, place{}
	n := copy(p.text[:], host)
	p.host = uint8(n) //nolint:gosec // maxText at most
	n += copy(p.text[n:], path)
	p.length, p.cut = uint8(n), n < len(host)+len(path) //nolint:gosec // the same
	return p
}

func (p *place) count(a Answer) {
	if p.tagged+p.again > 0 && p.last != a.Tag {
		p.changed++
	}
	p.last = a.Tag
	if a.NotModified {
		p.again++
	} else {
		p.tagged++
	}
	if a.Unmatched {
		p.unmatched++
	}
	most := uint8(maxWeightSteady)
	if p.restless() {
		most = maxWeight
	}
	if p.weight < most {
		p.weight++
	}
}

// restless reports whether the tag was another one more often than not.
func (p *place) restless() bool { return p.changed > 0 && 2*p.changed >= p.tagged+p.again-1 }

// URL is what was counted for one, since it has been in the table.
type URL struct {
	// URL is a host and a path, percent-encoded, without the query. One that was cut ends in "…".
	URL string `json:"url"`
	// Tagged is how many answers had a tag made here, and a content: 200.
	Tagged uint64 `json:"tagged"`
	// Changed is how many answers had another tag than the one before.
	Changed uint64 `json:"changed"`
	// Unmatched is how many requests had an If-None-Match of which no tag matched.
	Unmatched uint64 `json:"unmatched"`
	// NotModified is how many were answered 304, by the same tag.
	NotModified uint64 `json:"not_modified"`
}

// Restless are the URLs whose tag was another one at least as often as not, those with the most changes first.
func (t *Table) Restless(limit int) []URL {
	all := []URL{}
	if t == nil {
		return all
	}
	for i := range t.sets {
		all = t.sets[i].restless(all)
	}
	slices.SortFunc(all, func(a, b URL) int {
		return cmp.Or(cmp.Compare(b.Changed, a.Changed), cmp.Compare(b.Unmatched, a.Unmatched), strings.Compare(a.URL, b.URL))
	})
	return all[:min(limit, len(all))]
}

func (s *set) restless(all []URL) []URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.places {
		if p := &s.places[i]; p.restless() {
			all = append(all, URL{p.url(), p.tagged, p.changed, p.unmatched, p.again})
		}
	}
	return all
}

func (p *place) url() string {
	host, path := string(p.text[:p.host]), url.URL{Path: string(p.text[p.host:p.length])}
	text := strings.ToValidUTF8(host, "\uFFFD") + path.EscapedPath()
	if p.cut {
		text += "…"
	}
	return text
}
