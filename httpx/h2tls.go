package httpx

import (
	"crypto/tls"
	"net"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// tlsH2Conn is an h2Conn with TLS, as the HTTP/2 server recognises one: by its
// method ConnectionState.
type tlsH2Conn struct {
	*h2Conn
	shown *tls.Conn // what net/http and the program know
	state func() tls.ConnectionState
}

// secure follows a connection with TLS, of which the client's preface has not been read unless it has come from an older generation. It can move if
// the group's do.
func (h *h2Conns) secure(c *tls.Conn) *tlsH2Conn {
	switch below := c.NetConn().(type) {
	case *standIn:
		return h.movable(c, below.conn)
	case *tlswatch.Conn:
		if l, ok := below.Owner.(*handshakes); ok && l.stays(c.ConnectionState()) == "" {
			return h.movable(c, l.wrap(c, l.keysOf(c, below)))
		}
	}
	hc := newPlainH2Conn(c)
	hc.in.Skip = len(http2.ClientPreface)
	return &tlsH2Conn{h2Conn: hc, shown: c, state: c.ConnectionState}
}

func (h *h2Conns) movable(shown *tls.Conn, c *secureConn) *tlsH2Conn {
	hc := newPlainH2Conn(c)
	if c.reader.came == nil {
		hc.in.Skip = len(http2.ClientPreface)
	}
	hc.mayMove(&c.reader, h)
	return &tlsH2Conn{h2Conn: hc, shown: shown, state: c.ConnectionState}
}

// ConnectionState is that of TLS.
func (c *tlsH2Conn) ConnectionState() tls.ConnectionState { return c.state() }

// NetConn is that of the *tls.Conn.
func (c *tlsH2Conn) NetConn() net.Conn { return c.shown.NetConn() }

func (c *tlsH2Conn) visible() net.Conn { return c.shown }

var _ stateful = (*tlsH2Conn)(nil)
