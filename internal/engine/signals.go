package engine

import (
	"os"
	"os/signal"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// watchSignals begins to handle signals. It goes on until the process ends: an old generation that drains must still hear
// that it should hurry.
func (e *Engine) watchSignals() {
	for _, sig := range early.Handled {
		e.watchSignal(sig)
	}
	signal.Stop(e.signals)
	for {
		select {
		case sig := <-e.signals: // it has come before
			e.act(sig)
		default:
			return
		}
	}
}

// watchSignal handles one kind of signal in a goroutine of its own. There is a place for one that waits: any number of them that
// come while one is handled are one more, and a stop is not lost among them, nor does it wait for the program's OnReopen.
func (e *Engine) watchSignal(sig os.Signal) {
	waiting := make(chan os.Signal, 1)
	signal.Notify(waiting, sig)
	e.mu.Lock()
	e.watched = append(e.watched, waiting)
	e.mu.Unlock()
	go func() {
		for s := range waiting {
			e.act(s)
		}
	}()
}

// warnOfIgnored says which signals do not reach this generation, since the program has called signal.Ignore. What a program does
// by signal.Reset or by a handler of its own cannot be seen.
func (e *Engine) warnOfIgnored() {
	for _, sig := range early.Handled {
		if signal.Ignored(sig) {
			e.log.Warn("the program ignores a signal: the daemon cannot be asked by it", "signal", sig.String())
		}
	}
}

// unwatchSignals ends what watchSignal has begun.
func (e *Engine) unwatchSignals() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, waiting := range e.watched {
		signal.Stop(waiting)
		close(waiting)
	}
	e.watched = nil
}

// act does what a signal asks this generation to do.
func (e *Engine) act(sig os.Signal) {
	switch sig {
	case sigUpgrade:
		switch {
		case e.lostTerminal():
			e.Stop()
		case e.drains():
			e.forwardToSuccessor(sig)
		default:
			e.requestUpgrade()
		}
	case sigStop, os.Interrupt:
		e.Stop()
	case sigQuit:
		if e.drains() {
			e.forwardToSuccessor(sig)
		}
		if !e.drains() || e.standsBy() { // the successor may be gone
			e.Quit()
		}
	case sigReopen:
		meant := e.isReplacedNow() && e.logMoved() // for the daemon
		_ = e.reopen()                             // it has been logged
		if meant {
			e.forwardToSuccessor(sig)
		}
	case sigRollback:
		go e.rollBack(onProbation, errRolledBack)
	}
}

// forwardToSuccessor passes on what was meant for the generation that serves: whoever asks has read the PID file a moment too
// early. A stop is not passed on: it may be a newer generation that hurries this one. Each signal is passed on once in this
// generation's life, or a HUP from a terminal, which goes to all processes, would come to the newest one from each of them.
func (e *Engine) forwardToSuccessor(sig os.Signal) {
	e.mu.Lock()
	pid, again := e.successor, e.forwarded[sig]
	if pid != 0 {
		e.forwarded[sig] = true
	}
	e.mu.Unlock()
	switch {
	case pid == 0:
		e.log.Warn("signal has no effect: this generation has been asked to end", "signal", sig.String())
	case !again:
		e.signalSuccessor(pid, sig)
	}
}

// reopen reopens the log file here, and in the generation that serves it asks each of the others for the same, once. The program
// is told even if gozd's own log could not be opened.
func (e *Engine) reopen() error {
	e.reopening.Lock()
	defer e.reopening.Unlock()
	if e.phaseIs(serving) { // no other, or the oldest would be asked by each of those that have followed it
		e.signalAncestors(sigReopen)
	}
	e.passOnReopen()
	var err error
	if path := e.conf.Daemon.Log; path != "" {
		if err = process.OpenLog(path, nil); err != nil {
			e.log.Error("log file not reopened", "error", err)
		}
	}
	if e.opts.OnReopen != nil {
		e.opts.OnReopen()
	}
	return err
}

// signalAncestors passes a signal on to the older generations that still live. Only
// the serving generation does: it is the one that the PID file names, and each of
// the others has been told by then.
func (e *Engine) signalAncestors(sig os.Signal) {
	for _, a := range e.up.Manifest().Ancestors {
		e.signalAncestor(a, sig)
	}
}

func (e *Engine) signalAncestor(a upgrade.Ancestor, sig os.Signal) {
	p, err := process.Open(a.PID, a.StartTime)
	if err != nil {
		return // it is gone
	}
	defer p.Close()
	if err := p.Signal(sig); err != nil {
		e.log.Warn("older generation not signalled", "ancestor", a.PID, "error", err)
	}
}

// livingAncestors returns the older generations that still live, oldest first.
func (e *Engine) livingAncestors() []upgrade.Ancestor {
	var alive []upgrade.Ancestor
	for _, a := range e.up.Manifest().Ancestors {
		if p, err := process.Open(a.PID, a.StartTime); err == nil {
			p.Close()
			alive = append(alive, a)
		}
	}
	return alive
}
