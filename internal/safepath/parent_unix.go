//go:build unix

package safepath

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Parent is the directory of a file that may be missing. What is done to the file is done in this directory, whatever
// stands at its path by then.
type Parent struct {
	path          string
	fd            int    // AT_FDCWD where the kernel walks
	name          string // in the directory; the whole path where the kernel walks
	follow        bool   // the file is a link of root's that only the kernel can follow
	Shared        bool   // others than root could have put a file there
	Foreign       bool   // and could have put another one in the place of root's
	Mover         int    // the one user who could, if it is Shared; -1 for any one of several, as in a temporary directory
	worldWritable bool   // everybody may make files there
	led           int    // who has made a link on the way, so that only his files can be meant; -1 for nobody
}

// Close closes the directory.
func (p *Parent) Close() {
	if p.fd != unix.AT_FDCWD {
		_ = unix.Close(p.fd)
	}
}

// OpenFile is os.OpenFile, and follows no link that [Walk] has not.
func (p *Parent) OpenFile(flag int, mode fs.FileMode) (*os.File, error) {
	flag |= unix.O_CLOEXEC | openFlags
	if !p.follow {
		flag |= unix.O_NOFOLLOW
	}
	for {
		fd, err := unix.Openat(p.fd, p.name, flag, uint32(mode.Perm()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil:
			return os.NewFile(uintptr(fd), p.path), nil
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EMLINK):
			err = ErrLink
		}
		return nil, pathError("open", p.path, err)
	}
}

// Lstat looks at the file.
func (p *Parent) Lstat() (st unix.Stat_t, err error) {
	err = unix.Fstatat(p.fd, p.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// Unlink removes the file, which must not be a directory.
func (p *Parent) Unlink() error { return unix.Unlinkat(p.fd, p.name, 0) }

// do walks to path and calls f.
func do(op, path string, f func(p *Parent) error) error {
	p, err := Walk(path, false)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := f(p); err != nil {
		return pathError(op, path, err)
	}
	return nil
}

// OpenFile is os.OpenFile, and follows no link at the end.
func OpenFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	p, err := Walk(path, false)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.OpenFile(flag, mode)
}

// Mkdir is os.Mkdir, and returns whose directory it has made. In one of another user's root makes one of that user's: one of root's could be
// exchanged for another one of root's a moment later.
func Mkdir(path string, mode fs.FileMode) (uid int, err error) {
	uid = unix.Geteuid()
	err = do("mkdir", path, func(p *Parent) error {
		mkdir := func() error { return unix.Mkdirat(p.fd, p.name, uint32(mode.Perm())) }
		if p.Mover < 0 || uid != 0 {
			return mkdir()
		}
		uid, err = asUser(p.Mover, mkdir)
		return err
	})
	return uid, err
}

// AsMover calls do with the rights of the one user who could exchange the directory, if there is one (on Linux; elsewhere with root's): wherever
// the path leads by then, no file appears where that user could not make one.
func (p *Parent) AsMover(do func() error) error {
	if p.Mover < 0 {
		return do()
	}
	_, err := asUser(p.Mover, do)
	return err
}

// Unlink is os.Remove, which would remove an empty directory too.
func Unlink(path string) error {
	return do("remove", path, (*Parent).Unlink)
}

// Rename is os.Rename within a directory.
func Rename(from, to string) error {
	return do("rename", from, func(old *Parent) error {
		return do("rename", to, func(now *Parent) error { return unix.Renameat(old.fd, old.name, now.fd, now.name) })
	})
}
