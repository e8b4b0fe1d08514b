package engine

import (
	"os"
	"os/signal"
	"time"
)

// exitGrace is how long a program may take to receive from the exit channel, and
// then until Accept returns to it.
const exitGrace = time.Second

// exit is how the program learns that its generation has nothing left to do.
type exit struct {
	asked      chan struct{}
	endProcess bool    // where the program does not listen, the process ends all the same
	release    *moment // Accept may return to a program that is to end
}

// ask asks the program to end, and ends a process whose program does not
// listen. Its signals are handled until then.
func (x *exit) ask(isReplaced bool, signals *signals) {
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case x.asked <- struct{}{}:
	case <-timer.C:
		if x.endProcess {
			os.Exit(0)
		}
	}
	close(x.asked)
	if isReplaced {
		// What is meant for the daemon must not kill a program that cleans up after its generation. Nobody receives
		// them, so they are dropped.
		signal.Notify(make(chan os.Signal, 1), sigUpgrade, sigReopen)
	}
	signals.stop()
	// The program has a moment to return from main. Only then may Serve return
	// in its other goroutines, where log.Fatal may be waiting for it.
	time.AfterFunc(exitGrace, x.release.happen)
}
