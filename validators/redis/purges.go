package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// The log of purges is text: a line with the base, the seed of the places (16 hexadecimal digits) and the number of the
// latest purge of everything, and one for each purge with its number, host and path, separated by spaces, host and path
// percent-encoded. Numbers are microseconds since 1970, by the server's clock, and exact in the floating-point numbers of
// its scripts until the year 2255.
//
// The seed is in the log because it must not be lost alone: nodes with different seeds would forget at different places.
// Where the log is lost, everything counts as purged, whatever place it had.

// purgeScript adds a purge of the host ARGV[2] and the path ARGV[3] to the log, or, without these, begins it if there is
// none, and returns it. ARGV[1] is the seed of a log that is begun, ARGV[4] how many purges are kept. A purge of everything
// is a new base. What cannot be read is replaced by a new log, in which all that is older counts as purged.
const purgeScript = `
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local log = redis.call('GET', KEYS[1])
local base, seed, all, list
if log then base, seed, all, list = string.match(log, '^(%d+) (%x+) (%d+)\n(.*)$') end
if base and #ARGV == 1 then return log end
if not base then
  base = string.format('%.0f', now)
  seed, all, list = ARGV[1], base, ''
end
if #ARGV > 1 then
  local last = string.match(list, '(%d+) [^\n]*\n$') or base
  local number = string.format('%.0f', math.max(now, tonumber(last) + 1))
  if ARGV[2] == '' and ARGV[3] == '' then
    base, all, list = number, number, ''
  else
    list = list .. number .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. '\n'
    local _, kept = string.gsub(list, '\n', '')
    while kept > tonumber(ARGV[4]) do
      base, list = string.match(list, '^(%d+) [^\n]*\n(.*)$')
      kept = kept - 1
    end
  end
end
log = base .. ' ' .. seed .. ' ' .. all .. '\n' .. list
redis.call('SET', KEYS[1], log)
return log
`

// purgeLog keeps a log that was read together with what it says.
type purgeLog struct {
	text   string
	purges *validators.Purges
	seed   uint64
	all    uint64 // the number of the latest purge of everything
}

// parseLog reads the log, and remembers the last one it has read, which is nearly always the same. It is nil for what
// is not a log.
func (s *store) parseLog(text string) *purgeLog {
	last := s.log.Load()
	if last != nil && last.text == text {
		return last
	}
	log := parseLog(text)
	if log != nil {
		s.learn(log)
	}
	return log
}

func parseLog(text string) *purgeLog {
	first, rest, whole := strings.Cut(text, "\n")
	log, ok := parseFirstLine(first)
	if !whole || !ok {
		return nil
	}
	log.text = text
	for line := range strings.Lines(rest) {
		purge, ok := parsePurge(line)
		if !ok || purge.Number <= log.purges.Last() {
			return nil
		}
		log.purges.List = append(log.purges.List, purge)
	}
	return log
}

func parseFirstLine(line string) (*purgeLog, bool) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || len(parts[1]) != seedDigits {
		return nil, false
	}
	base, errBase := strconv.ParseUint(parts[0], 10, 63)
	seed, errSeed := strconv.ParseUint(parts[1], 16, 64)
	all, errAll := strconv.ParseUint(parts[2], 10, 63)
	return &purgeLog{purges: &validators.Purges{Base: base}, seed: seed, all: all}, errBase == nil && errSeed == nil && errAll == nil
}

const (
	seedDigits   = 16
	maxFirstLine = 64 // octets of it, and more than it has
)

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

// knownLog is the log as far as it is known here, or else as it is at the server.
func (s *store) knownLog(ctx context.Context, client rueidis.Client) (*purgeLog, error) {
	if log := s.log.Load(); log != nil {
		return log, nil
	}
	return s.beginLog(ctx, client)
}

// beginLog begins the log, unless another node was faster, and returns it.
func (s *store) beginLog(ctx context.Context, client rueidis.Client) (*purgeLog, error) {
	begin := client.B().Eval().Script(purgeScript).Numkeys(1).Key(s.keys.purges).Arg(newSeed()).Build()
	answers := client.DoMulti(ctx, begin, fence(client.B(), s.keys.purges))
	if err := firstError(answers); err != nil {
		return nil, err
	}
	text, err := answers[0].ToString()
	if err != nil {
		return nil, err
	}
	if log := s.parseLog(text); log != nil {
		return log, nil
	}
	// The script and this process do not agree on what a log is: drop it, so that the next one finds none.
	if err := client.Do(ctx, client.B().Del().Key(s.keys.purges).Build()).Error(); err != nil {
		return nil, err
	}
	return nil, errRubbish
}

func newSeed() string {
	var seed [seedDigits / 2]byte
	_, _ = rand.Read(seed[:]) // never fails
	return hex.EncodeToString(seed[:])
}

// firstLine reads the beginning of the log, without the purges.
func (s *store) firstLine(b rueidis.Builder) rueidis.Completed {
	return b.Getrange().Key(s.keys.purges).Start(0).End(maxFirstLine - 1).Build()
}

// maxPurge is how long host and path of a purge may be in the log: so all of it is less than maxText. That is a path
// of 8,000 octets (RFC 9110 §4.1), each percent-encoded. What is longer purges everything, which is more and not less.
const maxPurge = 24 << 10

func purge(b rueidis.Builder, key string, scope validators.Scope) rueidis.Completed {
	host, path := url.QueryEscape(scope.Host), url.QueryEscape(scope.Path)
	if len(host)+len(path) > maxPurge {
		host, path = "", ""
	}
	return b.Eval().Script(purgeScript).Numkeys(1).Key(key).Arg(newSeed(), host, path, strconv.Itoa(validators.MaxPurges)).Build()
}
