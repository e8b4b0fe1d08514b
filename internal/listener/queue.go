package listener

import (
	"errors"
	"os"
	"syscall"
)

// queue is the kernel's of a listening socket, and how it is emptied before that is closed. It is a part of the door.
type queue struct {
	alone bool // no other process accepts from the socket: see EmptyQueue
	Emptying
}

// EmptyQueue has StopAccepting let Accept return what waits in the kernel's queue
// of the listening socket, before it closes that: clients in the queue would be
// reset. No other process may accept from the socket, now or later. The file of a Unix socket should be gone by
// then, so that nobody else connects. It is called before the drain, and has no effect on listeners that are no sockets.
func (l *Listener) EmptyQueue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, l.door.queue.alone = l.door.inner.(deadliner)
}

// beginEmptying keeps the socket open until its queue is empty.
func (d *door) beginEmptying() {
	d.state = doorEmptying
	refuseNew(d.inner)
	_ = d.inner.(deadliner).SetDeadline(d.queue.Begin())
}

// postpone gives the next client a moment, while the queue is emptied.
func (d *door) postpone() { _ = d.inner.(deadliner).SetDeadline(d.queue.Postpone()) }

// isEmpty reports whether err, of an Accept while the queue is emptied, says that nobody has come for a while, or that nobody can
// come any more.
func (d *door) isEmpty(err error) bool {
	return isRefused(err) || errors.Is(err, os.ErrDeadlineExceeded) && d.queue.IsOver(func() bool { return IsQueued(d.inner) })
}

// isRefused reports whether err says that nobody comes any more; see refuseNew.
func isRefused(err error) bool { return errors.Is(err, syscall.EINVAL) }

// endEmptying closes the socket whose queue is empty, or has had its time.
func (l *Listener) endEmptying() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.door.state != doorEmptying {
		return
	}
	_ = l.door.close()
	l.checkDrainedLocked()
}
