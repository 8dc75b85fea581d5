package redis

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// store is a Store for all modules with the same options.
//
// # Why own writes are seen at once
//
// There is one connection to each server, which carries the writes of this process, its reads, and the messages
// that make its copies invalid. The server sends the message of a write before it looks at the command after it,
// and the client reads one thing after the other. So every write here is followed by a fence, a read of the same
// key that is not kept: when its answer is there, the copy from before the write is gone, and whatever is read
// later is as new as the write, or newer if another node wrote since. No clock comes into it. When the connection
// breaks meanwhile, the write counts as failed, and all copies are dropped with the connection.
//
// Other nodes' writes do not need a fence here: a copy of theirs that is older by the time a message takes is
// what the contract allows, and a stamp given out of it is out of date already, so that no record with it counts.
//
// Whether the server keeps to this order is tried out with each connection made anew (see tracks).
type store struct {
	options *options
	keys    keys
	clock   func() moment

	// ctx ends when the store is closed, and start makes the goroutine that connects and restores; done is
	// closed at its end. Wake has room for one, so that nobody waits to send.
	ctx    context.Context //nolint:containedctx // the lifetime of the store itself
	cancel context.CancelFunc
	start  sync.Once
	wake   chan struct{}
	done   chan struct{}

	state    atomic.Int32 // one of the states
	failures atomic.Int32 // see judge
	inFlight atomic.Int32
	client   atomic.Pointer[rueidis.Client]
	untold   untold
	log      atomic.Pointer[purgeLog] // the one that was read last
	sites    sites

	// current are the copies in use. They are looked at without the client only if peeks: in a cluster, the client
	// decides whose copies count.
	current    atomic.Pointer[copies]
	peeks      atomic.Bool
	purgesName []byte // keys.purges

	hits, misses, errors atomic.Uint64

	logs logs
}

// keys writes the names of keys.
type keys struct{ record, generation, firstSeen, site, trial, pulse, purges string }

func newKeys(prefix string) keys {
	prefix += "2:"
	return keys{prefix + "r:", prefix + "g:", prefix + "f:", prefix + "n:", prefix + "t:", prefix + "a:", prefix + "p"}
}

func ofDigest(prefix string, digest validators.Digest) string {
	return string(appendDigest(make([]byte, 0, maxName), prefix, digest))
}

func appendDigest(b []byte, prefix string, digest validators.Digest) []byte {
	return hex.AppendEncode(append(b, prefix...), digest[:])
}

// maxName is room for any key of a store.
const maxName = maxKeyPrefix + 64

// bucket is what a URI is forgotten with.
type bucket uint16

func bucketOf(uri validators.URI, seed uint64) bucket { return bucket(uri.Sum.Place(seed)) }

func (b bucket) key(prefix string) string {
	return string(b.appendKey(make([]byte, 0, maxName), prefix))
}

func (b bucket) appendKey(name []byte, prefix string) []byte {
	return hex.AppendEncode(append(name, prefix...), []byte{byte(b >> 8), byte(b)}) //nolint:gosec // its two octets
}

const (
	// localTTL is how long a copy is used without asking, even if no message came.
	localTTL = time.Hour
	// maxTTL keeps what is multiplied and added within the server's range.
	maxTTL = 10 * 365 * 24 * time.Hour
)

