// Package storedkey keeps the key that who asks is digested with (see package identity) in Caddy's storage, where nobody
// has given one. All who share the storage have the same, and it outlives them. Whoever finds none makes one, at random.
//
// No request waits for it: what needs it goes without until it is here.
package storedkey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
)

const (
	// Path is where the key is in the storage: 64 hex digits.
	Path = "conditional_cache/identity.key"

	lock = "conditional_cache_identity"

	// timeout is how long one try takes at most. The lock of a process that was killed is let go of after ten seconds.
	timeout = 30 * time.Second
	// again is how long after the beginning of a try that has failed there is another one.
	again = time.Minute
	// wait is how long the start of a configuration waits. A storage of files has the key in a millisecond; where it takes
	// longer, it comes while requests are served.
	wait = time.Second
)

// storage is what is needed of Caddy's storage. What Load does not find is fs.ErrNotExist.
type storage interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

// Key is the key of a storage. It may be used concurrently. A nil Key is never at hand.
type Key struct {
	ctx     context.Context // ends with the configuration
	storage storage
	log     *zap.Logger

	needed  bool // set before Start, by Needed
	key     atomic.Pointer[identity.Key]
	started atomic.Bool
	next    atomic.Int64 // when there may be another try, in Unix nanoseconds
	busy    atomic.Bool  // a try is under way: a storage may take longer than it should
	failed  atomic.Bool  // the last one has failed, which was logged
}

// New returns the key of a configuration's storage; nil where Caddy has not loaded the module, and nothing will be started.
// Nothing is asked of the storage: `caddy validate` comes as far as this.
func New(ctx caddy.Context) *Key {
	if ctx.Module() == nil {
		return nil
	}
	return &Key{ctx: ctx, storage: ctx.Storage(), log: ctx.Logger()}
}

// Needed notes whether the key is needed by what is being provisioned, and returns it.
func (k *Key) Needed(is bool) *Key {
	if k != nil {
		k.needed = k.needed || is
	}
	return k
}

// Start fetches the key, if it is needed, and waits for that, though not long.
func (k *Key) Start() {
	if k == nil || !k.needed {
		return
	}
	k.started.Store(true)
	done := k.try()
	if done == nil {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// Get returns the key; nil: it is not at hand. It does not wait. Where the last try has failed, it begins another one, if it
// is time.
func (k *Key) Get() *identity.Key {
	if k == nil {
		return nil
	}
	key := k.key.Load()
	if key == nil && k.started.Load() {
		k.try()
	}
	return key
}

// try begins to fetch the key, if it is time. What it returns is closed at the end; nil: there is nothing to wait for.
func (k *Key) try() (done <-chan struct{}) {
	now, next := time.Now(), k.next.Load()
	if now.UnixNano() < next || k.ctx.Err() != nil || !k.busy.CompareAndSwap(false, true) {
		return nil
	}
	k.next.Store(now.Add(again).UnixNano())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer k.busy.Store(false)
		k.fetch()
	}()
	return ended
}

func (k *Key) fetch() {
	ctx, cancel := context.WithTimeout(k.ctx, timeout)
	defer cancel()
	key, err := k.obtain(ctx)
	switch {
	case err == nil:
		k.key.Store(key)
		if k.failed.Swap(false) {
			k.log.Info("the key that tells users apart is here")
		}
	case k.ctx.Err() == nil && !k.failed.Swap(true):
		k.log.Warn("no key in the storage to tell users apart: entity tags of requests with cookies or credentials carry no date", zap.String("key", Path), zap.Error(err))
	}
}

// obtain reads the key, or makes it. It does so under a lock, so that all have the same.
func (k *Key) obtain(ctx context.Context) (key *identity.Key, err error) {
	defer func() {
		if p := recover(); p != nil { // here nobody else would
			key, err = nil, fmt.Errorf("the storage has panicked: %v", p)
		}
	}()
	if key, err = k.read(ctx); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := k.storage.Lock(ctx, lock); err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		_ = k.storage.Unlock(ctx, lock) // it ends by itself, too
	}()
	if key, err = k.read(ctx); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	made := new(identity.Key)
	_, _ = rand.Read(made[:]) // it never fails
	if err := k.storage.Store(ctx, Path, hex.AppendEncode(nil, made[:])); err != nil {
		return nil, fmt.Errorf("storing: %w", err)
	}
	return k.read(ctx) // what others will read
}

// read reads the key. What is no key stays where it is: somebody has put it there. No error has anything of it.
func (k *Key) read(ctx context.Context) (*identity.Key, error) {
	stored, err := k.storage.Load(ctx, Path)
	if err != nil {
		return nil, fmt.Errorf("loading: %w", err)
	}
	key := new(identity.Key)
	if stored = bytes.TrimSpace(stored); len(stored) != hex.EncodedLen(len(key)) {
		return nil, fmt.Errorf("what is stored has %d octets, and a key has %d", len(stored), hex.EncodedLen(len(key)))
	}
	if _, err := hex.Decode(key[:], stored); err != nil {
		return nil, errors.New("what is stored is no number in hexadecimal")
	}
	return key, nil
}
