package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// HasPeerCred says whether PeerOf works here.
const HasPeerCred = true

// solLocal is SOL_LOCAL in sys/un.h; x/sys does not have it for all of them.
const solLocal = 0

// identify returns who was at the other end of a Unix socket when it connected. The process
// is not told.
func identify(fd int) (uid, pid int, err error) {
	cred, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	return int(cred.Uid), 0, nil
}