// newStore makes a store that is not connected, and has no goroutine yet.
func newStore(o *options) *store {
	s := &store{options: o, keys: newKeys(o.prefix), clock: thisMoment, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.logs.password = o.password
	s.purgesName = []byte(s.keys.purges)
	return s
}

// Load reads record, generation and purges at once, of which each may be in memory.
func (s *store) Load(ctx context.Context, key validators.Key) (validators.Record, validators.Stamp, error) {
	// This is read first: what is told while this Load is under way leaves copies of what is newer, but what was
	// read before may be old.
	untold := s.untold.has(key.URI.Sum)
	found, ok := s.peek(key)
	if !ok {
		var err error
		found, err = s.ask(ctx, key)
		if err != nil {
			return validators.Record{}, validators.Stamp{}, err
		}
	}
	record := found.record
	if untold || !record.Exists() || record.Stamp.Forgotten != found.stamp.Forgotten || found.purges.Cover(record.Stamp.Purged, key.URI) {
		s.misses.Add(1)
		return validators.Record{}, found.stamp, nil
	}
	s.hits.Add(1)
	return record, found.stamp, nil
}

// found is what a Load has read.
type found struct { //nolint:recvcheck // finish is for who makes one
	record validators.Record
	purges *validators.Purges
	stamp  validators.Stamp
	local  bool
}

func (f found) isLocal() bool { return f.local }

// peek looks in memory, without the client. It finds nothing while the store is left alone.
func (s *store) peek(key validators.Key) (found, bool) {
	known := s.log.Load()
	if known == nil {
		return found{}, false
	}
	var space [2][maxName]byte
	texts, ok := s.copied([3][]byte{
		appendDigest(space[0][:0], s.keys.record, key.Sum),
		bucketOf(key.URI, known.seed).appendKey(space[1][:0], s.keys.generation),
		s.purgesName,
	})
	if !ok {
		return found{}, false
	}
	log, generation := s.parseLog(texts[2]), asGeneration(texts[1])
	if generation == 0 || log == nil || log.seed != known.seed {
		return found{}, false
	}
	f := found{local: true, purges: log.purges}
	f.stamp.Forgotten = generation
	f.finish(texts[0])
	return f, true
}

func (s *store) copied(names [3][]byte) (texts [3]string, ok bool) {
	current := s.current.Load()
	if current == nil || !s.peeks.Load() || s.state.Load() != up {
		return texts, false
	}
	return current.peek(names)
}

func (s *store) ask(ctx context.Context, key validators.Key) (found, error) {
	return call(ctx, s, func(ctx context.Context, client rueidis.Client) (found, error) { return s.read(ctx, client, key) })
}

// read asks the server. The place of the URI is that of the log which is read along with it.
func (s *store) read(ctx context.Context, client rueidis.Client, key validators.Key) (found, error) {
	for range tries {
		known, err := s.knownLog(ctx, client)
		if err != nil {
			return found{}, err
		}
		generation := bucketOf(key.URI, known.seed).key(s.keys.generation)
		texts, local, err := get(ctx, client, ofDigest(s.keys.record, key.Sum), generation, s.keys.purges)
		if err != nil {
			return found{}, err
		}
		log := s.parseLog(texts[2])
		if log == nil {
			if log, err = s.beginLog(ctx, client); err != nil {
				return found{}, err
			}
		}
		if log.seed != known.seed {
			continue // it was lost, and is another one now
		}
		f := found{local: local, purges: log.purges}
		if f.stamp.Forgotten = asGeneration(texts[1]); f.stamp.Forgotten == 0 {
			if f.stamp.Forgotten, err = beginGeneration(ctx, client, generation, texts[1] != ""); err != nil {
				return found{}, err
			}
		}
		f.finish(texts[0])
		return f, nil
	}
	return found{}, errUnsteady
}

// tries is how often something is begun anew for which the seed of the places has changed meanwhile.
const tries = 3

// finish reads the record. The text is that of one message, which nobody writes to or uses again, so the record may
// share it. What cannot be decoded is no record.
func (f *found) finish(text string) {
	f.stamp.Purged = f.purges.Last()
	f.record, _ = validators.Decode(text)
}

// get reads keys, all of them at once. What is not there is empty. Local reports whether all was in memory.
//
// The client reads what it is to keep in a transaction, of which a full server allows none (Redis rejects even a GET
// in one). Then it is read without being kept.
func get(ctx context.Context, client rueidis.Client, names ...string) (texts []string, local bool, err error) {
	wanted := make([]rueidis.CacheableTTL, len(names))
	for i, name := range names {
		wanted[i] = rueidis.CT(client.B().Get().Key(name).Cache(), localTTL)
	}
	answers := client.DoMultiCache(ctx, wanted...)
	if isFull(firstError(answers)) {
		commands := make([]rueidis.Completed, len(names))
		for i, name := range names {
			commands[i] = client.B().Get().Key(name).Build()
		}
		answers = client.DoMulti(ctx, commands...)
	}
	texts, local = make([]string, len(names)), true
	for i, answer := range answers {
		text, err := answer.ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, false, err
		}
		texts[i], local = text, local && answer.IsCacheHit()
	}
	return texts, local, nil
}

