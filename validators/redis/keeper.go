package redis

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"
)

const (
	// fewFailures in a row, and the server is left alone.
	fewFailures = 3
	// firstProbe is how long it is left alone at first, lastProbe at most.
	firstProbe, lastProbe = 100 * time.Millisecond, 5 * time.Second
	// logInterval is the least time between two lines of the log about one trouble.
	logInterval = 10 * time.Second
	// signOfLife is how often the server has to give one, and how long it may take.
	signOfLife = time.Second
	// dialTimeout is how long a new connection may take. No request waits for it.
	dialTimeout = 2 * time.Second
)

var (
	errNotConnected = errors.New("there is no connection yet")
	errLeftAlone    = errors.New("the server has failed, and is left alone for a while")
	errClosed       = errors.New("the store was closed")
)

// keeper keeps the connection. What takes long (connecting, probing a server that has failed, forgetting what could
// not be forgotten) is done by its one goroutine, which exists only while there is such a thing to do.
type keeper struct {
	store *store

	// up is the client while the server answers; nil while it is left alone.
	up       atomic.Pointer[clientOf]
	failures atomic.Int64
	heard    atomic.Bool // since the last failure, the server itself has answered

	mu       sync.Mutex
	conn     rueidis.Client // also while it is left alone; nil before the first connection
	running  bool
	again    bool // there is more to do
	closed   bool
	stop     context.CancelFunc
	stopping context.Context //nolint:containedctx // of the goroutine
	loggers  []*zap.Logger   // of the modules that use the store, the latest last
	loggedAt time.Time
	troubled bool // a line was logged, and none yet that it is over
}

type clientOf struct{ rueidis.Client }

func newKeeper(s *store) *keeper {
	k := &keeper{store: s}
	k.stopping, k.stop = context.WithCancel(context.Background())
	return k
}

// client is the client, or why there is none. It does not wait: connecting is begun by the first who asks.
func (k *keeper) client() (rueidis.Client, error) {
	if up := k.up.Load(); up != nil {
		return up.Client, nil
	}
	k.wake()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return nil, errClosed
	case k.conn == nil:
		return nil, errNotConnected
	}
	return nil, errLeftAlone
}

// noteCall notes how a call has gone. What was answered from this process's own memory says nothing of the server.
func (k *keeper) noteCall(err error) {
	switch {
	case err == nil:
		if k.failures.Load() != 0 && k.heard.Swap(false) {
			k.failures.Store(0)
		}
	case isFull(err):
		k.warn("the server is full", err) // and answers all the same
	case k.failures.Add(1) >= fewFailures:
		k.heard.Store(false)
		if k.up.Swap(nil) != nil {
			k.warn("the server is left alone, as it has failed", err)
		}
		k.wake()
	}
}

// drop gives the connection up, and with it all copies of what is at the server.
func (k *keeper) drop() {
	k.mu.Lock()
	k.up.Store(nil) // under the lock, or mend could put a client up again that is closed below
	conn := k.conn
	k.conn = nil
	k.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	k.wake()
}

// wake sees to it that the goroutine runs.
func (k *keeper) wake() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.again = true
	if !k.running && !k.closed {
		k.running = true
		go k.run()
	}
}

// run does what there is to do, until all is done.
func (k *keeper) run() {
	pause := firstProbe
	for {
		k.mu.Lock()
		k.again = false
		k.mu.Unlock()
		err := k.mend()
		if err == nil {
			pause = firstProbe
			if k.rest() {
				return
			}
			continue
		}
		k.warn("the server cannot be reached", err)
		select {
		case <-k.stopping.Done():
		case <-time.After(pause):
			pause = min(2*pause, lastProbe)
		}
		if k.ended() {
			return
		}
	}
}

// rest ends the goroutine if nobody has asked for more.
func (k *keeper) rest() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed && (k.again && k.up.Load() == nil || k.store.pending.any.Load() > 0) {
		return false
	}
	k.running = false
	return true
}

func (k *keeper) ended() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		k.running = false
	}
	return k.closed
}

// mend connects if need be, asks for a sign of life, forgets what is to be forgotten, and only then lets requests use
// the server again.
func (k *keeper) mend() error {
	client, err := k.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(k.stopping, dialTimeout)
	defer cancel()
	if err := client.Do(ctx, client.B().Exists().Key(k.store.purgesKey()).Build()).Error(); err != nil {
		return err
	}
	if err := k.store.forgetPending(ctx, client); err != nil {
		return err
	}
	k.failures.Store(0)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.conn != client {
		return errClosed
	}
	k.up.Store(&clientOf{client})
	if k.troubled {
		k.troubled = false
		k.log(func(l *zap.Logger) { l.Info("the server is back", loggedStore(k.store.options.name())) })
	}
	return nil
}

// connect returns the client, which connects anew by itself once it has been connected.
func (k *keeper) connect() (rueidis.Client, error) {
	k.mu.Lock()
	client := k.conn
	k.mu.Unlock()
	if client != nil {
		return client, nil
	}
	client, err := rueidis.NewClient(k.store.options.client())
	if errors.Is(err, rueidis.ErrNoCache) || isForbidden(err) {
		untracked := k.store.options.client()
		untracked.DisableCache = true
		if client, err = rueidis.NewClient(untracked); err == nil {
			k.log(func(l *zap.Logger) {
				l.Warn("the server does not tell what changes (CLIENT TRACKING), so that each request asks it", loggedStore(k.store.options.name()))
			})
		}
	}
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		client.Close()
		return nil, errClosed
	}
	k.conn = client
	return client, nil
}

func isForbidden(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	return ok && len(reply.Error()) >= 6 && reply.Error()[:6] == "NOPERM"
}

// client is how to connect: on one connection to each node, so that answers and news of changes come in their order.
func (o *options) client() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: o.addresses, Username: o.username, Password: o.password, SelectDB: o.db, TLSConfig: o.tls,
		Sentinel:          rueidis.SentinelOption{MasterSet: o.sentinel, TLSConfig: o.tls},
		ClientName:        "conditional_cache",
		ForceSingleClient: o.single() && o.sentinel == "",
		CacheSizeEachConn: int(o.localCache),
		PipelineMultiplex: -1,
		ConnWriteTimeout:  signOfLife,
		Dialer:            net.Dialer{Timeout: dialTimeout, KeepAlive: signOfLife},
		DialCtxFn:         dial,
		DisableRetry:      true,
	}
}

// close ends everything. Calls that wait for an answer get an error.
func (k *keeper) close() {
	k.mu.Lock()
	k.closed = true
	conn := k.conn
	k.mu.Unlock()
	k.up.Store(nil)
	k.stop()
	if conn != nil {
		conn.Close()
	}
}

// attach adds a module's logger, and returns what takes it away again.
func (s *store) attach(logger *zap.Logger) (detach func()) {
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loggers = append(k.loggers, logger)
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		for i, other := range k.loggers {
			if other == logger {
				k.loggers = append(k.loggers[:i:i], k.loggers[i+1:]...)
				return
			}
		}
	}
}

// warn logs a trouble, but not more often than once in an interval.
func (k *keeper) warn(what string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || time.Since(k.loggedAt) < logInterval {
		return
	}
	k.loggedAt, k.troubled = time.Now(), true
	k.log(func(l *zap.Logger) {
		l.Warn(what+"; requests are served as if nothing were remembered", loggedStore(k.store.options.name()), zap.Error(err))
	})
}

// log logs by the latest logger, if there is one.
func (k *keeper) log(line func(*zap.Logger)) {
	if n := len(k.loggers); n > 0 {
		line(k.loggers[n-1])
	}
}
