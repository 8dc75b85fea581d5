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
	// MaxTurn is how long the client of the write whose turn it is may take to send its body while others
	// wait.
	MaxTurn = MaxWait
)

// Errors of Queue.Acquire.
var (
	ErrTooMany = errors.New("too many writes wait for this URI")
	ErrTooLong = errors.New("the writes before this one took too long")
)

// Queue lets one write at a time through for each key, in the order in which they came. The zero value
// is ready; it may be used concurrently. A key that nobody uses takes no memory.
type Queue struct {
	mu    sync.Mutex
	lines map[string][]*waiter // with an entry for every key whose turn is taken
}

// waiter is one write that waits. Its channel is closed when its turn has come.
type waiter struct{ turn chan struct{} }

// Acquire waits for the turn of a write, MaxWait at most. The returned function ends the turn; it has
// to be called, may be called from any goroutine, and counts once. On an error there is nothing to
// end: ErrTooMany, ErrTooLong, or the context's.
func (q *Queue) Acquire(ctx context.Context, key string) (release func(), err error) {
	w, err := q.enter(key)
	if err != nil {
		return nil, err
	}
	release = sync.OnceFunc(func() { q.pass(key) })
	if w == nil {
		return release, nil
	}
	timer := time.NewTimer(MaxWait)
	defer timer.Stop()
	select {
	case <-w.turn:
		return release, nil
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

// Waiting is the number of those who wait for a key.
func (q *Queue) Waiting(key string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines[key])
}

// enter takes the turn, if it is free, and else a place at the end of the line.
func (q *Queue) enter(key string) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line, taken := q.lines[key]
	switch {
	case !taken:
		if q.lines == nil {
			q.lines = make(map[string][]*waiter)
		}
		q.lines[key] = nil
		return nil, nil //nolint:nilnil // no waiter: there is nobody to wait for
	case len(line) >= MaxWaiters:
		return nil, ErrTooMany
	}
	w := &waiter{turn: make(chan struct{})}
	q.lines[key] = append(line, w)
	return w, nil
}

// pass hands the turn to the first in line, or forgets the key.
func (q *Queue) pass(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.passLocked(key)
}

func (q *Queue) passLocked(key string) {
	line := q.lines[key]
	if len(line) == 0 {
		delete(q.lines, key)
		return
	}
	close(line[0].turn)
	q.lines[key] = slices.Delete(line, 0, 1) // clears the last place, so that no waiter is kept alive
}

// leave gives up a place. A turn that came in the same moment goes to the next one.
func (q *Queue) leave(key string, w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.lines[key]
	if i := slices.Index(line, w); i >= 0 {
		q.lines[key] = slices.Delete(line, i, i+1)
		return
	}
	q.passLocked(key)
}
