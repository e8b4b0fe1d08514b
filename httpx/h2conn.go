package httpx

import (
	"crypto/tls"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// h2Conn follows the HTTP/2 frames on a connection in both directions, so that
// it can put frames of its own between those of the server:
//
//  1. GOAWAY with the highest stream number there is, which refuses nothing and
//     asks the client to open no more streams, and a PING;
//  2. when the PING is answered, the client has seen the GOAWAY, and every
//     stream it will ever open has arrived;
//  3. when none is open any more, the client has a moment to close the
//     connection, and then the server does.
//
// It embeds *tls.Conn, so that the HTTP/2 server finds ConnectionState.
type h2Conn struct {
	*tls.Conn
	in frames // touched by Read only, and the server reads in one goroutine

	writing sync.Mutex // held during a write; guards out
	out     frames

	mu     sync.Mutex // guards what follows; never held during a write
	away   awayState
	idle   bool
	linger *time.Timer
}

// awayState is how far the client has been sent away.
type awayState int

const (
	staying   awayState = iota
	leaving             // GOAWAY and PING wait for the end of a frame
	announced           // they are written, or being written
	known               // the client has answered the PING
)

func newH2Conn(c *tls.Conn) *h2Conn {
	return &h2Conn{Conn: c, in: frames{skip: len(http2.ClientPreface)}}
}

// sendAway starts step 1. It may block as long as the client does not read.
func (c *h2Conn) sendAway() {
	c.step(staying, leaving)
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.out.atBoundary() {
		_ = c.announce() // the server's own next write meets the same error
	}
}

// step moves on from one state to the next, and reports whether it did.
func (c *h2Conn) step(from, to awayState) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != from {
		return false
	}
	c.away = to
	return true
}

// announce writes GOAWAY and PING, if they are waiting to be. The caller holds
// writing and is at a boundary: the server's first frame must be its SETTINGS,
// so before that nothing is written.
func (c *h2Conn) announce() error {
	if !c.step(leaving, announced) {
		return nil
	}
	_, err := c.Conn.Write(goAwayAndPing)
	return err
}

// Write writes frames of the server, or parts of them, and puts ours behind the
// first that is complete.
func (c *h2Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	end := len(b)
	if c.isLeaving() {
		end = c.out.untilBoundary(b)
	}
	n, err := c.write(b[:end])
	if err != nil || !c.out.atBoundary() {
		return n, err
	}
	if err := c.announce(); err != nil || end == len(b) {
		return n, err
	}
	m, err := c.write(b[end:])
	return n + m, err
}

func (c *h2Conn) write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.follow(b[:n], nil)
	return n, err
}

func (c *h2Conn) isLeaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away == leaving
}

// Read follows the client's frames and looks for the answer to our PING.
func (c *h2Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.follow(b[:n], c.sawFrame)
	return n, err
}

// sawFrame is called for every frame of the client that is short enough to be
// an answer to a PING.
func (c *h2Conn) sawFrame(header [frameHeaderLen]byte, payload []byte) {
	if !isPingAck(header, payload) {
		return
	}
	c.step(announced, known)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkDoneLocked()
}

// setIdle is told by the server whether streams are open.
func (c *h2Conn) setIdle(idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	c.checkDoneLocked()
}

// checkDoneLocked begins step 3.
func (c *h2Conn) checkDoneLocked() {
	if c.away == known && c.idle && c.linger == nil {
		c.linger = time.AfterFunc(goAwayLinger, c.endRead)
	}
}

// endRead has the server read the end of the connection, and close it.
func (c *h2Conn) endRead() {
	if r, ok := c.NetConn().(interface{ CloseRead() error }); ok {
		_ = r.CloseRead()
	}
}

func (c *h2Conn) stopLinger() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linger != nil {
		c.linger.Stop()
	}
}
