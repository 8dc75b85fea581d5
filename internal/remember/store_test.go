package remember_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// shelf is a store of the simplest kind, to see what a Visit asks of one. Records go through their encoding.
type shelf struct {
	mu        sync.Mutex
	records   map[validators.Digest]string
	ttls      map[validators.Digest]time.Duration
	forgotten map[validators.Digest]uint64
	purges    *validators.Purges
	broken    bool
	delay     time.Duration   // of each call
	waited    []time.Duration // what callers said that they had waited
	saves     int
}

func newShelf() *shelf {
	return &shelf{
		records: map[validators.Digest]string{}, ttls: map[validators.Digest]time.Duration{},
		forgotten: map[validators.Digest]uint64{}, purges: new(validators.Purges),
	}
}

var errBroken = errors.New("broken")

// take is what every call begins with.
func (s *shelf) take(ctx context.Context) {
	s.waited = append(s.waited, validators.Waited(ctx))
	if s.delay > 0 {
		time.Sleep(s.delay) //nolint:forbidigo // of a bubble's time
	}
}

func (s *shelf) Name() string { return "shelf" }

func (s *shelf) Load(ctx context.Context, key validators.Key) (validators.Record, validators.Stamp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(ctx)
	if s.broken {
		return validators.Record{}, validators.Stamp{}, errBroken
	}
	stamp := validators.Stamp{Forgotten: s.forgotten[key.URI.Sum], Purged: s.purges.Last()}
	record, err := validators.Decode(s.records[key.Sum])
	if err != nil || record.Stamp.Forgotten != stamp.Forgotten || s.purges.Cover(record.Stamp.Purged, key.URI) {
		return validators.Record{}, stamp, nil
	}
	return record, stamp, nil
}

func (s *shelf) Save(ctx context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(ctx)
	if s.broken {
		return errBroken
	}
	b, err := record.AppendBinary(nil)
	s.records[key.Sum], s.ttls[key.Sum] = string(b), ttl
	s.saves++
	return err
}

func (s *shelf) Delete(ctx context.Context, key validators.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(ctx)
	delete(s.records, key.Sum)
	return nil
}

func (s *shelf) Forget(ctx context.Context, uri validators.URI) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(ctx)
	s.forgotten[uri.Sum]++
	return nil
}

func (s *shelf) Purge(_ context.Context, scope validators.Scope) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purges = s.purges.With(validators.Purge{Number: s.purges.Last() + 1, Scope: scope})
	return nil
}

func (s *shelf) FirstSeen(_ context.Context, _ validators.Key, _ string, now time.Time, _ time.Duration) (time.Time, error) {
	if s.broken {
		return time.Time{}, errBroken
	}
	return now, nil
}

func (s *shelf) Stats() validators.Stats { return validators.Stats{} }

var _ validators.Store = (*shelf)(nil)
