package gozd

import "time"

// filesAgain is how long after PID file and state file could not be written it is tried
// again.
const filesAgain = 500 * time.Millisecond

// keepWriting writes PID file and state file as soon as that is possible again: the disk
// was full, or there were no descriptors. Whoever wants to ask the daemon or to stop it finds it by
// nothing else.
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
