package listener_test

import (
	"net"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// A connection costs one allocation more than a raw one: the struct around the
// socket.
func TestAllocations(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		plain := raw(t, network)
		gozd := listener.New(raw(t, network), listener.Options{})
		want := testing.AllocsPerRun(200, func() { acceptAndClose(t, plain) }) + 1
		if got := testing.AllocsPerRun(200, func() { acceptAndClose(t, gozd) }); got > want {
			t.Errorf("%s: %v allocations for a connection, want at most %v", network, got, want)
		}
	}
}

func acceptAndClose(tb testing.TB, ln net.Listener) {
	tb.Helper()
	client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	server.Close()
	client.Close()
}

func BenchmarkAcceptAndClose(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		ln := raw(b, "unix")
		for b.Loop() {
			acceptAndClose(b, ln)
		}
	})
	b.Run("gozd", func(b *testing.B) {
		ln := listener.New(raw(b, "unix"), listener.Options{})
		for b.Loop() {
			acceptAndClose(b, ln)
		}
	})
}
