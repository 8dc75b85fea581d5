package contained_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conditionalcache/caddy-conditional-cache/internal/contained"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory"
	"github.com/conditionalcache/caddy-conditional-cache/validators/storetest"
)

// faulty is the memory store until it is told to panic.
type faulty struct {
	validators.Store `json:"-"`
	Options          string // makes its state its own

	mu     sync.Mutex
	value  any
	forget func() // comes after the next Forget, before that returns
}

func (f *faulty) panics(value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = value
}

func (f *faulty) check() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.value != nil {
		panic(f.value)
	}
}

func (f *faulty) Name() string { f.check(); return f.Store.Name() }

func (f *faulty) Stats() validators.Stats { f.check(); return f.Store.Stats() }

func (f *faulty) Load(ctx context.Context, key validators.Key) (validators.Record, validators.Stamp, error) {
	f.check()
	return f.Store.Load(ctx, key)
}

func (f *faulty) Save(ctx context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	f.check()
	return f.Store.Save(ctx, key, record, ttl)
}

func (f *faulty) Delete(ctx context.Context, key validators.Key) error {
	f.check()
	return f.Store.Delete(ctx, key)
}

func (f *faulty) Forget(ctx context.Context, uri validators.URI) error {
	f.check()
	err := f.Store.Forget(ctx, uri)
	if after := f.forget; after != nil {
		f.forget = nil
		after()
	}
	return err
}

func (f *faulty) Purge(ctx context.Context, scope validators.Scope) error {
	f.check()
	return f.Store.Purge(ctx, scope)
}

func (f *faulty) FirstSeen(ctx context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (time.Time, error) {
	f.check()
	return f.Store.FirstSeen(ctx, key, tag, now, ttl)
}

func newFaulty(t *testing.T) (inner *faulty, store validators.Store, logs *observer.ObservedLogs) {
	t.Helper()
	kept, err := memory.New(memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	inner = &faulty{Store: kept, Options: t.Name()}
	return inner, contained.Store(inner, zap.New(core), ignoreCalls), logs
}

func keyOf(path string) validators.Key {
	return validators.Key{Sum: validators.Digest([]byte((path + strings.Repeat("x", 16))[:16])), URI: validators.NewURI("a.example", &url.URL{Path: path})}
}

func remember(t *testing.T, s validators.Store, key validators.Key) {
	t.Helper()
	_, stamp, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), key, validators.Record{Received: time.Now(), Stamp: stamp}, time.Hour); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, s validators.Store, key validators.Key) bool {
	t.Helper()
	record, _, _ := s.Load(t.Context(), key)
	return record.Exists()
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) validators.Store {
		t.Helper()
		_, s, _ := newFaulty(t)
		return s
	})
}

// callAll calls all methods that return an error, on a store that fails.
func callAll(t *testing.T, s validators.Store) map[string]error {
	t.Helper()
	ctx, key := t.Context(), keyOf("/a")
	record, stamp, err := s.Load(ctx, key)
	if record.Exists() || stamp != (validators.Stamp{}) {
		t.Errorf("Load has found %v, %v", record, stamp)
	}
	_, seenErr := s.FirstSeen(ctx, key, "tag", time.Now(), time.Hour)
	return map[string]error{
		"Load": err, "Save": s.Save(ctx, key, record, time.Hour), "Delete": s.Delete(ctx, key), "Forget": s.Forget(ctx, key.URI),
		"Purge": s.Purge(ctx, validators.Scope{}), "FirstSeen": seenErr,
	}
}

// TestPanicsAreErrors: of every call, whatever the value.
func TestPanicsAreErrors(t *testing.T) {
	for name, value := range map[string]any{
		"a text": "lost my head", "an error": errors.New("lost my head"), "ErrAbortHandler": http.ErrAbortHandler,
		"a long text": strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			inner, s, logs := newFaulty(t)
			inner.panics(value)
			for call, err := range callAll(t, s) {
				if !errors.Is(err, validators.ErrUnavailable) || len(err.Error()) > 1000 {
					t.Errorf("%s: %.2000v", call, err)
				}
			}
			if stats := s.Stats(); stats.Errors != 7 || stats.Entries != -1 || stats.Available { // that of Stats included
				t.Errorf("%+v", stats)
			}
			if n := logs.Len(); n != 1 || len(logs.All()[0].ContextMap()["panic"].(string)) > 1000 {
				t.Errorf("%d lines: %.2000v", n, logs.All())
			}
		})
	}
}

