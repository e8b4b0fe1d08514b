//go:build unix

package listener_test

import (
	"errors"
	"io"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// At a stop, half of a request may wait in the socket of a connection that looks idle. The client gets to say the other half, and
// the connection ends when it is idle again.
func TestHalfOfARequestAtAStop(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, reads := range []bool{true, false} { // by an IdleReader, or past it
			ln := generation(t, network)
			server, client := pair(t, ln, to(ln))
			in := io.Reader(server)
			if reads {
				r := new(listener.IdleReader)
				r.Init(server.(listener.Conn), func(int) bool { return true })
				in = r
			}
			send(t, client, "a")
			exact(t, in, "a")
			send(t, client, "ha")
			ln.CloseIdle()
			listener.SetActivity(server, listener.Idle)
			ln.StopAccepting()
			exact(t, in, "ha")
			send(t, client, "lf")
			exact(t, in, "lf")
			listener.SetActivity(server, listener.Idle)
			if n, err := in.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: Read = %d, %v, want io.EOF", network, n, err)
			}
			server.Close()
		}
	}
}

func exact(t *testing.T, in io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(in, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
}
