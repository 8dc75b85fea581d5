package redis

import (
	"context"
	"encoding/hex"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// sites are those whose dates this process has asked for, and how many there were when the server was last asked. The
// zero value has none.
type sites struct {
	mu    sync.Mutex
	known map[uint64]dated
	asked time.Time // when all were counted last, and
	busy  bool      // whether they are being counted
}

// dated is what is known of a site's dates.
type dated struct {
	all   uint64 // since which purge of everything
	count int64
}

// counted takes down how many dates a site has. What is known of a later purge stays.
func (s *sites) counted(site, all uint64, count int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[uint64]dated)
	}
	if s.known[site].all <= all {
		s.known[site] = dated{all, count}
	}
}

// purged takes down that everything was, and returns the hash tags of what is left of before.
func (s *sites) purged(all uint64) (tags [][16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for site, d := range s.known {
		if d.all < all {
			tags = append(tags, siteTag(site, d.all))
			s.known[site] = dated{all: all}
		}
	}
	return tags
}

// sum is how many dates there are; -1 if no site is known. It says as well whether it is time to count again.
func (s *sites) sum() (dates int64, isOld bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) == 0 {
		return -1, false
	}
	for _, d := range s.known {
		dates += d.count
	}
	if s.busy || time.Since(s.asked) < time.Second {
		return dates, false
	}
	s.busy = true
	return dates, true
}

func (s *sites) list() map[uint64]dated {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.known)
}

func (s *sites) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.busy = time.Now(), false
}

// dates is how many dates there were when the server was last asked. It has it asked again for the next time, as others
// make dates, too, and some end.
func (s *store) dates() int64 {
	sum, isOld := s.sites.sum()
	if isOld {
		go s.count()
	}
	return sum
}

func (s *store) count() {
	defer s.sites.done()
	for site, d := range s.sites.list() {
		name := string(appendDate(nil, s.keys.site, siteTag(site, d.all), nil))
		err := s.inBackground(func(ctx context.Context, client rueidis.Client) error {
			from := "(" + strconv.FormatInt(time.Now().UnixMilli(), 10)
			count, err := client.Do(ctx, client.B().Zcount().Key(name).Min(from).Max("+inf").Build()).AsInt64()
			if err == nil {
				s.sites.counted(site, d.all, count)
			}
			return err
		})
		if err != nil {
			return
		}
	}
}

// learn takes down the log that was read last. If everything was purged since the one before, what is left of its dates
// is swept away.
func (s *store) learn(log *purgeLog) {
	before := s.log.Swap(log)
	if before != nil && before.all >= log.all {
		return
	}
	if tags := s.sites.purged(log.all); len(tags) > 0 && s.ctx.Err() == nil {
		go s.sweep(tags)
	}
}

// sweep deletes dates that have been purged: nobody finds them any more, and they would take room until they end. What it
// cannot delete does. Other nodes may be at the same.
func (s *store) sweep(tags [][16]byte) {
	for _, tag := range tags {
		for {
			var some bool
			err := s.inBackground(func(ctx context.Context, client rueidis.Client) (err error) {
				some, err = s.sweepSome(ctx, client, tag)
				return err
			})
			if err != nil || !some {
				break
			}
		}
	}
}

func (s *store) sweepSome(ctx context.Context, client rueidis.Client, tag [16]byte) (some bool, err error) {
	const atOnce = 500
	b, set := client.B(), string(appendDate(nil, s.keys.site, tag, nil))
	members, err := client.Do(ctx, b.Zrange().Key(set).Min("0").Max(strconv.Itoa(atOnce-1)).Build()).AsStrSlice()
	if err != nil || len(members) == 0 {
		return false, err
	}
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = string(hex.AppendEncode(appendDate(nil, s.keys.firstSeen, tag, nil), []byte(member)))
	}
	return true, firstError(client.DoMulti(ctx, b.Unlink().Key(names...).Build(), b.Zrem().Key(set).Member(members...).Build()))
}
