//go:build unix && !linux

package socket

import (
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// isBound reports whether there is a socket at path: whose, the systems do not tell.
func isBound(_ int, path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == os.ModeSocket
}

// isBoundIn reports true: the systems do not tell.
func isBoundIn(int, *safepath.Parent) bool { return true }

// removeBound does nothing.
func removeBound(int) {}

// setAccess changes what is to be changed only: a daemon that has given up its privileges
// may not even set the mode that a file of another owner has. It follows no link; that what it changes is a socket
// is known a moment before only.
func setAccess(_ int, path string, opts Options) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return unix.ENOTSOCK
	}
	now, err := Access(path)
	if err != nil {
		return err
	}
	if now.Mode != opts.Mode {
		if err := unix.Fchmodat(unix.AT_FDCWD, path, uint32(opts.Mode.Perm()), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	if (opts.UID < 0 || opts.UID == now.UID) && (opts.GID < 0 || opts.GID == now.GID) {
		return nil
	}
	return os.Lchown(path, opts.UID, opts.GID)
}
