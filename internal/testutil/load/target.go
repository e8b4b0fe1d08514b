package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// Target is where a client's server listens.
type Target struct {
	// Network is "tcp" (or "tcp4", "tcp6") or "unix". Required.
	Network string

	// Address is host:port, or the path of a Unix socket. Required.
	Address string

	// TLS, if not nil, makes the client speak TLS. Its ServerName defaults to
	// the host of Address; NextProtos is set by the client.
	TLS *tls.Config
}

// String returns the target as "tcp://127.0.0.1:80", with "+tls" after the
// network if TLS is spoken.
func (t Target) String() string {
	if t.TLS != nil {
		return t.Network + "+tls://" + t.Address
	}
	return t.Network + "://" + t.Address
}

func (t Target) validate() error {
	switch t.Network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return fmt.Errorf("target %v: network is not tcp or unix", t)
	}
	if t.Address == "" {
		return fmt.Errorf("target %v: no address", t)
	}
	return nil
}

// host returns what goes into a Host header.
func (t Target) host() string {
	if t.Network == "unix" {
		return "localhost"
	}
	return t.Address
}

// dial opens a connection and, with TLS, finishes the handshake, offering the
// application protocol alpn.
func (t Target) dial(ctx context.Context, alpn string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, t.Network, t.Address)
	if err != nil || t.TLS == nil {
		return conn, err
	}
	secure := tls.Client(conn, t.tlsConfig(alpn))
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS handshake with %v: %w", t, err)
	}
	return secure, nil
}

func (t Target) tlsConfig(alpn string) *tls.Config {
	c := t.TLS.Clone()
	c.NextProtos = []string{alpn}
	if c.ServerName == "" {
		c.ServerName = "localhost"
		if host, _, err := net.SplitHostPort(t.Address); err == nil && host != "" {
			c.ServerName = host
		}
	}
	return c
}