// asGeneration is 0 for what is not a generation.
func asGeneration(text string) uint64 {
	if len(text) != 8 {
		return 0
	}
	var octets [8]byte
	copy(octets[:], text)
	return binary.LittleEndian.Uint64(octets[:])
}

// newGeneration is different from all there ever were, as far as 64 random bits are.
func newGeneration() string {
	var octets [8]byte
	for octets == [8]byte{} {
		_, _ = rand.Read(octets[:]) // never fails
	}
	return string(octets[:])
}

// beginGeneration writes the first generation of a bucket, unless another node was faster, and returns it. In place of
// rubbish it is written whatever others do: at worst, what they save meanwhile is forgotten.
func beginGeneration(ctx context.Context, client rueidis.Client, key string, replace bool) (uint64, error) {
	set := client.B().Set().Key(key).Value(newGeneration())
	var write rueidis.Completed
	if replace {
		write = set.Build()
	} else {
		write = set.Nx().Build()
	}
	answers := client.DoMulti(ctx, write, client.B().Get().Key(key).Build()) // the second is the fence, too
	if err := answers[0].Error(); err != nil && !rueidis.IsRedisNil(err) {
		return 0, err
	}
	text, err := answers[1].ToString()
	if err != nil {
		return 0, err
	}
	generation := asGeneration(text)
	if generation == 0 {
		return 0, errRubbish
	}
	return generation, nil
}

// Save writes a record, whose stamp is looked at by those who load it.
func (s *store) Save(ctx context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	if ttl = min(ttl, maxTTL); ttl < time.Millisecond {
		return s.Delete(ctx, key) // shorter than what the server counts in
	}
	value, err := record.AppendBinary(nil)
	if err != nil {
		return err
	}
	name := ofDigest(s.keys.record, key.Sum)
	return s.write(ctx, name, func(b rueidis.Builder) rueidis.Completed {
		return b.Set().Key(name).Value(rueidis.BinaryString(value)).Px(ttl).Build()
	})
}

// Delete drops a record. What could not be dropped is forgotten, with all of its URI.
func (s *store) Delete(ctx context.Context, key validators.Key) error {
	name := ofDigest(s.keys.record, key.Sum)
	err := s.write(ctx, name, func(b rueidis.Builder) rueidis.Completed { return b.Del().Key(name).Build() })
	if err != nil {
		s.later(key.URI)
	}
	return err
}

// later has a URI forgotten as soon as that is possible, and until then not found in this process.
func (s *store) later(uri validators.URI) {
	s.untold.add(uri.Sum)
	s.awake()
}

// Forget writes a new generation. Whether the context has ended is not looked at: a client that has left has still
// written.
//
// What has run out of time may be done yet, late, in any order. That is harmless as no generation comes twice: the
// last one to be written is different from those of all records before it.
func (s *store) Forget(ctx context.Context, uri validators.URI) error {
	_, err := call(ctx, s, func(ctx context.Context, client rueidis.Client) (remote, error) {
		return remote{}, s.forget(ctx, client, uri.Sum)
	})
	if err != nil {
		s.later(uri)
	}
	return err
}

// forget writes a new generation of each place. Where the server is full none is the same: that none is there
// makes every record of the place out of date, too.
//
// The seed is looked at afterwards. If it is still the one that the places were found by, it was so when they were
// written to, as none comes twice. If there is none, everything that is there counts as purged.
func (s *store) forget(ctx context.Context, client rueidis.Client, sums ...validators.Digest) error {
	for range tries {
		known, err := s.knownLog(ctx, client)
		if isFull(err) {
			return nil // there is no log, and no room for one
		}
		if err != nil {
			return err
		}
		names := s.generations(sums, known.seed)
		first, err := s.renew(ctx, client, names, func(name string) rueidis.Completed {
			return client.B().Set().Key(name).Value(newGeneration()).Build()
		})
		if isFull(err) {
			first, err = s.renew(ctx, client, names, func(name string) rueidis.Completed { return client.B().Del().Key(name).Build() })
		}
		if err != nil {
			return err
		}
		line, _, _ := strings.Cut(first, "\n")
		now, ok := parseFirstLine(line)
		if ok && now.seed == known.seed {
			return nil
		}
		s.log.CompareAndSwap(known, nil) // so that the next one asks for it
		if !ok {
			return nil
		}
	}
	return errUnsteady
}

