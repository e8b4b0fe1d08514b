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

// CatchGeneration closes caught when Generation has all signals that are sent to this process. Call it once.
func CatchGeneration(caught chan<- struct{}) {
	signal.Notify(Generation, Handled...)
	close(caught)
}
