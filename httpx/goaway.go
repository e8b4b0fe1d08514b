package httpx

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// pingData marks our PINGs among those of the server.
var pingData = [8]byte{'g', 'o', 'z', 'd', ' ', 'b', 'y', 'e'}

// goAwayPing is a PING whose answer is looked for.
var goAwayPing = append([]byte{0, 0, 8, byte(http2.FramePing), 0, 0, 0, 0, 0}, pingData[:]...)

// goAwayAndPing are the two frames that send a client away.
var goAwayAndPing = func() []byte {
	const maxStreamID = math.MaxInt32
	b := []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, maxStreamID)
	b = binary.BigEndian.AppendUint32(b, uint32(http2.ErrCodeNo))
	return append(b, goAwayPing...)
}()

func isPingAck(h *h2move.Header, payload []byte) bool {
	return h.Type() == http2.FramePing && h.Has(http2.FlagPingAck) && string(payload) == string(pingData[:])
}

// awayState is how far the client has been sent away.
type awayState int

const (
	staying   awayState = iota
	announced           // GOAWAY and PING are written, or wait to be
	known               // the client has answered the PING
	asked               // the second PING is written, or waits to be
)

// sendAwaySoon is sendAway, but later for a connection that is quite new, and for one that may move only when it does not. Where the drain has been
// called off meanwhile it does nothing.
func (c *h2Conn) sendAwaySoon() {
	if !c.of.isAway() {
		return
	}
	if c.mover != nil && c.mover.tries() {
		return
	}
	wait := time.Until(c.youth.born.Add(freshTime))
	if wait <= 0 {
		c.sendAway()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && c.youth.timer == nil {
		c.youth.timer = time.AfterFunc(wait, func() {
			if c.of.isAway() {
				c.sendAway()
			}
		})
	}
}

// youth is the time in which a connection is too new for its client to be sent away. The connection's mu guards timer.
type youth struct {
	born  time.Time
	timer *time.Timer // runs until the client is sent away; nil if it is not to be
}

func (y *youth) end() {
	if y.timer != nil {
		y.timer.Stop()
		y.timer = nil
	}
}

// stay is called when the drain is called off: a client that has not been told stays.
func (c *h2Conn) stay() {
	c.mu.Lock()
	c.youth.end()
	c.mu.Unlock()
	if c.mover != nil {
		c.mover.stay()
	}
}

// sendAway starts step 1. It may block as long as the client does not read.
func (c *h2Conn) sendAway() {
	c.mu.Lock()
	first := c.away == staying
	if first {
		c.away = announced
	}
	c.mu.Unlock()
	if !first {
		return
	}
	if c.mover != nil {
		c.mover.look() // it gives up
	}
	c.say(goAwayAndPing)
}

func (c *h2Conn) isAway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away != staying
}

// sendAwayNow is called at the deadline of the drain, when the connection has a second left: streams that have begun are served on, and
// without any the client need not linger as long. It may block as long as the client does not read.
func (c *h2Conn) sendAwayNow() {
	c.mu.Lock()
	c.expedite = true
	if c.linger != nil {
		c.linger.Reset(hurriedLinger)
	}
	c.mu.Unlock()
	c.sendAway()
}

// lingerLocked begins step 3, or ends it when a stream has come after all.
func (c *h2Conn) lingerLocked() {
	switch {
	case !c.idle && c.linger != nil:
		c.linger.Stop()
		c.linger = nil
	case c.idle && c.away == known && c.linger == nil:
		wait := goAwayLinger
		if c.expedite {
			wait = hurriedLinger
		}
		c.linger = time.AfterFunc(wait, c.ask)
	}
}

// ask is run by the timer. That the server has written everything does not mean
// that the client has read it, and closing would cut off the rest.
func (c *h2Conn) ask() {
	c.mu.Lock()
	still := c.away == known && c.idle
	ending := c.ending
	if still && !ending {
		c.away = asked
	}
	c.mu.Unlock()
	switch {
	case still && ending:
		c.endRead()
	case still:
		c.say(goAwayPing)
	}
}

// endRead has the server read the end of the connection, and close it.
func (c *h2Conn) endRead() {
	if conn, ok := listener.FromConn(c.Conn); ok {
		if r, ok := conn.(interface{ CloseRead() error }); ok {
			_ = r.CloseRead()
		}
	}
}
