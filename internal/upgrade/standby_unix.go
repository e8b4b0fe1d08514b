//go:build unix

package upgrade

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// standbyPair makes the two ends of the channel between a generation and the one that stands by.
func standbyPair() (ours, theirs *os.File, err error) {
	return fdpass.Pair(unix.SOCK_STREAM, "standby")
}

// peek waits for a byte, and leaves it where it is.
func peek(f *os.File) (word byte, ok bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	n, buf := 0, make([]byte, 1)
	readErr := raw.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK|unix.MSG_DONTWAIT) // which no signal interrupts
		return !errors.Is(err, unix.EAGAIN)
	})
	return buf[0], n > 0 && errors.Join(readErr, err) == nil
}

// saysWaiting word whether the other side has said something that has not been read.
func saysWaiting(f *os.File) bool {
	fd, err := fdpass.Number(f)
	if err != nil {
		return false
	}
	n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}
