package gozd

import (
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// filesAgain is how long after PID file and state file could not be written it is tried
// again.
const filesAgain = 500 * time.Millisecond

// keepWriting writes PID file and state file as soon as that is possible again: the disk
// was full, or there were no descriptors. Who asks for an upgrade learns its outcome from
// nothing else, and who wants to stop the daemon finds it by nothing else.
func (d *Daemon) keepWriting() {
	d.mu.Lock()
	begun := d.writing
	d.writing = true
	d.mu.Unlock()
	if !begun {
		go d.writeUntilDone()
	}
}

func (d *Daemon) writeUntilDone() {
	tick := time.NewTicker(filesAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.done:
			return
		}
		if d.writeAgain() {
			return
		}
	}
}

// writeAgain reports whether there is nothing left to do. During an upgrade the files may be
// the successor's already, and after this generation's end they are gone.
func (d *Daemon) writeAgain() bool {
	d.upgrading.Lock()
	defer d.upgrading.Unlock()
	if !d.isWriting() {
		return true
	}
	if d.restoreFiles() != nil {
		return false // it has been logged when it failed first
	}
	d.mu.Lock()
	d.writing = false
	d.mu.Unlock()
	d.log.Info("PID file and state file written at last")
	return true
}

// isWriting reports false, once and for all, where this generation does not serve. If it serves again later, it may have to
// write again.
func (d *Daemon) isWriting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writing = d.phase == serving
	return d.writing
}

// haveLastWord puts the state file right where the previous generation has written it
// after this one: it says there that its successor is on probation, and may come to that
// so late that the probation is over. It has said all when it knows the outcome.
// upgrade.Successor.Settled does not make this needless: it delays what that generation tells, and not
// what it writes (TestParentThatLooksLateAtAProbation).
func (d *Daemon) haveLastWord() {
	d.up.AwaitParent()
	d.upgrading.Lock()
	defer d.upgrading.Unlock()
	if !d.phaseIs(serving) {
		return // the file may be the successor's by now
	}
	if s, err := process.ReadState(d.PIDFile()); err == nil && s.PID == os.Getpid() {
		return
	}
	if err := d.saveState(); err != nil {
		d.log.Error("state file not written", "error", err)
		d.keepWriting()
	}
}
