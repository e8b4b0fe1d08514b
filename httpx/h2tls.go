package httpx

import (
	"crypto/tls"
	"net"

	"golang.org/x/net/http2"
)

// tlsH2Conn is an h2Conn with TLS, as the HTTP/2 server recognises one: by its
// method ConnectionState.
type tlsH2Conn struct {
	*h2Conn
	tls *tls.Conn
}

func newTLSH2Conn(c *tls.Conn) *tlsH2Conn {
	hc := newPlainH2Conn(c)
	hc.in.Skip = len(http2.ClientPreface)
	return &tlsH2Conn{hc, c}
}

// ConnectionState is that of the *tls.Conn.
func (c *tlsH2Conn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// NetConn is that of the *tls.Conn.
func (c *tlsH2Conn) NetConn() net.Conn { return c.tls.NetConn() }

var _ stateful = (*tlsH2Conn)(nil)
