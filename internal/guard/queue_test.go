package guard

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// take is Acquire where nothing should go wrong.
func take(t *testing.T, q *Queue, key string) func() {
	t.Helper()
	release, err := q.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// wantEmpty: a key that nobody uses takes no memory.
func wantEmpty(t *testing.T, q *Queue) {
	t.Helper()
	if n := q.Len(); n != 0 {
		t.Errorf("%d keys are still in use", n)
	}
}

func TestQueueIsFIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		release := take(t, &q, "a")
		var order []int
		for i := range MaxWaiters {
			go func() {
				release := take(t, &q, "a")
				order = append(order, i)
				release()
			}()
			synctest.Wait() // it is in line
		}
		take(t, &q, "b")() // another key does not wait
		if len(order) != 0 {
			t.Fatalf("%v came before their turn", order)
		}
		release()
		synctest.Wait()
		if !slices.IsSorted(order) || len(order) != MaxWaiters {
			t.Errorf("served in the order %v", order)
		}
		wantEmpty(t, &q)
	})
}

func TestQueueTakesNoMoreThanMaxWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		release := take(t, &q, "a")
		for range MaxWaiters {
			go func() { take(t, &q, "a")() }()
		}
		synctest.Wait()
		if _, err := q.Acquire(t.Context(), "a"); !errors.Is(err, ErrTooMany) {
			t.Errorf("one too many: %v", err)
		}
		release()
		synctest.Wait()
		take(t, &q, "a")()
		wantEmpty(t, &q)
	})
}

func TestQueueWaitsNoLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		release := take(t, &q, "a")
		start := time.Now()
		if _, err := q.Acquire(t.Context(), "a"); !errors.Is(err, ErrTooLong) || time.Since(start) != MaxWait {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		release()
		wantEmpty(t, &q)
	})
}

// Whoever leaves gives its place up, and the one behind it does not wait for it.
func TestQueueForgetsWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		release := take(t, &q, "a")
		ctx, leave := context.WithCancelCause(t.Context())
		why := errors.New("gone")
		var left error
		served := false
		go func() { _, left = q.Acquire(ctx, "a") }()
		synctest.Wait()
		go func() {
			take(t, &q, "a")()
			served = true
		}()
		synctest.Wait()
		leave(why)
		synctest.Wait()
		if !errors.Is(left, why) || served {
			t.Fatalf("left with %v, the next one served: %t", left, served)
		}
		release()
		synctest.Wait()
		if !served {
			t.Error("the next one still waits")
		}
		wantEmpty(t, &q)
	})
}

// A turn that comes in the moment in which its waiter leaves is not lost.
func TestQueuePassesOnALateTurn(t *testing.T) {
	var q Queue
	take(t, &q, "a")
	w, err := q.enter("a")
	if err != nil || w == nil {
		t.Fatal(w, err)
	}
	q.pass("a")
	q.leave("a", w)
	wantEmpty(t, &q)
}

// A turn ends once, however often that is said.
func TestQueueReleaseCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		release := take(t, &q, "a")
		release()
		second := take(t, &q, "a")
		release()
		third := false
		go func() {
			take(t, &q, "a")()
			third = true
		}()
		synctest.Wait()
		if third {
			t.Error("two have the turn at once")
		}
		second()
		synctest.Wait()
		wantEmpty(t, &q)
	})
}

// Whatever comes and goes, one at a time has the turn, and in the end nothing is left. Run with -race.
func TestQueueUnderLoad(t *testing.T) {
	const keys, writers, rounds = 3, 40, 200
	var q Queue
	var served [keys]int // each guarded by its turn only
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range rounds {
				key := rand.IntN(keys)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(200))*time.Microsecond)
				release, err := q.Acquire(ctx, strconv.Itoa(key))
				if err == nil {
					served[key]++
					release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	wantEmpty(t, &q)
	if served == [keys]int{} {
		t.Error("nobody was served")
	}
}
