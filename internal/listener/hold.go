package listener

// Hold keeps Accept from returning new connections until resume is called: a process
// that is short of descriptors needs the next ones for itself. Meanwhile clients wait in the queue of the socket. It
// has no effect on listeners that are no sockets, and an Accept that has begun may still return one. resume may be called again, and from any goroutine.
func (l *Listener) Hold() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.inner.(deadliner)
	if !ok {
		return func() {}
	}
	if l.held == nil && !l.stopped {
		l.held = make(chan struct{})
		_ = d.SetDeadline(longAgo) // those who wait in Accept look again
	}
	return l.resume
}

func (l *Listener) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return
	}
	close(l.held)
	l.held = nil
	if d, ok := l.inner.(deadliner); ok && !l.stopped && len(l.adopted) == 0 {
		_ = d.SetDeadline(noDeadline)
	}
}

// waitHeld waits while the listener is held.
func (l *Listener) waitHeld() {
	l.mu.Lock()
	held, now, closed := l.held, l.round, l.closed
	l.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-now.draining:
	case <-closed:
	}
}
