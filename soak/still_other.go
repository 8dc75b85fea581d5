//go:build !unix

package main

import "os"

// No process can be made to stand still here: it goes on.
var standStill, goOn os.Signal = os.Interrupt, os.Interrupt
