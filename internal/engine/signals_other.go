//go:build !unix

package engine

import (
	"os"
	"syscall"
)

// The daemon's signals. Only the interrupt ever arrives here.
var (
	sigUpgrade os.Signal = syscall.SIGHUP
	sigStop    os.Signal = syscall.SIGTERM
	sigQuit    os.Signal = syscall.SIGQUIT
	sigReopen  os.Signal = syscall.Signal(-1)

	sigRollback os.Signal = syscall.Signal(-2)
)
