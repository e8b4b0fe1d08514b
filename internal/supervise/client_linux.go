package supervise

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// peer is who has made the channel.
func peer(f *os.File) (pid int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid, errors.Join(ctlErr, err)
}

func isGone(err error) bool { return errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) }

// write sends a message, with descriptors or without, on a connected socket.
func write(to syscall.Conn, data []byte, files []int) error {
	raw, err := to.SyscallConn()
	if err != nil {
		return err
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	return fdpass.InFlight(func() error {
		writeErr := raw.Write(func(fd uintptr) bool {
			err = unix.Sendmsg(int(fd), data, rights, nil, unix.MSG_NOSIGNAL)
			return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
		})
		if writeErr != nil { // what the last attempt has met says nothing then
			return writeErr
		}
		return os.NewSyscallError("sendmsg", err)
	})
}
