package server

import (
	"errors"
	"net"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// roomTime is how long a client that could not be accepted is waited for again once
// there is room: it is still in the queue, unless it has gone away.
const roomTime = 100 * time.Millisecond

// listener accepts also where clients of the daemon have taken all descriptors.
type listener struct {
	socket.Listener
	room func() (done func())
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if l.room == nil || !errors.Is(err, syscall.EMFILE) {
		return c, err
	}
	if c := l.acceptInRoom(); c != nil {
		return c, nil
	}
	return nil, err // net/http tries again a little later
}

func (l *listener) acceptInRoom() net.Conn {
	defer l.room()()
	d, ok := l.Listener.(interface{ SetDeadline(t time.Time) error })
	if !ok || d.SetDeadline(time.Now().Add(roomTime)) != nil {
		return nil
	}
	c, err := l.Listener.Accept()
	_ = d.SetDeadline(time.Time{})
	if err != nil {
		return nil
	}
	return c
}
