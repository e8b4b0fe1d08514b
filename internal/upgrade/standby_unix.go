//go:build unix

package upgrade

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// standbyPair makes the two ends of the channel between a generation and the one that stands by.
func standbyPair() (ours, theirs *os.File, err error) {
	if ours, theirs, err = fdpass.Pair(unix.SOCK_STREAM, "standby"); err != nil {
		return nil, nil, err
	}
	if fd, err := fdpass.Number(ours); err == nil {
		fdpass.TellSender(fd)
	}
	return ours, theirs, nil
}

// heard takes a word from the channel that is about an heir, and returns whoever has said that he is one; nil where none is left. Where it is not known who has
// said so his PID is 0.
func heard(f *os.File, word byte) *heir {
	raw, err := f.SyscallConn()
	if err != nil {
		return new(heir)
	}
	var h heir
	buf, oob := make([]byte, 1), make([]byte, 64) // enough for credentials, which are 12 bytes
	_ = raw.Read(func(fd uintptr) bool {
		_, n, _, _, err := unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT)
		if err == nil {
			h.pid, _, _ = fdpass.Parse(oob[:n])
		}
		return true
	})
	if word == saysNoHeir {
		return nil
	}
	if h.start, err = process.StartTime(h.pid); err != nil {
		h.pid = 0
	}
	return &h
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
