package fcgix_test

import (
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The last answer and the end of the connection are one segment: a web server
// that sees the answer sees the end too, and sends nothing more.
func TestAnswerAndEndAreOneSegment(t *testing.T) {
	for range 20 {
		begun, ready := make(chan struct{}), make(chan struct{})
		s := onSocket(t, "tcp", func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-ready
			io.WriteString(w, "answer")
		})
		c := s.client(t)
		c.send(request(1, true, "/", nil))
		<-begun
		s.StopAccepting()
		events := waitReadable(t, c.Conn.(syscall.Conn), ready)
		if events&unix.POLLRDHUP == 0 {
			t.Fatalf("the answer arrived with events %#x, want POLLRDHUP among them", events)
		}
		c.want(t, 1, "answer")
		c.wantEOF(t)
		c.Close()
	}
}

// waitReadable closes ready, waits until c can be read, and returns what poll
// says then.
func waitReadable(t *testing.T, c syscall.Conn, ready chan<- struct{}) int16 {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	events := []unix.PollFd{{Events: unix.POLLIN | unix.POLLRDHUP}}
	if err := rc.Control(func(fd uintptr) {
		events[0].Fd = int32(fd)
		close(ready)
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			_, err = unix.Poll(events, 10_000)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return events[0].Revents
}
