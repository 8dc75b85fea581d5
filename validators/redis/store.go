package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// layout is the version of what is kept at the server; see the package's documentation.
const layout = "1:"

// localTTL is how long a copy in this process is used at most, should the server never say that it has changed.
const localTTL = time.Hour

// store is what the modules with the same options share.
type store struct {
	options *options
	keeper  *keeper
	pending pending

	purges atomic.Pointer[parsedLog]

	hits, misses, errors atomic.Uint64
}

func newStore(o *options) *store {
	s := &store{options: o}
	s.keeper = newKeeper(s)
	return s
}

// Destruct implements caddy.Destructor. Requests that are under way get ErrUnavailable from then on.
func (s *store) Destruct() error {
	s.keeper.close()
	return nil
}

func (s *store) recordKey(key validators.Key) string {
	return s.options.prefix + layout + "r:" + hex.EncodeToString(key.Sum[:])
}

func (s *store) firstSeenKey(key validators.Key) string {
	return s.options.prefix + layout + "f:" + hex.EncodeToString(key.Sum[:])
}

func (s *store) generationKey(b bucket) string {
	return fmt.Sprintf("%s%sg:%04x", s.options.prefix, layout, uint16(b))
}

func (s *store) purgesKey() string { return s.options.prefix + layout + "p" }

// bucket is what URIs share that are forgotten together.
type bucket uint16

func bucketOf(uri validators.URI) bucket { return bucket(uri.Sum & math.MaxUint16) }

// newGeneration is a value that no bucket has ever had.
func newGeneration() string {
	var octets [8]byte
	_, _ = rand.Read(octets[:]) // never fails
	return string(octets[:])
}

// readGeneration is 0 for what is none, which a new one is with a chance of 1 in 2^64 only.
func readGeneration(text string) (n uint64) {
	if len(text) != 8 {
		return 0
	}
	for i := range len(text) {
		n = n<<8 | uint64(text[i])
	}
	return n
}

// do calls the server, for no longer than the timeout, and notes how that went. It does not call a server that
// is left alone.
func (s *store) do(ctx context.Context, call func(context.Context, rueidis.Client) error) error {
	client, err := s.keeper.client()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, s.options.timeout)
		err = call(ctx, client)
		if err == nil || ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.keeper.noteCall(err) // a client's leaving says nothing of the server
		}
		cancel()
	}
	if err != nil {
		s.errors.Add(1)
		return fmt.Errorf("%w: %w", validators.ErrUnavailable, err)
	}
	return nil
}

// Load is as in validators.Store. Record, generation and purges are one call, or none where all three have been
// read before and not changed since.
func (s *store) Load(ctx context.Context, key validators.Key) (record validators.Record, stamp validators.Stamp, err error) {
	b := bucketOf(key.URI)
	if s.pending.has(b) {
		s.errors.Add(1)
		return record, stamp, fmt.Errorf("%w: something is still to be forgotten", validators.ErrUnavailable)
	}
	err = s.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		var found lookup
		if err := s.lookUp(ctx, client, key, b, &found); err != nil {
			return err
		}
		stamp = validators.Stamp{Forgotten: found.generation, Purged: found.purges.Last()}
		record = found.record(stamp, key.URI)
		return nil
	})
	switch {
	case err != nil:
		return validators.Record{}, validators.Stamp{}, err
	case s.pending.has(b): // meanwhile
		return validators.Record{}, validators.Stamp{}, validators.ErrUnavailable
	case record.Exists():
		s.hits.Add(1)
	default:
		s.misses.Add(1)
	}
	return record, stamp, nil
}

// lookup is what a Load has found.
type lookup struct {
	encoded    string
	generation uint64
	purges     *validators.Purges
}

// record is what is kept, if it may be used.
func (l *lookup) record(stamp validators.Stamp, uri validators.URI) validators.Record {
	if l.encoded == "" {
		return validators.Record{}
	}
	record, err := validators.Decode(l.encoded)
	if err != nil || record.Stamp.Forgotten != stamp.Forgotten || l.purges.Cover(record.Stamp.Purged, uri) {
		return validators.Record{}
	}
	return record
}

func (s *store) lookUp(ctx context.Context, client rueidis.Client, key validators.Key, b bucket, found *lookup) (err error) {
	record := client.B().Get().Key(s.recordKey(key)).Cache()
	generation := client.B().Get().Key(s.generationKey(b)).Cache()
	log := client.B().Lrange().Key(s.purgesKey()).Start(0).Stop(-1).Cache()
	results := client.DoMultiCache(ctx, rueidis.CT(record, localTTL), rueidis.CT(generation, localTTL), rueidis.CT(log, localTTL))
	if slices.ContainsFunc(results, func(result rueidis.RedisResult) bool { return isFull(result.Error()) }) {
		// A full server refuses the transaction by which copies are made, but not the reading.
		results = client.DoMulti(ctx, client.B().Get().Key(s.recordKey(key)).Build(),
			client.B().Get().Key(s.generationKey(b)).Build(), client.B().Lrange().Key(s.purgesKey()).Start(0).Stop(-1).Build())
	}
	for i := range results {
		if !results[i].IsCacheHit() {
			s.keeper.heard.Store(true)
		}
	}
	if found.encoded, err = textOf(results[0]); err != nil {
		return err
	}
	text, err := textOf(results[1])
	if err != nil {
		return err
	}
	if found.generation = readGeneration(text); found.generation == 0 {
		if found.generation, err = s.makeGeneration(ctx, client, b); err != nil {
			return err
		}
	}
	found.purges, err = s.readPurges(ctx, client, results[2])
	return err
}

