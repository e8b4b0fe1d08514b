package engine

// keepWriting writes PID file and state file as soon as that is possible again: the disk
// was full, or there were no descriptors. Whoever wants to ask the daemon or to stop it finds it by
// nothing else.
func (e *Engine) keepWriting() { e.files.Retry(e.done.Done(), e.writeAgain) }

// writeAgain reports whether there is nothing left to do. During an upgrade the files may be
// the successor's already, and after this generation's end they are gone.
func (e *Engine) writeAgain() (over bool) {
	e.attempts.slot.Lock()
	defer e.attempts.slot.Unlock()
	if !e.life.is(serving) {
		return true
	}
	if e.restoreFiles() != nil {
		return false // it has been logged when it failed first
	}
	e.log.Info("PID file and state file written at last")
	return true
}
