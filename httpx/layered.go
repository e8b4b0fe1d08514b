package httpx

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// layered is a listener of the program's or a library's around one of ours: it limits, counts, reads PROXY
// headers, or speaks TLS.
type layered struct {
	net.Listener
	ln     *listener.Listener // what it is over
	server *Server
}

// Accept returns the next connection, of a type that knows when it is idle where that is to be had. What speaks TLS stays what it
// is, for net/http.
func (l *layered) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err // as is: net/http asserts err.(net.Error)
	}
	below, ok := listener.FromConn(c)
	if !ok {
		l.ln.Hidden(c)
		return c, nil
	}
	if _, secure := c.(interface{ ConnectionState() tls.ConnectionState }); secure {
		return c, nil
	}
	lc := &layeredConn{Conn: c}
	lc.reader.prepare(below, l.server)
	lc.reader.from = &lc.layer
	lc.layer.Init(c, below, lc.reader.isIdle)
	return lc, nil
}

// layeredConn is a connection of a layer, over one of ours.
type layeredConn struct {
	net.Conn // the layer's
	reader   reader
	layer    listener.Layer
}

func (c *layeredConn) Read(b []byte) (int, error) { return c.reader.Read(b) }

// SetReadDeadline is the layer's, and followed.
func (c *layeredConn) SetReadDeadline(t time.Time) error {
	c.reader.followDeadline()
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline is the layer's, and followed.
func (c *layeredConn) SetDeadline(t time.Time) error {
	c.reader.followDeadline()
	return c.Conn.SetDeadline(t)
}

// NetConn returns the layer's connection.
func (c *layeredConn) NetConn() net.Conn { return c.Conn }

func (c *layeredConn) Write(b []byte) (int, error)         { return c.layer.Write(b) }
func (c *layeredConn) ReadFrom(r io.Reader) (int64, error) { return c.layer.ReadFrom(r) }

// CloseWrite is the layer's, if it has one.
func (c *layeredConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *layeredConn) setState(s http.ConnState) {
	c.reader.follow(s)
	if s == http.StateHijacked {
		c.retire()
	}
}

func (c *layeredConn) visible() net.Conn { return c.Conn }
func (c *layeredConn) retire()           { c.layer.Retire() }
func (c *layeredConn) moves() bool {
	return c.layer.IsClear() && !c.layer.IsBehind() && !c.layer.IsRefused()
}