// textOf is a text, empty if there is none.
func textOf(result rueidis.RedisResult) (string, error) {
	text, err := result.ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	if _, wrongType := rueidis.IsRedisErr(err); wrongType && strings.HasPrefix(err.Error(), "WRONGTYPE") {
		return "", nil // rubbish is nothing
	}
	return text, err
}

// makeGeneration gives a bucket its first generation. What is there and is none is written over.
func (s *store) makeGeneration(ctx context.Context, client rueidis.Client, b bucket) (uint64, error) {
	name := s.generationKey(b)
	result, err := makeGeneration.Exec(ctx, client, []string{name}, []string{newGeneration()}).ToString()
	s.keeper.heard.Store(true)
	if err != nil {
		return 0, err
	}
	return readGeneration(result), client.Do(ctx, client.B().Exists().Key(name).Build()).Error() // as in write
}

// Save is as in validators.Store.
func (s *store) Save(ctx context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return nil
	}
	encoded, err := record.AppendBinary(nil)
	if err != nil {
		return err
	}
	return s.write(ctx, s.recordKey(key), func(client rueidis.Client, name string) rueidis.Completed {
		return client.B().Set().Key(name).Value(rueidis.BinaryString(encoded)).Px(ttl).Build()
	})
}

// Delete is as in validators.Store. What could not be deleted is forgotten with all of its bucket.
func (s *store) Delete(ctx context.Context, key validators.Key) error {
	err := s.write(context.WithoutCancel(ctx), s.recordKey(key), func(client rueidis.Client, name string) rueidis.Completed {
		return client.B().Del().Key(name).Build()
	})
	if err != nil {
		s.pending.add(bucketOf(key.URI))
		s.keeper.wake()
	}
	return err
}

// write changes a key, and does not return before this process's own copy of it is gone. The server says that the
// key has changed on the same connection, behind the answer to the change, and before the answer to what comes after
// that: hence the second command.
func (s *store) write(ctx context.Context, name string, command func(rueidis.Client, string) rueidis.Completed) error {
	return s.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		results := client.DoMulti(ctx, command(client, name), client.B().Exists().Key(name).Build())
		s.keeper.heard.Store(true)
		for _, result := range results {
			if err := result.Error(); err != nil && !rueidis.IsRedisNil(err) {
				return err
			}
		}
		return nil
	})
}

// Forget is as in validators.Store. What could not be forgotten is noted, so that nothing of it is answered until it is.
func (s *store) Forget(ctx context.Context, uri validators.URI) error {
	b := bucketOf(uri)
	err := s.forget(context.WithoutCancel(ctx), b) // who has written may leave
	if err != nil {
		s.pending.add(b)
		s.keeper.wake()
	}
	return err
}

// forget ends a bucket's generation. A server that is full still deletes: then the next Load makes a new one.
func (s *store) forget(ctx context.Context, b bucket) error {
	name := s.generationKey(b)
	err := s.write(ctx, name, func(client rueidis.Client, name string) rueidis.Completed {
		return client.B().Set().Key(name).Value(newGeneration()).Build()
	})
	if isFull(err) {
		err = s.write(ctx, name, func(client rueidis.Client, name string) rueidis.Completed {
			return client.B().Del().Key(name).Build()
		})
	}
	return err
}

// isFull reports whether the server refuses what needs memory.
func isFull(err error) bool {
	var reply *rueidis.RedisError
	return errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "OOM")
}

// Purge is as in validators.Store.
func (s *store) Purge(ctx context.Context, scope validators.Scope) error {
	ctx = context.WithoutCancel(ctx)
	err := s.appendPurge(ctx, scope)
	if isFull(err) { // without a log, everything counts as purged
		err = s.write(ctx, s.purgesKey(), func(client rueidis.Client, name string) rueidis.Completed {
			return client.B().Del().Key(name).Build()
		})
	}
	if err != nil {
		// It may have been purged, or be purged yet. Of this process nothing is believed that is older.
		s.keeper.drop()
	}
	return err
}

func (s *store) appendPurge(ctx context.Context, scope validators.Scope) error {
	return s.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		name := s.purgesKey()
		arguments := []string{strconv.Itoa(validators.MaxPurges), encodeScope(scope)}
		err := appendPurge.Exec(ctx, client, []string{name}, arguments).Error()
		s.keeper.heard.Store(true)
		if err != nil {
			return err
		}
		return client.Do(ctx, client.B().Exists().Key(name).Build()).Error() // as in write
	})
}

// FirstSeen is as in validators.Store.
func (s *store) FirstSeen(ctx context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (seen time.Time, err error) {
	err = s.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		name := s.firstSeenKey(key)
		result := client.DoCache(ctx, client.B().Get().Key(name).Cache(), localTTL)
		if !result.IsCacheHit() {
			s.keeper.heard.Store(true)
		}
		kept, err := textOf(result)
		if err != nil {
			return err
		}
		at, keptTag, _ := strings.Cut(kept, " ")
		if at == "" || keptTag != tag {
			arguments := []string{strconv.FormatInt(now.Unix(), 10), tag, strconv.FormatInt(max(ttl.Milliseconds(), 1), 10)}
			if at, err = firstSeen.Exec(ctx, client, []string{name}, arguments).ToString(); err != nil {
				return err
			}
		}
		seconds, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return fmt.Errorf("the time of a tag: %w", err)
		}
		seen = time.Unix(seconds, 0).UTC()
		return nil
	})
	return seen, err
}

// Stats is as in validators.Store. The server has the entries, and is not asked.
func (s *store) Stats() validators.Stats {
	_, err := s.keeper.client()
	return validators.Stats{
		Entries: -1, Hits: s.hits.Load(), Misses: s.misses.Load(), Errors: s.errors.Load(), Available: err == nil,
	}
}
