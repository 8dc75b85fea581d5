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
	turn, err := q.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return turn.End
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
				turn, err := q.Acquire(ctx, strconv.Itoa(key))
				if err == nil {
					served[key]++
					switch rand.IntN(50) {
					case 0:
						turn.Keep(time.Microsecond, func() {})
					case 1:
						turn.Linger(time.Microsecond)
					default:
						turn.End()
					}
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for range 1000 { // turns that were kept end a little later
		if q.Len() == 0 {
			break
		}
		<-time.After(time.Millisecond)
	}
	wantEmpty(t, &q)
	if served == [keys]int{} {
		t.Error("nobody was served")
	}
}

// A turn that is kept is nobody's: who waits and who comes hears of it at once, and for how long. Then the key is free.
func TestQueueKeepsATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		turn, err := q.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		var waited error
		go func() { _, waited = q.Acquire(t.Context(), "a") }()
		synctest.Wait()
		told := time.Time{}
		start := time.Now()
		turn.Keep(10*time.Second, func() { told = time.Now() })
		turn.End() // too late
		synctest.Wait()
		wantUnsettled(t, waited, 10*time.Second)
		time.Sleep(4 * time.Second) //nolint:forbidigo // in a bubble of synctest
		_, err = q.Acquire(t.Context(), "a")
		wantUnsettled(t, err, 6*time.Second)
		take(t, &q, "b")()
		time.Sleep(6 * time.Second) //nolint:forbidigo // in a bubble of synctest
		synctest.Wait()
		if told.Sub(start) != 10*time.Second {
			t.Errorf("the end was told after %s", told.Sub(start))
		}
		take(t, &q, "a")()
		wantEmpty(t, &q)
	})
}

func wantUnsettled(t *testing.T, err error, left time.Duration) {
	t.Helper()
	if unsettled, ok := errors.AsType[*UnsettledError](err); !ok || unsettled.For != left {
		t.Errorf("%v, want one that lasts for %s", err, left)
	}
}

// A turn that lingers lasts as long as one may, and no longer than that for those who wait.
func TestQueueLingers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		waiting int
		ends    time.Duration
	}{{"nobody waits", 0, 10 * time.Second}, {"one waits", 1, 5 * time.Second}, {"four wait", 4, 2 * time.Second}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lingers(t, tt.waiting, tt.ends) })
		})
	}
}

func lingers(t *testing.T, waiting int, ends time.Duration) {
	t.Helper()
	var q Queue
	turn, err := q.Acquire(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	turn.Linger(10 * time.Second)
	ended := make([]time.Duration, waiting)
	for i := range ended {
		go func() {
			take(t, &q, "a")()
			ended[i] = time.Since(start)
		}()
	}
	time.Sleep(ends - time.Millisecond) //nolint:forbidigo // in a bubble of synctest
	if q.Len() == 0 {
		t.Error("it has ended already")
	}
	time.Sleep(2 * look) //nolint:forbidigo // in a bubble of synctest
	synctest.Wait()
	wantEmpty(t, &q)
	for _, after := range ended {
		if after < ends || after > ends+look {
			t.Errorf("a turn came after %s, want %s", after, ends)
		}
	}
}

// However many wait, and whenever they came, all have their turn before they have waited for MaxWait, if those before them
// take no longer than they may.
func TestQueueServesAllInTime(t *testing.T) {
	for _, waiters := range []int{1, 2, 3, 5, 10, 20, MaxWaiters} {
		for _, apart := range []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second} {
			synctest.Test(t, func(t *testing.T) { servesInTime(t, waiters, apart) })
		}
	}
}

func servesInTime(t *testing.T, waiters int, apart time.Duration) {
	t.Helper()
	var q Queue
	hold := func(turn *Turn) {
		for !turn.isDue() && !q.due("a", turn.began).IsZero() {
			time.Sleep(look) //nolint:forbidigo // in a bubble of synctest
		}
		turn.End()
	}
	first, err := q.Acquire(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range waiters {
		all.Go(func() {
			time.Sleep(time.Duration(i) * apart) //nolint:forbidigo // in a bubble of synctest
			start := time.Now()
			turn, err := q.Acquire(t.Context(), "a")
			if err != nil {
				t.Errorf("%d, %s apart: the %dth got %v after %s", waiters, apart, i, err, time.Since(start))
				return
			}
			hold(turn)
		})
	}
	synctest.Wait()
	hold(first)
	all.Wait()
	wantEmpty(t, &q)
}
