package tlsrec

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a server's connection of TLS 1.3 after the handshake. It behaves as [tls.Conn] does: Read and Write may be
// called by any number of goroutines, a write that has timed out ends all writing, and Close during a Write closes without a
// close_notify. It differs in this: records of application data are of the largest size from the first on; after a failed
// write no alert is tried; every error that ends reading is final; a message that is no KeyUpdate is refused before all of
// it has come; it changes its keys in time (RFC 8446, 5.5).
type Conn struct {
	conn  net.Conn
	state State // without halves

	in  input
	out output

	// calls has Close in its lowest bit, and the number of calls of Write above it, as tls.Conn.activeCall.
	calls atomic.Int32
}

// input is the reading side. mu guards all of it, and is held while somebody waits for data.
type input struct {
	mu      sync.Mutex
	half    *Half
	err     error // the first permanent one
	frozen  bool
	buffer  buffer
	plain   []byte // of a record, not read yet; it lies in buffer
	message [len(keyUpdate)]byte
	began   int  // how much of message there is
	useless int  // records and messages in a row that have brought no data, as tls.Conn.retryCount
	asked   bool // the peer has been asked for a new key
}

// output is the writing side. mu guards all of it but conn, and is held during writes. It is taken after input.mu.
type output struct {
	conn      net.Conn // below
	mu        sync.Mutex
	half      *Half
	err       error // the first permanent one
	frozen    bool
	closed    bool  // close_notify was sent, or tried
	closedErr error // how that went
}

var _ net.Conn = (*Conn)(nil)

// Server goes on with conn where s says, which must be between two records in both directions. It neither reads nor writes by
// itself. It clears s, also on an error, so that nobody else goes on with it; conn stays the caller's then.
func Server(conn net.Conn, s *State) (*Conn, error) {
	if err := s.check(); err != nil {
		s.Clear()
		return nil, fmt.Errorf("tlsrec: going on with a connection: %w", err)
	}
	c := &Conn{conn: conn, state: *s}
	c.in.half, c.out.half, c.out.conn = s.in, s.out, conn
	c.state.in, c.state.out = nil, nil
	s.in, s.out = nil, nil // they are c's now
	return c, nil
}

// ConnectionState returns what the handshake has come to. Its ExportKeyingMaterial must not be called: the secret for it is not
// carried. HelloRetryRequest is false.
func (c *Conn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{
		Version:                    tls.VersionTLS13,
		HandshakeComplete:          true,
		DidResume:                  c.state.DidResume,
		CipherSuite:                c.state.Suite,
		CurveID:                    c.state.CurveID,
		NegotiatedProtocol:         c.state.NegotiatedProtocol,
		NegotiatedProtocolIsMutual: true, //nolint:staticcheck // crypto/tls sets it, and old programs ask
		ServerName:                 c.state.ServerName,
		ECHAccepted:                c.state.ECHAccepted,
	}
}

// Freeze returns the state for a move. From then on until [Conn.Thaw] the connection is another's: nothing is written, no
// data, no alert and no close_notify, and nothing is read. Read fails with an error that is a timeout, Write with Frozen, and
// both go on after Thaw; Close closes the connection below, and that alone. The error is a [Reason].
func (c *Conn) Freeze() (*State, error) {
	if c.calls.Load()&1 != 0 {
		return nil, Closed
	}
	if !c.in.mu.TryLock() { // who reads holds it
		return nil, Reading
	}
	defer c.in.mu.Unlock()
	if !c.out.mu.TryLock() {
		return nil, Busy
	}
	defer c.out.mu.Unlock()
	switch {
	case c.out.frozen:
		return nil, Frozen
	case c.in.err != nil || c.out.err != nil || c.out.closed:
		return nil, Closed
	case len(c.in.plain) > 0 || c.in.buffer.len() >= HeaderLen:
		return nil, Unread
	case c.in.buffer.len() > 0 || c.in.began > 0:
		return nil, Busy
	}
	s, err := NewState(c.state, c.in.half, c.out.half)
	if err != nil {
		return nil, err
	}
	c.in.frozen, c.out.frozen = true, true
	return s, nil
}

// Thaw says that the move was refused before the other side could read or write: the connection goes on as if nothing had been.
// Without a Freeze it does nothing.
func (c *Conn) Thaw() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.in.frozen, c.out.frozen = false, false
}

// Close sends a close_notify, unless the connection is frozen or somebody writes, and closes the connection below.
func (c *Conn) Close() error {
	var calls int32
	for {
		if calls = c.calls.Load(); calls&1 != 0 {
			return net.ErrClosed
		}
		if c.calls.CompareAndSwap(calls, calls|1) {
			break
		}
	}
	if calls != 0 {
		return c.conn.Close() // it ends the Write, which holds the lock
	}
	notified := c.out.closeNotify()
	err := c.conn.Close()
	c.wipe() // also where the connection below was closed before, as it is after a move
	if err != nil {
		return err
	}
	if notified != nil {
		return fmt.Errorf("tls: failed to send closeNotify alert (but connection was closed anyway): %w", notified)
	}
	return nil
}

// wipe clears the secrets of a closed connection, but for those that somebody uses at this moment.
func (c *Conn) wipe() {
	if c.in.mu.TryLock() {
		c.in.err = permanent(net.ErrClosed)
		c.in.plain = nil
		c.in.buffer.free()
		c.in.half.Clear()
		c.in.mu.Unlock()
	}
	if c.out.mu.TryLock() {
		c.out.err = permanent(net.ErrClosed)
		c.out.half.Clear()
		c.out.mu.Unlock()
	}
}

// CloseWrite sends a close_notify, after which every Write fails. It does not close the connection below for writing. Of a frozen
// connection the error is [Frozen].
func (c *Conn) CloseWrite() error {
	c.out.mu.Lock()
	frozen := c.out.frozen
	c.out.mu.Unlock()
	if frozen {
		return Frozen
	}
	return c.out.closeNotify()
}

// NetConn returns the connection below. Whoever reads or writes there destroys the one above.
func (c *Conn) NetConn() net.Conn { return c.conn }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines of the connection below.
func (c *Conn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(t) }

// SetReadDeadline sets the deadline for reading. A Read that it ends can be repeated.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline for writing. After a Write that it ends all others fail.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// Format says nothing, whatever the verb: the keys are in there.
func (c *Conn) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("tlsrec.Conn")) }
