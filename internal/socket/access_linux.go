package socket

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// errUnsure is why root leaves a socket's file as it is.
var errUnsure = errors.New("others than root could have put another socket there")

// setAccess changes what is to be changed only: a daemon that has given up its privileges
// may not even set the mode that a file of another owner has. As long as another user is the owner, he can undo the rest, and so he is changed first; of
// its own files this process may have lost the right to change the mode when they are another's.
func setAccess(bound int, path string, opts Options) error {
	file, err := openBoundFile(bound, path, opts.madeBy)
	if err != nil {
		return err
	}
	defer file.close()
	now, err := file.stat()
	if err != nil {
		return err
	}
	listed, err := file.hasACL()
	if err != nil {
		return err
	}
	owned := (opts.UID < 0 || opts.UID == int(now.Uid)) && (opts.GID < 0 || opts.GID == int(now.Gid))
	if owned && !listed && fs.FileMode(now.Mode).Perm() == opts.Mode.Perm() {
		return nil
	}
	if !file.sure {
		return &fs.PathError{Op: "chmod", Path: path, Err: errUnsure}
	}
	steps := []func() error{func() error { return file.give(owned, opts) }, func() error { return file.restrict(opts.Mode) }}
	if int(now.Uid) == unix.Geteuid() {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (f *boundFile) give(owned bool, opts Options) error {
	if owned {
		return nil
	}
	if err := unix.Fchownat(f.fd, "", opts.UID, opts.GID, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: f.path, Err: err}
	}
	return nil
}

// restrict gives the file a mode, and no access control list.
func (f *boundFile) restrict(mode fs.FileMode) error {
	listed, err := f.hasACL()
	if err == nil && listed {
		if err = unix.Removexattr(procPath(f.fd), aclName); err != nil {
			err = &fs.PathError{Op: "remove access control list", Path: f.path, Err: err}
		}
	}
	if err != nil {
		return err
	}
	now, err := f.stat()
	if err != nil || fs.FileMode(now.Mode).Perm() == mode.Perm() {
		return err
	}
	if err := chmodFile(f.fd, uint32(mode.Perm())); err != nil {
		return &fs.PathError{Op: "chmod", Path: f.path, Err: err}
	}
	return nil
}

// access is what setAccess would change.
func access(bound int, path string) (Options, error) {
	file, err := openBoundFile(bound, path, -1)
	if err != nil {
		return Options{}, err
	}
	defer file.close()
	now, err := file.stat()
	if err == nil && !file.sure {
		err = &fs.PathError{Op: "stat", Path: path, Err: errUnsure}
	}
	return Options{Mode: fs.FileMode(now.Mode).Perm(), UID: int(now.Uid), GID: int(now.Gid)}, err
}

// isOwnFile is isBound, and false for root where the kernel does not tell it.
func isOwnFile(bound int, path string) bool {
	if file, err := unix.IoctlRetInt(bound, siocUnixFile); err == nil {
		_ = unix.Close(file)
	} else if unix.Geteuid() == 0 {
		return false
	}
	return isBound(bound, path)
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
	path, err := os.Readlink(procPath(file))
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
	procErr := unix.Chmod(procPath(fd), mode)
	if errors.Is(procErr, fs.ErrNotExist) { // without /proc
		return err
	}
	return procErr
}
