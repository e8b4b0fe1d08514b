package httpx

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// standIn lies below a *tls.Conn that stands for a connection of HTTP/2 from an older generation. net/http serves HTTP/2 over TLS only on a *tls.Conn, and
// does all that belongs to a connection, from its place in Shutdown to the program's hooks. Nothing goes through that *tls.Conn but a
// handshake within this process, by which it knows the protocol. The HTTP/2 server speaks by conn.
type standIn struct {
	net.Conn // a pipe, for the handshake
	conn     *secureConn
	shook    atomic.Bool // the handshake is over
}

// newStandIn returns the *tls.Conn for c. It closes nothing, also after an error.
func newStandIn(c *secureConn) (*tls.Conn, error) {
	conf, err := standInConfig()
	if err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	s := &standIn{Conn: server, conn: c}
	tc := tls.Server(s, conf)
	failed := make(chan error, 1)
	go func() {
		err := tls.Client(client, &tls.Config{
			NextProtos: conf.NextProtos, ServerName: c.ConnectionState().ServerName, MinVersion: tls.VersionTLS13, CurvePreferences: conf.CurvePreferences,
			InsecureSkipVerify: true, //nolint:gosec // the other end is ours, a line above
		}).Handshake()
		if err != nil {
			_ = client.Close() // the other end would wait
		}
		failed <- err
	}()
	err = tc.Handshake()
	if err != nil {
		_ = client.Close()
	}
	if clientErr := <-failed; err == nil {
		err = clientErr
	}
	if err != nil {
		return nil, fmt.Errorf("httpx: going on with HTTP/2: %w", err)
	}
	s.shook.Store(true)
	return tc, nil
}

// standInConfig returns the server's, of which the certificate is seen by nobody.
var standInConfig = sync.OnceValues(func() (*tls.Config, error) {
	cert, err := tlswatch.Certificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{cert},
		NextProtos:             []string{http2.NextProtoTLS},
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519}, // others cost more, for nobody's good
		SessionTicketsDisabled: true,
		Renegotiation:          tls.RenegotiateOnceAsClient, // means nothing for a server, but that ExportKeyingMaterial is an error
	}, nil
})

// Write says nothing to anybody once the handshake is over: the *tls.Conn writes a close_notify, which is conn's to write.
func (s *standIn) Write(b []byte) (int, error) {
	if s.shook.Load() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

// SetDeadline is that of conn, once the handshake is over.
func (s *standIn) SetDeadline(t time.Time) error {
	return s.set(s.Conn.SetDeadline, s.conn.SetDeadline, t)
}

// SetReadDeadline is that of conn.
func (s *standIn) SetReadDeadline(t time.Time) error {
	return s.set(s.Conn.SetReadDeadline, s.conn.SetReadDeadline, t)
}

// SetWriteDeadline is that of conn.
func (s *standIn) SetWriteDeadline(t time.Time) error {
	return s.set(s.Conn.SetWriteDeadline, s.conn.SetWriteDeadline, t)
}

// set sets a deadline: of a handshake, or by net/http and the program, which know the *tls.Conn.
func (s *standIn) set(shaking, shook func(time.Time) error, t time.Time) error {
	if s.shook.Load() {
		return shook(t)
	}
	return shaking(t)
}

// Close closes conn.
func (s *standIn) Close() error {
	_ = s.Conn.Close()
	return s.conn.Close()
}

// NetConn returns conn.
func (s *standIn) NetConn() net.Conn { return s.conn }

// LocalAddr is that of conn.
func (s *standIn) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// RemoteAddr is that of conn.
func (s *standIn) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }
