package wsx

import (
	"net"
	"sync/atomic"
	"time"
)

// link is a connection as the library has it: until that closes it, or is told of the drain.
type link struct {
	conn   *Conn
	told   atomic.Bool // ErrDraining was returned: closing it ends the link alone
	closed atomic.Bool
	ended  error // of all Reads and Writes; nil as long as they go on
}

// Read gives no more than one frame has: when the library asks for the next one it has nothing any more.
func (l *link) Read(b []byte) (int, error) {
	switch {
	case l.told.Load():
		return 0, ErrDraining
	case l.closed.Load():
		return 0, net.ErrClosed
	case l.ended != nil:
		return 0, l.ended
	}
	n, err := l.conn.read(b)
	if err == ErrDraining { //nolint:errorlint // it is this very error
		l.told.Store(true)
	}
	return n, err
}

// Write writes, but no close frame after ErrDraining: that is the end of the link, by a library that says goodbye when it is closed.
func (l *link) Write(b []byte) (int, error) {
	switch {
	case l.closed.Load():
		return 0, net.ErrClosed
	case l.ended != nil:
		return 0, l.ended
	}
	return l.conn.write(b, l.told.Load())
}

func (l *link) Close() error {
	if l.closed.Swap(true) {
		return net.ErrClosed
	}
	if l.told.Load() {
		return nil
	}
	return l.conn.Close()
}

func (l *link) LocalAddr() net.Addr  { return l.conn.conn.LocalAddr() }
func (l *link) RemoteAddr() net.Addr { return l.conn.conn.RemoteAddr() }

// NetConn returns what the handler has hijacked. Whoever reads or writes there destroys what is above.
func (l *link) NetConn() net.Conn { return l.conn.conn }

func (l *link) SetDeadline(t time.Time) error {
	if err := l.SetReadDeadline(t); err != nil {
		return err
	}
	return l.SetWriteDeadline(t)
}

// A link that is closed has the deadlines of the one after it: those that a library sets late count for nothing.
func (l *link) SetReadDeadline(t time.Time) error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	return l.conn.source.SetReadDeadline(t)
}

func (l *link) SetWriteDeadline(t time.Time) error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	return l.conn.conn.SetWriteDeadline(t)
}
