package server

import (
	"net"
	"net/http"
	"sync"
)

// conns knows on which connections a request is being answered. http.Server.Shutdown
// does too, but it also waits five seconds for those that have not asked anything, and looks from time to time
// only.
type conns struct {
	mu      sync.Mutex // guards what follows, and the closing of quiet
	busy    map[net.Conn]struct{}
	leaving bool
	shut    bool          // quiet is closed
	quiet   chan struct{} // closed when leaving and none is busy
}

// note is the http.Server's ConnState. A connection is idle again when the answer's last
// byte is the kernel's.
func (c *conns) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateActive:
		if c.busy == nil {
			c.busy = make(map[net.Conn]struct{})
		}
		c.busy[conn] = struct{}{}
	case http.StateIdle, http.StateHijacked, http.StateClosed:
		delete(c.busy, conn)
		c.checkLocked()
	}
}

func (c *conns) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	c.checkLocked()
}

func (c *conns) checkLocked() {
	if c.leaving && !c.shut && len(c.busy) == 0 {
		c.shut = true
		close(c.quiet)
	}
}
