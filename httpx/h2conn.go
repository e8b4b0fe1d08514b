package httpx

import (
	"net"
	"net/http"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
)

// h2Conn follows the HTTP/2 frames on a connection in both directions, so that
// it can put frames of its own between those of the server:
//
//  1. GOAWAY with the highest stream number there is, which refuses nothing and
//     asks the client to open no more streams, and a PING;
//  2. when the PING is answered, the client has seen the GOAWAY, and every
//     stream that it will open has been begun: net/http's client may still have
//     to write one;
//  3. when none is open any more, the client has a moment to close the
//     connection itself. Then it is asked by a second PING whether it has read
//     everything, and when it answers, the server closes.
//
// The connection is a *tls.Conn, or one without TLS; see tlsH2Conn.
type h2Conn struct {
	net.Conn
	of *h2Conns // set before anybody else has it

	in h2move.In // touched by Read only, and the server reads in one goroutine

	mover  *h2Mover // nil if it cannot move; set before the server has it
	isOver bool     // its idle timeout, when it came

	writing sync.Mutex // held during a write; guards out
	out     h2move.Out

	mu       sync.Mutex // guards what follows; never held during a write
	ours     []byte     // frames that wait for the end of one of the server's
	away     awayState
	idle     bool
	linger   *time.Timer // runs while the client knows, and no stream is open
	youth    youth
	over     bool // the server has ended
	expedite bool // the drain's deadline has come: nobody lingers as long
	ending   bool // the program's Shutdown has begun: nobody is asked
}

// newPlainH2Conn follows a connection of which the client's preface has been read.
func newPlainH2Conn(c net.Conn) *h2Conn {
	hc := &h2Conn{Conn: c, youth: youth{born: time.Now()}}
	hc.in.Saw = hc.sawFrame
	return hc
}

// say writes frames of ours, at once or behind the frame that the server has
// begun. Before the server's first, which must be its SETTINGS, nothing is
// written.
func (c *h2Conn) say(frames []byte) {
	c.queueOurs(frames)
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.out.AtBoundary() && !c.mover.isGone() {
		_ = c.writeOurs() // the server's own next write meets the same error
	}
}

// writeOurs writes the frames that wait, if any. The caller holds writing and is
// at a boundary.
func (c *h2Conn) writeOurs() error {
	c.mu.Lock()
	b := c.ours
	c.ours = nil
	c.mu.Unlock()
	if len(b) == 0 {
		return nil
	}
	_, err := c.write(b)
	return err
}

// queueOurs has writeOurs write frames.
func (c *h2Conn) queueOurs(frames []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ours = append(c.ours, frames...)
}

func (c *h2Conn) haveOurs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ours) > 0
}

// Write writes frames of the server, or parts of them, and puts ours behind the
// first that is complete.
func (c *h2Conn) Write(b []byte) (int, error) {
	if c.mover != nil {
		return c.mover.Write(b)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.put(b)
}

// put is Write while writing is held.
func (c *h2Conn) put(b []byte) (int, error) {
	end := len(b)
	if c.haveOurs() {
		end = c.out.UntilBoundary(b)
	}
	n, err := c.write(b[:end])
	if err != nil || !c.out.AtBoundary() {
		return n, err
	}
	if err := c.writeOurs(); err != nil || end == len(b) {
		return n, err
	}
	m, err := c.write(b[end:])
	return n + m, err
}

func (c *h2Conn) write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Follow(b[:n])
	return n, err
}

// Read follows the client's frames and looks for the answers to our PINGs.
func (c *h2Conn) Read(b []byte) (int, error) {
	if c.mover != nil {
		return c.mover.Read(b)
	}
	n, err := c.Conn.Read(b)
	c.in.Follow(b[:n])
	return n, err
}

// Close closes the connection. One that has moved is closed already.
func (c *h2Conn) Close() error {
	if c.mover != nil {
		c.mover.close()
	}
	return c.Conn.Close()
}

// sawFrame is called for every frame of the client that is short enough to be
// an answer to a PING. The server has dealt with the frames before it: it reads
// one at a time.
func (c *h2Conn) sawFrame(h *h2move.Header, payload []byte) {
	if !isPingAck(h, payload) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.away == announced:
		c.away = known
		c.lingerLocked()
	case c.away == asked && c.idle:
		c.endRead()
	}
}

// visible is the connection below, as with plain net/http.
func (c *h2Conn) visible() net.Conn { return c.Conn }

// setState is told by the server whether streams are open.
func (c *h2Conn) setState(s http.ConnState) {
	if c.mover != nil {
		defer c.mover.look()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = s == http.StateIdle
	if !c.idle && c.away == asked {
		c.away = known // and all of step 3 once more
	}
	c.lingerLocked()
}

func (c *h2Conn) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle
}

// stopTimers is called when the server has ended.
func (c *h2Conn) stopTimers() {
	if c.mover != nil {
		c.mover.attempt.stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.linger != nil {
		c.linger.Stop()
	}
	c.youth.end()
}
