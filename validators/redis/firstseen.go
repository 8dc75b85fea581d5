package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// What is kept of a tag is "seconds milliseconds tag": when it was first seen, and until when that is kept. It
// is kept for twice the ttl, and anew once less than the ttl is left: so most calls need no write.

// firstSeenScript returns the time of the tag ARGV[1], and keeps it: the time that is kept with it, or else ARGV[2] if
// that is later than what is kept with another. If not, nothing changes, and the answer is empty. ARGV[3] is the time
// in milliseconds until when, ARGV[4] how long that is.
const firstSeenScript = `
local kept, seen = redis.call('GET', KEYS[1]), tonumber(ARGV[2])
if kept then
  local before, tag = string.match(kept, '^(%-?%d+) %-?%d+ (.*)$')
  before = tonumber(before)
  if before and tag == ARGV[1] then
    seen = before
  elseif before and seen <= before then
    return ''
  end
end
local answer = string.format('%.0f', seen)
redis.call('SET', KEYS[1], answer .. ' ' .. ARGV[3] .. ' ' .. ARGV[1], 'PX', ARGV[4])
return answer
`

// FirstSeen looks in memory first, and then has the server decide.
func (s *store) FirstSeen(ctx context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (time.Time, error) {
	tag, ttl = validators.ShortTag(tag), min(max(ttl, time.Millisecond), maxTTL)
	var space [maxName]byte
	if texts, ok := s.copied([3][]byte{appendDigest(space[:0], s.keys.firstSeen, key.Sum)}); ok {
		if at, ok := decided(texts[0], tag, now, ttl); ok {
			return dateOf(at)
		}
	}
	name := ofDigest(s.keys.firstSeen, key.Sum)
	answer, err := call(ctx, s, func(ctx context.Context, client rueidis.Client) (seen, error) {
		kept, local, err := get(ctx, client, name)
		if err != nil {
			return seen{}, err
		}
		if at, ok := decided(kept[0], tag, now, ttl); ok {
			return seen{at, local}, nil
		}
		return see(ctx, client, name, tag, now, ttl)
	})
	if err != nil {
		return time.Time{}, err
	}
	return dateOf(answer.at)
}

// seen is when a tag was first seen; zero if it has no date now.
type seen struct {
	at    time.Time
	local bool
}

func (s seen) isLocal() bool { return s.local }

func dateOf(at time.Time) (time.Time, error) {
	if at.IsZero() {
		return at, validators.ErrNoDate
	}
	return at, nil
}

// decided reads what there is to say of the tag out of what is kept; zero: it has no date now. It is not ok where
// something has to be written, or kept for longer.
//
// A copy that is behind the server says no other thing: what is kept there has a later time, so that it is not
// this tag's turn there either, or has come before the time has.
func decided(text, tag string, now time.Time, ttl time.Duration) (at time.Time, ok bool) {
	first, rest, _ := strings.Cut(text, " ")
	second, keptTag, whole := strings.Cut(rest, " ")
	seconds, err := strconv.ParseInt(first, 10, 64)
	end, errEnd := strconv.ParseInt(second, 10, 64)
	switch {
	case err != nil || errEnd != nil || !whole:
		return time.Time{}, false
	case keptTag != tag:
		return time.Time{}, seconds >= now.Unix()
	case end < now.Add(ttl).UnixMilli():
		return time.Time{}, false
	}
	return notToCome(seconds, now), true
}

// notToCome is a time, or zero if it lies ahead.
func notToCome(seconds int64, now time.Time) time.Time {
	if seconds > now.Unix() {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func see(ctx context.Context, client rueidis.Client, name, tag string, now time.Time, ttl time.Duration) (seen, error) {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	script := client.B().Eval().Script(firstSeenScript).Numkeys(1).Key(name).
		Arg(tag, number(now.Unix()), number(now.Add(2*ttl).UnixMilli()), number((2 * ttl).Milliseconds())).Build()
	answers := client.DoMulti(ctx, script, fence(client.B(), name))
	if err := firstError(answers); err != nil {
		return seen{}, err
	}
	text, err := answers[0].ToString()
	if err != nil || text == "" {
		return seen{}, err
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return seen{at: notToCome(seconds, now)}, err
}
