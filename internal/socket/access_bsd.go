//go:build unix && !linux

package socket

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// isBound reports whether there is a socket at path: whose, the systems do not tell.
func isBound(_ int, path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == os.ModeSocket
}

// isOwnFile is isBound, and false for root, who could remove another's.
func isOwnFile(bound int, path string) bool { return unix.Geteuid() != 0 && isBound(bound, path) }

// isBoundIn reports true: the systems do not tell.
func isBoundIn(int, *safepath.Parent) bool { return true }

// removeBound does nothing.
func removeBound(int) {}

// setAccess changes what is to be changed only: a daemon that has given up its privileges
// may not even set the mode that a file of another owner has. It follows no link; that what it changes is a socket
// is known a moment before only. The owner comes first: as long as he is another, he can undo the rest.
func setAccess(bound int, path string, opts Options) error {
	now, err := access(bound, path)
	if err != nil {
		return err
	}
	if (opts.UID >= 0 && opts.UID != now.UID) || (opts.GID >= 0 && opts.GID != now.GID) {
		if err := os.Lchown(path, opts.UID, opts.GID); err != nil {
			return err
		}
		if now, err = access(bound, path); err != nil {
			return err
		}
	}
	if now.Mode == opts.Mode.Perm() {
		return nil
	}
	if err := unix.Fchmodat(unix.AT_FDCWD, path, uint32(opts.Mode.Perm()), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

// access is that of the socket at path: the systems do not tell which file it is bound to.
func access(_ int, path string) (Options, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Options{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Type() != os.ModeSocket {
		return Options{}, &os.PathError{Op: "stat", Path: path, Err: unix.ENOTSOCK}
	}
	return Options{Mode: info.Mode().Perm(), UID: int(st.Uid), GID: int(st.Gid)}, nil
}
