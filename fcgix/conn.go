package fcgix

import (
	"net"
	"sync"
	"time"
)

const (
	// holdMax is how much of a last answer is held back for its end. What is
	// longer leaves in pieces, and the last piece with the end.
	holdMax = 64 << 10

	// holdTime is how long a part of a last answer is held back when nothing
	// follows: a handler that streams must not be stalled. It is the kernel's
	// own limit for TCP_CORK (tcp(7)).
	holdTime = 200 * time.Millisecond
)

// conn follows the records on a connection in both directions. While the
// generation drains, it holds the last answer back, and sends it together with
// the end of the connection. Closing right after the answer is not enough: the
// web server can send the next request in between, and will not send a POST
// again.
type conn struct {
	net.Conn
	draining <-chan struct{}

	in records // touched by Read only, and net/http/fcgi reads in one goroutine

	mu      sync.Mutex // guards what follows
	open    map[uint16]struct{}
	out     records
	held    []byte
	flusher *time.Timer // flushes held; nil while none is
	ended   bool        // our side of the connection is shut
	failed  error       // of a flush in the background
}

func newConn(c net.Conn, draining <-chan struct{}) *conn {
	return &conn{Conn: c, draining: draining, open: make(map[uint16]struct{})}
}

// Read notes which requests begin.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.follow(b[:n], c.sawInput)
	return n, err
}

func (c *conn) sawInput(kind byte, id uint16) {
	if kind == typeBeginRequest {
		c.mu.Lock()
		c.open[id] = struct{}{}
		c.mu.Unlock()
	}
}

// Write notes which requests end, and ends the connection with the last one
// while the generation drains.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return 0, c.failed
	}
	answered := false
	c.out.follow(b, func(kind byte, id uint16) {
		if kind == typeEndRequest {
			delete(c.open, id)
			answered = true
		}
	})
	if !c.isDraining() {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	switch {
	case answered && len(c.open) == 0 && c.out.atBoundary():
		return len(b), c.finishLocked()
	case len(c.held) > holdMax:
		return len(b), c.flushLocked()
	}
	c.flushLaterLocked()
	return len(b), nil
}

func (c *conn) isDraining() bool {
	select {
	case <-c.draining:
		return true
	default:
		return false
	}
}

// finishLocked sends what is held and shuts down our side of the connection. The
// other side is read on until the web server closes it: closing with something
// unread would send a reset, and the answer could be lost with it.
func (c *conn) finishLocked() error {
	c.ended = true
	cork(c.Conn)
	if err := c.flushLocked(); err != nil {
		return err
	}
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Conn.Close()
}

func (c *conn) flushLocked() error {
	if c.flusher != nil {
		c.flusher.Stop()
		c.flusher = nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	return err
}

func (c *conn) flushLaterLocked() {
	if c.flusher == nil {
		c.flusher = time.AfterFunc(holdTime, c.flush)
	}
}

// flush is run by the timer.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flusher == nil {
		return // it has been flushed just before
	}
	if err := c.flushLocked(); err != nil {
		c.failed = err
	}
}

// Close sends what is still held, and closes the connection. net/http/fcgi
// closes one without keep_conn right after its answer.
func (c *conn) Close() error {
	c.mu.Lock()
	if len(c.held) > 0 && !c.ended {
		_ = c.flushLocked() // nobody is left to be told
	}
	c.mu.Unlock()
	return c.Conn.Close()
}
