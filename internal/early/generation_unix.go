//go:build unix

package early

import (
	"os"
	"os/signal"
	"syscall"
)

// Handled are the signals that a generation handles.
var Handled = []os.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1}

// Generation has the signals that a generation gets. A successor catches them here, before anything else: until then one that is
// meant for the whole daemon would end it. That is less than a millisecond after it has been started, and its parent starts
// another one where it happens; no signal can be blocked for a process that tableflip starts.
var Generation = catchGeneration()

func catchGeneration() chan os.Signal {
	signals := make(chan os.Signal, 16)
	if Successor.Text() != "" {
		signal.Notify(signals, Handled...)
	}
	return signals
}

// CatchGeneration has Generation get all signals that are sent to this process, also where the program has changed that since.
func CatchGeneration() { signal.Notify(Generation, Handled...) }
