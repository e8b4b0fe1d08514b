package socket

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// siocUnixFile is SIOCUNIXFILE of linux/un.h.
const siocUnixFile = unix.SIOCPROTOPRIVATE

// boundFile is the file that a socket is bound to, open by O_PATH.
type boundFile struct {
	fd     int
	path   string
	sure   bool // it is that file; otherwise others than root may have put another socket there
	movers bool // another user owns its directory, or may
}

// openBoundFile opens the file that a socket is bound to, wherever that is by now. The kernel tells it those who may
// administer the network, as root may. For others it is the socket at the path: they can change only what is theirs. A root who may not
// administer the network is sure of that one where nobody else can make files, and of one that has just been made, as long as it is madeBy's: nobody
// could exchange root's yet, and another one of that user's is no loss to anybody else. madeBy is negative for an older socket.
func openBoundFile(bound int, path string, madeBy int) (*boundFile, error) {
	f := &boundFile{path: path, movers: true}
	dir, err := safepath.Walk(path, false)
	var shared, foreign bool
	if err == nil {
		shared, foreign, f.movers = dir.Shared, dir.Foreign, dir.Mover >= 0
		dir.Close()
	}
	var ioctlErr error
	if f.fd, ioctlErr = unix.IoctlRetInt(bound, siocUnixFile); ioctlErr == nil {
		f.sure = true
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	if f.fd, err = openSocketFile(path); err != nil {
		return nil, err
	}
	switch f.sure = unix.Geteuid() != 0 || !shared; {
	case f.sure:
	case madeBy == 0:
		f.sure = !foreign
	case madeBy > 0:
		st, err := f.stat()
		f.sure = err == nil && int(st.Uid) == madeBy && st.Nlink == 1
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

// hasACL reports whether the file has an access control list, as it may from its directory's default one: a user who is named there could connect
// whatever the mode says, of which the list makes a mask. Without /proc that cannot be seen, and in a directory of another user's it may have one.
func (f *boundFile) hasACL() (bool, error) {
	_, err := unix.Getxattr(procPath(f.fd), aclName, nil)
	if errors.Is(err, unix.ENOENT) && f.movers {
		return false, &fs.PathError{Op: "get access control list", Path: f.path, Err: errNoProc}
	}
	return err == nil, nil
}

const aclName = "system.posix_acl_access"

// errNoProc is why root has no socket in a directory of another user's.
var errNoProc = errors.New("without /proc it cannot be seen who else may connect, and its directory is another user's")

func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
