package gozd

// keepWriting writes PID file and state file as soon as that is possible again: the disk
// was full, or there were no descriptors. Whoever wants to ask the daemon or to stop it finds it by
// nothing else.
func (d *Daemon) keepWriting() { d.files.Retry(d.done, d.writeAgain) }

// writeAgain reports whether there is nothing left to do. During an upgrade the files may be
// the successor's already, and after this generation's end they are gone.
func (d *Daemon) writeAgain() (over bool) {
	d.upgrading.Lock()
	defer d.upgrading.Unlock()
	if !d.phaseIs(serving) {
		return true
	}
	if d.restoreFiles() != nil {
		return false // it has been logged when it failed first
	}
	d.log.Info("PID file and state file written at last")
	return true
}
