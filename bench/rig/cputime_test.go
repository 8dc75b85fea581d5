package rig

import (
	"os"
	"testing"
)

func TestCPUTime(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("the kernel does not account for it")
	}
	before, err := CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after, err := CPUTime(os.Getpid()); err != nil || after < before {
		t.Errorf("%v after %v, %v", after, before, err)
	}
	if _, err := CPUTime(-1); err == nil {
		t.Error("no process, and no error")
	}
}
