package listener_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// What a client has sent before the deadline is answered, although the server
// had not begun to read it: Drain shuts down the receiving side first.
func TestRequestInTheKernelIsAnsweredAtTheDeadline(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := listener.New(raw(t, network), listener.Options{})
			server, client := pair(t, ln, to(ln))
			if _, err := io.WriteString(client, "request"); err != nil {
				t.Fatal(err)
			}
			drained := make(chan listener.Result, 1)
			go func() { drained <- ln.Drain(expired()) }()
			waitShut(t, server)
			got, err := io.ReadAll(server)
			if string(got) != "request" || !errors.Is(err, listener.ErrCut) {
				t.Errorf("the server reads %q, %v, want the request, and that the connection is cut", got, err)
			}
			if _, err := io.WriteString(server, "answer"); err != nil {
				t.Error(err)
			}
			server.Close()
			if got, err := io.ReadAll(client); string(got) != "answer" || err != nil {
				t.Errorf("the client reads %q, %v, want the answer", got, err)
			}
			if r := within(t, drained, "Drain"); r.Cut != 1 || r.Ended != 0 || r.Took > time.Second {
				t.Errorf("Drain = %+v, want 1 cut at once", r)
			}
		})
	}
}

// waitShut waits until the receiving side of c is shut down, and reads nothing.
func waitShut(t *testing.T, c net.Conn) {
	t.Helper()
	rc, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	events := []unix.PollFd{{Events: unix.POLLRDHUP}}
	if err := rc.Control(func(fd uintptr) {
		events[0].Fd = int32(fd)
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			_, err = unix.Poll(events, 10_000)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || events[0].Revents&unix.POLLRDHUP == 0 {
		t.Fatalf("poll = %v, events %#x, want POLLRDHUP", err, events[0].Revents)
	}
}
