//go:build unix

package socket

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// FromFile returns the socket that f is: a [Listener] on one of streams, [Packets] on one of datagrams. Others are an
// error. It has a descriptor of its own; f stays the caller's. Closing it removes no file.
func FromFile(f *os.File) (Socket, error) {
	kind, err := kindOf(f)
	switch {
	case err != nil:
		return nil, err
	case kind == unix.SOCK_DGRAM:
		conn, err := net.FilePacketConn(f)
		if err != nil {
			return nil, err
		}
		return packets(conn)
	case kind != unix.SOCK_STREAM:
		return nil, fmt.Errorf("a socket of type %d is neither one of streams nor one of datagrams: %w", kind, errors.ErrUnsupported)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	l, ok := ln.(Listener)
	if !ok {
		_ = ln.Close()
		return nil, fmt.Errorf("%T is no socket", ln)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return l, nil
}

// kindOf returns a socket's type, as socket(2) has it: the net package would take one of datagrams for a listener.
func kindOf(f *os.File) (kind int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var optErr error
	err = raw.Control(func(fd uintptr) { kind, optErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE) })
	return kind, cmp.Or(err, os.NewSyscallError("getsockopt", optErr))
}
