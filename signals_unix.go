//go:build unix

package gozd

import (
	"os"
	"syscall"
)

// The daemon's signals.
var (
	sigUpgrade os.Signal = syscall.SIGHUP
	sigStop    os.Signal = syscall.SIGTERM
	sigQuit    os.Signal = syscall.SIGQUIT
	sigReopen  os.Signal = syscall.SIGUSR1
)

// caught are all signals that the daemon handles.
var caught = []os.Signal{sigUpgrade, sigStop, os.Interrupt, sigQuit, sigReopen}
