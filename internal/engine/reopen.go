package engine

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Whoever rotates the log asks the process that the PID file names to reopen it. During an upgrade
// that is the old generation, while the new one may have opened the file just before it was
// renamed, and would go on writing into it until it is compressed and removed. So the old one passes the
// request on, and the new one has a look itself when everybody can know of it.

// passOnReopen has the generation on probation reopen its log, and remembers that a successor
// that is only starting has to.
func (e *Engine) passOnReopen() {
	e.mu.Lock()
	e.reopened = true
	next := e.candidate
	e.mu.Unlock()
	if next != nil {
		e.signalProcess(next.pid, next.startTime, sigReopen)
	}
}

// forgetReopen is called when an upgrade begins: its new generation opens the file after that.
func (e *Engine) forgetReopen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reopened = false
}

// reopenSuccessor passes on what has been asked for during the upgrade.
func (e *Engine) reopenSuccessor(pid int) {
	e.mu.Lock()
	reopened := e.reopened
	e.mu.Unlock()
	if reopened {
		e.signalSuccessor(pid, sigReopen)
	}
}

// justReplaced is how long a request to reopen the log may take from whoever has read in the PID file that this generation
// serves.
const justReplaced = time.Second

// isReplacedNow reports whether this generation served a moment ago. Whoever rotates the log may still take it for the one that
// serves, and only that one asks the others, such as those that have been replaced long ago.
func (e *Engine) isReplacedNow() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase.drains() && e.successor != 0 && time.Since(e.entered) < justReplaced
}

// logMoved reports whether another file stands where this process has opened its log.
func (e *Engine) logMoved() bool {
	return e.conf.Daemon.Log != "" && process.LogMoved(e.conf.Daemon.Log)
}

// followLog reopens a log file that has been moved away since this process opened it. It is called
// when the PID file and the state file name this process: who moves the file later will ask it.
func (e *Engine) followLog() {
	if !e.logMoved() {
		return
	}
	go func() { _ = e.reopen() }() // as if it had been asked: the program may have files of its own
}
