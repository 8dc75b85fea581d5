// Package contained keeps a store's panics from what it serves: a store that panics, in whatever goroutine it was
// asked from, has failed, and requests go on as if nothing were remembered.
package contained

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// errPanic is wrapped by the errors of calls that have panicked.
var errPanic = fmt.Errorf("%w: it has panicked", validators.ErrUnavailable)

// store is a validators.Store that does not panic.
type store struct {
	inner  validators.Store
	logger *zap.Logger
	called Called
	name   string
	own    payments
	*state
}

// Called is told of every call to a store: which, as the metrics have it, and how long it took.
type Called func(store, call string, took time.Duration)

// Store is the same store without its panics: they are errors, counted in its Stats, and logged once in an interval.
// Not even http.ErrAbortHandler passes: to break off an answer is not a store's affair.
//
// A Forget or Delete that panics has perhaps not been done. What it was about is not found until it was forgotten
// after all, which each Load of it tries first.
func Store(inner validators.Store, logger *zap.Logger, called Called) validators.Store {
	s := &store{inner: inner, logger: logger, called: called}
	s.name = s.innerName()
	s.state = stateOf(s.name, inner)
	return s
}

// MarshalJSON writes the options of the store itself.
func (s *store) MarshalJSON() ([]byte, error) { return json.Marshal(s.inner) }

// Name implements validators.Store.
func (s *store) Name() string { return s.name }

// innerName is asked for once, before there is a state to count in.
func (s *store) innerName() (name string) {
	defer func() {
		if recover() != nil {
			name = fmt.Sprintf("%T", s.inner)
		}
	}()
	return s.inner.Name()
}

// Load implements validators.Store.
func (s *store) Load(ctx context.Context, key validators.Key) (record validators.Record, stamp validators.Stamp, err error) {
	if s.owes() {
		if err := s.settle(ctx, key.URI); err != nil {
			return record, stamp, err
		}
	}
	defer s.contain("load", time.Now(), &err)
	return s.inner.Load(ctx, key)
}

// Save implements validators.Store.
func (s *store) Save(ctx context.Context, key validators.Key, record validators.Record, ttl time.Duration) (err error) {
	defer s.contain("save", time.Now(), &err)
	return s.inner.Save(ctx, key, record, ttl)
}

// Delete implements validators.Store. What could not be deleted is forgotten, with all of its URI.
func (s *store) Delete(ctx context.Context, key validators.Key) error {
	err := s.delete(ctx, key)
	if errors.Is(err, errPanic) {
		s.owe(key.URI)
	}
	return err
}

func (s *store) delete(ctx context.Context, key validators.Key) (err error) {
	defer s.contain("delete", time.Now(), &err)
	return s.inner.Delete(ctx, key)
}

// Forget implements validators.Store.
func (s *store) Forget(ctx context.Context, uri validators.URI) error {
	err := s.forget(ctx, uri)
	if errors.Is(err, errPanic) {
		s.owe(uri)
	}
	return err
}

func (s *store) forget(ctx context.Context, uri validators.URI) (err error) {
	defer s.contain("forget", time.Now(), &err)
	return s.inner.Forget(ctx, uri)
}

// settle forgets what is owed before it is asked for.
func (s *store) settle(ctx context.Context, uri validators.URI) error {
	debt, all := s.debtOf(uri, &s.own)
	switch {
	case all:
		return s.Purge(context.WithoutCancel(ctx), validators.Scope{})
	case debt == 0:
		return nil
	}
	if err := s.forget(context.WithoutCancel(ctx), uri); err != nil {
		return err
	}
	s.paid(uri, debt, &s.own)
	return nil
}

// Purge implements validators.Store. One of everything covers what is owed.
func (s *store) Purge(ctx context.Context, scope validators.Scope) error {
	before := s.allDebts()
	err := s.purge(ctx, scope)
	if err == nil && scope == (validators.Scope{}) {
		s.paidAll(before, &s.own)
	}
	return err
}

func (s *store) purge(ctx context.Context, scope validators.Scope) (err error) {
	defer s.contain("purge", time.Now(), &err)
	return s.inner.Purge(ctx, scope)
}

// FirstSeen implements validators.Store.
func (s *store) FirstSeen(ctx context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (at time.Time, err error) {
	defer s.contain("first_seen", time.Now(), &err)
	return s.inner.FirstSeen(ctx, key, tag, now, ttl)
}

// Stats implements validators.Store. Panics count as errors.
func (s *store) Stats() validators.Stats {
	stats, err := s.stats()
	if err != nil {
		stats.Entries = -1
	}
	stats.Errors += s.panics.Load()
	return stats
}

func (s *store) stats() (stats validators.Stats, err error) {
	defer s.contain("stats", time.Time{}, &err)
	return s.inner.Stats(), nil
}

// contain is deferred around each call; begun is zero for those that are none of the metrics'.
func (s *store) contain(call string, begun time.Time, err *error) {
	if !begun.IsZero() {
		s.called(s.name, call, time.Since(begun))
	}
	if value := recover(); value != nil {
		*err = fmt.Errorf("%w: %s", errPanic, s.note(call, value, time.Now()))
	}
}

// note counts a panic, and logs it if none was for a while. It returns what the panic says, which may be long.
func (s *store) note(call string, value any, now time.Time) string {
	said := fmt.Sprint(value)
	if said = said[:min(len(said), longest)]; s.count(now) {
		s.logger.Error("a store has panicked: requests are served as if nothing were remembered",
			zap.String("store", s.name), zap.String("call", call), zap.String("panic", said), zap.Uint64("panics", s.panics.Load()))
	}
	return said
}

// longest is how much of a panic's value is told.
const longest = 500
