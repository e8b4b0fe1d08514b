package grpcx

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate is the listener of one server: closing it closes no socket.
type gate struct {
	*rounds
	newcomers newcomers
	last      atomic.Int64 // when Accept has returned a connection, in nanoseconds of the Unix time
	close     sync.Once
	closed    chan struct{}
}

// Accept returns the next connection.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case <-g.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-g.accepted:
		if a.err != nil {
			return nil, a.err
		}
		g.last.Store(time.Now().UnixNano())
		return g.newcomers.add(a.conn), nil
	case <-g.closed:
		return nil, net.ErrClosed
	case <-g.ended:
		return nil, g.err
	}
}

// quiet is how long nobody may have come until the queue of a socket that is closing counts as empty, where there is little time.
const quiet = 300 * time.Millisecond

// awaitQuiet waits until nobody has come for that time, at most until the end of limit.
func (g *gate) awaitQuiet(limit <-chan time.Time) {
	began := time.Now()
	for {
		since := time.Since(time.Unix(0, max(g.last.Load(), began.UnixNano())))
		if since >= quiet {
			return
		}
		timer := time.NewTimer(quiet - since)
		select {
		case <-timer.C:
		case <-limit:
			timer.Stop()
			return
		}
	}
}

// Close ends Accept.
func (g *gate) Close() error {
	g.close.Do(func() { close(g.closed) })
	return nil
}

// Addr is the listener's.
func (g *gate) Addr() net.Addr { return g.over.Addr() }
