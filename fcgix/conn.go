package fcgix

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

const (
	// holdMax is how much of a last answer is held back for its end. What is
	// longer leaves in pieces, and the last piece with the end.
	holdMax = 64 << 10

	// holdTime is how long a part of a last answer is held back when nothing
	// follows: a handler that streams must not be stalled. It is the kernel's
	// own limit for TCP_CORK (tcp(7)).
	holdTime = 200 * time.Millisecond

	// endTime is how long requests may still be answered after the end of the
	// input. The listener closes the connection after that time too.
	endTime = time.Second
)

// conn follows the records on a connection in both directions. While the
// generation drains, it holds the last answer back, and sends it together with
// the end of the connection. Closing right after the answer is not enough: the
// web server can send the next request in between, and will not send a POST
// again.
//
// Where the successor takes over connections, an answer leaves as it is, and the
// connection moves right after it.
type conn struct {
	net.Conn
	ln     *listener.Listener
	reader reader          // nil for one that cannot be found below its layers
	layer  *listener.Layer // the same; nil without layers

	in records // touched by Read only, and net/http/fcgi reads in one goroutine

	writing sync.Mutex // held during a write; guards what follows
	out     records
	held    []byte
	flusher *time.Timer // flushes held; nil while none is
	ended   bool        // our side of the connection is shut
	failed  error       // of a flush in the background

	requests *requests
}

// reader reads a connection that may move while it waits: a *listener.IdleReader or a *listener.Layer.
type reader interface {
	io.Reader
	Wake()
	IsRefused() bool
}

// newConn follows c, a connection of ln or a layer over one, which is below if it can be found.
func newConn(c net.Conn, below listener.Conn, ln *listener.Listener) *conn {
	fc := &conn{Conn: c, ln: ln, requests: newRequests()}
	switch {
	case below == nil:
	case net.Conn(below) == c:
		own := new(listener.IdleReader)
		own.Init(below, fc.movable)
		fc.reader = own
	default:
		fc.layer = new(listener.Layer)
		fc.layer.Init(c, below, fc.movable)
		fc.reader = fc.layer
	}
	return fc
}

// Read notes which requests begin. net/http/fcgi closes the connection as soon
// as its input has ended, which the deadline of the drain does too; what can
// still be answered then has a moment left.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.readInput(b)
	c.in.follow(b[:n], c.sawInput)
	if (errors.Is(err, io.EOF) || errors.Is(err, listener.ErrCut)) && c.isDraining() {
		c.waitIdle()
	}
	return n, err
}

func (c *conn) waitIdle() {
	timeout := time.After(endTime)
	for !c.requests.areAnswered() {
		select {
		case <-c.requests.answered:
		case <-timeout:
			return
		}
	}
}

func (c *conn) readInput(b []byte) (int, error) {
	if c.reader == nil {
		return c.Conn.Read(b)
	}
	return c.reader.Read(b)
}

func (c *conn) sawInput(kind byte, id uint16) { c.requests.came(&c.in, kind, id) }

// movable reports whether nothing is under way on the connection, on which the
// web server will send another request. It is called between two reads of the adapter's, or, with n negative, by a layer that reads ahead
// while the adapter does something else: nobody knows then what has come.
func (c *conn) movable(n int) bool {
	return n >= 0 && c.requests.areKept() && c.requests.areAnswered() && c.in.atBoundary()
}

// moves reports whether the connection will move instead of ending.
func (c *conn) moves() bool {
	return c.reader != nil && (c.layer == nil || c.layer.IsClear() && !c.layer.IsBehind()) && c.requests.areKept() && !c.reader.IsRefused() && c.ln.Moves()
}

// Write notes which requests end, and ends the connection with the last one
// while the generation drains.
func (c *conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.failed != nil {
		return 0, c.failed
	}
	var answered []uint16
	c.out.follow(b, func(kind byte, id uint16) {
		if kind == typeEndRequest {
			answered = append(answered, id)
		}
	})
	if !c.isDraining() || c.moves() {
		return c.writeNow(b, answered)
	}
	c.held = append(c.held, b...)
	c.requests.ended(answered)
	switch {
	case len(answered) > 0 && c.requests.areAnswered() && c.out.atBoundary():
		return len(b), c.finishLocked()
	case len(c.held) > holdMax:
		return len(b), c.flushLocked()
	}
	c.flushLaterLocked()
	return len(b), nil
}

// writeNow writes b and then notes which requests end with it: not before, or the
// connection could move without their answers. While it drains, Read waits for the
// next request by then, and has to be told that it may leave.
func (c *conn) writeNow(b []byte, answered []uint16) (int, error) {
	if len(c.held) > 0 {
		if err := c.flushLocked(); err != nil {
			return 0, err
		}
	}
	n, err := c.writeOutput(b)
	c.requests.ended(answered)
	if c.reader != nil && len(answered) > 0 && c.isDraining() {
		c.reader.Wake()
	}
	return n, err
}

func (c *conn) writeOutput(b []byte) (int, error) {
	if c.layer == nil {
		return c.Conn.Write(b)
	}
	return c.layer.Write(b)
}

func (c *conn) isDraining() bool {
	select {
	case <-c.ln.Draining():
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
	_, err := c.writeOutput(c.held)
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
	c.writing.Lock()
	defer c.writing.Unlock()
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
	c.writing.Lock()
	if len(c.held) > 0 && !c.ended {
		_ = c.flushLocked() // nobody is left to be told
	}
	c.writing.Unlock()
	return c.Conn.Close()
}
