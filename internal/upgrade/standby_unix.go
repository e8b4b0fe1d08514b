//go:build unix

package upgrade

import (
	"os"

	"golang.org/x/sys/unix"
)

// standbyPair makes the two ends of the channel between a generation and the one that stands by.
func standbyPair() (ours, theirs *os.File, err error) {
	fds, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, nil, err
	}
	_ = unix.SetNonblock(fds[0], true) // or a goroutine that waits would cost a thread
	_ = unix.SetNonblock(fds[1], true)
	return os.NewFile(uintptr(fds[0]), "standby"), os.NewFile(uintptr(fds[1]), "standby"), nil
}
