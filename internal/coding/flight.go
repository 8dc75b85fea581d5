package coding

import (
	"sync/atomic"
	"time"
)

// flight is a content that is being coded.
type flight struct {
	done  chan struct{} // closed when coded is set, or stays empty because that has failed
	coded coded
}

// once codes a content, unless that is under way: who comes meanwhile waits for it, and not longer than it would take to do
// it again. Where all processors code already, nobody waits for one: the content goes the old way.
func (k *Kept) once(at key, f *Format, content []byte, purges uint64) ([]byte, Reason, error) {
	own, other := k.takeOff(at)
	switch {
	case other != nil:
		body, why := k.await(other, f, len(content))
		return body, why, nil
	case own == nil:
		return nil, Busy, nil
	}
	defer k.land(at, own)
	if found, ok := k.cache.GetIfPresent(at); ok { // since it was looked for
		k.hit(found, len(content))
		own.coded = found
		return found.body, Coded, nil
	}
	c, err := k.encode(at, f, content, purges)
	if err != nil {
		k.failures.Add(1)
		return nil, Failed, err
	}
	own.coded = c
	return c.body, Coded, nil
}

// takeOff begins a flight, unless there is one of this content, or no processor for it.
func (k *Kept) takeOff(at key) (own, other *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if other = k.flights[at]; other != nil {
		return nil, other
	}
	select {
	case k.slots <- struct{}{}:
	default:
		return nil, nil
	}
	own = &flight{done: make(chan struct{})}
	k.flights[at] = own
	return own, nil
}

func (k *Kept) land(at key, own *flight) {
	k.mu.Lock()
	delete(k.flights, at)
	k.mu.Unlock()
	<-k.slots
	close(own.done)
}

func (k *Kept) await(other *flight, f *Format, size int) ([]byte, Reason) {
	timer := time.NewTimer(k.patience(f.Name, size))
	defer timer.Stop()
	select {
	case <-other.done:
	case <-timer.C:
		return nil, Busy
	}
	if other.coded.body == nil {
		return nil, Busy
	}
	k.hit(other.coded, size)
	return other.coded.body, Coded
}

// mib is what the speed of a format is of.
const mib = 1 << 20

// What is waited for at most, whatever the size; and of how much is learned how long it takes.
const (
	longest    = 250 * time.Millisecond
	leastKnown = 8 << 10
)

// slowest is how long a MiB takes to code where nothing is known yet.
const slowest = 20 * time.Millisecond

// patience is how long it would take to code a content of this size.
func (k *Kept) patience(format string, size int) time.Duration {
	speed := k.speedOf(format).Load()
	if speed == 0 {
		speed = int64(slowest)
	}
	return min(time.Duration(float64(speed)*float64(size)/mib), longest)
}

// learn notes how long a content took. The latest ones count most.
func (k *Kept) learn(format string, took time.Duration, size int) {
	if size < leastKnown {
		return // most of it may be something else
	}
	now := int64(float64(took) * mib / float64(size))
	speed := k.speedOf(format)
	if before := speed.Load(); before != 0 {
		now = before + (now-before)/8
	}
	speed.Store(max(now, 1)) // another one's may be lost, which does no harm
}

func (k *Kept) speedOf(format string) *atomic.Int64 {
	speed, ok := k.speeds.Load(format)
	if !ok {
		speed, _ = k.speeds.LoadOrStore(format, new(atomic.Int64))
	}
	return speed.(*atomic.Int64) // nothing else is stored there
}
