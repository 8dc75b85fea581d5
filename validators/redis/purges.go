package redis

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// The log of purges is a list of texts: first the number up to which everything counts as purged, then a text for each
// purge: its number, the host and the path, percent-encoded.

// appendPurge appends a purge, numbered by the server's clock in microseconds but always higher than the one before,
// and drops the oldest of more than there may be. ARGV: how many, and the scope; "" only makes sure that there is a
// log, "all" purges everything. Numbers are texts of 16 digits, as those of Lua are printed with fewer.
var appendPurge = rueidis.NewLuaScript(`
local time = redis.call('TIME')
local number = time[1] .. string.format('%06d', time[2])
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind ~= 'list' then
	redis.call('DEL', KEYS[1])
	redis.call('RPUSH', KEYS[1], number)
	if ARGV[2] == '' then return number end
end
local last = string.match(redis.call('LINDEX', KEYS[1], -1), '^%d+') or '0'
if ARGV[2] == '' then return last end
if tonumber(number) <= tonumber(last) then
	number = string.format('%.0f', tonumber(last) + 1)
end
if ARGV[2] == 'all' then
	redis.call('DEL', KEYS[1])
	redis.call('RPUSH', KEYS[1], number)
	return number
end
redis.call('RPUSH', KEYS[1], number .. ' ' .. ARGV[2])
local over = redis.call('LLEN', KEYS[1]) - 1 - tonumber(ARGV[1])
if over > 0 then
	local base = string.match(redis.call('LINDEX', KEYS[1], over), '^%d+')
	redis.call('LTRIM', KEYS[1], over + 1, -1)
	redis.call('LPUSH', KEYS[1], base)
end
return number
`)

// makeGeneration gives a bucket a generation unless it has one.
var makeGeneration = rueidis.NewLuaScript(`
if redis.call('TYPE', KEYS[1])['ok'] == 'string' then
	local kept = redis.call('GET', KEYS[1])
	if #kept == 8 then return kept end
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
`)

// firstSeen keeps when a tag became the current one. ARGV: now in seconds, the tag, the ttl in milliseconds.
var firstSeen = rueidis.NewLuaScript(`
local now = tonumber(ARGV[1])
if redis.call('TYPE', KEYS[1])['ok'] == 'string' then
	local at, tag = string.match(redis.call('GET', KEYS[1]), '^(%d+) (.*)$')
	if tag == ARGV[2] then
		redis.call('PEXPIRE', KEYS[1], ARGV[3])
		return at
	end
	if at and tonumber(at) >= now then now = tonumber(at) + 1 end
end
local at = string.format('%.0f', now)
redis.call('SET', KEYS[1], at .. ' ' .. ARGV[2], 'PX', ARGV[3])
return at
`)

func encodeScope(scope validators.Scope) string {
	if scope == (validators.Scope{}) {
		return "all"
	}
	return url.QueryEscape(scope.Host) + " " + url.QueryEscape(scope.Path)
}

// parsedLog is a log that was read before.
type parsedLog struct {
	lines  []string
	purges *validators.Purges
}

// readPurges reads the log, or makes one where there is none: everything kept before counts as purged then.
func (s *store) readPurges(ctx context.Context, client rueidis.Client, result rueidis.RedisResult) (*validators.Purges, error) {
	lines, err := result.AsStrSlice()
	if err != nil && !rueidis.IsRedisNil(err) {
		if _, reply := rueidis.IsRedisErr(err); !reply || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
			return nil, err
		}
		lines = nil // rubbish is no log
	}
	if len(lines) == 0 {
		arguments := []string{strconv.Itoa(validators.MaxPurges), ""}
		number, err := appendPurge.Exec(ctx, client, []string{s.purgesKey()}, arguments).ToString()
		if err != nil {
			return nil, err
		}
		lines = []string{number}
	}
	if known := s.purges.Load(); known != nil && slices.Equal(known.lines, lines) {
		return known.purges, nil
	}
	purges, err := parsePurges(lines)
	if err != nil {
		return nil, err
	}
	s.purges.Store(&parsedLog{lines: slices.Clone(lines), purges: purges})
	return purges, nil
}

func parsePurges(lines []string) (*validators.Purges, error) {
	base, err := strconv.ParseUint(lines[0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the log of purges: %w", err)
	}
	purges := &validators.Purges{Base: base}
	for _, line := range lines[1:] {
		fields := strings.Split(line, " ")
		if len(fields) != 3 {
			return nil, fmt.Errorf("the log of purges: %q", line)
		}
		number, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the log of purges: %w", err)
		}
		host, hostErr := url.QueryUnescape(fields[1])
		path, pathErr := url.QueryUnescape(fields[2])
		if hostErr != nil || pathErr != nil {
			return nil, fmt.Errorf("the log of purges: %q", line)
		}
		purges.List = append(purges.List, validators.Purge{Number: number, Scope: validators.Scope{Host: host, Path: path}})
	}
	return purges, nil
}
