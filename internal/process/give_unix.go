//go:build unix

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// gives reports whether what this process makes would belong to somebody else than id.
func (id *Identity) gives() bool {
	return id != nil && unix.Geteuid() == 0 && (id.UID != 0 || id.GID != unix.Getegid())
}

// MakeFile makes an empty file at path that belongs to id, with just this mode, before this process
// becomes id. One that is there is left alone: in a directory of id's it could be a link to any file of root's.
// For a nil id, and for one that this process is already, it does nothing.
func (id *Identity) MakeFile(path string, mode fs.FileMode) error {
	if !id.gives() {
		return nil
	}
	f, err := create(path, os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chown(id.UID, id.GID), f.Close())
}

// followOwn returns a flag for opening path as root, in a directory that may be another user's: he could have put
// a link there to any file of root's.
func followOwn(path string) (flag int, err error) {
	if unix.Geteuid() != 0 {
		return 0, nil
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return unix.O_NOFOLLOW, nil //nolint:nilerr // whoever opens it finds that too
	}
	if uid, ok := owner(info); ok && uid != 0 {
		return 0, fmt.Errorf("%s is a link of user %d: %w", path, uid, fs.ErrPermission)
	}
	return 0, nil
}

// MakeDir makes a directory with just this mode, if only its last element is missing, which
// belongs to id, or to this process if id is nil. One that is there is left alone.
func (id *Identity) MakeDir(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(path, mode) // whatever the umask is
	}
	if err == nil && id.gives() {
		err = os.Lchown(path, id.UID, id.GID)
	}
	return err
}

// TakeDir has a directory that is there belong to id. It must lie where only root can put anything: the
// directory of a daemon's own, which another user of its had before.
func (id *Identity) TakeDir(path string) error {
	if !id.gives() {
		return nil
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Fchown(fd, id.UID, id.GID); err != nil {
		return fmt.Errorf("give directory %s to user %d: %w", path, id.UID, err)
	}
	return nil
}

// Readable returns an error that wraps fs.ErrPermission if this process cannot open the file at path
// for reading, as it is now and not as it was started. What else is wrong with the file is not looked at.
func Readable(path string) error { return may(path, unix.R_OK, "read") }

// Writable is Readable for writing.
func Writable(path string) error { return may(path, unix.W_OK, "write") }

func may(path string, mode uint32, what string) error {
	if err := unix.Access(path, mode); !errors.Is(err, unix.EACCES) {
		return nil
	}
	return fmt.Errorf("user %d cannot %s %s: %w", unix.Geteuid(), what, path, fs.ErrPermission)
}

// SetUmask has files that this process creates lack these permissions.
func SetUmask(mask fs.FileMode) { unix.Umask(int(mask.Perm())) }
