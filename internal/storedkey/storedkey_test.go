package storedkey

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
)

// shelf is a storage. What is nil behaves.
type shelf struct {
	mu     sync.Mutex
	stored map[string]string
	lock   chan struct{} // full while it is held

	loads, stores    int
	failing, storing error
	before           func(ctx context.Context) // is called by Load
}

func newShelf() *shelf { return &shelf{stored: map[string]string{}, lock: make(chan struct{}, 1)} }

func (s *shelf) Load(ctx context.Context, key string) ([]byte, error) {
	if s.before != nil {
		s.before(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if s.failing != nil {
		return nil, s.failing
	}
	if value, ok := s.stored[key]; ok {
		return []byte(value), nil
	}
	return nil, &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
}

func (s *shelf) Store(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stores++
	if s.storing == nil {
		s.stored[key] = string(value)
	}
	return s.storing
}

func (s *shelf) Lock(ctx context.Context, _ string) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *shelf) Unlock(context.Context, string) error {
	<-s.lock
	return nil
}

// on returns a key that is needed, and what it logs.
func on(ctx context.Context, s storage) (*Key, *observer.ObservedLogs) {
	core, logs := observer.New(zap.DebugLevel)
	return (&Key{ctx: ctx, storage: s, log: zap.New(core)}).Needed(true), logs
}

func TestFirstMakesWhatAllHave(t *testing.T) {
	s := newShelf()
	first, _ := on(t.Context(), s)
	if first.Get() != nil || s.loads != 0 {
		t.Error("the storage was asked before the start")
	}
	first.Start()
	second, _ := on(t.Context(), s)
	second.Start()
	a, b := first.Get(), second.Get()
	if a == nil || b == nil || *a != *b || *a == (identity.Key{}) {
		t.Fatalf("%v and %v", a, b)
	}
	if value := s.stored[Path]; len(s.stored) != 1 || s.stores != 1 || len(value) != 64 || len(s.lock) != 0 {
		t.Errorf("%d stored %d times, %d octets, held %d", len(s.stored), s.stores, len(value), len(s.lock))
	}
	loads := s.loads
	if first.Get() != a || s.loads != loads {
		t.Error("what is here was asked for again")
	}
	other, _ := on(t.Context(), newShelf())
	other.Start()
	if *other.Get() == *a {
		t.Error("two storages have one key")
	}
}

func TestManyStartAtOnce(t *testing.T) {
	s := newShelf()
	keys := make([]*Key, 16)
	var all sync.WaitGroup
	for i := range keys {
		keys[i], _ = on(t.Context(), s)
		all.Go(keys[i].Start)
	}
	all.Wait()
	for _, k := range keys {
		if k.Get() == nil || *k.Get() != *keys[0].Get() {
			t.Errorf("%v, and %v", k.Get(), keys[0].Get())
		}
	}
	if s.stores != 1 {
		t.Errorf("%d were stored", s.stores)
	}
}

func TestNotNeeded(t *testing.T) {
	s := newShelf()
	k := &Key{ctx: t.Context(), storage: s, log: zap.NewNop()}
	k.Needed(false).Start()
	if k.Get() != nil || s.loads != 0 {
		t.Error("a storage was asked for what nobody needs")
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	none := New(ctx)
	none.Start()
	if none != nil || none.Needed(true) != nil || none.Get() != nil {
		t.Error("there is a key where Caddy has loaded nothing")
	}
}

// What is no key stays where it is, and nothing of it is told.
func TestRubbish(t *testing.T) {
	for name, value := range map[string]string{
		"nothing": "", "too short": strings.Repeat("5e", 31), "too long": strings.Repeat("5e", 33), "no number": strings.Repeat("5x", 32), "octets": "\x00\xff",
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.stored[Path] = value
			k, logs := on(t.Context(), s)
			k.Start()
			if k.Get() != nil || s.stored[Path] != value {
				t.Errorf("%v of %q, now %q", k.Get(), value, s.stored[Path])
			}
			told := fmt.Sprint(logs.All())
			if logs.Len() != 1 || value != "" && strings.Contains(told, value) || strings.Contains(told, "5e5e") {
				t.Errorf("logged: %s", told)
			}
		})
	}
	t.Run("a line end is none", func(t *testing.T) {
		s := newShelf()
		s.stored[Path] = strings.Repeat("5E", 32) + "\n"
		k, _ := on(t.Context(), s)
		k.Start()
		if k.Get() == nil {
			t.Error("no key")
		}
	})
}

func TestFailuresAreToldOnceAndTriedAgain(t *testing.T) {
	for name, breaks := range map[string]func(s *shelf, err error){
		"loading": func(s *shelf, err error) { s.failing = err },
		"storing": func(s *shelf, err error) { s.storing = err },
		"panics": func(s *shelf, err error) {
			if s.before = nil; err != nil {
				s.before = func(context.Context) { panic(err) }
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { failAndMend(t, breaks) })
		})
	}
}

func failAndMend(t *testing.T, breaks func(s *shelf, err error)) {
	t.Helper()
	s := newShelf()
	breaks(s, errors.New("broken"))
	k, logs := on(t.Context(), s)
	k.Start()
	for range 5 {
		if k.Get() != nil {
			t.Fatal("a key out of a broken storage")
		}
		synctest.Wait()
		time.Sleep(again) //nolint:forbidigo // the bubble's time
	}
	if logs.Len() != 1 || len(s.lock) != 0 || len(s.stored) != 0 {
		t.Errorf("logged %v; %d held, %d stored", logs.All(), len(s.lock), len(s.stored))
	}
	breaks(s, nil)
	k.Get()
	synctest.Wait()
	if k.Get() == nil || logs.Len() != 2 {
		t.Errorf("%v after it was mended; logged %v", k.Get(), logs.All())
	}
}

// Nobody waits for a storage that does not answer, and it is not asked many times at once, whether or not it knows of
// deadlines.
func TestSlowStorage(t *testing.T) {
	for name, heeds := range map[string]bool{"that heeds its deadline": true, "that does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { waitFor(t, heeds) })
		})
	}
}

func waitFor(t *testing.T, heeds bool) {
	t.Helper()
	s := newShelf()
	var asked atomic.Int32
	answers := make(chan struct{})
	s.before = func(ctx context.Context) {
		asked.Add(1)
		if !heeds {
			ctx = context.Background()
		}
		select {
		case <-answers:
		case <-ctx.Done():
		}
	}
	k, _ := on(t.Context(), s)
	began := time.Now()
	k.Start()
	for range 1000 {
		if k.Get() != nil {
			t.Fatal("a key out of nowhere")
		}
	}
	if took := time.Since(began); took != wait || asked.Load() != 1 {
		t.Errorf("the start and the requests took %v, the storage was asked %d times", took, asked.Load())
	}
	close(answers)
	synctest.Wait()
	if k.Get() == nil {
		t.Error("no key, though it is here")
	}
}

// A configuration that has ended asks for nothing, and tells of no failure.
func TestEndedConfiguration(t *testing.T) {
	s := newShelf()
	ctx, cancel := context.WithCancel(t.Context())
	s.before = func(context.Context) { cancel() }
	s.failing = errors.New("broken")
	k, logs := on(ctx, s)
	k.Start()
	k.next.Store(0)
	if k.Get() != nil || logs.Len() != 0 || s.loads != 1 {
		t.Errorf("%v; logged %v; asked %d times", k.Get(), logs.All(), s.loads)
	}
}
