package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// HasPeerCred says whether PeerOf works here.
const HasPeerCred = true

// solLocal is SOL_LOCAL in sys/un.h.
const solLocal = 0

// identify returns who is at the other end of a Unix socket.
func identify(fd int) (uid, pid int, err error) {
	cred, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	pid, err = unix.GetsockoptInt(fd, solLocal, unix.LOCAL_PEERPID)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt LOCAL_PEERPID", err)
	}
	return int(cred.Uid), pid, nil
}
