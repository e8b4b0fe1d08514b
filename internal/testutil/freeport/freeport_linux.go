package freeport

import (
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// Address returns 127.0.0.1 with a port that nobody has, and keeps that port from everybody else until
// the end of the test. A socket that is bound and does not listen does that: a listener with SO_REUSEADDR,
// as Go opens all of them, may be bound beside it, and the kernel chooses the port for nobody.
func Address(tb testing.TB) string {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(tb, err)
	tb.Cleanup(func() { _ = unix.Close(fd) })
	must(tb, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(tb, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := unix.Getsockname(fd)
	must(tb, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
}

var must = require.NoError
