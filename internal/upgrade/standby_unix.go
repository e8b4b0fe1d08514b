//go:build unix

package upgrade

import (
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// standbyPair makes the two ends of the channel between a generation and the one that stands by.
func standbyPair() (ours, theirs *os.File, err error) {
	return fdpass.Pair(unix.SOCK_STREAM, "standby")
}

// saysWaiting reports whether the other side has said something that has not been read.
func saysWaiting(f *os.File) bool {
	fd, err := fdpass.Number(f)
	if err != nil {
		return false
	}
	n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}
