// Package loopback has sockets of this machine for tests.
package loopback

import (
	"net"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// Listen listens on the loopback address if network is "tcp", and on a Unix socket if
// it is "unix", until the test is over.
func Listen(tb testing.TB, network string) net.Listener {
	tb.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(shortdir.Make(tb), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	return ln
}

// Pair returns both sides of a connection. Both are closed at the end of the test.
func Pair(tb testing.TB, network string) (server, client net.Conn) {
	tb.Helper()
	ln := Listen(tb, network)
	defer func() { _ = ln.Close() }()
	client, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	if server, err = ln.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = server.Close() })
	return server, client
}
