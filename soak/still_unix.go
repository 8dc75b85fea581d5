//go:build unix

package main

import (
	"os"
	"syscall"
)

// Signals that make a process stand still, and go on.
var (
	standStill os.Signal = syscall.SIGSTOP
	goOn       os.Signal = syscall.SIGCONT
)
