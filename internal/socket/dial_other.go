//go:build !linux

package socket

import (
	"context"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Dial connects to the Unix socket at path, if there is no symbolic link in its place. Here that can change between the
// look and the use: who is connected has to be looked at, by [PeerOf]. Errors wrap the system's.
func Dial(ctx context.Context, path string) (net.Conn, error) { return dial(ctx, "unix", path) }

func dial(ctx context.Context, network, path string) (net.Conn, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, dialError(path, err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, dialError(path, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP})
	}
	return new(net.Dialer).DialContext(ctx, network, path)
}
