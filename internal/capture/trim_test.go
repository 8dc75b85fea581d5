package capture

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTrimAfterABurst: what a burst has taken is given back when it is over, once, and not while it goes on.
func TestTrimAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		freed := 0
		b := new(Budget)
		b.trim.free = func() { freed++ }
		want := func(after time.Duration, times int) {
			t.Helper()
			time.Sleep(after) //nolint:forbidigo // in a bubble of synctest
			synctest.Wait()
			if freed != times {
				t.Errorf("given back %d times, want %d", freed, times)
			}
		}
		take := func(n int64) {
			if !b.acquire(n, 0) {
				t.Fatal("no room")
			}
		}
		take(trimAbove - 1)
		b.release(trimAbove - 1)
		want(time.Minute, 0) // too little
		take(4 * trimAbove)
		b.release(2 * trimAbove)
		want(time.Minute, 0) // still held
		b.release(2 * trimAbove)
		want(trimAfter-time.Second, 0)
		take(3 * trimAbove)
		want(time.Minute, 0) // another burst has begun
		b.release(3 * trimAbove)
		want(trimAfter, 1)
		want(time.Hour, 1)
		take(trimAbove)
		b.release(trimAbove)
		want(trimAfter, 2)
		if b.Held() != 0 || b.trim.waiting.Load() {
			t.Errorf("%d are held", b.Held())
		}
	})
}
