package listener_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

func TestTLSListener(t *testing.T) {
	serverTLS, clientTLS := certificates(t)
	ln := listener.New(raw(t, "tcp"), listener.Options{Group: "secure"})
	over := listener.NewTLS(ln, serverTLS)
	server, client := pair(t, over, to(ln))
	if _, ok := server.(*tls.Conn); !ok {
		t.Fatalf("Accept returned a %T, want *tls.Conn", server)
	}
	conn, ok := listener.FromConn(server)
	if !ok || conn.Group() != "secure" {
		t.Fatalf("FromConn = %v, %v, want a connection of group secure", conn, ok)
	}
	if _, ok := conn.NetConn().(*net.TCPConn); !ok {
		t.Errorf("NetConn is a %T, want *net.TCPConn", conn.NetConn())
	}
	go func() {
		io.Copy(server, server)
		server.Close()
	}()
	secure := tls.Client(client, clientTLS)
	if _, err := io.WriteString(secure, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := secure.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(secure); string(got) != "hello" || err != nil {
		t.Errorf("echo = %q, %v, want hello", got, err)
	}
	if r := ln.Drain(t.Context()); r.Cut != 0 {
		t.Errorf("Drain = %+v, want nothing cut: closing the *tls.Conn ends the connection", r)
	}
	if c, err := over.Accept(); c != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, %v, want nil, net.ErrClosed", c, err)
	}
}

// Protocols that nobody serves are not offered by a later configuration either, and whoever has been accepted before it keeps the one that
// was there.
func TestTLSListenerReplaces(t *testing.T) {
	serverTLS, clientTLS := certificates(t)
	serverTLS.NextProtos = []string{"h2", "http/1.1"}
	later := serverTLS.Clone()
	later.NextProtos = []string{"h2", "late", "http/1.1"}
	over := listener.NewTLS(listener.New(raw(t, "tcp"), listener.Options{Group: "secure"}), serverTLS)
	over.Drop("h2")
	before, beforeClient := pair(t, over, to(over.Listener))
	over.Replace(later)
	after, afterClient := pair(t, over, to(over.Listener))
	clientTLS.NextProtos = []string{"h2", "late", "http/1.1"}
	for want, c := range map[string][2]net.Conn{"http/1.1": {before, beforeClient}, "late": {after, afterClient}} {
		served := make(chan error, 1)
		go func() { served <- c[0].(*tls.Conn).Handshake() }()
		client := tls.Client(c[1], clientTLS)
		if err := errors.Join(client.Handshake(), <-served); err != nil {
			t.Fatal(err)
		}
		if got := client.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("negotiated %q, want %q", got, want)
		}
	}
}
