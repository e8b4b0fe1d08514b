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
