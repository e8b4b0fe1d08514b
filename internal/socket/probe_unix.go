//go:build unix

package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Probe returns the error that Listen would return for an address, and listens on
// nothing: no client can meet a socket that nobody accepts on. The error wraps the
// system's, syscall.EADDRINUSE where somebody else has the address. For the path of
// a Unix socket it changes no file, and connects to a socket that is there already.
func Probe(network, address string) error {
	var err error
	switch {
	case network == "unix" && isAbstract(address):
		err = probeBind(unix.AF_UNIX, &unix.SockaddrUnix{Name: address})
	case network == "unix":
		err = probePath(address)
	default:
		err = probeTCP(network, address)
	}
	if err != nil {
		return fmt.Errorf("listen %s %s: %w", network, address, err)
	}
	return nil
}

func probePath(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return probeFile(path, info)
}

// probeFile returns nil where the file at path is a socket that nobody answers on.
func probeFile(path string, info fs.FileInfo) error {
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("the file is no socket (%v): %w", info.Mode(), syscall.EADDRINUSE)
	}
	c, err := net.DialTimeout("unix", path, probeTimeout)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("another process answers on it: %w", syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}

// probeTCP binds as the net package does: without a host to all addresses of both
// families, where there are two.
func probeTCP(network, address string) error {
	addr, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return err
	}
	if ip4 := addr.IP.To4(); ip4 != nil || network == "tcp4" {
		sa := &unix.SockaddrInet4{Port: addr.Port}
		copy(sa.Addr[:], ip4)
		return probeBind(unix.AF_INET, sa)
	}
	sa := &unix.SockaddrInet6{Port: addr.Port}
	copy(sa.Addr[:], addr.IP.To16())
	if addr.Zone != "" {
		iface, err := net.InterfaceByName(addr.Zone)
		if err != nil {
			return err
		}
		sa.ZoneId = uint32(iface.Index)
	}
	err = probeBind(unix.AF_INET6, sa)
	if addr.IP == nil && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		return probeBind(unix.AF_INET, &unix.SockaddrInet4{Port: addr.Port}) // a machine without IPv6
	}
	return err
}

// probeBind binds a socket, and closes it.
func probeBind(family int, sa unix.Sockaddr) error {
	syscall.ForkLock.RLock() // SOCK_CLOEXEC does not exist on macOS
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := setProbeOptions(fd, family, sa); err != nil {
		return err
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// setProbeOptions sets what the net package sets on a socket that is to listen.
func setProbeOptions(fd, family int, sa unix.Sockaddr) error {
	if family == unix.AF_UNIX {
		return nil
	}
	if in6, ok := sa.(*unix.SockaddrInet6); ok {
		only := 0
		if in6.Addr != [16]byte{} {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
}
