package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// Dial connects to the Unix socket at path, and to no other by a symbolic link in its place: in a directory of another
// user's that could lead to any socket of root's. Errors wrap the system's.
func Dial(ctx context.Context, path string) (net.Conn, error) { return dial(ctx, "unix", path) }

func dial(ctx context.Context, network, path string) (net.Conn, error) {
	fd, err := openSocketFile(path)
	if err != nil {
		return nil, dialError(path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { // whoever answers sends nothing that is to be closed
		return c.Control(func(fd uintptr) { fdpass.Refuse(int(fd)) })
	}}
	c, err := d.DialContext(ctx, network, fmt.Sprintf("/proc/self/fd/%d", fd))
	if errors.Is(err, fs.ErrNotExist) { // without /proc
		c, err = d.DialContext(ctx, network, path)
	}
	if failed := (*net.OpError)(nil); errors.As(err, &failed) {
		failed.Addr = &net.UnixAddr{Name: path, Net: network}
	}
	return c, err
}

// openSocketFile opens the very file at path, which must be a socket. It cannot be read or written so, only named
// by its descriptor, whatever stands at the path afterwards.
func openSocketFile(path string) (int, error) {
	fd, err := safepath.OpenPath(path)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = unix.ENOTSOCK
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
