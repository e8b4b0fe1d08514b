//go:build unix

package upgrade

import (
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// socketOf returns the socket that fd is a descriptor of, and leaves fd alone.
func socketOf(fd int) (socket.Socket, error) {
	dup, err := fdpass.DupNumber(fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "socket")
	defer func() { _ = f.Close() }()
	return socket.FromFile(f)
}

func closeDescriptor(fd int) { _ = unix.Close(fd) }