// TestPanicsAreLoggedSeldom: once in ten seconds, with what is said, whoever the store serves.
func TestPanicsAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, s, logs := newFaulty(t)
		core, otherLogs := observer.New(zapcore.DebugLevel)
		other := contained.Store(inner, zap.New(core), ignoreCalls)
		inner.panics("lost my head")
		for range 25 {
			for range 100 {
				_, _, _ = s.Load(t.Context(), keyOf("/a"))
				_, _, _ = other.Load(t.Context(), keyOf("/a"))
			}
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble's time
		}
		if n := logs.Len() + otherLogs.Len(); n != 3 {
			t.Errorf("%d lines in 25 seconds, want 3", n)
		}
		fields := logs.All()[0].ContextMap()
		if fields["panic"] != "lost my head" || fields["call"] != "load" || fields["store"] != "memory" {
			t.Errorf("logged is %v", fields)
		}
		if n := other.Stats().Errors; n != 5001 { // the latest one is of Stats
			t.Errorf("%d errors", n)
		}
	})
}

// TestWhatWasNotForgottenIsNotFound: a Forget or Delete that panics is done before the next Load, or there is none.
func TestWhatWasNotForgottenIsNotFound(t *testing.T) {
	for name, do := range map[string]func(validators.Store, validators.Key) error{
		"Forget": func(s validators.Store, key validators.Key) error { return s.Forget(t.Context(), key.URI) },
		"Delete": func(s validators.Store, key validators.Key) error { return s.Delete(t.Context(), key) },
	} {
		t.Run(name, func(t *testing.T) {
			inner, s, _ := newFaulty(t)
			other := contained.Store(inner, zap.NewNop(), ignoreCalls)
			key, near := keyOf("/a"), keyOf("/b")
			remember(t, s, key)
			remember(t, s, near)
			inner.panics("lost my head")
			if err := do(s, key); err == nil {
				t.Fatal("it has not panicked")
			}
			if _, _, err := s.Load(t.Context(), key); !errors.Is(err, validators.ErrUnavailable) {
				t.Errorf("while it cannot be forgotten: %v", err)
			}
			inner.panics(nil)
			if has(t, other, key) || has(t, s, key) {
				t.Error("what was to be forgotten is found")
			}
			if !has(t, s, near) {
				t.Error("something else was forgotten")
			}
			remember(t, s, key)
			if !has(t, s, key) {
				t.Error("nothing is remembered any more")
			}
		})
	}
}

// TestALaterForgetIsNotTakenForDone: what has panicked while an earlier one was made up for is owed on.
func TestALaterForgetIsNotTakenForDone(t *testing.T) {
	inner, s, _ := newFaulty(t)
	key := keyOf("/a")
	inner.panics("lost my head")
	_ = s.Forget(t.Context(), key.URI)
	inner.panics(nil)
	inner.forget = func() { // while the Load below makes up for the first one
		remember(t, inner.Store, key)
		inner.panics("lost my head")
		_ = s.Forget(t.Context(), key.URI)
		inner.panics(nil)
	}
	has(t, s, key)
	if has(t, s, key) {
		t.Error("what the second one was about is found")
	}
}

