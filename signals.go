package gozd

import (
	"os"
	"os/signal"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// watchSignals begins to handle signals. It goes on until the process ends: an old generation that drains must still hear
// that it should hurry.
func (d *Daemon) watchSignals() {
	for _, sig := range early.Handled {
		d.watchSignal(sig)
	}
	signal.Stop(d.signals)
	for {
		select {
		case sig := <-d.signals: // it has come before
			d.act(sig)
		default:
			return
		}
	}
}

// watchSignal handles one kind of signal in a goroutine of its own. There is a place for one that waits: any number of them that
// come while one is handled are one more, and a stop is not lost among them, nor does it wait for the program's OnReopen.
func (d *Daemon) watchSignal(sig os.Signal) {
	waiting := make(chan os.Signal, 1)
	signal.Notify(waiting, sig)
	d.mu.Lock()
	d.watched = append(d.watched, waiting)
	d.mu.Unlock()
	go func() {
		for s := range waiting {
			d.act(s)
		}
	}()
}

// warnOfIgnored says which signals do not reach this generation, since the program has called signal.Ignore. What a program does
// by signal.Reset or by a handler of its own cannot be seen.
func (d *Daemon) warnOfIgnored() {
	for _, sig := range early.Handled {
		if signal.Ignored(sig) {
			d.log.Warn("the program ignores a signal: the daemon cannot be asked by it", "signal", sig.String())
		}
	}
}

// unwatchSignals ends what watchSignal has begun.
func (d *Daemon) unwatchSignals() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, waiting := range d.watched {
		signal.Stop(waiting)
		close(waiting)
	}
	d.watched = nil
}

// act does what a signal asks this generation to do.
func (d *Daemon) act(sig os.Signal) {
	switch sig {
	case sigUpgrade:
		switch {
		case d.lostTerminal():
			d.Stop()
		case d.drains():
			d.forwardToSuccessor(sig)
		default:
			d.requestUpgrade()
		}
	case sigStop, os.Interrupt:
		d.Stop()
	case sigQuit:
		if d.drains() {
			d.forwardToSuccessor(sig)
			return
		}
		d.Quit()
	case sigReopen:
		meant := d.isReplacedNow() && d.logMoved() // for the daemon
		_ = d.reopen()                             // it has been logged
		if meant {
			d.forwardToSuccessor(sig)
		}
	case sigRollback:
		go d.rollBack(onProbation, errRolledBack)
	}
}

// forwardToSuccessor passes on what was meant for the generation that serves: whoever asks has read the PID file a moment too
// early. A stop is not passed on: it may be a newer generation that hurries this one. Each signal is passed on once in this
// generation's life, or a HUP from a terminal, which goes to all processes, would come to the newest one from each of them.
func (d *Daemon) forwardToSuccessor(sig os.Signal) {
	d.mu.Lock()
	pid, again := d.successor, d.forwarded[sig]
	if pid != 0 {
		d.forwarded[sig] = true
	}
	d.mu.Unlock()
	switch {
	case pid == 0:
		d.log.Warn("signal has no effect: this generation has been asked to end", "signal", sig.String())
	case !again:
		d.signalSuccessor(pid, sig)
	}
}

// reopen reopens the log file here, and in the generation that serves it asks each of the others for the same, once. The program
// is told even if gozd's own log could not be opened.
func (d *Daemon) reopen() error {
	d.reopening.Lock()
	defer d.reopening.Unlock()
	if d.phaseIs(serving) { // no other, or the oldest would be asked by each of those that have followed it
		d.signalAncestors(sigReopen)
	}
	d.passOnReopen()
	var err error
	if path := d.conf.Daemon.Log; path != "" {
		if err = process.OpenLog(path, nil); err != nil {
			d.log.Error("log file not reopened", "error", err)
		}
	}
	if d.opts.OnReopen != nil {
		d.opts.OnReopen()
	}
	return err
}

// signalAncestors passes a signal on to the older generations that still live. Only
// the serving generation does: it is the one that the PID file names, and each of
// the others has been told by then.
func (d *Daemon) signalAncestors(sig os.Signal) {
	for _, a := range d.up.Manifest().Ancestors {
		d.signalAncestor(a, sig)
	}
}

func (d *Daemon) signalAncestor(a upgrade.Ancestor, sig os.Signal) {
	p, err := process.Open(a.PID, a.StartTime)
	if err != nil {
		return // it is gone
	}
	defer p.Close()
	if err := p.Signal(sig); err != nil {
		d.log.Warn("older generation not signalled", "ancestor", a.PID, "error", err)
	}
}

// livingAncestors returns the older generations that still live, oldest first.
func (d *Daemon) livingAncestors() []upgrade.Ancestor {
	var alive []upgrade.Ancestor
	for _, a := range d.up.Manifest().Ancestors {
		if p, err := process.Open(a.PID, a.StartTime); err == nil {
			p.Close()
			alive = append(alive, a)
		}
	}
	return alive
}
