package redis

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// The log of purges is text: a line with the base, and one for each purge with its number, host and path, separated by
// spaces, host and path percent-encoded. Numbers are microseconds since 1970, by the server's clock, and exact in
// the floating-point numbers of its scripts until the year 2255.

// purgeScript adds a purge of the host ARGV[1] and the path ARGV[2] to the log, or, without arguments, begins it if there is
// none, and returns it. ARGV[3] is how many purges are kept. A purge of everything is a new base. What cannot be
// read is replaced by a new log, in which all that is older counts as purged.
const purgeScript = `
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local log = redis.call('GET', KEYS[1])
local base, list
if log then base, list = string.match(log, '^(%d+)\n(.*)$') end
if base and #ARGV == 0 then return log end
if not base then base, list = string.format('%.0f', now), '' end
if #ARGV > 0 then
  local last = string.match(list, '(%d+) [^\n]*\n$') or base
  local number = string.format('%.0f', math.max(now, tonumber(last) + 1))
  if ARGV[1] == '' and ARGV[2] == '' then
    base, list = number, ''
  else
    list = list .. number .. ' ' .. ARGV[1] .. ' ' .. ARGV[2] .. '\n'
    local _, kept = string.gsub(list, '\n', '')
    while kept > tonumber(ARGV[3]) do
      base, list = string.match(list, '^(%d+) [^\n]*\n(.*)$')
      kept = kept - 1
    end
  end
end
log = base .. '\n' .. list
redis.call('SET', KEYS[1], log)
return log
`

// parsedPurges keeps a log that was read together with what it says.
type parsedPurges struct {
	text   string
	purges *validators.Purges
}

// parsePurges reads the log, and remembers the last one it has read, which is nearly always the same. It is nil for what
// is not a log.
func (s *store) parsePurges(text string) *validators.Purges {
	if last := s.purges.Load(); last != nil && last.text == text {
		return last.purges
	}
	purges := parsePurges(text)
	if purges != nil {
		s.purges.Store(&parsedPurges{text, purges})
	}
	return purges
}

func parsePurges(text string) *validators.Purges {
	first, rest, whole := strings.Cut(text, "\n")
	base, err := strconv.ParseUint(first, 10, 63)
	if !whole || err != nil {
		return nil
	}
	purges := &validators.Purges{Base: base}
	for line := range strings.Lines(rest) {
		purge, ok := parsePurge(line)
		if !ok || purge.Number <= purges.Last() {
			return nil
		}
		purges.List = append(purges.List, purge)
	}
	return purges
}

func parsePurge(line string) (validators.Purge, bool) {
	line, whole := strings.CutSuffix(line, "\n")
	parts := strings.Split(line, " ")
	if !whole || len(parts) != 3 {
		return validators.Purge{}, false
	}
	number, errNumber := strconv.ParseUint(parts[0], 10, 63)
	host, errHost := url.QueryUnescape(parts[1])
	path, errPath := url.QueryUnescape(parts[2])
	scope := validators.Scope{Host: host, Path: path}
	return validators.Purge{Number: number, Scope: scope}, errNumber == nil && errHost == nil && errPath == nil
}

// beginPurges begins the log, unless another node was faster, and returns it.
func (s *store) beginPurges(ctx context.Context, client rueidis.Client) (*validators.Purges, error) {
	begin := client.B().Eval().Script(purgeScript).Numkeys(1).Key(s.keys.purges).Build()
	answers := client.DoMulti(ctx, begin, fence(client.B(), s.keys.purges))
	if err := firstError(answers); err != nil {
		return nil, err
	}
	text, err := answers[0].ToString()
	if err != nil {
		return nil, err
	}
	if purges := s.parsePurges(text); purges != nil {
		return purges, nil
	}
	// The script and this process do not agree on what a log is: drop it, so that the next one finds none.
	if err := client.Do(ctx, client.B().Del().Key(s.keys.purges).Build()).Error(); err != nil {
		return nil, err
	}
	return nil, errRubbish
}

// maxPurge is how long host and path of a purge may be in the log: so all of it is less than maxText. That is a path
// of 8,000 octets (RFC 9110 §4.1), each percent-encoded. What is longer purges everything, which is more and not less.
const maxPurge = 24 << 10

func purge(b rueidis.Builder, key string, scope validators.Scope) rueidis.Completed {
	host, path := url.QueryEscape(scope.Host), url.QueryEscape(scope.Path)
	if len(host)+len(path) > maxPurge {
		host, path = "", ""
	}
	return b.Eval().Script(purgeScript).Numkeys(1).Key(key).Arg(host, path, strconv.Itoa(validators.MaxPurges)).Build()
}
