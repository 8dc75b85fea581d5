package redis

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"
)

// untold are the buckets that were forgotten here, and of which the server does not know, or not for sure. Loads of
// them find nothing.
//
// A bucket is moved to telling while it is written, and leaves it when that is done. If it is forgotten
// once more in the meantime, and that fails, it is in waiting again, and is written again.
type untold struct {
	waiting, telling [1 << 16 / 64]atomic.Uint64
}

func (u *untold) add(b bucket) { u.waiting[b/64].Or(1 << (b % 64)) }

// has looks at waiting first: what moves is in telling before it leaves waiting.
func (u *untold) has(b bucket) bool {
	return u.waiting[b/64].Load()&(1<<(b%64)) != 0 || u.telling[b/64].Load()&(1<<(b%64)) != 0
}

// take moves what is waiting to telling, and returns it. Only one goroutine takes and gives.
func (u *untold) take() []bucket {
	var taken []bucket
	for i := range u.waiting {
		word := u.waiting[i].Load()
		u.telling[i].Or(word)
		u.waiting[i].And(^word)
		for ; word != 0; word &= word - 1 {
			taken = append(taken, bucket(i*64+bits.TrailingZeros64(word))) //nolint:gosec // below 1<<16
		}
	}
	return taken
}

// told ends telling; what was not told waits again.
func (u *untold) told(buckets []bucket, done bool) {
	for _, b := range buckets {
		if !done {
			u.add(b)
		}
		u.telling[b/64].And(^(1 << (b % 64)))
	}
}

// tell writes new generations of all buckets that are untold.
func (s *store) tell() error {
	const atOnce = 256
	buckets := s.untold.take()
	var err error
	for len(buckets) > 0 {
		part := buckets[:min(atOnce, len(buckets))]
		buckets = buckets[len(part):]
		if err == nil {
			err = s.tellPart(part)
		}
		s.untold.told(part, err == nil)
	}
	return err
}

func (s *store) tellPart(part []bucket) (err error) {
	defer contain(&err)
	client := s.client.Load()
	if client == nil {
		return errConnecting
	}
	ctx, cancel := context.WithTimeout(s.ctx, max(s.options.timeout, time.Second))
	defer cancel()
	return s.forget(ctx, *client, part...)
}
