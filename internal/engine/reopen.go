package engine

import (
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Whoever rotates the log asks the process that the PID file names to reopen it. During an upgrade
// that is the old generation, while the new one may have opened the file just before it was
// renamed, and would go on writing into it until it is compressed and removed. So the old one passes the
// request on, and the new one has a look itself when everybody can know of it.

// logfile is who has to reopen the log.
type logfile struct {
	reopening sync.Mutex // held by reopen

	mu    sync.Mutex // guards what follows
	asked bool       // the log has been reopened since the last upgrade began
}

func (l *logfile) ask(now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = now
}

// forget is called when an upgrade begins: its new generation opens the file after that.
func (l *logfile) forget() { l.ask(false) }

// isAsked reports whether the successor has to reopen what it has opened while it was starting.
func (l *logfile) isAsked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// passOnReopen has the generation on probation reopen its log, and remembers that a successor
// that is only starting has to.
func (e *Engine) passOnReopen() {
	e.logfile.ask(true)
	if next := e.attempts.candidate(); next != nil {
		signalPeer(e.log, next.Peer, sigReopen)
	}
}

// justReplaced is how long a request to reopen the log may take from whoever has read in the PID file that this generation
// serves.
const justReplaced = time.Second

// isReplacedNow reports whether this generation served a moment ago. Whoever rotates the log may still take it for the one that
// serves, and only that one asks the others, such as those that have been replaced long ago.
func (e *Engine) isReplacedNow() bool {
	return e.life.drainsSince(justReplaced) && e.life.replacedBy() != nil
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
