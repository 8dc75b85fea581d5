package memory

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// firstSeenMark stands where an encoded record has its version, which is never 0: what is kept for FirstSeen
// cannot be read as a record.
const firstSeenMark = 0

// FirstSeen implements validators.Store.
func (r *records) FirstSeen(
	_ context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration,
) (time.Time, error) {
	sum, tag, second := firstSeenKey(key.Sum), validators.ShortTag(tag), time.Unix(now.Unix(), 0).UTC()
	if e, found := r.cache.GetEntry(sum); found {
		seen, kept := decodeFirstSeen(e.Value)
		if kept == tag && e.ExpiresAfter() > ttl || kept != tag && !second.After(seen) {
			return dateOf(seen, kept == tag, second)
		}
	}
	// Kept for twice as long as asked for, what is asked for all the time is written once in a ttl.
	until := r.clock.after(min(ttl, math.MaxInt64/2) * 2)
	seen, kept := second, tag
	r.cache.Compute(sum, func(current string, found bool) (string, otter.ComputeOp) {
		if !found {
			r.firsts.Add(1)
			return encodeFirstSeen(until, second, tag), otter.WriteOp
		}
		switch seen, kept = decodeFirstSeen(current); {
		case kept == tag:
		case second.After(seen):
			seen, kept = second, tag
		default:
			return "", otter.CancelOp
		}
		return encodeFirstSeen(max(until, deadline(current)), seen, tag), otter.WriteOp
	})
	return dateOf(seen, kept == tag, second)
}

// dateOf is the time kept, if it is that of the tag asked for and not to come.
func dateOf(seen time.Time, isCurrent bool, second time.Time) (time.Time, error) {
	if !isCurrent || seen.After(second) {
		return time.Time{}, validators.ErrNoDate
	}
	return seen, nil
}

// firstSeenKey is not the key of any record but by a chance of one to 2^128: nobody can choose what a Digest is.
func firstSeenKey(sum validators.Digest) validators.Digest {
	sum[0] ^= 0xff
	return sum
}

func encodeFirstSeen(until int64, seen time.Time, tag string) string {
	b := make([]byte, 0, deadlineSize+1+8+len(tag))
	b = append(appendDeadline(b, until), firstSeenMark)
	b = binary.LittleEndian.AppendUint64(b, uint64(seen.Unix())) //nolint:gosec // is read back as it was
	return string(append(b, tag...))
}

func isFirstSeen(value string) bool { return value[deadlineSize] == firstSeenMark }

func decodeFirstSeen(value string) (seen time.Time, tag string) {
	const head = deadlineSize + 1
	return time.Unix(deadline(value[head:]), 0).UTC(), value[head+8:]
}
