package listener

import (
	"net"
	"time"
)

// door is the listening socket: whether connections come in by it, and what its deadline is for. The lock of its Listener
// guards it.
type door struct {
	inner net.Listener
	state doorState
	held  chan struct{} // closed when Accept need not wait any longer; nil if it is not held, see Hold
	queue queue
}

type doorState int

const (
	doorOpen     doorState = iota
	doorEmptying           // the listener has stopped, but what waits in the queue still comes in
	doorShut               // inner is closed
)

// deadliner is a listener whose Accept can be interrupted: any socket.
type deadliner interface{ SetDeadline(t time.Time) error }

// longAgo is a deadline that has passed, and noDeadline none.
var (
	longAgo    = time.Unix(1, 0)
	noDeadline time.Time
)

// close closes the socket. Where the error is of no consequence the descriptor is gone either way.
func (d *door) close() error {
	d.state = doorShut
	return d.inner.Close()
}

// setDeadline wakes those who wait in Accept where they have something else to wait for, or to take. The deadline in the past stays as
// long as that is so, and no call can miss it.
func (d *door) setDeadline(hasAdopted bool) {
	s, ok := d.inner.(deadliner)
	if !ok || d.state != doorOpen {
		return
	}
	if d.held != nil || hasAdopted {
		_ = s.SetDeadline(longAgo)
		return
	}
	_ = s.SetDeadline(noDeadline)
}

// Hold keeps Accept from returning new connections until resume is called: a process
// that is short of descriptors needs the next ones for itself. Meanwhile clients wait in the queue of the socket. It
// has no effect on listeners that are no sockets, and an Accept that has begun may still return one. Connections from older generations wait with these, each
// with a descriptor. resume may be called again, and from any goroutine.
func (l *Listener) Hold() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.door.inner.(deadliner); !ok {
		return func() {}
	}
	if l.door.held == nil && l.door.state == doorOpen {
		l.door.held = make(chan struct{})
		l.door.setDeadline(l.inbox.hasAny())
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.door.held != nil {
			close(l.door.held)
			l.door.held = nil
			l.door.setDeadline(l.inbox.hasAny())
		}
	}
}

// awaitRoom waits until the listener is not held.
func (l *Listener) awaitRoom() {
	l.mu.Lock()
	held := l.door.held
	l.mu.Unlock()
	if held != nil {
		<-held
	}
}