// generations are the names of the generations of URIs, each once.
func (s *store) generations(sums []validators.Digest, seed uint64) []string {
	names := make([]string, len(sums))
	for i, sum := range sums {
		names[i] = bucket(sum.Place(seed)).key(s.keys.generation)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// renew writes generations, and returns the beginning of the log as it is afterwards. In a cluster it may be on another
// node, and is asked for when the others have answered.
func (s *store) renew(ctx context.Context, client rueidis.Client, names []string, write func(name string) rueidis.Completed) (first string, err error) {
	commands := make([]rueidis.Completed, 0, 2*len(names)+1)
	for _, name := range names {
		commands = append(commands, write(name), fence(client.B(), name))
	}
	inOrder := client.Mode() != rueidis.ClientModeCluster
	if inOrder {
		commands = append(commands, s.firstLine(client.B()))
	}
	answers := client.DoMulti(ctx, commands...)
	if err := firstError(answers); err != nil {
		return "", err
	}
	if inOrder {
		return answers[len(answers)-1].ToString()
	}
	return client.Do(ctx, s.firstLine(client.B())).ToString()
}

// Purge adds to the log of purges. Where the server is full it deletes the log: without one, everything that is there
// counts as purged.
func (s *store) Purge(ctx context.Context, scope validators.Scope) error {
	_, err := call(ctx, s, func(ctx context.Context, client rueidis.Client) (remote, error) {
		return remote{}, s.purge(ctx, client, scope)
	})
	return err
}

func (s *store) purge(ctx context.Context, client rueidis.Client, scope validators.Scope) error {
	name := s.keys.purges
	answers := client.DoMulti(ctx, purge(client.B(), name, scope), fence(client.B(), name))
	err := firstError(answers)
	if isFull(err) {
		return firstError(client.DoMulti(ctx, client.B().Del().Key(name).Build(), fence(client.B(), name)))
	}
	if err != nil {
		return err
	}
	text, err := answers[0].ToString()
	s.parseLog(text) // so that what it says of dates is known at once
	return err
}

// Stats counts what this process has done, whatever module it did it for.
func (s *store) Stats() validators.Stats {
	state := s.state.Load()
	return validators.Stats{
		Entries:   -1,
		FirstSeen: s.dates(),
		Hits:      s.hits.Load(),
		Misses:    s.misses.Load(),
		Errors:    s.errors.Load(),
		Available: state != down && state != closed,
	}
}

// write sends one write and its fence.
func (s *store) write(ctx context.Context, name string, command func(rueidis.Builder) rueidis.Completed) error {
	_, err := call(ctx, s, func(ctx context.Context, client rueidis.Client) (remote, error) {
		return remote{}, firstError(client.DoMulti(ctx, command(client.B()), fence(client.B(), name)))
	})
	return err
}

// fence is a read of a key that is not kept.
func fence(b rueidis.Builder, name string) rueidis.Completed { return b.Exists().Key(name).Build() }

// firstError is the error of the first answer that has one. That there is nothing under a key is none.
func firstError(answers []rueidis.RedisResult) error {
	for _, answer := range answers {
		if err := answer.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
	}
	return nil
}

var (
	errRubbish  = errors.New("the server has something else under a key of this store")
	errUnsteady = errors.New("the server loses the log of purges again and again")
)

// attach makes the logger the one that is logged to, until the function it returns is called: a store outlives
// the configurations it serves, and their logs.
func (s *store) attach(logger *zap.Logger) (detach func()) {
	return s.logs.attach(logger, s.options.name())
}
