package socket

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// siocUnixFile is SIOCUNIXFILE of linux/un.h.
const siocUnixFile = unix.SIOCPROTOPRIVATE

// boundFile is the file that a socket is bound to, open by O_PATH.
type boundFile struct {
	fd   int
	path string
	sure bool // it is that file; otherwise others than root may have put another socket there
}

// openBoundFile opens the file that a socket is bound to, wherever that is by now. The kernel tells it those who may
// administer the network, as root may. For others it is the socket at the path: they can change only what is theirs. A root who may not
// administer the network is sure of that one only where nobody else can exchange it, or if it is still as madeBy has made it: another socket of that
// user's is no loss to anybody else. madeBy is negative for a socket that has not just been made by another user.
func openBoundFile(bound int, path string, madeBy int) (*boundFile, error) {
	if fd, err := unix.IoctlRetInt(bound, siocUnixFile); err == nil {
		return &boundFile{fd: fd, path: path, sure: true}, nil
	}
	dir, err := safepath.Walk(path, false)
	if err != nil {
		return nil, err
	}
	foreign := dir.Foreign
	dir.Close()
	fd, err := openSocketFile(path)
	if err != nil {
		return nil, err
	}
	f := &boundFile{fd: fd, path: path, sure: unix.Geteuid() != 0 || !foreign}
	if !f.sure {
		st, err := f.stat()
		f.sure = err == nil && madeBy >= 0 && int(st.Uid) == madeBy && st.Nlink == 1
	}
	return f, nil
}

func (f *boundFile) close() { _ = unix.Close(f.fd) }

// stat returns what the file is, which must be a socket.
func (f *boundFile) stat() (st unix.Stat_t, err error) {
	if err = unix.Fstat(f.fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = unix.ENOTSOCK
	}
	if err != nil {
		return st, &fs.PathError{Op: "stat", Path: f.path, Err: err}
	}
	return st, nil
}
