package guard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Bounds of a queue.
const (
	// MaxWait is how long a write waits for its turn.
	MaxWait = 10 * time.Second
	// MaxWaiters is how many writes wait for one URI at a time, besides the one whose turn it is.
	MaxWaiters = 32
	// MinTurn is how long a turn lasts at least, however many wait.
	MinTurn = 250 * time.Millisecond
	// spare is what is left of a wait when the turn comes at last, for the write itself.
	spare = 1500 * time.Millisecond
)

// Errors of Queue.Acquire.
var (
	ErrTooMany = errors.New("too many writes wait for this URI")
	ErrTooLong = errors.New("the writes before this one took too long")
)

// UnsettledError is the error of Queue.Acquire where the turn is kept.
type UnsettledError struct {
	For time.Duration // for how long it still is
}

// Error implements error.
func (*UnsettledError) Error() string {
	return "the write before this one was not answered, and the upstream may still be doing it"
}

// Queue lets one write at a time through for each key, in the order in which they came. The zero value
// is ready; it may be used concurrently. A key that nobody uses takes no memory.
type Queue struct {
	mu    sync.Mutex
	lines map[string]*line // one for every key whose turn is taken
}

// line is those who wait for one key.
type line struct {
	waiters []*waiter
	kept    time.Time // until when the turn is kept though nobody has it; zero: somebody has it
}

// waiter is one write that waits. Its channel is closed when its turn has come, or when it is turned away.
type waiter struct {
	turn chan struct{}
	came time.Time
	err  error // why it was turned away; set before the channel is closed
}

// Turn is the turn of one write. It has to be ended in one of the three ways, from any goroutine; the first call counts. A
// nil Turn is none.
type Turn struct {
	queue *Queue
	key   string
	began time.Time
	once  sync.Once
}

// End gives the turn to the next one.
func (t *Turn) End() {
	if t != nil {
		t.once.Do(func() { t.queue.pass(t.key) })
	}
}

// Keep ends the turn after d, in which it is nobody's: who waits is turned away with an UnsettledError, and so is who
// comes. At its end then is called.
func (t *Turn) Keep(d time.Duration, then func()) {
	if t == nil {
		return
	}
	t.once.Do(func() {
		t.queue.keep(t.key, d)
		time.AfterFunc(d, func() {
			t.queue.pass(t.key)
			then()
		})
	})
}

// Linger ends the turn when it is due for the sake of those who wait, and after d in any case.
func (t *Turn) Linger(d time.Duration) {
	if t == nil {
		return
	}
	t.once.Do(func() {
		go func() {
			ticker := time.NewTicker(look)
			defer ticker.Stop()
			for until := time.Now().Add(d); time.Now().Before(until) && !t.isDue(); {
				<-ticker.C
			}
			t.queue.pass(t.key)
		}()
	})
}

// isDue reports whether the turn should have ended by now.
func (t *Turn) isDue() bool {
	due := t.queue.due(t.key, t.began)
	return !due.IsZero() && !time.Now().Before(due)
}

// look is how often it is looked whether others wait for the end of a turn.
const look = 10 * time.Millisecond

// Acquire waits for the turn of a write, MaxWait at most. On an error there is nothing to end: ErrTooMany, ErrTooLong,
// an UnsettledError, or the context's.
func (q *Queue) Acquire(ctx context.Context, key string) (*Turn, error) {
	w, err := q.enter(key)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return &Turn{queue: q, key: key, began: time.Now()}, nil
	}
	timer := time.NewTimer(MaxWait)
	defer timer.Stop()
	select {
	case <-w.turn:
		if w.err != nil {
			return nil, w.err
		}
		return &Turn{queue: q, key: key, began: time.Now()}, nil
	case <-timer.C:
		err = ErrTooLong
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	q.leave(key, w)
	return nil, err
}

// Len is the number of keys in use.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines)
}

// due is when a turn that began at a time has to end for the sake of those who wait; zero: nobody does. It is one of as
// many parts of MaxWait as there are writes, and earlier where one of them could not wait so long: if those before it had
// MinTurn each.
func (q *Queue) due(key string, began time.Time) (due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	if l == nil || len(l.waiters) == 0 {
		return time.Time{}
	}
	due = began.Add(MaxWait / time.Duration(len(l.waiters)+1))
	for i, w := range l.waiters {
		if by := w.came.Add(MaxWait - spare - time.Duration(i)*MinTurn); by.Before(due) {
			due = by
		}
	}
	if least := began.Add(MinTurn); due.Before(least) {
		return least
	}
	return due
}

// enter takes the turn, if it is free, and else a place at the end of the line.
func (q *Queue) enter(key string) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	switch {
	case l == nil:
		if q.lines == nil {
			q.lines = make(map[string]*line)
		}
		q.lines[key] = new(line)
		return nil, nil //nolint:nilnil // no waiter: there is nobody to wait for
	case !l.kept.IsZero():
		return nil, &UnsettledError{time.Until(l.kept)}
	case len(l.waiters) >= MaxWaiters:
		return nil, ErrTooMany
	}
	w := &waiter{turn: make(chan struct{}), came: time.Now()}
	l.waiters = append(l.waiters, w)
	return w, nil
}

// keep turns those away who wait.
func (q *Queue) keep(key string, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	l.kept = time.Now().Add(d)
	for _, w := range l.waiters {
		w.err = &UnsettledError{d}
		close(w.turn)
	}
	l.waiters = nil
}

// pass hands the turn to the first in line, or forgets the key.
func (q *Queue) pass(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.passLocked(key)
}

func (q *Queue) passLocked(key string) {
	l := q.lines[key]
	if len(l.waiters) == 0 {
		delete(q.lines, key)
		return
	}
	close(l.waiters[0].turn)
	l.waiters = slices.Delete(l.waiters, 0, 1) // clears the last place, so that no waiter is kept alive
}

// leave gives up a place. A turn that came in the same moment goes to the next one.
func (q *Queue) leave(key string, w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-w.turn:
		if w.err == nil {
			q.passLocked(key)
		}
		return
	default:
	}
	l := q.lines[key]
	if i := slices.Index(l.waiters, w); i >= 0 {
		l.waiters = slices.Delete(l.waiters, i, i+1)
	}
}
