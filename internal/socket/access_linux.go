package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// setAccess changes what is to be changed only: a daemon that has given up its privileges
// may not even set the mode that a file of another owner has.
func setAccess(bound int, path string, opts Options) error {
	file, err := openBoundFile(bound, path, opts)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(file) }()
	if err := removeACL(file); err != nil {
		return &fs.PathError{Op: "remove access control list", Path: path, Err: err}
	}
	var now unix.Stat_t
	if err := unix.Fstat(file, &now); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if now.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return &fs.PathError{Op: "chmod", Path: path, Err: unix.ENOTSOCK}
	}
	if fs.FileMode(now.Mode).Perm() != opts.Mode.Perm() {
		if err := chmodFile(file, uint32(opts.Mode.Perm())); err != nil {
			return &fs.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	if (opts.UID < 0 || opts.UID == int(now.Uid)) && (opts.GID < 0 || opts.GID == int(now.Gid)) {
		return nil
	}
	if err := unix.Fchownat(file, "", opts.UID, opts.GID, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	return nil
}

// removeACL removes the access control list that a file has from its directory's default one: a user who is named there could connect
// whatever the mode says, of which the list makes a mask. The file is open by O_PATH, and without /proc it cannot be seen to.
func removeACL(file int) error {
	path, name := fmt.Sprintf("/proc/self/fd/%d", file), "system.posix_acl_access"
	if _, err := unix.Getxattr(path, name, nil); err != nil {
		return nil //nolint:nilerr // it has none
	}
	return unix.Removexattr(path, name)
}

// siocUnixFile is SIOCUNIXFILE of linux/un.h.
const siocUnixFile = unix.SIOCPROTOPRIVATE

// openBoundFile opens the file that a socket is bound to, wherever that is by now. The kernel tells it those who may
// administer the network, as root may. For others it is the socket at the path: they can change only what is theirs.
// A root who may not administer the network takes only a file that he has just made, or that need not change: whoever owns
// the directory could have put another socket there.
func openBoundFile(bound int, path string, opts Options) (int, error) {
	file, err := unix.IoctlRetInt(bound, siocUnixFile)
	if err == nil {
		return file, nil
	}
	file, err = openSocketFile(path)
	if err != nil || unix.Geteuid() != 0 {
		return file, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(file, &st); err == nil && (st.Nlink != 1 || st.Uid != 0 && int(st.Uid) != opts.UID && int(st.Uid) != opts.madeBy) {
		err = fmt.Errorf("it is user %d's, with %d names: %w", st.Uid, st.Nlink, fs.ErrPermission)
	}
	if err != nil {
		_ = unix.Close(file)
		return -1, &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	return file, nil
}

// isBound compares the file at path with the one that the socket is bound to, where the kernel tells it. Elsewhere any
// socket will do.
func isBound(bound int, path string) bool {
	dir, err := safepath.Walk(path, false)
	if err != nil {
		return false
	}
	defer dir.Close()
	return isBoundIn(bound, dir)
}

func isBoundIn(bound int, dir *safepath.Parent) bool {
	file, err := unix.IoctlRetInt(bound, siocUnixFile)
	if err != nil {
		there, err := dir.Lstat()
		return err == nil && there.Mode&unix.S_IFMT == unix.S_IFSOCK
	}
	defer func() { _ = unix.Close(file) }()
	return isSocketIn(file, dir)
}

// isSocketIn reports whether the file in dir is a socket, and the one that is open by O_PATH.
func isSocketIn(file int, dir *safepath.Parent) bool {
	there, err := dir.Lstat()
	var is unix.Stat_t
	return err == nil && there.Mode&unix.S_IFMT == unix.S_IFSOCK &&
		unix.Fstat(file, &is) == nil && is.Dev == there.Dev && is.Ino == there.Ino
}

// removeBound removes the file that a socket is bound to, wherever that is, if the kernel tells it. What is removed has
// that file's inode. Only who may write to the directory could put another there meanwhile, and remove it himself.
func removeBound(bound int) {
	file, err := unix.IoctlRetInt(bound, siocUnixFile)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(file) }()
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", file))
	if err != nil {
		return
	}
	dir, err := safepath.WalkTo(path)
	if err != nil {
		return
	}
	defer dir.Close()
	if isSocketIn(file, dir) {
		_ = dir.Unlink()
	}
}

// chmodFile changes the mode of a file that is open by O_PATH. Kernels before 6.6 can do that by /proc only.
func chmodFile(fd int, mode uint32) error {
	err := unix.Fchmodat(fd, "", mode, unix.AT_EMPTY_PATH)
	if err == nil {
		return nil
	}
	procErr := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
	if errors.Is(procErr, fs.ErrNotExist) { // without /proc
		return err
	}
	return procErr
}