// Stores of one name and the same options may have records of their own: that one of them has made up for a call says
// nothing of the other.
func TestEachStorePaysItsOwnDebts(t *testing.T) {
	one, s, _ := newFaulty(t)
	_, other, _ := newFaulty(t)
	key := keyOf("/a")
	remember(t, s, key)
	one.panics("lost my head")
	_ = s.Forget(t.Context(), key.URI)
	one.panics(nil)
	has(t, other, key)
	if has(t, s, key) {
		t.Error("found, as another store has forgotten it")
	}
	one.panics("lost my head")
	for n := range 5000 {
		_ = s.Forget(t.Context(), keyOf("/"+strconv.Itoa(n)).URI)
	}
	one.panics(nil)
	remembered := keyOf("/b")
	has(t, other, remembered)
	if remember(t, other, remembered); !has(t, other, remembered) {
		t.Error("the other one has not recovered")
	}
}

// TestTooMuchThatWasNotForgotten: then nothing is found before everything was purged.
func TestTooMuchThatWasNotForgotten(t *testing.T) {
	inner, s, _ := newFaulty(t)
	key := keyOf("/kept")
	remember(t, s, key)
	inner.panics("lost my head")
	for n := range 5000 {
		_ = s.Forget(t.Context(), keyOf("/"+strconv.Itoa(n)).URI)
	}
	if err := s.Purge(t.Context(), validators.Scope{}); err == nil {
		t.Fatal("it has not panicked")
	}
	inner.panics(nil)
	if has(t, s, key) || has(t, s, keyOf("/4999")) {
		t.Error("found, though it may have been forgotten")
	}
	if err := s.Purge(t.Context(), validators.Scope{Host: "a.example"}); err != nil || has(t, s, key) {
		t.Errorf("a purge of a part: %v", err)
	}
	if err := s.Purge(t.Context(), validators.Scope{}); err != nil {
		t.Fatal(err)
	}
	remember(t, s, key)
	if !has(t, s, key) {
		t.Error("nothing is remembered after a purge of everything")
	}
}

func TestContainingAllocatesNothing(t *testing.T) {
	_, s, _ := newFaulty(t)
	key := keyOf("/a")
	remember(t, s, key)
	if n := testing.AllocsPerRun(1000, func() { _, _, _ = s.Load(t.Context(), key) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A store without a name, or whose options cannot be written, is one all the same.
func TestAStoreThatPanicsAtOnce(t *testing.T) {
	inner, _, _ := newFaulty(t)
	inner.panics("lost my head")
	s := contained.Store(inner, zap.NewNop(), ignoreCalls)
	if s.Name() != "*contained_test.faulty" {
		t.Errorf("its name is %s", s.Name())
	}
}

func BenchmarkLoad(b *testing.B) {
	kept, err := memory.New(memory.Options{})
	if err != nil {
		b.Fatal(err)
	}
	key := keyOf("/a")
	_, stamp, _ := kept.Load(b.Context(), key)
	_ = kept.Save(b.Context(), key, validators.Record{Received: time.Now(), Stamp: stamp}, time.Hour)
	for name, s := range map[string]validators.Store{"contained=no": kept, "contained=yes": contained.Store(kept, zap.NewNop(), ignoreCalls)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := b.Context()
			for b.Loop() {
				_, _, _ = s.Load(ctx, key)
			}
		})
	}
}

func ignoreCalls(string, string, time.Duration) {}

// TestCallsAreTold: each call is told once, by the word that metrics have for it; Stats is none.
func TestCallsAreTold(t *testing.T) {
	var calls []string
	inner, err := memory.New(memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := contained.Store(inner, zap.NewNop(), func(store, call string, took time.Duration) {
		if store != "memory" || took < 0 {
			t.Errorf("%s of %q took %v", call, store, took)
		}
		calls = append(calls, call)
	})
	key, ctx := keyOf("/a"), t.Context()
	record, _, _ := s.Load(ctx, key)
	_ = s.Save(ctx, key, record, time.Hour)
	_ = s.Delete(ctx, key)
	_ = s.Forget(ctx, key.URI)
	_ = s.Purge(ctx, validators.Scope{})
	_, _ = s.FirstSeen(ctx, key, `"x"`, time.Now(), time.Hour)
	_ = s.Stats()
	if want := []string{"load", "save", "delete", "forget", "purge", "first_seen"}; !slices.Equal(calls, want) {
		t.Errorf("told of %q, want %q", calls, want)
	}
}
