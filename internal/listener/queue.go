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

// queue is the kernel's of a listening socket, and how it is emptied before that is closed. It is a part of the door.
type queue struct {
	alone   bool      // no other process accepts from the socket: see EmptyQueue
	limit   time.Time // when it ends at the latest
	quietAt time.Time // when it is empty, if nobody comes
	pressed bool      // the next Accept has until limit, as somebody was in the queue when its time was over
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
	d.queue.limit = time.Now().Add(queueLimit)
	d.postpone()
}

// postpone gives the next client a moment, while the queue is emptied. Every Accept has one of its own: the queue of
// a program that is late is not empty.
func (d *door) postpone() {
	until := time.Now().Add(queuePause)
	if d.queue.pressed || until.After(d.queue.limit) {
		until = d.queue.limit
	}
	d.queue.pressed, d.queue.quietAt = false, until
	_ = d.inner.(deadliner).SetDeadline(until)
}

// isEmpty reports whether err, of an Accept while the queue is emptied, says that nobody has come for a while, or that nobody can
// come any more. The deadline may also be one from before, that of an adoption, or may have passed before the Accept began that it
// was for.
func (d *door) isEmpty(err error) bool {
	if isRefused(err) {
		return true
	}
	now := time.Now()
	late := errors.Is(err, os.ErrDeadlineExceeded) && !now.Before(d.queue.quietAt)
	d.queue.pressed = late && now.Before(d.queue.limit) && isQueued(d.inner)
	return late && !d.queue.pressed // or the next Accept gets more than a moment
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
