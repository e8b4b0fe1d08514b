//go:build unix

package upgrade

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// dupListener returns a duplicate of ln's descriptor, closed on exec.
func dupListener(ln Listener) (fd int, err error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = raw.Control(func(n uintptr) { fd, dupErr = dupDescriptor(int(n)) })
	return fd, errors.Join(err, dupErr)
}

func dupDescriptor(fd int) (int, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return dup, os.NewSyscallError("fcntl", err)
}

// listenerOf returns a listener on the socket, and leaves fd alone.
func listenerOf(fd int) (net.Listener, error) {
	dup, err := dupDescriptor(fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "listener")
	defer func() { _ = f.Close() }()
	return net.FileListener(f)
}

func closeDescriptor(fd int) { _ = unix.Close(fd) }
