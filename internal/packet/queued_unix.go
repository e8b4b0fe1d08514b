//go:build unix

package packet

import (
	"errors"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// isQueued reports whether a datagram waits to be read.
func isQueued(s socket.Packets) bool {
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	_ = raw.Control(func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		is = err == nil || !errors.Is(err, unix.EAGAIN)
	})
	return is
}
