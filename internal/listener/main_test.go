package listener_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// roles are what the test binary does when a test runs it again.
var roles = make(map[string]func())

func TestMain(m *testing.M) { reexec.Main(m, roles) }

// raw is a listener as a program has it.
func raw(tb testing.TB, network string) net.Listener {
	tb.Helper()
	return loopback.Listen(tb, network)
}

// pair returns both sides of a connection of ln, which any net.Listener that
// dial reaches can be. Both are closed at the end of the test.
func pair(tb testing.TB, ln net.Listener, dial func() (net.Conn, error)) (server, client net.Conn) {
	tb.Helper()
	dialed := make(chan net.Conn, 1)
	go func() { // in memory, Dial waits for Accept
		c, _ := dial()
		dialed <- c
	}()
	server, err := ln.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	if client = <-dialed; client == nil {
		tb.Fatal("dial failed")
	}
	tb.Cleanup(func() {
		server.Close()
		client.Close()
	})
	return server, client
}

// to returns a dial function for ln's address.
func to(ln net.Listener) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.Dial(ln.Addr().Network(), ln.Addr().String()) }
}

// inMemory returns a Listener over an in-memory one.
func inMemory(opts listener.Options) (*listener.Listener, *memnet.Listener) {
	mem := memnet.Listen()
	return listener.New(mem, opts), mem
}

// expired returns a context whose deadline has passed.
func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// accept runs Accept, and sends its error or closes its connection. A
// connection is a nil error.
func accept(ln net.Listener) <-chan error {
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			c.Close()
		}
		done <- err
	}()
	return done
}

// within fails the test if c gives nothing for 30 seconds.
func within[T any](tb testing.TB, c <-chan T, what string) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		tb.Fatalf("%s: nothing for 30 seconds", what)
	}
	return v
}

// certificates returns the two sides' TLS configurations.
func certificates(tb testing.TB) (server, client *tls.Config) {
	tb.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{Certificates: srv.TLS.Certificates}, &tls.Config{RootCAs: roots, ServerName: "example.com"}
}
