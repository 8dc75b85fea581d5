package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// maxUntold is how many URIs are kept apart: some 3 MB. Where there are more, everything is to be forgotten.
const maxUntold = 1 << 16

// untold are the URIs, by their sums, that were forgotten here, and of which the server does not know, or not for sure.
// Loads of them find nothing. Their places are looked up when the server is told, as its seed may not be known before.
//
// What is being told stays untold until that is done. If it is forgotten once more in the meantime, and that fails, it has
// another number, and is told again. The zero value is empty.
type untold struct {
	some atomic.Bool // there are any

	mu   sync.Mutex
	last uint64                       // the number of what was added last
	sums map[validators.Digest]uint64 // with their numbers
	all  uint64                       // its number if everything is untold; else 0
}

// task is something that the server is to be told.
type task struct {
	sum    validators.Digest
	number uint64
}

func (u *untold) add(sum validators.Digest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last++
	_, known := u.sums[sum]
	switch {
	case u.all != 0:
		u.all = u.last
	case !known && len(u.sums) >= maxUntold:
		u.all, u.sums = u.last, nil
	default:
		if u.sums == nil {
			u.sums = make(map[validators.Digest]uint64)
		}
		u.sums[sum] = u.last
	}
	u.some.Store(true)
}

func (u *untold) has(sum validators.Digest) bool {
	if !u.some.Load() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all != 0 || u.sums[sum] != 0
}

// list is what there is to tell, and the number of everything, or 0.
func (u *untold) list() (tasks []task, all uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for sum, number := range u.sums {
		tasks = append(tasks, task{sum, number})
	}
	return tasks, u.all
}

// told takes away what the server knows now.
func (u *untold) told(tasks []task, all uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range tasks {
		if u.sums[t.sum] == t.number {
			delete(u.sums, t.sum)
		}
	}
	if u.all == all {
		u.all = 0
	}
	u.some.Store(len(u.sums) > 0 || u.all != 0)
}

// tell has the server forget all that is untold.
func (s *store) tell() error {
	const atOnce = 256
	tasks, all := s.untold.list()
	if all != 0 {
		err := s.inBackground(func(ctx context.Context, client rueidis.Client) error {
			return s.purge(ctx, client, validators.Scope{})
		})
		if err != nil {
			return err
		}
		s.untold.told(nil, all)
	}
	for len(tasks) > 0 {
		part := tasks[:min(atOnce, len(tasks))]
		tasks = tasks[len(part):]
		sums := make([]validators.Digest, len(part))
		for i, t := range part {
			sums[i] = t.sum
		}
		err := s.inBackground(func(ctx context.Context, client rueidis.Client) error { return s.forget(ctx, client, sums...) })
		if err != nil {
			return err
		}
		s.untold.told(part, 0)
	}
	return nil
}

// inBackground makes calls that no request waits for.
func (s *store) inBackground(do func(context.Context, rueidis.Client) error) (err error) {
	defer contain(&err)
	client := s.client.Load()
	if client == nil {
		return errConnecting
	}
	ctx, cancel := context.WithTimeout(s.ctx, max(s.options.timeout, time.Second))
	defer cancel()
	return do(ctx, *client)
}
