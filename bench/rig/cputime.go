package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPUTime is the time that a process has been on a CPU, by the scheduler's accounting of its threads. (Nothing in
// Caddy ends a thread; the time of one that had ended would be missing.)
func CPUTime(pid int) (total time.Duration, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task) //nolint:gosec // a file of /proc
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		onCPU, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(onCPU, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", task, err)
		}
		total += time.Duration(ns)
	}
	if total == 0 {
		return 0, fmt.Errorf("process %d has no CPU time: %w", pid, fs.ErrNotExist)
	}
	return total, nil
}

// CPUTimeAtRest is CPUTime once a process has done what is left to do after a run: connections to close, transfers to
// end. What it still does after a second is none of that.
func CPUTimeAtRest(ctx context.Context, pid int) (time.Duration, error) {
	return atRest(ctx, func() (time.Duration, error) { return CPUTime(pid) })
}

func atRest(ctx context.Context, clock func() (time.Duration, error)) (time.Duration, error) {
	const step, rest = 10 * time.Millisecond, 200 * time.Microsecond
	before, err := clock()
	for i := 0; err == nil && i < 100; i++ {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(step):
		}
		var now time.Duration
		if now, err = clock(); now-before < rest {
			return now, err
		}
		before = now
	}
	return before, err
}
