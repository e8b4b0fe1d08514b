package engine

import (
	"log/slog"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Whoever rotates the log asks the process that the PID file names to reopen it. During an upgrade
// that is the old generation, while the new one may have opened the file just before it was
// renamed, and would go on writing into it until it is compressed and removed. So the old one passes the
// request on, and the new one has a look itself when everybody can know of it.

// logfile is this generation's log, and who else has to reopen it.
type logfile struct {
	path     string // "" for none
	onReopen func() // the program's; nil for none
	log      *slog.Logger

	reopening sync.Mutex // held while this generation reopens it, and asks others to

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

// reopen reopens the log file here. The program is told even if gozd's own log could not be opened.
func (l *logfile) reopen() (err error) {
	if l.path != "" {
		if err = process.OpenLog(l.path, nil); err != nil {
			l.log.Error("log file not reopened", "error", err)
		}
	}
	if l.onReopen != nil {
		l.onReopen()
	}
	return err
}

// isMoved reports whether another file stands where this process has opened its log.
func (l *logfile) isMoved() bool { return l.path != "" && process.LogMoved(l.path) }

// reopen reopens the log file here, and in the generation that serves it asks each of the others for the same, once. The generation on
// probation reopens its own, and a successor that is only starting has to when it serves.
func (e *Engine) reopen() error {
	e.files.logfile.reopening.Lock()
	defer e.files.logfile.reopening.Unlock()
	defer e.fds.lend()()    // clients may have taken all descriptors
	if e.life.is(serving) { // no other, or the oldest would be asked by each of those that have followed it
		e.ancestors.signal(sigReopen)
	}
	e.files.logfile.ask(true)
	if next := e.attempts.candidate(); next != nil {
		signalPeer(e.log, next.Peer, sigReopen)
	}
	return e.files.logfile.reopen()
}

// justReplaced is how long a request to reopen the log may take from whoever has read in the PID file that this generation
// serves.
const justReplaced = time.Second

// isReplacedNow reports whether this generation served a moment ago. Whoever rotates the log may still take it for the one that
// serves, and only that one asks the others, such as those that have been replaced long ago.
func (l *life) isReplacedNow() bool { return l.drainsSince(justReplaced) && l.replacedBy() != nil }
