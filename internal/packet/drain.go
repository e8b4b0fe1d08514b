package packet

import (
	"context"
	"errors"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// ErrNotDraining is returned by [Conn.Resume] for a socket that does not drain, that the program has closed, or whose queue is being
// emptied.
var ErrNotDraining = errors.New("listen: nothing to resume: the group does not drain, or is closed")

// StopAccepting has this generation read no more. What waits in the queue is its successor's.
func (c *Conn) StopAccepting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isDone(c.round.draining) {
		return
	}
	close(c.round.draining)
	if c.alone && !c.isShut {
		c.queue.Begin()
		time.AfterFunc(listener.EmptyingLimit, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.endLocked()
		})
	} else {
		close(c.round.drained)
	}
	c.changeLocked()
}

// EmptyQueue has StopAccepting let reads return what waits in the kernel's queue, before it closes the socket: no other process reads from it, now
// or later. It is called before the drain.
func (c *Conn) EmptyQueue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alone = true
}

// endLocked closes a socket whose queue is empty, or has had its time.
func (c *Conn) endLocked() {
	if !isDone(c.round.draining) || isDone(c.round.drained) {
		return
	}
	close(c.round.drained)
	if !c.isShut {
		c.isShut = true
		go func(inner socket.Packets) { _ = inner.Close() }(c.inner) // it waits for a read that hangs
	}
	c.changeLocked()
}

// AwaitDrained returns when this generation reads no more, or resumes, or when ctx is done.
func (c *Conn) AwaitDrained(ctx context.Context) {
	r := c.current()
	if !isDone(r.draining) {
		return
	}
	select {
	case <-r.drained:
	case <-r.resumed:
	case <-ctx.Done():
	}
}

// Draining returns a channel that is closed when this generation reads no more. The program's own Close does not close it.
func (c *Conn) Draining() <-chan struct{} { return c.current().draining }

func (c *Conn) current() *round {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.round
}

// Closed returns a channel that is closed when the program closes the socket.
func (c *Conn) Closed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Reopen undoes the program's own Close while the group drains, and reports whether it has: the program can take it again before it
// resumes.
func (c *Conn) Reopen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !isDone(c.closed) || !isDone(c.round.draining) {
		return false
	}
	c.closed = make(chan struct{})
	return true
}

// Resume has a group that drains read again, from inner where its own socket is closed: the successor has died. On an error inner is
// closed, and nothing has changed.
func (c *Conn) Resume(inner socket.Packets) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !isDone(c.round.drained) || isDone(c.closed) {
		_ = inner.Close()
		return ErrNotDraining
	}
	if c.isShut {
		c.inner, c.isShut = inner, false
	} else {
		_ = inner.Close()
	}
	before := c.round
	c.round, c.alone, c.queue = newRound(), false, listener.Emptying{}
	close(before.resumed)
	c.changeLocked()
	return nil
}
