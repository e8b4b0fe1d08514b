// Package memnet has a listener in memory, for tests that need no sockets.
//
// Its connections are those of net.Pipe: a Write waits until the other side has
// read, and deadlines work. Nothing in it waits for anything outside of the
// process, so it can be used in a bubble of testing/synctest.
package memnet

import (
	"net"
	"sync"
)

// Listener is a net.Listener whose clients call Dial.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

// Listen returns a new Listener. It has no address that could be in use.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial returns the client's side of a new connection. It waits until Accept has
// taken the other one: there is no backlog. After Close the error is
// net.ErrClosed.
func (l *Listener) Dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Accept waits for a Dial. After Close the error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends every Accept and Dial. Connections go on. Later calls do nothing.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that says nothing but "memory".
func (l *Listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }
