package listener

import (
	"errors"
	"os"
	"syscall"
	"time"
)

const (
	// queuePause is how long nobody may have come until the queue counts as
	// empty. Accept returns what waits in it at once. A client whose handshake has begun believes itself connected
	// a round trip before the server does, and would be reset: the pause has room for one around the world,
	// and for a kernel that is busy.
	queuePause = 200 * time.Millisecond

	// queueLimit bounds the emptying of a queue that fills as fast, and of one
	// that nobody accepts from.
	queueLimit = time.Second
)

// EmptyQueue has StopAccepting let Accept return what waits in the kernel's queue
// of the listening socket, before it closes that: clients in the queue would be
// reset. No other process may accept from the socket, now or later. The file of a Unix socket should be gone by
// then, so that nobody else connects. It is called before the drain, and has no effect on listeners that are no sockets.
func (l *Listener) EmptyQueue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, l.alone = l.inner.(deadliner)
}

// beginEmptyingLocked keeps the socket open until its queue is empty.
func (l *Listener) beginEmptyingLocked() {
	l.emptying = true
	refuseNew(l.inner)
	l.emptyUntil = time.Now().Add(queueLimit)
	l.postponeLocked()
	time.AfterFunc(queueLimit, l.endEmptying)
}

// postponeLocked gives the next client a moment. Every Accept has one of its own: the queue of
// a program that is late is not empty.
func (l *Listener) postponeLocked() {
	until := time.Now().Add(queuePause)
	if l.pressed || until.After(l.emptyUntil) {
		until = l.emptyUntil
	}
	l.pressed = false
	l.emptyAt = until
	_ = l.inner.(deadliner).SetDeadline(until)
}

// endEmptying closes the socket.
func (l *Listener) endEmptying() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.emptying {
		return
	}
	l.emptying = false
	_ = l.inner.Close() // its error has no consequence: the descriptor is gone either way
	l.checkDrainedLocked()
}

// foundEmpty ends the emptying, if err says that nobody has come for a while, or that nobody can come any more. The
// deadline may also be one from before, that of an adoption, or may have passed before the Accept began that it was
// for. It reports whether err has said what the listener knows already, to whichever Accept it came.
func (l *Listener) foundEmpty(err error) bool {
	shut := errors.Is(err, syscall.EINVAL) // see refuseNew
	now := time.Now()
	l.mu.Lock()
	late := errors.Is(err, os.ErrDeadlineExceeded) && !now.Before(l.emptyAt)
	empty, stopped := l.emptying && (late || shut), l.stopped
	l.pressed = empty && late && now.Before(l.emptyUntil) && isQueued(l.inner)
	if l.pressed {
		empty = false // and the next Accept gets more than a moment
	}
	l.mu.Unlock()
	if empty {
		l.endEmptying()
	}
	return empty || stopped && shut
}
