package httpx

import (
	"maps"
	"slices"
	"time"
)

// shutdownGrace is how long x/net has to send away, at the program's own Shutdown, the clients that it knows then.
const shutdownGrace = 100 * time.Millisecond

// end is called when the program's own Shutdown begins. x/net's server has a GOAWAY for the connections that it serves at this instant, and for
// none that is on its way to it: Shutdown would wait for as long as such a client likes. (net/http's own copy of that server makes up for it
// when a request ends, by a method that is its own.)
func (h *h2Conns) end() {
	h.mu.Lock()
	h.ending = true
	h.mu.Unlock()
	time.AfterFunc(shutdownGrace, func() {
		h.mu.Lock()
		conns := slices.Collect(maps.Keys(h.conns))
		h.mu.Unlock()
		for _, c := range conns {
			go c.sendAwayOnce() // it may block as long as the client does not read
		}
	})
}

// sendAwayOnce is sendAway at once, unless the server has sent the client away: no later GOAWAY may name a higher stream (RFC 9113, section 6.8).
func (c *h2Conn) sendAwayOnce() {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.out.HasGoAway() || c.mover.isGone() {
		return
	}
	c.mu.Lock()
	first := c.away == staying
	if first {
		c.away, c.ending = known, true // a client that does not answer must not hold Shutdown up
		c.ours = append(c.ours, goAwayAndPing...)
		c.lingerLocked()
	}
	c.mu.Unlock()
	if first && c.out.AtBoundary() {
		_ = c.writeOurs() // the server's own next write meets the same error
	}
	if c.mover != nil {
		c.mover.look() // it gives up
	}
}
