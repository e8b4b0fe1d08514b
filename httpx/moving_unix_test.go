//go:build unix

package httpx_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// lateHeir uses a connection before it is known that it has taken it.
type lateHeir struct {
	next    *listener.Listener
	release chan struct{}
}

func (lateHeir) Takes(string) bool { return true }

func (h lateHeir) Move(key string, state []byte, s syscall.Conn) error {
	c, err := succession.Duplicate(s)
	if err != nil {
		return err
	}
	answered, err := h.next.Arrivals().Reserve(key, c, state)
	if err != nil {
		return err
	}
	answered(nil)
	<-h.release
	return nil
}

// At the deadline the receiving side of what is open is shut down: not of a socket that may be the successor's already.
func TestDeadlineSparesWhatIsMoving(t *testing.T) {
	old := newGeneration(t, "tcp", &http.Server{Handler: by("old")})
	next := newGeneration(t, "tcp", &http.Server{Handler: by("new")})
	c := newClient1(old.client(t).Conn)
	c.wantPost(t, "old", "x")
	release := make(chan struct{})
	old.MoveIdle(lateHeir{next.Listener, release})
	old.Drain(deadline(t, 100*time.Millisecond))
	c.wantPost(t, "new", "y")
	close(release)
}
