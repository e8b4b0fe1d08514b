package process

import (
	"os"
	"os/signal"
	"syscall"
)

// DeliverSignals returns when all signals that this process had been sent before are in
// the channels of package signal, as far as there is room in them. A process that ends calls it: a
// signal for which nobody has had a processor yet would be lost, and who has sent it thinks that it has arrived.
// caught is any signal that such a channel gets. Outside Linux only those are delivered that the runtime has
// got from the kernel.
func DeliverSignals(caught syscall.Signal) {
	takePending(caught)
	// Stop waits until the runtime has passed on all that it has (signalWaitUntilIdle in
	// runtime/sigqueue.go), whatever the channel is that it is called for.
	probe := make(chan os.Signal, 1)
	signal.Notify(probe, caught)
	signal.Stop(probe)
}
