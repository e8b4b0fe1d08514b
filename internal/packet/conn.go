// Package packet is the socket of a group that receives datagrams. All generations that live have it, and the kernel gives each datagram to
// the one that reads it: so only the one that serves reads. One that drains can still write.
package packet

import (
	"io"
	"net"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// Options configure a [Conn]. Nothing in it is optional.
type Options struct {
	Group   string
	Gate    <-chan struct{} // nothing is read before it is closed
	Release <-chan struct{} // a read waits while the group drains, and after it, until this is closed
	OnRead  func()          // called once, by the first read and before it waits for Gate
}

// Conn is a net.PacketConn on a group's socket. Its methods are safe for concurrent use.
type Conn struct {
	opts    Options
	addr    net.Addr
	reading sync.Once // guards the call of OnRead

	closing sync.Mutex // held while descriptors are closed that others have sent along

	mu      sync.Mutex // guards what follows
	inner   socket.Packets
	isShut  bool          // inner is closed
	closed  chan struct{} // by the program; another one after Reopen
	round   *round        // another one after Resume
	until   time.Time     // the program's deadline for reads; zero for none
	alone   bool          // no other process reads from the socket: see EmptyQueue
	queue   listener.Emptying
	changed chan struct{} // closed when any of these has changed, and replaced: for reads that wait
}

// round is the life of a Conn until it has drained: another one follows where it resumes.
type round struct {
	draining chan struct{} // this generation reads no more, but for a queue that has to be emptied
	drained  chan struct{} // nor that
	resumed  chan struct{}
}

func newRound() *round {
	return &round{draining: make(chan struct{}), drained: make(chan struct{}), resumed: make(chan struct{})}
}

// New returns a Conn over inner, which it takes over.
func New(inner socket.Packets, opts Options) *Conn {
	return &Conn{
		opts: opts, addr: inner.LocalAddr(), inner: inner,
		closed: make(chan struct{}), round: newRound(), changed: make(chan struct{}),
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Group returns the name given in Options.
func (c *Conn) Group() string { return c.opts.Group }

// LocalAddr returns the address of the socket, also after Close.
func (c *Conn) LocalAddr() net.Addr { return c.addr }

// Addr is LocalAddr.
func (c *Conn) Addr() net.Addr { return c.addr }

// Close is the program's own end: it releases reads at once, also while the group drains. Later calls return net.ErrClosed.
func (c *Conn) Close() error {
	inner, err := c.closeOnce()
	if err != nil || inner == nil {
		return err
	}
	return inner.Close() // which waits for a read that hangs, and so not with the lock
}

// closeOnce returns what is to be closed; nil if the drain has done that.
func (c *Conn) closeOnce() (inner io.Closer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isDone(c.closed) {
		return nil, errorOf("close", c.addr, net.ErrClosed)
	}
	close(c.closed)
	defer c.changeLocked()
	if c.isShut {
		return nil, nil
	}
	c.isShut = true
	return c.inner, nil
}

// errorOf is the error of a socket on addr, to the letter.
func errorOf(op string, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: addr.Network(), Source: addr, Err: err}
}

// changeLocked makes the reads that wait look again.
func (c *Conn) changeLocked() {
	c.armLocked()
	close(c.changed)
	c.changed = make(chan struct{})
}

// SetDeadline is that of net.PacketConn.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is that of net.PacketConn: also a read that waits while the group drains ends then.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isDone(c.closed) {
		return errorOf("set", c.addr, net.ErrClosed)
	}
	c.until = t
	c.changeLocked()
	return nil
}

// SetWriteDeadline is that of net.PacketConn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.socket().SetWriteDeadline(t) }

// WriteTo is that of net.PacketConn. It works while the group drains; of a group whose address the successor does not have, until what
// is in its queue has been read.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) { return c.socket().WriteTo(b, addr) }

func (c *Conn) socket() socket.Packets {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inner
}

// buffered is a socket whose buffers in the kernel can be set: a *net.UDPConn or a *net.UnixConn.
type buffered interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

// SetReadBuffer is that of *net.UDPConn. All generations share the socket, and its buffer.
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.socket().PacketConn.(buffered).SetReadBuffer(bytes)
}

// SetWriteBuffer is that of *net.UDPConn.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.socket().PacketConn.(buffered).SetWriteBuffer(bytes)
}
