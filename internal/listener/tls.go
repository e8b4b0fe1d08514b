package listener

import (
	"crypto/tls"
	"net"
	"slices"
)

// TLSListener is a [Listener] whose Accept returns *tls.Conn, as that of
// tls.NewListener does. TLS is outside and the gozd connection inside: net/http
// asserts *tls.Conn, and [FromConn] finds the Conn below it.
type TLSListener struct {
	*Listener
	config *tls.Config
}

// NewTLS returns a listener that speaks TLS over the connections of l. config
// must hold a certificate, and is the listener's from then on; see Drop. The handshake is
// made by the first Read or Write, never by Accept.
func NewTLS(l *Listener, config *tls.Config) *TLSListener {
	return &TLSListener{Listener: l, config: config}
}

// Drop offers clients some protocols no longer (ALPN), as nobody serves them: a client that may speak one of them would, and wait for an
// answer. It is called before the first Accept.
func (l *TLSListener) Drop(protocols ...string) {
	l.config.NextProtos = slices.DeleteFunc(slices.Clone(l.config.NextProtos), func(p string) bool {
		return slices.Contains(protocols, p)
	})
}

// Accept is [Listener.Accept], with TLS around the connection.
func (l *TLSListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err // as is: net/http asserts err.(net.Error)
	}
	return tls.Server(c, l.config), nil
}
