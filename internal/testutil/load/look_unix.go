//go:build unix

package load

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// lookFor is how long look waits for what pending has seen.
const lookFor = time.Second

// pending reports, without waiting, whether conn's socket has data or an end
// of file to read. A reset is returned as the error, because the system tells
// of it only once: the next read would find an end of file.
func pending(conn net.Conn) (something bool, err error) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, err
	}
	var b [1]byte
	var peeked error
	err = raw.Control(func(fd uintptr) {
		_, _, peeked = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	})
	if err != nil {
		return false, err
	}
	if errors.Is(peeked, syscall.EAGAIN) {
		return false, nil
	}
	return true, peeked
}
