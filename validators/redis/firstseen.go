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

// firstSeenScript keeps the time of the tag ARGV[1], if it is the same; else ARGV[2], or a second after the time that
// was kept. ARGV[3] is the time in milliseconds until when, ARGV[4] how long that is.
const firstSeenScript = `
local kept, seen = redis.call('GET', KEYS[1]), tonumber(ARGV[2])
if kept then
  local before, tag = string.match(kept, '^(%-?%d+) %-?%d+ (.*)$')
  before = tonumber(before)
  if before and tag == ARGV[1] then
    seen = before
  elseif before and seen <= before then
    seen = before + 1
  end
end
local answer = string.format('%.0f', seen)
redis.call('SET', KEYS[1], answer .. ' ' .. ARGV[3] .. ' ' .. ARGV[1], 'PX', ARGV[4])
return answer
`

// FirstSeen looks in memory first, and then has the server decide.
func (s *store) FirstSeen(_ context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (time.Time, error) {
	ttl = min(max(ttl, time.Millisecond), maxTTL)
	var space [maxName]byte
	if texts, ok := s.copied([3][]byte{appendDigest(space[:0], s.keys.firstSeen, key.Sum)}); ok {
		if at, ok := stillSeen(texts[0], tag, now.Add(ttl)); ok {
			return at, nil
		}
	}
	name := ofDigest(s.keys.firstSeen, key.Sum)
	answer, err := call(s, func(ctx context.Context, client rueidis.Client) (seen, error) {
		kept, local, err := get(ctx, client, name)
		if err != nil {
			return seen{}, err
		}
		if at, ok := stillSeen(kept[0], tag, now.Add(ttl)); ok {
			return seen{at, local}, nil
		}
		return see(ctx, client, name, tag, now, ttl)
	})
	return answer.at, err
}

type seen struct {
	at    time.Time
	local bool
}

func (s seen) isLocal() bool { return s.local }

// stillSeen reads the time of the tag out of what is kept, if that is kept long enough.
func stillSeen(text, tag string, until time.Time) (at time.Time, ok bool) {
	first, rest, _ := strings.Cut(text, " ")
	second, keptTag, whole := strings.Cut(rest, " ")
	seconds, err := strconv.ParseInt(first, 10, 64)
	end, errEnd := strconv.ParseInt(second, 10, 64)
	if err != nil || errEnd != nil || !whole || keptTag != tag || end < until.UnixMilli() {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0).UTC(), true
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
	if err != nil {
		return seen{}, err
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return seen{at: time.Unix(seconds, 0).UTC()}, err
}
