package listener

import (
	"errors"
	"io"
	"net"
	"time"
)

// TCPConn is a connection of a [Listener] on TCP. It is a type of its own, so that
// adapters can embed it and keep what it keeps.
//
// It embeds *net.TCPConn, and never the interface net.Conn: only then do
// io.ReaderFrom, io.WriterTo, CloseWrite, SyscallConn and the writev of
// net.Buffers remain those of the socket. It must not have a ConnectionState
// method, or net/http would take plaintext for TLS.
type TCPConn struct {
	*net.TCPConn
	tracked
}

// Close closes the socket and then forgets the connection, so that a listener
// without connections has no socket left either.
func (c *TCPConn) Close() error {
	err := c.TCPConn.Close()
	c.ended(c)
	return err
}

// Handover implements Conn.
func (c *TCPConn) Handover(state []byte) error { return c.handOver(c, c.TCPConn, OpenWay, state) }

func (c *TCPConn) moveOn(w Way, with Cargo, above []byte) error {
	return c.move(c, c.TCPConn, w, with, above)
}

// Write is that of the socket.
func (c *TCPConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.wrote(int64(n))
	return n, err
}

// ReadFrom is that of the socket.
func (c *TCPConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	c.wrote(n)
	return n, err
}

// WriteTo is that of the socket.
func (c *TCPConn) WriteTo(w io.Writer) (int64, error) {
	n, err := c.TCPConn.WriteTo(w)
	if err == nil {
		if cut := c.cutError(c.TCPConn, io.EOF); errors.Is(cut, ErrCut) {
			err = cut
		}
	}
	return n, err
}

// Read is that of the socket.
func (c *TCPConn) Read(b []byte) (int, error) { return c.readFrom(c.TCPConn, b) }

// SetReadDeadline is that of the socket.
func (c *TCPConn) SetReadDeadline(t time.Time) error { return c.setReadDeadline(c.TCPConn, t) }

// SetDeadline is that of the socket.
func (c *TCPConn) SetDeadline(t time.Time) error { return c.setDeadline(c.TCPConn, t) }

// NetConn returns the *net.TCPConn.
func (c *TCPConn) NetConn() net.Conn { return c.TCPConn }

// UnixConn is [TCPConn] for Unix sockets.
type UnixConn struct {
	*net.UnixConn
	tracked
}

// Close closes the socket and then forgets the connection.
func (c *UnixConn) Close() error {
	err := c.UnixConn.Close()
	c.ended(c)
	return err
}

// Handover implements Conn.
func (c *UnixConn) Handover(state []byte) error { return c.handOver(c, c.UnixConn, OpenWay, state) }

func (c *UnixConn) moveOn(w Way, with Cargo, above []byte) error {
	return c.move(c, c.UnixConn, w, with, above)
}

// Write is that of the socket.
func (c *UnixConn) Write(b []byte) (int, error) {
	n, err := c.UnixConn.Write(b)
	c.wrote(int64(n))
	return n, err
}

// Read is that of the socket.
func (c *UnixConn) Read(b []byte) (int, error) { return c.readFrom(c.UnixConn, b) }

// SetReadDeadline is that of the socket.
func (c *UnixConn) SetReadDeadline(t time.Time) error { return c.setReadDeadline(c.UnixConn, t) }

// SetDeadline is that of the socket.
func (c *UnixConn) SetDeadline(t time.Time) error { return c.setDeadline(c.UnixConn, t) }

// NetConn returns the *net.UnixConn.
func (c *UnixConn) NetConn() net.Conn { return c.UnixConn }

// foreignConn holds what neither of the two is: in-memory connections of tests,
// and listeners that a program brought along. It has the methods of net.Conn
// only.
type foreignConn struct {
	net.Conn
	tracked
}

// Close closes the connection and then forgets it.
func (c *foreignConn) Close() error {
	err := c.Conn.Close()
	c.ended(c)
	return err
}

// Write is that of the connection.
func (c *foreignConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.wrote(int64(n))
	return n, err
}

// Read is that of the connection.
func (c *foreignConn) Read(b []byte) (int, error) { return c.readFrom(c.Conn, b) }

// Handover refuses: this is no socket.
func (c *foreignConn) Handover([]byte) error { return ErrNoSuccessor }

func (c *foreignConn) moveOn(Way, Cargo, []byte) error { return ErrNoSuccessor }

// NetConn returns the connection that the foreign listener accepted.
func (c *foreignConn) NetConn() net.Conn { return c.Conn }

// CloseRead closes the whole connection: half a close is not to be had here.
func (c *foreignConn) CloseRead() error { return c.Close() }
