//go:build unix

package engine

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

	// sigRollback ends a generation on probation, and is ignored by one that has
	// just passed it: SIGTERM would stop the daemon. Processes that were never on
	// probation do not catch it; it is the program's there.
	sigRollback os.Signal = syscall.SIGUSR2
)
