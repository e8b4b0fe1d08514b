//go:build !unix

package early

import (
	"os"
	"os/signal"
	"syscall"
)

// Handled are the signals that a daemon handles.
var Handled = []os.Signal{os.Interrupt, syscall.SIGTERM}

// Generation has the signals that a daemon gets.
var Generation = make(chan os.Signal, 16)

// CatchGeneration has Generation get all signals that are sent to this process.
func CatchGeneration() { signal.Notify(Generation, Handled...) }

// DetachedEnv is the variable by which a process knows that another waits until it is ready.
const DetachedEnv = "GOZD_DETACHED"

// StderrFile returns -1: nothing is kept of a process's standard error.
func StderrFile() int { return -1 }

// RestoreStderr does nothing.
func RestoreStderr(bool) int64 { return 0 }

// Write does nothing.
func Write(int, []byte) {}
