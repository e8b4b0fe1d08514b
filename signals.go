package gozd

import (
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// watchSignals handles signals until the process ends: an old generation that
// drains must still hear that it should hurry.
func (d *Daemon) watchSignals() {
	for sig := range d.signals {
		if m, ok := sig.(mark); ok {
			close(m)
			continue
		}
		d.act(sig)
	}
}

// act does what a signal asks this generation to do.
func (d *Daemon) act(sig os.Signal) {
	switch sig {
	case sigUpgrade:
		if d.lostTerminal() {
			d.Stop()
			return
		}
		if d.phaseIs(leaving) {
			if !d.passOnLate(sig) {
				d.requestTooLate()
			}
			return
		}
		d.requestUpgrade()
	case sigStop, os.Interrupt:
		d.Stop()
	case sigQuit:
		if d.phaseIs(leaving) {
			d.quitLate()
			return
		}
		d.Quit()
	case sigReopen:
		_ = d.reopen() // it has been logged
	case sigRollback:
		go d.rollBack(onTrial, errRolledBack)
	}
}

// reopen reopens the log file here and in the generations that still drain. The program
// is told also where gozd's own log could not be opened.
func (d *Daemon) reopen() error {
	d.reopening.Lock()
	defer d.reopening.Unlock()
	if !d.phaseIs(onTrial) { // or the two would ask each other for ever
		d.signalAncestors(sigReopen)
	}
	d.passOnReopen()
	var err error
	if path := d.conf.Daemon.Log; path != "" {
		if err = process.OpenLog(path); err != nil {
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

// hurryOldest stops the oldest generations, under their stop_timeout, when more
// are alive than the configuration allows.
func (d *Daemon) hurryOldest() {
	alive := d.livingAncestors()
	tooMany := len(alive) + 1 - d.conf.Daemon.MaxGenerations
	for i := range max(tooMany, 0) {
		d.log.Warn("too many generations: hurrying the oldest", "ancestor", alive[i].PID)
		d.signalAncestor(alive[i], sigStop)
	}
}
