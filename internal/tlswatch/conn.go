package tlswatch

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// Conn is a connection below a [tls.Conn]. It changes nothing of what goes through it. Its methods may be called by any number of
// goroutines, as far as crypto/tls does so: Reads that overlap, and Writes that overlap, end the tracking.
type Conn struct {
	// Owner is whose the connection is, for somebody who has the [tls.Conn] only. It is set before that, and not changed.
	Owner any

	conn  net.Conn
	moved atomic.Bool // Audit was called; set with mu held

	mu sync.Mutex // guards what follows
	session
	watch  *watch // nil until there is a ClientHello, and if nobody asks for the connection's secrets
	listed bool   // in watch

	reading, writing bool // there is a call below
	asked            bool // tls.Conn has called Read since the last byte: it has used up all of them
	frozen           bool
	closed           bool
	audit            audit
}

// audit is what is known of the first thing that was written after the state had been taken.
type audit byte

const (
	auditNone  audit = iota // nothing was written
	auditGood               // the record that was due
	auditClose              // that, and a close_notify
	auditBad                // something else
)

var _ net.Conn = (*Conn)(nil)

// New returns a Conn over conn, for tls.Server together with a [Config].
func New(conn net.Conn) *Conn { return &Conn{conn: conn} }

// Read reads from the connection below, unless c is frozen: then it fails as at a deadline, which tls.Conn does not take for final.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.beginRead(); err != nil {
		return 0, err
	}
	n, err := c.conn.Read(p)
	c.mu.Lock() // and no defer: this is most of what tracking costs
	c.reading = false
	if n > 0 {
		c.asked = false
		c.follow(&c.in, p[:n])
	}
	if err != nil && !isTimeout(err) {
		c.lose(tlsrec.Closed) // tls.Conn reads no more
	}
	c.mu.Unlock()
	return n, err
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

func (c *Conn) beginRead() error {
	c.mu.Lock()
	if c.frozen {
		c.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	if c.reading {
		c.lose(tlsrec.Lost)
	}
	c.reading, c.asked = true, true
	c.mu.Unlock()
	return nil
}

// Write writes to the connection below, unless c is frozen.
func (c *Conn) Write(p []byte) (int, error) {
	if n, err, done := c.beginWrite(p); done {
		return n, err
	}
	n, err := c.conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	if n != len(p) || err != nil {
		c.lose(tlsrec.Closed) // tls.Conn writes no more
		return n, err
	}
	c.follow(&c.out, p)
	return n, nil
}

// beginWrite also does what becomes of a write while c is frozen: then done is true.
func (c *Conn) beginWrite(p []byte) (n int, err error, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		c.check(p)
		if c.moved.Load() {
			return len(p), nil, true // nobody is left who could be told
		}
		return 0, tlsrec.Frozen, true
	}
	if c.writing {
		c.lose(tlsrec.Lost)
	}
	c.writing = true
	return 0, nil, false
}

// follow has the session go over what was read or written. mu is held.
func (c *Conn) follow(f *flow, p []byte) {
	if c.closed || c.why != "" {
		return
	}
	c.session.follow(f, p)
	if c.touched {
		c.list()
	}
}

// Stay has the connection stay for good, and forgets its secrets.
func (c *Conn) Stay(why tlsrec.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose(why)
}

// Close closes the connection below.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	if !c.frozen || c.moved.Load() { // else the audit may be still to come
		c.lose(tlsrec.Closed)
	}
	c.unlist()
	c.mu.Unlock()
	return c.conn.Close()
}

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.conn }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines of the connection below. One that has moved is spared those of tls.Conn.CloseWrite: whoever has it may use the
// same net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	if c.moved.Load() {
		return nil
	}
	return c.conn.SetDeadline(t)
}

// SetReadDeadline sets the deadline for reading.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.moved.Load() {
		return nil
	}
	return c.conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline for writing.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.moved.Load() {
		return nil
	}
	return c.conn.SetWriteDeadline(t)
}

// Format says nothing, whatever the verb: the keys are in there.
func (c *Conn) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("tlswatch.Conn")) }
