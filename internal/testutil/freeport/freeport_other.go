//go:build !linux

package freeport

import (
	"net"
	"testing"
)

// Address returns 127.0.0.1 with a port that nobody has yet. On Linux it stays so.
func Address(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}
