package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	modelKeys     = 10_000
	modelWorkers  = 8
	modelSections = 10
)

// model knows what a Load may return while others use the store. Each key belongs to one goroutine, which alone
// saves, deletes and forgets it; all of them load and purge. Time is a count that goes on by one with each look.
type model struct {
	store    validators.Store
	host     string
	time     atomic.Int64
	keys     [modelKeys]modelKey
	sections [modelSections]atomic.Int64 // when the latest purge began that has ended
	loads    atomic.Int64
	hits     atomic.Int64
}

type modelKey struct {
	validators.Key
	section int
	begun   atomic.Int64 // the latest version of which a Save has begun
	least   atomic.Int64 // the oldest version that has not been replaced or deleted
	forgot  atomic.Int64 // when the latest Forget began that has ended
}

func manyGoroutines(t *testing.T, s validators.Store) {
	steps := 5000
	if testing.Short() {
		steps = 500
	}
	m := &model{store: s, host: newHost()}
	for n := range m.keys {
		section := n / modelWorkers % modelSections // each goroutine has keys in every section
		m.keys[n].section = section
		m.keys[n].Key = newKey(m.host, fmt.Sprintf("/%d/%d", section, n))
	}
	var workers sync.WaitGroup
	for worker := range modelWorkers {
		workers.Go(func() {
			for range steps {
				if err := m.step(t.Context(), worker); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if hits, loads := m.hits.Load(), m.loads.Load(); hits < loads/20 {
		t.Errorf("of %d Loads only %d have found something", loads, hits)
	}
}

// step does one thing by chance.
func (m *model) step(ctx context.Context, worker int) error {
	own := &m.keys[skewed(modelKeys/modelWorkers)*modelWorkers+worker]
	switch n := rand.IntN(1000); { //nolint:gosec // chance, no secret
	case n < 400:
		return m.load(ctx, &m.keys[skewed(modelKeys)])
	case n < 500:
		return m.load(ctx, own)
	case n < 850:
		return m.save(ctx, own, false)
	case n < 900:
		return m.save(ctx, own, true)
	case n < 950:
		return m.forget(ctx, own)
	case n < 998:
		return m.delete(ctx, own)
	default:
		return m.purge(ctx, rand.IntN(modelSections)) //nolint:gosec // chance, no secret
	}
}

// skewed is a number below n by chance, the smaller ones more often, so that goroutines meet.
func skewed(n int) int {
	return rand.IntN(1 + rand.IntN(1+rand.IntN(n))) //nolint:gosec // chance, no secret
}

// load checks that what is found is the version of this key that was saved last or is being saved, and that its
// stamp is newer than whatever made it out of date before the Load began.
func (m *model) load(ctx context.Context, key *modelKey) error {
	least, forgotten := key.least.Load(), max(key.forgot.Load(), m.sections[key.section].Load())
	record, _, err := m.store.Load(ctx, key.Key)
	m.loads.Add(1)
	if err != nil || !record.Exists() {
		return err
	}
	m.hits.Add(1)
	var version, stamped int64
	if _, err := fmt.Sscanf(record.ETag, key.form(), &version, &stamped); err != nil {
		return fmt.Errorf("%s: the record of another key: %s", key.URI.Path, record.ETag)
	}
	switch {
	case version < least:
		return fmt.Errorf("%s: version %d is found after %d had replaced or dropped it", key.URI.Path, version, least)
	case version > key.begun.Load():
		return fmt.Errorf("%s: version %d is found before it was saved", key.URI.Path, version)
	case stamped < forgotten:
		return fmt.Errorf("%s: version %d of time %d is found, which was made out of date at %d", key.URI.Path, version, stamped, forgotten)
	}
	return nil
}

// form is what an entity tag of the key looks like.
func (key *modelKey) form() string { return fmt.Sprintf(`"%x-%%d-%%d"`, key.Sum) }

// save saves a new version, which may be overtaken by a Forget.
func (m *model) save(ctx context.Context, key *modelKey, late bool) error {
	_, stamp, err := m.store.Load(ctx, key.Key)
	if err != nil {
		return err
	}
	stamped := m.time.Add(1)
	if late {
		if err := m.forget(ctx, key); err != nil {
			return err
		}
	}
	version := key.begun.Add(1)
	record := newRecord(stamp)
	record.ETag = fmt.Sprintf(key.form(), version, stamped)
	if err := m.store.Save(ctx, key.Key, record, long); err != nil {
		return err
	}
	// From here on no older one may be found. Its stamp is older, too: what makes this one out of date, does so
	// to it.
	key.least.Store(version)
	return nil
}

func (m *model) forget(ctx context.Context, key *modelKey) error {
	began := m.time.Add(1)
	err := m.store.Forget(ctx, key.URI)
	if err == nil {
		key.forgot.Store(began)
	}
	return err
}

func (m *model) delete(ctx context.Context, key *modelKey) error {
	err := m.store.Delete(ctx, key.Key)
	if err == nil {
		key.least.Store(key.begun.Load() + 1)
	}
	return err
}

func (m *model) purge(ctx context.Context, section int) error {
	began := m.time.Add(1)
	if err := m.store.Purge(ctx, validators.Scope{Host: m.host, Path: fmt.Sprintf("/%d", section)}); err != nil {
		return err
	}
	for latest := &m.sections[section]; ; {
		if before := latest.Load(); before >= began || latest.CompareAndSwap(before, began) {
			return nil
		}
	}
}
