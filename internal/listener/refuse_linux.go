package listener

import (
	"math"
	"net"
	"syscall"
)

// refuseNew has the kernel refuse new connections to ln, while those that are in its queue, or
// shake hands, stay: the queue only becomes shorter. An error is of no consequence: then Accept goes on until
// nobody has come for a moment.
func refuseNew(ln net.Listener) {
	switch ln := ln.(type) {
	case *net.TCPListener:
		control(ln, bindToNothing)
	case *net.UnixListener:
		control(ln, shutdownReading)
	}
}

func control(s syscall.Conn, f func(fd int)) {
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { f(int(fd)) })
}

// shutdownReading refuses whoever connects from now on, whatever name the socket has. Accept returns the
// queue, and then EINVAL (unix_stream_connect and unix_accept in net/unix/af_unix.c).
func shutdownReading(fd int) { _ = syscall.Shutdown(fd, syscall.SHUT_RD) }

const (
	soBindToIfindex = 62 // SO_BINDTOIFINDEX, which package syscall does not have; the same on all of Go's architectures
	noInterface     = math.MaxInt32
)

// bindToNothing binds the listening socket to a network interface that does not exist: the kernel finds it for no
// new connection, and refuses that at once. Handshakes that have begun are found by their own addresses, and end in the queue
// (compute_score and inet_match in the kernel's inet_hashtables). It works with Multipath TCP, which package net listens with by
// default, and needs no privileges since Linux 5.7; only a socket that is bound to an interface already needs CAP_NET_RAW.
func bindToNothing(fd int) {
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soBindToIfindex, noInterface)
}
