package supervise

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// peer is who has made the channel. A supervisor that runs a new binary in its
// place remains that.
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
