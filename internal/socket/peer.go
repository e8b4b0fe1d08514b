package socket

import (
	"fmt"
	"net"
	"syscall"
)

// Peer is the process at the other end of a Unix socket: of a client, that which listened; of a listener, that
// which connected. The kernel says so, and nobody else can.
type Peer struct {
	UID int
	PID int // 0 where the system does not tell it, or the process cannot be seen from this PID namespace
}

// PeerOf returns who is at the other end of a connection on a Unix socket. The error wraps errors.ErrUnsupported where
// the platform does not tell.
func PeerOf(c net.Conn) (Peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Peer{}, fmt.Errorf("%T is no socket", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var peerErr error
	if err := raw.Control(func(fd uintptr) { p.UID, p.PID, peerErr = identify(int(fd)) }); err != nil {
		return Peer{}, err
	}
	return p, peerErr
}
