package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Gently lets a process end itself when its time has come, so that it takes its children with it; it is killed if it
// does not.
func Gently(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
}

// Tree is a process and all that descend from it, by their numbers.
func Tree(pid int) ([]int, error) {
	children := make(map[int][]int)
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // a file of /proc
		if err != nil {
			continue // it has ended
		}
		if child, parent, err := parentIn(string(text)); err == nil {
			children[parent] = append(children[parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// parentIn reads /proc/N/stat: a number, a name in brackets that may have brackets itself, a letter, the parent.
func parentIn(stat string) (pid, parent int, err error) {
	end := strings.LastIndexByte(stat, ')')
	first, _, _ := strings.Cut(stat, " ")
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 2 {
		return 0, 0, fmt.Errorf("no state of a process: %q", stat)
	}
	pid, err = strconv.Atoi(first)
	if err != nil {
		return 0, 0, err
	}
	parent, err = strconv.Atoi(fields[1])
	return pid, parent, err
}

// CPUTimeOfTree is CPUTimeAtRest of a process and its descendants together.
func CPUTimeOfTree(ctx context.Context, pid int) (time.Duration, error) {
	return atRest(ctx, func() (time.Duration, error) { return sumOfTree(pid, CPUTime) })
}

// PeakMemory is the sum of the most memory that each process of a tree has had at one time, in bytes. What processes
// share counts for each.
func PeakMemory(pid int) (int64, error) { return sumOfTree(pid, peakMemory) }

func sumOfTree[T time.Duration | int64](pid int, of func(int) (T, error)) (total T, err error) {
	tree, err := Tree(pid)
	if err != nil {
		return 0, err
	}
	for _, member := range tree {
		one, err := of(member)
		if member != pid && errors.Is(err, fs.ErrNotExist) {
			continue // it has ended just now
		}
		if err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

func peakMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return peakIn(string(text))
}

// peakIn reads /proc/N/status.
func peakIn(status string) (int64, error) {
	found := peakLine.FindStringSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("no VmHWM in %q", status)
	}
	kibibytes, err := strconv.ParseInt(found[1], 10, 64)
	return kibibytes << 10, err
}
