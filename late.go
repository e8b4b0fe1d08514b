package gozd

import (
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// lateRequest is how long after this generation has been replaced a request is passed on to the successor: who
// makes it has read the PID file before. What was sent before the replacement is passed on in any case.
const lateRequest = time.Second

// catchUpWait bounds catchUp: one of the program's hooks may hang.
const catchUpWait = 5 * time.Second

// mark comes out of d.signals behind all that has come before it. It is no signal.
type mark chan struct{}

// Signal implements os.Signal.
func (mark) Signal() {}

// String implements os.Signal.
func (mark) String() string { return "mark" }

// catchUp returns when the signals have been handled that this process had been sent before, and reports whether that was
// within catchUpWait. On a busy machine the kernel, the runtime and watchSignals each have to wait for a processor.
func (d *Daemon) catchUp() bool {
	if sig, ok := sigUpgrade.(syscall.Signal); ok {
		process.DeliverSignals(sig)
	}
	timer := time.NewTimer(catchUpWait)
	defer timer.Stop()
	m := make(mark)
	select {
	case d.signals <- m:
	case <-timer.C:
		return false
	}
	select {
	case <-m:
	case <-timer.C:
		return false
	}
	return true
}

// passOnSent waits for the requests that have been sent to this generation before it was replaced, and have not got
// through to it until now.
func (d *Daemon) passOnSent() {
	defer d.passing.Done()
	d.catchUp()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.caughtUp = true
}

// lateFor returns the PID of the generation for which a request to this one is meant, because this one has been
// replaced meanwhile; 0 if there is none, or the request comes much too late.
func (d *Daemon) lateFor() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.caughtUp && time.Since(d.entered) >= lateRequest {
		return 0
	}
	return d.successor
}

// requestTooLate is called when an upgrade is asked for of a generation that leaves. One that has
// just been replaced passes that on.
func (d *Daemon) requestTooLate() {
	pid := d.lateFor()
	if pid == 0 {
		d.log.Warn("upgrade refused: this generation does not serve any more")
		return
	}
	if d.passesOn() {
		d.signalSuccessor(pid, sigUpgrade)
	}
}

// quitLate passes on that the daemon is to quit. No generation asks that of an older one unless it quits itself. A
// stop is not passed on: it may be a newer generation that hurries this one, and control.Stop sees to it that the one that
// serves is asked too.
func (d *Daemon) quitLate() {
	if pid := d.lateFor(); pid != 0 {
		d.signalSuccessor(pid, sigQuit)
	}
}

// passesOn reports true once: all requests that come during an upgrade are one more.
func (d *Daemon) passesOn() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.passed
	d.passed = true
	return first
}
