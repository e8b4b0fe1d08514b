package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// HasPeerCred says whether PeerOf works here.
const HasPeerCred = true

// identify returns who was at the other end of a Unix socket when it connected.
func identify(fd int) (uid, pid int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	return int(cred.Uid), int(cred.Pid), nil
}
