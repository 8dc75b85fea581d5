package redis

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/zeebo/xxh3"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// What is kept of a tag is "seconds milliseconds tag": when it was first seen, and until when that is kept, by the clock
// of who has asked for it. It is kept anew once less than the ttl is left: so most calls need no write.
//
// The dates of a site are counted by a sorted set of their keys' digests, by the time when they end, which is the
// server's. All are in one slot of a cluster, whose hash tag stands for the site and for the latest purge of everything:
// what was kept before that has other names, and is swept away (see sweep).

// firstSeenScript returns the time of the tag ARGV[1] under KEYS[1] and how many dates the site has then, by KEYS[2]. The
// time is the one that is kept with the tag; or else ARGV[2], in seconds, if that is later than what is kept with another. If
// not, nothing changes, and the answer begins with a dash; nor does it where there are ARGV[7] dates without it. What is
// new is later than ARGV[6]. It is kept for ARGV[3] milliseconds at first, and for ARGV[4] from the second call on; ARGV[5] is
// when the caller has asked, in milliseconds, and ARGV[8] the member of the set.
//
// A key that is in the set and not there was evicted. Its date was at most that of now, which is not given a second time.
const firstSeenScript = `
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
local kept, seen, life = redis.call('GET', KEYS[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function count() return redis.call('ZCOUNT', KEYS[2], '(' .. string.format('%.0f', clock), '+inf') end
local before, tag
if kept then
  before, tag = string.match(kept, '^(%-?%d+) %-?%d+ (.*)$')
  before = tonumber(before)
end
if before and tag == ARGV[1] then
  seen, life = before, tonumber(ARGV[4])
elseif before then
  if seen <= before then return '- ' .. count() end
else
  local score = redis.call('ZSCORE', KEYS[2], ARGV[8])
  if score and tonumber(score) > clock then
    seen = seen + 1
  else
    local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', clock), 'LIMIT', 0, 100)
    if #over > 0 then redis.call('ZREM', KEYS[2], unpack(over)) end
    local dates = count()
    if dates >= tonumber(ARGV[7]) then return '- ' .. dates end
  end
  seen = math.max(seen, tonumber(ARGV[6]) + 1)
end
local answer = string.format('%.0f', seen)
local ends = string.format('%.0f', tonumber(ARGV[5]) + life)
redis.call('SET', KEYS[1], answer .. ' ' .. ends .. ' ' .. ARGV[1], 'PX', string.format('%.0f', life))
redis.call('ZADD', KEYS[2], string.format('%.0f', clock + life), ARGV[8])
if redis.call('PTTL', KEYS[2]) < life then redis.call('PEXPIRE', KEYS[2], string.format('%.0f', life)) end
return answer .. ' ' .. count()
`

// settled is for how long after a purge of everything, by the server's clock, no date is given to what is new: a node that
// does not know of it, which is two seconds at most, or whose clock is ahead, may have given these.
const settled = maxStale + time.Second

// dateNames are the keys that FirstSeen uses for one key of a store.
type dateNames struct{ date, site string }

// siteTag is the hash tag of a site's keys.
func siteTag(site, all uint64) [16]byte {
	var text [16]byte
	var octets [8]byte
	binary.BigEndian.PutUint64(octets[:], site)
	binary.BigEndian.PutUint64(octets[:], xxh3.HashSeed(octets[:], all))
	hex.Encode(text[:], octets[:])
	return text
}

// appendDate appends the name of a date, whose digest may be empty.
func appendDate(name []byte, prefix string, tag [16]byte, digest []byte) []byte {
	name = append(append(append(append(name, prefix...), '{'), tag[:]...), '}')
	return hex.AppendEncode(name, digest)
}

func (k keys) ofDate(key validators.Key, all uint64) dateNames {
	tag := siteTag(key.Site, all)
	return dateNames{string(appendDate(nil, k.firstSeen, tag, key.Sum[:])), string(appendDate(nil, k.site, tag, nil))}
}

// FirstSeen looks in memory first, and then has the server decide.
func (s *store) FirstSeen(ctx context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (time.Time, error) {
	tag, ttl = validators.ShortTag(tag), min(max(ttl, time.Millisecond), maxTTL)
	if at, ok := s.peekDate(key, tag, now, ttl); ok {
		return dateOf(at)
	}
	answer, err := call(ctx, s, func(ctx context.Context, client rueidis.Client) (seen, error) {
		for range tries {
			known, err := s.knownLog(ctx, client)
			if err != nil {
				return seen{}, err
			}
			names := s.keys.ofDate(key, known.all)
			texts, local, err := get(ctx, client, names.date, s.keys.purges)
			if err != nil {
				return seen{}, err
			}
			if log := s.parseLog(texts[1]); log == nil || log.all != known.all {
				s.log.CompareAndSwap(known, nil)
				continue
			}
			if at, ok := decided(texts[0], tag, now, ttl); ok {
				return seen{at, local}, nil
			}
			return s.see(ctx, client, names, sight{key, tag, now, ttl, known.all})
		}
		return seen{}, errUnsteady
	})
	if err != nil {
		return time.Time{}, err
	}
	return dateOf(answer.at)
}

// peekDate looks in memory, without the client.
func (s *store) peekDate(key validators.Key, tag string, now time.Time, ttl time.Duration) (at time.Time, ok bool) {
	known := s.log.Load()
	if known == nil {
		return time.Time{}, false
	}
	var space [maxName]byte
	name := appendDate(space[:0], s.keys.firstSeen, siteTag(key.Site, known.all), key.Sum[:])
	texts, ok := s.copied([3][]byte{name, s.purgesName})
	if !ok {
		return time.Time{}, false
	}
	if log := s.parseLog(texts[1]); log == nil || log.all != known.all {
		return time.Time{}, false
	}
	return decided(texts[0], tag, now, ttl)
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

// sight is a tag that is seen.
type sight struct {
	key validators.Key
	tag string
	now time.Time
	ttl time.Duration
	all uint64 // the latest purge of everything
}

func (s *store) see(ctx context.Context, client rueidis.Client, names dateNames, of sight) (seen, error) {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	first, again := validators.DateLives(of.ttl)
	floor := int64(of.all/1e6) + int64(settled/time.Second) //nolint:gosec // less than 2^63, in microseconds
	script := client.B().Eval().Script(firstSeenScript).Numkeys(2).Key(names.date, names.site).Arg(
		of.tag, number(of.now.Unix()), number(first.Milliseconds()), number(again.Milliseconds()), number(of.now.UnixMilli()),
		number(floor), number(int64(s.options.maxFirstSeen)), rueidis.BinaryString(of.key.Sum[:]),
	).Build()
	answers := client.DoMulti(ctx, script, fence(client.B(), names.date))
	if err := firstError(answers); err != nil {
		return seen{}, err
	}
	text, err := answers[0].ToString()
	if err != nil {
		return seen{}, err
	}
	date, count, _ := strings.Cut(text, " ")
	dates, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return seen{}, errRubbish
	}
	s.sites.counted(of.key.Site, of.all, dates)
	if date == "-" {
		return seen{}, nil
	}
	seconds, err := strconv.ParseInt(date, 10, 64)
	return seen{at: notToCome(seconds, of.now)}, err
}
