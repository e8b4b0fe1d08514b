//go:build unix

package early

import (
	"os"
	"os/signal"
	"syscall"
)

// SuccessorEnv is the variable by which tableflip's child knows what it is (parent.go, v1.2.3).
const SuccessorEnv = "TABLEFLIP_HAS_PARENT_7DIU3"

// Handled are the signals that a generation handles.
var Handled = []os.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1}

// Generation has the signals that a generation gets. A successor begins to catch them here, in a goroutine: each of them costs two
// changes of thread (ensureSigM in runtime/signal_unix.go), all of them a quarter of a millisecond and, where a thread has
// to wait for a processor, more. Others wait for the successor, and meanwhile it has
// much to do for which it needs none of them.
var Generation, begun = catchGeneration()

func catchGeneration() (signals chan os.Signal, begun chan struct{}) {
	signals = make(chan os.Signal, 16)
	if os.Getenv(SuccessorEnv) == "" {
		return signals, nil
	}
	begun = make(chan struct{})
	go func() {
		defer close(begun)
		signal.Notify(signals, Handled...)
	}()
	return signals, begun
}

// CatchGeneration closes caught when Generation has all signals that are sent to this process. In a successor that may be later
// than it returns. Call it once.
func CatchGeneration(caught chan<- struct{}) {
	catch := func() {
		signal.Notify(Generation, Handled...) // again, where the program has changed that since
		close(caught)
	}
	select {
	case <-begun:
	default:
		if begun != nil { // the goroutine is at it
			go func() {
				<-begun
				catch()
			}()
			return
		}
	}
	catch()
}
