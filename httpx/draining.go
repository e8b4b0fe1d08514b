package httpx

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// Draining returns a channel that is closed when a handler that would go on for long should
// come to its end, with server-sent events or long polling: its generation drains, after an
// upgrade, or at a stop, a quit or a rollback. A client that asks again then, on the same
// connection or another one, reaches the next generation sooner or later. Until then it is
// answered here, by a handler whose channel is closed from the beginning. After an upgrade
// connections are told one after the other, over the group's spread; otherwise all at once.
//
// ctx is that of the request, or one derived from it. Where no Server of this package handles
// the request on a listener of gozd's, the channel is nil, which is never closed.
//
// A channel that is closed stays so: if the successor dies and this generation serves again,
// the next call returns another one, for the next drain. So call it once for each request.
// Multiple goroutines may call it simultaneously.
func Draining(ctx context.Context) <-chan struct{} {
	c, ok := ctx.Value(connKey{}).(*served)
	if !ok {
		return nil
	}
	return c.server.notices.of(c.slot)
}

// connKey is that of the connection in its context.
type connKey struct{}

// served is a connection as its requests know it.
type served struct {
	conn   net.Conn
	server *Server
	slot   int // when it is told of a drain
}

// slots are how many parts the spread has. All connections of one are told together.
const slots = 64

func newServed(c net.Conn, s *Server) *served {
	return &served{c, s, int(s.notices.conns.Add(1) % slots)}
}

// notices tell handlers of a drain. The zero value is of a server that does not drain.
type notices struct {
	conns atomic.Uint32 // so many there have been

	mu    sync.Mutex // guards what follows
	slots [slots]notice
}

// notice is for the connections of one slot.
type notice struct {
	told chan struct{} // nil if nobody has asked for it
	over bool          // it is closed, or is to be
}

func (n *notices) of(slot int) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &n.slots[slot]
	if s.told == nil {
		s.told = make(chan struct{})
		if s.over {
			close(s.told)
		}
	}
	return s.told
}

// drain tells each slot at its time, unless p has ended by then.
func (n *notices) drain(p *pace) {
	go p.each(slots, func(slot int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !isClosed(p.ended) {
			n.slots[slot].tell()
		}
	})
}

// all tells those who have not been told yet.
func (n *notices) all() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for slot := range n.slots {
		n.slots[slot].tell()
	}
}

// stay has a server be told of that does not drain. Whoever has not been told waits for the next drain.
func (n *notices) stay() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for slot := range n.slots {
		if n.slots[slot].over {
			n.slots[slot] = notice{}
		}
	}
}

func (s *notice) tell() {
	if s.told != nil && !s.over {
		close(s.told)
	}
	s.over = true
}
