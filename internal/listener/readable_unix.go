//go:build unix

package listener

import (
	"net"
	"os"
	"syscall"
)

// waitReadable waits until c has something to read, without reading it. The error
// is io.EOF when the other side has closed.
func waitReadable(c net.Conn) error {
	raw, err := rawConn(c)
	if err != nil {
		return err
	}
	var found error
	err = raw.Read(func(fd uintptr) bool {
		found = peekFD(fd)
		return found != syscall.EAGAIN //nolint:errorlint // straight from the system call
	})
	if err != nil {
		return err
	}
	return found
}

// peek reports whether c has something to read at this moment.
func peek(c net.Conn) (bool, error) {
	raw, err := rawConn(c)
	if err != nil {
		return false, err
	}
	var found error
	err = raw.Control(func(fd uintptr) { found = peekFD(fd) })
	return err == nil && found == nil, err
}

func rawConn(c net.Conn) (syscall.RawConn, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil, os.ErrInvalid
	}
	return s.SyscallConn()
}

// peekFD returns nil when there is something to read, io.EOF at the end, EAGAIN
// when there is nothing yet, and else what is wrong with the connection.
func peekFD(fd uintptr) error {
	var b [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return errEOF
		}
		return nil
	}
}
