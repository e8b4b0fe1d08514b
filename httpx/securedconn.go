package httpx

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// secureConn is a connection over TLS 1.3 that moves. In HTTP/1.1 it is for net/http, which takes the state of TLS from it (connectionStater in server.go,
// go1.25), and lies above TLS: only there it can be seen whether net/http has something in its buffer. In HTTP/2 it is for the server of that.
type secureConn struct {
	secureLayer
	ln     *listener.Listener
	sock   listener.Conn
	reader reader
}

// secureLayer is a *tls.Conn, or a *tlsrec.Conn where the handshake was made by an older generation.
type secureLayer interface {
	net.Conn
	CloseWrite() error
	ConnectionState() tls.ConnectionState
	NetConn() net.Conn
}

// wrap returns a connection that moves with its keys. c is a layer over one of the listener's.
func (l *secured) wrap(c secureLayer, cargo listener.Cargo) *secureConn {
	below, _ := listener.FromConn(c)
	sc := &secureConn{secureLayer: c, ln: l.Listener, sock: below}
	sc.reader.prepare(below, l.server)
	sc.reader.batch = nil // below TLS, by SetActivity
	sc.reader.InitSealed(c, below, cargo, sc.reader.isIdle)
	return sc
}

func (c *secureConn) Read(b []byte) (int, error)        { return c.reader.Read(b) }
func (c *secureConn) SetReadDeadline(t time.Time) error { return c.reader.SetReadDeadline(t) }
func (c *secureConn) SetDeadline(t time.Time) error     { return c.reader.SetDeadline(t) }

// NetConn returns the layer, as that of a wrapper does.
func (c *secureConn) NetConn() net.Conn { return c.secureLayer }

func (c *secureConn) visible() net.Conn                  { return c.secureLayer }
func (c *secureConn) hijacked() (*reader, listener.Conn) { return &c.reader, c.sock }
func (c *secureConn) moves() bool                        { return c.ln.MovesBy(listener.SealedWay) && !c.reader.IsRefused() }

// setState also says what a *tls.Conn would have said for it by hookConnState: the bytes of requests that are sent at once are counted
// below TLS.
func (c *secureConn) setState(s http.ConnState) {
	c.reader.setState(s)
	listener.SetActivity(c.sock, activityOf(s))
}
