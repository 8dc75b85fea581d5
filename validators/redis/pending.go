package redis

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// pending are the buckets that could not be forgotten. There are no more of them than buckets.
type pending struct {
	any atomic.Int64 // how many; so that nobody waits for the lock while there are none

	mu      sync.Mutex
	buckets map[bucket]uint64 // with the number of the latest failure
	last    uint64
}

func (p *pending) add(b bucket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buckets == nil {
		p.buckets = make(map[bucket]uint64)
	}
	p.last++
	p.buckets[b] = p.last
	p.any.Store(int64(len(p.buckets)))
}

func (p *pending) has(b bucket) bool {
	if p.any.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, found := p.buckets[b]
	return found
}

// done takes a bucket off, unless forgetting it has failed once more since.
func (p *pending) done(b bucket, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buckets[b] == number {
		delete(p.buckets, b)
	}
	p.any.Store(int64(len(p.buckets)))
}

func (p *pending) all() map[bucket]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.buckets)
}

// forgetPending forgets what could not be forgotten. To delete a generation ends it as well as a new one does, and
// can be done by a server that is full.
func (s *store) forgetPending(ctx context.Context, client rueidis.Client) error {
	for b, number := range s.pending.all() {
		name := s.generationKey(b)
		for _, result := range client.DoMulti(ctx, client.B().Del().Key(name).Build(), client.B().Exists().Key(name).Build()) {
			if err := result.Error(); err != nil {
				return err
			}
		}
		s.pending.done(b, number)
	}
	return nil
}
