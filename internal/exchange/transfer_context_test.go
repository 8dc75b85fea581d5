package exchange

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

type ctxKey struct{}

// A transfer is a context like any other: it ends with the client, with what it is derived from, and all that is
// derived from it ends with it, without a goroutine of its own.
func TestTransferEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, leave := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "value"))
		x := &transfer{Context: client}
		derived, cancel := context.WithTimeout(x, time.Hour)
		defer cancel()
		told := make(chan struct{})
		context.AfterFunc(x, func() { close(told) })
		if x.Value(ctxKey{}) != "value" || x.Err() != nil || derived.Err() != nil {
			t.Error(x.Value(ctxKey{}), x.Err(), derived.Err())
		}
		leave()
		<-x.Done()
		<-derived.Done()
		<-told
		if !errors.Is(x.Err(), context.Canceled) || !errors.Is(context.Cause(derived), context.Canceled) {
			t.Error(x.Err(), context.Cause(derived))
		}
	})
}

// Nobody needs to have asked for a client's leaving to be seen.
func TestTransferThatNobodyWatches(t *testing.T) {
	client, leave := context.WithCancel(t.Context())
	x := &transfer{Context: client}
	leave()
	if !errors.Is(x.Err(), context.Canceled) {
		t.Error(x.Err())
	}
	select {
	case <-x.Done():
	default:
		t.Error("Err says it has ended, and Done does not")
	}
}

// Who has an answer may leave: that is no reason to end anything. A deadline is one at all times.
func TestTransferOfAClientThatHasItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		x := &transfer{Context: client}
		x.over.Store(true)
		done := x.Done()
		time.Sleep(2 * time.Minute) //nolint:forbidigo // in the time of a bubble
		<-done
		if !errors.Is(x.Err(), context.DeadlineExceeded) {
			t.Error(x.Err())
		}
		for _, watched := range []bool{false, true} {
			client, leave := context.WithCancel(t.Context())
			x := &transfer{Context: client}
			x.over.Store(true)
			if watched {
				context.AfterFunc(x, func() { t.Error("ended with the client") })
			}
			leave()
			synctest.Wait()
			if x.Err() != nil {
				t.Errorf("watched %t: %v", watched, x.Err())
			}
		}
	})
}

// What is stopped in time is not called, and what ends twice ends once.
func TestTransferEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &transfer{Context: t.Context()}
		stop := context.AfterFunc(x, func() { t.Error("stopped, and called all the same") })
		calls := 0
		context.AfterFunc(x, func() { calls++ })
		if !stop() || stop() {
			t.Error("stop counts once, in time")
		}
		x.Stalled()
		x.end()
		<-x.Done()
		synctest.Wait()
		if calls != 1 || !errors.Is(x.Err(), context.Canceled) {
			t.Errorf("%d calls, %v", calls, x.Err())
		}
	})
}

// What is derived has ended when the transfer has, and costs no goroutine meanwhile, also behind values: reverse_proxy
// derives from such a one for each round trip.
func TestDerivedFromATransfer(t *testing.T) {
	x := &transfer{Context: context.WithValue(t.Context(), ctxKey{}, "value")}
	before := runtime.NumGoroutine()
	var all []context.Context
	for range 100 {
		derived, cancel := context.WithCancel(context.WithValue(x, ctxKey{}, "another"))
		defer cancel()
		all = append(all, derived)
	}
	if more := runtime.NumGoroutine() - before; more >= len(all)/2 {
		t.Errorf("%d goroutines for %d contexts", more, len(all))
	}
	x.end()
	for _, derived := range all {
		if derived.Err() == nil {
			t.Fatal("a derived context has not ended")
		}
	}
}

// A deadline that an outer handler has set ends the request, also when the client has left its answer behind before.
func TestDeadlineAfterTheClientHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, watched := range []bool{false, true} {
			client, leave := context.WithCancel(t.Context())
			limited, cancel := context.WithTimeout(client, time.Second)
			defer cancel()
			x := &transfer{Context: limited}
			x.over.Store(true)
			if watched {
				_ = x.Done()
			}
			leave()
			synctest.Wait()
			if x.Err() != nil {
				t.Errorf("watched %t: %v at once", watched, x.Err())
			}
			time.Sleep(2 * time.Second) //nolint:forbidigo // in the time of a bubble
			if !errors.Is(x.Err(), context.DeadlineExceeded) {
				t.Errorf("watched %t: %v behind its deadline", watched, x.Err())
			}
		}
	})
}
