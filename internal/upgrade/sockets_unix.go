//go:build unix

package upgrade

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// listenerOf returns a listener on the socket, and leaves fd alone.
func listenerOf(fd int) (net.Listener, error) {
	dup, err := fdpass.DupNumber(fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "listener")
	defer func() { _ = f.Close() }()
	return net.FileListener(f)
}

func closeDescriptor(fd int) { _ = unix.Close(fd) }
