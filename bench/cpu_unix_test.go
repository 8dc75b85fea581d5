//go:build unix

package main

import (
	"syscall"
	"testing"
	"time"
)

// cpuOfProcess is how long this process has been on a CPU.
func cpuOfProcess(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
