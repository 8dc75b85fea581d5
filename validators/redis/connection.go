package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	// dialTimeout is for connections made in the background; a request that makes one has its own, shorter.
	dialTimeout = 5 * time.Second
	// A connection that was silent for silence up to twice that is asked for a sign of life, which has to come within
	// lastWord. Then it is closed, and a new one made. How long copies are believed does not depend on it: see maxStale.
	silence  = 500 * time.Millisecond
	lastWord = time.Second

	firstDelay = 100 * time.Millisecond
	lastDelay  = 2 * time.Second
	// afresh is after how many vain attempts everything is made anew: addresses looked up, nodes and primaries asked for.
	afresh = 3

	connectionBuffer = 64 << 10
)

// awake has the goroutine that restores look whether there is something to do.
func (s *store) awake() {
	s.start.Do(func() { go s.run() })
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Destruct closes the store. It does not wait for what is under way.
func (s *store) Destruct() error {
	s.state.Store(closed)
	s.cancel()
	s.start.Do(func() { close(s.done) })
	return nil
}

// run connects, and restores what has failed, until the store is closed.
func (s *store) run() {
	defer close(s.done)
	defer s.disconnect()
	for s.wait(s.wake, 0) {
		vain := 0
		for !s.restore() {
			if vain++; vain%afresh == 0 && s.state.Load() != up {
				s.disconnect()
			}
			if !s.wait(nil, delayAfter(vain)) {
				return
			}
		}
	}
}

// delayAfter doubles from firstDelay to lastDelay, and varies so that nodes do not come all at once.
func delayAfter(vain int) time.Duration {
	delay := min(firstDelay<<min(vain-1, 10), lastDelay)
	return delay/2 + mathrand.N(delay/2) //nolint:gosec // chance, no secret
}

// wait returns whether the store goes on, after a message or a time.
func (s *store) wait(message <-chan struct{}, delay time.Duration) bool {
	var over <-chan time.Time
	if message == nil {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-message:
	case <-over:
	case <-s.ctx.Done():
	}
	return s.ctx.Err() == nil
}

// restore does what there is to do, and reports whether all of it is done. What could not be forgotten is told to
// the server before anything that it says is believed.
func (s *store) restore() bool {
	if s.state.Load() != up {
		if err := s.reach(); err != nil {
			s.unreachable(err)
			return false
		}
	}
	err := s.tell()
	if err != nil && !isRefusal(err) {
		s.unreachable(err)
		return false
	}
	s.failures.Store(0)
	if s.state.CompareAndSwap(down, up) || s.state.CompareAndSwap(connecting, up) {
		s.logs.back()
	}
	if err != nil {
		s.logs.warn("the store refuses to write", err)
	}
	return err == nil
}

func (s *store) unreachable(err error) {
	if s.ctx.Err() != nil {
		return
	}
	if s.state.CompareAndSwap(connecting, down) || s.state.Load() == down {
		s.logs.warn("the store cannot be reached: requests are served as if nothing were remembered", err)
		return
	}
	s.logs.warn("the store could not be told what was forgotten", err)
}

// reach connects if that is needed, and makes sure that the server answers as fast as requests need it.
func (s *store) reach() (err error) {
	defer contain(&err)
	if s.client.Load() == nil {
		return s.connect()
	}
	client := *s.client.Load()
	err = s.probe(client, dialTimeout) // may have to make connections, which takes longer
	if err == nil {
		err = s.probe(client, s.options.timeout)
	}
	if errors.Is(err, rueidis.ErrNoCache) || isReadOnly(err) {
		s.disconnect() // it is another server, or of another kind
	}
	return err
}

// probe reads generations all over the buckets, and so from every node of a cluster, and writes one key.
func (s *store) probe(client rueidis.Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	const buckets = 64
	commands := make([]rueidis.Completed, 0, buckets+1)
	for range buckets {
		b := bucket(mathrand.Uint32()) //nolint:gosec // chance, no secret
		commands = append(commands, client.B().Get().Key(b.key(s.keys.generation)).Build())
	}
	name := s.trialKey()
	commands = append(commands, client.B().Set().Key(name).Value("").Px(time.Second).Build())
	if err := firstError(client.DoMulti(ctx, commands...)); !isRefusal(err) {
		return err
	}
	return nil
}

func (s *store) trialKey() string {
	var digest validators.Digest
	_, _ = rand.Read(digest[:]) // never fails
	return ofDigest(s.keys.trial, digest)
}

// connect makes a client, with copies kept in memory if the server can keep them current.
func (s *store) connect() error {
	client, err := s.dial(false)
	if err == nil {
		var tracked bool
		if tracked, err = s.tracks(client); err == nil && tracked {
			return s.use(client)
		}
		client.Close()
	}
	if err != nil && !errors.Is(err, rueidis.ErrNoCache) {
		return err
	}
	if client, err = s.dial(true); err != nil {
		return err
	}
	s.logs.plain()
	return s.use(client)
}

// use makes a client that is well the one of the calls.
func (s *store) use(client rueidis.Client) error {
	if err := s.probe(client, s.options.timeout); err != nil {
		client.Close()
		return err
	}
	s.client.Store(&client)
	s.peeks.Store(client.Mode() != rueidis.ClientModeCluster)
	return nil
}

// disconnect closes the client, with which all copies go. Calls that still have it fail.
func (s *store) disconnect() {
	s.peeks.Store(false)
	s.current.Store(nil)
	if client := s.client.Swap(nil); client != nil {
		(*client).Close()
	}
}

func (s *store) dial(plain bool) (rueidis.Client, error) {
	client, err := rueidis.NewClient(s.clientOption(plain))
	if err != nil && client != nil {
		client.Close()
	}
	return client, err
}

func (s *store) clientOption(plain bool) rueidis.ClientOption {
	o := s.options
	return rueidis.ClientOption{
		InitAddress:  o.addresses,
		Username:     o.username,
		Password:     o.password,
		SelectDB:     o.db,
		TLSConfig:    o.tls,
		Sentinel:     rueidis.SentinelOption{MasterSet: o.sentinel, TLSConfig: o.tls, Dialer: newDialer(), TopologyRefreshInterval: 10 * time.Second},
		Dialer:       newDialer(),
		DialCtxFn:    s.dialOne,
		DisableCache: plain,

		ForceSingleClient: o.single(),
		NewCacheStoreFn:   func(rueidis.CacheStoreOption) rueidis.CacheStore { return newCopies(s) },
		ClientName:        "conditional_cache",
		ClientSetInfo:     rueidis.DisableClientSetInfo,

		// What a request waits for is tried once.
		DisableRetry: true,
		// One connection to each server, which keeps the order that own writes rely on; always with its own
		// goroutines, so that a call that runs out of time does not take the connection with it.
		PipelineMultiplex:   -1,
		AlwaysPipelining:    true,
		ConnWriteTimeout:    lastWord,
		ReadBufferEachConn:  connectionBuffer,
		WriteBufferEachConn: connectionBuffer,
		ClusterOption:       rueidis.ClusterOption{MaxMovedRedirections: 3, ShardsRefreshInterval: 30 * time.Second},
	}
}

func newDialer() net.Dialer { return net.Dialer{Timeout: dialTimeout, KeepAlive: silence} }

// dialOne makes one connection, which does not outlive the store, and is guarded.
func (s *store) dialOne(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	var conn net.Conn
	var err error
	switch {
	case strings.HasPrefix(address, "/"):
		if !slices.Contains(s.options.addresses, address) { // a server may name others, but not one on this machine's disk
			return nil, fmt.Errorf("%s is no address of the configuration", address)
		}
		conn, err = dialer.DialContext(ctx, "unix", address)
	case config != nil:
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
	default:
		conn, err = dialer.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return &connection{Conn: newGuard(conn), forget: context.AfterFunc(s.ctx, func() { _ = conn.Close() })}, nil
}

// connection is closed with the store, and is not remembered by it once it is closed.
type connection struct {
	net.Conn
	forget func() bool
}

func (c *connection) Close() error {
	c.forget()
	return c.Conn.Close()
}

// readPulse asks for a key for no other reason than that an answer shows that the connection is alive.
func (s *store) readPulse(name string) {
	client := s.client.Load()
	if client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, lastWord)
	defer cancel()
	var err error // which calls have as well
	defer contain(&err)
	(*client).DoCache(ctx, (*client).B().Get().Key(name).Cache(), localTTL)
}

// tracks tries out what this package relies on: that the server allows client-side caching, and that after a write and
// its fence the copy from before is gone. A server that cannot write at the moment is believed.
//
// That CLIENT CACHING is allowed has to be asked for: the client takes no notice when it is refused, and
// would keep copies that nobody keeps current.
func (s *store) tracks(client rueidis.Client) (bool, error) {
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	defer cancel()
	if err := client.Do(ctx, client.B().Arbitrary("CLIENT", "CACHING", "YES").Build()).Error(); err != nil {
		return false, ifNoAnswer(err)
	}
	name := s.trialKey()
	for _, value := range []string{"before", "after"} {
		set := client.B().Set().Key(name).Value(value).Px(10 * time.Second).Build()
		if err := firstError(client.DoMulti(ctx, set, fence(client.B(), name))); err != nil {
			if isRefusal(err) {
				return true, nil
			}
			return false, err
		}
		copied, err := client.DoCache(ctx, client.B().Get().Key(name).Cache(), time.Minute).ToString()
		if err != nil {
			return false, ifNoAnswer(err)
		}
		if copied != value {
			return false, nil
		}
	}
	return true, firstError(client.DoMulti(ctx, client.B().Del().Key(name).Build()))
}

// ifNoAnswer is nil for an error that the server has answered with, as it does to commands it does not allow.
func ifNoAnswer(err error) error {
	if _, ok := errors.AsType[*rueidis.RedisError](err); ok {
		return nil
	}
	return fmt.Errorf("trying client-side caching: %w", err)
}
