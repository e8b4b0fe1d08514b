package packet

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// ReadFrom waits for the gate and then for the next datagram. While the group drains it waits as Options.Release says; then, and after
// Close, the error is net.ErrClosed. Other errors are the socket's own.
func (c *Conn) ReadFrom(b []byte) (n int, addr net.Addr, err error) {
	err = c.read(func(s socket.Packets) (err error) {
		n, addr, err = readFrom(s, b, &c.closing)
		return err
	})
	return n, addr, err
}

// read calls do with the socket when this generation may read, until that has come to something.
func (c *Conn) read(do func(s socket.Packets) error) error {
	c.reading.Do(c.opts.OnRead)
	for {
		s, err := c.await()
		if err != nil {
			return err
		}
		if err = do(s); err == nil || !c.isOurs(err) {
			return err
		}
	}
}

// await returns the socket when this generation may read.
func (c *Conn) await() (socket.Packets, error) {
	for {
		t := c.look()
		if t.err != nil || t.isOpen {
			return t.socket, t.err
		}
		t.wait()
	}
}

// turn is what a read is to do next.
type turn struct {
	err    error // fail
	isOpen bool  // read from socket
	socket socket.Packets

	changed, gate, release <-chan struct{} // or wait for one of these, or the program's deadline
	until                  time.Time
}

func (c *Conn) look() turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	isGated, isDraining := !isDone(c.opts.Gate), isDone(c.round.draining)
	t := turn{socket: c.inner, changed: c.changed, until: c.until}
	switch {
	case isDone(c.closed), isGated && isDraining, isDone(c.round.drained) && isDone(c.opts.Release):
		t.err = errorOf("read", c.addr, net.ErrClosed)
	case !c.until.IsZero() && !time.Now().Before(c.until):
		t.err = errorOf("read", c.addr, os.ErrDeadlineExceeded)
	case isGated:
		t.gate = c.opts.Gate
	case isDone(c.round.drained):
		t.release = c.opts.Release
	default:
		t.isOpen = true
		if isDraining {
			c.queue.Postpone()
			c.armLocked()
		}
	}
	return t
}

func (t turn) wait() {
	var over <-chan time.Time
	if !t.until.IsZero() {
		timer := time.NewTimer(time.Until(t.until))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-t.changed:
	case <-t.gate:
	case <-t.release:
	case <-over:
	}
}

// armLocked sets the deadline of the socket: the program's, or one for the sake of the drain.
func (c *Conn) armLocked() {
	if c.isShut {
		return
	}
	until := c.until
	switch {
	case isDone(c.round.drained):
		until = longAgo
	case isDone(c.round.draining) && (until.IsZero() || c.queue.Until().Before(until)):
		until = c.queue.Until()
	}
	_ = c.inner.SetReadDeadline(until)
}

// isOurs reports whether an error of the socket is of the drain's making, and nothing to the program.
func (c *Conn) isOurs(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isDone(c.closed) {
		return false
	}
	if errors.Is(err, net.ErrClosed) {
		return c.isShut || isDone(c.round.resumed)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if isDone(c.round.draining) && !isDone(c.round.drained) && c.queue.IsOver(func() bool { return listener.IsQueued(c.inner) }) {
		c.endLocked()
	}
	return c.until.IsZero() || time.Now().Before(c.until)
}

// SyscallConn gives access to the socket. Read of what it returns waits as ReadFrom does.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if _, err := c.socket().SyscallConn(); err != nil {
		return nil, err
	}
	return raw{c}, nil
}

type raw struct{ *Conn }

func (r raw) Control(f func(fd uintptr)) error {
	inner, err := r.socket().SyscallConn()
	if err != nil {
		return err
	}
	return inner.Control(f)
}

func (r raw) Read(f func(fd uintptr) (done bool)) error {
	return r.read(func(s socket.Packets) error {
		inner, err := s.SyscallConn()
		if err != nil {
			return err
		}
		return inner.Read(f)
	})
}

func (r raw) Write(f func(fd uintptr) (done bool)) error {
	inner, err := r.socket().SyscallConn()
	if err != nil {
		return err
	}
	return inner.Write(f)
}
