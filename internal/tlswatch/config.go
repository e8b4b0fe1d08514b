package tlswatch

import (
	"crypto/sha256"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// watch is what the connections of one Config have in common.
type watch struct {
	base *tls.Config

	mu    sync.Mutex // guards what follows; taken after a Conn's
	used  map[*Conn]struct{}
	timer *time.Timer // runs while there are some
}

// Config returns base with what tells each [Conn] the secrets of its connection. base stays as it is, and goes on deciding:
// its GetConfigForClient, GetCertificate, VerifyConnection and KeyLogWriter are called as ever. Connections that are not
// over a Conn (which is looked for through NetConn) are served by base. So are the others, by clones of it: what is
// changed in the result, as [net/http.Server.ServeTLS] does, counts for none, and keys for session tickets are to be set in
// base, where later ones count too. If this process moves nothing ([Err]), the result is base itself.
func Config(base *tls.Config) *tls.Config {
	if Err() != nil {
		return base
	}
	w := &watch{base: base, used: make(map[*Conn]struct{})}
	config := base.Clone()
	config.GetConfigForClient = w.configFor
	return config
}

// configFor is GetConfigForClient. A connection needs a configuration of its own: a KeyLogWriter is not told whose line it gets.
// Being returned here, the clone leaves the automatic keys for session tickets where they are (common.go:1083 of Go 1.26).
func (w *watch) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	config := w.base
	if w.base.GetConfigForClient != nil {
		own, err := w.base.GetConfigForClient(hello)
		if err != nil {
			return nil, err
		}
		if own != nil {
			config = own
		}
	}
	c := find(hello.Conn)
	if moving := Err() == nil; c == nil || !moving || !c.begins(w) {
		return config, nil
	}
	h := &hooks{conn: c, program: config}
	clone := config.Clone()
	clone.GetConfigForClient = nil
	clone.KeyLogWriter = h
	clone.VerifyConnection = h.verify
	clone.GetCertificate = h.certificate
	clone.Certificates = nil // so that GetCertificate is always asked
	return clone, nil
}

// find returns the Conn at or below conn, or nil.
func find(conn net.Conn) *Conn {
	for conn != nil {
		if c, ok := conn.(*Conn); ok {
			return c
		}
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = layer.NetConn()
	}
	return nil
}

// begins is called with a ClientHello. There is one a connection; a second one says that tls.Conns were put into each other.
func (c *Conn) begins(w *watch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch != nil || c.why != "" {
		c.lose(tlsrec.Lost)
		return false
	}
	c.watch, c.keys = w, new(keys)
	return true
}

// hooks are what crypto/tls calls in a handshake. It is not called afterwards, and stays with the connection.
type hooks struct {
	conn    *Conn
	program *tls.Config
}

// Write takes a line of the key log.
func (h *hooks) Write(line []byte) (int, error) {
	h.conn.mu.Lock()
	if h.conn.keys != nil {
		h.conn.keys.learn(line)
	}
	h.conn.mu.Unlock()
	if h.program.KeyLogWriter != nil {
		return h.program.KeyLogWriter.Write(line)
	}
	return len(line), nil
}

// verify learns what the handshake has come to.
func (h *hooks) verify(cs tls.ConnectionState) error {
	h.conn.mu.Lock()
	h.conn.established(cs)
	h.conn.mu.Unlock()
	if h.program.VerifyConnection != nil {
		return h.program.VerifyConnection(cs)
	}
	return nil
}

func (s *session) established(cs tls.ConnectionState) {
	switch {
	case cs.Version < tls.VersionTLS13:
		s.lose(tlsrec.Version)
	case len(cs.PeerCertificates) > 0:
		s.lose(tlsrec.ClientCertificate)
	case len(cs.ServerName) > 255 || len(cs.NegotiatedProtocol) > 255:
		s.lose(tlsrec.TooLong)
	}
	leaf := s.state.Leaf
	s.state = tlsrec.State{
		Suite: cs.CipherSuite, ServerName: cs.ServerName, NegotiatedProtocol: cs.NegotiatedProtocol,
		DidResume: cs.DidResume, ECHAccepted: cs.ECHAccepted, CurveID: cs.CurveID,
		HandshakeAt: time.Now().Round(0), Leaf: leaf,
	}
}

// certificate chooses as [tls.Config] would, and remembers what it has chosen.
func (h *hooks) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := choose(h.program, hello)
	if cert != nil && len(cert.Certificate) > 0 {
		h.conn.mu.Lock()
		h.conn.state.Leaf = sha256.Sum256(cert.Certificate[0])
		h.conn.mu.Unlock()
	}
	return cert, err
}
