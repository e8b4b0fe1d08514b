package grpcx

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// newcomers are the connections that a server has accepted, and on which it waits for the client to say who it is. GracefulStop waits for each of
// them, for two minutes, before it sends anybody away (grpc-go's server.go, v1.81: serveWG). So they are closed before: a client that has said nothing in two
// seconds begins anew, or never had anything to say.
type newcomers struct {
	mu     sync.Mutex // guards what follows
	conns  map[*conn]struct{}
	closed bool
}

// add returns c as one of them.
func (n *newcomers) add(c net.Conn) net.Conn {
	w := &conn{c, n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		_ = c.Close()
		return w
	}
	if n.conns == nil {
		n.conns = make(map[*conn]struct{})
	}
	n.conns[w] = struct{}{}
	return w
}

func (n *newcomers) remove(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// close closes all, and those that are added later.
func (n *newcomers) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for c := range n.conns {
		_ = c.Conn.Close()
	}
}

// conn tells when the server knows its client: it sets a deadline when it begins with a connection, and takes it away then (handleRawConn in
// grpc-go's server.go).
type conn struct {
	net.Conn
	newcomers *newcomers
}

// SetDeadline is the connection's.
func (c *conn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.newcomers.remove(c)
	}
	return c.Conn.SetDeadline(t)
}

// Close is the connection's.
func (c *conn) Close() error {
	c.newcomers.remove(c)
	return c.Conn.Close()
}

// NetConn returns the connection, for whoever looks below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// SyscallConn is the socket's, for what grpc-go sets and says of it.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
